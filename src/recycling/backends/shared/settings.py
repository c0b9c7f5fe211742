"""The settings of a model, in words that mean the same for every library.

What a library cannot honour is an error of its adapter; what cannot be meant, with any library, is
an error here.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd
from typing import Any, Literal

from pydantic import Field, PositiveFloat, model_validator

from recycling.registry import Settings

Task = Literal["cls", "det", "seg"]

Encoder = Literal[
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "efficientnet_b5",
    "efficientnet_b6",
    "efficientnet_b7",
    "efficientnet_v2_s",
    "efficientnet_v2_m",
    "efficientnet_v2_l",
    "convnext_tiny",
    "convnext_small",
    "convnext_base",
    "convnext_large",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
]
"""Classifiers of torchvision whose maps halve in size from stage to stage, by its names."""

WHOLE_BATCH = ("mosaic", "mixup", "cutmix", "copy_paste", "rand_augment")
"""Augmentations that are the libraries' own; other names are classes of Albumentations."""


SCORE_WEIGHTS_OF = (
    "recipes of mmdet with Faster R-CNN, Cascade R-CNN, HTC, RetinaNet, EfficientDet, SSD or YOLOX"
)
"""What takes `score_weights`."""


def _only_with(settings: Settings, name: str, takers: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse a setting that the chosen `name` does not take.

    Args:
        settings: What was given.
        name: Which one was chosen.
        takers: For each setting that not all take, the names that do.
    """
    fields = type(settings).model_fields
    for setting, names in takers.items():
        if name not in names and getattr(settings, setting) != fields[setting].default:
            takes = [
                field for field in fields if field != "name" and name in takers.get(field, (name,))
            ]
            raise ValueError(
                f"{name!r} takes no {setting!r} (it is a setting of {', '.join(names)}); "
                f"it takes {', '.join(takes) or 'no settings'}"
            )


_BYTES = {"MB": 1e6, "GB": 1e9, "TB": 1e12}


class Optimizer(Settings):
    """An optimiser of `torch.optim` and its settings."""

    name: Literal["SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax"] = Field(
        default="AdamW", description="a class of torch.optim"
    )
    learning_rate: float = Field(gt=0, description="after the warm-up")
    backbone_rate: float = Field(
        default=1.0,
        gt=0,
        description="the backbone's rate, as a share of that; 1 keeps a recipe's own share",
    )
    weight_decay: float = Field(default=0.01, ge=0, description="of the weights")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="SGD only")
    clip_grad_norm: float | None = Field(
        default=None, gt=0, description="greatest norm of all gradients together"
    )

    @model_validator(mode="after")
    def _momentum_is_of_sgd(self) -> Optimizer:
        _only_with(self, self.name, {"momentum": ("SGD",)})
        return self


class Schedule(Settings):
    """How the learning rate moves, by iteration, over the whole training."""

    name: Literal["constant", "cosine", "cosine_restarts", "poly", "step"] = Field(
        default="cosine", description="the curve after the warm-up"
    )
    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of all iterations")
    lowest: float = Field(
        default=0.0, ge=0, lt=1, description="where it ends, as a share of the learning rate"
    )
    power: float = Field(default=0.9, gt=0, description="of poly")
    restarts: int = Field(default=3, ge=1, description="of cosine_restarts, each as long")
    milestones: tuple[float, ...] = Field(
        default=(8 / 12, 11 / 12),
        min_length=1,
        description="of step: shares of all iterations; 8 and 11 of 12 epochs are the '1x' "
        "schedule of the detection libraries",
    )
    factor: float = Field(default=0.1, gt=0, lt=1, description="of step, at each milestone")

    @model_validator(mode="after")
    def _settings_fit_the_name(self) -> Schedule:
        _only_with(
            self,
            self.name,
            {
                "lowest": ("cosine", "cosine_restarts", "poly"),
                "power": ("poly",),
                "restarts": ("cosine_restarts",),
                "milestones": ("step",),
                "factor": ("step",),
            },
        )
        ordered = sorted(self.milestones)
        if list(self.milestones) != ordered or ordered[0] <= 0 or ordered[-1] >= 1:
            raise ValueError("milestones are shares between 0 and 1, in rising order")
        return self


class Sampler(Settings):
    """Which training samples an epoch holds, and how often.

    `class_balanced` draws a class, each as likely, then one of the samples that hold it;
    `oversample` adds copies, so that an epoch grows; `repeat_factor` repeats images that hold rare
    classes by sqrt(threshold / the class's share of images) (Gupta et al. 2019, LVIS).
    """

    name: Literal["shuffle", "class_balanced", "oversample", "repeat_factor"] = Field(
        default="shuffle", description="shuffle takes each sample once"
    )
    copies: dict[str, int] | None = Field(
        default=None,
        description="of oversample: how often a sample that holds the category is seen; without "
        "it, as often as makes each category as frequent as the most frequent one",
    )
    threshold: float = Field(default=0.1, gt=0, le=1, description="of repeat_factor")

    @property
    def repeats(self) -> bool:
        """Whether samples are there several times, so that an epoch grows."""
        return self.name in ("oversample", "repeat_factor")

    @model_validator(mode="after")
    def _settings_fit_the_name(self) -> Sampler:
        _only_with(self, self.name, {"copies": ("oversample",), "threshold": ("repeat_factor",)})
        if self.copies and min(self.copies.values()) < 1:
            raise ValueError("copies are whole numbers from 1")
        return self


class Anchors(Settings):
    """The boxes that a detector starts from: each size at each ratio, at every cell."""

    sizes: tuple[PositiveFloat, ...] = Field(
        min_length=1,
        description="square root of the area at the finest level, pixels of the network's input; "
        "each coarser level doubles them",
    )
    ratios: tuple[PositiveFloat, ...] = Field(
        default=(0.5, 1.0, 2.0), min_length=1, description="h / w"
    )


class EarlyStopping(Settings):
    """Ends a training whose score on the held-out fold no longer rises, and keeps its best epoch.

    The held-out fold then has a say in the training: its own score is a little too good.
    """

    patience: int = Field(ge=1, description="epochs without a better score")
    min_gain: float = Field(default=0.0, ge=0, description="what counts as better")


class Devices(Settings):
    """The processes of a training on several machines; see docs/cluster.md."""

    nodes: int = Field(ge=1, description="machines")
    per_node: int = Field(ge=1, description="processes on each, with a GPU each where there are")


class Resources(Settings):
    """What training and predicting ask of the machine that they run on; see docs/cluster.md.

    >>> asked = Resources(gpu=1, memory="8 GB")
    >>> asked.tags, asked.amounts
    (['gpu-1', 'memory-8GB'], {'gpu': 1, 'memory': 8000000000.0})
    """

    gpu: int = Field(default=0, ge=0, description="how many of them")
    memory: str | None = Field(
        default=None, pattern=r"^\d+(\.\d+)? ?[MGT]B$", description="as `8 GB`; of the processor's"
    )

    @property
    def tags(self) -> list[str]:
        """As tags of a node: Kedro's hold no blanks and no colons."""
        memory = [f"memory-{self.memory.replace(' ', '')}"] if self.memory else []
        return [*([f"gpu-{self.gpu}"] if self.gpu else []), *memory]

    @property
    def amounts(self) -> dict[str, float]:
        """As numbers: GPUs, and bytes of memory."""
        amounts: dict[str, float] = {"gpu": self.gpu} if self.gpu else {}
        if self.memory:
            number, unit = self.memory[:-2], self.memory[-2:]
            amounts["memory"] = float(number) * _BYTES[unit]
        return amounts


class TestTimeAugmentation(Settings):
    """The views of an image whose predictions are averaged (masks, classes) or fused (boxes)."""

    scales: tuple[PositiveFloat, ...] = Field(
        default=(1.0,), min_length=1, description="of image_size"
    )
    flip: bool = Field(default=False, description="each also mirrored left to right")

    __test__ = False  # not a test of pytest's


def scaled_side(side: int, scale: float) -> int:
    """A side of the network's input at a scale, pixels.

    It keeps what the side can be divided by, up to 32: many networks halve their input five times.

    >>> scaled_side(64, 1.3)
    96
    """
    unit = gcd(side, 32)
    return max(unit, round(side * scale / unit) * unit)


def read_augmentation(given: Any) -> Any:
    """A list whose entries are names, or names with their arguments: as one mapping each.

    >>> read_augmentation(["HorizontalFlip", {"Blur": {"p": 0.3}}])
    [{'HorizontalFlip': {}}, {'Blur': {'p': 0.3}}]
    """
    if not isinstance(given, (list, tuple)):
        return given
    entries = [{entry: {}} if isinstance(entry, str) else entry for entry in given]
    for entry in entries:
        if isinstance(entry, Mapping) and len(entry) != 1:
            raise ValueError(f"each augmentation is one name with its arguments, not {entry}")
    return [
        {name: {} if arguments is None else arguments for name, arguments in entry.items()}
        if isinstance(entry, Mapping)
        else entry
        for entry in entries
    ]
