"""The adapter: a model's settings in, calls of detectron2, a checkpoint or detections out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError, Checkpoint, Images, TrainingData
from recycling.backends.detectron2_backend import session
from recycling.backends.detectron2_backend.activation_maps import activation_map
from recycling.backends.detectron2_backend.anchors import set_anchors
from recycling.backends.detectron2_backend.checkpoint import CONFIG, Network, load_trained
from recycling.backends.detectron2_backend.losses import class_weights
from recycling.backends.detectron2_backend.prediction import predict
from recycling.backends.detectron2_backend.pretrained import find_start
from recycling.backends.detectron2_backend.records import training_records
from recycling.backends.detectron2_backend.resolve import resolve
from recycling.backends.detectron2_backend.state import identity
from recycling.backends.detectron2_backend.training import DetectorJob, fit
from recycling.backends.shared.activation_maps import ActivationMap, Asked, Method
from recycling.backends.shared.albumentations_list import check_albumentations
from recycling.backends.shared.checkpoint_folder import sha256_of_data, with_settings
from recycling.backends.shared.failing_step import enough_memory
from recycling.backends.shared.ignore_regions import say_ignore_regions
from recycling.backends.shared.job import check_can_score, finish
from recycling.backends.shared.model import Model
from recycling.backends.shared.resume import alone_in, begin
from recycling.backends.shared.settings import WHOLE_BATCH
from recycling.backends.shared.threads import set_threads
from recycling.predictions import Detections


class Detectron2Backend:
    """Trains a detector of detectron2 and predicts with it."""

    def train(self, model: Model, recipe: Path, data: TrainingData, work_dir: Path) -> Checkpoint:
        """Train `model`, built from the config file `recipe`, on `data`.

        The same call twice on one machine's processors gives the same weights. A training that
        was stopped goes on after its last whole epoch, and ends as it would have ended. One that
        ended before, with all that it depends on as it is now, is not run again; remove its folder
        for that. Whatever has changed is named in one line.

        Args:
            model: The settings.
            recipe: A config in detectron2's language; see `resolve`.
            data: What to train on; the held-out fold is only looked at for `early_stopping`,
                nothing is learnt as background in crowds.
            work_dir: Gets ``train.log``, ``metrics.json`` (losses by iteration),
                ``metrics.jsonl`` (by epoch), the state of a training that has not ended, and
                ``checkpoint/``.

        Raises:
            BackendError: A setting, the recipe, the weights to start from or the data cannot be
                used, an image cannot be read, the loss is no longer a number, the disk is full,
                or another process trains in `work_dir`.
        """
        check_can_score(model, data)
        work_dir.mkdir(parents=True, exist_ok=True)
        with (
            alone_in(work_dir),
            session.library(work_dir / "train.log"),
            session.reproducible(deterministic=model.deterministic),
        ):
            job = _prepared(model, recipe, data, work_dir)
            ended = begin(work_dir, job.identity)
            if ended is not None:
                return with_settings(ended, model, CONFIG, job.config_text)
            say_ignore_regions(job.name, data)
            return finish(job, *fit(job), CONFIG)

    def load(
        self, checkpoint: Checkpoint, *, device: str | None = None, **settings: Any
    ) -> LoadedNetwork:
        """Load a trained detector, to predict with it again and again.

        Args:
            checkpoint: The folder that `train` made; nothing else is needed.
            device: What torch computes on; None for the one that the model names, or the GPU where
                there is one.
            settings: Those of the model that say how it predicts, instead of its own.

        Raises:
            BackendError: The folder is no checkpoint or is not whole, there is no such device, or
                memory runs out.
        """
        with session.library(), enough_memory(checkpoint.folder):
            return LoadedNetwork(checkpoint, load_trained(checkpoint, device, settings))

    def predict(self, checkpoint: Checkpoint, images: Images) -> Detections:
        """Predict on `images`, one image at a time, so that its neighbours change nothing.

        Args:
            checkpoint: The folder that `train` made; nothing else is needed.
            images: What to predict on, without crops.

        Returns:
            Boxes in the pixels of the images and inside them: image by image, each one's
            from the surest to the least sure.

        Raises:
            BackendError: The folder is no whole checkpoint, an image cannot be read, or memory
                runs out.
        """
        return self.load(checkpoint).predict(images)

    def explain(
        self, checkpoint: Checkpoint, images: Images, asked: Asked, method: Method = "grad_cam"
    ) -> ActivationMap:
        """Where the network looked for one box.

        Args:
            checkpoint: The folder that `train` made.
            images: One image.
            asked: The box.
            method: How it is found out.

        Raises:
            BackendError: As `predict`; or the network does not predict that.
        """
        with session.library(), enough_memory(checkpoint.folder):
            return activation_map(load_trained(checkpoint), images, asked, method)


@dataclass(frozen=True)
class LoadedNetwork:
    """A trained detector in memory.

    Attributes:
        checkpoint: Where it comes from.
        network: The network.
    """

    checkpoint: Checkpoint
    network: Network

    @property
    def categories(self) -> Sequence[Mapping[str, Any]]:
        """`category_id` and `name` of each category, in the order of class indices."""
        return self.network.trained.categories

    def predict(self, images: Images) -> Detections:
        """As `Detectron2Backend.predict`.

        Raises:
            BackendError: Crops were given, an image cannot be read, or memory runs out.
        """
        if images.crops is not None:
            raise BackendError(
                f"{self.checkpoint.folder}: a detector looks at whole images; leave out the crops"
            )
        with session.library(), enough_memory(self.checkpoint.folder):
            # Left as before by the session that loaded it.
            set_threads(self.network.module, self.network.trained.model)
            return predict(self.network, images)


def _prepared(model: Model, recipe: Path, data: TrainingData, work_dir: Path) -> DetectorJob:
    """All that can be known before the first step."""
    from recycling.backends.detectron2_backend.samples import iterations_until, stream_of

    config = resolve(model, recipe, n_classes=len(data.categories))
    start = find_start(model, config)
    records = training_records(data, config, work_dir.name)
    set_anchors(config, model, data)
    weights = class_weights(model, data)
    _check_augmentation(model)
    stream = stream_of(model, records, data.class_names, _images_an_epoch(data, records))
    config.SOLVER.MAX_ITER = iterations_until(model.epochs, model, stream)
    training_sha256 = sha256_of_data(data)
    versions = session.versions()
    return DetectorJob(
        model,
        config,
        config.dump(),
        data,
        len(records),
        training_sha256,
        work_dir,
        start,
        versions,
        identity(model, config, data, training_sha256, versions, start),
        stream=stream,
        class_weights=weights,
    )


def _images_an_epoch(data: TrainingData, records: Sequence[Mapping[str, Any]]) -> int | None:
    """How many images an epoch takes: of the first parts those that were not left out."""
    if data.images_an_epoch is not None or data.epoch_parts is None:
        return data.images_an_epoch
    return sum(record["part"] < data.epoch_parts for record in records) or None


def _check_augmentation(model: Model) -> None:
    if model.augmentation is None or model.augmentation == "published":
        return
    for entry in model.listed_augmentation:
        for name in WHOLE_BATCH:
            if name in entry:
                raise BackendError(
                    f"model {model.recipe!r}: detectron2 cannot honour augmentation {name!r}; "
                    "use classes of Albumentations"
                )
    check_albumentations(model.listed_augmentation, "det", model.image_size)
