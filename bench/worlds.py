"""What a searched ensemble gains and loses on fresh images, over many drawn worlds.

In each world members are chosen on out-of-fold predictions and all ways of choosing are scored on
images that were not there. A file keeps the worlds that are done, so that a run goes on where it
stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.drawn_members import DRAW, PIXELS, World, draw_world
from recycling.ensembling import (
    BOX_METHODS,
    CLASS_METHODS,
    MASK_METHODS,
    BoxFusion,
    Candidate,
    ClassFusion,
    Judge,
    MaskFusion,
    Problem,
    Scores,
    calibrate_boxes,
    calibrate_classes,
    calibrate_masks,
    class_problem,
    count_planes,
    detection_problem,
    fuse_candidate,
    mask_problem,
    search,
)
from recycling.ensembling.calibration import NONE
from recycling.evaluation import (
    BoxMetric,
    ClassCounts,
    ClassMetric,
    image_scores,
    right_boxes,
)
from recycling.evaluation.metrics.miou import mean_iou
from recycling.predictions import LabelMaps

N_PARTS = 5
N_TRIALS = 8
KEPT = Path(gettempdir()) / "recycling_worlds"

DEFAULT: Mapping[str, Any] = {
    "cls": ClassFusion.model_validate({}),
    "det": BoxFusion.model_validate({"iou_threshold": 0.65, "weights": "score"}),
    "seg": MaskFusion.model_validate({}),
}
"""As `parameters_ensembling.yml` has it."""

PLAIN: Mapping[str, Any] = {
    "cls": ClassFusion.model_validate({}),
    "det": BoxFusion.model_validate({}),
    "seg": MaskFusion.model_validate({"method": "soft_vote"}),
}
"""Plain averaging: everybody counts the same."""

WAYS = ("chosen", "default", "best member", "all but the worst", "greedy", "search", "plain")


def run(*, quick: bool, n_worlds: int = 200, n_images: int = 500) -> pd.DataFrame:
    """Draw worlds for each task and print what choosing is worth.

    Returns:
        A row a world and task, with the score of each of `WAYS` on fresh images, ``reference`` (the
        better of default and best member as known out of fold) and ``how``, what was chosen.
    """
    if quick:
        n_worlds, n_images = 2, 60
    results = pd.concat([worlds(task, n_worlds, n_images) for task in DRAW], ignore_index=True)
    show(results)
    return results


def worlds(task: str, n_worlds: int, n_images: int, kept: Path = KEPT) -> pd.DataFrame:
    """The worlds of a task, those that are not kept yet drawn by two processes."""
    kept.mkdir(parents=True, exist_ok=True)
    path = kept / f"{task}_{n_images}_{N_TRIALS}.jsonl"
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    known = {each["seed"] for each in done}
    left = [seed for seed in range(n_worlds) if seed not in known]
    with ProcessPoolExecutor(2) as pool, path.open("a") as file:
        for result in pool.map(partial(world, task, n_images=n_images), left):
            file.write(json.dumps(result) + "\n")
            file.flush()
            done.append(result)
    return pd.DataFrame([each for each in done if each["seed"] < n_worlds])


def world(task: str, seed: int, *, n_images: int) -> dict[str, Any]:
    """What each way of choosing scores on as many fresh images."""
    drawn = draw_world(task, seed, 2 * n_images)
    known, fresh = np.arange(n_images), np.arange(n_images, 2 * n_images)
    problem = PROBLEM[task](drawn, known, DEFAULT[task])
    found = search(problem, n_trials=N_TRIALS, seed=seed)
    scores = Scores(problem)
    best_first = scores.best_first()
    judge = JUDGE[task](drawn)
    weights = np.zeros((1, 2 * n_images), dtype=np.int64)
    weights[0, fresh] = 1
    calibrators = {
        (method, name): CALIBRATOR[task](drawn, known, name, method)
        for method in ("isotonic", "platt")
        for name in problem.names
    }

    def on_fresh(chosen: Candidate, default: Any = DEFAULT[task]) -> float:
        of_all = fuse_candidate(
            chosen,
            METHODS[task],
            drawn.members,
            probabilities=drawn.probabilities or None,
            ranks={name: rank for rank, name in enumerate(best_first)},
            scores=dict(best_first),
            default=default,
            calibrators={
                name: calibrators[chosen.calibrate, name]
                for name in problem.names
                if chosen.calibrate != NONE
            },
        )
        return float(judge(of_all)(weights)[0])

    by_way = {choice.how: on_fresh(choice.chosen) for choice in found.choices}
    by_way["plain"] = on_fresh(scores.default, PLAIN[task])
    by_way["chosen"] = on_fresh(found.best.chosen)
    better = max(found.default, found.best_member, key=lambda choice: choice.held_out_score)
    return {
        "task": task,
        "seed": seed,
        "members": list(drawn.kinds.values()),
        "how": found.best.how,
        "calibrate": found.best.chosen.calibrate,
        "reference": by_way[better.how],
        **by_way,
    }


def show(results: pd.DataFrame) -> None:
    """Print the gains over the better of default and best member."""
    title = "score on fresh images less that of the better of default and best member (out of fold)"
    table = Table("task", "worlds", "way", "mean", "+- se", "5 %", "95 %", "worse", title=title)
    for task, own in results.groupby("task", sort=False):
        for way in WAYS:
            gains = (own[way] - own["reference"]).to_numpy()
            low, high = np.quantile(gains, [0.05, 0.95])
            error = gains.std(ddof=1) / np.sqrt(len(gains))
            table.add_row(
                str(task), str(len(own)), way, f"{gains.mean():+.4f}", f"{error:.4f}",
                f"{low:+.4f}", f"{high:+.4f}", f"{(gains < -0.005).mean():.0%}",
            )  # fmt: skip
    console = Console(width=110)
    console.print(table)
    console.print("worse: by more than 0.005; ratio: none, this is about scores")
    for task, own in results.groupby("task", sort=False):
        console.print(f"{task}: {own['how'].value_counts().to_dict()}")


def folds_of(key: str, ids: NDArray[np.int64]) -> pd.DataFrame:
    return pd.DataFrame({key: ids, "fold": ids % N_PARTS})


def judge_of(drawn: World, known: NDArray[np.int64], scores: Callable[[Any], Any]) -> Judge[Any]:
    part = np.full(drawn.n_images, -1)
    part[known] = known % N_PARTS
    return Judge(scores, part, np.arange(drawn.n_images))


def scores_of_boxes(drawn: World) -> Callable[[Any], Any]:
    metric = BoxMetric.model_validate({})
    return lambda fused: image_scores(metric, drawn.truth, {"fused": fused})["fused"].scores


def scores_of_crops(drawn: World) -> Callable[[Any], Any]:
    metric = ClassMetric.model_validate({})

    def scores(fused: Any) -> Any:
        whole = fused
        if len(fused) < drawn.n_images:  # crops of no part count for nothing, but must be there
            rest = drawn.members["m0"]
            rest = rest[~rest["annotation_id"].isin(fused["annotation_id"])]
            whole = pd.concat([fused, rest], ignore_index=True)
        return image_scores(metric, drawn.truth, {"fused": whole})["fused"].scores

    return scores


def scores_of_masks(drawn: World) -> Callable[[Any], Any]:
    n_labels = 4
    truth = drawn.truth.reshape(drawn.n_images, PIXELS * PIXELS)

    def scores(fused: LabelMaps) -> Any:
        shape = (drawn.n_images, n_labels)
        hits, true, predicted = (np.zeros(shape, dtype=np.int64) for _ in range(3))
        rows = np.fromiter(fused, dtype=np.int64)
        maps = np.stack([fused[image_id] for image_id in rows.tolist()]).reshape(len(rows), -1)
        for label in range(n_labels):
            is_true, is_predicted = truth[rows] == label, maps == label
            hits[rows, label] = (is_true & is_predicted).sum(axis=1)
            true[rows, label] = is_true.sum(axis=1)
            predicted[rows, label] = is_predicted.sum(axis=1)
        return ClassCounts(mean_iou, hits, true, predicted).scores

    return scores


def box_problem(drawn: World, known: NDArray[np.int64], default: Any) -> Problem[Any]:
    return detection_problem(
        drawn.members,
        None,
        folds_of("image_id", known),
        default=default,
        judge=judge_of(drawn, known, scores_of_boxes(drawn)),
        right=partial(right_boxes, drawn.truth),
    )


def crop_problem(drawn: World, known: NDArray[np.int64], default: Any) -> Problem[Any]:
    return class_problem(
        drawn.members,
        None,
        folds_of("annotation_id", known),
        truth=labels_of(drawn, known),
        methods=[name for name, entry in CLASS_METHODS.items() if entry.thing.learns != "labels"],
        default=default,
        judge=judge_of(drawn, known, scores_of_crops(drawn)),
    )


def pixel_problem(drawn: World, known: NDArray[np.int64], default: Any) -> Problem[Any]:
    return mask_problem(
        drawn.members,
        None,
        folds_of("image_id", known),
        probabilities=drawn.probabilities,
        default=default,
        judge=judge_of(drawn, known, scores_of_masks(drawn)),
        truth=LabelMaps(range(drawn.n_images), drawn.truth.__getitem__),
    )


def labels_of(drawn: World, known: NDArray[np.int64]) -> pd.Series:
    crops = drawn.truth.annotations.set_index("annotation_id")["category_id"].loc[known]
    return crops.map(drawn.truth.categories.set_index("category_id")["name"])


def box_calibrator(drawn: World, known: NDArray[np.int64], name: str, method: str) -> Any:
    own = drawn.members[name]
    own = own[own["image_id"].isin(known)].reset_index(drop=True)
    return calibrate_boxes(method, own, right_boxes(drawn.truth, own))


def crop_calibrator(drawn: World, known: NDArray[np.int64], name: str, method: str) -> Any:
    return calibrate_classes(method, drawn.members[name], labels_of(drawn, known))


def pixel_calibrator(drawn: World, known: NDArray[np.int64], name: str, method: str) -> Any:
    truth = LabelMaps(known.tolist(), drawn.truth.__getitem__)
    return calibrate_masks(method, count_planes(drawn.probabilities[name], truth, known.tolist()))


METHODS: Mapping[str, Any] = {"cls": CLASS_METHODS, "det": BOX_METHODS, "seg": MASK_METHODS}
PROBLEM = {"cls": crop_problem, "det": box_problem, "seg": pixel_problem}
JUDGE = {"cls": scores_of_crops, "det": scores_of_boxes, "seg": scores_of_masks}
CALIBRATOR = {"cls": crop_calibrator, "det": box_calibrator, "seg": pixel_calibrator}
