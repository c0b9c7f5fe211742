"""Augmented copies of the training images, made once and found again by a hash."""

from recycling.augmented_sets.core import AugmentedSet, AugmentedSetError, AugmentedSets
from recycling.augmented_sets.making import make_augmented_set
from recycling.augmented_sets.settings import AugmentedSetSettings

__all__ = [
    "AugmentedSet",
    "AugmentedSetError",
    "AugmentedSetSettings",
    "AugmentedSets",
    "make_augmented_set",
]
