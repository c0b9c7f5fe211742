"""Great Expectations behind Kedro's catalog validators."""

from recycling.validation.validator import AnnotationsValidator

__all__ = ["AnnotationsValidator"]
