"""COCO annotations as typed tables: read, write, check, clean."""

from recycling.annotations.audit import AUDIT, Audit
from recycling.annotations.cleaning import Cleaning, clean
from recycling.annotations.coco import from_coco, read_coco, to_coco, write_coco
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
from recycling.annotations.image_checks import (
    IMAGE_CHECKS,
    MAX_PIXELS,
    PROBLEMS,
    ImageChecks,
    check_images,
    near_duplicate_groups,
)
from recycling.annotations.masks import (
    annotation_area,
    annotation_mask,
    label_maps,
    mask_to_segmentation,
    to_label_map,
)
from recycling.annotations.parquet import read_tables, write_tables

__all__ = [
    "ANNOTATIONS",
    "AUDIT",
    "BOX",
    "BOX_COLUMNS",
    "CATEGORIES",
    "IMAGES",
    "IMAGE_CHECKS",
    "MAX_PIXELS",
    "PROBLEMS",
    "AnnotationError",
    "Annotations",
    "Audit",
    "Cleaning",
    "ImageChecks",
    "ImageFolder",
    "LabeledImages",
    "annotation_area",
    "annotation_mask",
    "check_images",
    "clean",
    "from_coco",
    "label_maps",
    "mask_to_segmentation",
    "near_duplicate_groups",
    "read_coco",
    "read_tables",
    "to_coco",
    "to_label_map",
    "write_coco",
    "write_tables",
]
