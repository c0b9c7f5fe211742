"""Single annotations that a person corrects, drops or adds."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import ValidationError

from annotations.cleaning.replay import replay, undo
from recycling.annotations import (
    IMAGE_CHECKS,
    AnnotationError,
    Cleaning,
    ImageFolder,
    change_lines,
    clean,
    from_coco,
    to_coco,
)
from recycling.reporting import cleaning_examples
from recycling.reporting.close_ups import AFTER, BEFORE

NO_CHECKS = IMAGE_CHECKS.empty()
CAN = {"file_name": "a.png", "category": "Glass", "box": [0, 0, 10, 10]}


def raw(first_id=1):
    """Two images; Glass twice on the first, the second one with a mask, and Metal on the other."""
    square = [20, 0, 30, 0, 30, 10, 20, 10]
    rows = [
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10], "area": 100},
        {"image_id": 1, "category_id": 1, "bbox": [20, 0, 10, 10], "area": 100,
         "segmentation": [square]},
        {"image_id": 2, "category_id": 2, "bbox": [0, 0, 10, 10], "area": 100},
    ]  # fmt: skip
    return from_coco(
        {
            "images": [
                {"id": one, "file_name": f"{name}.png", "width": 40, "height": 20}
                for one, name in ((1, "a"), (2, "b"))
            ],
            "categories": [{"id": 1, "name": "Glass"}, {"id": 2, "name": "Metal"}],
            "annotations": [{"id": first_id + place, **row} for place, row in enumerate(rows)],
        },
        where="test",
    )


def corrected(annotations, *entries):
    rules = Cleaning.model_validate({"correct_annotations": {"corrections": entries}})
    return clean(annotations, NO_CHECKS, rules)


@pytest.mark.parametrize("first_id", [1, 500])
def test_a_category_is_corrected_whatever_the_annotations_number(first_id):
    after, audit = corrected(raw(first_id), {**CAN, "new_category": "Metal"})
    assert after.annotations["category_id"].tolist() == [2, 1, 2]
    assert audit[["rule", "subject_id", "action", "reason"]].to_numpy().tolist() == [
        ["correct_annotations", first_id, "change", "is Metal, not Glass"]
    ]


def test_an_edge_may_be_off_by_a_pixel_and_no_more():
    near = {**CAN, "box": [0.9, 0, 10, 11], "drop": True}
    after, audit = corrected(raw(), near)
    assert after.annotations["annotation_id"].tolist() == [2, 3]
    assert audit["reason"].tolist() == ["shows no object"]
    with pytest.raises(AnnotationError, match=r"entry 1 \(a.png\): no Glass there has the box"):
        corrected(raw(), {**near, "box": [1.1, 0, 10, 10]})


def test_a_new_box_takes_area_and_mask_along():
    entry = {**CAN, "box": [20, 0, 30, 10], "new_box": [20, 0, 32, 12]}
    after, audit = corrected(raw(), entry)
    row = after.annotations.iloc[1]
    assert row[["x_min", "y_min", "x_max", "y_max", "area"]].tolist() == [20, 0, 32, 12, 144]
    assert pd.isna(row["segmentation"])
    assert audit["reason"].tolist() == ["lies elsewhere, and its mask is dropped"]
    assert set(json.loads(audit["after"][0])) == {"x_max", "y_max", "area", "segmentation"}


def test_what_is_missing_is_added_under_a_free_id():
    entry = {"file_name": "b.png", "category": "Glass", "box": [20, 5, 30, 15], "add": True}
    after, audit = corrected(raw(), entry, {**entry, "box": [1, 1, 5, 5], "reason": "a shard"})
    added = after.annotations.iloc[3:]
    assert added[["annotation_id", "image_id", "category_id", "area"]].to_numpy().tolist() == [
        [4, 2, 1, 100],
        [5, 2, 1, 16],
    ]
    assert set(added["source"]) == {"human"}
    assert audit["reason"].tolist() == ["was not annotated", "a shard"]


def test_later_entries_see_what_earlier_ones_left():
    after, _ = corrected(
        raw(),
        {**CAN, "new_category": "Metal", "new_box": [0, 0, 12, 12]},
        {**CAN, "category": "Metal", "box": [0, 0, 12, 12], "drop": True},
    )
    assert after.annotations["annotation_id"].tolist() == [2, 3]


ALL = (
    {**CAN, "new_category": "Metal"},
    {**CAN, "box": [20, 0, 30, 10], "new_box": [20, 0, 32, 12]},
    {"file_name": "b.png", "category": "Metal", "box": [0, 0, 10, 10], "drop": True},
    {"file_name": "b.png", "category": "Glass", "box": [20, 5, 30, 15], "add": True},
)


def test_the_audit_replays_and_takes_back_what_was_added():
    before = raw()
    after, audit = corrected(before, *ALL)
    again = replay(before, audit)
    pd.testing.assert_frame_equal(again.annotations, after.annotations)
    assert to_coco(undo(after, audit)) == to_coco(before)


def test_the_console_names_what_was_corrected_dropped_and_added():
    before = raw()
    (line,) = change_lines(corrected(before, *ALL)[1], before)
    assert line == (
        "correct_annotations: 2 of 3 annotations changed (1 on a.png: is Metal, not Glass, 2 on "
        "a.png), 1 of 3 annotations dropped (3 on b.png: shows no object), 1 annotations added "
        "(4 on b.png: was not annotated)"
    )


def test_what_was_added_is_shown_in_the_colour_of_what_is_new(tmp_path):
    for name in ("a", "b"):
        Image.fromarray(np.zeros((20, 40, 3), np.uint8)).save(tmp_path / f"{name}.png")
    before = raw()
    _, audit = corrected(before, ALL[3])
    shown = cleaning_examples(before, ImageFolder(tmp_path), NO_CHECKS, audit, audit[:0])
    assert (shown == AFTER).all(axis=-1).any()
    assert not (shown == BEFORE).all(axis=-1).any()


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({**CAN, "file_name": "c.png", "drop": True}, "no such image is left"),
        ({**CAN, "category": "Glas", "drop": True}, "no category 'Glas'; did you mean 'Glass'"),
        ({**CAN, "new_category": "Paper"}, "no category 'Paper'"),
        ({**CAN, "new_box": [0, 0, 41, 10]}, r"reaches outside the image of 40 x 20 pixels"),
        ({**CAN, "box": [-1, 0, 9, 9], "add": True}, "reaches outside the image"),
    ],
)
def test_what_does_not_exist_is_named_with_its_entry(entry, fault):
    with pytest.raises(AnnotationError, match=rf"correct_annotations: entry 1 \(.*{fault}"):
        corrected(raw(), entry)


@pytest.mark.parametrize(
    "entry",
    [
        CAN,
        {**CAN, "drop": True, "add": True},
        {**CAN, "drop": True, "new_category": "Metal"},
        {**CAN, "new_box": [10, 0, 0, 10]},
        {**CAN, "add": True, "box": [0, 5, 10, 5]},
        {**CAN, "drop": True, "annotation_id": 3},
    ],
)
def test_an_entry_does_one_thing(entry):
    with pytest.raises(ValidationError):
        Cleaning.model_validate({"correct_annotations": {"corrections": [entry]}})


def test_two_annotations_that_are_meant_alike_are_refused():
    twice = raw()
    document = to_coco(twice)
    document["annotations"].append({**document["annotations"][0], "id": 9, "iscrowd": 0})
    off = {"drop_duplicate_annotations": {"enabled": False}}
    rules = {**off, "correct_annotations": {"corrections": [{**CAN, "drop": True}]}}
    with pytest.raises(AnnotationError, match="annotations 1 and 9 have that category and box"):
        clean(from_coco(document, where="test"), NO_CHECKS, Cleaning.model_validate(rules))
