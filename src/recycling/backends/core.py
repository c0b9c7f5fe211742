"""The seam between the project and the libraries that train."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import ImageFolder, LabeledImages
from recycling.backends.shared.activation_maps import ActivationMap, Asked, Method
from recycling.backends.shared.model import Model, Task
from recycling.predictions import Predictions


class BackendError(RuntimeError):
    """A model cannot be trained or used: one line, which model, what is wrong, what to do."""


@dataclass(frozen=True)
class Recipes:
    """The folder of model configs: one folder a backend, one file a recipe.

    Attributes:
        folder: Where they are, usually ``conf/recipes``.
    """

    folder: Path

    def find(self, backend: str, name: str) -> Path:
        """The config file of a recipe.

        Raises:
            BackendError: There is none of that name; the message lists the nearest ones.
        """
        known = {path.stem: path for path in sorted((self.folder / backend).glob("[!_]*.*"))}
        if name in known:
            return known[name]
        near = get_close_matches(name, known) or sorted(known)
        raise BackendError(
            f"{self.folder / backend}: no recipe {name!r}; did you mean {', '.join(near)}?"
        )


@dataclass(frozen=True)
class TrainingData:
    """What one training sees.

    Attributes:
        train: The labelled images of the other folds and, where the model asks for them, the
            pseudo-labelled ones. Image ids may repeat from one to the other.
        validation: The labelled images of the fold that is held out.
        categories: The table of categories; its order is the order of class indices.
        score: How good predictions for the held-out images are, higher is better; NaN where it
            cannot be known. What a training with `early_stopping` asks after each epoch.
        scored_by: What `score` goes by, in words; a training that has asked another is made anew.
        images_an_epoch: How many images (for a classifier: crops) an epoch takes; the training
            images are gone through in shuffled order, again and again. Two trainings with the
            same number have the same steps and learning rates, however many images each has. None
            takes each image once, or as often as the sampler says.
        epoch_parts: Where `images_an_epoch` is not set: an epoch takes as many images as so many
            first parts of `train` have that the library learns from. What else there is, such as
            augmented copies, changes what is seen and no number of steps. None counts all parts.
    """

    train: Sequence[LabeledImages]
    validation: LabeledImages
    categories: pd.DataFrame
    score: Callable[[Predictions], float] | None = None
    scored_by: str | None = None
    images_an_epoch: int | None = None
    epoch_parts: int | None = None

    def __post_init__(self) -> None:
        if self.images_an_epoch is not None and self.images_an_epoch < 1:
            raise BackendError(f"images_an_epoch is {self.images_an_epoch}; give 1 or more")
        if self.epoch_parts is not None and not 1 <= self.epoch_parts <= len(self.train):
            raise BackendError(
                f"epoch_parts is {self.epoch_parts}, and there are {len(self.train)} parts; give "
                "one of these"
            )

    def n_samples(self, task: Task) -> int:
        """How many images there are to train on, or crops: what two trainings may share.

        Args:
            task: ``cls`` has one sample an object, the others one an image.

        Returns:
            A number for `images_an_epoch`; libraries may leave out images without objects.
        """
        if task != "cls":
            return sum(len(part.annotations.images) for part in self.train)
        return sum(len(part.annotations.objects().annotations) for part in self.train)

    @property
    def class_names(self) -> list[str]:
        """The names of the categories, in the order of class indices."""
        return [str(name) for name in self.categories["name"]]

    @property
    def class_of(self) -> dict[int, int]:
        """The class index of each category id."""
        ids = self.categories["category_id"]
        return {int(category_id): index for index, category_id in enumerate(ids)}


@dataclass(frozen=True)
class Images:
    """What a model predicts on.

    Attributes:
        table: The images; schema `recycling.annotations.IMAGES`.
        folder: Where their files are.
        crops: What a classifier looks at: `annotation_id, image_id` and a box in pixels, one row
            a crop. Detectors and segmenters take no crops.
        pixels: The images themselves by id, (H, W, 3) RGB, where they are in memory; no file is
            then looked at.
    """

    table: pd.DataFrame
    folder: ImageFolder
    crops: pd.DataFrame | None = None
    pixels: Mapping[int, NDArray[np.uint8]] | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A trained model: a folder that `predict` needs nothing beside.

    It holds ``weights.pth``, ``config.json`` or ``config.yaml`` (the library's resolved config)
    and ``checkpoint.json`` (the model's settings, its categories, the training log's last figures
    and the sha256 of what it was trained on).
    """

    folder: Path

    @property
    def weights(self) -> Path:
        """The file of the weights: a state dict of plain tensors."""
        return self.folder / "weights.pth"

    @property
    def backend(self) -> str:
        """The name of the library that trained it.

        Raises:
            BackendError: The folder holds no checkpoint.
        """
        return str(self._fact("model", "backend"))

    @property
    def category_names(self) -> list[str]:
        """The names of the categories that it knows, in the order of class indices.

        Raises:
            BackendError: The folder holds no checkpoint.
        """
        try:
            return [str(category["name"]) for category in self._fact("categories")]
        except (KeyError, TypeError) as error:
            raise self._no_checkpoint() from error

    @property
    def best_epoch(self) -> int | None:
        """After how many epochs its weights were best; None where nothing looked.

        Raises:
            BackendError: The folder holds no checkpoint.
        """
        try:
            best = self.facts.get("best_epoch")
            return None if best is None else int(best)
        except (TypeError, ValueError, OverflowError) as error:
            raise self._no_checkpoint() from error

    @property
    def facts(self) -> dict[str, Any]:
        """All that `checkpoint.json` says: settings, seconds, loss, throughput, memory, versions.

        Raises:
            BackendError: The folder holds no checkpoint.
        """
        self._fact("model")
        return dict(self._fact())

    def _fact(self, *keys: str) -> Any:
        path = self.folder / "checkpoint.json"
        try:
            return reduce(getitem, keys, json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._no_checkpoint() from error

    def _no_checkpoint(self) -> BackendError:
        return BackendError(
            f"{self.folder / 'checkpoint.json'}: not a checkpoint; train the model again"
        )


@dataclass(frozen=True)
class RunFolder:
    """Where trainings keep their logs and what they need to go on after a stop.

    Attributes:
        path: The folder; it need not exist. Each training has a folder of its own below it.
    """

    path: Path


@contextmanager
def unwrapped_errors() -> Iterator[None]:
    """Take off the traceback that a loader process wraps around the line that it raises."""
    try:
        yield
    except BackendError as error:
        raise BackendError(str(error).strip().rsplit("BackendError: ", 1)[-1]) from error


def refuse(model: Model, cannot: Mapping[str, str]) -> None:
    """Refuse settings that a backend cannot honour.

    Args:
        model: The settings.
        cannot: The names of those that it cannot honour, which have to be at their defaults, and
            what to do where one is not.

    Raises:
        BackendError: One of them is set.
    """
    for name, advice in cannot.items():
        default = Model.model_fields[name].default
        if getattr(model, name) != default:
            raise BackendError(
                f"model {model.recipe!r}: {model.backend} cannot honour {name!r}; {advice}"
            )


class LoadedModel(Protocol):
    """A trained model in memory, which predicts again and again."""

    @property
    def categories(self) -> Sequence[Mapping[str, Any]]:
        """`category_id` and `name` of each category, in the order of class indices."""
        ...

    def predict(self, images: Images) -> Predictions:
        """Predict on `images`, in the project's formats."""
        ...


class Backend(Protocol):
    """A library that trains."""

    def train(self, model: Model, recipe: Path, data: TrainingData, work_dir: Path) -> Checkpoint:
        """Train `model`, built from the config file `recipe`, on `data`.

        Logs and the checkpoint's folder go below `work_dir`.
        """
        ...

    def load(
        self, checkpoint: Checkpoint, *, device: str | None = None, **settings: Any
    ) -> LoadedModel:
        """Load a trained model once.

        `device` is a name of torch's, by default that of a GPU where there is one; `settings` are
        those of the model that say how it predicts, and take the place of its own.
        """
        ...

    def predict(self, checkpoint: Checkpoint, images: Images) -> Predictions:
        """Predict on `images`, in the project's formats."""
        ...

    def explain(
        self, checkpoint: Checkpoint, images: Images, asked: Asked, method: Method = "grad_cam"
    ) -> ActivationMap:
        """Where a model looked for one prediction.

        Raises:
            BackendError: Its models cannot be asked that.
        """
        ...
