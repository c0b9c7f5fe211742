"""The problems of choosing an ensemble: for boxes, masks and classes.

What is tried are the methods of the registries, and of each the settings that it marks as searched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.ensembling.calibration import (
    NONE,
    Calibrator,
    calibrate_boxes,
    calibrate_classes,
    calibrate_masks,
    count_planes,
)
from recycling.ensembling.fusion import fuse, method_of
from recycling.ensembling.masks.image_members import ImageSizes
from recycling.ensembling.members import EnsemblingError
from recycling.ensembling.methods import (
    BOX_METHODS,
    CLASS_METHODS,
    MASK_METHODS,
    KnownLabels,
    LearntFusion,
    Method,
    calibration_of,
)
from recycling.ensembling.search.candidates import (
    ALONE,
    CALIBRATE,
    DEFAULT,
    Candidate,
    Judge,
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
    LabelMap,
    LabelMaps,
)
from recycling.predictions.probability_maps import ProbabilityMaps
from recycling.registry import PickedSettings, Registry
from recycling.tables import TableError

Ids: TypeAlias = NDArray[np.int64]
Table = TypeVar("Table", bound=pd.DataFrame)


Calibrated: TypeAlias = Callable[[str, str, int | None], Any]
"""A member's predictions for all parts with calibrated scores, given its name, the calibration and
the part that is held out: those of a part are calibrated without its truth."""


def detection_problem(
    members: Mapping[str, Detections],
    score: Callable[[Detections, Ids], float] | None,
    folds: pd.DataFrame,
    *,
    methods: Sequence[str] | None = None,
    default: PickedSettings | None = None,
    judge: Judge[Detections] | None = None,
    right: Callable[[Detections], NDArray[np.float64]] | None = None,
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
        default: How members are fused where nothing is searched for; None for the first method.
        judge: Gives scores image by image, instead of `score`.
        right: Gives, for a member's boxes, 1 for each that found an object, 0 for one that did not
            and NaN for one of no account. Without it no scores are calibrated.

    Raises:
        EnsemblingError: No member, a method that does not exist, or fewer than two folds.
        TableError: A member is not a table of detections.
    """
    parts, known = _parts(folds, "image_id")
    tables = {
        name: Detections(_rows(DETECTIONS.conform(members[name], where=name), "image_id", known))
        for name in sorted(members)
    }
    part_of = _part_by_id(folds, "image_id")
    outcome = cache(lambda name: cast(Any, right)(tables[name]))

    def learn(name: str, method: str, parts: frozenset[int]) -> Calibrator:
        own = part_of.loc[tables[name]["image_id"]].isin(parts).to_numpy()
        return calibrate_boxes(method, Detections(tables[name][own]), outcome(name)[own])

    calibrated = _cross_fitted(tables, "image_id", part_of, learn)
    return Problem(
        names=tuple(tables),
        methods=_spaces(BOX_METHODS, methods, calibrates=right is not None),
        folds=tuple(parts),
        parts=tuple(parts.values()),
        fuse=_fuser(BOX_METHODS, tables, default, calibrated),
        score=score and (lambda fused, ids: score(_rows(fused, "image_id", ids), ids)),
        default=_default_space(default),
        judge=judge,
    )


def mask_problem(
    members: Mapping[str, LabelMaps],
    score: Callable[[LabelMaps, Ids], float] | None,
    folds: pd.DataFrame,
    *,
    probabilities: Mapping[str, ProbabilityMaps] | None = None,
    sizes: ImageSizes | None = None,
    methods: Sequence[str] | None = None,
    default: PickedSettings | None = None,
    judge: Judge[LabelMaps] | None = None,
    truth: Mapping[int, LabelMap] | None = None,
) -> Problem[LabelMaps]:
    """Choose among segmentation models.

    Beside those that `ImageMaps` keeps, one image's maps are in memory at a time.

    Args:
        members: Each member's out-of-fold label maps, by name.
        score: How good label maps are, given those of some images and the ids of these images.
        folds: As for `detection_problem`.
        probabilities: Each member's out-of-fold probability planes, without which only label
            maps are fused.
        sizes: Height and width by image, as for `fuse_label_maps`.
        methods: The names of those to try, the first for greedy selection; None
            for all that the arguments allow.
        default: As for `detection_problem`.
        judge: As for `detection_problem`.
        truth: The true label maps, without which no probabilities are calibrated.

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

    soft = [name for name, entry in MASK_METHODS.items() if entry.thing.takes == "probabilities"]
    missing = () if planes else soft
    part_of = _part_by_id(folds, "image_id")
    counts = cache(
        lambda name, part: count_planes(
            planes[name],
            cast("Mapping[int, LabelMap]", truth),
            part_of.index[part_of == part].tolist(),
        )
    )

    @cache
    def learn(name: str, method: str, parts: frozenset[int]) -> Calibrator:
        known = [counts(name, part) for part in parts]
        return calibrate_masks(method, np.sum(known, axis=0)) if known else lambda planes: planes

    @cache
    def calibrated(name: str, method: str, held_out: int | None) -> ProbabilityMaps:
        by_part = {
            part: learn(name, method, others)(planes[name])
            for part, others in _learning_parts(len(parts), held_out).items()
        }
        return ProbabilityMaps(ids, lambda image_id: by_part[part_of[image_id]][image_id])

    return Problem(
        names=names,
        methods=_spaces(
            MASK_METHODS, methods, missing, "probability maps", calibrates=truth is not None
        ),
        folds=tuple(parts),
        parts=tuple(parts.values()),
        fuse=_fuser(MASK_METHODS, maps, default, calibrated, probabilities=planes, sizes=sizes),
        score=score and (lambda fused, ids: score(LabelMaps(ids.tolist(), fused.__getitem__), ids)),
        default=_default_space(default),
        judge=judge,
    )


def class_problem(
    members: Mapping[str, ClassProbabilities],
    score: Callable[[ClassProbabilities, Ids], float] | None,
    folds: pd.DataFrame,
    *,
    truth: pd.Series | None = None,
    methods: Sequence[str] | None = None,
    default: PickedSettings | None = None,
    judge: Judge[ClassProbabilities] | None = None,
) -> Problem[ClassProbabilities]:
    """Choose among classifiers.

    Args:
        members: Each member's out-of-fold probabilities, by name. Rows of crops that `folds` does
            not name take no part.
        score: How good probabilities are, given those of some crops and the ids of these crops.
        folds: `annotation_id` and `fold`: the crops that every member has predicted out of fold.
        truth: The name of each crop's category, by annotation id, without which no method
            learns from labels, which takes four folds and far longer than the rest, and no
            probabilities are calibrated.
        methods: The names of those to try, the first for greedy selection; None
            for all that the arguments allow.
        default: As for `detection_problem`.
        judge: As for `detection_problem`.

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
    spaces = _spaces(
        CLASS_METHODS, methods, missing, "labels (`truth`)", calibrates=truth is not None
    )
    for space in spaces:
        if space.learns == "labels" and len(parts) < 4:
            raise EnsemblingError(
                f"{len(parts)} folds; {space.name} is chosen and scored on 4 or more: give more "
                "parts, or leave it out of the methods"
            )
    part_of = _part_by_id(folds, "annotation_id")

    def learn(name: str, method: str, parts: frozenset[int]) -> Calibrator:
        crops = part_of.index[part_of.isin(parts)]
        labels = cast("pd.Series", truth)
        return calibrate_classes(method, tables[name], labels[labels.index.isin(crops)])

    fuse_others = _fuser(
        CLASS_METHODS, tables, default, _cross_fitted(tables, "annotation_id", part_of, learn)
    )

    def fuse_chosen(
        chosen: Candidate, held_out: int | None, scores: Mapping[str, float]
    ) -> ClassProbabilities:
        if chosen.method in learning:
            labels = cast("pd.Series", truth)
            return _fuse_learning(chosen, tables, labels, part_of, held_out)
        return cast(ClassProbabilities, fuse_others(chosen, held_out, scores))

    return Problem(
        names=tuple(tables),
        methods=spaces,
        folds=tuple(parts),
        parts=tuple(parts.values()),
        fuse=fuse_chosen,
        score=score and (lambda fused, ids: score(_rows(fused, "annotation_id", ids), ids)),
        default=_default_space(default),
        judge=judge,
    )


def fuse_candidate(
    chosen: Candidate,
    registry: Registry[Method],
    members: Mapping[str, object],
    *,
    probabilities: Mapping[str, object] | None = None,
    ranks: Mapping[str, int] | None = None,
    scores: Mapping[str, float | None] | None = None,
    sizes: ImageSizes | None = None,
    default: PickedSettings | None = None,
    calibrators: Mapping[str, Calibrator] | None = None,
) -> object:
    """Fuse members as a candidate says; one that is alone is left as it is.

    Args:
        chosen: The ensemble.
        registry: Where its method is.
        members: The predictions of its members by name, and perhaps of others.
        probabilities: The same for methods that fuse the probabilities beside label maps.
        ranks: The rank of each member, the smallest for the best.
        scores: The score of each member on images that it has not seen.
        sizes: Height and width of each image, for label maps.
        default: The settings of an ensemble whose method is `DEFAULT`.
        calibrators: As for `fuse`.
    """
    if chosen.method == ALONE:
        return members[chosen.members[0]]
    settings = default if chosen.method == DEFAULT else settings_of(chosen, registry)
    assert settings is not None
    if probabilities and method_of(settings).takes == "probabilities":
        members = probabilities
    own = {name: members[name] for name in chosen.members}
    return fuse(settings, own, ranks=ranks, scores=scores, sizes=sizes, calibrators=calibrators)


def _fuse_learning(
    chosen: Candidate,
    members: Mapping[str, ClassProbabilities],
    truth: pd.Series,
    part_of: pd.Series,
    held_out: int | None,
) -> ClassProbabilities:
    """The probabilities of all crops, none from a fusion that has seen its label.

    The part that is held out is to the others what a test set is.
    """
    folds = part_of[part_of != held_out]
    unseen = part_of.index.difference(folds.index)
    own = {name: members[name] for name in chosen.members}
    learning = [_rows(member, "annotation_id", folds.index) for member in own.values()]
    known = KnownLabels(learning, truth, folds)
    other = {name: _rows(member, "annotation_id", unseen) for name, member in own.items()}
    fused: LearntFusion = fuse(settings_of(chosen, CLASS_METHODS), other, known=known)
    return ClassProbabilities(pd.concat([fused.out_of_fold, fused.test], ignore_index=True))


def _fuser(
    registry: Registry[Method],
    members: Mapping[str, Any],
    default: PickedSettings | None,
    calibrated: Calibrated,
    *,
    probabilities: Mapping[str, Any] | None = None,
    sizes: ImageSizes | None = None,
) -> Callable[[Candidate, int | None, Mapping[str, float]], Any]:
    """What fuses candidates that learn nothing from labels but how to calibrate scores."""

    def fuse_chosen(chosen: Candidate, held_out: int | None, scores: Mapping[str, float]) -> Any:
        of_default = default is not None and chosen.method == DEFAULT
        method = calibration_of(default) if default and of_default else chosen.calibrate

        def calibrator(name: str) -> Calibrator:
            return lambda _: calibrated(name, method, held_out)

        return fuse_candidate(
            chosen,
            registry,
            members,
            probabilities=probabilities,
            ranks={name: rank for rank, name in enumerate(scores)},
            scores=dict(scores),
            sizes=sizes,
            default=default,
            calibrators={name: calibrator(name) for name in chosen.members},
        )

    return fuse_chosen


def _cross_fitted(
    tables: Mapping[str, Table],
    key: str,
    part_of: pd.Series,
    learn: Callable[[str, str, frozenset[int]], Calibrator],
) -> Calibrated:
    """Calibrated tables, the rows of each part by what was learnt on others."""
    learnt = cache(learn)
    n_parts = part_of.nunique()

    @cache
    def calibrated(name: str, method: str, held_out: int | None) -> Any:
        part = part_of.loc[tables[name][key]].to_numpy()
        pieces: list[pd.DataFrame] = [
            learnt(name, method, others)(tables[name][part == number])
            for number, others in _learning_parts(n_parts, held_out).items()
        ]
        return pd.concat(pieces, ignore_index=True)

    return calibrated


def _learning_parts(n_parts: int, held_out: int | None) -> dict[int, frozenset[int]]:
    """For each part, those whose truth its calibration is learnt on: neither its own nor the held.

    >>> {part: sorted(others) for part, others in _learning_parts(3, 2).items()}
    {0: [1], 1: [0], 2: [0, 1]}
    """
    every = frozenset(range(n_parts))
    return {part: every - {part, held_out} for part in range(n_parts)}


def _default_space(settings: PickedSettings | None) -> Space | None:
    """What the method that is configured takes from the truth, and how it is called."""
    if settings is None:
        return None
    method = method_of(settings)
    if method.learns == "labels":
        raise EnsemblingError(
            f"{getattr(settings, settings.key)} as the default of a search: it learns from labels; "
            "give another method"
        )
    learns: Any = method.learns
    if getattr(settings, "weights", None) == "score":
        learns = "scores"
    if calibration_of(settings) != NONE:
        learns = "labels"
    return Space(DEFAULT, weighted=False, learns=learns)


def _spaces(
    registry: Registry[Method],
    names: Sequence[str] | None,
    missing: Collection[str] = (),
    lacks: str = "",
    *,
    calibrates: bool,
) -> tuple[Space, ...]:
    """What to try: the methods that are named, or all that do not lack what they need."""
    if names is None:
        entries = [entry for name, entry in registry.items() if name not in missing]
    else:
        for name in names:
            if name not in registry:
                raise EnsemblingError(str(registry.unknown(name)))
            if name in missing:
                raise EnsemblingError(f"method {name!r} needs {lacks}; give them or leave it out")
        entries = [registry[name] for name in dict.fromkeys(names)]
    spaces = [space_of(entry) for entry in entries]
    if calibrates:
        return tuple(spaces)
    return tuple(
        replace(space, settings={n: own for n, own in space.settings.items() if n != CALIBRATE})
        for space in spaces
    )


def _part_by_id(folds: pd.DataFrame, key: str) -> pd.Series:
    """The index of the part of each image or crop, by its id."""
    return folds.set_index(key)["fold"].rank(method="dense").astype("int64") - 1


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
