"""mAP from tables beside ``faster-coco-eval``, and what a bootstrap of it takes."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.comparison import Row, by_turns, show
from bench.drawn_members import annotations_of
from recycling.annotations import BOX, Annotations
from recycling.ensembling import Candidate, Judge, Scores, detection_problem
from recycling.evaluation import draw_images, image_scores, map50
from recycling.evaluation.metric import BoxMetric
from recycling.predictions import DETECTIONS, Detections

SIDE, N_CATEGORIES = 1024, 10
N_DRAWS = 1000


def run(*, quick: bool) -> list[Row]:
    n_images, n_boxes, turns = (50, 3_000, 1) if quick else (5_000, 300_000, 3)
    truth, detections = scene(n_images, n_boxes)
    map50(truth, detections)  # compiles
    calls = {"ours": lambda: map50(truth, detections), "peer": lambda: peer(truth, detections)}
    timed = by_turns(turns, calls)
    (our_seconds, ours), (peer_seconds, theirs) = timed["ours"], timed["peer"]
    assert abs(ours.details["mAP"] - theirs[0]) < 1e-9
    assert abs(ours.score - theirs[1]) < 1e-9
    what = f"mAP of {n_boxes:,} boxes on {n_images:,} images"
    row = Row(what, "faster-coco-eval", peer_seconds, our_seconds, 20)
    show("from the same tables; all thresholds and sizes, equal to 1e-9", [row])
    show_bootstrap(truth, detections, n_draws=20 if quick else N_DRAWS)
    show_trial(truth, detections)
    return [row]


def show_trial(truth: Annotations, detections: Detections, *, n_members: int = 3) -> None:
    """Print what a trial of the search takes: the boxes of all members are fused and scored."""
    # What a detector gives has its sides the right way round.
    sides = detections[BOX].to_numpy().reshape(-1, 2, 2)
    ordered = np.stack([sides.min(axis=1), sides.max(axis=1)], axis=1).reshape(-1, 4)
    detections = Detections(detections.assign(**dict(zip(BOX, ordered.T, strict=True))))
    dealt = np.random.default_rng(1).integers(0, n_members, len(detections))
    members = {f"m{n}": Detections(detections[dealt == n]) for n in range(n_members)}
    ids = truth.images["image_id"].to_numpy()
    metric = BoxMetric.model_validate({})
    judge: Judge[Detections] = Judge(
        lambda fused: image_scores(metric, truth, {"fused": fused})["fused"].scores,
        part=ids % 5,
        group=np.arange(len(ids)),
    )
    folds = pd.DataFrame({"image_id": ids, "fold": ids % 5})
    problem = detection_problem(members, None, folds, judge=judge)
    scores = Scores(problem)
    scores.of(problem.as_default(problem.names))  # compiles
    times = []
    for iou in (0.45, 0.5, 0.55, 0.6, 0.65):
        chosen = Candidate(
            "weighted_boxes_fusion",
            tuple((name, 1) for name in problem.names),
            (("iou_threshold", iou),),
        )
        start = time.perf_counter()
        scores.of(chosen)
        times.append(time.perf_counter() - start)
    table = Table("what", "s", "at most", title="a trial of the search")
    table.add_row(f"{len(detections):,} boxes fused and scored", f"{np.median(times):.2f}", "0.4 s")
    Console(width=110).print(table)


def show_bootstrap(truth: Annotations, detections: Detections, *, n_draws: int) -> None:
    """Print what drawing the images again and again takes."""
    draws = draw_images(len(truth.images), n_draws=n_draws)
    table = Table("metric", "draws", "s to match", "s to draw", "at most")
    for name, most in (("map50", 1.0), ("map50_95", 15.0)):
        settings = BoxMetric.model_validate({"metric": name})
        start = time.perf_counter()
        scores = image_scores(settings, truth, {"a": detections})["a"]
        matched = time.perf_counter()
        scores.scores(draws[:1])
        ready = time.perf_counter()
        scores.scores(draws)
        done = time.perf_counter()
        table.add_row(
            name, f"{n_draws:,}", f"{matched - start:.2f}", f"{done - ready:.2f}", f"{most:g} s"
        )
    table.title = "bootstrap of the same boxes"
    Console(width=110).print(table)


def scene(n_images: int, n_boxes: int) -> tuple[Annotations, Detections]:
    """Objects at random, seven on an image, and boxes of which four in ten are near one."""
    rng = np.random.default_rng(0)
    n_objects = 7 * n_images
    boxes = boxes_at_random(rng, n_objects)
    objects = table_of(
        boxes, rng.integers(0, n_images, n_objects), rng.integers(1, N_CATEGORIES + 1, n_objects)
    )
    names = {number: f"category {number}" for number in range(1, N_CATEGORIES + 1)}
    is_crowd = rng.random(n_objects) < 0.01
    truth = annotations_of(objects.assign(iscrowd=is_crowd), n_images, SIDE, names)
    near = objects.iloc[rng.integers(0, n_objects, int(0.4 * n_boxes))]
    jittered = near.assign(**(near[BOX] + rng.normal(0, 8, (len(near), 4))))
    n_far = n_boxes - len(near)
    far = table_of(
        boxes_at_random(rng, n_far),
        rng.integers(0, n_images, n_far),
        rng.integers(1, N_CATEGORIES + 1, n_far),
    )
    found = pd.concat([jittered, far], ignore_index=True)
    found = found.assign(score=rng.random(len(found)))
    return truth, Detections(DETECTIONS.conform(found, where="detections"))


def boxes_at_random(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """(n, 4) boxes of 8 to 300 pixels a side."""
    size = np.exp(rng.uniform(np.log(8), np.log(300), (n, 2)))
    corner = rng.uniform(0, SIDE - 300, (n, 2))
    return np.hstack([corner, corner + size])


def table_of(
    boxes: NDArray[np.float64], image_id: NDArray[np.int64], category_id: NDArray[np.int64]
) -> pd.DataFrame:
    return pd.DataFrame(boxes, columns=BOX).assign(image_id=image_id, category_id=category_id)


def peer(truth: Annotations, detections: Detections) -> tuple[float, float]:
    """The library's mAP and mAP50; it takes dictionaries."""
    from faster_coco_eval import COCO, COCOeval_faster  # type: ignore[import-untyped]

    objects = zip(
        entries(truth.annotations),
        truth.annotations["area"].tolist(),
        truth.annotations["iscrowd"].tolist(),
        strict=True,
    )
    known = COCO(
        {
            "images": [{"id": image_id} for image_id in truth.images["image_id"].tolist()],
            "annotations": [
                {**entry, "id": number, "area": area, "iscrowd": int(is_crowd)}
                for number, (entry, area, is_crowd) in enumerate(objects, start=1)
            ],
            "categories": [{"id": number} for number in truth.categories["category_id"].tolist()],
        }
    )
    found = [
        {**entry, "score": score}
        for entry, score in zip(entries(detections), detections["score"].tolist(), strict=True)
    ]
    evaluation = COCOeval_faster(known, known.loadRes(found), iouType="bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    at_50 = precision[0]
    return float(precision[precision > -1].mean()), float(at_50[at_50 > -1].mean())


def entries(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as COCO's files have them."""
    x_min, y_min, x_max, y_max = (table[name].to_numpy() for name in BOX)
    boxes = np.column_stack([x_min, y_min, x_max - x_min, y_max - y_min]).tolist()
    ids = zip(table["image_id"].tolist(), table["category_id"].tolist(), boxes, strict=True)
    return [
        {"image_id": image_id, "category_id": category_id, "bbox": box}
        for image_id, category_id, box in ids
    ]
