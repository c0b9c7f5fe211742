"""Searching, on out-of-fold predictions, for who is in an ensemble and how it is fused."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import pandas as pd
from kedro.pipeline import Node, node
from numpy.typing import NDArray

from recycling.annotations import Annotations
from recycling.backends import RunFolder
from recycling.backends.shared.model import Task
from recycling.ensembling import (
    ALONE,
    Candidate,
    Choices,
    Found,
    History,
    Problem,
    Ranking,
    average_probabilities,
    class_problem,
    detection_problem,
    fuse_chosen_boxes,
    fuse_chosen_classes,
    fuse_label_maps,
    fuse_probability_maps,
    mask_problem,
    parts_of,
    search,
    stack_probabilities,
)
from recycling.evaluation import (
    classification_metrics,
    detection_metrics,
    segmentation_metrics,
)
from recycling.plan.core import SOFT_VOTE, Plan, PlanError
from recycling.plan.fusion import ClassFusion, Search, model_of
from recycling.predictions import ClassProbabilities, Detections, LabelMaps, ProbabilityMaps
from recycling.splitting import Folds

Choice: TypeAlias = dict[str, Any]
"""The chosen ensemble, its weights by model, and what it is worth beside simpler choices."""


def choosing_nodes(plan: Plan, task: Task, name: str) -> list[Node]:
    """The search for one ensemble, where `models.yml` asks for one."""
    if plan.ensembles[name].search is None:
        return []
    space = f"{task}.{name}"
    inputs = {
        "settings": f"params:ensembles.{name}.search",
        "train": "train.annotations",
        "folds": "folds",
        "runs": "runs",
    }
    predictions = {
        member.name: f"{member.namespace}.out_of_fold_predictions"
        for member in plan.ensemble(task, name)
    }
    if plan.may_vote_softly(task, name):
        predictions |= {planes_key(one): planes_of(own) for one, own in predictions.items()}
    outputs = [f"{space}.choice", f"{space}.choices", f"{space}.search_history"]
    return [
        node(chooser(task, name), {**inputs, **predictions}, outputs, name="search",
             namespace=space),
    ]  # fmt: skip


def chooser(task: Task, ensemble: str) -> Callable[..., tuple[Choice, Choices, History]]:
    """A node function that searches for an ensemble."""
    problem_of = PROBLEM[task]

    def choose(
        settings: Search, train: Annotations, folds: Folds, runs: RunFolder, **members: Any
    ) -> tuple[Choice, Choices, History]:
        """Search on out-of-fold predictions for the best ensemble."""
        journals = runs.path / "searches" / task / ensemble
        journals.mkdir(parents=True, exist_ok=True)
        found = search(
            problem_of(settings, train, folds, members),
            n_trials=settings.trials,
            timeout_s=settings.seconds,
            seed=settings.seed,
            storage=journals,
        )
        return _choice(found), found.table(), found.history

    return choose


def _choice(found: Found) -> Choice:
    return {**found.best.to_dict(), "searched": [choice.to_dict() for choice in found.choices]}


def box_problem(
    settings: Search, train: Annotations, folds: Folds, members: Mapping[str, Detections]
) -> Problem[Detections]:
    """Choose among detectors by mAP50."""
    images = common_images(train, folds, members)
    return detection_problem(
        {model: Detections(pd.concat(own, ignore_index=True)) for model, own in
         by_model(members).items()},
        lambda fused, ids: detection_metrics(train.of_images(ids.tolist()), fused).score,
        parts(images, folds, settings.parts, settings.seed),
        methods=settings.det,
    )  # fmt: skip


def pixel_problem(
    settings: Search,
    train: Annotations,
    folds: Folds,
    members: Mapping[str, LabelMaps | ProbabilityMaps],
) -> Problem[LabelMaps]:
    """Choose among segmentation models by mIoU, with soft votes where all have planes."""
    maps, planes = label_maps_and_planes(members)
    images = common_images(train, folds, maps)
    return mask_problem(
        {model: joined(own) for model, own in by_model(maps).items()},
        lambda fused, ids: segmentation_metrics(train.of_images(ids.tolist()), fused).score,
        parts(images, folds, settings.parts, settings.seed),
        probabilities={model: joined_planes(own) for model, own in by_model(planes).items()}
        or None,
        sizes=image_sizes(images),
        methods=settings.seg,
    )


def crop_problem(
    settings: Search, train: Annotations, folds: Folds, members: Mapping[str, ClassProbabilities]
) -> Problem[ClassProbabilities]:
    """Choose among classifiers by macro F1."""
    images = common_images(train, folds, members)
    crops = train.annotations.loc[~train.annotations["iscrowd"], ["annotation_id", "image_id"]]
    part_of = parts(images, folds, settings.parts, settings.seed).set_index("image_id")["fold"]
    crops = crops[crops["image_id"].isin(part_of.index)]
    image_of = crops.set_index("annotation_id")["image_id"]

    def score(fused: ClassProbabilities, ids: NDArray[Any]) -> float:
        return classification_metrics(train.of_images(image_of[ids].drop_duplicates()), fused).score

    return class_problem(
        {model: ClassProbabilities(pd.concat(own, ignore_index=True)) for model, own in
         by_model(members).items()},
        score,
        crops.assign(fold=crops["image_id"].map(part_of))[["annotation_id", "fold"]],
        methods=settings.cls,
    )  # fmt: skip


PROBLEM: dict[Task, Callable[..., Problem[Any]]] = {
    "cls": crop_problem,
    "det": box_problem,
    "seg": pixel_problem,
}


def stack_classes(
    settings: ClassFusion,
    ranking: Ranking,
    train: Annotations,
    folds: Folds,
    **predictions: ClassProbabilities,
) -> ClassProbabilities:
    """Learn on the members' out-of-fold probabilities whom to believe, and fuse accordingly.

    Args:
        settings: Not looked at; the method is stacking.
        ranking: The members.
        train: The labelled crops.
        folds: The fold of each image.
        predictions: By name, each member's probabilities of what is fused; by `out_of_fold_key`,
            those of the labelled crops that it has not seen.
    """
    names = ranking["member"].tolist()
    images = common_images(train, folds, names)
    crops = train.annotations[train.annotations["image_id"].isin(images["image_id"])]
    crops = crops[~crops["iscrowd"]].set_index("annotation_id")
    part_of = parts(images, folds).set_index("image_id")["fold"]
    categories = train.categories.set_index("category_id")["name"]
    learnt = by_model({name: predictions[out_of_fold_key(name)] for name in names})
    fused = by_model({name: predictions[name] for name in names})
    stacked = stack_probabilities(
        [_of_crops(own, crops.index) for own in learnt.values()],
        crops["category_id"].map(categories),
        [average_probabilities(own) for own in fused.values()],
        folds=crops["image_id"].map(part_of),
        names=list(learnt),
    )
    return stacked.test


def out_of_fold_key(name: str) -> str:
    """Under which name `stack_classes` is given a member's out-of-fold probabilities."""
    return f"out of fold: {name}"


def planes_key(name: str) -> str:
    """Under which name a node that also takes label maps is given a member's probabilities."""
    return f"{_PLANES}{name}"


_PLANES = "probabilities: "


def planes_of(dataset: str) -> str:
    """The dataset of the probabilities beside one of label maps."""
    return f"{dataset.removesuffix('_predictions')}_probabilities"


def label_maps_and_planes(
    inputs: Mapping[str, LabelMaps | ProbabilityMaps],
) -> tuple[dict[str, LabelMaps], dict[str, ProbabilityMaps]]:
    """The label maps by member, and the probabilities by member where there are some."""
    maps = {name: own for name, own in inputs.items() if not name.startswith(_PLANES)}
    planes = {name: inputs[planes_key(name)] for name in maps if planes_key(name) in inputs}
    return cast(dict[str, LabelMaps], maps), cast(dict[str, ProbabilityMaps], planes)


def _of_crops(folds: Sequence[ClassProbabilities], crops: pd.Index) -> ClassProbabilities:
    table = pd.concat(folds, ignore_index=True)
    return ClassProbabilities(table[table["annotation_id"].isin(crops)].reset_index(drop=True))


def by_model(members: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The out-of-fold predictions of each model, a fold after the other."""
    found: dict[str, list[Any]] = {}
    for name, predictions in members.items():
        found.setdefault(model_of(name), []).append(predictions)
    return found


def joined(maps: Sequence[LabelMaps]) -> LabelMaps:
    """The label maps of several folds as one; each is read when it is asked for."""
    source = {image_id: own for own in maps for image_id in own}
    return LabelMaps(list(source), lambda image_id: source[image_id][image_id])


def joined_planes(planes: Sequence[ProbabilityMaps]) -> ProbabilityMaps:
    """The probabilities of several folds as one; each is read when it is asked for."""
    source = {image_id: own for own in planes for image_id in own}
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


def image_sizes(images: pd.DataFrame) -> dict[int, tuple[int, int]]:
    """Height and width of each image, pixels, by its id."""
    sizes = zip(images["height"].tolist(), images["width"].tolist(), strict=True)
    return dict(zip(images["image_id"].tolist(), sizes, strict=True))


def fuse_boxes_as_chosen(choice: Choice, ranking: Ranking, **members: Detections) -> Detections:
    """Fuse the members' boxes as the search says."""
    chosen = _of_members(choice, members, "weighted_boxes_fusion")
    if chosen.method == ALONE:
        return members[chosen.members[0]]
    return fuse_chosen_boxes([members[name] for name in chosen.members], chosen)


def fuse_masks_as_chosen(
    choice: Choice,
    ranking: Ranking,
    images: Annotations,
    **members: LabelMaps | ProbabilityMaps,
) -> LabelMaps:
    """Let those members vote on every pixel that the search has chosen, hard or softly."""
    maps, planes = label_maps_and_planes(members)
    chosen = _of_members(choice, maps, "hard_vote")
    names = chosen.members
    if chosen.method == SOFT_VOTE:
        return fuse_probability_maps(
            [planes[name] for name in names],
            weights=[weight for _, weight in chosen.weights],
            sizes=image_sizes(images.images),
            names=names,
        )
    place = ranking.set_index("member")["rank"]
    return fuse_label_maps(
        [maps[name] for name in names],
        ranks=[int(place[name]) for name in names],
        sizes=image_sizes(images.images),
        names=names,
    )


def fuse_classes_as_chosen(
    choice: Choice, ranking: Ranking, **members: ClassProbabilities
) -> ClassProbabilities:
    """Fuse the members' class probabilities as the search says."""
    chosen = _of_members(choice, members, "mean")
    if chosen.method == ALONE:
        return members[chosen.members[0]]
    best_first = ranking.sort_values("rank")["member"].tolist()
    return fuse_chosen_classes([members[name] for name in chosen.members], chosen, best_first)


FUSE_AS_CHOSEN: dict[Task, Callable[..., object]] = {
    "cls": fuse_classes_as_chosen,
    "det": fuse_boxes_as_chosen,
    "seg": fuse_masks_as_chosen,
}


def _of_members(choice: Choice, names: Iterable[str], several: str) -> Candidate:
    """The chosen ensemble, its weights on members instead of models.

    Args:
        choice: What was chosen among models.
        names: The members: the folds of a model share its weight.
        several: How the folds of a model that is left alone are fused.
    """
    chosen = Candidate.from_dict({key: choice[key] for key in ("method", "weights", "settings")})
    weights = dict(chosen.weights)
    taking = [name for name in names if model_of(name) in weights]
    folds = Counter(model_of(name) for name in taking)
    common = math.lcm(*folds.values())
    shares = {name: weights[model_of(name)] * common // folds[model_of(name)] for name in taking}
    alone = chosen.method == ALONE and len(taking) > 1
    return Candidate(
        several if alone else chosen.method, tuple(sorted(shares.items())), chosen.settings
    )
