"""Where predictions are furthest from the truth, and how that looks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from recycling.annotations import Annotations, ImageFolder
from recycling.backends.shared.model import Task
from recycling.diagnostics import as_predictions, changes_between, without_ignored
from recycling.pipelines.tasks import is_labelled
from recycling.reporting import GRIDS, RgbImage

SHOWN_FROM = 0.3
"""The score from which on boxes are drawn where nothing says what suits them."""


def draw_worst(
    task: Task,
    truth: Annotations,
    folder: ImageFolder,
    predictions: Any,
    n: int,
    shown_from: float = SHOWN_FROM,
) -> RgbImage:
    """The images, or for classes the crops, on which predictions are furthest from the truth.

    Args:
        task: What is predicted.
        truth: The images and what is on them.
        folder: Where they are.
        predictions: Of these images.
        n: How many are drawn.
        shown_from: The score that a box needs.

    Returns:
        (H, W, 3) RGB; of no height where no truth is known.
    """
    if not is_labelled(truth):
        return np.zeros((0, 0, 3), dtype=np.uint8)
    right, counted = as_predictions(truth, predictions), without_ignored(truth, predictions)
    wrong = changes_between(right, counted, score_threshold=shown_from)
    worst = wrong["item_id"].head(n)
    if task == "cls":
        rows = truth.annotations[truth.annotations["annotation_id"].isin(worst)]
        truth = replace(truth, annotations=rows.reset_index(drop=True))
    else:
        truth = truth.of_images(worst)
    score = {"min_score": shown_from} if task == "det" else {}
    return GRIDS[task](truth, folder, predictions, n, **score)
