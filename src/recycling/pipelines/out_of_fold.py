"""Out-of-fold predictions: brought together by model, and the images that all models have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

import pandas as pd

from recycling.annotations import Annotations
from recycling.ensembling import model_of, parts_of
from recycling.plan import PlanError
from recycling.predictions import LabelMaps, ProbabilityMaps
from recycling.splitting import Folds

Maps = TypeVar("Maps", LabelMaps, ProbabilityMaps)
Table = TypeVar("Table", bound=pd.DataFrame)


def by_model(members: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The out-of-fold predictions of each model, a fold after the other.

    >>> by_model({"yolox.fold0": 1, "yolox.fold1": 2, "colleague.csv": 3})
    {'yolox': [1, 2], 'colleague': [3]}
    """
    found: dict[str, list[Any]] = {}
    for name, predictions in members.items():
        found.setdefault(model_of(name), []).append(predictions)
    return found


def joined(maps: Sequence[Maps]) -> Maps:
    """The label maps, or the probabilities, of several folds as one; read when asked for.

    >>> folds = [LabelMaps([fold], lambda image_id: image_id) for fold in (0, 1)]
    >>> list(joined(folds))
    [0, 1]
    """
    source = {image_id: own for own in maps for image_id in own}
    kind: Any = LabelMaps if isinstance(maps[0], LabelMaps) else ProbabilityMaps
    whole: Maps = kind(list(source), lambda image_id: source[image_id][image_id])
    return whole


def joined_tables(members: Mapping[str, Table]) -> dict[str, Table]:
    """The out-of-fold predictions of each model as one table.

    >>> folds = {f"yolox.fold{fold}": pd.DataFrame({"image_id": [fold]}) for fold in (0, 1)}
    >>> joined_tables(folds)["yolox"]["image_id"].tolist()
    [0, 1]
    """
    folds = by_model(members).items()
    return {model: cast(Table, pd.concat(own, ignore_index=True)) for model, own in folds}


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
