"""Out-of-fold predictions: brought together by model, and the images that all models have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from recycling.annotations import Annotations
from recycling.backends.shared.model import Task
from recycling.ensembling import model_of, parts_of
from recycling.errors import listed
from recycling.plan import PlanError
from recycling.predictions import LabelMaps, ProbabilityMaps
from recycling.splitting import Folds

PROBABILITIES = "probabilities: "
PART = "part: "


@dataclass(frozen=True)
class Gathered:
    """What models predict of the labelled images that none of them has seen.

    Attributes:
        task: What is predicted.
        truth: These images.
        parts: `image_id` and `fold`, the part that each is in.
        members: The predictions of each model, of these images only.
        probabilities: For masks, the probabilities beside them, where every model has some.
    """

    task: Task
    truth: Annotations
    parts: pd.DataFrame
    members: dict[str, Any]
    probabilities: dict[str, ProbabilityMaps]

    @property
    def key(self) -> str:
        """What a prediction is of: an image, or a crop's annotation."""
        return "annotation_id" if self.task == "cls" else "image_id"

    @property
    def rows(self) -> pd.DataFrame:
        """The image, or the crop, and the part that it is in: `key` and `fold`."""
        if self.task != "cls":
            return self.parts[["image_id", "fold"]]
        crops = self.truth.annotations
        crops = crops.loc[~crops["iscrowd"], ["annotation_id", "image_id"]]
        return crops.merge(self.parts[["image_id", "fold"]], on="image_id")

    @property
    def part_of_rows(self) -> pd.Series[int]:
        """The index of the part of each image or crop, by its id; a part has one at least."""
        rows = self.rows
        number = {fold: index for index, fold in enumerate(sorted(rows["fold"].unique()))}
        return rows.set_index(self.key)["fold"].map(number)


def gather(
    task: Task,
    train: Annotations,
    folds: Folds,
    inputs: Mapping[str, Any],
    *,
    n_parts: int = 5,
    seed: int = 0,
    least: int = 2,
) -> Gathered:
    """Bring the out-of-fold predictions of models together, on the images that all of them have.

    Args:
        task: What is predicted.
        train: The labelled images.
        folds: The fold of each.
        inputs: The out-of-fold predictions of each member, by its name; by `probabilities_key` the
            probabilities beside label maps; by `part_key` which labelled images a file predicts.
        n_parts: Into how many parts the images are dealt where there are too few folds.
        seed: Of the deal.
        least: How many folds are enough.

    Raises:
        PlanError: There is no such image.
    """
    files = {name: inputs[key] for name in inputs if (key := part_key(name)) in inputs}
    of_members = {key: own for key, own in inputs.items() if key not in map(part_key, files)}
    predictions, planes = predictions_and_probabilities(of_members)
    images = common_images(train, folds, predictions, files)
    truth = train.of_images(images["image_id"])
    part_of = parts(images, folds, n_parts, seed, least)
    if task == "seg":
        ids = images["image_id"].tolist()
        maps = {
            model: LabelMaps(ids, own.__getitem__)
            for model, own in joined_by_model(predictions).items()
        }
        return Gathered(task, truth, part_of, maps, joined_by_model(planes))
    gathered = Gathered(task, truth, part_of, {}, {})
    known = gathered.rows[gathered.key]
    tables = {
        model: table[table[gathered.key].isin(known)].reset_index(drop=True)
        for model, table in joined_by_model(predictions).items()
    }
    return Gathered(task, truth, part_of, tables, {})


def part_key(name: str) -> str:
    """The input that says which labelled images a file predicts.

    >>> part_key("colleague.csv")
    'part: colleague.csv'
    """
    return f"{PART}{name}"


def probabilities_key(name: str) -> str:
    """The input that holds a member's probabilities, beside its label maps.

    >>> probabilities_key("unet.fold0")
    'probabilities: unet.fold0'
    """
    return f"{PROBABILITIES}{name}"


def predictions_and_probabilities(
    inputs: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, ProbabilityMaps]]:
    """The predictions by member, and the probabilities by member where there are some.

    >>> predictions_and_probabilities({"unet": "maps", probabilities_key("unet"): "planes"})
    ({'unet': 'maps'}, {'unet': 'planes'})
    """
    predictions = {name: own for name, own in inputs.items() if not name.startswith(PROBABILITIES)}
    keys = {name: probabilities_key(name) for name in predictions}
    return predictions, {name: inputs[key] for name, key in keys.items() if key in inputs}


def by_model(members: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The out-of-fold predictions of each model, a fold after the other.

    >>> by_model({"yolox.fold0": 1, "yolox.fold1": 2, "colleague.csv": 3})
    {'yolox': [1, 2], 'colleague': [3]}
    """
    found: dict[str, list[Any]] = {}
    for name, predictions in members.items():
        found.setdefault(model_of(name), []).append(predictions)
    return found


def joined(parts: Sequence[Any]) -> Any:
    """The predictions of several folds as one; of masks each image is read when asked for.

    >>> folds = [LabelMaps([fold], lambda image_id: image_id) for fold in (0, 1)]
    >>> list(joined(folds))
    [0, 1]
    """
    if isinstance(parts[0], pd.DataFrame):
        return pd.concat(parts, ignore_index=True)
    source = {image_id: own for own in parts for image_id in own}
    kind: Any = LabelMaps if isinstance(parts[0], LabelMaps) else ProbabilityMaps
    return kind(list(source), lambda image_id: source[image_id][image_id])


def joined_by_model(members: Mapping[str, Any]) -> dict[str, Any]:
    """The out-of-fold predictions of each model as one.

    >>> folds = {f"yolox.fold{fold}": pd.DataFrame({"image_id": [fold]}) for fold in (0, 1)}
    >>> joined_by_model(folds)["yolox"]["image_id"].tolist()
    [0, 1]
    """
    return {model: joined(own) for model, own in by_model(members).items()}


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
            "of fold; train them on the same folds, have files predict these, or leave one out"
        )
    return train.images[train.images["image_id"].isin(common)]


def _wholly_in(part: Annotations, train: Annotations) -> set[int]:
    """The images of a part of the labelled images that have all their objects there."""
    objects = train.annotations[~train.annotations["iscrowd"]]
    lacking = objects[~objects["annotation_id"].isin(part.annotations["annotation_id"])]
    return set(part.images["image_id"]) - set(lacking["image_id"])


def parts(
    images: pd.DataFrame, folds: Folds, n_parts: int = 5, seed: int = 0, least: int = 2
) -> pd.DataFrame:
    """The folds of these images; where these are fewer than `least`, parts that are dealt."""
    own = folds[folds["image_id"].isin(images["image_id"])]
    if own["fold"].nunique() >= least:
        return own
    groups = images["group"].tolist()
    return parts_of(images["image_id"].to_numpy(), groups, n_parts=n_parts, seed=seed)
