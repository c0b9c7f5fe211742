"""What two predictions say of the same crops, boxes and pixels, by class."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recycling.annotations import BOX
from recycling.diagnostics import as_predictions, changes_between, disagreement
from recycling.predictions import LabelMaps


def counts(table: pd.DataFrame) -> dict[tuple[str, str], int]:
    """The table as a dictionary, in its order."""
    pairs = zip(table["first"], table["second"], strict=True)
    return dict(zip(pairs, table["count"].tolist(), strict=True))


def test_crops_are_counted_by_what_both_say(annotations):
    first = pd.DataFrame({"annotation_id": [1, 2, 3], "Paper": [0.9, 0.8, 0.1]})
    second = pd.DataFrame({"annotation_id": [3, 2, 1], "Paper": [0.2, 0.3, 0.6]})
    first, second = (own.assign(Metal=1 - own["Paper"]) for own in (first, second))
    found = disagreement(annotations, first, second)
    assert counts(found) == {
        ("Paper", "Metal"): 1, ("Metal", "Metal"): 1, ("Paper", "Paper"): 1
    }  # fmt: skip
    assert found.set_index(["first", "second"])["share"][("Paper", "Metal")] == 0.5
    assert changes_between(first, second)["item_id"].tolist()[0] == 2
    truth = as_predictions(annotations, first)
    assert counts(disagreement(annotations, truth, first)) == {
        ("Metal", "Metal"): 1, ("Paper", "Paper"): 2,
    }  # fmt: skip


def test_boxes_are_paired_one_to_one_and_the_rest_is_nothing(annotations):
    truth = as_predictions(annotations, pd.DataFrame({"image_id": []}))
    moved = truth.assign(score=[0.9, 0.2, 0.9], category_id=[7, 5, 7])  # the second is too low
    moved[[*BOX]] = moved[[*BOX]] + 0.5
    extra = moved[:1].assign(x_min=30.0, x_max=39.0)
    found = disagreement(annotations, truth, pd.concat([moved, extra], ignore_index=True))
    assert counts(found) == {
        ("Paper", "Metal"): 1, ("Paper", "nothing"): 1, ("nothing", "Metal"): 1,
        ("Metal", "Metal"): 1,
    }  # fmt: skip


def boxes(*rows: tuple[int, float, list[float]]) -> pd.DataFrame:
    """Boxes of the first image: category, score, edges."""
    table = pd.DataFrame({"image_id": 1, "category_id": [row[0] for row in rows]})
    table[[*BOX]] = [row[2] for row in rows]
    return table.assign(score=[row[1] for row in rows])


def test_a_right_box_is_not_lost_to_two_that_overlap_too_little(annotations):
    truth = boxes((5, 1, [5, 0, 15, 10]), (5, 1, [13, 0, 23, 10]))
    found = boxes((5, 0.9, [8, 0, 18, 10]), (5, 0.9, [0, 0, 10, 10]))
    assert counts(disagreement(annotations, truth, found)) == {
        ("Paper", "nothing"): 1, ("nothing", "Paper"): 1, ("Paper", "Paper"): 1
    }  # fmt: skip


def test_a_box_of_the_right_class_goes_before_a_closer_one_of_another(annotations):
    truth = boxes((5, 1, [0, 0, 20, 10]))
    found = boxes((5, 0.9, [0, 0, 16, 10]), (7, 0.4, [0, 0, 17, 10]))
    assert counts(disagreement(annotations, truth, found)) == {
        ("nothing", "Metal"): 1, ("Paper", "Paper"): 1
    }  # fmt: skip


def test_a_box_of_the_right_class_goes_before_two_pairs_of_others(annotations):
    truth = boxes((5, 1, [0, 0, 10, 10]), (7, 1, [3, 0, 13, 10]))
    found = boxes((5, 0.9, [3, 0, 13, 10]), (7, 0.9, [-3, 0, 7, 10]))
    assert counts(disagreement(annotations, truth, found)) == {
        ("Metal", "nothing"): 1, ("nothing", "Metal"): 1, ("Paper", "Paper"): 1
    }  # fmt: skip


def test_without_a_box_nothing_is_counted(annotations):
    none = as_predictions(annotations, pd.DataFrame({"image_id": []}))[:0]
    assert disagreement(annotations, none, none).empty
    assert changes_between(none, none).empty


def test_pixels_are_counted_and_those_left_out_are_named(annotations):
    first = LabelMaps([1], lambda _: np.array([[0, 1, 1], [2, 2, 255]], np.uint8))
    second = LabelMaps([1], lambda _: np.array([[0, 1, 2], [2, 2, 0]], np.uint8))
    assert counts(disagreement(annotations, first, second)) == {
        ("Paper", "Metal"): 1, ("ignored", "background"): 1, ("Metal", "Metal"): 2,
        ("Paper", "Paper"): 1, ("background", "background"): 1,
    }  # fmt: skip
    truth = as_predictions(annotations, first)
    same = disagreement(annotations, truth, truth)
    assert same["share"].eq(1).all()
    assert int(same["count"].sum()) == 3 * 40 * 30
