"""Values that several rooms test with."""

from __future__ import annotations

import os

import hypothesis
import pandas as pd
import pytest

from recycling.annotations import ANNOTATIONS, CATEGORIES, IMAGES, Annotations

# Tracking takes a second a training; those tests that are of it turn it on.
os.environ["WANDB_MODE"] = "disabled"

# No test is timed: a machine may be busy.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

LONGEST = ("test_chain.py", "test_benchmarks.py", "test_notebooks.py", "test_sample.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that no worker is alone with one at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture
def annotations() -> Annotations:
    """Three images of 40 x 30 pixels; Paper on the first two, Metal on the second."""
    images = pd.DataFrame(
        {
            "image_id": [1, 2, 3],
            "file_name": ["1.png", "2.png", "3.png"],
            "width": 40,
            "height": 30,
            "group": ["a", "b", "b"],
            "extra": None,
        }
    )
    boxes = [(2, 2, 12, 12), (0, 0, 10, 20), (15, 5, 35, 25)]
    rows = pd.DataFrame(boxes, columns=["x_min", "y_min", "x_max", "y_max"]).assign(
        annotation_id=[1, 2, 3],
        image_id=[1, 2, 2],
        category_id=[5, 5, 7],
        area=[100.0, 200.0, 400.0],
        segmentation=None,
        iscrowd=False,
        source="human",
        score=1.0,
        extra=None,
    )
    categories = pd.DataFrame(
        {"category_id": [5, 7], "name": ["Paper", "Metal"], "supercategory": "", "extra": None}
    )
    return Annotations(
        IMAGES.conform(images, where="images"),
        ANNOTATIONS.conform(rows, where="annotations"),
        CATEGORIES.conform(categories, where="categories"),
    )
