"""Sweeps of Weights & Biases: a server gives settings, an agent trains, the score goes back."""

from __future__ import annotations

import os

SWEEP = "WANDB_SWEEP_ID"
"""What an agent tells the programs that it starts."""


def is_agent() -> bool:
    """Whether an agent of a sweep has started this process."""
    return SWEEP in os.environ


def log_score(metric: str, score: float) -> None:
    """Give the sweep the score of the training that it has asked for.

    Args:
        metric: Its name, as the sweep has it.
        score: The score.
    """
    import wandb

    # The agent's variables say which run of which sweep this is.
    with wandb.init() as run:
        run.log({metric: score})
