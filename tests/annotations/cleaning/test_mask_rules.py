"""The cleaning rules that look at masks."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from annotations.defective import defective
from recycling.annotations import (
    IMAGE_CHECKS,
    AnnotationError,
    annotation_mask,
    change_lines,
    from_coco,
    label_maps,
)
from recycling.annotations.cleaning.core import Cleaning, clean
from recycling.annotations.cleaning.rules.recompute_from_mask import recompute_from_mask
from recycling.annotations.cleaning.rules.relabel_inside import InsideRule, relabel_inside
from recycling.annotations.cleaning.rules.remove_overlaps import remove_overlaps
from recycling.annotations.overlaps import visible_area

HEIGHT, WIDTH = 20, 40
NAMES = ["Glass", "Plastic bag", "Paper", "Metal"]


def _corners(x_min, y_min, x_max, y_max):
    return [x_min, y_min, x_max, y_min, x_max, y_max, x_min, y_max]


def _polygon(*corners, **rest):
    """An annotation with the mask of a rectangle, and the area and box that belong to it."""
    x_min, y_min, x_max, y_max = corners
    return _box(*corners, segmentation=[_corners(x_min, y_min, x_max, y_max)], **rest)


def _box(x_min, y_min, x_max, y_max, **rest):
    sides = [x_max - x_min, y_max - y_min]
    return {"bbox": [x_min, y_min, *sides], "area": sides[0] * sides[1], "category_id": 1, **rest}


def _annotations(*entries):
    return from_coco(
        {
            "images": [{"id": 1, "file_name": "1.png", "width": WIDTH, "height": HEIGHT}],
            "categories": [{"id": one, "name": name} for one, name in enumerate(NAMES, start=1)],
            "annotations": [
                {"id": number, "image_id": 1, **entry} for number, entry in enumerate(entries)
            ],
        },
        where="test",
    )


def _boxes(annotations):
    table = annotations.annotations
    return table[["x_min", "y_min", "x_max", "y_max"]].to_numpy().tolist()


def _changes(audit):
    return {
        row.subject_id: (json.loads(row.before), json.loads(row.after), row.reason)
        for row in audit.itertuples()
    }


# recompute_from_mask


def test_area_and_box_become_those_of_the_mask():
    right = _polygon(2, 3, 12, 9)
    rle = {"size": [HEIGHT, WIDTH], "counts": [5, 10, 10, 10, HEIGHT * WIDTH - 35]}
    annotations = _annotations(
        {**right, "area": 90},
        {**right, "bbox": [2, 3, 14, 6]},
        {**right, "bbox": [0, 0, 1, 1], "area": 1},
        {"bbox": [0, 4, 2, 10], "area": 20, "segmentation": rle, "category_id": 1, "iscrowd": 1},
        {"bbox": [0, 0, 40, 20], "area": 1, "segmentation": rle, "category_id": 1, "iscrowd": 1},
        right,
    )
    after, audit = recompute_from_mask(annotations)
    assert _boxes(after) == [[2, 3, 12, 9]] * 3 + [[0, 4, 2, 14], [0, 5, 2, 15], [2, 3, 12, 9]]
    assert after.annotations["area"].tolist() == [60, 60, 60, 20, 20, 60]
    assert _changes(audit) == {
        0: ({"area": 90.0}, {"area": 60.0}, "the mask has another area"),
        1: ({"x_max": 16.0}, {"x_max": 12.0}, "the mask has another box"),
        2: (
            {"x_min": 0.0, "y_min": 0.0, "x_max": 1.0, "y_max": 1.0, "area": 1.0},
            {"x_min": 2.0, "y_min": 3.0, "x_max": 12.0, "y_max": 9.0, "area": 60.0},
            "the mask has another area and box",
        ),
        4: (
            {"y_min": 0.0, "x_max": 40.0, "y_max": 20.0, "area": 1.0},
            {"y_min": 5.0, "x_max": 2.0, "y_max": 15.0, "area": 20.0},
            "the mask has another area and box",
        ),
    }


def test_what_drawing_an_outline_does_to_its_area_and_box_is_no_fault():
    thin = {"bbox": [1.2, 1, 30.1, 0.9], "area": 14, "segmentation": [[1.2, 1.9, 31.3, 1, 31, 1.9]]}
    annotations = _annotations({**thin, "category_id": 1}, _polygon(2.4, 2.4, 7.4, 7.4))
    assert annotations.annotations["area"].tolist() == [14, 25]
    drawn = _annotations({k: v for k, v in thin.items() if k != "area"} | {"category_id": 1})
    assert drawn.annotations["area"].tolist() != [14]
    assert recompute_from_mask(annotations)[1].empty


def test_without_a_mask_the_area_is_that_of_the_box():
    annotations = _annotations(
        {**_box(1, 1, 6, 5), "area": 19},
        {**_box(1, 1, 6, 5), "segmentation": [[1, 1, 2, 2]], "area": 21},
        {**_box(1, 1, 6, 5), "area": 20.1},
        {**_box(1, 1, 6, 5), "iscrowd": 1, "area": 0},
    )
    after, audit = recompute_from_mask(annotations)
    assert after.annotations["area"].tolist() == [20, 20, 20.1, 20]
    assert set(audit["reason"]) == {"there is no mask, and the box has another area"}
    assert len(recompute_from_mask(annotations, area_tolerance=0)[1]) == 4
    assert recompute_from_mask(annotations, area_tolerance=2)[1].empty


def test_a_mask_without_pixels_leaves_the_box():
    empty = {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}
    annotations = _annotations({**_box(2, 2, 22, 12), "segmentation": empty})
    after, _ = recompute_from_mask(annotations)
    assert _boxes(after) == [[2, 2, 22, 12]]
    assert after.annotations["area"].tolist() == [0]


def test_the_box_of_a_mask_that_leaves_its_picture_ends_at_the_edge():
    after, _ = recompute_from_mask(_annotations({**_polygon(30, 5, 60, 15), "bbox": [30, 5, 4, 4]}))
    assert _boxes(after) == [[30, 5, 40, 15]]


@settings(max_examples=15)
@given(defective())
def test_what_was_recomputed_is_not_recomputed_again(drawn):
    after, _ = recompute_from_mask(drawn[0], area_tolerance=0, box_tolerance=0)
    again, _ = recompute_from_mask(after, area_tolerance=0, box_tolerance=0)
    pd.testing.assert_frame_equal(again.annotations, after.annotations)


# relabel_inside


def _relabelled(annotations, **rule):
    settings = {"reason": "in a bag", "container": "Plastic bag", **rule}
    return relabel_inside(annotations, rules=[InsideRule.model_validate(settings)])


BAG = {"category_id": 2}


@pytest.mark.parametrize("shape", [_box, _polygon])
def test_what_lies_inside_a_bag_becomes_the_bag_or_goes(shape):
    annotations = _annotations(
        shape(0, 0, 20, 20, **BAG),
        shape(5, 5, 10, 10),
        shape(11, 0, 21, 10),  # nine tenths inside
        shape(12, 0, 22, 10),  # eight tenths
        shape(25, 0, 30, 5),
    )
    after, audit = _relabelled(annotations)
    assert after.annotations["category_id"].tolist() == [2, 2, 2, 1, 1]
    assert audit["reason"].tolist() == [
        "in a bag: 100% of it is inside annotation 0",
        "in a bag: 90% of it is inside annotation 0",
    ]
    after, audit = _relabelled(annotations, action="drop", inside=0.8)
    assert after.annotations["annotation_id"].tolist() == [0, 4]
    assert audit["action"].tolist() == ["drop"] * 3


def test_the_mask_counts_and_not_the_box_where_there_is_one():
    l_shape = [0, 0, 20, 0, 20, 4, 4, 4, 4, 20, 0, 20]
    bag = {"category_id": 2, "bbox": [0, 0, 20, 20], "segmentation": [l_shape]}
    inside = _box(0, 0, 16, 4)
    in_the_box_only = _polygon(8, 8, 16, 16)
    after, audit = _relabelled(_annotations(bag, inside, in_the_box_only))
    assert audit["subject_id"].tolist() == [1]
    assert after.annotations["category_id"].tolist() == [2, 2, 1]


def test_only_the_listed_categories_are_relabelled_and_crowds_never():
    annotations = _annotations(
        _box(0, 0, 20, 20, **BAG),
        _box(1, 1, 5, 5),
        _box(1, 1, 5, 5, category_id=3),
        _box(1, 1, 5, 5, category_id=3, iscrowd=1),
        _box(21, 0, 40, 20, **BAG, iscrowd=1),
        _box(22, 1, 25, 5, category_id=3),
    )
    assert _relabelled(annotations, categories=["Paper"])[1]["subject_id"].tolist() == [2]
    assert _relabelled(annotations)[1]["subject_id"].tolist() == [1, 2]


def test_a_bag_in_a_bag_stays_and_the_container_of_the_lowest_id_is_named():
    annotations = _annotations(
        _box(1, 1, 19, 19, **BAG), _box(0, 0, 20, 20, **BAG), _box(2, 2, 5, 5)
    )
    for entries in (annotations, _flipped(annotations)):
        _, audit = _relabelled(entries)
        assert audit["reason"].tolist() == ["in a bag: 100% of it is inside annotation 0"]


def _flipped(annotations):
    return replace(annotations, annotations=annotations.annotations.iloc[::-1])


def test_a_later_rule_sees_what_the_earlier_ones_left():
    annotations = _annotations(
        _box(0, 0, 20, 20, **BAG), _box(1, 1, 10, 10), _box(2, 2, 5, 5, category_id=3)
    )
    rules = [
        InsideRule(reason="glass", container="Plastic bag", categories=("Glass",)),
        InsideRule(reason="off", container="Nothing of that name", enabled=False),
        InsideRule(reason="paper", container="Glass", categories=("Paper",)),
    ]
    after, audit = relabel_inside(annotations, rules=rules)
    assert after.annotations["category_id"].tolist() == [2, 2, 3]
    assert audit["subject_id"].tolist() == [1]
    after, audit = relabel_inside(annotations, rules=rules[::-1])
    assert after.annotations["category_id"].tolist() == [2, 2, 2]
    assert audit["subject_id"].tolist() == [2, 1, 2]


def test_a_container_that_does_not_exist_names_the_reason():
    with pytest.raises(
        AnnotationError, match=r"relabel_inside 'in a bag': no category 'Plastc bag'"
    ):
        _relabelled(_annotations(), container="Plastc bag")
    with pytest.raises(AnnotationError, match=r"no category 'Papier'; did you mean 'Paper'"):
        _relabelled(_annotations(), categories=["Papier"])


# remove_overlaps


def test_each_mask_keeps_what_later_ones_do_not_hide():
    annotations = _annotations(
        _polygon(0, 0, 10, 10),
        _polygon(2, 2, 4, 4),
        _polygon(20, 0, 30, 10),
        _polygon(0, 0, 5, 10),
    )
    after, audit = remove_overlaps(annotations)
    assert audit[["subject_id", "action", "reason"]].to_numpy().tolist() == [
        [0, "change", "later annotations hide part of it"],
        [1, "drop", "later annotations hide it"],
    ]
    assert after.annotations["annotation_id"].tolist() == [0, 2, 3]
    assert after.annotations["area"].tolist() == [50, 100, 50]
    assert _boxes(after) == [[5, 0, 10, 10], [20, 0, 30, 10], [0, 0, 5, 10]]
    text = after.annotations["segmentation"][0]
    mask = annotation_mask(text, [0, 0, 0, 0], HEIGHT, WIDTH)
    assert mask[:10, 5:10].all()
    assert mask.sum() == 50
    untouched = [2, 3]
    pd.testing.assert_frame_equal(
        after.annotations.iloc[1:].reset_index(drop=True),
        annotations.annotations.iloc[untouched].reset_index(drop=True),
    )


def test_a_box_hides_masks_and_is_left_alone():
    annotations = _annotations(
        _box(0, 0, 8, 8), _polygon(0, 0, 10, 10), _box(0, 0, 5, 10), _box(0, 0, 5, 10)
    )
    after, audit = remove_overlaps(annotations)
    assert audit["subject_id"].tolist() == [1]
    assert after.annotations["area"].tolist() == [64, 50, 50, 50]
    assert remove_overlaps(_annotations(_box(0, 0, 8, 8), _box(0, 0, 9, 9)))[1].empty


@settings(max_examples=25)
@given(defective())
def test_removing_overlaps_never_changes_a_label_map_and_leaves_no_overlap(drawn):
    annotations, _ = drawn
    after, _ = remove_overlaps(annotations)
    maps, maps_after = label_maps(annotations), label_maps(after)
    for image_id, painted in maps.items():
        np.testing.assert_array_equal(maps_after[image_id], painted)
    again, audit = remove_overlaps(after)
    assert audit.empty
    pd.testing.assert_frame_equal(again.annotations, after.annotations)
    whole = [_pixels(row) for row in after.annotations.itertuples()]
    masks = after.annotations["segmentation"].str.contains("counts").fillna(False).to_numpy(bool)
    np.testing.assert_array_equal(visible_area(after)[masks], np.array(whole)[masks])


def _pixels(row):
    text = row.segmentation if isinstance(row.segmentation, str) else None
    return annotation_mask(text, [row.x_min, row.y_min, row.x_max, row.y_max], 9, 12).sum()


def test_a_mask_that_cannot_be_drawn_names_the_annotation():
    annotations = _annotations(_box(0, 0, 20, 20, **BAG), _box(1, 1, 3, 3))
    bad = annotations.annotations.assign(
        segmentation=f'{{"size":[{HEIGHT},{WIDTH}],"counts":[1,1]}}'
    )
    annotations = replace(annotations, annotations=bad)
    for rule in (recompute_from_mask, remove_overlaps, _relabelled):
        with pytest.raises(AnnotationError, match=r"annotation [01] of image 1: .*do not add up"):
            rule(annotations)


def test_an_outline_without_area_is_said_for_its_mask_is_a_guess():
    entries = (_box(0, 0, 9, 9, segmentation=[[0, 0, 9, 9]]), _polygon(10, 0, 20, 9))
    raw = _annotations(*entries)
    _, audit = clean(raw, IMAGE_CHECKS.empty(), Cleaning())
    (line,) = (line for line in change_lines(audit, raw) if "corners" in line)
    assert line == (
        "1 annotations have an outline of fewer than three corners, which marks no area; their "
        "boxes stand for their masks: annotation 0 on 1.png"
    )
