"""Large images in tiles, beside SAHI: the same trained detector, boxes right, wrong and missed.

It needs a trained detector (``make demo``) and, for the peer, ``pip install sahi``. What the
detector says of a tile is remembered, as ways to put tiles together share most of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from recycling.annotations import ANNOTATIONS, BOX, CATEGORIES, Annotations
from recycling.backends import Checkpoint, Images, LoadedModel, backend_for
from recycling.evaluation import BoxMetric, evaluate
from recycling.evaluation.box_matching import match
from recycling.inference import Tiles, in_memory
from recycling.inference.tiles import Tiled
from recycling.predictions import DETECTIONS, Detections
from recycling.sample.objects import CLASSES
from recycling.sample.scenes import compose_scene, take_shot

CHECKPOINTS = Path("data/06_models/det")
SHOT = 192
"""Side of what the sample's detectors are trained on, and of a tile; pixels."""

SHOTS = 4
"""Of a side of a large image."""

SURE = 0.3
"""The score from which on a box is counted as found: SAHI's own default."""


@dataclass(frozen=True)
class Result:
    """What one way of predicting finds.

    Attributes:
        way: Which.
        map50: Over all boxes, however unsure.
        right: Sure boxes that find an object.
        wrong: Sure boxes that find none.
        missed: Objects that no sure box finds.
    """

    way: str
    map50: float
    right: int
    wrong: int
    missed: int

    @property
    def f1(self) -> float:
        """Of the sure boxes."""
        return 2 * self.right / max(2 * self.right + self.wrong + self.missed, 1)


def run(*, quick: bool) -> list[Result]:
    checkpoints = sorted(CHECKPOINTS.glob("*/fold*/checkpoint"))
    if not checkpoints:
        print(f"no trained detector below {CHECKPOINTS}: make demo")
        return []
    results = []
    names = ("fcos",) if quick else ("fcos", "yolox")
    images, truth = large_images(2 if quick else 12, SHOTS)
    for name in names:
        checkpoint = Checkpoint(CHECKPOINTS / name / "fold0/checkpoint")
        detector = Remembering(backend_for(checkpoint.backend).load(checkpoint))
        for overlap in (0.2,) if quick else (0.2, 0.4):
            own = list(compared(detector, images, truth, overlap))
            show(f"{name}, {SHOTS * SHOT} pixels, overlap {overlap:g}", own)
            results += own
    return results


@dataclass
class Remembering:
    """A detector that looks at no tile twice.

    Attributes:
        detector: Who looks.
        known: What it found, by the content of the image.
    """

    detector: LoadedModel
    known: dict[bytes, pd.DataFrame] = field(default_factory=dict)

    @property
    def categories(self) -> Sequence[Mapping[str, Any]]:
        """Those of the detector."""
        return self.detector.categories

    def predict(self, images: Images) -> Detections:
        """What the detector says."""
        assert images.pixels is not None
        ids = images.table["image_id"].tolist()
        keys = {number: sha256(images.pixels[number].tobytes()).digest() for number in ids}
        new = images.table[[keys[number] not in self.known for number in ids]]
        if len(new):
            found: Any = self.detector.predict(replace(images, table=new))
            for number in new["image_id"].tolist():
                self.known[keys[number]] = found[found["image_id"] == number]
        tables = [self.known[keys[number]].assign(image_id=number) for number in ids]
        return Detections(pd.concat(tables, ignore_index=True))


def compared(
    detector: LoadedModel, images: Images, truth: Annotations, overlap: float
) -> Iterator[Result]:
    """Each way of predicting on large images."""
    ways: dict[str, Any] = {"whole": lambda: detector.predict(images)}
    if find_spec("sahi") is not None:
        for confidence in (SURE, 0.01):
            ways[f"SAHI from {confidence:g}"] = lambda least=confidence: by_sahi(
                detector, images, overlap, least
            )
    tiles = Tiles(size=SHOT, overlap=overlap)
    ways["ours"] = lambda: Tiled(detector, "det", tiles).predict(images)
    for way, call in ways.items():
        yield result(way, Detections(call()), truth)


def result(way: str, found: Detections, truth: Annotations) -> Result:
    metric = BoxMetric.model_validate({"metric": "map50"})
    sure = Detections(found[found["score"] >= SURE].reset_index(drop=True))
    outcome = match(truth, sure, iou_thresholds=[0.5]).outcome[0, 0]
    right, wrong = int((outcome == 1).sum()), int((outcome == 0).sum())
    missed = len(truth.annotations) - right
    return Result(way, evaluate(metric, truth, found).score, right, wrong, missed)


def large_images(n: int, shots: int) -> tuple[Images, Annotations]:
    """Images of `shots` times `shots` scenes each, and what is on them."""
    rng = np.random.default_rng(0)
    pixels, rows = [], []
    for image_id in range(1, n + 1):
        canvas = np.zeros((shots * SHOT, shots * SHOT, 3), np.uint8)
        for place in range(shots * shots):
            top, left = (SHOT * step for step in divmod(place, shots))
            classes = rng.integers(0, len(CLASSES), rng.integers(2, 5)).tolist()
            shot = take_shot(rng, compose_scene(rng, classes, SHOT), steady=True)
            canvas[top : top + SHOT, left : left + SHOT] = shot.rgb
            for index, mask in zip(shot.class_indices, shot.masks, strict=True):
                y, x = np.nonzero(mask)
                box = (x.min() + left, y.min() + top, x.max() + 1 + left, y.max() + 1 + top)
                rows.append((len(rows) + 1, image_id, index + 1, *box, float(mask.sum())))
        pixels.append(canvas)
    images = in_memory(pixels)
    table = pd.DataFrame(rows, columns=["annotation_id", "image_id", "category_id", *BOX, "area"])
    table = table.assign(segmentation=None, iscrowd=False, source="human", score=1.0, extra=None)
    categories = pd.DataFrame(
        {"category_id": range(1, len(CLASSES) + 1), "name": [each.name for each in CLASSES]}
    ).assign(supercategory="", extra=None)
    return images, Annotations(
        images.table,
        ANNOTATIONS.conform(table, where="drawn objects"),
        CATEGORIES.conform(categories, where="drawn categories"),
    )


def by_sahi(detector: LoadedModel, images: Images, overlap: float, least: float) -> pd.DataFrame:
    """SAHI's own way: slices, the whole image, and its way to put them together."""
    from sahi.models.base import DetectionModel
    from sahi.predict import get_sliced_prediction
    from sahi.prediction import ObjectPrediction

    class AsSahiTakesIt(DetectionModel):  # type: ignore[misc]
        """The detector, as SAHI calls one."""

        def perform_inference(self, image: Any) -> None:
            self.perform_batch_inference([image])

        def perform_batch_inference(self, pixels: Any) -> None:
            self._original_predictions = detector.predict(in_memory(pixels))
            self._n = len(pixels)

        def _create_object_prediction_list_from_original_predictions(
            self, shift_amount_list: Any = None, full_shape_list: Any = None
        ) -> None:
            if not isinstance(shift_amount_list[0], list):
                shift_amount_list, full_shape_list = [shift_amount_list], [full_shape_list]
            found = self._original_predictions
            found = found[found["score"] >= self.confidence_threshold]
            self._object_prediction_list_per_image = [
                [
                    ObjectPrediction(
                        bbox=[row.x_min, row.y_min, row.x_max, row.y_max],
                        category_id=row.category_id,
                        category_name=str(row.category_id),
                        score=row.score,
                        shift_amount=shift_amount_list[number],
                        full_shape=full_shape_list[number],
                    )
                    for row in found[found["image_id"] == number + 1].itertuples()
                ]
                for number in range(self._n)
            ]

    model = AsSahiTakesIt(confidence_threshold=least, load_at_init=False, device="cpu")
    rows = []
    assert images.pixels is not None
    for image_id, pixels in images.pixels.items():
        predicted = get_sliced_prediction(
            pixels, model, slice_height=SHOT, slice_width=SHOT, overlap_height_ratio=overlap,
            overlap_width_ratio=overlap, verbose=0, batch_size=8,
        )  # fmt: skip
        for each in predicted.object_prediction_list:
            box = each.bbox
            place = (box.minx, box.miny, box.maxx, box.maxy)
            rows.append((image_id, each.category.id, each.score.value, *place))
    table = pd.DataFrame(rows, columns=DETECTIONS.names)
    return DETECTIONS.conform(table, where="SAHI")


def show(title: str, results: list[Result]) -> None:
    """Print the ways of one case."""
    table = Table("way", "mAP50", "F1", "right", "wrong", "missed", title=title)
    for each in results:
        table.add_row(
            each.way, f"{each.map50:.3f}", f"{each.f1:.3f}", str(each.right), str(each.wrong),
            str(each.missed),
        )  # fmt: skip
    console = Console(width=110)
    console.print(table)
    console.print(f"right, wrong, missed: boxes of score {SURE:g} and up, at an IoU of 0.5")


if __name__ == "__main__":
    run(quick=False)
