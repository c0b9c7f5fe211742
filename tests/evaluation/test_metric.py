"""What a task is judged by is picked by name."""

import sys
from collections.abc import Iterator
from importlib import import_module

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from evaluation.found_boxes import detections_of, truth_of
from evaluation.test_bootstrap import drawn, noisy_maps, painted_scene, probabilities_of
from recycling.evaluation import (
    BOX_METRICS,
    CLASS_METRICS,
    MASK_METRICS,
    BoxMetric,
    ClassMetric,
    EvaluationError,
    MaskMetric,
    draw_images,
    evaluate,
    image_scores,
    metric_of,
    score_of,
    score_of_all,
)
from recycling.evaluation.drawn_images import DrawnImages
from recycling.predictions import Detections, LabelMaps
from recycling.registry import Registry

PARAMETERS = "conf/base/parameters_evaluation.yml"


def boxes_scene():
    """Ten images without equal scores: the order of equals is not what a copy is about."""
    rng = np.random.default_rng(0)
    truth = truth_of(rng, 10, 30)
    found = detections_of(truth, rng)
    scores = (rng.permutation(len(found)) + 0.5) / len(found)
    return truth, Detections(found.assign(score=scores))


def masks_scene():
    truth = painted_scene()
    maps = noisy_maps(truth, 1)
    return truth, LabelMaps(list(maps), maps.__getitem__)


def crops_scene():
    truth = painted_scene()
    return truth, probabilities_of(truth, 1)


KINDS = [
    (BOX_METRICS, BoxMetric, boxes_scene),
    (MASK_METRICS, MaskMetric, masks_scene),
    (CLASS_METRICS, ClassMetric, crops_scene),
]
ALL = [(base, name, scene) for registry, base, scene in KINDS for name in registry]


@pytest.fixture
def own_metric() -> Iterator[None]:
    """The metric of `own_metric.py` is known."""
    import_module("evaluation.own_metric")
    yield
    BOX_METRICS._entries.pop("count")
    sys.modules.pop("evaluation.own_metric")


def test_the_parameters_name_the_metrics_of_the_competitions(request):
    given = yaml.safe_load((request.config.rootpath / PARAMETERS).read_text())["evaluation"]
    bases = {"cls": ClassMetric, "det": BoxMetric, "seg": MaskMetric}
    assert set(given) == set(bases)
    picked = {task: base.model_validate(given[task]) for task, base in bases.items()}
    assert picked == {task: base.model_validate({}) for task, base in bases.items()}
    titles = [metric_of(settings).title for settings in picked.values()]
    assert titles == ["macro F1", "mAP50", "mIoU"]


@pytest.mark.parametrize(("base", "name", "scene"), ALL)
def test_scores_carry_the_title_of_their_metric(base, name, scene):
    settings = base.model_validate({"metric": name})
    assert evaluate(settings, *scene()).metric == metric_of(settings).title


@pytest.mark.parametrize(("base", "name", "scene"), ALL)
def test_the_score_of_each_draw_is_that_of_its_images_evaluated_anew(base, name, scene):
    truth, predictions = scene()
    settings = base.model_validate({"metric": name})
    scores = image_scores(settings, truth, {"a": predictions})["a"]
    whole = evaluate(settings, truth, predictions).score
    assert score_of_all(scores) == pytest.approx(whole)
    assert score_of(settings, truth, predictions) == pytest.approx(whole)
    draws = draw_images(scores.n_images, n_draws=5)
    slow = DrawnImages(
        truth, predictions, lambda truth, found: evaluate(settings, truth, found).score
    )
    # The crops of classifiers are counted by ascending image id.
    order = np.argsort(np.argsort(truth.images["image_id"].to_numpy()))
    copied = draws[:, order] if base is ClassMetric else draws
    np.testing.assert_allclose(scores.scores(draws), slow.scores(copied), atol=1e-12)


def test_a_metric_of_a_file_of_its_own_is_picked_by_name(own_metric):
    text = "{metric: count, least_score: 0.25}"
    settings = BoxMetric.model_validate(yaml.safe_load(text))
    truth, found = boxes_scene()
    n_objects = int((~truth.annotations["iscrowd"]).sum())
    n_boxes = int((found["score"] >= 0.25).sum())
    expected = min(n_boxes, n_objects) / max(n_boxes, n_objects)
    assert evaluate(settings, truth, found).score == pytest.approx(expected)
    assert score_of(settings, truth, found) == pytest.approx(expected)
    scores = image_scores(settings, truth, {"a": found})["a"]
    assert score_of_all(scores) == pytest.approx(expected)
    times = np.array([2] * 5 + [0] * 5)
    first = truth.images["image_id"].iloc[:5]
    n_boxes = 2 * int((found["score"] >= 0.25)[found["image_id"].isin(first)].sum())
    n_objects = int((~drawn(truth, times).annotations["iscrowd"]).sum())
    expected = min(n_boxes, n_objects) / max(n_boxes, n_objects)
    assert scores.scores(times[None])[0] == pytest.approx(expected)


def test_a_draw_without_a_truth_has_no_score_in_the_slow_form():
    truth, found = boxes_scene()
    lonely = truth.annotations["image_id"] == truth.images["image_id"].iloc[0]
    settings = BoxMetric.model_validate({})
    bare = type(truth)(truth.images, truth.annotations[lonely], truth.categories)
    slow = DrawnImages(bare, found, lambda truth, found: evaluate(settings, truth, found).score)
    draws = np.array([[0, 10] + [0] * 8, [10] + [0] * 9])
    assert np.isnan(slow.scores(draws)).tolist() == [True, False]


def test_a_member_that_does_not_fit_is_named_in_the_slow_form(own_metric):
    settings = BoxMetric.model_validate({"metric": "count"})
    truth, found = boxes_scene()
    with pytest.raises(EvaluationError, match="^bad: detections: there are none"):
        image_scores(settings, truth, {"good": found, "bad": found.iloc[:0]})


@pytest.mark.parametrize(
    ("base", "given", "fault"),
    [
        (
            BoxMetric,
            {"metric": "map5"},
            "no metric of boxes is called 'map5'; did you mean 'map50'",
        ),
        (MaskMetric, {"metric": "map50"}, "no metric of masks is called 'map50'"),
        (BoxMetric, {"least_score": 0.1}, "'map50' takes no 'least_score'"),
    ],
)
def test_an_unknown_metric_or_setting_is_refused_with_those_that_there_are(base, given, fault):
    with pytest.raises(ValidationError, match=fault):
        base.model_validate(given)


def test_every_kind_has_a_metric_to_choose():
    registries: list[Registry] = [BOX_METRICS, MASK_METRICS, CLASS_METRICS]
    assert all(len(registry) >= 2 for registry in registries)
    assert all(entry.summary for registry in registries for entry in registry.values())
