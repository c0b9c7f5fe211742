"""The certificate of a round of pseudo-labels as a page."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from recycling.annotations import BOX, ImageFolder
from recycling.pseudo_labels.core import EXAMPLES
from recycling.reporting import example_images
from recycling.reporting.layout import RIGHT, WRONG


@pytest.mark.parametrize(
    ("category", "box", "right", "wrong"),
    [
        (5, (2, 2, 12, 12), True, False),
        (7, (2, 2, 12, 12), False, True),
        (5, (20, 20, 30, 30), False, True),
    ],
)
def test_an_example_is_framed_by_whether_the_truth_has_it(
    annotations, tmp_path, category, box, right, wrong
):
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(tmp_path / "1.png")
    row = {"kind": "surest", "image_id": 1, "category_id": category, "score": 0.9}
    table = EXAMPLES.conform(pd.DataFrame([{**row, **dict(zip(BOX, box, strict=True))}]), where="")
    shown = (table, annotations.images, ImageFolder(tmp_path), annotations.categories)

    def has(images, colour):
        return bool((images[0][1] == colour).all(axis=-1).any())

    known = example_images(*shown, annotations)
    assert (has(known, RIGHT), has(known, WRONG)) == (right, wrong)
    unknown = example_images(*shown)
    assert not has(unknown, RIGHT)
    assert not has(unknown, WRONG)
