"""COCO annotations as typed tables: read, write, check, clean."""

from recycling.annotations.cleaning.audit import AUDIT, Audit
from recycling.annotations.cleaning.core import Cleaning, clean, what_if
from recycling.annotations.cleaning.report import (
    RULE_REPORT,
    RuleReport,
    change_lines,
    check_something_is_left,
    rule_report,
)
from recycling.annotations.core import (
    ANNOTATIONS,
    BOX,
    BOX_COLUMNS,
    CATEGORIES,
    IMAGES,
    AnnotationError,
    Annotations,
    ImageFolder,
    LabeledImages,
)
from recycling.annotations.formats.coco import from_coco, read_coco, to_coco, write_coco
from recycling.annotations.formats.label_studio import read_label_studio, write_label_studio
from recycling.annotations.formats.pascal_voc import read_pascal_voc, write_pascal_voc
from recycling.annotations.formats.yolo import read_yolo, write_yolo
from recycling.annotations.images.cache import ImageCache
from recycling.annotations.images.checks import (
    FEATURES,
    IMAGE_CHECKS,
    PROBLEMS,
    ImageChecks,
    check_images,
)
from recycling.annotations.images.near_duplicates import (
    near_duplicate_groups,
    near_duplicate_links,
)
from recycling.annotations.joining import joined
from recycling.annotations.masks import (
    annotation_area,
    annotation_mask,
    label_maps,
    mask_to_segmentation,
    to_label_map,
)
from recycling.annotations.overlaps import visible_area
from recycling.annotations.parquet import StoredAnnotations, read_tables, write_tables

__all__ = [
    "ANNOTATIONS",
    "AUDIT",
    "BOX",
    "BOX_COLUMNS",
    "CATEGORIES",
    "FEATURES",
    "IMAGES",
    "IMAGE_CHECKS",
    "PROBLEMS",
    "RULE_REPORT",
    "AnnotationError",
    "Annotations",
    "Audit",
    "Cleaning",
    "ImageCache",
    "ImageChecks",
    "ImageFolder",
    "LabeledImages",
    "RuleReport",
    "StoredAnnotations",
    "annotation_area",
    "annotation_mask",
    "change_lines",
    "check_images",
    "check_something_is_left",
    "clean",
    "from_coco",
    "joined",
    "label_maps",
    "mask_to_segmentation",
    "near_duplicate_groups",
    "near_duplicate_links",
    "read_coco",
    "read_label_studio",
    "read_pascal_voc",
    "read_tables",
    "read_yolo",
    "rule_report",
    "to_coco",
    "to_label_map",
    "visible_area",
    "what_if",
    "write_coco",
    "write_label_studio",
    "write_pascal_voc",
    "write_tables",
    "write_yolo",
]
