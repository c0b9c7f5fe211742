"""Which training samples an epoch holds, and how often."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.mmengine_backend.data.training_set import TrainingSet
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
    copies = None
    if sampler.copies is not None:
        given = {_index(name, model, data): n for name, n in sampler.copies.items()}
        copies = [given.get(index, 1) for index in range(len(data.classes))]
    _check_samples(dataset, model, data)
    return {"type": "Copies", "dataset": dataset, "copies": copies}


def _index(name: str, model: Model, data: TrainingSet) -> int:
    categories = [name for name in data.classes if model.task != "seg" or name != "background"]
    if name not in categories:
        near = get_close_matches(name, categories) or categories
        raise BackendError(
            f"model {model.recipe!r}: sampler.copies: no category {name!r}; did you mean "
            f"{', '.join(near)}?"
        )
    return data.classes.index(name)


def _check_samples(dataset: Mapping[str, Any], model: Model, data: TrainingSet) -> None:
    """Whatever is to be drawn or copied must be there."""
    from recycling.backends.mmengine_backend.data.samplers import classes_of

    held = set().union(*classes_of(_build({**dataset, "pipeline": []})))
    all_of_them = data.classes[1:] if model.task == "seg" else data.classes
    wanted = all_of_them if model.sampler.copies is None else list(model.sampler.copies)
    missing = [name for name in wanted if data.classes.index(name) not in held]
    if missing:
        raise BackendError(
            f"model {model.recipe!r}: sampler {model.sampler.name!r}: no training sample holds "
            f"{', '.join(missing)}; choose other folds, drop the category or use repeat_factor"
        )


def _build(dataset: Mapping[str, Any]) -> Any:
    from mmengine.registry import DATASETS

    return DATASETS.build(copy.deepcopy(dict(dataset)))
