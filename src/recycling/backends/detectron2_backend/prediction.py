"""Detections from a network that is in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import BOX
from recycling.backends.core import Images, unwrapped_errors
from recycling.backends.detectron2_backend.checkpoint import Network
from recycling.backends.detectron2_backend.records import image_record
from recycling.predictions import DETECTIONS, Detections
from recycling.progress import track


def predict(network: Network, images: Images) -> Detections:
    """Predict on `images`, one image at a time, so that its neighbours change nothing.

    Args:
        network: What predicts; it is left in the mode of evaluation.
        images: What to predict on, without crops.

    Returns:
        Boxes in the pixels of the images and inside them: image by image, each one's from
        the surest to the least sure.

    Raises:
        BackendError: An image cannot be read.
    """
    network.module.eval()
    tables = [
        _table(image_id, instances, network) for image_id, instances in _instances(network, images)
    ]
    found = [table for table in tables if len(table)] or [DETECTIONS.empty()]
    table = pd.concat(found, ignore_index=True)
    return Detections(DETECTIONS.conform(table, where="detections of detectron2"))


def _instances(network: Network, images: Images) -> Iterator[tuple[int, Any]]:
    """The library's instances of each image, and its id."""
    import torch
    from detectron2.data import build_detection_test_loader

    from recycling.backends.detectron2_backend.views import Views, fused

    records = records_of(images)
    if not records:
        return
    config = network.config
    loader = build_detection_test_loader(
        records,
        mapper=Views(config, network.trained.model),
        num_workers=config.DATALOADER.NUM_WORKERS,
    )
    with torch.inference_mode(), unwrapped_errors():
        for (views,) in track(loader, "predicting", total=len(records)):
            # Each alone: as a batch they would be padded to one size.
            outputs = [network.module([view])[0]["instances"] for view in views]
            yield int(views[0]["image_id"]), fused(views, outputs, config)


def records_of(images: Images) -> list[dict[str, Any]]:
    """The images, as detectron2 names their fields.

    Raises:
        BackendError: A file is not there.
    """
    return [
        image_record(image, images.folder, image.image_id, _pixels(images, image.image_id))
        for image in images.table.itertuples(index=False)
    ]


def _pixels(images: Images, image_id: Any) -> NDArray[np.uint8] | None:
    return None if images.pixels is None else images.pixels[int(image_id)]


def _table(image_id: int, instances: Any, network: Network) -> pd.DataFrame:
    """The library's instances of one image as a table."""
    ids = [category["category_id"] for category in network.trained.categories]
    table = pd.DataFrame(instances.pred_boxes.tensor.numpy().astype("float64"), columns=BOX)
    table["image_id"] = image_id
    table["category_id"] = [ids[index] for index in instances.pred_classes.tolist()]
    table["score"] = instances.scores.numpy().astype("float64")
    return table
