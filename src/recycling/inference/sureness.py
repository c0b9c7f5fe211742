"""How sure a model is of what it has found on each image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recycling.inference.parts import Predicted


def sureness(predicted: Predicted) -> dict[int, float]:
    """How sure, 0 to 1, by image id: as sure as of the object that it is least sure of.

    Of a class that is its probability, of a box how far its score is from even, twice. An image
    without objects has 1, and so has what has no scores: the regions of a segmenter.

    Args:
        predicted: What was found.

    Example:
        >>> import pandas as pd
        >>> objects = pd.DataFrame({"image_id": [1, 1, 2], "score": [0.9, 0.6, 0.1]})
        >>> images = pd.DataFrame({"image_id": [1, 2, 3]})
        >>> found = sureness(Predicted("det", images, objects, pd.DataFrame(), {}))
        >>> {image: round(sure, 2) for image, sure in found.items()}
        {1: 0.2, 2: 0.8, 3: 1.0}
    """
    scores = predicted.objects["score"].to_numpy(dtype=np.float64, na_value=1.0)
    if predicted.task == "det":
        scores = np.abs(2 * scores - 1)
    found = dict.fromkeys(predicted.images["image_id"].tolist(), 1.0)
    for image_id, sure in zip(predicted.objects["image_id"].tolist(), scores.tolist(), strict=True):
        found[image_id] = min(found[image_id], sure)
    return found


def least_sure(predicted: Predicted, n_images: int) -> Predicted:
    """The same, of the images alone that the model is least sure of.

    Args:
        predicted: What was found.
        n_images: How many.
    """
    sure = sureness(predicted)
    image_ids = sorted(sure, key=sure.__getitem__)[:n_images]
    images, objects = (
        table[table["image_id"].isin(image_ids)].reset_index(drop=True)
        for table in (predicted.images, predicted.objects)
    )
    sources = {image_id: predicted.sources[image_id] for image_id in sorted(image_ids)}
    return replace(predicted, images=images, objects=objects, sources=sources)
