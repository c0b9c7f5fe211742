"""A trained network's predictions in the project's formats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from recycling.annotations import BOX
from recycling.annotations.masks import of_size
from recycling.backends.core import BackendError, Images
from recycling.backends.mmengine_backend.network import Network
from recycling.backends.shared.model import MAX_BOXES
from recycling.backends.shared.planes_on_disk import PlanesOnDisk
from recycling.predictions import (
    CLASS_PROBABILITIES,
    DETECTIONS,
    ClassProbabilities,
    Detections,
    LabelMap,
    LabelMaps,
    Predictions,
    ProbableLabelMaps,
)
from recycling.progress import track


def predict(network: Network, images: Images) -> Predictions:
    """Predict on `images`, with a progress line.

    Raises:
        BackendError: A classifier was given no crops, or an image cannot be read.
    """
    task = network.trained.model.task
    if task == "cls":
        return _classes(network, images)
    return _detections(network, images) if task == "det" else _label_maps(network, images)


def _detections(network: Network, images: Images) -> Detections:
    category_ids = np.array(
        [int(category["category_id"]) for category in network.trained.categories]
    )
    threshold = network.trained.model.score_threshold
    tables = []
    for image, sample in _samples(network, images):
        found = sample.pred_instances
        scores = found.scores.cpu().numpy().astype(np.float64)
        kept = np.argsort(-scores, kind="stable")[:MAX_BOXES]
        kept = kept[scores[kept] >= threshold]
        boxes = found.bboxes.cpu().numpy().astype(np.float64)[kept]
        boxes = boxes.clip(0, [image["width"], image["height"]] * 2)
        table = pd.DataFrame(boxes, columns=BOX)
        table["image_id"] = image["image_id"]
        table["category_id"] = category_ids[found.labels.cpu().numpy()[kept]]
        table["score"] = scores[kept]
        has_area = (table["x_max"] > table["x_min"]) & (table["y_max"] > table["y_min"])
        tables.append(table[has_area])
    together = pd.concat(tables, ignore_index=True) if tables else DETECTIONS.empty()
    order = {image_id: row for row, image_id in enumerate(images.table["image_id"].tolist())}
    together = together.iloc[together["image_id"].map(order).argsort(kind="stable")]
    return Detections(DETECTIONS.conform(together, where="detections"))


def _label_maps(network: Network, images: Images) -> LabelMaps:
    import cv2

    # Compressed maps take a few kB an image; a map is drawn at full size when it is asked for.
    encoded: dict[int, Any] = {}
    sizes: dict[int, tuple[int, int]] = {}
    planes = PlanesOnDisk() if network.trained.model.probabilities else None
    for image, sample in _samples(network, images):
        label_map = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)
        image_id = image["image_id"]
        if planes is not None:
            planes.add(image_id, sample.probabilities.data.cpu().numpy())
        encoded[image_id] = cv2.imencode(".png", label_map)[1]
        sizes[image_id] = (image["height"], image["width"])

    def read(image_id: int) -> LabelMap:
        label_map = np.asarray(
            cv2.imdecode(encoded[image_id], cv2.IMREAD_UNCHANGED), dtype=np.uint8
        )
        return of_size(label_map, sizes[image_id])

    image_ids = images.table["image_id"].tolist()
    if planes is None:
        return LabelMaps(image_ids, read)
    return ProbableLabelMaps(image_ids, read, planes.maps(image_ids))


def _classes(network: Network, images: Images) -> ClassProbabilities:
    if images.crops is None:
        raise BackendError("a classifier looks at crops, and none were given; set Images.crops")
    names = [str(category["name"]) for category in network.trained.categories]
    rows = [
        (crop["annotation_id"], sample.pred_score.cpu().numpy())
        for crop, sample in _samples(network, images)
    ]
    scores = np.array([row for _, row in rows], dtype=np.float32).reshape(len(rows), len(names))
    table = pd.DataFrame(scores, columns=names)
    table.insert(0, "annotation_id", pd.Series([row for row, _ in rows], dtype="int64"))
    return ClassProbabilities(CLASS_PROBABILITIES.conform(table, where="class probabilities"))


def pixel_probabilities(network: Network, images: Images) -> Iterator[tuple[int, Any]]:
    """What a segmenter that was loaded with ``probabilities`` says of each pixel, not rounded.

    Yields:
        The id of each image, and (classes, H, W) float32.
    """
    for image, sample in _samples(network, images):
        yield image["image_id"], sample.probabilities.data.cpu().numpy()


def _samples(network: Network, images: Images) -> Iterator[tuple[dict[str, Any], Any]]:
    """Each image or crop with the library's prediction for it.

    Images of one size go together, because a batch holds one size.
    """
    model = network.trained.model
    inputs = crop_rows(images) if model.task == "cls" else image_rows(images)
    batches = []
    for _, same_size in inputs.groupby(["height", "width"], sort=True):
        rows: list[dict[str, Any]] = same_size.to_dict("records")  # type: ignore[assignment]
        batches += [
            rows[start : start + model.batch_size]
            for start in range(0, len(rows), model.batch_size)
        ]
    for batch in track(batches, "predicting"):
        samples = network.predict([_with_pixels(row, images) for row in batch])
        yield from zip(batch, samples, strict=True)


def _with_pixels(row: dict[str, Any], images: Images) -> dict[str, Any]:
    """What a pipeline begins with; of an image in memory, with its pixels."""
    if images.pixels is None:
        return row.copy()
    return {**row, "pixels": images.pixels[row["image_id"]]}


def image_rows(images: Images) -> pd.DataFrame:
    """What a pipeline begins with, one row an image."""
    table = images.table[["image_id", "file_name", "width", "height"]].copy()
    table["img_path"] = [str(images.folder.path / name) for name in table["file_name"]]
    return table.drop(columns="file_name")


def crop_rows(images: Images) -> pd.DataFrame:
    """What a classifier's pipeline begins with, one row a crop."""
    assert images.crops is not None
    paths = image_rows(images).set_index("image_id")["img_path"]
    crops = images.crops
    orphan = ~crops["image_id"].isin(paths.index)
    if orphan.any():
        raise BackendError(
            f"crop {crops.loc[orphan, 'annotation_id'].iloc[0]} is on image "
            f"{crops.loc[orphan, 'image_id'].iloc[0]}, which the table of images does not hold"
        )
    return pd.DataFrame(
        {
            "annotation_id": crops["annotation_id"].to_numpy(),
            "image_id": crops["image_id"].to_numpy(),
            "img_path": crops["image_id"].map(paths).to_numpy(),
            "box": crops[BOX].to_numpy().tolist(),
            "height": 0,
            "width": 0,
        }
    )
