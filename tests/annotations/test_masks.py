import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask

from recycling.annotations import (
    AnnotationError,
    annotation_area,
    annotation_mask,
    from_coco,
    label_maps,
    mask_to_segmentation,
    to_label_map,
)
from recycling.annotations.masks import (
    box_rle,
    mask_polygons,
    merged_rles,
    outside,
    part_to_segmentation,
    rle_box,
    rle_to_segmentation,
    segmentation_box,
    segmentation_rle,
)

_NO_BOX = [0.0, 0.0, 0.0, 0.0]


@settings(max_examples=100)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=70)))
def test_a_mask_comes_back_from_its_rle(mask):
    text = mask_to_segmentation(mask)
    assert (annotation_mask(text, _NO_BOX, *mask.shape) == mask).all()
    assert annotation_area(text, _NO_BOX, *mask.shape) == mask.sum()


@settings(max_examples=300)
@given(
    arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)),
    st.tuples(*[st.integers(0, 2)] * 4),
)
def test_a_mask_inside_of_a_box_has_the_rle_of_the_whole_one(part, around):
    above, below, left, right = around
    whole = np.pad(part, ((above, below), (left, right)))
    text = part_to_segmentation(part, left, above, *whole.shape)
    assert text == mask_to_segmentation(whole)
    assert text == rle_to_segmentation(coco_mask.encode(np.asfortranarray(whole, dtype=np.uint8)))


@settings(max_examples=100)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_listed_counts_draw_the_same_mask(mask):
    flat = np.concatenate([[False], mask.ravel(order="F"), [True]])
    runs = np.diff(np.concatenate([[0], np.flatnonzero(np.diff(flat)), [mask.size]]))
    text = json.dumps({"size": list(mask.shape), "counts": runs.tolist()})
    assert (annotation_mask(text, _NO_BOX, *mask.shape) == mask).all()


_counts = st.lists(st.integers(0, 6), min_size=1, max_size=14)


def _rle(counts, height=7):
    """An RLE as a file may have it, empty runs and all, and its mask."""
    counts = [*counts, -sum(counts) % height]
    width = sum(counts) // height or 1
    if sum(counts) < height * width:
        counts[-1] += height * width - sum(counts)
    text = json.dumps({"size": [height, width], "counts": counts})
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return text, flat.reshape(width, height).T


@given(st.lists(st.integers(1, 2**31 - 1), min_size=1, max_size=9))
def test_counts_are_written_as_pycocotools_writes_them(counts):
    counts = [*counts, *[1] * (len(counts) + 4)]  # else the text may be longer than it has room for
    rle = {"size": [1, sum(counts)], "counts": counts}
    theirs = coco_mask.frPyObjects(rle, *rle["size"])
    assert segmentation_rle(json.dumps(rle), *rle["size"]) == theirs


def test_a_text_that_pycocotools_has_no_room_for_is_not_written_by_it(monkeypatch):
    counts = [16777216, 25198593, 16777216, 8421375]  # of six letters each
    monkeypatch.setattr(coco_mask, "frPyObjects", None)
    text = json.dumps({"size": [8192, 8200], "counts": counts})
    rle = segmentation_rle(text, 8192, 8200)
    assert len(rle["counts"]) == 6 * len(counts)
    assert coco_mask.area(rle) == counts[1] + counts[3]


_corners = st.lists(st.tuples(st.floats(-9, 18), st.floats(-7, 14)), min_size=3, max_size=6)


@settings(max_examples=300)
@given(st.lists(_corners, min_size=1, max_size=4))
def test_polygons_on_a_large_image_are_drawn_as_on_any(polygons):
    text = json.dumps([np.ravel(corners).tolist() for corners in polygons])
    usual = segmentation_rle(text, 7, 9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recycling.annotations.masks._TEXT_MAY_FILL", 0)
        assert segmentation_rle(text, 7, 9) == usual


@pytest.mark.parametrize(("height", "width"), [(1 << 23, 7), (100, 1 << 22)])
def test_polygons_whose_text_may_fill_in_any_case_are_refused(height, width):
    with pytest.raises(AnnotationError, match="is too large for them, give an RLE"):
        segmentation_rle("[[1, 1, 5, 1, 5, 5]]", height, width)


@settings(max_examples=300)
@given(st.lists(arrays(bool, (5, 6)), min_size=1, max_size=4), st.booleans())
def test_masks_of_a_large_image_are_joined_as_of_any(masks, intersect):
    shapes = [segmentation_rle(mask_to_segmentation(mask), 5, 6) for mask in masks]
    usual = merged_rles(shapes, intersect=intersect)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recycling.annotations.masks._TEXT_MAY_FILL", 0)
        assert merged_rles(shapes, intersect=intersect) == usual


@settings(max_examples=100)
@given(_counts)
def test_empty_runs_in_an_rle_make_no_difference_to_what_is_measured(counts):
    text, mask = _rle(counts)
    rle = segmentation_rle(text, *mask.shape)
    assert (coco_mask.decode(rle) == mask).all()
    assert (coco_mask.decode(outside(rle)) == ~mask).all()
    assert coco_mask.area(coco_mask.merge([rle, rle])) == mask.sum()
    compressed = coco_mask.frPyObjects(json.loads(text), *mask.shape)["counts"].decode("ascii")
    again = json.dumps({"size": list(mask.shape), "counts": compressed})
    assert segmentation_rle(again, *mask.shape) == rle
    if mask.any():
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        tight = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        assert rle_box(rle) == tight == segmentation_box(text, rle)


_edges = st.floats(-3, 12)


@settings(max_examples=100)
@given(st.tuples(_edges, _edges, _edges, _edges))
def test_a_box_has_the_pixels_that_are_painted_for_it(box):
    assert (coco_mask.decode(box_rle(box, 7, 9)) == annotation_mask(None, box, 7, 9)).all()


def test_the_box_of_polygons_is_that_of_their_corners_within_the_picture():
    text = json.dumps([[0.5, 1.25, 3, 1.25, 3, 2], [4, 0, 9, 0, 9, 1.5], [-1, 9, 8, 9]])
    rle = segmentation_rle(text, 5, 6)
    assert segmentation_box(text, rle) == (0.5, 0, 6, 2)


def test_polygons_are_drawn_together():
    text = json.dumps([[0, 0, 2, 0, 2, 2, 0, 2], [3, 0, 4, 0, 4, 1, 3, 1]])
    assert annotation_mask(text, _NO_BOX, 3, 5).astype(int).tolist() == [
        [1, 1, 0, 1, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize("text", [None, "[]", "[[1, 1, 2, 2]]"])
def test_without_a_drawable_segmentation_the_box_stands_in(text):
    mask = annotation_mask(text, [1.4, -5.0, 3.6, 1.0], 2, 6)
    assert mask.astype(int).tolist() == [[0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0]]
    assert annotation_area(text, [1.0, 0.0, 3.0, 1.5], 2, 6) == 3


@pytest.mark.parametrize("counts", ["2", "", "222", "zzzz", "é", "0000P", [1, 1], [5, -1], []])
def test_a_damaged_rle_is_refused(counts):
    text = json.dumps({"size": [2, 2], "counts": counts})
    with pytest.raises(AnnotationError, match="counts do not add up"):
        annotation_mask(text, _NO_BOX, 2, 2)


def test_an_rle_of_another_size_is_refused():
    text = mask_to_segmentation(np.ones((2, 3), dtype=bool))
    with pytest.raises(AnnotationError, match="RLE of 3 x 2 pixels on an image of 2 x 3"):
        annotation_mask(text, _NO_BOX, 3, 2)


def _annotations(*entries):
    return from_coco(
        {
            "images": [{"id": 1, "file_name": "a.png", "width": 6, "height": 2}],
            "categories": [{"id": 9, "name": "Paper"}, {"id": 4, "name": "Glass"}],
            "annotations": [{"id": n, "image_id": 1, **one} for n, one in enumerate(entries)],
        },
        where="test",
    )


def test_later_rows_paint_over_earlier_ones_and_crowds_are_ignored():
    paper = {"category_id": 9, "bbox": [0, 0, 4, 2]}
    glass = {"category_id": 4, "bbox": [2, 0, 3, 1]}
    crowd = {"category_id": 9, "bbox": [3, 0, 1, 2], "iscrowd": 1}
    painted = to_label_map(_annotations(paper, glass, crowd), 1)
    assert painted.dtype == np.uint8
    assert painted.tolist() == [[1, 1, 2, 255, 2, 0], [1, 1, 1, 255, 0, 0]]
    assert to_label_map(_annotations(glass, paper), 1).tolist() == [
        [1, 1, 1, 1, 2, 0],
        [1, 1, 1, 1, 0, 0],
    ]


def test_every_image_has_a_map(document):
    annotations = from_coco(document, where="test")
    maps = label_maps(annotations)
    assert list(maps) == [1, 2, 3]
    assert len(maps) == 3
    sizes = [(image["height"], image["width"]) for image in document["images"]]
    assert [painted.shape for painted in maps.values()] == sizes
    assert maps[3].max() == 0  # its only box has no area
    with pytest.raises(KeyError):
        maps[4]


def test_a_segmentation_that_cannot_be_drawn_names_the_annotation(document):
    annotations = from_coco(document, where="test")
    annotations.annotations.loc[3, "segmentation"] = '{"size": [6, 8], "counts": "66"}'
    with pytest.raises(AnnotationError, match="annotation 4 of image 2: segmentation is an RLE"):
        label_maps(annotations)[2]


def test_too_many_categories_for_a_label_map(document):
    annotations = from_coco(document, where="test")
    document["categories"] = [{"id": number, "name": str(number)} for number in range(255)]
    many = from_coco(document, where="test").categories
    with pytest.raises(AnnotationError, match="255 of them"):
        to_label_map(replace(annotations, categories=many), 1)


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_a_mask_is_drawn_as_pycocotools_does_and_without_its_warnings(mask):
    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = annotation_mask(rle_to_segmentation(rle), [0, 0, 0, 0], *mask.shape)
    np.testing.assert_array_equal(drawn, coco_mask.decode(rle))


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
@example(np.ones((1, 5), bool))
@example(np.eye(4, dtype=bool))
def test_the_outlines_of_a_mask_are_drawn_as_the_same_mask(mask):
    """Also of lines a pixel wide, corners that touch, and holes with islands."""
    polygons = [polygon.ravel().tolist() for polygon in mask_polygons(mask)]
    drawn = annotation_mask(json.dumps(polygons), [0, 0, 0, 0], *mask.shape)
    np.testing.assert_array_equal(drawn, mask)
    area = sum(abs(signed_area(np.reshape(polygon, (-1, 2)))) for polygon in polygons)
    assert area == mask.sum()


def signed_area(corners):
    x, y = corners.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
