"""``augmentation: published``: what the library's own config of a recipe trains with.

Read out of the config that the recipe inherits from its library, wherever the library has put it;
sizes are brought to the model's `image_size`. A recipe of a network that the library has not
published says it itself: ``published`` is a list of the library's transforms, made for images of
``published_size`` pixels, or the name of another config of the library.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.shared.model import Model

Config = dict[str, Any]

_READING = {
    "LoadAnnotations", "LoadImageFromFile", "MultiBranch", "PackDetInputs", "PackInputs",
    "PackSegInputs",
    # Batches are padded as every other model's are.
    "Pad",
}  # fmt: skip
_AS_THEY_ARE = {
    "AutoAugment", "ColorJitter", "Expand", "MinIoURandomCrop", "PhotoMetricDistortion",
    "RandAugment", "RandomErasing", "RandomFlip", "YOLOXHSVRandomAug",
}  # fmt: skip
_RESIZING = {
    "EfficientNetRandomCrop", "RandomChoice", "RandomChoiceResize", "RandomResize",
    "RandomResizedCrop",
}  # fmt: skip
"""What makes any image one of the size that is learnt from, at random."""
_OF_MOSAIC = {"RandomAffine", "RandomResize"}
"""What is made for the size of a mosaic, where it follows one."""
MIXES = {"Mosaic", "MixUp"}
"""Transforms of several images."""
_CACHED = {"CachedMosaic": "Mosaic", "CachedMixUp": "MixUp"}
"""Mixes with what a loader process has seen lately, and what any images take the place of here: a
training that was stopped has seen nothing lately."""


@dataclass(frozen=True)
class Published:
    """What a recipe was published with, for the model's image size.

    Attributes:
        steps: The library's transforms between reading a sample and packing it; mixes of several
            images with what follows from them are in lists of their own.
        resizes: Whether the first of them, but for flips, resizes, so that nothing else need.
        batch_mixes: A classifier's mixes of whole batches.
    """

    steps: list[Config | list[Config]]
    resizes: bool
    batch_mixes: list[Config] = field(default_factory=list)


def read_published(model: Model, recipe: Path, base: Mapping[str, Any]) -> Published:
    """What the library's own config of a recipe trains with.

    Args:
        model: The settings.
        recipe: The recipe's file.
        base: What is in it.

    Raises:
        BackendError: Nothing is published, or a transform is not known here; one line.
    """
    said = base.get("published")
    if isinstance(said, (list, tuple)):
        return _published(model, list(said), float(base["published_size"]), [])
    name = said or _inherited(recipe)
    if name is None:
        raise BackendError(
            f"model {model.recipe!r}: augmentation: nothing is published for this recipe: it "
            "inherits no config of its library; list the augmentation"
        )
    config = _of_library(str(name))
    dataset = _dataset(config["train_dataloader"]["dataset"])
    steps = [_of_any_images(dict(step)) for step in dataset["pipeline"]]
    batch: Any = []
    if model.task == "cls":
        batch = (config["model"].get("train_cfg") or {}).get("augments") or []
    batch = [batch] if isinstance(batch, dict) else batch
    return _published(model, steps, _size(config, steps), [dict(mix) for mix in batch])


# What the library says ------------------------------------------------------------------------


def _inherited(recipe: Path) -> str | None:
    """The config of the library that a recipe inherits, through other recipes if need be."""
    from mmengine.config import Config

    if recipe.suffix != ".py":
        return None
    for base in Config._get_base_files(str(recipe)):
        if "::" in base:
            return str(base)
        if (found := _inherited(recipe.parent / base)) is not None:
            return found
    return None


def _of_library(name: str) -> Any:
    from mmengine.config import Config

    library, _, path = name.partition("::")
    package = Path(str(importlib.import_module(library).__file__)).parent
    return Config.fromfile(
        str(package / ".mim" / "configs" / path), import_custom_modules=False
    ).to_dict()


def _dataset(dataset: Mapping[str, Any]) -> Mapping[str, Any]:
    """The data set with the transforms, without those around it that repeat its images."""
    while "pipeline" not in dataset:
        dataset = dataset["dataset"]
    return dataset


def _of_any_images(step: Config) -> Config:
    """A mix of images from a cache as one of any images."""
    if step["type"] not in _CACHED:
        return step
    cache = ("max_cached_images", "random_pop")
    kept = {key: value for key, value in step.items() if key not in cache}
    return {**kept, "type": _CACHED[step["type"]]}


def _size(config: Mapping[str, Any], steps: Sequence[Config]) -> float:
    """The side, in pixels, that stands for `image_size` in a config: what it is made for."""
    for step in steps:
        if step["type"] in MIXES:
            return float(step["img_scale"][0])
        if step["type"] == "RandomResize" and "ratio_range" in step:
            return float(min(step["scale"]))
    tested = _dataset((config.get("test_dataloader") or config["val_dataloader"])["dataset"])
    for step in tested["pipeline"]:
        if step["type"] == "Resize":
            scale = step["scale"]
            return float(scale if isinstance(scale, int) else min(scale))
    return 1.0  # of classifiers, whose every size is that of the crop


# For the model's size -------------------------------------------------------------------------


def _published(
    model: Model, steps: Sequence[Config], size: float, batch: list[Config]
) -> Published:
    scaled = [each for step in steps if (each := _scaled(step, model, size)) is not None]
    first_kind = next((step["type"] for step in scaled if step["type"] != "RandomFlip"), None)
    resizes = first_kind in _RESIZING
    grouped: list[Config | list[Config]] = []
    for number, step in enumerate(scaled):
        if step["type"] in MIXES:
            grouped.append([step])
        elif step["type"] in _OF_MOSAIC and number and scaled[number - 1]["type"] == "Mosaic":
            # The mosaic is twice as large as the image.
            assert isinstance(grouped[-1], list)
            grouped[-1].append(step)
        else:
            grouped.append(step)
    if grouped and isinstance(first := grouped[0], dict) and first["type"] == "Resize":
        del grouped[0]  # every sample is resized before
    return Published(grouped, resizes, batch)


def _scaled(step: Config, model: Model, size: float) -> Config | None:
    """A transform for the model's size; None where it only reads, packs or pads."""
    kind, square = step["type"], (model.image_size, model.image_size)
    by = model.image_size / size
    if kind in _READING:
        return None
    if kind in _AS_THEY_ARE:
        return dict(step)
    if kind == "FilterAnnotations":
        # Images without objects are learnt from too; with "keep_empty" the library drops them.
        return {**step, "keep_empty": False}
    if kind in MIXES:
        return {**step, "img_scale": square}
    if kind == "RandomAffine":
        return {**step, "border": tuple(round(by * side) for side in step["border"])}
    if kind == "Resize":
        return {"type": kind, "scale": square, "keep_ratio": True}
    if kind == "RandomResize" and "ratio_range" in step:
        side = round(by * min(step["scale"]))
        return {**step, "scale": (side, side)}
    if kind == "RandomResize":
        shares = tuple(min(scale) / size for scale in step["scale"])
        return {"type": kind, "scale": square, "ratio_range": shares, "keep_ratio": True}
    if kind == "RandomChoiceResize":
        shorts = [scale if isinstance(scale, int) else min(scale) for scale in step["scales"]]
        return {"type": kind, "scales": [_square(side, by) for side in shorts], "keep_ratio": True}
    if kind == "RandomChoice":
        choices = [[_scaled(each, model, size) for each in choice] for choice in step["transforms"]]
        return {**step, "transforms": choices}
    if kind == "RandomCrop" and model.task == "seg":
        return {**step, "crop_size": square}
    if kind == "RandomCrop":
        crop = tuple(round(by * side) for side in step["crop_size"])
        # Images without objects are learnt from too.
        return {**step, "crop_size": crop, "allow_negative_crop": True}
    if kind in ("EfficientNetRandomCrop", "RandomResizedCrop"):
        return {**step, "scale": model.image_size}
    raise BackendError(
        f"model {model.recipe!r}: augmentation: published uses {kind}, and nothing says how that "
        "is brought to image_size; list the augmentation"
    )


def _square(side: float, by: float) -> tuple[int, int]:
    """A scale whose longer side is `side` of the published one, as every model's images are."""
    return round(by * side), round(by * side)
