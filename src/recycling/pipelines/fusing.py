"""The node functions that fuse members: by settings, or as a search says."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import pandas as pd

from recycling.annotations import Annotations
from recycling.backends.shared.model import Task
from recycling.ensembling import (
    ALONE,
    Candidate,
    KnownLabels,
    LearntFusion,
    Ranking,
    average_probabilities,
    fuse,
    fuse_candidate,
    model_of,
)
from recycling.pipelines.out_of_fold import by_model, common_images, parts
from recycling.pipelines.tasks import PREDICTIONS, with_types
from recycling.plan import FUSION, EnsemblePlan, ExternalMember
from recycling.predictions import ClassProbabilities, Predictions, ProbabilityMaps
from recycling.registry import PickedSettings
from recycling.splitting import Folds

Choice: TypeAlias = dict[str, Any]
"""The chosen ensemble, its weights by model, and what it is worth beside simpler choices."""

_OUT_OF_FOLD = "out of fold: "
_PROBABILITIES = "probabilities: "
_PART = "part: "


def fuser(ensemble: EnsemblePlan) -> Callable[..., Predictions]:
    """The node function that fuses an ensemble."""
    predictions = PREDICTIONS[ensemble.task]
    if ensemble.search is not None:
        members = predictions | ProbabilityMaps if ensemble.task == "seg" else predictions
        return with_types(fuse_as_chosen(ensemble.task), members=members, returns=predictions)
    settings = FUSION[ensemble.task]
    if ensemble.learns == "labels":
        return with_types(fuse_by_labels, settings=settings)
    members = ProbabilityMaps if ensemble.takes == "probabilities" else predictions
    return with_types(fuse_members, settings=settings, members=members, returns=predictions)


def fusion_inputs(
    ensemble: EnsemblePlan,
    predictions: Mapping[str, str],
    probabilities: Mapping[str, str],
    images: str,
) -> dict[str, str]:
    """The inputs of `fuser(ensemble)`.

    Args:
        ensemble: The ensemble.
        predictions: The dataset of each member's predictions, by name.
        probabilities: The datasets of the probabilities beside label maps, by name; looked at only
            where they are fused.
        images: The annotations of the images that they are of; their sizes are looked at.
    """
    inputs = {"ranking": f"{ensemble.namespace}.ranking"}
    inputs |= probabilities if ensemble.takes == "probabilities" else predictions
    if ensemble.search is None:
        assert ensemble.settings is not None
        inputs["settings"] = ensemble.settings
    else:
        inputs["choice"] = f"{ensemble.namespace}.choice"
        if ensemble.search.probabilities:
            inputs |= {probabilities_key(name): key for name, key in probabilities.items()}
    if ensemble.task == "seg":
        inputs["images"] = images
    if ensemble.learns == "labels":
        inputs |= {"train": "train.annotations", "folds": "folds"}
        inputs |= {out_of_fold_key(m.name): m.out_of_fold_predictions for m in ensemble.judges}
        inputs |= parts_of_files(ensemble)
    return inputs


def parts_of_files(ensemble: EnsemblePlan) -> dict[str, str]:
    """The inputs that say which labelled images the files among the members predict."""
    files = [member for member in ensemble.members if isinstance(member, ExternalMember)]
    return {part_key(file.name): file.held_out_part for file in files}


def fuse_members(
    settings: PickedSettings,
    ranking: Ranking,
    images: Annotations | None = None,
    **members: Any,
) -> Predictions:
    """Fuse the members as the settings say.

    Args:
        settings: The method.
        ranking: The members.
        images: The images that they predicted, for label maps.
        members: The predictions of each, or the probabilities of each pixel.
    """
    names = ranking["member"].tolist()
    known = ranking["score"].astype(object).where(ranking["score"].notna(), None)
    fused: Predictions = fuse(
        settings,
        {name: members[name] for name in names},
        ranks=_ranks(ranking),
        scores=dict(zip(names, known, strict=True)),
        sizes=None if images is None else image_sizes(images.images),
    )
    return fused


def fuse_by_labels(
    settings: PickedSettings,
    ranking: Ranking,
    train: Annotations,
    folds: Folds,
    **predictions: ClassProbabilities | Annotations,
) -> ClassProbabilities:
    """Learn on the members' out-of-fold probabilities whom to believe, and fuse accordingly.

    Args:
        settings: The method.
        ranking: The members.
        train: The labelled crops.
        folds: The fold of each image.
        predictions: By name, each member's probabilities of what is fused; by `out_of_fold_key`,
            those of the labelled crops that it has not seen; by `part_key`, which labelled crops
            a file predicts.
    """
    names = ranking["member"].tolist()
    tables: dict[str, Any] = predictions
    judges = _judges(names, tables)
    files = {name: tables[key] for name in names if (key := part_key(name)) in tables}
    images = common_images(train, folds, judges, files)
    crops = train.annotations[train.annotations["image_id"].isin(images["image_id"])]
    crops = crops[~crops["iscrowd"]].set_index("annotation_id")
    part_of = parts(images, folds).set_index("image_id")["fold"]
    category_names = train.categories.set_index("category_id")["name"]
    learning = by_model({name: tables[out_of_fold_key(name)] for name in judges})
    fused = by_model({name: tables[name] for name in names})
    known = KnownLabels(
        out_of_fold=[_of_crops(own, crops.index) for own in learning.values()],
        labels=crops["category_id"].map(category_names),
        folds=crops["image_id"].map(part_of),
    )
    members = {model: average_probabilities(own) for model, own in fused.items()}
    learnt: LearntFusion = fuse(settings, members, known=known)
    return learnt.test


def fuse_as_chosen(task: Task) -> Callable[..., Predictions]:
    """A node function that fuses members as a search says."""

    def fuse_chosen(
        choice: Choice, ranking: Ranking, images: Annotations | None = None, **members: Any
    ) -> Predictions:
        """Fuse the members, or the probabilities of each pixel, as the search says."""
        predictions, probabilities = predictions_and_probabilities(members)
        chosen = _of_members(choice, predictions, FUSION[task])
        fused = fuse_candidate(
            chosen,
            FUSION[task].registry,
            predictions,
            probabilities=probabilities,
            ranks=_ranks(ranking),
            sizes=None if images is None else image_sizes(images.images),
        )
        return cast(Predictions, fused)

    return fuse_chosen


def out_of_fold_key(name: str) -> str:
    """The input that holds a member's out-of-fold probabilities, beside those that are fused.

    >>> out_of_fold_key("resnet.fold0")
    'out of fold: resnet.fold0'
    """
    return f"{_OUT_OF_FOLD}{name}"


def part_key(name: str) -> str:
    """The input that says which labelled images a file predicts.

    >>> part_key("colleague.csv")
    'part: colleague.csv'
    """
    return f"{_PART}{name}"


def probabilities_key(name: str) -> str:
    """The input that holds a member's probabilities, beside its label maps.

    >>> probabilities_key("unet.fold0")
    'probabilities: unet.fold0'
    """
    return f"{_PROBABILITIES}{name}"


def predictions_and_probabilities(
    inputs: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, ProbabilityMaps]]:
    """The predictions by member, and the probabilities by member where there are some.

    >>> predictions_and_probabilities({"unet": "maps", probabilities_key("unet"): "planes"})
    ({'unet': 'maps'}, {'unet': 'planes'})
    """
    predictions = {name: own for name, own in inputs.items() if not name.startswith(_PROBABILITIES)}
    keys = {name: probabilities_key(name) for name in predictions}
    return predictions, {name: inputs[key] for name, key in keys.items() if key in inputs}


def image_sizes(images: pd.DataFrame) -> dict[int, tuple[int, int]]:
    """Height and width of each image, pixels, by its id.

    >>> image_sizes(pd.DataFrame({"image_id": [7], "height": [480], "width": [640]}))
    {7: (480, 640)}
    """
    sizes = zip(images["height"].tolist(), images["width"].tolist(), strict=True)
    return dict(zip(images["image_id"].tolist(), sizes, strict=True))


def _ranks(ranking: Ranking) -> dict[str, int]:
    return dict(zip(ranking["member"].tolist(), ranking["rank"].tolist(), strict=True))


def _of_members(choice: Choice, names: Iterable[str], fusion: type[PickedSettings]) -> Candidate:
    """The chosen ensemble, its weights on members instead of models.

    Args:
        choice: What was chosen among models.
        names: The members: the folds of a model share its weight.
        fusion: Its default method fuses the folds of a model that is left alone.
    """
    chosen = Candidate.from_dict({key: choice[key] for key in ("method", "weights", "settings")})
    weights = dict(chosen.weights)
    taking = [name for name in names if model_of(name) in weights]
    folds = Counter(model_of(name) for name in taking)
    common = math.lcm(*folds.values())
    shares = {name: weights[model_of(name)] * common // folds[model_of(name)] for name in taking}
    alone = chosen.method == ALONE and len(taking) > 1
    method = str(fusion.default) if alone else chosen.method
    return Candidate(method, tuple(sorted(shares.items())), chosen.settings)


def _judges(names: Sequence[str], inputs: Iterable[str]) -> list[str]:
    """Those with out-of-fold predictions: the members, or the folds of one that has seen all.

    >>> _judges(["yolox.fold_all"], [out_of_fold_key("yolox.fold0"), "yolox.fold_all"])
    ['yolox.fold0']
    """
    known = [name.removeprefix(_OUT_OF_FOLD) for name in inputs if name.startswith(_OUT_OF_FOLD)]
    judges = [
        judge
        for name in names
        for judge in ([name] if name in known else known)
        if model_of(judge) == model_of(name)
    ]
    return list(dict.fromkeys(judges))


def _of_crops(folds: Sequence[ClassProbabilities], crops: pd.Index) -> ClassProbabilities:
    table = pd.concat(folds, ignore_index=True)
    return ClassProbabilities(table[table["annotation_id"].isin(crops)].reset_index(drop=True))
