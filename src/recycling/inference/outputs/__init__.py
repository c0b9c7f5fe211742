"""The forms that predictions are written in."""

from recycling.inference.outputs.core import (
    OUTPUTS,
    Output,
    check_apart,
    left_by_others,
    outputs_of,
)
from recycling.inference.outputs.summary import by_category, by_image
from recycling.registry import import_modules

import_modules(__name__, __path__)

__all__ = [
    "OUTPUTS",
    "Output",
    "by_category",
    "by_image",
    "check_apart",
    "left_by_others",
    "outputs_of",
]
