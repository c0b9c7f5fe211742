"""What a user says about an augmented set in `augmented_sets`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from recycling.backends.shared.settings import read_augmentation
from recycling.registry import Settings


class AugmentedSetSettings(Settings):
    """One set of `augmented_sets`.

    >>> AugmentedSetSettings(transforms=["HorizontalFlip"], factor=3).transforms
    ({'HorizontalFlip': {}},)
    """

    transforms: Annotated[
        tuple[dict[str, dict[str, Any]], ...], BeforeValidator(read_augmentation)
    ] = Field(min_length=1, description="classes of Albumentations with their arguments")
    factor: int = Field(ge=1, description="copies of each image")
    seed: int = Field(default=0, ge=0, description="of all that is drawn")
    min_visibility: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="an object is dropped where a transform leaves less of its box in the image",
    )
    quality: int = Field(default=95, ge=1, le=100, description="of the JPEG files")
    workers: int | None = Field(
        default=None, ge=1, description="processes; by default one for each core"
    )
