"""Great Expectations behind Kedro's catalog validators."""

from recycling.validation.baseline import BaselineError, read_baseline, write_baseline
from recycling.validation.validator import AnnotationsValidator, store_baseline

__all__ = [
    "AnnotationsValidator",
    "BaselineError",
    "read_baseline",
    "store_baseline",
    "write_baseline",
]
