"""Whether members err on the same things."""

import numpy as np
import pandas as pd
import pytest

from evaluation.found_boxes import detections_of, truth_of
from evaluation.test_bootstrap import noisy_maps, painted_scene, probabilities_of
from recycling.annotations.masks import label_maps as painted
from recycling.diagnostics.errors import (
    ERROR_CORRELATION,
    crop_error_correlation,
    object_error_correlation,
    pixel_error_correlation,
)
from recycling.evaluation import EvaluationError
from recycling.evaluation.box_matches import match_boxes
from recycling.predictions import DETECTIONS, Detections, LabelMaps


def in_memory(maps):
    return LabelMaps(list(maps), maps.__getitem__)


def correlation(table):
    pd.testing.assert_frame_equal(table, ERROR_CORRELATION.conform(table, where="test"))
    return table["correlation"].tolist()


def test_pixels_correlate_as_numpy_says_over_all_images():
    truth = painted_scene()
    members = {"a": noisy_maps(truth, 0), "b": noisy_maps(truth, 1)}
    # c errs where a does on one image.
    members["c"] = members["b"] | {7: members["a"][7]}
    wrong = {
        name: np.concatenate([(maps[i] != m)[m != 255] for i, m in painted(truth).items()])
        for name, maps in members.items()
    }
    table = pixel_error_correlation(truth, {name: in_memory(m) for name, m in members.items()})
    assert correlation(table) == pytest.approx(
        [np.corrcoef(wrong[a], wrong[b])[0, 1] for a, b in ("ab", "ac", "bc")]
    )
    assert table[["member_a", "member_b"]].to_numpy().tolist() == [
        list("ab"),
        list("ac"),
        list("bc"),
    ]


def test_crops_correlate_as_numpy_says():
    truth = painted_scene()
    members = {"a": probabilities_of(truth, 0), "b": probabilities_of(truth, 4)}
    crops = truth.annotations[~truth.annotations["iscrowd"]]
    names = truth.categories.set_index("category_id")["name"]
    wrong = [
        member.set_index("annotation_id").loc[crops["annotation_id"]].idxmax(axis=1).to_numpy()
        != crops["category_id"].map(names).to_numpy()
        for member in members.values()
    ]
    assert correlation(crop_error_correlation(truth, members)) == pytest.approx(
        [np.corrcoef(wrong)[0, 1]]
    )


def test_a_detector_misses_what_it_finds_below_the_threshold():
    truth = truth_of(np.random.default_rng(0))
    rows = truth.annotations[~truth.annotations["iscrowd"]]
    found = Detections(DETECTIONS.conform(rows, where="test"))
    n = len(found)
    first = found.assign(score=np.where(np.arange(n) < n // 2, 0.9, 0.1))
    second = found.assign(score=np.where(np.arange(n) < n // 2, 0.1, 0.9))
    matches = match_boxes(truth, {"first": first, "second": second, "again": first})
    assert correlation(object_error_correlation(matches, score_threshold=0.5)) == pytest.approx(
        [-1, 1, -1]
    )
    # Without a threshold none misses anything, and nothing goes along with nothing.
    assert correlation(object_error_correlation(matches, score_threshold=0)) == []


def test_two_jittered_detectors_miss_as_numpy_says():
    truth = truth_of(np.random.default_rng(0))
    matches = match_boxes(
        truth, {name: detections_of(truth, np.random.default_rng(i)) for i, name in enumerate("ab")}
    )
    missed = [found.found_score < 0.3 for found in matches.values()]
    assert correlation(object_error_correlation(matches)) == pytest.approx(
        [np.corrcoef(missed)[0, 1]]
    )


def test_a_member_without_an_image_is_named():
    truth = painted_scene()
    maps = noisy_maps(truth, 0)
    del maps[3]
    with pytest.raises(EvaluationError, match="^b: label maps: none for image 3"):
        pixel_error_correlation(truth, {"b": in_memory(maps)})
