"""Mean Dice coefficient of label maps."""

from __future__ import annotations

from functools import partial
from typing import Literal

from recycling.annotations import Annotations
from recycling.evaluation.class_counts import Counts, count_pixels, mean_of_classes
from recycling.evaluation.core import Metrics
from recycling.evaluation.masks import mask_metrics
from recycling.evaluation.metric import MaskMetric, mask_metric
from recycling.predictions import LabelMaps


class MeanDiceSettings(MaskMetric):
    """Mean Dice coefficient (the F1 of pixels) of all classes, the background among them."""

    metric: Literal["mean_dice"] = "mean_dice"


def dice_of_classes(hits: Counts, true: Counts, predicted: Counts) -> Counts:
    """The mean Dice of pixel counts, (draws, classes) each; (draws,), NaN without a pixel.

    >>> import numpy as np
    >>> one_image = [np.array([counts]) for counts in ([3.0, 1.0], [3.0, 2.0], [5.0, 2.0])]
    >>> dice_of_classes(*one_image).tolist()
    [0.625]
    """
    pixels = true + predicted
    return mean_of_classes(2 * hits, pixels, pixels > 0)


@mask_metric(
    "mean_dice",
    MeanDiceSettings,
    title="mean Dice",
    image_scores=partial(count_pixels, score=dice_of_classes),
)
def mean_dice(truth: Annotations, label_maps: LabelMaps) -> Metrics:
    """Twice the hits over the pixels of truth and prediction, the mean of the classes.

    Source: Dice, Measures of the amount of ecologic association between species (1945).

    Args:
        truth: As for `miou`.
        label_maps: As for `miou`.

    Returns:
        Metric ``mean Dice``, by class the Dice coefficient; details as `mask_metrics` gives them.

    Raises:
        EvaluationError: As `miou` does.
    """
    return mask_metrics(truth, label_maps, "mean Dice")
