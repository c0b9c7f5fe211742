import contextlib
import io

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from evaluation.found_boxes import IDS, NAMES, detections_of, truth_of
from recycling.annotations import ANNOTATIONS, BOX, Annotations
from recycling.evaluation import (
    SIZES,
    EvaluationError,
    Metrics,
    map50,
    match_boxes,
    right_boxes,
)
from recycling.predictions import DETECTIONS, Detections


def reference(truth, detections):
    """pycocotools, on ids from 1."""

    def entries(table):
        return [
            {
                "image_id": row.image_id,
                "category_id": row.category_id,
                "bbox": [row.x_min, row.y_min, row.x_max - row.x_min, row.y_max - row.y_min],
                "score": row.score,
            }
            for row in table.itertuples()
        ]

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": i} for i in truth.images["image_id"].tolist()],
            "categories": [{"id": i} for i in IDS],
            "annotations": [
                {**entry, "id": i + 1, "area": row.area, "iscrowd": int(row.iscrowd)}
                for i, (entry, row) in enumerate(
                    zip(entries(truth.annotations), truth.annotations.itertuples(), strict=True)
                )
            ],
        }
        coco.createIndex()
        ordered = detections.sort_values(
            ["image_id", "category_id", "score", *BOX], ascending=[True, True, False, *[True] * 4]
        )
        if len(ordered):
            found = coco.loadRes(entries(ordered))
        else:  # loadRes looks at the first one
            found = COCO()
            found.dataset = {**coco.dataset, "annotations": []}
            found.createIndex()
        evaluation = COCOeval(coco, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_scores_are_those_of_pycocotools(seed):
    rng = np.random.default_rng(seed)
    truth = truth_of(rng)
    detections = detections_of(truth, rng)
    metrics = map50(truth, detections)
    expected = reference(truth, detections)
    ap, ap50, ap75, small, medium, large = expected.stats[:6]
    at_50 = expected.eval["precision"][0, :, :, :, -1]
    assert metrics.metric == "mAP50"
    assert 0.1 < metrics.score < 0.95
    assert metrics.score == pytest.approx(ap50, abs=1e-9)
    assert metrics.details == pytest.approx(
        {
            "mAP": ap,
            "mAP75": ap75,
            "mAP_small": small,
            "mAP_medium": medium,
            "mAP_large": large,
            **{
                f"mAP50_{size}": at_50[:, :, area][at_50[:, :, area] > -1].mean()
                for area, size in enumerate(SIZES, start=1)
            },
            "classes_without_truth": 1,
        },
        abs=1e-9,
    )
    by_id = dict(zip(sorted(IDS), range(4), strict=True))
    precision = expected.eval["precision"][0, :, :, 0, -1]
    assert metrics.per_class == pytest.approx(
        {name: precision[:, by_id[i]].mean() for name, i in zip(NAMES[:3], IDS[:3], strict=True)}
    )


def world(seed):
    """A few images on a grid: overlaps at the thresholds, equal scores, crowds, many boxes."""
    rng = np.random.default_rng(seed)
    truth = truth_of(rng, int(rng.integers(1, 6)), int(rng.integers(1, 40)))
    step = rng.choice([1, 8, 20])

    def on_grid(table):
        corner = np.round(rng.uniform(0, 100, (len(table), 2)) / step) * step
        size = (1 + np.round(rng.uniform(0, 100, (len(table), 2)) / step)) * step
        return table.assign(
            x_min=corner[:, 0],
            y_min=corner[:, 1],
            x_max=corner[:, 0] + size[:, 0],
            y_max=corner[:, 1] + size[:, 1],
        )

    objects = on_grid(truth.annotations).assign(
        iscrowd=rng.random(len(truth.annotations)) < rng.choice([0.0, 0.2])
    )
    objects["area"] = (objects["x_max"] - objects["x_min"]) * (objects["y_max"] - objects["y_min"])
    objects.loc[objects.index[0], "iscrowd"] = False
    near = objects.sample(int(rng.integers(0, 300)), replace=True, random_state=seed)
    columns = ["image_id", "category_id", *BOX]
    found = near[columns].reset_index(drop=True)
    shift = rng.integers(-1, 2, (len(found), 4)) * step * (rng.random((len(found), 4)) < 0.4)
    found[BOX] += shift
    strange = rng.random(len(found)) < 0.3
    found[strange] = on_grid(found[strange])
    found.loc[rng.random(len(found)) < 0.5, "category_id"] = IDS[0]
    scores = np.round(rng.random(len(found)), int(rng.choice([1, 6])))
    detections = Detections(DETECTIONS.conform(found.assign(score=scores), where="test"))
    return Annotations(
        truth.images, ANNOTATIONS.conform(objects, where="test"), truth.categories
    ), (detections)


def check_world(seed):
    truth, detections = world(seed)
    expected = reference(truth, detections).eval["precision"][..., -1]
    metrics = map50(truth, detections)
    at_50, at_75 = expected[0, :, :, 0], expected[5, :, :, 0]
    assert metrics.score == pytest.approx(at_50[at_50 > -1].mean(), abs=1e-9)
    assert metrics.details["mAP75"] == pytest.approx(at_75[at_75 > -1].mean(), abs=1e-9)
    for index, name in enumerate(("mAP", *(f"mAP_{size}" for size in SIZES))):
        of_size = expected[..., index]
        if (of_size > -1).any():
            assert metrics.details[name] == pytest.approx(of_size[of_size > -1].mean(), abs=1e-9)
        else:
            assert name not in metrics.details


@pytest.mark.parametrize("seed", range(40))
def test_scores_of_a_drawn_world_are_those_of_pycocotools(seed):
    check_world(seed)


@pytest.mark.slow
def test_scores_of_two_thousand_worlds_are_those_of_pycocotools():
    for seed in range(40, 2000):
        check_world(seed)


def test_ids_of_any_size_give_the_same_scores():
    rng = np.random.default_rng(5)
    truth = truth_of(rng)
    detections = detections_of(truth, rng)

    def large(table):
        return table.assign(image_id=table["image_id"] + 2**62, category_id=table["category_id"])

    shifted = Annotations(
        large(truth.images.assign(category_id=0)).drop(columns="category_id"),
        large(truth.annotations),
        truth.categories,
    )
    assert map50(shifted, Detections(large(detections))) == map50(truth, detections)


def test_perfect_boxes_score_one_even_for_the_annotation_with_id_0():
    truth = truth_of(np.random.default_rng(3))
    detections = Detections(DETECTIONS.conform(truth.annotations, where="test"))
    metrics = map50(truth, detections)
    assert metrics.score == pytest.approx(1)
    assert metrics.details["mAP"] == pytest.approx(1)


def test_nothing_found_scores_zero():
    truth = truth_of(np.random.default_rng(0))
    metrics = map50(truth, Detections(DETECTIONS.empty()))
    assert metrics.score == 0
    assert metrics.per_class == {"Paper": 0, "Metal": 0, "Glass": 0}


def test_the_order_of_rows_does_not_matter():
    rng = np.random.default_rng(4)
    truth = truth_of(rng)
    detections = detections_of(truth, rng)
    shuffled = Detections(detections.sample(frac=1, random_state=0))
    assert map50(truth, shuffled) == map50(truth, detections)


def test_nothing_is_printed(capfd):
    rng = np.random.default_rng(0)
    truth = truth_of(rng)
    map50(truth, detections_of(truth, rng))
    assert capfd.readouterr() == ("", "")


def test_a_size_that_the_truth_lacks_is_left_out():
    truth = truth_of(np.random.default_rng(0))
    large = truth.annotations.assign(area=200.0**2)
    truth = Annotations(truth.images, large, truth.categories)
    metrics = map50(truth, Detections(DETECTIONS.empty()))
    assert set(metrics.details) == {
        *("mAP", "mAP75", "mAP_large", "mAP50_large"),
        "classes_without_truth",
    }
    assert metrics.details["mAP_large"] == metrics.details["mAP50_large"] == 0


@settings(max_examples=30)
@given(side=st.floats(2, 200), shift=st.floats(0, 1), other=st.floats(2, 200))
def test_a_box_counts_for_the_size_of_its_object_alone(side, shift, other):
    assume(not {side, other} & {32.0, 96.0})  # on the limit it is of both sizes
    sides = np.array([side, other])
    base = truth_of(np.random.default_rng(0))
    objects = base.annotations.iloc[:2].assign(
        image_id=base.images["image_id"].iloc[:2].tolist(), category_id=IDS[0], iscrowd=False,
        x_min=0.0, y_min=0.0, x_max=sides, y_max=sides, area=sides**2,
    )  # fmt: skip
    found = objects.iloc[[0]].copy()
    found[["x_min", "x_max"]] += shift * side
    truth = Annotations(base.images, objects, base.categories)
    detections = Detections(DETECTIONS.conform(found, where="test"))
    details = map50(truth, detections).details
    scores = {s: details[f"mAP50_{s}"] for s in SIZES if f"mAP50_{s}" in details}

    own, others = (SIZES[int(np.searchsorted([32, 96], one))] for one in sides)
    assert set(scores) == {own, others}
    overlap = (1 - shift) / (1 + shift)
    assume(abs(overlap - 0.5) > 1e-6)
    both = 0.5 if own == others else 1.0  # one of two is found
    assert scores[own] == pytest.approx(both if overlap > 0.5 else 0.0, abs=0.01)
    assert own == others or scores[others] == 0


def test_sizes_are_those_of_pycocotools_at_their_limits():
    truth = truth_of(np.random.default_rng(0))
    areas = np.resize([32.0**2, 96.0**2, 32.0**2 - 1, 96.0**2 + 1], len(truth.annotations))
    truth = Annotations(truth.images, truth.annotations.assign(area=areas), truth.categories)
    detections = detections_of(truth, np.random.default_rng(1))
    details = map50(truth, detections).details
    own = [details[f"mAP_{size}"] for size in SIZES]
    assert own == pytest.approx(reference(truth, detections).stats[3:6].tolist(), abs=1e-9)


def test_a_truth_without_objects_is_refused():
    truth = truth_of(np.random.default_rng(0))
    empty = Annotations(truth.images, ANNOTATIONS.empty(), truth.categories)
    with pytest.raises(EvaluationError, match=r"no object on any of the 30 images"):
        map50(empty, Detections(DETECTIONS.empty()))


@pytest.mark.parametrize("column", ["image_id", "category_id"])
def test_a_detection_that_fits_nothing_is_named(column):
    rng = np.random.default_rng(0)
    truth = truth_of(rng)
    detections = detections_of(truth, rng)
    detections.loc[5, column] = 999
    with pytest.raises(EvaluationError, match=f"{column} 999 is not in the truth; 1 of "):
        map50(truth, detections)


def test_metrics_survive_json():
    metrics = Metrics("mAP50", 0.5, {"Paper": 0.25}, {"mAP": 0.125})
    assert Metrics.from_dict(metrics.to_dict()) == metrics
    with pytest.raises(EvaluationError, match="there should be metric, score, per_class, details"):
        Metrics.from_dict({"metric": "mAP50"})


@given(st.integers(0, 10**6))
@settings(max_examples=25)
def test_each_row_knows_whether_it_found_an_object_in_whatever_order_rows_are(seed):
    rng = np.random.default_rng(seed)
    truth = truth_of(rng, 6, 40)
    found = detections_of(truth, rng)
    right = right_boxes(truth, found)
    matches = match_boxes(truth, {"a": found})["a"]
    assert np.nansum(right) == matches.hit.sum()
    assert np.isfinite(right).sum() == len(matches.hit)
    scores = np.sort(found["score"].to_numpy()[right == 1])
    assert scores.tolist() == np.sort(matches.score[matches.hit]).tolist()
    order = rng.permutation(len(found))
    shuffled = Detections(found.iloc[order].reset_index(drop=True))
    assert np.array_equal(right_boxes(truth, shuffled), right[order], equal_nan=True)
