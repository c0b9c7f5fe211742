"""COCO annotations as typed tables: read, write, check, clean."""

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

__all__ = [
    "ANNOTATIONS",
    "BOX",
    "BOX_COLUMNS",
    "CATEGORIES",
    "IMAGES",
    "AnnotationError",
    "Annotations",
    "ImageFolder",
    "LabeledImages",
]
