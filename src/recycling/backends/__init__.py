"""The libraries that train: mmpretrain, mmdet and mmseg through mmengine, and detectron2."""

from recycling.backends.core import (
    Backend,
    BackendError,
    Checkpoint,
    Images,
    Recipes,
    RunFolder,
    TrainingData,
)
from recycling.backends.model import Model, Optimizer, Schedule
from recycling.backends.registry import INSTALL, backend_for, is_installed

__all__ = [
    "INSTALL",
    "Backend",
    "BackendError",
    "Checkpoint",
    "Images",
    "Model",
    "Optimizer",
    "Recipes",
    "RunFolder",
    "Schedule",
    "TrainingData",
    "backend_for",
    "is_installed",
]
