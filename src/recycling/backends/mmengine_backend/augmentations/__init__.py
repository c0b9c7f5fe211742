"""Augmentations that the libraries do not have, or not in the form that a list needs."""

from recycling.backends.mmengine_backend.augmentations.albumentations import Albumentations
from recycling.backends.mmengine_backend.augmentations.sometimes import Sometimes

__all__ = ["Albumentations", "Sometimes"]
