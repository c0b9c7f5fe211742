import contextlib
import io

import numpy as np
import pandas as pd
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from recycling.annotations import ANNOTATIONS, CATEGORIES, IMAGES, Annotations
from recycling.evaluation import EvaluationError, Metrics, detection_metrics
from recycling.predictions import DETECTIONS, Detections

NAMES = ["Paper", "Metal", "Glass", "Battery"]
IDS = [7, 3, 5, 11]


def boxes_at_random(rng, n):
    corner = rng.uniform(0, 250, (n, 2))
    size = np.exp(rng.uniform(np.log(4), np.log(200), (n, 2)))
    return np.hstack([corner, corner + size])


def truth_of(rng, n_images=30, n_objects=150):
    boxes = boxes_at_random(rng, n_objects)
    images = pd.DataFrame({"image_id": rng.permutation(n_images) + 100, "extra": None})
    images = images.assign(
        file_name=images["image_id"].astype(str) + ".jpg", width=512, height=512
    ).assign(group=images["image_id"].astype(str))
    annotations = pd.DataFrame(boxes, columns=["x_min", "y_min", "x_max", "y_max"]).assign(
        annotation_id=np.arange(n_objects),
        image_id=rng.integers(100, 100 + n_images, n_objects),
        # The last category has no object.
        category_id=rng.choice(IDS[:3], n_objects, p=[0.6, 0.3, 0.1]),
        area=(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) * 0.8,
        segmentation=None,
        iscrowd=rng.random(n_objects) < 0.05,
        source="human",
        score=1.0,
        extra=None,
    )
    categories = pd.DataFrame({"category_id": IDS, "name": NAMES, "supercategory": NAMES})
    return Annotations(
        IMAGES.conform(images, where="test"),
        ANNOTATIONS.conform(annotations, where="test"),
        CATEGORIES.conform(categories.assign(extra=None), where="test"),
    )


def detections_of(truth, rng):
    """Jittered objects, some with a wrong class, and false alarms."""
    found = truth.annotations.sample(frac=0.8, random_state=1)
    columns = ["image_id", "category_id", "x_min", "y_min", "x_max", "y_max"]
    found = pd.concat([found[columns]] * 2, ignore_index=True)
    jitter = rng.normal(0, 4, (len(found), 4))
    found[columns[2:]] = found[columns[2:]] + jitter
    wrong = rng.random(len(found)) < 0.2
    found.loc[wrong, "category_id"] = rng.choice(IDS, int(wrong.sum()))
    found["score"] = rng.random(len(found)).round(2)
    return Detections(DETECTIONS.conform(found, where="test"))


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
            ["image_id", "category_id", "score", "x_min"], ascending=[True, True, False, True]
        )
        evaluation = COCOeval(coco, coco.loadRes(entries(ordered)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_scores_are_those_of_pycocotools(seed):
    rng = np.random.default_rng(seed)
    truth = truth_of(rng)
    detections = detections_of(truth, rng)
    metrics = detection_metrics(truth, detections)
    expected = reference(truth, detections)
    ap, ap50, ap75, small, medium, large = expected.stats[:6]
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
            "classes_without_truth": 1,
        },
        abs=1e-9,
    )
    by_id = dict(zip(sorted(IDS), range(4), strict=True))
    precision = expected.eval["precision"][0, :, :, 0, -1]
    assert metrics.per_class == pytest.approx(
        {name: precision[:, by_id[i]].mean() for name, i in zip(NAMES[:3], IDS[:3], strict=True)}
    )


def test_perfect_boxes_score_one_even_for_the_annotation_with_id_0():
    truth = truth_of(np.random.default_rng(3))
    detections = Detections(DETECTIONS.conform(truth.annotations, where="test"))
    metrics = detection_metrics(truth, detections)
    assert metrics.score == pytest.approx(1)
    assert metrics.details["mAP"] == pytest.approx(1)


def test_nothing_found_scores_zero():
    truth = truth_of(np.random.default_rng(0))
    metrics = detection_metrics(truth, Detections(DETECTIONS.empty()))
    assert metrics.score == 0
    assert metrics.per_class == {"Paper": 0, "Metal": 0, "Glass": 0}


def test_the_order_of_rows_does_not_matter():
    rng = np.random.default_rng(4)
    truth = truth_of(rng)
    detections = detections_of(truth, rng)
    shuffled = Detections(detections.sample(frac=1, random_state=0))
    assert detection_metrics(truth, shuffled) == detection_metrics(truth, detections)


def test_nothing_is_printed(capfd):
    rng = np.random.default_rng(0)
    truth = truth_of(rng)
    detection_metrics(truth, detections_of(truth, rng))
    assert capfd.readouterr() == ("", "")


def test_a_size_that_the_truth_lacks_is_left_out():
    truth = truth_of(np.random.default_rng(0))
    large = truth.annotations.assign(area=200.0**2)
    truth = Annotations(truth.images, large, truth.categories)
    metrics = detection_metrics(truth, Detections(DETECTIONS.empty()))
    assert set(metrics.details) == {"mAP", "mAP75", "mAP_large", "classes_without_truth"}


def test_a_truth_without_objects_is_refused():
    truth = truth_of(np.random.default_rng(0))
    empty = Annotations(truth.images, ANNOTATIONS.empty(), truth.categories)
    with pytest.raises(EvaluationError, match=r"no object on any of the 30 images"):
        detection_metrics(empty, Detections(DETECTIONS.empty()))


@pytest.mark.parametrize("column", ["image_id", "category_id"])
def test_a_detection_that_fits_nothing_is_named(column):
    rng = np.random.default_rng(0)
    truth = truth_of(rng)
    detections = detections_of(truth, rng)
    detections.loc[5, column] = 999
    with pytest.raises(EvaluationError, match=f"{column} 999 is not in the truth; 1 of "):
        detection_metrics(truth, detections)


def test_metrics_survive_json():
    metrics = Metrics("mAP50", 0.5, {"Paper": 0.25}, {"mAP": 0.125})
    assert Metrics.from_dict(metrics.to_dict()) == metrics
    with pytest.raises(EvaluationError, match="there should be metric, score, per_class, details"):
        Metrics.from_dict({"metric": "mAP50"})
