"""The embedded sample: drawn scenes of waste in COCO's format, with planted defects."""

from recycling.sample.core import SampleError, SampleSettings, generate_sample
from recycling.sample.defects import WRONG_LABELS
from recycling.sample.objects import CLASSES, ObjectClass

__all__ = [
    "CLASSES",
    "WRONG_LABELS",
    "ObjectClass",
    "SampleError",
    "SampleSettings",
    "generate_sample",
]
