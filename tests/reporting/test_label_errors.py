"""The picture of the likeliest label errors."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from recycling.annotations import ImageFolder, from_coco
from recycling.diagnostics.label_errors.core import candidates
from recycling.reporting import label_errors_grid
from recycling.reporting.close_ups import AFTER, BEFORE

BASE = {"quality": 0.1, "image_id": 1, "annotation_id": 1, "category": "Glass",
        "x_min": 10, "y_min": 10, "x_max": 30, "y_max": 30, "models": "det: something"}  # fmt: skip
NEW = {"new_x_min": 15, "new_y_min": 10, "new_x_max": 40, "new_y_max": 30}


@pytest.fixture
def truth():
    image = {"id": 1, "file_name": "a.png", "width": 80, "height": 60}
    return from_coco({"images": [image], "annotations": [], "categories": []}, where="test")


@pytest.fixture
def folder(tmp_path):
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(tmp_path / "a.png")
    return ImageFolder(tmp_path)


def colours(grid):
    return [(grid == colour).all(axis=-1).any() for colour in (BEFORE, AFTER)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"kind": "wrong_class", "new_category": "Metal"}, [True, False]),
        ({"kind": "spurious"}, [True, False]),
        ({"kind": "badly_placed", **NEW}, [True, True]),
        ({"kind": "missed", "annotation_id": None, "category": None, "new_category": "Metal"},
         [False, True]),
    ],
)  # fmt: skip
def test_what_is_said_is_orange_and_what_models_see_elsewhere_is_blue(truth, folder, row, expected):
    errors = candidates(truth, pd.DataFrame([{**BASE, **row}]))
    assert colours(label_errors_grid(truth, folder, errors)) == expected


def test_the_first_are_shown_five_a_row(truth, folder):
    rows = pd.DataFrame([{**BASE, "kind": "spurious", "annotation_id": n} for n in range(1, 9)])
    errors = candidates(truth, rows)
    one, five, six = (label_errors_grid(truth, folder, errors, n).shape for n in (1, 5, 6))
    assert five[0] == one[0]
    assert five[1] > 4 * one[1]
    assert six[1] == five[1]
    assert six[0] > five[0]


def test_nothing_to_show_is_one_sentence(truth, folder):
    errors = candidates(truth, pd.DataFrame([{**BASE, "kind": "spurious", "quality": 1}]))
    assert label_errors_grid(truth, folder, errors).shape[0] < 40
