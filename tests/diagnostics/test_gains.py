"""What an ensemble gains, class by class."""

import pytest

from recycling.diagnostics.gains import CLASS_GAINS, best_member, class_gains
from recycling.evaluation import EvaluationError, Metrics


def metrics(score, metric="mIoU", **per_class):
    return Metrics(metric, score, per_class, {})


MEMBERS = {
    "a": metrics(0.5, Paper=0.9, Metal=0.1, Glass=0.0),
    "b": metrics(0.6, Paper=0.5, Metal=0.7),
}


def test_gains_are_over_the_best_member_of_all_and_over_the_mean():
    table = class_gains(metrics(0.7, Metal=0.6, Paper=0.8), MEMBERS)
    assert list(table) == CLASS_GAINS.names
    assert table["category"].tolist() == ["Metal", "Paper"]
    assert table["best"].tolist() == [0.7, 0.5]
    assert table["mean"].tolist() == pytest.approx([0.4, 0.7])
    assert table["over_best"].tolist() == pytest.approx([-0.1, 0.3])
    assert table["over_mean"].tolist() == pytest.approx([0.2, 0.1])


def test_a_class_that_some_member_has_no_score_for_has_no_row():
    table = class_gains(metrics(0.7, Paper=0.8, Glass=0.0), MEMBERS)
    assert table["category"].tolist() == ["Paper"]


def test_without_a_truth_no_class_has_a_row():
    unknown = Metrics("mIoU", float("nan"), {}, {})
    assert class_gains(unknown, {"a": unknown}).empty


def test_the_best_member_is_the_first_of_equals():
    assert best_member({"x": metrics(0.4), "y": metrics(0.6), "z": metrics(0.6)}) == "y"


def test_members_of_another_metric_or_none_are_refused():
    with pytest.raises(EvaluationError, match="b: scored by mIoU, but the ensemble by mAP50"):
        class_gains(metrics(0.7, "mAP50"), {"b": MEMBERS["b"]})
    with pytest.raises(EvaluationError, match="there are no members"):
        class_gains(metrics(0.7), {})
