"""The problems of choosing an ensemble: for boxes, masks and classes.

What is tried are the methods of the registries, and of each the settings that it marks as searched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.ensembling.fusion import fuse
from recycling.ensembling.masks.image_members import ImageSizes
from recycling.ensembling.members import EnsemblingError
from recycling.ensembling.methods import (
    BOX_METHODS,
    CLASS_METHODS,
    MASK_METHODS,
    KnownLabels,
    LearntFusion,
    Method,
)
from recycling.ensembling.search.candidates import (
    ALONE,
    Candidate,
    Problem,
    Space,
    settings_of,
    space_of,
)
from recycling.predictions import (
    CLASS_PROBABILITIES,
    DETECTIONS,
    ClassProbabilities,
    Detections,
    LabelMaps,
)
from recycling.predictions.probability_maps import ProbabilityMaps
from recycling.registry import Registry
from recycling.tables import TableError

Ids: TypeAlias = NDArray[np.int64]
Table = TypeVar("Table", bound=pd.DataFrame)


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
        methods: The names of those to try, the first for greedy selection; None
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

    return Problem(
        names=tuple(tables),
        methods=_spaces(BOX_METHODS, methods),
        folds=tuple(parts),
        parts=tuple(parts.values()),
        fuse=lambda chosen, _, ranked: cast(
            Detections, fuse_candidate(chosen, BOX_METHODS, tables, ranks=_ranks(ranked))
        ),
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
        probabilities: Each member's out-of-fold probability planes, without which only label
            maps are fused.
        sizes: Height and width by image, as for `fuse_label_maps`.
        methods: The names of those to try, the first for greedy selection; None
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

    def fuse_chosen(chosen: Candidate, _: int | None, ranked: tuple[str, ...]) -> LabelMaps:
        fused = fuse_candidate(
            chosen, MASK_METHODS, maps, probabilities=planes, ranks=_ranks(ranked), sizes=sizes
        )
        return cast(LabelMaps, fused)

    soft = [name for name, entry in MASK_METHODS.items() if entry.thing.takes == "probabilities"]
    missing = () if planes else soft
    return Problem(
        names=names,
        methods=_spaces(MASK_METHODS, methods, missing, "probability maps"),
        folds=tuple(parts),
        parts=tuple(parts.values()),
        fuse=fuse_chosen,
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
        truth: The name of each crop's category, by annotation id, without which no method
            learns from labels. That takes four folds, and far longer than the rest.
        seed: Of what a method draws.
        methods: The names of those to try, the first for greedy selection; None
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
    learning = [name for name, entry in CLASS_METHODS.items() if entry.thing.learns == "labels"]
    missing = learning if truth is None else ()
    spaces = _spaces(CLASS_METHODS, methods, missing, "labels (`truth`)")
    for space in spaces:
        if space.learns == "labels" and len(parts) < 4:
            raise EnsemblingError(
                f"{len(parts)} folds; {space.name} is chosen and scored on 4 or more: give more "
                "parts, or leave it out of the methods"
            )
    part_of = folds.set_index("annotation_id")["fold"].rank(method="dense").astype("int64") - 1

    def fuse_chosen(
        chosen: Candidate, held_out: int | None, ranked: tuple[str, ...]
    ) -> ClassProbabilities:
        if chosen.method in learning:
            labels = cast("pd.Series", truth)
            return _fuse_learning(chosen, tables, labels, part_of, held_out, seed)
        fused = fuse_candidate(chosen, CLASS_METHODS, tables, ranks=_ranks(ranked))
        return cast(ClassProbabilities, fused)

    return Problem(
        names=tuple(tables),
        methods=spaces,
        folds=tuple(parts),
        parts=tuple(parts.values()),
        fuse=fuse_chosen,
        score=lambda fused, ids: score(_rows(fused, "annotation_id", ids), ids),
    )


def fuse_candidate(
    chosen: Candidate,
    registry: Registry[Method],
    members: Mapping[str, object],
    *,
    probabilities: Mapping[str, object] | None = None,
    ranks: Mapping[str, int] | None = None,
    sizes: ImageSizes | None = None,
) -> object:
    """Fuse members as a candidate says; one that is alone is left as it is.

    Args:
        chosen: The ensemble.
        registry: Where its method is.
        members: The predictions of its members by name, and perhaps of others.
        probabilities: The same for methods that fuse the probabilities beside label maps.
        ranks: The rank of each member, the smallest for the best.
        sizes: Height and width of each image, for label maps.
    """
    if chosen.method == ALONE:
        return members[chosen.members[0]]
    if probabilities and registry[chosen.method].thing.takes == "probabilities":
        members = probabilities
    own = {name: members[name] for name in chosen.members}
    return fuse(settings_of(chosen, registry), own, ranks=ranks, sizes=sizes)


def _fuse_learning(
    chosen: Candidate,
    members: Mapping[str, ClassProbabilities],
    truth: pd.Series,
    part_of: pd.Series,
    held_out: int | None,
    seed: int,
) -> ClassProbabilities:
    """The probabilities of all crops, none from a fusion that has seen its label.

    The part that is held out is to the others what a test set is.
    """
    folds = part_of[part_of != held_out]
    unseen = part_of.index.difference(folds.index)
    own = {name: members[name] for name in chosen.members}
    learning = [_rows(member, "annotation_id", folds.index) for member in own.values()]
    known = KnownLabels(learning, truth, folds, seed)
    other = {name: _rows(member, "annotation_id", unseen) for name, member in own.items()}
    fused: LearntFusion = fuse(settings_of(chosen, CLASS_METHODS), other, known=known)
    return ClassProbabilities(pd.concat([fused.out_of_fold, fused.test], ignore_index=True))


def _ranks(best_first: Sequence[str]) -> dict[str, int]:
    return {name: rank for rank, name in enumerate(best_first)}


def _spaces(
    registry: Registry[Method],
    names: Sequence[str] | None,
    missing: Collection[str] = (),
    lacks: str = "",
) -> tuple[Space, ...]:
    """What to try: the methods that are named, or all that do not lack what they need."""
    if names is None:
        return tuple(space_of(entry) for name, entry in registry.items() if name not in missing)
    for name in names:
        if name not in registry:
            raise EnsemblingError(str(registry.unknown(name)))
        if name in missing:
            raise EnsemblingError(f"method {name!r} needs {lacks}; give them or leave it out")
    return tuple(space_of(registry[name]) for name in dict.fromkeys(names))


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
