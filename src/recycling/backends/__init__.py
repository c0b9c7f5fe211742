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
from recycling.backends.model import Model
from recycling.backends.registry import INSTALL, backend_for, is_installed
from recycling.backends.resume import changed_settings
from recycling.backends.settings import (
    Anchors,
    EarlyStopping,
    Loss,
    Optimizer,
    Sampler,
    Schedule,
    TestTimeAugmentation,
)

__all__ = [
    "INSTALL",
    "Anchors",
    "Backend",
    "BackendError",
    "Checkpoint",
    "EarlyStopping",
    "Images",
    "Loss",
    "Model",
    "Optimizer",
    "Recipes",
    "RunFolder",
    "Sampler",
    "Schedule",
    "TestTimeAugmentation",
    "TrainingData",
    "backend_for",
    "changed_settings",
    "is_installed",
]
