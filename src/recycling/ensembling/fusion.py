"""Fusing members as settings say: the method is looked up, and given what it takes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from recycling.ensembling.calibration import NONE, Calibrator
from recycling.ensembling.masks.image_members import ImageSizes
from recycling.ensembling.members import EnsemblingError, model_of
from recycling.ensembling.methods import KnownLabels, MemberWeights, Method, calibration_of
from recycling.registry import PickedSettings


def method_of(settings: PickedSettings) -> Method:
    """The method that settings pick."""
    method: Method = settings.picked
    return method


def fuse(
    settings: PickedSettings,
    members: Mapping[str, Any],
    *,
    ranks: Mapping[str, int] | None = None,
    scores: Mapping[str, float | None] | None = None,
    sizes: ImageSizes | None = None,
    known: KnownLabels | None = None,
    calibrators: Mapping[str, Calibrator] | None = None,
) -> Any:
    """Fuse the predictions of several members.

    Args:
        settings: The method and its settings: a `BoxFusion`, `MaskFusion` or `ClassFusion`.
        members: Each member's predictions, by name: what the method takes.
        ranks: The rank of each member, the smallest for the best, where the method needs it.
        scores: The score of each member on images that it has not seen, for ``weights: score``.
        sizes: Height and width of each image, for label maps; None for the first member's.
        known: Labels and out-of-fold predictions, where the method learns from them.
        calibrators: What makes the scores of each member, or of its model, comparable, where the
            settings ask for that.

    Returns:
        The fused predictions; a `LearntFusion` where the method learns from labels.

    Raises:
        EnsemblingError: The members or their weights do not fit, or there is nothing to calibrate a
            member by.

    Example:
        >>> import pandas as pd
        >>> from recycling.ensembling import ClassFusion
        >>> def one_crop(paper, metal):
        ...     return pd.DataFrame({"annotation_id": [7], "paper": [paper], "metal": [metal]})
        >>> settings = ClassFusion.model_validate({"method": "mean", "weights": {"a": 3, "b": 1}})
        >>> fused = fuse(settings, {"a": one_crop(1.0, 0.0), "b": one_crop(0.0, 1.0)})
        >>> fused[["paper", "metal"]].to_numpy().tolist()
        [[0.75, 0.25]]
    """
    method, names = method_of(settings), list(members)
    arguments = settings.arguments()
    if arguments.pop("calibrate", NONE) != NONE:
        members = _calibrated(settings, members, calibrators or {})
    if "weights" in arguments:
        arguments["weights"] = weights_of(
            arguments["weights"], names, scores or {}, votes=method.weights_are_votes
        )
    if method.learns == "ranks":
        if ranks is None:
            raise EnsemblingError("a vote needs to know which member is better; give ranks")
        arguments["ranks"] = [ranks[name] for name in names]
    if method.learns == "labels":
        arguments["known"] = known
    if sizes is not None:
        arguments["sizes"] = sizes
    return method.fuse(list(members.values()), names=names, **arguments)


def _calibrated(
    settings: PickedSettings, members: Mapping[str, Any], calibrators: Mapping[str, Calibrator]
) -> dict[str, Any]:
    found = {}
    for name, own in members.items():
        calibrated = calibrators.get(name) or calibrators.get(model_of(name))
        if calibrated is None:
            raise EnsemblingError(
                f"{name}: no out-of-fold predictions to calibrate it by, and calibrate is "
                f"{calibration_of(settings)}; add {model_of(name)}.oof.csv, leave it out, or set "
                f"calibrate to {NONE}"
            )
        found[name] = calibrated(own)
    return found


def weights_of(
    weights: MemberWeights,
    names: list[str],
    scores: Mapping[str, float | None],
    *,
    votes: bool = True,
) -> list[float] | None:
    """How much each member counts, in the order of the names; None where all count the same.

    A model counts once, however many of its folds take part: out of fold it has one prediction an
    image, on test images one from each fold.

    Args:
        weights: As the settings have it; a name may be a model's, for all its folds.
        names: The members.
        scores: Score by member; None where it is not known.
        votes: Whether weights are votes, which the folds of a model share; see `Method`.

    Raises:
        EnsemblingError: A member has no weight, or no score to be its weight.

    Example:
        >>> weights_of({"yolox": 2, "fcos": 1}, ["yolox.fold0", "fcos.fold1"], {})
        [2.0, 1.0]
        >>> weights_of("equal", ["yolox.fold0", "yolox.fold1", "fcos.fold1"], {})
        [1.0, 1.0, 2.0]
    """
    own = {name: _weight(weights, name, scores) for name in names}
    if weights == "score" and not any(own.values()):
        own = dict.fromkeys(names, 1.0)  # All score 0 after too short a training.
    if votes:
        by_name = weights if isinstance(weights, dict) else {}
        folds = Counter(model_of(name) for name in names if name not in by_name)
        common = math.lcm(*folds.values())
        for name in names:
            own[name] *= common if name in by_name else common // folds[model_of(name)]
    given = list(own.values())
    return None if not isinstance(weights, dict) and len(set(given)) == 1 else given


def _weight(weights: MemberWeights, name: str, scores: Mapping[str, float | None]) -> float:
    """What the settings say of one member, alone or as one of its model's."""
    if weights == "equal":
        return 1.0
    if weights == "score":
        score = scores.get(name)
        if score is None:
            raise EnsemblingError(
                f"{name}: no out-of-fold predictions, so no score to be its weight; add "
                f"{model_of(name)}.oof.csv, or set weights to equal or to numbers"
            )
        return float(score)
    assert isinstance(weights, dict)
    given = weights.get(name, weights.get(model_of(name)))
    if given is None:
        raise EnsemblingError(f"weights: none for {name!r}; there are {', '.join(weights)}")
    return float(given)


def weighted_by_model(settings: PickedSettings, members: Sequence[str]) -> PickedSettings:
    """Settings for models instead of members, where the weights of single folds are given.

    Args:
        settings: The method and its settings.
        members: The names of all members.

    Raises:
        EnsemblingError: A member has no weight.

    Example:
        >>> from recycling.ensembling import ClassFusion
        >>> settings = ClassFusion.model_validate({"weights": {"yolox": 2, "theirs.csv": 1}})
        >>> weighted_by_model(settings, ["yolox.fold0", "yolox.fold1", "theirs.csv"]).weights
        {'yolox': 2.0, 'theirs': 1.0}
    """
    weights: MemberWeights = getattr(settings, "weights", "equal")
    if isinstance(weights, str):
        return settings
    of_model: dict[str, list[str]] = {}
    for name in members:
        of_model.setdefault(model_of(name), []).append(name)
    total = {}
    for model, names in of_model.items():
        own = {name: _weight(weights, name, {}) for name in names}
        # Votes of folds add up, be it those of single folds or the one that they share.
        adding = [own[name] for name in names if name in weights] + [
            own[name] for name in names if name not in weights
        ][:1]
        votes = method_of(settings).weights_are_votes
        total[model] = sum(adding) if votes else fmean(own.values())
    return settings.model_copy(update={"weights": total})


def counted_members(settings: PickedSettings, names: Sequence[str]) -> list[str]:
    """Those members, or models, whose weight is not 0.

    Args:
        settings: The method and its settings.
        names: The members.

    Raises:
        EnsemblingError: A member has no weight.

    Example:
        >>> from recycling.ensembling import ClassFusion
        >>> settings = ClassFusion.model_validate({"weights": {"yolox": 2, "fcos": 0}})
        >>> counted_members(settings, ["fcos.fold0", "yolox.fold0"])
        ['yolox.fold0']
    """
    weights: MemberWeights = getattr(settings, "weights", "equal")
    if isinstance(weights, str):
        return list(names)
    return [name for name in names if _weight(weights, name, {}) > 0]
