"""From a recipe and a model's settings to the config that mmengine's Runner is built from.

A recipe gives the network, its losses, what averages its weights (`EMAHook`) and, under the name
``augmentation``, the library's transforms between reading a sample and packing it; where these
take a size, the string ``"image_size"`` stands for the model's. All else comes from the settings.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from textwrap import shorten
from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.mmengine_backend.config_tree import mappings_in
from recycling.backends.mmengine_backend.data.training_set import TrainingSet, split_by_source
from recycling.backends.mmengine_backend.pretrained import official_weights
from recycling.backends.mmengine_backend.settings.anchors import set_anchors
from recycling.backends.mmengine_backend.settings.augmentation import set_augmentation
from recycling.backends.mmengine_backend.settings.backbone import set_backbone
from recycling.backends.mmengine_backend.settings.class_names import set_class_names
from recycling.backends.mmengine_backend.settings.dropout import set_dropout
from recycling.backends.mmengine_backend.settings.encoder import set_encoder
from recycling.backends.mmengine_backend.settings.freezing import set_freeze
from recycling.backends.mmengine_backend.settings.image_cache import set_image_cache
from recycling.backends.mmengine_backend.settings.instance_masks import set_instance_masks
from recycling.backends.mmengine_backend.settings.losses import set_loss
from recycling.backends.mmengine_backend.settings.published import read_published
from recycling.backends.mmengine_backend.settings.resizing import set_resizing
from recycling.backends.mmengine_backend.settings.running import set_running
from recycling.backends.mmengine_backend.settings.sampling import samples_per_epoch, set_sampler
from recycling.backends.mmengine_backend.settings.score_weights import set_score_weights
from recycling.backends.mmengine_backend.settings.semi_supervised import (
    set_semi_supervised,
    take_detector,
)
from recycling.backends.mmengine_backend.settings.soft_labels import set_soft_labels
from recycling.backends.shared.model import MAX_BOXES, Model
from recycling.backends.shared.settings import Schedule

FLIP: dict[str, list[dict[str, Any]]] = {
    "cls": [{"type": "RandomFlip", "prob": 0.5, "direction": "horizontal"}],
    "det": [{"type": "RandomFlip", "prob": 0.5}],
    "seg": [{"type": "RandomFlip", "prob": 0.5}],
}
"""The augmentation of a recipe that names none."""


def resolve(model: Model, recipe: Path, data: TrainingSet, work_dir: Path) -> Any:
    """The whole config of a training, as an ``mmengine.Config``.

    Args:
        model: The settings.
        recipe: The recipe's file.
        data: What is trained on.
        work_dir: Where the library writes its logs.

    Raises:
        BackendError: The recipe cannot be read, or a setting cannot be honoured.
    """
    from mmengine.config import Config

    base = _read(recipe)
    around = take_detector(base)
    unlabelled = data.file
    if around is not None:
        parts = split_by_source(data)
        data, unlabelled = parts.labelled, parts.unlabelled
    if model.pretrained == "default" and not official_weights(base):
        raise BackendError(
            f"model {model.recipe!r}: pretrained is 'default', but the recipe names no official "
            "weights; set pretrained: none"
        )
    network = _network(model, base, len(data.classes))
    augmentation = _with_size(base.get("augmentation", FLIP[model.task]), model.image_size)
    dataset = _dataset(model, data, augmentation)
    n_samples = samples_per_epoch(dataset, model, data)
    iterations = _iterations(model, n_samples)
    config = Config(
        {
            "default_scope": model.backend,
            "model": network,
            "metainfo": {"classes": data.classes},
            "train_cfg": {"type": "EpochBasedTrainLoop", "max_epochs": model.epochs},
            "train_dataloader": {
                "batch_size": model.batch_size // model.n_devices,
                "num_workers": model.workers,
                "persistent_workers": model.workers > 0,
                # The last, smaller batch would disturb batch normalisation.
                "drop_last": _share(model, n_samples) >= model.batch_size // model.n_devices,
                "sampler": {"type": "DefaultSampler", "shuffle": True},
                # Crops are of one size; one tensor reaches this process faster than many.
                "collate_fn": {
                    "type": "default_collate" if model.task == "cls" else "pseudo_collate"
                },
                "dataset": dataset,
            },
            "test_pipeline": _pipeline(model, [], training=False),
            "optim_wrapper": _optim_wrapper(model, base.get("optim_wrapper", {})),
            "param_scheduler": _schedulers(model.schedule, iterations),
            "default_hooks": {"checkpoint": None},
            "custom_hooks": [
                hook for hook in base.get("custom_hooks", []) if hook["type"] == "EMAHook"
            ],
            "randomness": {"seed": model.seed},
            "load_from": base.get("load_from") if model.pretrained == "default" else None,
            "experiment_name": f"{model.recipe}-{model.seed}",
            "work_dir": str(work_dir),
        },
        # The runner prints the config to its log; as laid out code that takes seconds.
        format_python_code=False,
    )
    set_running(config, model)
    set_encoder(config, model)
    set_backbone(config, model)
    set_dropout(config, model)
    set_loss(config, model, data)
    set_freeze(config, model)
    set_anchors(config, model, data)
    set_instance_masks(config, model, data)
    published = read_published(model, recipe, base) if model.augmentation == "published" else None
    set_augmentation(config, model, data, published)
    set_resizing(config, model)
    set_soft_labels(config, model, data)
    set_score_weights(config, model)
    set_sampler(config, model, data)
    set_image_cache(config, model)
    _check_options(model, config)
    config.merge_from_dict(dict(model.options))
    # The options may make a head that needs them.
    set_class_names(config, data, model.recipe)
    if around is not None:
        set_semi_supervised(config, model, around, unlabelled)
    return config


def _read(recipe: Path) -> dict[str, Any]:
    from mmengine.config import Config

    try:
        base: dict[str, Any] = Config.fromfile(str(recipe), import_custom_modules=False).to_dict()
    except Exception as error:
        raise BackendError(f"{recipe}: cannot be read: {first_line(error)}") from error
    if "model" not in base:
        raise BackendError(f"{recipe}: no 'model'; inherit one of the library's configs in _base_")
    return base


def first_line(error: BaseException) -> str:
    """An error of a library in one line of bearable length.

    >>> first_line(KeyError("no_such_key"))
    "KeyError: 'no_such_key'"
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return shorten(text, 300, placeholder=" ...")


def _iterations(model: Model, n_samples: int) -> int:
    return model.epochs * max(1, _share(model, n_samples) * model.n_devices // model.batch_size)


def _share(model: Model, n_samples: int) -> int:
    """How many samples an epoch has for each process; all have as many."""
    return -(-n_samples // model.n_devices)


# The network ------------------------------------------------------------------------------------


def _network(model: Model, base: dict[str, Any], n_classes: int) -> dict[str, Any]:
    network: dict[str, Any] = base["model"]
    preprocessor = {**base.get("data_preprocessor", {}), **network.get("data_preprocessor", {})}
    # Augmentation of whole batches is made for the sizes of the library's own data sets.
    preprocessor.pop("batch_augments", None)
    if network.get("train_cfg"):
        network["train_cfg"].pop("augments", None)
    network["data_preprocessor"] = preprocessor
    if model.task == "seg":
        size = (model.image_size, model.image_size)
        preprocessor.update(size=size, test_cfg={"size": size})
        preprocessor.pop("size_divisor", None)
        network["test_cfg"] = {"mode": "whole"}
    elif model.task == "det":
        preprocessor.setdefault("pad_size_divisor", 32)
    for node in mappings_in(network):
        _fit(node, n_classes)
        if model.pretrained != "default":
            _from_scratch(node)
    if model.score_threshold is not None:
        _limit_boxes(network, model.score_threshold)
    return network


def _fit(node: dict[str, Any], n_classes: int) -> None:
    if "num_classes" in node:
        node["num_classes"] = n_classes
    if "num_things_classes" in node:
        # mmdet's Mask2Former also knows "stuff", which boxes and instances are not.
        node.update(num_things_classes=n_classes, num_stuff_classes=0)
        if "loss_cls" in node:
            *_, of_no_object = node["loss_cls"]["class_weight"]
            node["loss_cls"]["class_weight"] = [1.0] * n_classes + [of_no_object]
    if "topk" in node and isinstance(node["topk"], tuple) and max(node["topk"]) > n_classes:
        node["topk"] = (1,)
    # Without several processes there is nothing to synchronise.
    if node.get("type") == "SyncBN":
        node["type"] = "BN"


def _from_scratch(node: dict[str, Any]) -> None:
    """Take out official weights, and what only makes sense with them."""
    initial = node.get("init_cfg")
    steps = initial if isinstance(initial, list) else [initial]
    if any(isinstance(step, dict) and step.get("type") == "Pretrained" for step in steps):
        node.pop("init_cfg")
    if isinstance(node.get("pretrained"), str):
        node["pretrained"] = None
    if "frozen_stages" in node:
        node["frozen_stages"] = -1
    if "norm_eval" in node:
        node["norm_eval"] = False
        # DETR and its kin keep the official norms as they are.
        if "requires_grad" in (node.get("norm_cfg") or {}):
            node["norm_cfg"]["requires_grad"] = True


def _limit_boxes(network: dict[str, Any], score_threshold: float) -> None:
    for node in mappings_in(network.get("test_cfg")):
        if "score_thr" in node:
            node["score_thr"] = score_threshold
        if "max_per_img" in node and "score_thr" in node:
            node["max_per_img"] = MAX_BOXES
    # YOLOX counts no boxes; prediction cuts them off itself.


# The data ---------------------------------------------------------------------------------------


def _dataset(model: Model, data: TrainingSet, augmentation: list[dict[str, Any]]) -> dict[str, Any]:
    boxes = "BoxesAndIgnoreRegions" if data.ignore_regions else "BaseDetDataset"
    types = {"cls": "BaseDataset", "det": boxes, "seg": "LabelMapDataset"}
    return {
        "type": types[model.task],
        "ann_file": str(data.file.resolve()),
        "metainfo": {"classes": data.classes},
        "pipeline": _pipeline(model, augmentation, training=True),
    }


def _pipeline(
    model: Model, augmentation: list[dict[str, Any]], *, training: bool
) -> list[dict[str, Any]]:
    size = model.image_size
    if model.task == "cls":
        # A random crop, too, is of a crop of the model's size; only `published` reads larger ones.
        return [
            {"type": "ReadCrop", "size": size, "smaller": training},
            *augmentation,
            {
                "type": "PackInputs",
                "meta_keys": ("img_path", "box", "ori_shape", "img_shape"),
            },
        ]
    # Test images are decoded whole: those that are predicted from memory are, too.
    read = {"type": "ReadImage", "side": size, "smaller": training}
    load: dict[str, Any] = {"type": "LoadAnnotations"}
    if model.task == "det":
        load["with_bbox"] = True
    labels = [load, {"type": "ScaleLabels"}] if training else []
    if model.task == "det":
        return [
            read,
            *labels,
            *augmentation,
            {
                "type": "PackDetInputs",
                "meta_keys": ("img_path", "ori_shape", "img_shape", "scale_factor"),
            },
        ]
    return [read, *labels, *augmentation, {"type": "PackSegInputs"}]


def _with_size(node: Any, image_size: int) -> Any:
    if isinstance(node, dict):
        return {key: _with_size(value, image_size) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(_with_size(value, image_size) for value in node)
    return image_size if node == "image_size" else node


# Optimisation -----------------------------------------------------------------------------------


def _optim_wrapper(model: Model, base: dict[str, Any]) -> dict[str, Any]:
    settings = model.optimizer
    optimizer: dict[str, Any] = {
        "type": settings.name,
        "lr": settings.learning_rate,
        "weight_decay": settings.weight_decay,
    }
    if settings.name in ("SGD", "Adam", "AdamW"):
        # One kernel for all weights; a step in Python loops costs a small network 30 ms.
        optimizer["fused"] = True
    if settings.name == "SGD":
        optimizer["momentum"] = settings.momentum
    wrapper: dict[str, Any] = {
        # Which parameters decay and learn at their own pace belongs to the network.
        **{key: base[key] for key in ("paramwise_cfg", "constructor") if base.get(key)},
        "type": "OptimWrapper",
        "optimizer": optimizer,
    }
    if settings.backbone_rate != 1:
        if constructor := wrapper.get("constructor"):
            raise BackendError(
                f"optimizer.backbone_rate: {model.recipe} sets the rate of each layer "
                f"({constructor}); remove backbone_rate"
            )
        wrapper["constructor"] = f"{__package__}.backbone_rate.BackboneRate"
        wrapper["paramwise_cfg"] = {
            **wrapper.get("paramwise_cfg", {}), "backbone_rate": settings.backbone_rate
        }  # fmt: skip
    if settings.clip_grad_norm is not None:
        wrapper["clip_grad"] = {"max_norm": settings.clip_grad_norm}
    wrapper.update(_precision(model.precision))
    return wrapper


def _precision(precision: str) -> dict[str, Any]:
    import torch

    if precision == "fp32":
        return {}
    if torch.cuda.is_available():
        dtype = {"bf16": "bfloat16", "fp16": "float16"}[precision]
        return {"type": "AmpOptimWrapper", "dtype": dtype}
    if precision == "bf16":
        return {"type": "Bf16OnCpu"}
    raise BackendError("precision: fp16 needs a GPU, and there is none; use bf16 or fp32")


def _schedulers(schedule: Schedule, iterations: int) -> list[dict[str, Any]]:
    warmup = round(schedule.warmup * iterations)
    rest = iterations - warmup
    after = {"by_epoch": False, "begin": warmup, "end": iterations}
    schedulers: list[dict[str, Any]] = []
    if warmup > 1:  # of one step, mmengine would begin at a hundredth of the rate, and stay there
        schedulers.append(
            {
                "type": "LinearLR",
                "start_factor": 0.01,
                "by_epoch": False,
                "begin": 0,
                "end": warmup,
            }
        )
    lowest = {"eta_min_ratio": schedule.lowest}
    if schedule.name == "cosine":
        schedulers.append({"type": "CosineAnnealingLR", "T_max": max(1, rest), **lowest, **after})
    elif schedule.name == "cosine_restarts":
        periods = _equal_parts(rest, schedule.restarts + 1)
        again = {"periods": periods, "restart_weights": [1.0] * len(periods)}
        schedulers.append({"type": "CosineRestartLR", **again, **lowest, **after})
    elif schedule.name == "poly":
        own = {"type": "PolyLR", "eta_min": 0.0}
        if schedule.lowest:
            own = {"type": f"{__package__}.poly_rate.PolyLRByShare", **lowest}
        schedulers.append({**own, "power": schedule.power, **after})
    elif schedule.name == "step":
        milestones = [round(share * iterations) for share in schedule.milestones]
        steps = {"milestones": milestones, "gamma": schedule.factor}
        schedulers.append({"type": "MultiStepLR", **steps, "by_epoch": False})
    return schedulers


def _equal_parts(total: int, n: int) -> list[int]:
    n = max(1, min(n, total))
    return [total * (k + 1) // n - total * k // n for k in range(n)]


# Options ----------------------------------------------------------------------------------------


def _check_options(model: Model, config: Any) -> None:
    """Each dotted key must lead somewhere; what a class takes, the class itself checks."""
    for option in model.options:
        node: Any = config
        words = option.split(".")
        for depth, word in enumerate(words):
            keys = _keys(node)
            is_new_argument = depth == len(words) - 1 and "type" in keys
            if word not in keys and not is_new_argument:
                where = ".".join(words[:depth]) or "the config"
                near = get_close_matches(word, keys) or sorted(keys)
                raise BackendError(
                    f"model {model.recipe!r}: unknown option {option!r}: {where} has no {word!r}; "
                    f"it has {', '.join(near) or 'no keys'}"
                )
            if word in keys:
                node = node[int(word)] if isinstance(node, (list, tuple)) else node[word]


def _keys(node: Any) -> list[str]:
    if isinstance(node, (list, tuple)):
        return [str(position) for position in range(len(node))]
    return list(node.keys()) if hasattr(node, "keys") else []
