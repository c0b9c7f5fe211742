"""The augmentation of a model: a list of Albumentations' classes and the libraries' own mixes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.mmengine_backend.data.training_set import TrainingSet
from recycling.backends.mmengine_backend.settings.instance_masks import load_masks
from recycling.backends.mmengine_backend.settings.published import Published
from recycling.backends.shared.albumentations_list import (
    check_albumentations,
    check_arguments,
    one_line,
)
from recycling.backends.shared.model import Model
from recycling.backends.shared.settings import WHOLE_BATCH

ALBUMENTATIONS = "RecyclingAlbumentations"

Config = dict[str, Any]


def set_augmentation(
    config: Any, model: Model, data: TrainingSet, published: Published | None = None
) -> None:
    """Put the list in the place of the recipe's augmentation, in the list's order.

    Mixes of several images take the others as they are before the first mix of the list. A
    classifier's mixup and cutmix work on whole batches, one of them a batch, and come last.

    Args:
        config: The resolved ``mmengine.Config``, with instance masks set; changed in place.
        model: The settings.
        data: What is trained on.
        published: What the library has published the recipe with, where that is asked for.

    Raises:
        BackendError: A name, an argument or the order is not possible; one line.
    """
    if model.augmentation is None:
        return
    try:
        if published is not None:
            steps = _published_steps(config, model, data, published)
        else:
            if model.task == "cls":
                _set_batch_mixes(config, model, data)
            steps = _steps(config, model, data)
    except BackendError as error:
        raise BackendError(f"model {model.recipe!r}: {error}") from error
    dataset = config.train_dataloader.dataset
    pipeline = list(dataset.pipeline)
    last = "ReadCrop" if model.task == "cls" else "ScaleLabels"
    position = [step["type"] for step in pipeline].index(last) + 1
    read, pack = pipeline[:position], [*_fitted(model), pipeline[-1]]
    if published is not None and published.resizes:  # of the image as it is
        if model.task == "cls":  # a random crop of a quarter of the area, or more, is not enlarged
            read = [{**read[0], "largest": 2 * model.image_size}]
        else:
            read = [{"type": "ReadImage"}, *read[1:-1]]
    first_mix = next((n for n, step in enumerate(steps) if step["type"] == "Sometimes"), None)
    if first_mix is None:
        dataset.pipeline = [*read, *steps, *pack]
        return
    dataset.pipeline = [*read, *steps[:first_mix]]
    config.train_dataloader.dataset = {
        "type": "MultiImageMixDataset",
        "dataset": dataset,
        "pipeline": [*steps[first_mix:], *pack],
    }


def _published_steps(
    config: Any, model: Model, data: TrainingSet, published: Published
) -> list[Config]:
    mixes = [step for step in published.steps if isinstance(step, list)]
    if model.mosaic_off_epochs and not mixes:
        raise BackendError("mosaic_off_epochs: the recipe is published without mosaic; remove it")
    if published.batch_mixes:
        chances = [1 / len(published.batch_mixes)] * len(published.batch_mixes)
        _mix_batches(config, data, published.batch_mixes, chances)
    with_masks = any(step.get("with_mask") for step in config.train_dataloader.dataset.pipeline)
    if mixes and with_masks:
        raise BackendError(
            "augmentation: published mixes images, which cannot move the masks that the network "
            "learns from; list the augmentation"
        )
    return [
        _sometimes(step, step[0].pop("prob", 1.0), model, off=True)
        if isinstance(step, list)
        else step
        for step in published.steps
    ]


def _sometimes(steps: list[Config], chance: float, model: Model, *, off: bool) -> Config:
    """A mix of several images; `off` in the last epochs where the model says so."""
    mix = {"type": "Sometimes", "transforms": steps, "p": chance}
    if off and model.mosaic_off_epochs:
        mix["off_from"] = model.epochs - model.mosaic_off_epochs
    return mix


def _fitted(model: Model) -> list[Config]:
    """What makes of any image one of the network's size; a detector takes any."""
    size = (model.image_size, model.image_size)
    if model.task == "cls":
        return [{"type": "Resize", "scale": size}]
    return [{"type": "RandomCrop", "crop_size": size}] if model.task == "seg" else []


def _steps(config: Any, model: Model, data: TrainingSet) -> list[Config]:
    steps: list[Config] = []
    with_masks = any(step.get("with_mask") for step in config.train_dataloader.dataset.pipeline)
    pastes_masks = with_masks or _pastes_masks(config, model, data)
    for entry in model.listed_augmentation:
        ((name, arguments),) = entry.items()
        if name[:1].isupper():
            if not (steps and steps[-1]["type"] == ALBUMENTATIONS):
                steps.append({"type": ALBUMENTATIONS, "entries": [], "task": model.task})
            steps[-1]["entries"].append({name: dict(arguments)})
            continue
        _check_name(name, model.task)
        if with_masks and name in ("mosaic", "mixup"):
            raise BackendError(
                f"augmentation: {name} cannot move the masks that the network learns from; "
                "use copy_paste or remove it"
            )
        if (model.task, name) not in BATCH_MIXES:
            pastes = (model.task, name) == ("det", "copy_paste")
            fixed = {"paste_by_box": not pastes_masks} if pastes else {}
            steps += _own(name, dict(arguments), model, fixed)
            if pastes and pastes_masks and not with_masks:
                steps.append({"type": f"{COPY_PASTE}.ForgetMasks"})
                pastes_masks = False
    for step in steps:
        if step["type"] == ALBUMENTATIONS:
            check_albumentations(step["entries"], model.task, model.image_size)
    return steps


def _pastes_masks(config: Any, model: Model, data: TrainingSet) -> bool:
    """Load masks for pasting where all boxes have one and no mix before it would lose them."""
    names = [name for entry in model.listed_augmentation for name in entry]
    if "copy_paste" not in names or model.task != "det" or data.boxes_without_mask:
        return False
    if {"mosaic", "mixup"} & set(names[: names.index("copy_paste")]):
        return False
    load_masks(config)
    return True


def _check_name(name: str, task: str) -> None:
    if name not in WHOLE_BATCH:
        near = get_close_matches(name, WHOLE_BATCH) or WHOLE_BATCH
        raise BackendError(
            f"augmentation: unknown {name!r}; use a class of Albumentations, or one of "
            f"{', '.join(near)}"
        )
    if name not in OF_TASK[task]:
        raise BackendError(
            f"augmentation: there is no {name} for {task}; there is {', '.join(OF_TASK[task])}"
        )


# The libraries' own -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Own:
    """An augmentation of a library.

    Attributes:
        type: The class; its arguments are the user's.
        defaults: Of arguments that a list need not name.
        fixed: Arguments that are not the user's, from the size of the image.
        chance: Whether it gets a `p` of ours, which its class lacks or names otherwise.
        after: What its result goes through, from the size of the image.
        meant: An argument for which the class takes another value than the one that its name
            means, and that value of it.
    """

    type: str
    defaults: Config
    fixed: Callable[[int], Config] = lambda size: {}
    chance: bool = True
    after: Callable[[int], list[Config]] = lambda size: []
    meant: tuple[str, Callable[[Any], Any]] | None = None


AUGMENTATIONS = "recycling.backends.mmengine_backend.augmentations"
COPY_PASTE, CUT_MIX = f"{AUGMENTATIONS}.copy_paste", f"{AUGMENTATIONS}.cut_mix"

OWN: dict[tuple[str, str], Own] = {
    ("det", "mosaic"): Own(
        "Mosaic",
        {},
        lambda size: {"img_scale": (size, size), "prob": 1.0},
        # The mosaic is twice as large; objects keep their size.
        after=lambda size: [
            {"type": "RandomCrop", "crop_size": (size, size), "allow_negative_crop": True}
        ],
    ),
    ("det", "mixup"): Own(
        "MixUp",
        {"flip_ratio": 0.5},
        lambda size: {"img_scale": (size, size)},
        # mmdet flips where a draw is above it.
        meant=("flip_ratio", lambda ratio: 1 - ratio),
    ),
    ("det", "copy_paste"): Own(
        f"{COPY_PASTE}.PasteObjects",
        {"max_num_pasted": 100},
        # mmdet draws a number below it.
        meant=("max_num_pasted", lambda most: most + 1),
    ),
    ("det", "cutmix"): Own(f"{CUT_MIX}.CutMixBoxes", {}),
    ("det", "rand_augment"): Own(
        "RandAugment",
        {},
        chance=False,
        # Objects that it moves out of the image stay as boxes of no area.
        after=lambda size: [
            {"type": "FilterAnnotations", "min_gt_bbox_wh": (1, 1), "keep_empty": False}
        ],
    ),
    ("seg", "mosaic"): Own(
        "RandomMosaic",
        {},
        lambda size: {"img_scale": (size, size), "prob": 1.0},
        after=lambda size: [{"type": "RandomCrop", "crop_size": (size, size)}],
    ),
    ("seg", "cutmix"): Own(f"{CUT_MIX}.CutMixMaps", {}),
    ("seg", "copy_paste"): Own(f"{AUGMENTATIONS}.copy_paste_maps.PasteRegions", {}),
    ("cls", "rand_augment"): Own(
        "RandAugment",
        # As the libraries' own recipes of Swin Transformer and ConvNeXt have it.
        {
            "policies": "timm_increasing",
            "num_policies": 2,
            "magnitude_level": 9,
            "magnitude_std": 0.5,
        },
        chance=False,
    ),
}

BATCH_MIXES: dict[tuple[str, str], Own] = {
    ("cls", "mixup"): Own("Mixup", {"alpha": 0.8}),
    ("cls", "cutmix"): Own("CutMix", {"alpha": 1.0}),
}
"""With the strength of the library's own recipes of Swin Transformer."""

OF_TASK = {
    task: [name for of_task, name in (*BATCH_MIXES, *OWN) if of_task == task]
    for task in ("cls", "det", "seg")
}
"""Which of the libraries' own augmentations there are."""


def _own(name: str, arguments: Config, model: Model, fixed: Config) -> list[Config]:
    own = OWN[model.task, name]
    registry = import_module(f"{model.backend}.registry").TRANSFORMS
    chance = _chance(name, own, arguments)
    made = _checked(name, own, arguments, registry, {**own.fixed(model.image_size), **fixed})
    steps = [made, *own.after(model.image_size)]
    if not own.chance:
        return steps
    # Also without a chance to lose, so that whatever mixes is found under one name.
    return [_sometimes(steps, chance, model, off=name in ("mosaic", "mixup"))]


def _chance(name: str, own: Own, arguments: Config, default: float = 1.0) -> float:
    chance = arguments.pop("p", default) if own.chance else 1.0
    if not isinstance(chance, (int, float)) or not 0 <= chance <= 1:
        raise BackendError(f"augmentation: {name}: p is a share from 0 to 1, not {chance!r}")
    return float(chance)


def _checked(name: str, own: Own, arguments: Config, registry: Any, fixed: Config) -> Config:
    """The config of an augmentation that can be built, with arguments that are not the user's."""
    cls = registry.get(own.type)
    taken = [
        argument for argument in inspect.signature(cls.__init__).parameters if argument != "self"
    ]
    free = [argument for argument in taken if argument not in fixed]
    check_arguments(name, arguments, [*free, "p"] if own.chance else free)
    made = {"type": own.type, **own.defaults, **fixed, **arguments}
    try:
        if own.meant is not None:
            argument, value_of = own.meant
            made[argument] = value_of(made[argument])
        registry.build(dict(made))
    except Exception as error:
        raise BackendError(f"augmentation: {name}: {one_line(error)}") from error
    return made


def _set_batch_mixes(config: Any, model: Model, data: TrainingSet) -> None:
    """Have the network's preprocessor mix batches, as mmpretrain does."""
    from mmpretrain.registry import BATCH_AUGMENTS

    entries = [next(iter(entry.items())) for entry in model.listed_augmentation]
    names = [name for name, _ in entries]
    mixes = [(name, dict(given)) for name, given in entries if ("cls", name) in BATCH_MIXES]
    if not mixes:
        return
    _check_last(names, [name for name, _ in mixes])
    chances, augments = [], []
    for name, arguments in mixes:
        own = BATCH_MIXES["cls", name]
        chances.append(_chance(name, own, arguments, 1 / len(mixes)))
        augments.append(_checked(name, own, arguments, BATCH_AUGMENTS, {}))
    if sum(chances) > 1:
        raise BackendError(
            f"augmentation: a batch gets one of {', '.join(names[-len(mixes) :])}; "
            f"their p add up to {sum(chances):g}, more than 1"
        )
    _mix_batches(config, data, augments, chances)


def _mix_batches(
    config: Any, data: TrainingSet, augments: Sequence[Config], chances: Sequence[float]
) -> None:
    preprocessor = config.model.data_preprocessor
    preprocessor.num_classes = len(data.classes)
    preprocessor.to_onehot = True
    preprocessor.batch_augments = {"augments": list(augments), "probs": list(chances)}
    # A share of two classes is neither right nor wrong.
    if config.model.head.get("cal_acc"):
        config.model.head.cal_acc = False


def _check_last(names: Sequence[str], mixes: Sequence[str]) -> None:
    if list(names[-len(mixes) :]) != list(mixes):
        raise BackendError(
            f"augmentation: {mixes[0]} mixes whole batches, after all else; put it last"
        )
    twice = {name for name in mixes if mixes.count(name) > 1}
    if twice:
        raise BackendError(f"augmentation: {twice.pop()} is there twice; leave one of them")
