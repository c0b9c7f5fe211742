"""Boxes that are likely to be written in another form than they are read in stop a run."""

import numpy as np
import pytest

from recycling.annotations import IMAGE_CHECKS, AnnotationError, Cleaning, clean, from_coco


def _clean(boxes, **settings):
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 160, "height": 120}],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": 0, "bbox": box}
            for number, box in enumerate(boxes, 1)
        ],
        "categories": [{"id": 0, "name": "Glass"}],
    }
    rules = Cleaning.model_validate(settings)
    return clean(from_coco(document, where="test"), IMAGE_CHECKS.empty(), rules)[0]


PIXELS = [[104, 45, 30, 36], [65, 55, 35, 16], [10, 8, 90, 60], [100, 70, 40, 30]]
SHARES = [[x / 160, y / 120, w / 160, h / 120] for x, y, w, h in PIXELS]
CORNERS = [[x, y, x + w, y + h] for x, y, w, h in PIXELS]


def test_shares_for_pixels_stop_with_their_row_and_the_setting():
    with pytest.raises(AnnotationError) as caught:
        _clean(SHARES)
    message = str(caught.value)
    assert "4 of 4 boxes are under 2 pixels" in message
    assert "annotation 1 on a.jpg (160 x 120) is [0.65, 0.375, 0.1875, 0.3]" in message
    assert "check_boxes: {enabled: false}" in message


def test_corners_for_sizes_stop_with_their_row_and_the_setting():
    with pytest.raises(AnnotationError) as caught:
        _clean(CORNERS)
    message = str(caught.value)
    assert "3 of 4 boxes reach outside" in message
    assert "annotation 1 on a.jpg (160 x 120) is [104, 45, 134, 81]" in message


def test_boxes_that_are_meant_are_left_to_the_other_rules():
    off = {"check_boxes": {"enabled": False}}
    assert len(_clean(SHARES, **off).annotations) == 4
    clipped = _clean(CORNERS, **off).annotations
    assert clipped["x_max"].max() == 160


@pytest.mark.parametrize(
    "boxes",
    [
        PIXELS,
        [*PIXELS, *SHARES[:3]],  # a few that are tiny
        [[0, 0, 161, 121]] * 4,  # all of an image, and a pixel more
        [[150, 100, 20, 30]] * 4,  # cut off by the image's edge
        [],
    ],
)
def test_boxes_in_pixels_pass(boxes):
    kept = _clean(boxes, drop_duplicate_annotations={"enabled": False}).annotations
    assert len(kept) == len(boxes)
    assert np.isfinite(kept["x_max"]).all()
