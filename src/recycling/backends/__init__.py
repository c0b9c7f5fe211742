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
from recycling.backends.registry import backend_for, how_to_install, is_installed
from recycling.backends.shared.model import Model
from recycling.backends.shared.resume import changed_settings
from recycling.backends.shared.settings import (
    Anchors,
    EarlyStopping,
    Loss,
    Optimizer,
    Sampler,
    Schedule,
    TestTimeAugmentation,
)

__all__ = [
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
    "how_to_install",
    "is_installed",
]
