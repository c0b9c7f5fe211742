"""Where an ensemble says something else than its best member."""

import numpy as np
import pandas as pd
import pytest

from recycling.diagnostics.changes import (
    CHANGES,
    detection_changes,
    label_map_changes,
    probability_changes,
)
from recycling.ensembling.members import EnsemblingError
from recycling.predictions import CLASS_PROBABILITIES, DETECTIONS, LabelMaps


def detections(*rows):
    return DETECTIONS.conform(pd.DataFrame(list(rows), columns=DETECTIONS.names), where="test")


def rows(table):
    pd.testing.assert_frame_equal(table, CHANGES.conform(table, where="test"))
    return [tuple(row) for row in table.to_numpy().tolist()]


MEMBER = detections(
    [5, 1, 0.9, 0, 0, 10, 10],
    [5, 2, 0.8, 50, 50, 60, 60],
    [2, 1, 0.9, 0, 0, 10, 10],
    [9, 1, 0.9, 0, 0, 10, 10],
)


def test_the_image_with_most_boxes_that_differ_comes_first():
    ensemble = detections(
        [5, 1, 0.9, 30, 30, 40, 40],  # neither box of image 5 is kept
        [5, 1, 0.8, 50, 50, 60, 60],
        [2, 1, 0.9, 0, 1, 10, 11],  # as before
        [7, 1, 0.9, 0, 0, 10, 10],  # new; image 9 lost its own
    )
    assert rows(detection_changes(MEMBER, ensemble)) == [(5, 1), (7, 1), (9, 1), (2, 0)]


def test_four_of_ten_boxes_are_more_than_one_of_one():
    many = detections(*[[1, 1, 0.9, 20 * i, 0, 20 * i + 10, 10] for i in range(5)])
    fewer = many.iloc[:3]
    member = pd.concat([many, detections([2, 1, 0.9, 0, 0, 10, 10])])
    assert rows(detection_changes(member, fewer)) == [(1, pytest.approx(0.25)), (2, 1)]


def test_the_two_have_thresholds_of_their_own():
    weaker = MEMBER.assign(score=MEMBER["score"] / 5)
    assert {change for _, change in rows(detection_changes(MEMBER, weaker))} == {1}
    same = detection_changes(MEMBER, weaker, ensemble_threshold=0.1)
    assert {change for _, change in rows(same)} == {0}
    assert rows(detection_changes(MEMBER, weaker, member_threshold=0.95)) == []


def test_pixels_that_have_another_label_are_counted_image_by_image():
    zeros = LabelMaps([1, 2, 3], lambda _: np.zeros((4, 4), np.uint8))
    some = LabelMaps(
        [3, 2, 1], lambda i: np.repeat(np.arange(4) < i - 1, 4).reshape(4, 4).astype("u1")
    )
    assert rows(label_map_changes(zeros, some)) == [(3, 0.5), (2, 0.25), (1, 0)]
    fewer = LabelMaps([1, 2], zeros.__getitem__)
    with pytest.raises(EnsemblingError, match="the member: no label map of image 3"):
        label_map_changes(fewer, zeros)


def test_a_crop_changes_only_where_another_class_is_most_likely():
    frame = pd.DataFrame({"annotation_id": [1, 2, 3], "Paper": [0.9, 0.6, 0.8]})
    member = CLASS_PROBABILITIES.conform(frame.assign(Metal=1 - frame["Paper"]), where="test")
    ensemble = member.assign(Paper=[0.55, 0.4, 0.1], Metal=[0.45, 0.6, 0.9])
    assert rows(probability_changes(member, ensemble)) == [
        (3, pytest.approx(0.7)),
        (2, pytest.approx(0.2)),
        (1, 0),
    ]
