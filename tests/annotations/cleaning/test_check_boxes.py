"""Boxes that are likely to be written in another form than they are read in stop a run."""

import numpy as np
import pytest

from recycling.annotations import IMAGE_CHECKS, AnnotationError, Cleaning, clean, from_coco


def _clean(boxes, polygons=None, per_image=100, **settings):
    annotations = [
        {"id": number, "image_id": 1 + number // per_image, "category_id": 0, "bbox": box}
        for number, box in enumerate(boxes, 1)
    ]
    for annotation, polygon in zip(annotations, polygons or [], strict=False):
        annotation["segmentation"] = [polygon]
    document = {
        "images": [
            {"id": number, "file_name": f"{letter}.jpg", "width": 160, "height": 120}
            for number, letter in enumerate("abcdefghij", 1)
        ],
        "annotations": annotations,
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


def test_corners_for_centres_stop():
    # x_min, y_min, x_max, y_max, read as x_center, y_center, width, height
    boxes = [[x - (x + w) / 2, y - (y + h) / 2, x + w, y + h] for x, y, w, h in PIXELS * 3]
    with pytest.raises(AnnotationError, match="where x_center, y_center, width, height belong"):
        _clean(boxes, drop_duplicate_annotations={"enabled": False})


def test_shares_of_some_images_alone_stop():
    with pytest.raises(AnnotationError, match="on 1 of 5 images all boxes lie within one pixel"):
        _clean([SHARES[0], *PIXELS], per_image=1)


@pytest.mark.parametrize("number", ["{:.4f}", "{:g}", "{:.3e}"])
def test_outlines_in_shares_stop_where_the_boxes_are_pixels(number):
    outlines = [
        [float(number.format(v)) for v in (x, y, x + w, y, x + w, y + h)] for x, y, w, h in SHARES
    ]
    with pytest.raises(AnnotationError, match=r"4 of 4 outlines .* within one pixel.*annotation 1"):
        _clean(PIXELS, outlines)
    pixels = [[x, y, x + w, y, x + w, y + h] for x, y, w, h in PIXELS]
    assert len(_clean(PIXELS, [*pixels[:3], outlines[3]]).annotations) == 4


@pytest.mark.parametrize(
    "boxes",
    [
        [[y, x, y + h, x + w] for x, y, w, h in PIXELS],
        [[x / 160 * 1000, y / 120 * 1000, w / 160 * 1000, h / 120 * 1000] for x, y, w, h in PIXELS],
    ],
    ids=["y x y x", "thousandths"],
)
def test_boxes_whose_centres_are_outside_stop(boxes):
    meant = {"drop_duplicate_annotations": {"enabled": False}}
    with pytest.raises(AnnotationError, match=r"of 12 boxes have their centre outside their image"):
        _clean(boxes * 3, **meant)
    few = [*boxes[:1], *PIXELS, *PIXELS, *PIXELS]
    assert len(_clean(few, **meant).annotations) in (12, 13)  # one is clipped, or dropped


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
