"""Scores become probabilities: for each class, in order, and learnt from what was right."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recycling.ensembling import (
    BoxFusion,
    EnsemblingError,
    calibrate_boxes,
    calibrate_classes,
    calibrate_masks,
    count_planes,
    fuse,
)
from recycling.ensembling.calibration import CALIBRATIONS, isotonic, platt
from recycling.predictions import DETECTIONS, LabelMaps, ProbabilityMaps

METHODS = [name for name in CALIBRATIONS if name != "none"]


def drawn(power, n=20_000, seed=0):
    """Scores whose `power` is the probability that they are right."""
    rng = np.random.default_rng(seed)
    score = rng.uniform(0.02, 0.98, n)
    return score, (rng.random(n) < score**power).astype(float)


@pytest.mark.parametrize("power", [0.3, 1.0, 4.0])
def test_isotonic_finds_any_rising_curve(power):
    score, right = drawn(power)
    at = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    assert isotonic(score, right, np.ones(len(score)))(at) == pytest.approx(at**power, abs=0.04)


def test_isotonic_keeps_the_order_of_scores_also_where_all_are_wrong_or_right():
    score = np.array([0.3, 0.4, 0.6, 0.7])
    curve = isotonic(score, np.array([0.0, 0.0, 1.0, 1.0]), np.ones(4))
    assert (np.diff(curve(np.linspace(0, 1, 21))) > 0).all()


def test_platt_finds_a_logistic_curve():
    rng = np.random.default_rng(0)
    log_odds = rng.normal(0, 2, 20_000)
    score = 1 / (1 + np.exp(-log_odds))
    right = (rng.random(20_000) < 1 / (1 + np.exp(1 - 0.5 * log_odds))).astype(float)
    at = np.array([0.1, 0.5, 0.9])
    expected = 1 / (1 + np.exp(1 - 0.5 * np.log(at / (1 - at))))
    assert platt(score, right, np.ones(20_000))(at) == pytest.approx(expected, abs=0.02)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=40),
    st.integers(1, 4),
)
def test_an_example_that_counts_twice_is_two_examples(examples, times):
    score = np.array([value / 20 for value, _ in examples])
    right = np.array([float(is_right) for _, is_right in examples])
    at = np.linspace(0, 1, 11)
    weighted = isotonic(score, right, np.full(len(score), float(times)))(at)
    repeated = isotonic(np.tile(score, times), np.tile(right, times), np.ones(len(score) * times))(
        at
    )
    assert weighted == pytest.approx(repeated)
    assert (np.diff(weighted) >= -1e-12).all()
    assert ((weighted >= 0) & (weighted <= 1)).all()


def boxes(score, category_id):
    table = pd.DataFrame({"image_id": 1, "category_id": category_id, "score": score})
    table = table.assign(x_min=0.0, y_min=0.0, x_max=9.0, y_max=9.0)
    return DETECTIONS.conform(table, where="boxes")


@pytest.mark.parametrize("method", METHODS)
def test_each_category_of_boxes_has_its_own_curve_and_a_rare_one_that_of_all(method):
    score = np.full(450, 0.8)
    category = np.repeat([1, 2, 3], [200, 200, 50])
    right = np.concatenate([np.tile([1.0, 0, 0, 0], 50), np.tile([1.0, 1, 1, 0], 50), np.ones(50)])
    right[0] = np.nan  # on a crowd: it says nothing
    calibrated = calibrate_boxes(method, boxes(score, category), right)
    found = calibrated(boxes([0.8] * 4, [1, 2, 3, 4]))["score"].tolist()
    of_all = np.nanmean(right)
    assert found == pytest.approx([49 / 199, 0.75, of_all, of_all], abs=0.01)
    with pytest.raises(EnsemblingError, match="3 outcomes for 450 boxes"):
        calibrate_boxes(method, boxes(score, category), right[:3])


def test_a_member_without_a_single_box_leaves_scores_as_they_are():
    nothing = calibrate_boxes("isotonic", boxes([], []), np.empty(0))
    assert nothing(boxes([0.3], [1]))["score"].tolist() == [0.3]


@pytest.mark.parametrize("method", METHODS)
def test_crops_are_calibrated_class_by_class_and_sum_to_one(method):
    n = 400
    truth = np.tile(["Can", "Can", "Can", "Bag"], n // 4)
    known = pd.DataFrame({"annotation_id": np.arange(n), "Can": 0.99, "Bag": 0.01})
    calibrate = calibrate_classes(method, known, pd.Series(truth, index=np.arange(n)))
    crops = pd.DataFrame({"annotation_id": [9], "Bag": [0.01], "Can": [0.99]})
    fused = calibrate(crops)
    assert fused["Can"][0] == pytest.approx(0.75, abs=0.01)
    assert fused[["Can", "Bag"]].sum(axis=1)[0] == pytest.approx(1)


@pytest.mark.parametrize("method", METHODS)
def test_a_crop_of_which_nothing_is_said_stays_so(method):
    known = pd.DataFrame({"annotation_id": np.arange(80), "Can": 0.99, "Bag": 0.01})
    calibrate = calibrate_classes(method, known, pd.Series(["Can", "Can", "Can", "Bag"] * 20))
    unknown = pd.DataFrame({"annotation_id": [9], "Can": [0.5], "Bag": [0.5]})
    assert calibrate(unknown)[["Can", "Bag"]].to_numpy().tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("method", METHODS)
def test_pixels_are_counted_by_value_and_calibrated_by_that(method):
    labels = np.tile(np.array([[0, 1], [1, 255]], np.uint8), (10, 10))
    planes = np.stack([np.full((10, 10), 230, np.uint8), np.full((10, 10), 25, np.uint8)])
    known = ProbabilityMaps([7, 8], lambda _: planes)
    # Planes are smaller than the labels: they meet in the labels' size.
    counts = count_planes(known, LabelMaps([7, 8], lambda _: labels), [7, 8])
    assert counts[0, 230].tolist() == [400, 200]
    assert counts[1, 25].tolist() == [200, 400]
    assert counts.sum() == 1200
    calibrated = calibrate_masks(method, counts)(known)[7]
    assert calibrated[:, 0, 0].tolist() == pytest.approx([85, 170], abs=1)


def test_settings_that_ask_for_it_calibrate_each_member_before_it_is_fused():
    settings = BoxFusion.model_validate({"method": "nms", "calibrate": "isotonic"})
    halves = {"loud": lambda own: own.assign(score=own["score"] / 2), "quiet": lambda own: own}
    members = {"loud.fold0": boxes([0.9], [1]), "quiet": boxes([0.6], [1])}
    assert fuse(settings, members, calibrators=halves)["score"].tolist() == [0.6]
    with pytest.raises(EnsemblingError, match=r"quiet: no out-of-fold predictions to calibrate it"):
        fuse(settings, members, calibrators={"loud": halves["loud"]})
