"""Whether and how Weights & Biases tracks a training, whichever library runs it."""

from __future__ import annotations

import os
from typing import Any

from recycling.backends.shared.model import Model

WANDB_MODE = "WANDB_MODE"
"""W&B's own variable: ``offline`` or ``online`` turns it on; without it nothing is logged."""


def wandb_settings(model: Model) -> dict[str, Any] | None:
    """The arguments of ``wandb.init`` for a training; None where W&B is off."""
    mode = os.environ.get(WANDB_MODE, "disabled")
    if mode not in ("offline", "online"):
        return None
    return {
        "project": "recycling",
        "name": f"{model.recipe}-{model.seed}",
        "mode": mode,
        "group": model.task,
        "reinit": "finish_previous",
    }
