"""Out-of-fold predictions: brought together by model, and the images that all models have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

import pandas as pd

from recycling.annotations import Annotations
from recycling.ensembling import model_of, parts_of
from recycling.errors import listed
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


def common_images(
    train: Annotations,
    folds: Folds,
    names: Iterable[str],
    parts_of_files: Mapping[str, Annotations] | None = None,
) -> pd.DataFrame:
    """The images that every model has predicted without having seen them.

    Args:
        train: The labelled images.
        folds: The fold of each.
        names: The members: a model and its fold, or a file.
        parts_of_files: For files, what they predict; one that is not named predicts all images.

    Raises:
        PlanError: There is none.
    """
    in_a_fold = set(folds.loc[folds["fold"] >= 0, "image_id"])
    common = set(train.images["image_id"])
    covered: dict[str, set[int]] = {}
    for name in names:
        images = in_a_fold
        if ".fold" in name:
            fold = int(name.rsplit(".fold", 1)[1])
            images = set(folds.loc[folds["fold"] == fold, "image_id"])
        elif parts_of_files and name in parts_of_files:
            images = in_a_fold & _wholly_in(parts_of_files[name], train)
        covered.setdefault(model_of(name), set()).update(images)
    for images in covered.values():
        common &= images
    if not common:
        raise PlanError(
            f"models {listed(covered)} have no fold in common, so they cannot be compared out "
            "of fold; train them on the same folds, and have files predict these"
        )
    return train.images[train.images["image_id"].isin(common)]


def _wholly_in(part: Annotations, train: Annotations) -> set[int]:
    """The images of a part of the labelled images that have all their objects there."""
    objects = train.annotations[~train.annotations["iscrowd"]]
    lacking = objects[~objects["annotation_id"].isin(part.annotations["annotation_id"])]
    return set(part.images["image_id"]) - set(lacking["image_id"])


def parts(images: pd.DataFrame, folds: Folds, n_parts: int = 5, seed: int = 0) -> pd.DataFrame:
    """The folds of these images; where that is one only, it is dealt into parts."""
    own = folds[folds["image_id"].isin(images["image_id"])]
    if own["fold"].nunique() > 1:
        return own
    groups = images["group"].tolist()
    return parts_of(images["image_id"].to_numpy(), groups, n_parts=n_parts, seed=seed)
