"""What a user says about a model in `models.yml`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Task = Literal["cls", "det", "seg"]
BackendName = Literal["mmpretrain", "mmdet", "mmseg", "detectron2"]

BACKENDS_OF: dict[str, tuple[str, ...]] = {
    "cls": ("mmpretrain",),
    "det": ("mmdet", "detectron2"),
    "seg": ("mmseg",),
}


class Optimizer(BaseModel):
    """An optimiser of `torch.optim` and its settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["SGD", "Adam", "AdamW"] = "AdamW"
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1, description="SGD only")
    clip_grad_norm: float | None = Field(default=None, gt=0)


class Schedule(BaseModel):
    """How the learning rate moves, by iteration, over the whole training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["constant", "cosine", "poly", "step"] = "cosine"
    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of all iterations")


class Model(BaseModel):
    """One model of `models.yml`: task, library, recipe and settings.

    A setting that a backend cannot honour is an error of that backend, never ignored.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Task
    backend: BackendName
    recipe: str = Field(description="a file below conf/recipes/<backend>/, without its suffix")
    folds: tuple[int, ...] = Field(default=(0,), min_length=1)
    train_on: Literal["labeled", "labeled+pseudo"] = "labeled"
    image_size: int = Field(ge=16, description="side of the square input, pixels")
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    optimizer: Optimizer
    schedule: Schedule = Schedule()
    seed: int = Field(default=0, ge=0)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    pretrained: str = Field(
        default="none",
        description="'none', 'default' (the recipe's own), a path, or 'model:NAME' of models.yml",
    )
    workers: int = Field(default=0, ge=0, description="loader processes")
    score_threshold: float = Field(default=0.01, ge=0, le=1, description="boxes below are dropped")
    options: dict[str, Any] = Field(
        default_factory=dict, description="dotted keys of the library's config and their values"
    )
    skip_if_missing: bool = Field(
        default=False, description="leave the model out where its library is not installed"
    )

    @model_validator(mode="after")
    def _backend_fits_task(self) -> Model:
        if self.backend not in BACKENDS_OF[self.task]:
            raise ValueError(
                f"backend {self.backend!r} does not train task {self.task!r}; "
                f"use one of {', '.join(BACKENDS_OF[self.task])}"
            )
        return self
