"""The adapter: a model's settings in, calls of detectron2, a checkpoint or detections out."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pandas as pd

from recycling.annotations import BOX
from recycling.backends.core import BackendError, Checkpoint, Images, TrainingData
from recycling.backends.detectron2_backend import session
from recycling.backends.detectron2_backend.checkpoint import (
    Trained,
    categories_of,
    load_trained,
    sha256_of,
    write_checkpoint,
)
from recycling.backends.detectron2_backend.records import (
    NamesTheFile,
    picture_record,
    training_records,
)
from recycling.backends.detectron2_backend.resolve import resolve
from recycling.backends.detectron2_backend.training import fit
from recycling.backends.model import Model
from recycling.predictions import DETECTIONS, Detections
from recycling.progress import track


class Detectron2Backend:
    """Trains a detector of detectron2 and predicts with it."""

    def train(self, model: Model, recipe: Path, data: TrainingData, work_dir: Path) -> Checkpoint:
        """Train `model`, built from the config file `recipe`, on `data`.

        The same call twice on one machine's processors gives the same weights.

        Args:
            model: The settings.
            recipe: A config in detectron2's language; see `resolve`.
            data: What to train on; the held-out fold is not looked at, crowds are left out.
            work_dir: Gets ``train.log``, ``metrics.json`` (losses by iteration) and
                ``checkpoint/``.

        Raises:
            BackendError: A setting, the recipe or the data cannot be used, an image cannot be
                read, or the loss is no longer a number.
        """
        name = work_dir.name
        work_dir.mkdir(parents=True, exist_ok=True)
        with session.library(log=work_dir / "train.log"):
            config = resolve(model, recipe, n_classes=len(data.categories))
            records = training_records(data, config, name)
            config.SOLVER.MAX_ITER = math.ceil(model.epochs * len(records) / model.batch_size)
            began = time.perf_counter()
            with session.reproducible(model.seed):
                network, last_loss = fit(model, config, records, work_dir, name)
            seconds = time.perf_counter() - began
            facts = {
                "seconds": round(seconds, 3),
                "images_per_second": round(config.SOLVER.MAX_ITER * model.batch_size / seconds, 2),
                "iterations": config.SOLVER.MAX_ITER,
                "last_loss": last_loss,
                "training_sha256": sha256_of(data),
                "n_samples": len(records),
                "libraries": session.versions(),
            }
            trained = Trained(model, categories_of(data), facts)
            return write_checkpoint(work_dir / "checkpoint", trained, config, network.state_dict())

    def predict(self, checkpoint: Checkpoint, images: Images) -> Detections:
        """Predict on `images`, one picture at a time, so that its neighbours change nothing.

        Args:
            checkpoint: The folder that `train` made; nothing else is needed.
            images: What to predict on, without crops.

        Returns:
            Boxes in the pixels of the pictures and inside them: picture by picture, each one's
            from the surest to the least sure.

        Raises:
            BackendError: The folder is no whole checkpoint, or an image cannot be read.
        """
        if images.crops is not None:
            raise BackendError(
                f"{checkpoint.folder}: a detector looks at whole images; leave out the crops"
            )
        with session.library():
            config, network, trained = load_trained(checkpoint)
            tables = [
                _detections(image_id, instances, trained)
                for image_id, instances in _instances(config, network, images)
            ]
        found = [table for table in tables if len(table)] or [DETECTIONS.empty()]
        table = pd.concat(found, ignore_index=True)
        return Detections(DETECTIONS.conform(table, where=f"predictions of {checkpoint.folder}"))


def _instances(config: Any, network: Any, images: Images) -> list[tuple[int, Any]]:
    import torch
    from detectron2.data import DatasetMapper, build_detection_test_loader

    records = [
        picture_record(image, images.folder, image.image_id)
        for image in images.table.itertuples(index=False)
    ]
    if not records:
        return []
    loader = build_detection_test_loader(
        records,
        mapper=NamesTheFile(DatasetMapper(config, is_train=False)),
        num_workers=config.DATALOADER.NUM_WORKERS,
    )
    found = []
    with torch.inference_mode(), session.unwrapped_errors():
        for batch in track(loader, "predicting", total=len(records)):
            for record, output in zip(batch, network(batch), strict=True):
                found.append((int(record["image_id"]), output["instances"].to("cpu")))
    return found


def _detections(image_id: int, instances: Any, trained: Trained) -> pd.DataFrame:
    """The library's instances of one image as a table."""
    ids = [category["category_id"] for category in trained.categories]
    table = pd.DataFrame(instances.pred_boxes.tensor.numpy().astype("float64"), columns=BOX)
    table["image_id"] = image_id
    table["category_id"] = [ids[index] for index in instances.pred_classes.tolist()]
    table["score"] = instances.scores.numpy().astype("float64")
    return table
