"""How alike members are."""

import numpy as np
import pandas as pd
import pytest

from recycling.diagnostics import (
    AGREEMENT,
    detection_agreement,
    label_map_agreement,
    probability_agreement,
)
from recycling.diagnostics.diversity import alike_sentences
from recycling.pipelines.explaining import comparer
from recycling.predictions import CLASS_PROBABILITIES, DETECTIONS, LabelMaps


def detections(*rows):
    return DETECTIONS.conform(pd.DataFrame(list(rows), columns=DETECTIONS.names), where="test")


ONE = detections([1, 1, 0.9, 0, 0, 10, 10], [1, 1, 0.8, 50, 50, 60, 60], [2, 3, 0.7, 0, 0, 10, 10])


def agreement(table):
    pd.testing.assert_frame_equal(table, AGREEMENT.conform(table, where="test"))
    return table["agreement"].tolist()


def test_every_pair_of_members_has_one_row():
    table = detection_agreement([ONE, ONE, ONE], names=["a", "b", "c"])
    assert table[["member_a", "member_b"]].to_numpy().tolist() == [
        ["a", "b"],
        ["a", "c"],
        ["b", "c"],
    ]
    assert agreement(table) == [1.0, 1.0, 1.0]


def test_boxes_agree_by_place_category_and_image():
    other = detections(
        [1, 1, 0.5, 0, 1, 10, 11],  # meets the first
        [1, 2, 0.5, 50, 50, 60, 60],  # another category
        [3, 3, 0.5, 0, 0, 10, 10],  # another image
        [1, 1, 0.5, 0, 6, 10, 16],  # overlaps the first too little
    )
    assert agreement(detection_agreement([ONE, other])) == [pytest.approx(2 / 7)]
    assert agreement(detection_agreement([other, ONE])) == [pytest.approx(2 / 7)]


def test_a_box_pairs_off_once_and_with_the_nearest():
    twice = detections([1, 1, 0.9, 0, 0, 10, 10], [1, 1, 0.9, 0, 1, 10, 11])
    once = detections([1, 1, 0.9, 0, 1, 10, 11])
    assert agreement(detection_agreement([twice, once])) == [pytest.approx(2 / 3)]


def test_weak_boxes_may_be_left_out():
    noisy = pd.concat([ONE, detections(*[[1, 1, 0.01, x, 90, x + 5, 95] for x in range(9)])])
    assert agreement(detection_agreement([ONE, noisy])) == [pytest.approx(6 / 15)]
    assert agreement(detection_agreement([ONE, noisy], score_threshold=0.1)) == [1.0]


def test_a_run_compares_detectors_without_their_weak_boxes():
    """Of 0.3 on, as they are drawn."""
    noisy = pd.concat([ONE, detections(*[[1, 1, 0.29, x, 90, x + 5, 95] for x in range(9)])])
    assert agreement(comparer("det")({"a": ONE, "b": noisy})) == [1.0]


def test_members_without_boxes_agree():
    assert agreement(detection_agreement([DETECTIONS.empty(), DETECTIONS.empty()])) == [1.0]
    assert agreement(detection_agreement([ONE, DETECTIONS.empty()])) == [0.0]


def test_classifiers_agree_by_most_likely_class():
    frame = pd.DataFrame({"annotation_id": [1, 2, 3, 4], "Paper": [0.9, 0.6, 0.2, 0.1]})
    one = CLASS_PROBABILITIES.conform(frame.assign(Metal=1 - frame["Paper"]), where="test")
    two = one.assign(Paper=[0.6, 0.1, 0.4, 0.2], Metal=[0.4, 0.9, 0.6, 0.8]).iloc[::-1]
    assert agreement(probability_agreement([one, two])) == [0.75]


def test_segmenters_agree_pixel_by_pixel_over_all_images():
    zeros = LabelMaps([1, 2], lambda _: np.zeros((4, 4), np.uint8))
    half = LabelMaps([2, 1], lambda image_id: np.full((2, 2), image_id == 2, np.uint8))
    assert agreement(label_map_agreement([zeros, half])) == [0.5]


def pairs(column, *, of):
    rows = [(*pair, value) for pair, value in zip(["ab", "ac", "bc"], of, strict=True)]
    return pd.DataFrame(rows, columns=["member_a", "member_b", column])


def test_members_that_are_too_alike_are_named():
    table = pairs("agreement", of=[0.97, 0.5, 0.6])
    assert alike_sentences(table, of="boxes") == [
        "a and b agree on 0.97 of the boxes: they are one model twice; add another kind of network"
    ]


def test_three_alike_are_one_model_three_times():
    table = pairs("agreement", of=[0.97, 0.94, 0.96])
    assert alike_sentences(table, of="pixels") == [
        "a, b and c agree on 0.94 to 0.97 of the pixels: they are one model 3 times; "
        "add another kind of network"
    ]


def test_members_that_agree_because_both_are_right_are_not_alike():
    agreed = pairs("agreement", of=[0.97, 0.98, 0.99])
    errors = pairs("correlation", of=[0.1, 0.9, 0.7])
    assert alike_sentences(agreed, errors, of="crops") == [
        "a and c agree on 0.98 of the crops and their errors correlate by 0.90: "
        "they are one model twice; add another kind of network"
    ]
    # A pair without a correlation has a member that errs nowhere, so they do not err alike.
    assert alike_sentences(agreed, errors.iloc[:1], of="crops") == []
