"""Annotations that tests of the folds are made on."""

import json

import numpy as np
import pandas as pd

from recycling.annotations import ANNOTATIONS, CATEGORIES, IMAGES, Annotations

NAMES = ["Paper", "Metal", "Glass", "Battery"]
IDS = [7, 3, 5, 11]
METHODS = [
    "random",
    "stratified",
    "stratified_group",
    "joint_labels",
    "multilabel_stratified",
    "multilabel_stratified_group",
]
BREAKS_GROUPS = ["stratified", "multilabel_stratified"]
WITH_GROUPS = [method for method in METHODS if method not in BREAKS_GROUPS]


def tables(images, annotations, categories):
    """Annotations of columns that matter; the others are filled in."""
    images = images.assign(**{"extra": None, **{name: images[name] for name in images}})
    columns = {"segmentation": None, "source": "human", "score": 1.0, "extra": None}
    annotations = annotations.assign(**{**columns, **{n: annotations[n] for n in annotations}})
    return Annotations(
        IMAGES.conform(images, where="test"),
        ANNOTATIONS.conform(annotations, where="test"),
        CATEGORIES.conform(categories.assign(extra=None), where="test"),
    )


def annotated_images(n_images=240, group_size=3, seed=0):
    """Images in groups, some bare, with up to a dozen annotations of skewed categories."""
    rng = np.random.default_rng(seed)
    image_id = rng.permutation(n_images) + 1000
    images = pd.DataFrame({"image_id": image_id, "width": 100, "height": 100})
    images["file_name"] = [f"{own}.jpg" for own in image_id]
    images["group"] = [f"shot {i // group_size}" for i in range(n_images)]
    on = np.repeat(image_id, rng.poisson(3, n_images))
    side = rng.uniform(5, 50, (len(on), 2))
    annotations = pd.DataFrame(
        {
            "annotation_id": rng.permutation(len(on)),
            "image_id": on,
            "category_id": rng.choice(IDS, len(on), p=[0.6, 0.25, 0.1, 0.05]),
            "x_min": 1,
            "y_min": 1,
            "x_max": 1 + side[:, 0],
            "y_max": 1 + side[:, 1],
            "area": side.prod(axis=1),
            "iscrowd": False,
        }
    )
    categories = pd.DataFrame({"category_id": IDS, "name": NAMES, "supercategory": NAMES})
    return tables(images, annotations, categories)


def with_images(annotations, **columns):
    """The same annotations with other columns of the images table."""
    images = IMAGES.conform(annotations.images.assign(**columns), where="test")
    return Annotations(images, annotations.annotations, annotations.categories)


def with_extra(annotations, keys):
    """The same annotations, each image with a dictionary of keys of its own."""
    return with_images(annotations, extra=[json.dumps(k) if k is not None else None for k in keys])


def shuffled(annotations, seed=1):
    """The same annotations, their rows in another order."""
    return Annotations(
        *(
            table.sample(frac=1, random_state=seed + i, ignore_index=True)
            for i, table in enumerate(
                (annotations.images, annotations.annotations, annotations.categories)
            )
        )
    )
