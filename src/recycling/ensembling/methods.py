"""The fusion methods of boxes, label maps and class probabilities, by name.

A method is one file: its settings, its function and a decorator of this module, such as
``@box_method("nms", NmsSettings)``, which takes what `Method` takes as well. The parameters of
the ensembling pipeline, the search, the kernels compiled ahead and the docs read the registries.

A function takes the members' predictions, its settings by keyword, and what is known of the
members, by keyword too: `names` always; `weights`, one number a member, where its settings have a
field `weights`; `ranks`, the smallest for the best member, where it learns from ranks; `known`,
labels and out-of-fold predictions, where it learns from labels (it then gives a `LearntFusion`);
`sizes`, height and width of each image, for label maps. Where its settings have a field
`calibrate`, the predictions that it is given are calibrated already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import pandas as pd
from pydantic import AfterValidator, Field

from recycling.ensembling.calibration.core import CALIBRATIONS, NONE
from recycling.predictions import ClassProbabilities
from recycling.registry import PickedSettings, Registry

Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Weight: TypeAlias = Annotated[float, Field(ge=0)]
MemberWeights: TypeAlias = Literal["equal", "score"] | dict[str, Weight]
"""``equal``, ``score`` (a member's own on what it has not seen), or a number for each member."""


@dataclass(frozen=True)
class Searched:
    """Which values of a setting the search tries; an annotation of a field.

    A field whose values are a few words (`Literal`) is searched without it.

    Attributes:
        low: The least that is tried.
        high: The most that is tried.
        step: Between numbers that are tried.
        first: What is tried first.
        only_with: Another setting and the value without which this one means nothing.
    """

    low: float
    high: float
    step: float
    first: float
    only_with: tuple[str, str] | None = None


@dataclass(frozen=True)
class SearchedNames:
    """That the search tries every name of a registry; an annotation of a field.

    Attributes:
        names: The registry.
    """

    names: Iterable[str]


def _known_calibration(name: str) -> str:
    if name not in CALIBRATIONS:
        raise ValueError(str(CALIBRATIONS.unknown(name)))
    return name


Calibrate: TypeAlias = Annotated[
    str, AfterValidator(_known_calibration), SearchedNames(CALIBRATIONS)
]
"""How the members' scores are made comparable before they are fused; `fuse` does it."""


def calibration_of(settings: PickedSettings | None) -> str:
    """The calibration that settings ask for; `none` also where the method takes none.

    >>> calibration_of(BoxFusion.model_validate({"method": "nms", "calibrate": "platt"}))
    'platt'
    """
    return str(getattr(settings, "calibrate", NONE))


@dataclass(frozen=True)
class Method:
    """A method that fuses members.

    Attributes:
        fuse: The function.
        takes: What it fuses: the members' predictions, or the class probabilities of each pixel
            beside their label maps.
        learns: What it takes from labels: nothing, which member is better (for ties), or all of
            them.
        weights_are_votes: Whether members' weights are votes that add up, so that the folds of a
            model share its weight; else a weight is a factor of scores, which each fold has.
        depends_on_others: Whether what it makes of one crop depends on the others that it is given.
            Such a method is for a test set that is fused at once, and for no new images.
    """

    fuse: Callable[..., Any]
    takes: Literal["predictions", "probabilities"] = "predictions"
    learns: Literal["nothing", "ranks", "labels"] = "nothing"
    weights_are_votes: bool = True
    depends_on_others: bool = False


@dataclass(frozen=True)
class KnownLabels:
    """What a method that learns from labels is given.

    Attributes:
        out_of_fold: One table a member: each crop predicted by a model that has not seen it.
        labels: The name of each crop's category, by annotation id.
        folds: Each crop's fold, by annotation id.
    """

    out_of_fold: Sequence[ClassProbabilities]
    labels: pd.Series
    folds: pd.Series


@dataclass(frozen=True)
class LearntFusion:
    """What a method that learns from labels gives.

    Attributes:
        test: The fused probabilities of what is fused.
        out_of_fold: Those of the labelled crops, none from a fusion that has seen its label.
    """

    test: ClassProbabilities
    out_of_fold: ClassProbabilities


BOX_METHODS: Registry[Method] = Registry("fusion method of boxes", Method)
MASK_METHODS: Registry[Method] = Registry("fusion method of masks", Method)
CLASS_METHODS: Registry[Method] = Registry("fusion method of classes", Method)


class BoxFusion(
    PickedSettings, registry=BOX_METHODS, key="method", default="weighted_boxes_fusion"
):
    """How the boxes of the members are fused: by `method`, with the settings that it takes."""

    method: str


class MaskFusion(PickedSettings, registry=MASK_METHODS, key="method", default="hard_vote"):
    """How the masks of the members are fused: by `method`, with the settings that it takes."""

    method: str


class ClassFusion(PickedSettings, registry=CLASS_METHODS, key="method", default="mean"):
    """How class probabilities are fused: by `method`, with the settings that it takes."""

    method: str


box_method = BOX_METHODS.add
"""A decorator that makes a function a fusion method of boxes; see `recycling.registry.Registry`."""

mask_method = MASK_METHODS.add
"""A decorator that makes a function a fusion method of label maps."""

class_method = CLASS_METHODS.add
"""A decorator that makes a function a fusion method of class probabilities."""
