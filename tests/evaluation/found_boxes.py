"""Objects at random, and a detector that finds most of them."""

import numpy as np
import pandas as pd

from recycling.annotations import ANNOTATIONS, CATEGORIES, IMAGES, Annotations
from recycling.predictions import DETECTIONS, Detections

NAMES = ["Paper", "Metal", "Glass", "Battery"]
IDS = [7, 3, 5, 11]


def boxes_at_random(rng, n):
    corner = rng.uniform(0, 250, (n, 2))
    size = np.exp(rng.uniform(np.log(4), np.log(200), (n, 2)))
    return np.hstack([corner, corner + size])


def truth_of(rng, n_images=30, n_objects=150):
    boxes = boxes_at_random(rng, n_objects)
    images = pd.DataFrame({"image_id": rng.permutation(n_images) + 100, "extra": None})
    images = images.assign(
        file_name=images["image_id"].astype(str) + ".jpg", width=512, height=512
    ).assign(group=images["image_id"].astype(str))
    annotations = pd.DataFrame(boxes, columns=["x_min", "y_min", "x_max", "y_max"]).assign(
        annotation_id=np.arange(n_objects),
        image_id=rng.integers(100, 100 + n_images, n_objects),
        # The last category has no object.
        category_id=rng.choice(IDS[:3], n_objects, p=[0.6, 0.3, 0.1]),
        area=(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) * 0.8,
        segmentation=None,
        iscrowd=rng.random(n_objects) < 0.05,
        source="human",
        score=1.0,
        extra=None,
    )
    categories = pd.DataFrame({"category_id": IDS, "name": NAMES, "supercategory": NAMES})
    return Annotations(
        IMAGES.conform(images, where="test"),
        ANNOTATIONS.conform(annotations, where="test"),
        CATEGORIES.conform(categories.assign(extra=None), where="test"),
    )


def detections_of(truth, rng):
    """Jittered objects, some with a wrong class, and false alarms."""
    found = truth.annotations.sample(frac=0.8, random_state=1)
    columns = ["image_id", "category_id", "x_min", "y_min", "x_max", "y_max"]
    found = pd.concat([found[columns]] * 2, ignore_index=True)
    jitter = rng.normal(0, 4, (len(found), 4))
    found[columns[2:]] = found[columns[2:]] + jitter
    wrong = rng.random(len(found)) < 0.2
    found.loc[wrong, "category_id"] = rng.choice(IDS, int(wrong.sum()))
    found["score"] = rng.random(len(found)).round(2)
    return Detections(DETECTIONS.conform(found, where="test"))
