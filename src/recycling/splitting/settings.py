"""How images are split: what the configuration says, and the splitting methods by name.

A method is one file in `methods/`: its settings, its function and the decorator of this module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from recycling.registry import PickedSettings, Registry
from recycling.splitting.axes import DEFAULT_AXES, Axis
from recycling.splitting.contents import Contents


@dataclass(frozen=True)
class Method:
    """A method that splits images.

    Attributes:
        split: The function. It takes what is on the images, these ordered by their ids, and the
            method's settings. It returns the fold of each image, (images,).
        keeps_groups: Whether images of a group are in the same fold always.
    """

    split: Callable[[Contents, Any], NDArray[np.int64]]
    keeps_groups: bool = True


METHODS: Registry[Method] = Registry("splitting method", Method)

splitting_method = METHODS.add
"""A decorator that makes a function a splitting method; it takes the facts of `Method`."""


class Splitting(
    PickedSettings, registry=METHODS, key="method", default="multilabel_stratified_group"
):
    """How images are split: by `method`, with the settings that it takes.

    A method holds out one part, as fold 0, and fold 1 is the rest; or it makes folds that are held
    out in turn, and its settings are `KFolds`.

    >>> Splitting(method="random", n_splits=3).validation_folds
    range(0, 3)
    """

    method: str
    seed: int = Field(default=0, ge=0, description="of all that is drawn")
    axes: tuple[Axis, ...] = Field(
        default=DEFAULT_AXES,
        description="on what the balance is measured, and what methods balance that go by axes",
    )
    near_duplicate_distance: int | None = Field(
        default=8,
        ge=0,
        le=64,
        description=(
            "images whose perceptual hashes differ in at most this many of 64 bits may not be in "
            "two folds; null: only images of the same bytes may not"
        ),
    )

    @field_validator("axes")
    @classmethod
    def _each_axis_once(cls, axes: tuple[str, ...]) -> tuple[str, ...]:
        if not axes:
            raise ValueError("there is no axis; name at least one")
        for axis in axes:
            if axes.count(axis) > 1:
                raise ValueError(f"axis {axis!r} is there {axes.count(axis)} times; name it once")
        return axes

    @property
    def n_parts(self) -> int:
        """How many parts the images are split into."""
        return 2

    @property
    def validation_folds(self) -> range:
        """The folds that a model can be validated on, having been trained on the rest."""
        return range(1)


class KFolds(Splitting):
    """Settings of a method that makes folds, each of which is held out once."""

    n_splits: int = Field(default=5, ge=2, description="number of folds")

    @property
    def n_parts(self) -> int:
        """The number of folds."""
        return self.n_splits

    @property
    def validation_folds(self) -> range:
        """All folds."""
        return range(self.n_splits)
