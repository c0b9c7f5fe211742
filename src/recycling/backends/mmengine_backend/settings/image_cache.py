"""How much memory decoded images may take."""

from __future__ import annotations

from typing import Any

from recycling.backends.mmengine_backend.config_tree import innermost
from recycling.backends.shared.model import Model

READERS = ("ReadImage", "ReadCrop")


def set_image_cache(config: Any, model: Model) -> None:
    """Divide `cache_megabytes` among the processes that read images at the same time.

    These are the loaders of all devices of a machine; with `early_stopping` also the training
    itself, which reads the held-out images.

    Args:
        config: The resolved ``mmengine.Config``; changed in place.
        model: The settings.
    """
    n_bytes = model.cache_megabytes * 2**20
    scoring = model.early_stopping is not None and model.workers > 0
    share = n_bytes // (model.devices_per_node * (max(1, model.workers) + scoring))
    for step in innermost(config.train_dataloader.dataset)["pipeline"]:
        if step["type"] in READERS:
            step["cache_bytes"] = share
    for step in config.test_pipeline:
        if step["type"] in READERS:
            # Once a training has ended its loaders hold nothing.
            step["cache_bytes"] = share if scoring or model.workers == 0 else n_bytes
