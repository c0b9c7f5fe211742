"""Which training samples an epoch holds, and how often."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from recycling.backends.mmengine_backend.data.training_set import TrainingSet
from recycling.backends.shared.copies import check_sampled, copies_by_class
from recycling.backends.shared.epochs import first_labeled_epoch, no_labeled
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
    holder, dataset = None, config.train_dataloader.dataset
    while "dataset" in dataset:
        holder, dataset = dataset, dataset["dataset"]
    wrapped = _by_epoch(_wrapped(dataset, model, data), model, data)
    if model.sampler.name == "class_balanced" and wrapped is dataset:
        config.train_dataloader.sampler = {"type": "ClassBalancedSampler"}
    elif wrapped is dataset:
        return
    elif holder is None:
        config.train_dataloader.dataset = wrapped
    else:
        # Below what mixes images: the mix can draw each copy, and no sample that has no part.
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
    if data.images_an_epoch is not None:
        return data.images_an_epoch
    if not model.sampler.repeats:
        return data.n_samples
    return len(_build(_wrapped({**dataset, "pipeline": []}, model, data)))


def _by_epoch(dataset: Any, model: Model, data: TrainingSet) -> Any:
    """A data set whose epochs are as long, and of such samples, as asked for."""
    labeled_from = first_labeled_epoch(model) if data.pseudo else None
    if labeled_from is not None and sum(end - first for first, end in data.pseudo) == (
        data.n_samples
    ):
        raise no_labeled(model)
    if data.images_an_epoch is None and labeled_from is None:
        return dataset
    built = {**dataset, "pipeline": []} if "pipeline" in dataset else dataset
    return {
        "type": "SamplesByEpoch",
        "dataset": dataset,
        "n_samples": data.images_an_epoch or len(_build(built)),
        "pseudo": [list(part) for part in data.pseudo],
        "labeled_from": labeled_from,
        "class_balanced": model.sampler.name == "class_balanced",
        "seed": model.seed,
    }


def _wrapped(dataset: Any, model: Model, data: TrainingSet) -> Any:
    """A data set with the copies that the sampler asks for."""
    sampler = model.sampler
    if sampler.name == "shuffle":
        return dataset
    if sampler.name == "repeat_factor":
        return {
            "type": "RepeatFactors",
            "dataset": dataset,
            "threshold": sampler.threshold,
            "seed": model.seed,
        }
    _check_samples(dataset, model, data)
    if sampler.name == "class_balanced":
        return dataset
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
