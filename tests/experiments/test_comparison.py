"""Scores side by side: overall, by class, by size, and what may be said of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recycling.annotations import BOX, Annotations
from recycling.evaluation import (
    BoxMetric,
    ClassMetric,
    evaluate,
    image_scores,
    match_boxes_by_size,
    score_of_all,
)
from recycling.experiments import compare_scores

ACCURACY = ClassMetric.model_validate({"metric": "accuracy"})
MAP50 = BoxMetric.model_validate({"metric": "map50"})


def crops(annotations: Annotations, n: int) -> Annotations:
    """`n` images with one crop each, every second of another class."""
    images = pd.concat([annotations.images[:1]] * n, ignore_index=True)
    images = images.assign(image_id=range(n), group=[str(i) for i in range(n)])
    rows = pd.concat([annotations.annotations[:1]] * n, ignore_index=True)
    rows = rows.assign(
        annotation_id=range(n), image_id=range(n), category_id=[5 + 2 * (i % 2) for i in range(n)]
    )
    return Annotations(images, rows, annotations.categories)


def said(truth: Annotations, right: np.ndarray) -> pd.DataFrame:
    """Class probabilities that are right where asked for."""
    paper = (truth.annotations["category_id"] == 5).to_numpy() == right
    return pd.DataFrame(
        {
            "annotation_id": truth.annotations["annotation_id"],
            "Paper": paper.astype("float32"),
            "Metal": (~paper).astype("float32"),
        }
    )


def test_classes_are_compared_by_themselves(annotations):
    truth = crops(annotations, 80)
    is_paper = np.arange(80) % 2 == 0
    sides = {
        "base": [said(truth, np.ones(80, bool))] * 3,
        "blind": [said(truth, is_paper)] * 3,  # wrong on all metal
        "poor": [said(truth, np.arange(80) > 9)] * 3,
        "twin": [said(truth, np.ones(80, bool))] * 3,
    }
    compared = compare_scores(ACCURACY, truth, sides)
    table = compared.table.set_index(["side", "of"])
    assert table.loc[("blind", "all"), "difference"] == pytest.approx(-0.5)
    assert table.loc[("blind", "all"), "verdict"] == "worse"
    assert table.loc[("blind", "Metal"), "score"] == 0.0
    assert table.loc[("blind", "Metal"), "first"] == 1.0
    assert set(table.loc["twin"]["verdict"]) == {"the same"}
    # Two comparisons of all, as a twin is not compared: Holm doubles the smaller p.
    assert pd.isna(table.loc[("twin", "all"), "p"])
    p = table.loc[("blind", "all"), "p"]
    assert table.loc[("blind", "all"), "p_corrected"] == pytest.approx(min(1, 2 * p))


def test_a_class_may_be_called_as_all_or_as_a_size_is(annotations):
    def compared(*names):
        categories = annotations.categories.assign(name=names)
        truth = crops(Annotations(annotations.images, annotations.annotations, categories), 80)
        sides = {
            "base": [said(truth, np.ones(80, bool))] * 3,
            "poor": [said(truth, np.arange(80) > 9)] * 3,
        }
        sides = {
            side: [own.set_axis(["annotation_id", *names], axis=1) for own in seeds]
            for side, seeds in sides.items()
        }
        return compare_scores(ACCURACY, truth, sides)

    plain, odd = compared("Paper", "Metal"), compared("all", "Other objects")
    assert odd.effects == plain.effects
    assert odd.table.drop(columns="of").equals(plain.table.drop(columns="of"))


def test_a_side_with_nothing_beside_it_has_scores_and_no_comparison(annotations):
    truth = crops(annotations, 40)
    of_seeds = [said(truth, np.arange(40) >= wrong) for wrong in (0, 10)]
    compared = compare_scores(ACCURACY, truth, {"base": of_seeds})
    assert compared.table.empty
    assert not compared.effects
    assert [score_of_all(own) for own in compared.scores["base"]] == [1.0, 0.75]


def test_one_training_a_side_has_an_interval_and_no_verdict(annotations):
    truth = crops(annotations, 40)
    worse = said(truth, np.arange(40) > 9)
    sides = {"base": [said(truth, np.ones(40, bool))], "other": [worse]}
    table = compare_scores(ACCURACY, truth, sides).table.set_index("of")
    assert table.loc["all", "verdict"] == "no verdict: one seed"
    assert table.loc["all", "high"] < 0
    assert pd.isna(table.loc["all", "p"])
    files = compare_scores(ACCURACY, truth, sides, of="predictions").table.set_index("of")
    assert files.loc["all", "verdict"] == "worse"


def boxes(annotations: Annotations, seed: int) -> tuple[Annotations, pd.DataFrame]:
    """Objects of all of COCO's sizes, and detections of some of them."""
    rng = np.random.default_rng(seed)
    images = pd.concat([annotations.images[:1]] * 20, ignore_index=True)
    images = images.assign(image_id=range(20), width=400, height=400)
    side = rng.choice([10.0, 60.0, 150.0], 100)
    corner = rng.uniform(0, 200, (100, 2))
    rows = pd.DataFrame(np.hstack([corner, corner + side[:, None]]), columns=[*BOX]).assign(
        annotation_id=range(100), image_id=rng.integers(0, 20, 100), area=side**2,
        category_id=rng.choice([5, 7], 100), segmentation=None, iscrowd=rng.random(100) < 0.1,
        source="human", score=1.0, extra=None,
    )  # fmt: skip
    found = rows[rng.random(100) < 0.7]
    moved = found[[*BOX]] + rng.normal(0, 3, (len(found), 1))
    detections = found[["image_id", "category_id"]].join(moved).assign(score=rng.random(len(found)))
    return Annotations(images, rows, annotations.categories), detections


@pytest.mark.parametrize("seed", range(5))
def test_sizes_and_classes_score_as_the_metric_scores_them(annotations, seed):
    truth, detections = boxes(annotations, seed)
    metrics = evaluate(MAP50, truth, detections)
    by_size = match_boxes_by_size(truth, detections)
    for size, own in by_size.items():
        assert score_of_all(own) == pytest.approx(metrics.details[f"mAP50_{size}"], abs=1e-12)
    matches = image_scores(MAP50, truth, {"a": detections})["a"]
    for number, name in enumerate(truth.categories["name"]):
        assert score_of_all(matches.of_class(number)) == pytest.approx(metrics.per_class[name])
    sides = {"one": [detections], "two": [detections[::2].reset_index(drop=True)]}
    parts = compare_scores(MAP50, truth, sides).table["of"]
    assert {"all", "Paper", "Metal", *(f"{size} objects" for size in by_size)} == set(parts)
