"""How the predictions of several members become one, as a run fuses those of the test images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from recycling.annotations import CATEGORIES, Annotations
from recycling.backends import Images, LoadedModel
from recycling.backends.shared.model import Task
from recycling.ensembling import calibration_of, method_of
from recycling.inference import Fuse, InferenceError
from recycling.pipelines.calibrating import split_out_of_fold
from recycling.pipelines.fusing import (
    calibrators_for,
    chosen_settings,
    fuse_as_chosen,
    fuse_by_labels,
    fuse_members,
)
from recycling.pipelines.out_of_fold import probabilities_key
from recycling.predictions import Predictions, ProbableLabelMaps
from recycling.registry import PickedSettings


def fusion_of(task: Task, known: Mapping[str, Any], names: Sequence[str]) -> Fuse | None:
    """How the members' predictions become one, as a run fuses those of the test images.

    Args:
        task: What is predicted.
        known: The other inputs of the fusion, by argument: `ranking`, `settings` and what they ask
            for; nothing of a member that is alone.
        names: The members.
    """
    if not known:
        return None
    learnt, searched = _learnt(known, names), "choice" in known
    function: Callable[..., Predictions] = fuse_as_chosen(task) if searched else fuse_members
    if "folds" in known:
        function = fuse_by_labels
    takes_probabilities = not searched and method_of(known["settings"]).takes == "probabilities"

    def fuse_predictions(said: Mapping[str, Predictions], images: Images) -> Predictions:
        inputs: dict[str, Any] = dict(learnt)
        for name, own in said.items():
            planes = own.probabilities if isinstance(own, ProbableLabelMaps) else None
            inputs[name] = planes if takes_probabilities else own
            if planes is not None and searched:
                inputs[probabilities_key(name)] = planes
        if task == "seg":
            inputs["images"] = _annotations_of(images)
        return function(**inputs)

    return fuse_predictions


def check_alone(name: str, settings: PickedSettings | None) -> None:
    """Refuse to fuse new images in a way in which each one's answer depends on the others.

    Args:
        name: What fuses them, for the message.
        settings: How; None where one member is taken alone.

    Raises:
        InferenceError: It does.
    """
    if settings is not None and method_of(settings).depends_on_others:
        method = getattr(settings, settings.key)
        raise InferenceError(
            f"{name}: its fusion, {method}, makes of an image something else beside other images; "
            "use its members one by one, or an ensemble with another method"
        )


def _learnt(known: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The inputs, with calibrators in place of what these are learnt on."""
    settings: PickedSettings = known["settings"]
    taken = chosen_settings(settings, names, known.get("choice"))
    if "folds" in known or calibration_of(taken) == "none":
        return dict(known)
    given, out_of_fold = split_out_of_fold(known)
    train = given.pop("train")
    return {**given, "calibrators": calibrators_for(taken, train, out_of_fold)}


def _annotations_of(images: Images) -> Annotations:
    """The images alone: of what a fusion is given it looks at their sizes."""
    nothing = pd.DataFrame()
    return Annotations(images.table, nothing, nothing)


def categories_of(name: str, members: Mapping[str, LoadedModel]) -> pd.DataFrame:
    """What the members know, which has to be the same; schema `CATEGORIES`.

    Args:
        name: Of what they are members, for the message.
        members: The models.

    Raises:
        InferenceError: It is not.
    """
    known = {own: list(map(dict, member.categories)) for own, member in members.items()}
    first = next(iter(known))
    for own, categories in known.items():
        if categories != known[first]:
            raise InferenceError(
                f"{name}: {first} and {own} know different categories; train them again"
            )
    table = pd.DataFrame(known[first]).assign(supercategory="", extra=None)
    return CATEGORIES.conform(table, where=f"categories of {name}")
