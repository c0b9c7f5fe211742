"""What a score threshold does to mAP, precision, recall and the number of boxes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.found_boxes import detections_of, truth_of
from recycling.diagnostics.thresholds import (
    SCORE_THRESHOLDS,
    best_threshold,
    precision_thresholds,
    score_thresholds,
    threshold_sentence,
)
from recycling.evaluation import map50
from recycling.evaluation.box_matches import match_boxes
from recycling.predictions import DETECTIONS, Detections


def scene(seed=0):
    rng = np.random.default_rng(seed)
    truth = truth_of(rng, 10, 60)
    return truth, detections_of(truth, rng)


@given(st.integers(0, 10**6))
@settings(max_examples=25)
def test_a_threshold_does_what_leaving_out_the_rows_does(seed):
    truth, found = scene(seed)
    table = score_thresholds(match_boxes(truth, {"a": found})["a"])
    for row in table.iloc[[0, 5, 37, 80, -1]].to_dict("records"):
        left = Detections(found[found["score"] >= row["threshold"]])
        matches = match_boxes(truth, {"a": left})["a"]
        assert row["mAP50"] == pytest.approx(map50(truth, left).score, abs=1e-12)
        assert row["boxes_per_image"] == pytest.approx(len(matches.score) / 10)
        hits, objects = matches.hit.sum(), (~truth.annotations["iscrowd"]).sum()
        assert row["recall"] == pytest.approx(hits / objects)
        assert row["precision"] == pytest.approx(matches.hit.mean() if len(matches.hit) else 1)
        p, r = row["precision"], row["recall"]
        assert row["f1"] == pytest.approx(2 * p * r / (p + r) if p + r else 0)


def test_every_hundredth_up_to_the_highest_score():
    truth, found = scene()
    found = Detections(found.assign(score=found["score"] * 0.5))
    table = score_thresholds(match_boxes(truth, {"a": found})["a"])
    assert list(table) == SCORE_THRESHOLDS.names
    highest = int(found["score"].max() * 100)
    assert table["threshold"].tolist() == pytest.approx(np.arange(highest + 1) / 100)
    assert (table["boxes_per_image"] > 0).all()


def test_a_detector_without_boxes_has_one_row():
    truth, _ = scene()
    matches = match_boxes(truth, {"a": Detections(DETECTIONS.empty())})["a"]
    table = score_thresholds(matches)
    assert table.to_numpy().tolist() == [[0, 0, 1, 0, 0, 0]]
    assert threshold_sentence(table).endswith("F1 is best there")


def test_the_sentence_says_what_the_lowest_threshold_costs():
    truth, _ = scene()
    rows = truth.annotations[~truth.annotations["iscrowd"]]
    right = DETECTIONS.conform(rows.assign(score=0.8), where="test")
    wrong = right.assign(score=0.1, x_min=900.0, x_max=950.0)
    both = Detections(DETECTIONS.conform(pd.concat([right, wrong]), where="test"))
    matches = match_boxes(truth, {"a": both})["a"]
    table = score_thresholds(matches)
    assert best_threshold(table) == pytest.approx(0.11)
    n = len(right)
    assert threshold_sentence(table) == (
        f"at threshold 0 mAP50 is 1.00 and 50 % of the {2 * n / 10:.1f} boxes an image are wrong; "
        f"at 0.11, where F1 is best, it is 1.00 and 0 % of {n / 10:.1f}"
    )


@given(st.integers(0, 10**6))
@settings(max_examples=25)
def test_the_threshold_for_a_precision_is_the_lowest_that_reaches_it(seed):
    truth, found = scene(seed)
    found = Detections(found.assign(score=found["score"].round(1)))  # many are equal
    names = truth.categories["name"].tolist()
    matches = match_boxes(truth, {"a": found})["a"]
    table = precision_thresholds(matches, names)
    for row in table.itertuples(index=False):
        own = np.ones(len(matches.category), bool)
        objects = len(matches.object_category)
        if row.category != "all classes":
            own = matches.category == names.index(row.category)
            objects = int((matches.object_category == names.index(row.category)).sum())
        reached = {}
        for at in np.unique(matches.score[own]).tolist():
            kept = own & (matches.score >= at)
            if matches.hit[kept].mean() >= row.target:
                hits = matches.hit[kept]
                reached[at] = hits.mean(), hits.sum() / objects, kept.sum()
        if not reached:
            assert pd.isna(row.threshold)
            assert pd.isna(row.boxes)
            continue
        assert row.threshold == min(reached)
        assert (row.precision, row.recall, row.boxes) == pytest.approx(reached[min(reached)])
