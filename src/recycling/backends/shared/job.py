"""One training: what it is, how it scores the held-out fold, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError, Checkpoint, Images, TrainingData
from recycling.backends.shared.checkpoint_folder import Trained, categories_of, write_checkpoint
from recycling.backends.shared.model import Model
from recycling.backends.shared.resume import Identity, end
from recycling.predictions import Predictions


@dataclass(frozen=True)
class Job:
    """One training, resolved once.

    Attributes:
        model: The settings.
        config: The library's resolved config.
        config_text: The same as its checkpoint keeps it.
        data: What to train on, and the fold that is held out.
        n_samples: How many images, or crops, there are to train on.
        training_sha256: Of the annotations that are trained on.
        work_dir: The run's folder.
        start: The file of the weights that it starts from, if one was given.
        versions: Of the libraries that make a difference, by name.
        identity: What the training depends on.
    """

    model: Model
    config: Any
    config_text: str
    data: TrainingData
    n_samples: int
    training_sha256: str
    work_dir: Path
    start: Path | None
    versions: Mapping[str, str]
    identity: Identity

    @property
    def name(self) -> str:
        """What the model is called in messages."""
        return self.work_dir.name


def check_can_score(model: Model, data: TrainingData) -> None:
    """Refuse `early_stopping` where nothing says how good predictions are.

    Raises:
        BackendError: It is asked for, and there is no score.
    """
    if model.early_stopping is not None and data.score is None:
        raise BackendError(
            f"model {model.recipe!r}: early_stopping needs TrainingData.score; give it"
        )


def scorer(
    job: Job, predict: Callable[[Any, Trained, Images], Predictions]
) -> Callable[[Any], float]:
    """What scores a network of a training on the held-out fold; higher is better.

    Args:
        job: The training; its data have a score.
        predict: Predicts with a network of the library, given what it is trained as.
    """
    held_out = job.data.validation
    annotations = held_out.annotations.annotations
    crops = annotations[~annotations["iscrowd"]] if job.model.task == "cls" else None
    images = Images(held_out.annotations.images, held_out.folder, crops)
    # One view of each image tells epochs apart.
    plain = {"test_time_augmentation": None, "probabilities": False}
    trained = Trained(job.model.model_copy(update=plain), categories_of(job.data), {})

    def score(network: Any) -> float:
        assert job.data.score is not None
        return float(job.data.score(predict(network, trained, images)))

    return score


def finish(
    job: Job,
    weights: Mapping[str, Any],
    figures: Mapping[str, Any],
    snapshots: Sequence[Mapping[str, Any]],
    config_name: str,
) -> Checkpoint:
    """Write the checkpoint of a training, and remove the state that it would go on from.

    Args:
        job: The training.
        weights: The state dict.
        figures: Of the training: seconds, loss, best epoch.
        snapshots: The state dicts of its snapshots.
        config_name: The name of the file for the config.

    Raises:
        BackendError: There is no room for it.
    """
    facts = {
        **figures,
        "training_sha256": job.training_sha256,
        "n_samples": job.n_samples,
        "libraries": dict(job.versions),
        "trained_as": job.identity.sha256,
    }
    trained = Trained(job.model, categories_of(job.data), facts)
    folder = job.work_dir / "checkpoint"
    checkpoint = write_checkpoint(folder, trained, weights, config_name, job.config_text, snapshots)
    end(job.work_dir)
    return checkpoint
