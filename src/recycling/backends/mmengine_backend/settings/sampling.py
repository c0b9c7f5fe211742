"""Which training samples an epoch holds, and how often."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from recycling.backends.mmengine_backend.data.training_set import TrainingSet
from recycling.backends.shared.copies import check_sampled, copies_by_class
from recycling.backends.shared.model import Model


def set_sampler(config: Any, model: Model, data: TrainingSet) -> None:
    """Put `sampler` into a config.

    Args:
        config: The resolved ``mmengine.Config``; changed in place. Where the sampler copies
            samples, its schedule must have been made for `samples_per_epoch`.
        model: The settings.
        data: What is trained on.

    Raises:
        BackendError: A category is unknown, or has no sample to be drawn; one line.
    """
    if model.sampler.name == "shuffle":
        return
    holder, dataset = None, config.train_dataloader.dataset
    while "dataset" in dataset:
        holder, dataset = dataset, dataset["dataset"]
    wrapped = _wrapped(dataset, model, data)
    if model.sampler.name == "class_balanced":
        config.train_dataloader.sampler = {"type": "ClassBalancedSampler"}
    elif holder is None:
        config.train_dataloader.dataset = wrapped
    else:
        # Below what mixes images: the mix can draw each copy.
        holder["dataset"] = wrapped


def samples_per_epoch(dataset: Mapping[str, Any], model: Model, data: TrainingSet) -> int:
    """How many samples an epoch holds, of all devices together.

    Args:
        dataset: The config of the data set, before `set_sampler`.
        model: The settings.
        data: What is trained on.

    Raises:
        BackendError: As of `set_sampler`.
    """
    if model.sampler.name not in ("oversample", "repeat_factor"):
        return data.n_samples
    return len(_build(_wrapped({**dataset, "pipeline": []}, model, data)))


def _wrapped(dataset: Mapping[str, Any], model: Model, data: TrainingSet) -> dict[str, Any]:
    sampler = model.sampler
    if sampler.name == "repeat_factor":
        return {
            "type": "ClassBalancedDataset",
            "dataset": dataset,
            "oversample_thr": sampler.threshold,
        }
    _check_samples(dataset, model, data)
    copies = copies_by_class(model, data.classes)
    return {"type": "Copies", "dataset": dataset, "copies": copies}


def _check_samples(dataset: Mapping[str, Any], model: Model, data: TrainingSet) -> None:
    """Whatever is to be drawn or copied must be there."""
    from recycling.backends.mmengine_backend.data.samplers import classes_of

    categories = data.classes[1:] if model.task == "seg" else data.classes
    held = set().union(*classes_of(_build({**dataset, "pipeline": []})))
    check_sampled(model, categories, {data.classes[index] for index in held}, "sample")


def _build(dataset: Mapping[str, Any]) -> Any:
    from mmengine.registry import DATASETS

    return DATASETS.build(copy.deepcopy(dict(dataset)))
