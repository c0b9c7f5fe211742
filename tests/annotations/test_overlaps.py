"""What is left of annotations where they overlap."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recycling.annotations import AnnotationError, annotation_mask, from_coco
from recycling.annotations.overlaps import visible_area

HEIGHT, WIDTH = 9, 12
N_IMAGES, N_CATEGORIES = 3, 2

_whole = st.integers(-3, WIDTH + 3)
_boxes = st.tuples(_whole, _whole, _whole.map(abs), _whole.map(abs)).map(list)
_polygons = st.lists(
    st.lists(st.integers(0, WIDTH), min_size=6, max_size=10).filter(lambda one: len(one) % 2 == 0),
    min_size=1,
    max_size=2,
)
_runs = st.lists(st.integers(0, 30), min_size=1, max_size=12).map(
    lambda cuts: np.diff([0, *sorted(min(3 * cut, HEIGHT * WIDTH) for cut in cuts), HEIGHT * WIDTH])
)
_rles = _runs.map(lambda runs: {"size": [HEIGHT, WIDTH], "counts": runs.tolist()})


@st.composite
def documents(draw, segmentations):
    """A COCO document whose annotations lie across one another."""
    entries = draw(
        st.lists(
            st.tuples(
                st.integers(1, N_IMAGES),
                st.integers(1, N_CATEGORIES),
                _boxes,
                segmentations,
                st.booleans(),
            ),
            max_size=12,
        )
    )
    return {
        "images": [
            {"id": one, "file_name": f"{one}.png", "width": WIDTH, "height": HEIGHT}
            for one in range(1, N_IMAGES + 1)
        ],
        "categories": [{"id": one, "name": str(one)} for one in range(1, N_CATEGORIES + 1)],
        "annotations": [
            {
                "id": number,
                "image_id": image_id,
                "category_id": category_id,
                "bbox": box,
                "segmentation": segmentation,
                "iscrowd": int(crowd),
            }
            for number, (image_id, category_id, box, segmentation, crowd) in enumerate(entries)
        ],
    }


def _painted(annotations):
    """By hand: for each annotation the pixels that show it, as boolean pictures, (N, H, W)."""
    table = annotations.annotations
    shown = np.zeros((len(table), HEIGHT, WIDTH), dtype=bool)
    for row, entry in enumerate(table.itertuples()):
        text = entry.segmentation if isinstance(entry.segmentation, str) else None
        box = [entry.x_min, entry.y_min, entry.x_max, entry.y_max]
        mask = annotation_mask(text, box, HEIGHT, WIDTH)
        shown[(table["image_id"] == entry.image_id).to_numpy()] &= ~mask
        shown[row] = mask
    return shown


@settings(max_examples=40)
@given(documents(st.one_of(st.none(), _polygons, _rles)))
def test_the_visible_area_is_what_painting_in_row_order_leaves(document):
    annotations = from_coco(document, where="test")
    expected = _painted(annotations).sum(axis=(1, 2))
    np.testing.assert_array_equal(visible_area(annotations), expected)


@settings(max_examples=20)
@given(documents(st.none()), st.floats(0.01, 3))
def test_boxes_are_measured_exactly_whatever_the_size_of_a_pixel(document, scale):
    small = visible_area(from_coco(document, where="test"))
    for image in document["images"]:
        image |= {"width": WIDTH * 100, "height": HEIGHT * 100}
    for entry in document["annotations"]:  # the first document's boxes, cut to its picture
        x, y, wide, high = entry["bbox"]
        x_max, y_max = min(x + wide, WIDTH), min(y + high, HEIGHT)
        x, y = max(x, 0), max(y, 0)
        entry["bbox"] = [x * scale, y * scale, (x_max - x) * scale, (y_max - y) * scale]
    scaled = visible_area(from_coco(document, where="test"))
    np.testing.assert_allclose(scaled, small * scale**2, atol=1e-9)


def test_what_nothing_hides_has_the_area_of_its_box_to_the_last_digit():
    document = {
        "images": [{"id": 1, "file_name": "1.png", "width": 9, "height": 9}],
        "categories": [{"id": 1, "name": "Glass"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0.1, 0.2, 0.7, 0.3]},
            {"id": 2, "image_id": 1, "category_id": 1, "bbox": [5, 5, 3, 3]},
            {"id": 3, "image_id": 1, "category_id": 1, "bbox": [5.5, 0, 1, 9]},
        ],
    }
    annotations = from_coco(document, where="test")
    table = annotations.annotations
    whole = (table["x_max"] - table["x_min"]) * (table["y_max"] - table["y_min"])
    assert visible_area(annotations).tolist() == [whole[0], 6, 9]


def test_a_mask_that_cannot_be_drawn_names_the_annotation():
    document = {
        "images": [{"id": 7, "file_name": "7.png", "width": 2, "height": 2}],
        "categories": [{"id": 1, "name": "Glass"}],
        "annotations": [
            {
                "id": 5,
                "image_id": 7,
                "category_id": 1,
                "bbox": [0, 0, 1, 1],
                "area": 1,
                "segmentation": {"size": [2, 2], "counts": [1, 1]},
            }
        ],
    }
    with pytest.raises(AnnotationError, match=r"counts do not add up.*: annotation id 5"):
        visible_area(from_coco(json.loads(json.dumps(document)), where="test"))
