"""Recipes of a detector that also learns from images without labels, such as Soft Teacher.

The settings are of the detector, which is what a checkpoint holds and what predicts. In training
there are two of it: a student that learns, and a teacher, its average, which labels images.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError, refuse
from recycling.backends.mmengine_backend.config_tree import innermost
from recycling.backends.mmengine_backend.data.training_set import TrainingSet
from recycling.backends.shared.model import Model

Config = dict[str, Any]

SHORT_SIDE = 800
"""The shorter side of an image, pixels, that mmdet's configs of COCO are made for."""

CANNOT = {
    "control": "leave it out, and compare with a model of the same detector",
    "devices": "leave it out",
    "fold_norms": "leave it out",
    "pseudo_until": "leave it out",
    "score_weights": "leave it out: it learns from its teacher's labels",
}
"""The settings that mean nothing, or have not been tried, where a teacher labels images."""


def take_detector(base: Config) -> Config | None:
    """Leave of a recipe the detector alone, and give what was around it; None where nothing was.

    Args:
        base: The recipe, read; changed in place.
    """
    if "semi_train_cfg" not in base["model"]:
        return None
    around = base["model"]
    base["model"] = around.pop("detector")
    around.pop("data_preprocessor")
    return {"network": around, **{key: base[f"{key}_pipeline"] for key in ("weak", "strong")}}


def set_semi_supervised(config: Any, model: Model, around: Config, unlabelled: Path) -> None:
    """Put what is around a detector into its config, as ``semi_supervised``.

    Args:
        config: The resolved ``mmengine.Config`` of the detector; changed in place.
        model: The settings.
        around: Of `take_detector`.
        unlabelled: The annotation file of the images that are taken without labels.
    """
    refuse(model, CANNOT)
    config.semi_supervised = {
        "network": around["network"],
        "ann_file": str(unlabelled.resolve()),
        **{key: [_sized(step, model) for step in around[key]] for key in ("weak", "strong")},
    }


def _sized(step: Config, model: Model) -> Config:
    """A transform for the model's size."""
    if step["type"] != "RandomResize":
        return step
    shares = tuple(min(scale) / SHORT_SIDE for scale in step["scale"])
    square = (model.image_size, model.image_size)
    return {"type": "RandomResize", "scale": square, "ratio_range": shares, "keep_ratio": True}


def check_unlabelled(config: Mapping[str, Any], model: Model, data: TrainingSet) -> None:
    """Refuse a training that has no images to be labelled by a teacher.

    Raises:
        BackendError: There are none.
    """
    if "semi_supervised" in config and not data.pseudo:
        raise BackendError(
            f"model {model.recipe!r}: also learns from images without labels, and there are none; "
            "set train_on: labeled+ROUND, whose images are taken without their pseudo-labels"
        )


def add_teacher(config: Any) -> None:
    """Make of the config of a detector that of a training with a teacher.

    Args:
        config: Of `set_semi_supervised`; changed in place.
    """
    semi, detector = config.semi_supervised, config.model
    config.model = {
        **semi.network,
        "detector": detector,
        "data_preprocessor": {
            "type": "MultiBranchDataPreprocessor",
            "data_preprocessor": detector.data_preprocessor,
        },
    }
    labelled = config.train_dataloader.dataset
    inner = innermost(labelled)
    # The same loaders read both, and share what they may keep in memory.
    share = {step["cache_bytes"] for step in inner["pipeline"] if step["type"] == "ReadImage"}
    reading = [
        {**step, "cache_bytes": min(share)}
        for step in config.test_pipeline
        if step["type"] == "ReadImage"
    ]
    config.train_dataloader.dataset = {
        "type": "WithUnlabelledImages",
        "dataset": labelled,
        "unlabelled": {
            "type": "BaseDetDataset",
            "ann_file": semi.ann_file,
            "pipeline": [*reading, {"type": "LoadEmptyAnnotations"}],
        },
        "weak": semi.weak,
        "strong": semi.strong,
    }
