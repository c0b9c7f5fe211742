"""Mean intersection over union of label maps."""

from __future__ import annotations

from functools import partial
from typing import Literal

from recycling.annotations import Annotations
from recycling.evaluation.class_counts import Counts, count_pixels, mean_of_classes
from recycling.evaluation.core import Metrics
from recycling.evaluation.masks import mask_metrics
from recycling.evaluation.metric import MaskMetric, mask_metric
from recycling.predictions import LabelMaps


class MiouSettings(MaskMetric):
    """Mean intersection over union of all classes, the background among them."""

    metric: Literal["miou"] = "miou"


def mean_iou(hits: Counts, true: Counts, predicted: Counts) -> Counts:
    """The mIoU of pixel counts, (draws, classes) each; (draws,), NaN without a pixel.

    >>> import numpy as np
    >>> one_image = [np.array([counts]) for counts in ([3.0, 1.0], [3.0, 2.0], [4.0, 1.0])]
    >>> mean_iou(*one_image).tolist()
    [0.625]
    """
    union = true + predicted - hits
    return mean_of_classes(hits, union, union > 0)


@mask_metric("miou", MiouSettings, title="mIoU", image_scores=partial(count_pixels, score=mean_iou))
def miou(truth: Annotations, label_maps: LabelMaps) -> Metrics:
    """Intersection over union, over all pixels of all images together, the mean of the classes.

    Source: Everingham et al., The Pascal VOC Challenge (2010), section 4.1.3.

    Pixels that are "ignore" in the truth count for nothing. A prediction of another size is
    resized to the truth's, taking the nearest pixel.

    Args:
        truth: The images that were predicted on, and what is on them.
        label_maps: A label map for each of these images.

    Returns:
        Metric ``mIoU`` over the background and the categories that are in the truth or predicted,
        by class the IoU, with ``background`` among them; details as `mask_metrics` gives them.

    Raises:
        EvaluationError: An image has no label map, a map holds a value that is no class, or the
            truth has no pixel to compare.
    """
    return mask_metrics(truth, label_maps, "mIoU")
