"""Out-of-fold predictions: brought together by model, and the images that all models have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from recycling.annotations import Annotations
from recycling.ensembling import model_of, parts_of
from recycling.plan import PlanError
from recycling.predictions import LabelMaps, ProbabilityMaps
from recycling.splitting import Folds


def by_model(members: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The out-of-fold predictions of each model, a fold after the other."""
    found: dict[str, list[Any]] = {}
    for name, predictions in members.items():
        found.setdefault(model_of(name), []).append(predictions)
    return found


def joined_maps(maps: Sequence[LabelMaps]) -> LabelMaps:
    """The label maps of several folds as one; each is read when it is asked for."""
    source = {image_id: own for own in maps for image_id in own}
    return LabelMaps(list(source), lambda image_id: source[image_id][image_id])


def joined_probabilities(probabilities: Sequence[ProbabilityMaps]) -> ProbabilityMaps:
    """The probabilities of several folds as one; each is read when it is asked for."""
    source = {image_id: own for own in probabilities for image_id in own}
    return ProbabilityMaps(list(source), lambda image_id: source[image_id][image_id])


def common_images(train: Annotations, folds: Folds, names: Iterable[str]) -> pd.DataFrame:
    """The images that every model has predicted without having seen them.

    Args:
        train: The labelled images.
        folds: The fold of each.
        names: The members: a model and its fold, or a file that covers all images.

    Raises:
        PlanError: There is none.
    """
    common = set(train.images["image_id"])
    covered: dict[str, set[int]] = {}
    for name in names:
        of_fold = (
            folds["fold"] == int(name.rsplit(".fold", 1)[1])
            if ".fold" in name
            else folds["fold"] >= 0
        )
        covered.setdefault(model_of(name), set()).update(folds.loc[of_fold, "image_id"])
    for images in covered.values():
        common &= images
    if not common:
        raise PlanError(
            f"models {', '.join(covered)} have no fold in common, so they cannot be compared out "
            "of fold; train them on the same folds"
        )
    return train.images[train.images["image_id"].isin(common)]


def parts(images: pd.DataFrame, folds: Folds, n_parts: int = 5, seed: int = 0) -> pd.DataFrame:
    """The folds of these images; where that is one only, it is dealt into parts."""
    own = folds[folds["image_id"].isin(images["image_id"])]
    if own["fold"].nunique() > 1:
        return own
    groups = images["group"].tolist()
    return parts_of(images["image_id"].to_numpy(), groups, n_parts=n_parts, seed=seed)
