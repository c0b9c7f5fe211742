"""The nodes that fuse the members of an ensemble, choose among them and explain them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recycling.annotations import Annotations, ImageFolder
from recycling.ensembling import (
    BoxFusion,
    ClassFusion,
    EnsemblingError,
    MaskFusion,
    rank_members,
)
from recycling.evaluation import BoxMetric, ClassMetric, MaskMetric, Metrics
from recycling.pipelines.calibrating import out_of_fold_key
from recycling.pipelines.ensembling import scores_collector
from recycling.pipelines.explaining import (
    compare_leaderboard,
    confusion_counter,
    explain_boxes,
    explainer,
    leaving_out,
    mistakes_drawer,
    page_writer,
)
from recycling.pipelines.fusing import fuse_as_chosen, fuse_by_labels, fuse_members
from recycling.pipelines.held_out import held_out_fuser
from recycling.pipelines.out_of_fold import common_images, joined, parts, probabilities_key
from recycling.pipelines.scoring import SCORE, SCORE_TEST
from recycling.pipelines.searching import problem_of
from recycling.plan import PlanError, Search
from recycling.predictions import DETECTIONS, LabelMaps, ProbabilityMaps, probability_planes


def probabilities(paper):
    frame = pd.DataFrame({"annotation_id": [1], "Paper": [paper], "Metal": [1 - paper]})
    return frame.astype({"Paper": "float32", "Metal": "float32"})


def boxes(*rows):
    return DETECTIONS.conform(pd.DataFrame(rows, columns=DETECTIONS.names), where="boxes")


@pytest.mark.parametrize(
    ("weights", "scores", "expected"),
    [
        ("equal", {"a": 0.9, "b": 0.3}, 0.5),
        ("score", {"a": 0.9, "b": 0.3}, 0.75),
        ("score", {"a": 0.0, "b": 0.0}, 0.5),
        ({"a": 1, "b": 3}, {"a": 0.9, "b": 0.3}, 0.25),
    ],
)
def test_members_count_by_their_score_and_the_same_where_all_scored_nothing(
    weights, scores, expected
):
    members = {"a": probabilities(1.0), "b": probabilities(0.0)}
    fused = fuse_members(
        ClassFusion.model_validate({"weights": weights}), rank_members(scores), **members
    )
    assert fused["Paper"].tolist() == pytest.approx([expected])


def test_members_without_a_score_come_last():
    for none in (None, float("nan")):
        assert rank_members({"a": 0.2, "b": none, "c": 0.9})["rank"].tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ("equal", 1 / 2),
        ("score", 0.6 / 0.9),
        ({"a": 1, "b": 2}, 1 / 3),
        ({"a.fold0": 1, "a.fold1": 1, "b": 2}, 1 / 2),
        ({"a.fold0": 0, "a": 2, "b": 2}, 1 / 2),
    ],
)
def test_the_folds_of_a_model_share_its_weight(weights, expected):
    members = {
        "a.fold0": probabilities(1.0),
        "a.fold1": probabilities(1.0),
        "b.csv": probabilities(0),
    }
    ranking = rank_members({"a.fold0": 0.6, "a.fold1": 0.6, "b.csv": 0.3})
    fused = fuse_members(ClassFusion.model_validate({"weights": weights}), ranking, **members)
    assert fused["Paper"].tolist() == pytest.approx([expected])


@pytest.mark.parametrize("method", ["nms", "soft_nms", "non_maximum_weighted"])
def test_where_weights_are_factors_of_scores_each_fold_has_its_models(method):
    """Where the best box stays, that a model has folds is no reason to believe it less."""
    spot = (1, 5, 0.8, 0.0, 0.0, 10.0, 10.0)
    elsewhere = (1, 5, 0.6, 50.0, 50.0, 60.0, 60.0)
    members = {"a.fold0": boxes(spot), "a.fold1": boxes(spot), "b.csv": boxes(elsewhere)}
    ranking = rank_members(dict.fromkeys(members, 0.5))
    settings = BoxFusion.model_validate({"method": method, "weights": {"a": 1, "b": 1}})
    fused = fuse_members(settings, ranking, **members)
    choice = {"method": method, "weights": {"a": 1, "b": 1}, "settings": {}}
    chosen = fuse_as_chosen("det")(choice, ranking, BOXES, **members)
    for own in (fused, chosen):
        by_place = own.set_index("x_min")["score"]
        assert by_place[0.0].max() / by_place[50.0] == pytest.approx(0.8 / 0.6)


@pytest.mark.parametrize(
    "method", ["nms", "soft_nms", "non_maximum_weighted", "weighted_boxes_fusion"]
)
@pytest.mark.parametrize("weights", [{"a": 2, "b": 1}, "score"])
def test_scores_on_test_images_are_on_the_scale_of_those_out_of_fold(method, weights):
    """A threshold that is learnt out of fold, where a model is one member, holds on test images."""
    of_model = {
        "a": boxes((1, 5, 0.9, 0.0, 0.0, 10.0, 10.0)),
        "b": boxes((1, 5, 0.6, 50.0, 50.0, 60.0, 60.0)),
    }
    score = {"a": 0.6, "b": 0.3}
    settings = BoxFusion.model_validate({"method": method, "weights": weights})
    scores = []
    for n_folds in (1, 5):
        names = {f"{model}.fold{fold}": model for model in of_model for fold in range(n_folds)}
        members = {name: of_model[model] for name, model in names.items()}
        ranking = rank_members({name: score[model] for name, model in names.items()})
        fused = fuse_members(settings, ranking, **members)
        scores.append(fused.groupby("x_min")["score"].max().tolist())
    assert scores[1] == pytest.approx(scores[0])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("score", r"b\.csv: no out-of-fold predictions.*add b\.oof\.csv"),
        ({"a.fold0": 1}, r"weights: none for 'b\.csv'"),
    ],
)
def test_a_member_without_a_weight_stops_the_run(weights, message):
    members = {"a.fold0": probabilities(1.0), "b.csv": probabilities(0.0)}
    ranking = rank_members({"a.fold0": 0.5, "b.csv": None})
    with pytest.raises(EnsemblingError, match=message):
        fuse_members(ClassFusion.model_validate({"weights": weights}), ranking, **members)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"method": "weighted_boxes_fusion"}, [0.6]),
        ({"method": "nms"}, [0.8]),
        ({"method": "non_maximum_weighted"}, [0.8]),
        ({"method": "soft_nms", "decay": "linear"}, [0.8, 0.4 * (1 - 81 / 100)]),
        ({"method": "nms", "iou_threshold": 0.9}, [0.8, 0.4]),
    ],
)
def test_boxes_are_fused_by_the_method_that_is_named(settings, expected):
    a = boxes((1, 5, 0.8, 0.0, 0.0, 10.0, 10.0))
    b = boxes((1, 5, 0.4, 0.0, 0.0, 9.0, 9.0))
    ranking = rank_members({"a": 0.5, "b": 0.5})
    fused = fuse_members(BoxFusion.model_validate(settings), ranking, a=a, b=b)
    assert fused["score"].tolist() == pytest.approx(expected)


def test_what_is_fused_without_each_member_takes_what_the_fusion_takes():
    members = {"a": probabilities(1.0), "b": probabilities(0.0), "c": probabilities(0.5)}
    without = leaving_out(fuse_members)(
        settings=ClassFusion.model_validate({}),
        ranking=rank_members({"a": 0.1, "b": 0.2, "c": 0.3}),
        **members,
    )
    assert {name: fused["Paper"][0] for name, fused in without.items()} == pytest.approx(
        {"a": 0.25, "b": 0.75, "c": 0.5}
    )


CLASSES, BOXES, MASKS = (
    fusion.model_validate({}) for fusion in (ClassFusion, BoxFusion, MaskFusion)
)
CHOICE = {"method": "mean", "weights": {"a": 1, "b": 2}, "settings": {}}


def test_the_folds_of_a_chosen_model_share_its_weight_and_others_are_left_out():
    members = {
        "a.fold0": probabilities(1.0),
        "a.fold1": probabilities(0.0),
        "b.fold0": probabilities(1.0),
        "c.fold0": probabilities(0.0),
    }
    ranking = rank_members(dict.fromkeys(members, 0.5))
    fused = fuse_as_chosen("cls")(CHOICE, ranking, CLASSES, **members)
    assert fused["Paper"].tolist() == pytest.approx([(0.5 * 1 + 0.5 * 0 + 2 * 1) / 3])


def test_a_chosen_ensemble_is_fused_without_each_of_its_members():
    members = {
        "a.fold0": probabilities(1.0),
        "b.fold0": probabilities(0.0),
        "c.fold0": probabilities(0.5),
    }
    without = leaving_out(fuse_as_chosen("cls"))(
        choice=CHOICE,
        ranking=rank_members(dict.fromkeys(members, 0.5)),
        settings=CLASSES,
        **members,
    )
    assert {name: fused["Paper"][0] for name, fused in without.items()} == pytest.approx(
        {"a.fold0": 0.0, "b.fold0": 1.0}
    )


def test_one_model_alone_is_taken_as_it_is_and_its_folds_are_fused():
    alone = {"method": "alone", "weights": {"a": 1}, "settings": {}}
    ranking = rank_members({"a.fold0": 0.5, "b.fold0": 0.6})
    own = boxes((1, 5, 0.8, 0.0, 0.0, 10.0, 10.0))
    other = boxes((1, 5, 0.2, 50.0, 50.0, 60.0, 60.0))
    members = {"a.fold0": own, "b.fold0": other}
    pd.testing.assert_frame_equal(fuse_as_chosen("det")(alone, ranking, BOXES, **members), own)
    ranking = rank_members({"a.fold0": 0.5, "a.fold1": 0.6})
    both = fuse_as_chosen("det")(alone, ranking, BOXES, **{"a.fold0": own, "a.fold1": own})
    assert both["score"].tolist() == pytest.approx([0.8])


@pytest.fixture
def folds():
    return pd.DataFrame({"image_id": [1, 2, 3], "fold": [0, 1, 0]})


def test_models_are_compared_on_the_images_that_none_of_them_has_seen(annotations, folds):
    def images(*names):
        return common_images(annotations, folds, names)["image_id"].tolist()

    assert images("a.fold0", "b.fold0") == [1, 3]
    assert images("a.fold0", "a.fold1", "b.fold0") == [1, 3]
    assert images("a.fold0", "a.fold1", "c.csv") == [1, 2, 3]
    with pytest.raises(PlanError, match="models a, b have no fold in common"):
        images("a.fold0", "b.fold1")


def test_one_fold_is_dealt_into_parts_and_several_are_taken_as_they_are(annotations, folds):
    all_three = parts(annotations.images, folds, n_parts=2)
    assert dict(zip(all_three["image_id"], all_three["fold"], strict=True)) == {1: 0, 2: 1, 3: 0}
    images = common_images(annotations, folds, ["a.fold0"])
    assert sorted(parts(images, folds, n_parts=2)["fold"]) == [0, 1]


def test_detectors_are_chosen_by_map_on_images_that_they_have_not_seen(annotations, folds):
    right = boxes((1, 5, 0.9, 2, 2, 12, 12), (2, 5, 0.9, 0, 0, 10, 20), (2, 7, 0.9, 15, 5, 35, 25))
    problem = problem_of(
        "det",
        Search(),
        annotations.of_images([1, 2]),
        folds[folds["image_id"] < 3],
        {"a.fold0": right[right["image_id"] == 1], "a.fold1": right[right["image_id"] == 2]},
        BoxMetric.model_validate({}),
    )
    assert problem.names == ("a",)
    assert problem.scores(right[right["image_id"] < 3]).tolist() == [1.0, 1.0]


def test_the_maps_of_several_folds_are_read_when_they_are_asked_for():
    def fold(*ids):
        return LabelMaps(ids, lambda image_id: np.full((2, 2), image_id, np.uint8))

    maps = joined([fold(1, 2), fold(3)])
    assert list(maps) == [1, 2, 3]
    assert maps[3].max() == 3


def test_without_truth_there_is_no_score_and_the_report_says_so(annotations):
    unlabeled = Annotations(annotations.images, annotations.annotations[:0], annotations.categories)
    found = boxes((1, 5, 0.8, 0.0, 0.0, 10.0, 10.0))
    metrics = SCORE_TEST["det"](unlabeled, found, BoxMetric.model_validate({}))
    assert math.isnan(metrics.score)
    assert Metrics.from_dict(metrics.to_dict()).metric == "mAP50"
    explanation, contributions, gains, errors, thresholds, by_precision = explain_boxes(
        unlabeled,
        found,
        {"a": found, "b": found},
        {"a": found, "b": found},
        BoxMetric.model_validate({}),
    )
    lengths = [len(table) for table in (contributions, gains, errors, thresholds, by_precision)]
    assert lengths == [0] * 5
    assert explanation["interval"] == {}
    agreement = pd.DataFrame({"member_a": ["a"], "member_b": ["b"], "agreement": [1.0]})
    page = page_writer("det", "final")(
        explanation=explanation,
        contributions=contributions,
        class_gains=gains,
        error_correlation=errors,
        agreement=agreement,
        changes=np.zeros((8, 8, 3), np.uint8),
        overlays=np.zeros((8, 8, 3), np.uint8),
        confusion=confusion_counter("det")(unlabeled, found, explanation),
        mistakes=mistakes_drawer("det")(unlabeled, ImageFolder(Path()), found, explanation),
        test_metrics=metrics,
        score_thresholds=thresholds,
        precision_thresholds=by_precision,
        a=metrics,
        b=metrics,
    )
    assert "No truth is known" in page
    assert "What is taken for what" not in page
    assert "Worst mistakes" not in page
    assert "a and b agree on 1.00 of the boxes" in page
    assert scores_collector([])(final=metrics, a=metrics)["ensemble"] is None


def test_the_report_on_an_ensemble_that_kept_the_default_leaves_the_rest_to_the_default_s():
    scored = Metrics("mAP50", 0.5, {}, {})
    known = {
        "explanation": {
            "out_of_fold": True,
            "ensemble": scored.to_dict(),
            "members": {},
            "interval": {},
        },
        "contributions": None,
        "class_gains": None,
        "error_correlation": None,
        "agreement": None,
        "changes": np.zeros((8, 8, 3), np.uint8),
        "overlays": np.zeros((8, 8, 3), np.uint8),
        "confusion": None,
        "mistakes": None,
        "test_metrics": scored,
    }
    page = page_writer("det", "searched", "final")(**known, choices=ways_of_choosing(gain=0.01))
    assert "this is the same ensemble as final" in page
    assert "kept the default" in page
    assert "Where the ensemble changed most" not in page
    page = page_writer("det", "searched", "final")(**known, choices=ways_of_choosing(gain=0.1))
    assert "this is the same ensemble" not in page
    assert "Where the ensemble changed most" in page


def ways_of_choosing(gain):
    return pd.DataFrame(
        {
            "how": ["default", "greedy"],
            "method": "nms",
            "weights": "",
            "settings": "",
            "training_score": 0.6,
            "held_out_score": [0.5, 0.5 + gain],
            "gain": [0.0, gain],
            "gain_error": [0.0, 0.05],
            "unit": "40 images",
            "fold 0": 0.5,
        }
    )


def test_thresholds_of_boxes_are_at_an_overlap_of_one_half_whatever_they_are_scored_by(annotations):
    found = boxes((1, 5, 0.8, 2, 2, 12, 10), (2, 7, 0.4, 15, 5, 35, 25), (2, 7, 0.3, 0, 0, 5, 5))
    both = {"a": found, "b": found}
    at_half, over_all = (
        explain_boxes(annotations, found, both, both, BoxMetric.model_validate({"metric": metric}))
        for metric in ("map50", "map50_95")
    )
    assert at_half[0]["thresholds"] == over_all[0]["thresholds"]
    pd.testing.assert_frame_equal(at_half[5], over_all[5])
    assert at_half[0]["ensemble"]["score"] != over_all[0]["ensemble"]["score"]


def test_the_scores_of_boxes_say_how_small_and_large_objects_are_found():
    own = Metrics("mAP50", 0.5, {}, {"mAP50_small": 0.25, "mAP_small": 0.125, "mAP50_large": 0.75})
    scores = scores_collector([])(final=own, a=own)
    assert scores["sizes"]["final"] == scores["sizes"]["a"] == {"small": 0.25, "large": 0.75}
    assert "sizes" not in scores_collector([])(final=Metrics("mIoU", 0.5, {}, {}))


def test_a_leaderboard_names_a_model_or_one_of_its_folds():
    metrics = {
        f"{model}.fold{fold}": Metrics("mAP50", score, {}, {})
        for model, fold, score in (("a", 0, 0.4), ("a", 1, 0.6), ("b", 0, 0.7), ("c", 0, 0.9))
    }
    compared = compare_leaderboard({"a": 0.3, "b": 0.5, "c.fold0": 0.6}, **metrics)
    points = compared.points.set_index("model")
    assert points["validation"].to_dict() == pytest.approx({"a": 0.5, "b": 0.7, "c.fold0": 0.9})


@pytest.mark.parametrize("n_folds", [1, 2, 3])
def test_a_stack_believes_the_member_that_was_right_where_it_had_not_seen_the_truth(
    annotations, n_folds
):
    table = annotations.annotations
    many = pd.concat(
        [table.assign(annotation_id=3 * n + table["annotation_id"], image_id=n + 1)
         for n in range(20)],
        ignore_index=True,
    )  # fmt: skip
    images = pd.concat(
        [annotations.images[:1].assign(image_id=n + 1, group=str(n)) for n in range(20)],
        ignore_index=True,
    )
    train = Annotations(images, many, annotations.categories)
    folds = pd.DataFrame({"image_id": range(1, 21), "fold": np.arange(20) % n_folds})
    fold_of = many["image_id"].map(folds.set_index("image_id")["fold"])
    paper = (many["category_id"] == 5).to_numpy(dtype=np.float32)

    def of(ids, values):
        values = np.asarray(values, dtype=np.float32)
        return pd.DataFrame({"annotation_id": ids, "Paper": values, "Metal": 1 - values})

    right, wrong = 0.3 + 0.4 * paper, 0.9 - 0.8 * paper
    test, learnt = {}, {}
    for name, said, on_test in (
        ("right", right, [0.7, 0.3]),
        ("wrong", np.roll(wrong, 1), [0.9, 0.1]),
    ):
        known = of(many["annotation_id"], said)
        for fold in range(n_folds):
            test[f"{name}.fold{fold}"] = of([1, 2], on_test)
            learnt[out_of_fold_key(f"{name}.fold{fold}")] = known[fold_of == fold]
    fused = fuse_by_labels(
        settings=ClassFusion.model_validate({"method": "stacking"}),
        ranking=rank_members({name: 0.9 if "right" in name else 0.4 for name in test}),
        train=train,
        folds=folds,
        **test,
        **learnt,
    )
    assert fused["Paper"].tolist() == pytest.approx([1, 0], abs=0.1)


def segmenter(annotations, probability):
    """What holds label 1 as likely as said everywhere, and label 0 for the rest."""
    shapes = {
        row.image_id: (row.height, row.width) for row in annotations.images.itertuples(index=False)
    }

    def planes(image_id):
        likely = np.full(shapes[image_id], probability)
        return probability_planes(np.stack([1 - likely, likely, np.zeros_like(likely)]))

    maps = ProbabilityMaps(list(shapes), planes)
    return maps, maps.label_maps()


def test_a_soft_vote_listens_to_how_sure_a_member_is_and_a_hard_vote_does_not(annotations):
    members = {"a": 0.9, "b": 0.4, "c": 0.4}
    ranking = rank_members(dict.fromkeys(members, 0.5))
    planes = {name: segmenter(annotations, own)[0] for name, own in members.items()}
    maps = {name: segmenter(annotations, own)[1] for name, own in members.items()}
    soft = fuse_members(
        MaskFusion.model_validate({"method": "soft_vote"}), ranking, annotations, **planes
    )
    assert {image_id: set(own.ravel()) for image_id, own in soft.items()} == {
        image_id: {1} for image_id in annotations.images["image_id"]
    }
    hard = fuse_members(MaskFusion.model_validate({}), ranking, annotations, **maps)
    assert all((own == 0).all() for own in hard.values())
    weights = {"a": 1, "b": 5, "c": 5}
    settings = MaskFusion.model_validate({"method": "soft_vote", "weights": weights})
    weighted = fuse_members(settings, ranking, annotations, **planes)
    assert all((own == 0).all() for own in weighted.values())


def both_kinds(annotations, **probabilities):
    inputs = {}
    for name, probability in probabilities.items():
        inputs[probabilities_key(name)], inputs[name] = segmenter(annotations, probability)
    return inputs


def test_a_chosen_soft_vote_is_fused_by_probabilities_without_each_of_its_members(annotations):
    inputs = both_kinds(annotations, a=0.9, b=0.4, c=0.0)
    choice = {"method": "soft_vote", "weights": {"a": 1, "b": 1}, "settings": {}}
    ranking = rank_members({"a": 0.3, "b": 0.2, "c": 0.1})
    shared = {"choice": choice, "ranking": ranking, "settings": MASKS, "images": annotations}
    fused = fuse_as_chosen("seg")(**shared, **inputs)
    assert all((own == 1).all() for own in fused.values())
    without = leaving_out(fuse_as_chosen("seg"))(**shared, **inputs)
    assert {name: int(own[1].max()) for name, own in without.items()} == {"a": 0, "b": 1}
    hard = {**shared, "choice": {**choice, "method": "hard_vote", "weights": {"b": 1, "c": 1}}}
    assert fuse_as_chosen("seg")(**hard, **inputs)[1].max() == 0


def test_soft_votes_are_searched_for_where_every_member_has_probabilities(annotations, folds):
    inputs = both_kinds(annotations, **{"a.fold0": 0.9, "a.fold1": 0.9, "b.fold0": 0.2})
    inputs |= both_kinds(annotations, **{"b.fold1": 0.2})
    problem = problem_of(
        "seg", Search(parts=2), annotations, folds, inputs, MaskMetric.model_validate({})
    )
    assert [method.name for method in problem.methods] == ["hard_vote", "soft_vote"]
    maps = {name: own for name, own in inputs.items() if isinstance(own, LabelMaps)}
    problem = problem_of(
        "seg", Search(parts=2), annotations, folds, maps, MaskMetric.model_validate({})
    )
    assert [method.name for method in problem.methods] == ["hard_vote"]


def test_the_probabilities_of_several_folds_are_one(annotations):
    first, second = (segmenter(annotations.of_images(ids), 0.5)[0] for ids in ([1], [2, 3]))
    assert list(joined([first, second])) == [1, 2, 3]


def test_the_interval_of_an_ensemble_is_among_the_scores_where_it_is_known():
    own = Metrics("mIoU", 0.5, {}, {})
    known = Metrics("mIoU", 0.5, {}, {}, (0.4, 0.6))
    scores = scores_collector(["mine"])(final=known, mine=own, a=own)
    assert scores["intervals"] == {"final": (0.4, 0.6)}
    assert scores["members"] == {"a": 0.5}
    assert "intervals" not in scores_collector([])(final=own, a=own)


def crops_of(annotations, n_images):
    """As many images as said, one in ten of them Metal; and the crop of each."""
    images = pd.concat(
        [annotations.images[:1].assign(image_id=n, group=str(n)) for n in range(n_images)],
        ignore_index=True,
    )
    rows = pd.concat(
        [
            annotations.annotations[:1].assign(
                annotation_id=100 + n, image_id=n, category_id=7 if n % 10 == 0 else 5
            )
            for n in range(n_images)
        ],
        ignore_index=True,
    )
    return Annotations(images, rows, annotations.categories)


def said(ids, paper):
    paper = np.asarray(paper, dtype=np.float32)
    return pd.DataFrame({"annotation_id": list(ids), "Paper": paper, "Metal": 1 - paper})


def test_scores_are_calibrated_by_what_a_model_said_where_it_had_not_seen_the_truth(annotations):
    train = crops_of(annotations, 200)
    ids = train.annotations["annotation_id"]
    # It says 0.6 of all, and nine in ten are Paper.
    fused = fuse_members(
        ClassFusion.model_validate({"calibrate": "isotonic"}),
        rank_members({"a.fold0": 0.5}),
        train=train,
        **{"a.fold0": said([1], [0.6]), out_of_fold_key("a.fold0"): said(ids, np.full(200, 0.6))},
    )
    assert fused["Paper"].tolist() == pytest.approx([0.9], abs=0.01)
    with pytest.raises(EnsemblingError, match=r"b\.csv: no out-of-fold predictions to calibrate"):
        fuse_members(
            ClassFusion.model_validate({"calibrate": "platt"}),
            rank_members({"b.csv": 0.5}),
            **{"b.csv": said([1], [0.5])},
        )


def test_what_is_learnt_for_a_part_has_not_seen_its_labels(annotations):
    train = crops_of(annotations, 300)
    folds = pd.DataFrame({"image_id": range(300), "fold": np.arange(300) // 10 % 5})
    ids = train.annotations["annotation_id"]
    of_fold = dict(enumerate(folds["fold"]))
    members = {
        f"a.fold{fold}": said(own := [100 + n for n in of_fold if of_fold[n] == fold],
                              np.full(len(own), 0.6))
        for fold in range(5)
    }  # fmt: skip
    fuse = held_out_fuser("cls", list(members))
    metric = ClassMetric.model_validate({"metric": "accuracy"})
    settings = ClassFusion.model_validate({"calibrate": "isotonic"})

    def fused(truth):
        _, whole, _, _ = fuse(settings=settings, train=truth, folds=folds, metric=metric, **members)
        return whole.set_index("annotation_id")["Paper"].loc[ids]

    honest = fused(train)
    assert honest.tolist() == pytest.approx([0.9] * 300, abs=0.01)
    rows = train.annotations.copy()
    in_fold = (folds["fold"] == 2).to_numpy()
    rows.loc[in_fold, "category_id"] = 7
    lying = fused(Annotations(train.images, rows, train.categories))
    assert lying[in_fold].tolist() == honest[in_fold].tolist()
    assert (lying[~in_fold] < 0.75).all()


def test_a_searched_ensemble_is_explained_part_by_part_by_what_was_chosen_on_the_others(
    annotations,
):
    train = crops_of(annotations, 20)
    folds = pd.DataFrame({"image_id": range(20), "fold": np.arange(20) % 2})
    even, odd = ([100 + n for n in range(20) if n % 2 == fold] for fold in (0, 1))
    members = {
        "a.fold0": said(even, [0.9] * 10), "a.fold1": said(odd, [0.9] * 10),
        "b.fold0": said(even, [0.3] * 10), "b.fold1": said(odd, [0.3] * 10),
    }  # fmt: skip
    both = {"method": "default", "weights": {"a": 1, "b": 1}, "settings": {}}
    only_a = {"method": "alone", "weights": {"a": 1}, "settings": {}}
    truth, fused, of_members, without = held_out_fuser("cls", list(members))(
        settings=CLASSES,
        train=train,
        folds=folds,
        metric=ClassMetric.model_validate({}),
        choice={**both, "chosen_without": {"0": both, "1": only_a}},
        search=Search(),
        **members,
    )
    assert len(truth.images) == 20
    paper = fused.set_index("annotation_id")["Paper"]
    assert paper[even].tolist() == pytest.approx([0.6] * 10)
    assert paper[odd].tolist() == pytest.approx([0.9] * 10)
    assert list(of_members) == ["a", "b"]
    # Without a, a part whose ensemble was a alone has what is left of the default.
    left = without["a"].set_index("annotation_id")["Paper"]
    assert left[[*even, *odd]].tolist() == pytest.approx([0.3] * 20)
    assert without["b"].set_index("annotation_id")["Paper"].tolist() == pytest.approx([0.9] * 20)


def test_a_stack_of_three_folds_is_explained(annotations):
    train = crops_of(annotations, 60)
    folds = pd.DataFrame({"image_id": range(60), "fold": np.arange(60) % 3})
    paper = np.where(train.annotations["category_id"] == 5, 0.8, 0.3)
    members = {
        f"{name}.fold{fold}": said(range(100 + fold, 160, 3), values[fold::3])
        for name, values in {"a": paper, "b": np.full(60, 0.6)}.items()
        for fold in range(3)
    }
    _, fused, _, without = held_out_fuser("cls", list(members))(
        settings=ClassFusion.model_validate({"method": "stacking"}), train=train, folds=folds,
        metric=ClassMetric.model_validate({}), **members,
    )  # fmt: skip
    assert sorted(fused["annotation_id"]) == list(range(100, 160))
    assert list(without) == ["a", "b"]


def test_a_fold_without_crops_is_no_part(annotations):
    crops = crops_of(annotations, 30)
    folds = pd.DataFrame({"image_id": range(30), "fold": np.arange(30) // 10})
    rows = crops.annotations[crops.annotations["image_id"] >= 10]
    train = Annotations(crops.images, rows, annotations.categories)
    of_fold = {fold: range(100 + 10 * fold, 110 + 10 * fold) for fold in (1, 2)}
    members = {f"a.fold{fold}": said(ids, [0.9] * 10) for fold, ids in of_fold.items()}
    members["a.fold0"] = said([], [])
    _, fused, *_ = held_out_fuser("cls", list(members))(
        settings=CLASSES, train=train, folds=folds, metric=ClassMetric.model_validate({}),
        **members,
    )  # fmt: skip
    assert sorted(fused["annotation_id"]) == [*of_fold[1], *of_fold[2]]


@pytest.mark.parametrize(
    ("weights", "expected", "contributing"),
    [
        (
            {"a.fold0": 1, "a.fold1": 2, "b": 3, "colleague.csv": 2},
            4.5 / 8,
            ["a", "b", "colleague"],
        ),
        ({"a": 2, "b.fold0": 1, "b.fold1": 1, "colleague.csv": 0}, 0.75, ["a", "b"]),
        ({"a": 0, "b": 0, "colleague.csv": 1}, 0.0, []),
    ],
)
def test_a_model_weighs_as_much_as_its_members_and_who_weighs_nothing_adds_nothing(
    annotations, weights, expected, contributing
):
    train = crops_of(annotations, 20)
    folds = pd.DataFrame({"image_id": range(20), "fold": np.arange(20) % 2})
    ids = [100 + n for n in range(20)]
    members = {
        f"{name}.fold{fold}": said(ids[fold::2], [paper] * 10)
        for name, paper in {"a": 0.9, "b": 0.6}.items()
        for fold in (0, 1)
    } | {"colleague.csv": said(ids, [0.0] * 20)}
    settings = ClassFusion.model_validate({"weights": weights})
    _, fused, _, without = held_out_fuser("cls", list(members))(
        settings=settings, train=train, folds=folds, metric=ClassMetric.model_validate({}),
        **members,
    )  # fmt: skip
    assert fused["Paper"].tolist() == pytest.approx([expected] * 20)
    assert list(without) == contributing


def test_of_members_on_the_test_images_those_that_weigh_nothing_are_not_left_out():
    members = {"a": probabilities(1.0), "b": probabilities(0.0), "c": probabilities(0.5)}
    ranking = rank_members(dict.fromkeys(members, 0.5))
    for weights, expected in (
        ({"a": 1, "b": 1, "c": 0}, {"a": 0.0, "b": 1.0}),
        ({"a": 1, "b": 0, "c": 0}, {}),
    ):
        settings = ClassFusion.model_validate({"weights": weights})
        without = leaving_out(fuse_members)(settings=settings, ranking=ranking, **members)
        assert {name: own["Paper"][0] for name, own in without.items()} == expected


def test_images_of_one_group_are_drawn_together_and_say_nothing_of_other_groups(annotations):
    crops = crops_of(annotations, 20)
    truth = Annotations(crops.images.assign(group="one"), crops.annotations, annotations.categories)
    predicted = said(truth.annotations["annotation_id"], [0.9] * 20)
    other = said(truth.annotations["annotation_id"], [0.1] * 20)
    metric = ClassMetric.model_validate({"metric": "accuracy"})
    explanation, contributions, *_ = explainer("cls", True)(
        truth=truth, fused=predicted, members={"a": predicted, "b": other},
        without={"a": other, "b": predicted}, metric=metric,
    )  # fmt: skip
    assert explanation["interval"] == {}
    assert SCORE["cls"](truth, predicted, metric).interval is None
    added = contributions.set_index("member")[["low", "high"]]
    assert added.loc["a"].isna().all()
    assert added.loc["b"].tolist() == [0, 0]  # it alters no prediction


@pytest.mark.parametrize("name", ["a", "ensemble"])
def test_a_model_is_told_from_the_ensemble_whatever_its_name(annotations, name):
    right = boxes((1, 5, 0.9, 2, 2, 12, 12), (2, 5, 0.9, 0, 0, 10, 20), (2, 7, 0.9, 15, 5, 35, 25))
    half, faint = right[:2].assign(score=0.5), right.assign(score=0.3)
    explanation, contributions, *_, thresholds, _ = explain_boxes(
        annotations, faint, {name: half, "b": right}, {name: right, "b": half},
        BoxMetric.model_validate({}),
    )  # fmt: skip
    added = contributions.set_index("member")["contribution"].to_dict()
    assert added == pytest.approx({name: 0.0, "b": 0.5})
    # The ensemble is right on every draw, and the member of that name is not.
    assert (explanation["ensemble"]["score"], explanation["interval"]) == (1, {})
    # Thresholds reach as far as a score does.
    assert thresholds["threshold"].max() == pytest.approx(0.3)
    assert name in explanation["thresholds"]


def test_who_is_left_out_of_a_part_leaves_those_who_were_chosen_for_that_part_alone(annotations):
    train = crops_of(annotations, 20)
    folds = pd.DataFrame({"image_id": range(20), "fold": np.arange(20) % 2})
    even, odd = ([100 + n for n in range(20) if n % 2 == fold] for fold in (0, 1))
    members = {
        f"{name}.fold{fold}": said(ids, [paper] * 10)
        for name, paper in {"a": 0.9, "b": 0.6, "c": 0.3}.items()
        for fold, ids in enumerate((even, odd))
    }
    a_and_b, a_and_c = (
        {"method": "mean", "weights": {"a": 1, other: 1}, "settings": {}} for other in "bc"
    )
    *_, without = held_out_fuser("cls", list(members))(
        settings=CLASSES,
        train=train,
        folds=folds,
        metric=ClassMetric.model_validate({}),
        choice={**a_and_b, "chosen_without": {"0": a_and_b, "1": a_and_c}},
        search=Search(),
        **members,
    )
    left = {name: own.set_index("annotation_id")["Paper"] for name, own in without.items()}
    of_parts = {name: (own[even].mean(), own[odd].mean()) for name, own in left.items()}
    assert of_parts["a"] == pytest.approx((0.6, 0.3))
    assert of_parts["b"] == pytest.approx((0.9, 0.6))


def test_an_ensemble_is_explained_out_of_fold_where_the_test_images_have_no_labels(annotations):
    right = boxes((1, 5, 0.9, 2, 2, 12, 12), (2, 5, 0.9, 0, 0, 10, 20), (2, 7, 0.9, 15, 5, 35, 25))
    half = right[:2]
    folds = pd.DataFrame({"image_id": [1, 2, 3], "fold": [0, 1, 1]})
    of = {fold: folds.loc[folds["fold"] == fold, "image_id"] for fold in (0, 1)}
    members = {
        f"{name}.fold{fold}": table[table["image_id"].isin(ids)]
        for name, table in {"a": right, "b": half}.items()
        for fold, ids in of.items()
    }
    metric = BoxMetric.model_validate({})
    truth, fused, of_members, without = held_out_fuser("det", list(members))(
        settings=BOXES, train=annotations, folds=folds, metric=metric, **members
    )
    explanation, contributions, gains, _, thresholds, by_precision = explain_boxes(
        truth, fused, of_members, without, metric
    )
    assert explanation["out_of_fold"]
    scores = {name: own["score"] for name, own in explanation["members"].items()}
    assert scores == pytest.approx({"a": 1.0, "b": 0.5})
    assert explanation["ensemble"]["score"] == pytest.approx(1.0)
    assert contributions.set_index("member")["contribution"].to_dict() == pytest.approx(
        {"a": 0.5, "b": 0.0}
    )
    assert gains.set_index("category")["over_mean"].to_dict() == pytest.approx(
        {"Paper": 0.0, "Metal": 0.5}
    )
    # Metal is found by one of two: its score is half of Paper's.
    at_90 = by_precision[by_precision["target"] == 0.9].set_index("category")
    assert at_90["threshold"].to_dict() == pytest.approx(
        {"all classes": 0.45, "Paper": 0.9, "Metal": 0.45}
    )
    assert len(thresholds) > 0
    page = page_writer("det", "final")(
        explanation=explanation,
        contributions=contributions,
        class_gains=gains,
        error_correlation=pd.DataFrame(columns=["member_a", "member_b", "correlation"]),
        agreement=pd.DataFrame(columns=["member_a", "member_b", "agreement"]),
        changes=np.zeros((8, 8, 3), np.uint8),
        overlays=np.zeros((8, 8, 3), np.uint8),
        confusion=confusion_counter("det")(truth, fused, explanation),
        mistakes=mistakes_drawer("det")(
            truth.of_images([]), ImageFolder(Path()), fused, explanation
        ),
        test_metrics=Metrics("mAP50", math.nan, {}, {}),
        score_thresholds=thresholds,
        precision_thresholds=by_precision,
    )
    assert "mAP50 <strong>1.0000</strong> out of fold" in page
    assert "on the test images" not in page.lower()
    assert "no promise" in page
    assert "boxes it rests on" in page
