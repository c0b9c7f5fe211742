"""The problems of choosing an ensemble: for boxes, masks and classes.

The methods, their settings and what of them is tried stand here and nowhere else; names are those
of the parameters of the ensembling pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.ensembling.boxes.nms import nms
from recycling.ensembling.boxes.non_maximum_weighted import non_maximum_weighted
from recycling.ensembling.boxes.soft_nms import soft_nms
from recycling.ensembling.boxes.weighted_boxes_fusion import weighted_boxes_fusion
from recycling.ensembling.classes import averages as class_fusion
from recycling.ensembling.classes.stacking import stack_probabilities
from recycling.ensembling.masks.hard_vote import fuse_label_maps
from recycling.ensembling.masks.image_members import ImageSizes
from recycling.ensembling.masks.soft_vote import fuse_probability_maps
from recycling.ensembling.members import EnsemblingError
from recycling.ensembling.search.candidates import (
    ALONE,
    Candidate,
    Knowledge,
    Method,
    Options,
    Problem,
    Range,
)
from recycling.predictions import (
    CLASS_PROBABILITIES,
    DETECTIONS,
    ClassProbabilities,
    Detections,
    LabelMaps,
)
from recycling.predictions.probability_maps import ProbabilityMaps
from recycling.tables import TableError

Ids: TypeAlias = NDArray[np.int64]
Table = TypeVar("Table", bound=pd.DataFrame)

_OVERLAP = Range("iou_threshold", 0.4, 0.8, 0.05, default=0.55)
# Boxes of low scores rarely cost mAP anything, so little above 0 is tried.
_LEAST_SCORE = Range("score_threshold", 0.0, 0.1, 0.01, default=0.0)

BOX_METHODS = (
    Method(
        "weighted_boxes_fusion",
        (
            _OVERLAP,
            _LEAST_SCORE,
            Options("confidence", ("avg", "max", "box_and_model_avg", "absent_model_aware_avg")),
        ),
    ),
    Method("nms", (_OVERLAP,)),
    Method(
        "soft_nms",
        (
            Options("decay", ("gaussian", "linear")),
            Range("iou_threshold", 0.3, 0.7, 0.05, default=0.5),
            Range("sigma", 0.1, 1.0, 0.1, default=0.5),
            Range("score_threshold", 0.0, 0.01, 0.001, default=0.001),
        ),
    ),
    Method("non_maximum_weighted", (_OVERLAP, _LEAST_SCORE)),
)

HARD_VOTE = Method("hard_vote", weighted=False, learns="ranks")
MASK_METHODS = (HARD_VOTE, Method("soft_vote"))

STACKING = Method("stacking", weighted=False, learns="labels")
CLASS_METHODS = (
    Method("mean"),
    Method("geometric"),
    Method("rank"),
    HARD_VOTE,
    STACKING,
)


def detection_problem(
    members: Mapping[str, Detections],
    score: Callable[[Detections, Ids], float],
    folds: pd.DataFrame,
    *,
    methods: Sequence[str] | None = None,
) -> Problem[Detections]:
    """Choose among detectors.

    Args:
        members: Each member's out-of-fold detections, by name. Boxes on images that `folds` does
            not name take no part.
        score: How good detections are, given those on some images and the ids of these images.
        folds: `image_id` and `fold`: the images that every member has predicted out of fold. Where
            that is one fold only, the parts that `parts_of` makes of it.
        methods: The names of those to try, of `BOX_METHODS`, the first for greedy selection; None
            for all.

    Raises:
        EnsemblingError: No member, a method that does not exist, or fewer than two folds.
        TableError: A member is not a table of detections.
    """
    parts, known = _parts(folds, "image_id")
    tables = {
        name: Detections(_rows(DETECTIONS.conform(members[name], where=name), "image_id", known))
        for name in sorted(members)
    }

    def fuse(chosen: Candidate, knowledge: Knowledge) -> Detections:
        if chosen.method == ALONE:
            return tables[chosen.members[0]]
        return fuse_boxes([tables[name] for name in chosen.members], chosen)

    return Problem(
        names=tuple(tables),
        methods=_methods(BOX_METHODS, methods),
        folds=tuple(parts),
        parts=tuple(parts.values()),
        fuse=fuse,
        score=lambda fused, ids: score(_rows(fused, "image_id", ids), ids),
    )


def mask_problem(
    members: Mapping[str, LabelMaps],
    score: Callable[[LabelMaps, Ids], float],
    folds: pd.DataFrame,
    *,
    probabilities: Mapping[str, ProbabilityMaps] | None = None,
    sizes: ImageSizes | None = None,
    methods: Sequence[str] | None = None,
) -> Problem[LabelMaps]:
    """Choose among segmentation models. One image's maps are in memory at a time.

    Args:
        members: Each member's out-of-fold label maps, by name.
        score: How good label maps are, given those of some images and the ids of these images.
        folds: As for `detection_problem`.
        probabilities: Each member's out-of-fold probability planes, without which there is no
            ``soft_vote``.
        sizes: Height and width by image, as for `fuse_label_maps`.
        methods: The names of those to try, of `MASK_METHODS`, the first for greedy selection; None
            for all that the arguments allow.

    Raises:
        EnsemblingError: No member, a method that does not exist or lacks its probabilities, a
            member without a map of an image of `folds`, or fewer than two folds.
    """
    parts, known = _parts(folds, "image_id")
    names = tuple(sorted(members))
    for name in names:
        _check_all_there(members[name], known, name, "label map of image")
    ids = known.tolist()
    maps = {name: LabelMaps(ids, members[name].__getitem__) for name in names}
    planes: dict[str, ProbabilityMaps] = {}
    if probabilities is not None:
        if set(probabilities) != set(names):
            odd = sorted(set(probabilities) ^ set(names))[0]
            raise EnsemblingError(
                f"{odd}: has only one of label maps and probability maps; give both or leave it out"
            )
        for name in names:
            _check_all_there(probabilities[name], known, name, "probability map of image")
        planes = {name: ProbabilityMaps(ids, probabilities[name].__getitem__) for name in names}

    def fuse(chosen: Candidate, knowledge: Knowledge) -> LabelMaps:
        if chosen.method == ALONE:
            return maps[chosen.members[0]]
        if chosen.method == "soft_vote":
            return fuse_probability_maps(
                [planes[name] for name in chosen.members],
                weights=[weight for _, weight in chosen.weights],
                sizes=sizes,
                names=chosen.members,
            )
        return fuse_label_maps(
            [maps[name] for name in chosen.members],
            _ranks(chosen, knowledge.best_first),
            sizes=sizes,
            names=chosen.members,
        )

    missing = () if planes else ("soft_vote",)
    return Problem(
        names=names,
        methods=_methods(MASK_METHODS, methods, missing, "probability maps"),
        folds=tuple(parts),
        parts=tuple(parts.values()),
        fuse=fuse,
        score=lambda fused, ids: score(LabelMaps(ids.tolist(), fused.__getitem__), ids),
    )


def class_problem(
    members: Mapping[str, ClassProbabilities],
    score: Callable[[ClassProbabilities, Ids], float],
    folds: pd.DataFrame,
    *,
    truth: pd.Series | None = None,
    seed: int = 0,
    methods: Sequence[str] | None = None,
) -> Problem[ClassProbabilities]:
    """Choose among classifiers.

    Args:
        members: Each member's out-of-fold probabilities, by name. Rows of crops that `folds` does
            not name take no part.
        score: How good probabilities are, given those of some crops and the ids of these crops.
        folds: `annotation_id` and `fold`: the crops that every member has predicted out of fold.
        truth: The name of each crop's category, by annotation id, without which there is no
            ``stacking``. That takes four folds, and far longer than the rest.
        seed: Of what a method draws.
        methods: The names of those to try, of `CLASS_METHODS`, the first for greedy selection; None
            for all that the arguments allow.

    Raises:
        EnsemblingError: No member, a method that does not exist or lacks its labels, a member
            without a row for a crop of `folds`, or fewer than two folds.
        TableError: A member is not a table of class probabilities.
    """
    parts, known = _parts(folds, "annotation_id")
    tables: dict[str, ClassProbabilities] = {}
    for name in sorted(members):
        table = CLASS_PROBABILITIES.conform(members[name], where=name)
        _check_all_there(table["annotation_id"], known, name, "row for crop")
        tables[name] = ClassProbabilities(_rows(table, "annotation_id", known))
    missing = ("stacking",) if truth is None else ()
    chosen_methods = _methods(CLASS_METHODS, methods, missing, "labels (`truth`)")
    if STACKING in chosen_methods and len(parts) < 4:
        raise EnsemblingError(
            f"{len(parts)} folds; stacking is chosen and scored on 4 or more: give more parts, or "
            "leave it out of the methods"
        )
    part_of = folds.set_index("annotation_id")["fold"].rank(method="dense").astype("int64") - 1

    def fuse(chosen: Candidate, knowledge: Knowledge) -> ClassProbabilities:
        if chosen.method == ALONE:
            return tables[chosen.members[0]]
        own = [tables[name] for name in chosen.members]
        if chosen.method == STACKING.name:
            return _stacked(own, cast("pd.Series", truth), part_of, knowledge.held_out, seed)
        return fuse_classes(own, chosen, knowledge.best_first)

    return Problem(
        names=tuple(tables),
        methods=chosen_methods,
        folds=tuple(parts),
        parts=tuple(parts.values()),
        fuse=fuse,
        score=lambda fused, ids: score(_rows(fused, "annotation_id", ids), ids),
    )


def fuse_boxes(members: Sequence[Detections], chosen: Candidate) -> Detections:
    """Fuse detections as an ensemble says.

    Args:
        members: The detections of `chosen.members`, in that order.
        chosen: An ensemble by one of `BOX_METHODS`.
    """
    by_name: dict[str, Callable[..., Detections]] = {
        "weighted_boxes_fusion": weighted_boxes_fusion,
        "nms": nms,
        "soft_nms": soft_nms,
        "non_maximum_weighted": non_maximum_weighted,
    }
    settings: dict[str, Any] = dict(chosen.settings)
    weights = [float(weight) for _, weight in chosen.weights]
    return by_name[chosen.method](members, weights=weights, names=chosen.members, **settings)


def fuse_classes(
    members: Sequence[ClassProbabilities], chosen: Candidate, best_first: Sequence[str]
) -> ClassProbabilities:
    """Fuse class probabilities as an ensemble says; all but stacking, which has more to be told.

    Args:
        members: The probabilities of `chosen.members`, in that order.
        chosen: An ensemble by one of `CLASS_METHODS`.
        best_first: The members, and perhaps others, the better first: who decides a tie.
    """
    if chosen.method == HARD_VOTE.name:
        ranks = _ranks(chosen, best_first)
        return class_fusion.hard_vote_probabilities(members, ranks=ranks, names=chosen.members)
    fuse = {
        "mean": class_fusion.average_probabilities,
        "geometric": class_fusion.geometric_mean_probabilities,
        "rank": class_fusion.rank_average_probabilities,
    }[chosen.method]
    weights = [float(weight) for _, weight in chosen.weights]
    return fuse(members, weights=weights, names=chosen.members)


def _stacked(
    members: Sequence[ClassProbabilities],
    truth: pd.Series,
    part_of: pd.Series,
    held_out: int | None,
    seed: int,
) -> ClassProbabilities:
    """Stacked probabilities of all crops, none from a stack that has seen its label.

    The part that is held out is to the others what a test set is.
    """
    folds = part_of[part_of != held_out]
    learning = [_rows(member, "annotation_id", folds.index) for member in members]
    other = [_rows(member, "annotation_id", part_of.index.difference(folds.index))
             for member in members]  # fmt: skip
    stack = stack_probabilities(learning, truth, other, folds=folds, seed=seed)
    return ClassProbabilities(pd.concat([stack.out_of_fold, stack.test], ignore_index=True))


def _ranks(chosen: Candidate, best_first: Sequence[str]) -> list[int]:
    return [best_first.index(name) for name in chosen.members]


def _methods(
    known: Sequence[Method],
    names: Sequence[str] | None,
    missing: Collection[str] = (),
    lacks: str = "",
) -> tuple[Method, ...]:
    by_name = {method.name: method for method in known}
    if names is None:
        return tuple(method for method in known if method.name not in missing)
    for name in names:
        if name not in by_name:
            raise EnsemblingError(f"method {name!r}; it is one of {', '.join(by_name)}")
        if name in missing:
            raise EnsemblingError(f"method {name!r} needs {lacks}; give them or leave it out")
    return tuple(by_name[name] for name in dict.fromkeys(names))


def _parts(folds: pd.DataFrame, key: str) -> tuple[dict[int, Ids], Ids]:
    """The ids in each fold, in order, by fold; and all ids."""
    for column in (key, "fold"):
        if column not in folds.columns:
            raise TableError(f"folds: no column {column!r}; there should be {key} and fold")
    twice = folds[key].duplicated()
    if twice.any():
        raise EnsemblingError(f"folds: {key} {folds[key][twice].iloc[0]} is there twice")
    ids, fold = (folds[column].to_numpy(dtype=np.int64) for column in (key, "fold"))
    return {int(number): np.sort(ids[fold == number]) for number in np.unique(fold)}, np.sort(ids)


def _rows(table: Table, key: str, ids: pd.Index | Ids) -> Table:
    return table[table[key].isin(ids)].reset_index(drop=True)


def _check_all_there(ids: Collection[int], known: Ids, name: str, what: str) -> None:
    missing = known[~np.isin(known, np.fromiter(ids, dtype=np.int64))]
    if len(missing):
        raise EnsemblingError(
            f"{name}: no {what} {missing[0]} ({len(missing)} of {len(known)} are missing); choose "
            f"on images that every member has predicted out of fold, or leave {name} out"
        )
