"""From a recipe and a model's settings to the config that detectron2 builds from.

A recipe is a YAML file of detectron2's own keys: the network, its losses, the augmentation, how a
batch is sampled. Its ``_BASE_`` names a config that detectron2 ships, after ``detectron2::``, or
another recipe beside it. All else comes from the settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError, refuse
from recycling.backends.detectron2_backend.freezing import set_freeze
from recycling.backends.detectron2_backend.losses import set_loss
from recycling.backends.shared.devices import checked_device
from recycling.backends.shared.model import Model
from recycling.backends.shared.settings import SCORE_WEIGHTS_OF
from recycling.errors import one_line

LIBRARY = "detectron2::"
"""What ``_BASE_`` starts with where it names a config that detectron2 ships."""

ARCHITECTURES = ("GeneralizedRCNN", "RetinaNet")
"""The meta-architectures that give boxes, and whose classes and threshold are known here."""

WARMUP_FACTOR = 0.01
"""Where a warm-up begins, as a share of the learning rate, unless a recipe or an option says so."""

CANNOT = {
    "backbone": "remove it",
    "channels_last": "remove it",
    "devices": "remove it",
    "fold_norms": "remove it",
    "mosaic_off_epochs": "remove it, it has no mosaic",
    "score_weights": f"remove it, or use one of the {SCORE_WEIGHTS_OF}",
}
"""The settings that this library cannot honour, and what to do."""

SET_BY = {
    "DATALOADER.NUM_WORKERS": "workers",
    "DATALOADER.REPEAT_THRESHOLD": "sampler.threshold",
    "DATALOADER.SAMPLER_TRAIN": "sampler.name",
    "INPUT.MASK_FORMAT": "the annotations",
    "INPUT.MAX_SIZE_TEST": "image_size",
    "INPUT.MAX_SIZE_TRAIN": "image_size",
    "INPUT.MIN_SIZE_TEST": "image_size",
    "INPUT.MIN_SIZE_TRAIN": "image_size",
    "INPUT.MIN_SIZE_TRAIN_SAMPLING": "image_size",
    "MODEL.RETINANET.NUM_CLASSES": "the categories",
    "MODEL.RETINANET.SCORE_THRESH_TEST": "score_threshold",
    "MODEL.ROI_HEADS.NUM_CLASSES": "the categories",
    "MODEL.ROI_HEADS.SCORE_THRESH_TEST": "score_threshold",
    "MODEL.WEIGHTS": "pretrained",
    "SEED": "seed",
    "SOLVER.AMP.ENABLED": "precision",
    "SOLVER.BASE_LR": "optimizer.learning_rate",
    "SOLVER.CLIP_GRADIENTS.CLIP_TYPE": "optimizer.clip_grad_norm",
    "SOLVER.CLIP_GRADIENTS.CLIP_VALUE": "optimizer.clip_grad_norm",
    "SOLVER.CLIP_GRADIENTS.ENABLED": "optimizer.clip_grad_norm",
    "SOLVER.IMS_PER_BATCH": "batch_size",
    "SOLVER.LR_SCHEDULER_NAME": "schedule.name",
    "SOLVER.MAX_ITER": "epochs",
    "SOLVER.MOMENTUM": "optimizer.momentum",
    "SOLVER.STEPS": "schedule.name",
    "SOLVER.WARMUP_ITERS": "schedule.warmup",
    "SOLVER.WEIGHT_DECAY": "optimizer.weight_decay",
}
"""Keys of detectron2's config that something else decides, and what."""

SET_BY_IF_GIVEN = {
    "anchors": ("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", "MODEL.ANCHOR_GENERATOR.SIZES"),
    "augmentation": ("INPUT.CROP.", "INPUT.RANDOM_FLIP"),
    "freeze": ("MODEL.BACKBONE.FREEZE_AT",),
    "loss": (
        "MODEL.RETINANET.FOCAL_LOSS_ALPHA",
        "MODEL.RETINANET.FOCAL_LOSS_GAMMA",
        "MODEL.ROI_BOX_HEAD.USE_FED_LOSS",
        "MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE",
    ),
}
"""What the keys that a recipe and the options decide start with, unless the setting is given."""

READ = (
    "DATALOADER.",
    "INPUT.",
    "MODEL.",
    "SOLVER.BIAS_LR_FACTOR",
    "SOLVER.NESTEROV",
    "SOLVER.WARMUP_FACTOR",
    "SOLVER.WARMUP_METHOD",
    "SOLVER.WEIGHT_DECAY_BIAS",
    "SOLVER.WEIGHT_DECAY_NORM",
    "TEST.DETECTIONS_PER_IMAGE",
)
"""What the other keys that have an effect here start with."""


def resolve(model: Model, recipe: Path, n_classes: int) -> Any:
    """The config of a training but for its length and its anchors, as detectron2's ``CfgNode``.

    Args:
        model: The settings.
        recipe: The recipe's file.
        n_classes: How many categories there are.

    Raises:
        BackendError: The recipe cannot be read, or a setting cannot be honoured.
    """
    from detectron2.config import get_cfg

    refuse(model, CANNOT)
    config = get_cfg()
    config.SOLVER.WARMUP_FACTOR = WARMUP_FACTOR
    _add_recipe(config, recipe)
    weights = config.MODEL.WEIGHTS
    if model.pretrained == "default" and not weights:
        raise BackendError(
            f"{recipe.name}: pretrained is 'default', but the recipe names no MODEL.WEIGHTS; "
            "use 'none' or a checkpoint's path"
        )
    config.MODEL.DEVICE = checked_device()
    if model.pretrained != "default":
        # Stages and statistics that the recipe's own weights do not bring must learn.
        config.MODEL.BACKBONE.FREEZE_AT = 0
        if config.MODEL.RESNETS.NORM == "FrozenBN":
            config.MODEL.RESNETS.NORM = "BN"
    _add_options(config, model, recipe)
    _check(config, model, recipe)
    _add_settings(config, model, n_classes)
    set_freeze(config, model)
    set_loss(config, model)
    config.MODEL.WEIGHTS = weights if model.pretrained == "default" else ""
    return config


def _add_recipe(config: Any, recipe: Path) -> None:
    import yaml
    from detectron2 import model_zoo
    from detectron2.config import CfgNode

    if recipe.suffix not in (".yaml", ".yml"):
        raise BackendError(f"{recipe}: a recipe of detectron2 is a YAML file")
    try:
        keys = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise BackendError(f"{recipe}: cannot be read: {one_line(error)}") from error
    if not isinstance(keys, dict):
        raise BackendError(f"{recipe}: should hold keys of detectron2's config, and _BASE_")
    base = keys.pop("_BASE_", None)
    for key in _dotted(keys):
        if key not in ("MODEL.WEIGHTS", "VERSION"):
            _check_key(key, f"{recipe}: key")
    if base is not None and str(base).startswith(LIBRARY):
        name = str(base).removeprefix(LIBRARY)
        try:
            config.merge_from_file(model_zoo.get_config_file(name))
        except RuntimeError as error:
            raise BackendError(f"{recipe}: detectron2 ships no config {name!r}") from error
    elif base is not None:
        _add_recipe(config, recipe.parent / str(base))
    try:
        config.merge_from_other_cfg(CfgNode(keys))
    except (KeyError, ValueError) as error:
        raise BackendError(f"{recipe}: {one_line(error)}") from error


def _dotted(keys: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in keys.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _add_options(config: Any, model: Model, recipe: Path) -> None:
    for key, value in model.options.items():
        _check_key(key, f"{recipe.name}: option")
        for setting, starts in SET_BY_IF_GIVEN.items():
            if key.startswith(starts) and getattr(model, setting) is not None:
                raise BackendError(
                    f"{recipe.name}: option {key!r} is decided by {setting}; remove one"
                )
        try:
            config.merge_from_list([key, value])
        except (AssertionError, KeyError, ValueError) as error:
            raise BackendError(
                f"{recipe.name}: option {key!r} cannot be {value!r}: {one_line(error)}"
            ) from error


def _check_key(key: str, where: str) -> None:
    if key in SET_BY:
        raise BackendError(f"{where} {key!r} is decided by {SET_BY[key]}; remove it")
    if not key.startswith(READ):
        raise BackendError(
            f"{where} {key!r} would have no effect; keys that have one start with {', '.join(READ)}"
        )


def _check(config: Any, model: Model, recipe: Path) -> None:
    """What the library would fail at later, or not honour."""
    where = recipe.name
    if config.MODEL.META_ARCHITECTURE not in ARCHITECTURES:
        raise BackendError(
            f"{where}: MODEL.META_ARCHITECTURE {config.MODEL.META_ARCHITECTURE!r} is not known "
            f"to give boxes; use one of {', '.join(ARCHITECTURES)}"
        )
    for key in ("KEYPOINT_ON", "LOAD_PROPOSALS"):
        if config.MODEL[key]:
            raise BackendError(
                f"{where}: MODEL.{key} needs more than the annotations hold; set it to false"
            )
    device = config.MODEL.DEVICE
    if device.split(":")[0] not in ("cpu", "cuda"):
        raise BackendError(f"{where}: MODEL.DEVICE {device!r} is not supported; use cpu or cuda")
    if device != "cpu" and checked_device() == "cpu":
        raise BackendError(f"{where}: MODEL.DEVICE is {device!r}, but there is no GPU; use cpu")
    if device == "cpu" and model.precision != "fp32":
        raise BackendError(f"{where}: precision {model.precision} needs a GPU; use fp32")


def _add_settings(config: Any, model: Model, n_classes: int) -> None:
    config.DATALOADER.NUM_WORKERS = model.workers
    # The longer side becomes image_size, so that an image of any shape fits in the square; where
    # it is as published, as many sides as there, as shares of the one that is predicted at.
    sides: tuple[int, ...] = (model.image_size,)
    if model.augmentation == "published":
        by = model.image_size / config.INPUT.MIN_SIZE_TEST
        sides = tuple(round(by * side) for side in config.INPUT.MIN_SIZE_TRAIN)
    config.INPUT.MIN_SIZE_TRAIN = sides
    config.INPUT.MIN_SIZE_TRAIN_SAMPLING = "choice"
    config.INPUT.MAX_SIZE_TRAIN = max(sides)
    config.INPUT.MIN_SIZE_TEST = model.image_size
    config.INPUT.MAX_SIZE_TEST = model.image_size
    # Polygons and run lengths both become bitmasks; "polygon" would take polygons only.
    config.INPUT.MASK_FORMAT = "bitmask"
    for head in (config.MODEL.RETINANET, config.MODEL.ROI_HEADS):
        head.NUM_CLASSES = n_classes
        head.SCORE_THRESH_TEST = model.score_threshold
    config.SEED = model.seed
    # From here on for the record: `schedule` builds the optimiser and the schedule from `model`,
    # because detectron2 builds neither Adam nor poly from its config; `samples` draws.
    config.DATALOADER.SAMPLER_TRAIN = model.sampler.name
    config.DATALOADER.REPEAT_THRESHOLD = model.sampler.threshold
    config.SOLVER.AMP.ENABLED = model.precision != "fp32"
    config.SOLVER.BASE_LR = model.optimizer.learning_rate
    config.SOLVER.CLIP_GRADIENTS.ENABLED = model.optimizer.clip_grad_norm is not None
    config.SOLVER.CLIP_GRADIENTS.CLIP_TYPE = "norm"
    config.SOLVER.CLIP_GRADIENTS.CLIP_VALUE = model.optimizer.clip_grad_norm or 0.0
    config.SOLVER.IMS_PER_BATCH = model.batch_size
    config.SOLVER.LR_SCHEDULER_NAME = model.schedule.name
    config.SOLVER.MOMENTUM = model.optimizer.momentum
    config.SOLVER.STEPS = ()
    config.SOLVER.WEIGHT_DECAY = model.optimizer.weight_decay
