"""What a user says about a model in `models.yml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from recycling.backends.losses import LOSSES, Loss, losses_of, read_losses
from recycling.backends.shared.settings import (
    Anchors,
    Devices,
    EarlyStopping,
    Encoder,
    Optimizer,
    Resources,
    Sampler,
    Schedule,
    Task,
    TestTimeAugmentation,
    read_augmentation,
)
from recycling.registry import Settings

__all__ = ["BACKENDS_OF", "BackendName", "Model", "Task"]

BackendName = Literal["mmpretrain", "mmdet", "mmseg", "detectron2"]

BACKENDS_OF: dict[str, tuple[str, ...]] = {
    "cls": ("mmpretrain",),
    "det": ("mmdet", "detectron2"),
    "seg": ("mmseg",),
}

MAX_BOXES = 100
"""Most boxes that a detector may give for one image; what COCO's metric looks at."""

MAX_SIDE_OF_LOGITS = 1024
"""Above, label maps are enlarged by repeating pixels, not by interpolating a plane a class."""

SCORE_THRESHOLD = 0.01
"""What a detector's boxes score at least where a user says nothing."""


def _listed(folds: Any) -> Any:
    return (folds,) if folds == "all" else folds


class Model(Settings):
    """One model of `models.yml`: task, library, recipe and settings.

    A setting that a backend cannot honour is an error of that backend, never ignored. None leaves
    it to the recipe.
    """

    task: Task = Field(description="classes of crops, boxes, or masks")
    backend: BackendName = Field(description="the library that trains it")
    recipe: str = Field(description="a file below conf/recipes/<backend>/, without its suffix")
    folds: Annotated[tuple[int | Literal["all"], ...], BeforeValidator(_listed)] = Field(
        default=(0,),
        min_length=1,
        description="those that are held out, one training each; with 'all' one more on all "
        "labelled images, 'all' alone: every fold, and it",
    )
    train_on: str = Field(
        default="labeled",
        pattern=r"^labeled(\+\w+)?$",
        description="labeled, or labeled+ROUND: pseudo-labels as well, of a round of "
        "pseudo_labeling: labeled+pseudo",
    )
    data: str | None = Field(
        default=None, description="an augmented set to learn from as well, of augmented_sets"
    )
    images_an_epoch: Annotated[int, Field(ge=1)] | Literal["all", "labeled"] | None = Field(
        default=None,
        description="how many images (of a classifier: crops) an epoch takes; with data as many "
        "as without unless it says `all`; `labeled`: as many as are labelled",
    )
    control: bool = Field(
        default=False,
        description="train a twin, alike in all but pseudo-labels, to measure what they do",
    )
    pseudo_until: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="share of the epochs in which pseudo-labels have a part, rounded up; after it "
        "epochs are as long, of labelled images",
    )
    score_weights: bool = Field(
        default=False,
        description="boxes only: a pseudo-label counts by its score in the loss of the classes",
    )
    image_size: int = Field(ge=16, description="side of the square input, pixels")
    epochs: int = Field(ge=1, description="length of the training")
    batch_size: int = Field(ge=1, description="images a step, of all devices together")
    accumulate: int = Field(default=1, ge=1, description="steps whose gradients are added up")
    optimizer: Optimizer = Field(description="how the weights move")
    schedule: Schedule = Field(default=Schedule(), description="how the learning rate moves")
    loss: Annotated[tuple[Loss, ...], BeforeValidator(read_losses)] | None = Field(
        default=None, min_length=1, description="one or a weighted sum: {cross_entropy: 1, dice: 3}"
    )
    augmentation: (
        Annotated[tuple[dict[str, dict[str, Any]], ...], BeforeValidator(read_augmentation)]
        | Literal["published"]
        | None
    ) = Field(
        default=None,
        description="classes of Albumentations with their arguments, and mosaic, mixup, cutmix, "
        "copy_paste, rand_augment; or what the library has published the recipe with",
    )
    mosaic_off_epochs: int = Field(
        default=0,
        ge=0,
        description="last epochs without mosaic and mixup; YOLOX learns with its L1 loss in them",
    )
    dropout: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="share of features that the last layer does not see while learning; not boxes",
    )
    sampler: Sampler = Field(
        default=Sampler(), description="which samples an epoch holds, and how often"
    )
    encoder: Encoder | None = Field(
        default=None,
        description="masks only: the classifier of torchvision that a U-Net sees with; with "
        "pretrained: default it starts from its weights on ImageNet",
    )
    backbone: str | None = Field(
        default=None,
        description="what a recipe on timm sees with: a network of timm by its name; with "
        "pretrained: default it starts from timm's own weights",
    )
    anchors: Anchors | Literal["proposed"] | None = Field(
        default=None, description="given, or proposed from the training data's boxes"
    )
    freeze: int | None = Field(
        default=None, ge=0, description="first stages of the backbone that do not learn"
    )
    fold_norms: bool = Field(
        default=False,
        description="the backbone's batch norms keep the statistics of the weights it starts from, "
        "and are folded into its convolutions: the same, sooner",
    )
    channels_last: bool | None = Field(
        default=None,
        description="the order of images in memory: channels last, or first; what is faster if not "
        "set",
    )
    ema: float | None = Field(
        default=None, gt=0, lt=1, description="average the weights; the old average's share"
    )
    early_stopping: EarlyStopping | None = Field(
        default=None, description="end once the score on the held-out fold no longer rises"
    )
    snapshots: int | None = Field(
        default=None,
        ge=2,
        description="cycles of the learning rate; the weights at the end of each are a model: "
        "NAME_snapshot1, ..., and NAME, the last",
    )
    snapshot: int | None = Field(
        default=None, ge=1, description="which of them this is; set by what snapshots says"
    )
    variant_of: str | None = Field(
        default=None,
        description="the model that differs in the seed alone, or has passed through this snapshot",
    )
    study: str | None = Field(
        default=None, description="the study that it is an arm of alone; set by what studies say"
    )
    seed: int = Field(default=0, ge=0, description="of all that is drawn")
    deterministic: bool = Field(
        default=True, description="the same numbers every time, if need be slower"
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        default="fp32", description="of the arithmetic of a step; bf16 needs no scaled loss"
    )
    devices: Annotated[int, Field(ge=1)] | Devices = Field(
        default=1, description="processes, each with a GPU where there are, and on how many nodes"
    )
    pretrained: str = Field(
        default="none",
        description="'none', 'default' (the recipe's own), a path or URL, 'package:NAME' (an "
        "installed package that holds a file of weights), or 'model:NAME'",
    )
    pretrained_elsewhere: bool = Field(
        default=False, description="a file of weights was trained on none of these images"
    )
    pretrained_sha256: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{8,64}$", description="how the file's sha256 begins"
    )
    workers: int = Field(default=0, ge=0, description="loader processes")
    cache_megabytes: int = Field(
        default=512, ge=0, description="decoded images kept in memory, in all loaders together"
    )
    resources: Resources = Field(
        default=Resources(), description="what it asks of the machine that trains it and predicts"
    )
    score_threshold: float | None = Field(
        default=None, ge=0, le=1, description="boxes only: those below are dropped; 0.01 if not set"
    )
    test_time_augmentation: TestTimeAugmentation | None = Field(
        default=None, description="views of an image whose predictions are averaged or fused"
    )
    probabilities: bool = Field(
        default=False, description="masks only: predict probability planes too, for soft votes"
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="dotted keys of the library's config and their values"
    )
    skip_if_missing: bool = Field(
        default=False, description="leave the model out where its library is not installed"
    )

    @model_validator(mode="before")
    @classmethod
    def _threshold_of_boxes(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and given.get("task") == "det":
            return {"score_threshold": SCORE_THRESHOLD, **given}
        return given

    @model_validator(mode="after")
    def _settings_fit_the_task(self) -> Model:
        if self.backend not in BACKENDS_OF[self.task]:
            raise ValueError(
                f"backend {self.backend!r} does not train task {self.task!r}; "
                f"use one of {', '.join(BACKENDS_OF[self.task])}"
            )
        for loss in self.loss or ():
            if self.task not in LOSSES[loss.name].thing.tasks:
                raise ValueError(
                    f"loss {loss.name!r} does not fit task {self.task!r}; "
                    f"use one of {', '.join(losses_of(self.task))}"
                )
        if self.mosaic_off_epochs:
            self._check_mosaic_off(self.mosaic_off_epochs)
        if self.dropout is not None and self.task == "det":
            raise ValueError(
                "dropout is of classifiers and segmenters; no detector has a layer of it"
            )
        if self.anchors is not None and self.task != "det":
            raise ValueError(f"anchors are of boxes; task {self.task!r} has none")
        if self.encoder is not None and self.task != "seg":
            raise ValueError(
                f"encoder is of U-Nets for masks; task {self.task!r} has none: remove it"
            )
        if self.control and self.train_on == "labeled":
            raise ValueError("control is a twin without pseudo-labels; this model learns from none")
        self._check_epochs_can_be_compared()
        if self.score_threshold is not None and self.task != "det":
            raise ValueError(f"score_threshold is of boxes; task {self.task!r} has none: remove it")
        if self.score_weights and self.task != "det":
            raise ValueError(f"score_weights is of boxes; task {self.task!r} has none: remove it")
        if self.probabilities and self.task != "seg":
            raise ValueError(
                f"probabilities is for masks; task {self.task!r} gives its scores anyway"
            )
        if self.fold_norms and self.pretrained == "none":
            raise ValueError(
                "fold_norms keeps the statistics of the weights to start from, and pretrained is "
                "'none'; leave one of them out"
            )
        if self.fold_norms and self.n_devices > 1:
            raise ValueError("fold_norms is for one device; leave it or devices out")
        if self.pretrained_sha256 is not None and self.pretrained == "none":
            raise ValueError("pretrained_sha256 checks a file, and pretrained is 'none'")
        if self.snapshots is not None:
            self._check_snapshots(self.snapshots)
        if self.snapshot is not None and (self.variant_of is None or self.snapshots is None):
            raise ValueError("snapshot is set by snapshots; give that instead")
        if self.batch_size % self.n_devices:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be divided among {self.n_devices} devices"
            )
        return self

    def _check_mosaic_off(self, n: int) -> None:
        if self.task == "cls":
            raise ValueError("mosaic_off_epochs is of boxes and masks; a classifier has no mosaic")
        if n >= self.epochs:
            raise ValueError(
                f"mosaic_off_epochs is {n}, and there are {self.epochs} epochs; leave the mixes "
                "out of augmentation instead"
            )
        if self.early_stopping is not None:
            raise ValueError(
                "mosaic_off_epochs are the last epochs, and early_stopping does not say beforehand "
                "which these are; leave one of them out"
            )
        mixes = {"mosaic", "mixup"}
        if self.augmentation != "published" and not any(
            mixes & set(entry) for entry in self.listed_augmentation
        ):
            raise ValueError(
                "mosaic_off_epochs: augmentation has no mosaic and no mixup; remove it"
            )

    def _check_epochs_can_be_compared(self) -> None:
        if not self.sampler.repeats:
            return
        with_copies = self.data is not None and self.images_an_epoch is None
        if with_copies or self.images_an_epoch == "labeled":
            what = "an augmented set" if with_copies else "pseudo-labels"
            raise ValueError(
                f"with the sampler {self.sampler.name!r} an epoch is as long as its copies make "
                f"it, so nothing says how long one with {what} is; set images_an_epoch: a "
                "number, or all"
            )

    @property
    def listed_augmentation(self) -> tuple[dict[str, dict[str, Any]], ...]:
        """The entries of `augmentation`; none where it is the recipe's or what is published."""
        listed = self.augmentation
        return () if listed is None or isinstance(listed, str) else listed

    @property
    def nodes(self) -> int:
        """How many machines train it together."""
        return 1 if isinstance(self.devices, int) else self.devices.nodes

    @property
    def devices_per_node(self) -> int:
        """How many processes train it on each machine."""
        return self.devices if isinstance(self.devices, int) else self.devices.per_node

    @property
    def n_devices(self) -> int:
        """How many processes train it, on all machines."""
        return self.nodes * self.devices_per_node

    def _check_snapshots(self, n: int) -> None:
        cycles = (self.schedule.name, self.schedule.restarts)
        if cycles != ("cosine_restarts", n - 1):
            raise ValueError(
                f"snapshots: {n} has a schedule of {n} cosine cycles; leave schedule.name and "
                "schedule.restarts out"
            )
        if self.early_stopping is not None:
            raise ValueError("snapshots are of the whole training; leave early_stopping out")
