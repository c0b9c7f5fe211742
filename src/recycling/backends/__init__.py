"""The libraries that train: mmpretrain, mmdet and mmseg through mmengine, and detectron2."""

from recycling.backends.core import (
    Backend,
    BackendError,
    Checkpoint,
    Images,
    LoadedModel,
    Recipes,
    RunFolder,
    TrainingData,
)
from recycling.backends.libraries import how_to_install, is_installed
from recycling.backends.losses import Loss
from recycling.backends.registry import backend_for
from recycling.backends.shared.model import Model
from recycling.backends.shared.resume import changed_settings
from recycling.backends.shared.settings import (
    Anchors,
    Devices,
    EarlyStopping,
    Optimizer,
    Resources,
    Sampler,
    Schedule,
    TestTimeAugmentation,
)
from recycling.backends.shared.snapshots import take_snapshot

__all__ = [
    "Anchors",
    "Backend",
    "BackendError",
    "Checkpoint",
    "Devices",
    "EarlyStopping",
    "Images",
    "LoadedModel",
    "Loss",
    "Model",
    "Optimizer",
    "Recipes",
    "Resources",
    "RunFolder",
    "Sampler",
    "Schedule",
    "TestTimeAugmentation",
    "TrainingData",
    "backend_for",
    "changed_settings",
    "how_to_install",
    "is_installed",
    "take_snapshot",
]
