"""The settings of a model, in words that mean the same for every library.

What a library cannot honour is an error of its adapter; what cannot be meant, with any library, is
an error here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

LossName = Literal["cross_entropy", "focal", "asymmetric", "f1", "dice", "lovasz"]

LOSSES_OF: dict[str, tuple[LossName, ...]] = {
    "cls": ("cross_entropy", "focal", "asymmetric", "f1"),
    "det": ("cross_entropy", "focal"),
    "seg": ("cross_entropy", "focal", "dice", "lovasz"),
}
"""Which losses fit a task; a detector's is that of its classes, its boxes keep their own."""

WHOLE_BATCH = ("mosaic", "mixup", "cutmix", "copy_paste", "rand_augment")
"""Augmentations that are the libraries' own; other names are classes of Albumentations."""


class Settings(BaseModel):
    """Refuses a word that it does not know, and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _only_with(settings: BaseModel, name: str, words: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse a setting that the chosen `name` does not look at.

    Args:
        settings: What was given.
        name: Which one was chosen.
        words: For each setting, the names that look at it.
    """
    for word, names in words.items():
        default = type(settings).model_fields[word].default
        if name not in names and getattr(settings, word) != default:
            raise ValueError(f"{word!r} means nothing to {name!r}, only to {', '.join(names)}")


class Optimizer(Settings):
    """An optimiser of `torch.optim` and its settings."""

    name: Literal["SGD", "Adam", "AdamW", "NAdam", "RAdam"] = "AdamW"
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1, description="SGD only")
    clip_grad_norm: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _momentum_is_of_sgd(self) -> Optimizer:
        _only_with(self, self.name, {"momentum": ("SGD",)})
        return self


class Schedule(Settings):
    """How the learning rate moves, by iteration, over the whole training."""

    name: Literal["constant", "cosine", "cosine_restarts", "poly", "step"] = "cosine"
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


class Loss(Settings):
    """One loss of the classes, and its share of the sum.

    `gamma` and `alpha` are focal loss's (Lin et al. 2017); `gamma_positive`, `gamma_negative` and
    `clip` are asymmetric loss's (Ridnik et al. 2021).
    """

    name: LossName
    weight: float = Field(default=1.0, gt=0)
    class_weights: Literal["balanced"] | dict[str, float] | None = Field(
        default=None,
        description="by category name (for masks also 'background'), or 'balanced': the inverse "
        "of a class's share of the training data, 1 on average",
    )
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    gamma: float = Field(default=2.0, ge=0)
    alpha: float = Field(default=0.25, gt=0, lt=1)
    gamma_positive: float = Field(default=0.0, ge=0)
    gamma_negative: float = Field(default=4.0, ge=0)
    clip: float = Field(default=0.05, ge=0, lt=1)

    @model_validator(mode="after")
    def _settings_fit_the_name(self) -> Loss:
        _only_with(
            self,
            self.name,
            {
                "class_weights": ("cross_entropy", "focal", "dice", "lovasz"),
                "label_smoothing": ("cross_entropy",),
                "gamma": ("focal",),
                "alpha": ("focal",),
                "gamma_positive": ("asymmetric",),
                "gamma_negative": ("asymmetric",),
                "clip": ("asymmetric",),
            },
        )
        return self


class Sampler(Settings):
    """Which training samples an epoch holds, and how often.

    `class_balanced` draws a class, each as likely, then one of the samples that hold it;
    `oversample` adds copies, so that an epoch grows; `repeat_factor` repeats images that hold rare
    classes by sqrt(threshold / the class's share of images) (Gupta et al. 2019, LVIS).
    """

    name: Literal["shuffle", "class_balanced", "oversample", "repeat_factor"] = "shuffle"
    copies: dict[str, int] | None = Field(
        default=None,
        description="of oversample: how often a sample that holds the category is seen; without "
        "it, as often as makes each category as frequent as the most frequent one",
    )
    threshold: float = Field(default=0.1, gt=0, le=1, description="of repeat_factor")

    @model_validator(mode="after")
    def _settings_fit_the_name(self) -> Sampler:
        _only_with(self, self.name, {"copies": ("oversample",), "threshold": ("repeat_factor",)})
        if self.copies and min(self.copies.values()) < 1:
            raise ValueError("copies are whole numbers from 1")
        return self


class Anchors(Settings):
    """The boxes that a detector starts from: each size at each ratio, at every place."""

    sizes: tuple[float, ...] = Field(
        min_length=1,
        description="square root of the area at the finest level, pixels of the network's input; "
        "each coarser level doubles them",
    )
    ratios: tuple[float, ...] = Field(default=(0.5, 1.0, 2.0), min_length=1, description="h / w")

    @model_validator(mode="after")
    def _positive(self) -> Anchors:
        if min(*self.sizes, *self.ratios, 1.0) <= 0:
            raise ValueError("sizes and ratios are greater than 0")
        return self


class EarlyStopping(Settings):
    """Ends a training whose score on the held-out fold no longer rises, and keeps its best epoch.

    The held-out fold then has a say in the training: its own score is a little too good.
    """

    patience: int = Field(ge=1, description="epochs without a better score")
    least_gain: float = Field(default=0.0, ge=0, description="what counts as better")


class TestTimeAugmentation(Settings):
    """The views of a picture whose predictions are averaged (masks, classes) or fused (boxes)."""

    scales: tuple[float, ...] = Field(default=(1.0,), min_length=1, description="of image_size")
    flip: bool = Field(default=False, description="each also mirrored left to right")

    @model_validator(mode="after")
    def _positive(self) -> TestTimeAugmentation:
        if min(self.scales) <= 0:
            raise ValueError("scales are greater than 0")
        return self

    __test__ = False  # not a test of pytest's


def read_losses(given: Any) -> Any:
    """`focal`, `{cross_entropy: 1, dice: 3}`, one loss's settings or a list of them: as a list."""
    if isinstance(given, str):
        return [{"name": given}]
    if isinstance(given, Mapping):
        if "name" in given:
            return [given]
        return [{"name": name, "weight": weight} for name, weight in given.items()]
    if isinstance(given, (list, tuple)):
        return [{"name": one} if isinstance(one, str) else one for one in given]
    return given


def read_augmentation(given: Any) -> Any:
    """A list whose entries are names, or names with their arguments: as one mapping each."""
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
