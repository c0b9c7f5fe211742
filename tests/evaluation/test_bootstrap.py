"""Scores of any images, taken from what was counted once image by image."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import sem, t

from evaluation.found_boxes import IDS, detections_of, truth_of
from recycling.annotations import ANNOTATIONS, CATEGORIES, IMAGES, Annotations
from recycling.annotations.masks import label_maps as painted
from recycling.evaluation import (
    EvaluationError,
    macro_f1,
    map50,
    miou,
)
from recycling.evaluation.bootstrap import (
    draw_groups,
    draw_images,
    interval_of_draws,
    score_interval,
    score_of_all,
)
from recycling.evaluation.box_matches import BoxMatches, match_boxes
from recycling.evaluation.class_counts import ClassCounts, count_crops, count_pixels
from recycling.evaluation.drawn_images import DrawnImages
from recycling.evaluation.metrics.accuracy import share_of_hits
from recycling.evaluation.metrics.macro_f1 import f1_of_classes
from recycling.evaluation.metrics.map50_95 import map50_95_by_image
from recycling.evaluation.metrics.miou import mean_iou
from recycling.predictions import CLASS_PROBABILITIES, DETECTIONS, Detections, LabelMaps

SEEDS = st.integers(0, 10**6)


def small_scene(seed, n_images=8, n_objects=30):
    """Boxes without equal scores: the order of equals is not what an image drawn twice is about."""
    rng = np.random.default_rng(seed)
    truth = truth_of(rng, n_images, n_objects)
    found = detections_of(truth, rng)
    scores = (rng.permutation(len(found)) + 0.5) / len(found)
    return rng, truth, Detections(found.assign(score=scores))


def copied(table, images, times):
    """The rows of each image as often as it was drawn, every copy with an image id of its own."""
    parts = [
        table[table["image_id"] == image_id].assign(image_id=int(image_id) * 100 + copy)
        for image_id, count in zip(images, times, strict=True)
        for copy in range(count)
    ]
    return pd.concat(parts, ignore_index=True)


def drawn(truth, times):
    images = truth.images["image_id"]
    annotations = copied(truth.annotations, images, times)
    annotations["annotation_id"] = range(len(annotations))
    return Annotations(copied(truth.images, images, times), annotations, truth.categories)


@given(SEEDS)
@settings(max_examples=40)
def test_map_of_a_draw_is_that_of_images_copied_as_often(seed):
    rng, truth, found = small_scene(seed)
    times = rng.multinomial(8, np.full(8, 1 / 8))
    matches = match_boxes(truth, {"a": found})["a"]
    copies = drawn(truth, times)
    if copies.annotations["iscrowd"].all():
        assert np.isnan(matches.scores(times[None])[0])
        return
    expected = map50(copies, Detections(copied(found, truth.images["image_id"], times)))
    assert matches.scores(times[None]) == pytest.approx([expected.score], abs=1e-12)


def test_more_boxes_of_a_category_than_coco_counts_are_left_out():
    rng = np.random.default_rng(0)
    truth = truth_of(rng, 2, 60)
    found = pd.concat([detections_of(truth, rng)] * 8).sample(frac=1, random_state=0)
    found = Detections(found.assign(score=rng.random(len(found)), category_id=IDS[0]))
    assert found.groupby("image_id").size().max() > 100
    matches = match_boxes(truth, {"a": found})["a"]
    assert score_of_all(matches) == pytest.approx(map50(truth, found).score, abs=1e-12)
    assert np.bincount(matches.image).max() <= 100


def test_a_detector_that_finds_nothing_scores_zero_on_every_draw():
    truth = truth_of(np.random.default_rng(0))
    matches = match_boxes(truth, {"none": Detections(DETECTIONS.empty())})["none"]
    assert matches.scores(draw_images(30, n_draws=5)).tolist() == [0.0] * 5


def test_every_object_knows_the_score_of_the_box_that_found_it():
    truth = truth_of(np.random.default_rng(3))
    rows = truth.annotations[~truth.annotations["iscrowd"]].reset_index(drop=True)
    scores = np.linspace(0.2, 0.9, len(rows))
    found = Detections(DETECTIONS.conform(rows.assign(score=scores).iloc[1:], where="test"))
    matches = match_boxes(truth, {"a": found})["a"]
    assert matches.found_score[0] == -1
    assert matches.found_score[1:] == pytest.approx(scores[1:])
    assert matches.hit.all()


def painted_scene():
    """Five pictures with two objects each, the second of which may be a crowd."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 20, (10, 2))
    size = rng.uniform(4, 16, (10, 2))
    boxes = np.hstack([corner, corner + size])
    annotations = pd.DataFrame(boxes, columns=["x_min", "y_min", "x_max", "y_max"]).assign(
        annotation_id=range(10),
        image_id=np.repeat([7, 3, 9, 1, 5], 2),
        category_id=rng.choice([4, 2, 6], 10),
        area=1.0,
        segmentation=None,
        iscrowd=np.arange(10) % 4 == 3,
        source="human",
        score=1.0,
        extra=None,
    )
    images = pd.DataFrame({"image_id": [7, 3, 9, 1, 5], "file_name": "a", "group": "a"})
    images = images.assign(width=40, height=30, extra=None)
    names = ["Paper", "Metal", "Glass"]
    categories = pd.DataFrame({"category_id": [4, 2, 6], "name": names, "supercategory": names})
    return Annotations(
        IMAGES.conform(images, where="test"),
        ANNOTATIONS.conform(annotations, where="test"),
        CATEGORIES.conform(categories.assign(extra=None), where="test"),
    )


def noisy_maps(truth, seed):
    rng = np.random.default_rng(seed)
    maps = {}
    for image_id, label_map in painted(truth).items():
        noise = rng.integers(0, 4, label_map.shape)
        wrong = (rng.random(label_map.shape) < 0.3) | (label_map == 255)
        maps[image_id] = np.where(wrong, noise, label_map).astype(np.uint8)
    return maps


@given(seed=SEEDS)
@settings(max_examples=20)
def test_miou_of_a_draw_is_that_of_images_copied_as_often(seed):
    truth = painted_scene()
    maps = noisy_maps(truth, seed)
    times = np.random.default_rng(seed).multinomial(5, np.full(5, 0.2))
    counts = count_pixels(truth, {"a": LabelMaps(list(maps), maps.__getitem__)}, score=mean_iou)[
        "a"
    ]
    copies = drawn(truth, times)
    copied_maps = LabelMaps(
        copies.images["image_id"].tolist(), lambda image_id: maps[image_id // 100]
    )
    expected = miou(copies, copied_maps)
    assert counts.scores(times[None]) == pytest.approx([expected.score], abs=1e-12)


def probabilities_of(truth, seed):
    values = np.random.default_rng(seed).dirichlet(np.ones(3), len(truth.annotations))
    table = pd.DataFrame(values.astype(np.float32), columns=list(truth.categories["name"]))
    table["annotation_id"] = truth.annotations["annotation_id"]
    return CLASS_PROBABILITIES.conform(table, where="test")


@given(seed=SEEDS)
@settings(max_examples=20)
def test_f1_of_a_draw_is_that_of_images_copied_as_often(seed):
    truth = painted_scene()
    probabilities = probabilities_of(truth, seed)
    # Counted by ascending image id, unlike the truth's own order.
    order = np.argsort(truth.images["image_id"].to_numpy())
    times = np.random.default_rng(seed).multinomial(5, np.full(5, 0.2))
    counts = count_crops(truth, {"a": probabilities}, score=f1_of_classes)["a"]
    copies = drawn(truth, times)
    # Which row a copy is of: its image and box.
    keys = ["image_id", "x_min"]
    rows = truth.annotations[keys].merge(
        copies.annotations.assign(image_id=copies.annotations["image_id"] // 100)[
            [*keys, "annotation_id"]
        ].rename(columns={"annotation_id": "copy"}),
        on=keys,
        how="right",
    )
    of = truth.annotations.set_index(keys)["annotation_id"]
    original = of.loc[pd.MultiIndex.from_frame(rows[keys])].to_numpy()
    repeated = probabilities.set_index("annotation_id").loc[original].reset_index(drop=True)
    expected = macro_f1(copies, repeated.assign(annotation_id=rows["copy"]))
    assert counts.scores(times[order][None]) == pytest.approx([expected.score], abs=1e-12)


def test_the_score_of_all_images_is_the_metric():
    truth = painted_scene()
    maps = noisy_maps(truth, 1)
    label_maps = LabelMaps(list(maps), maps.__getitem__)
    assert score_of_all(
        count_pixels(truth, {"a": label_maps}, score=mean_iou)["a"]
    ) == pytest.approx(miou(truth, label_maps).score)
    probabilities = probabilities_of(truth, 1)
    assert score_of_all(
        count_crops(truth, {"a": probabilities}, score=f1_of_classes)["a"]
    ) == pytest.approx(macro_f1(truth, probabilities).score)


def test_draws_are_as_large_as_the_set_and_the_same_for_a_seed():
    draws = draw_images(12, n_draws=50, random_state=3)
    assert draws.shape == (50, 12)
    assert (draws.sum(axis=1) == 12).all()
    np.testing.assert_array_equal(draws, draw_images(12, n_draws=50, random_state=3))
    assert (draws != draw_images(12, n_draws=50, random_state=4)).any()
    with pytest.raises(EvaluationError, match="5 draws of 0 images"):
        draw_images(0, n_draws=5)


def each_its_own(n_images):
    return pd.Series(range(n_images)).astype(str)


def test_an_interval_is_as_wide_as_its_confidence_says():
    # Each image is right or wrong as a coin says, so accuracy spreads by the binomial.
    right = (np.arange(400) % 2).reshape(-1, 1)
    counts = ClassCounts(f1_of_classes, right, np.ones_like(right), right)
    low, high = score_interval(counts, draw_images(400, n_draws=2000), each_its_own(400))
    f1 = lambda share: 2 * share / (1 + share)  # noqa: E731
    spread = 1.96 * np.sqrt(0.25 / 400)
    assert low == pytest.approx(f1(0.5 - spread), abs=0.01)
    assert high == pytest.approx(f1(0.5 + spread), abs=0.01)


def rare_boxes(rng, n_images):
    """Three objects an image, of classes of which one is rarer than the other, and a detector."""
    share = np.arange(1.0, 7) ** -1.5
    images = rng.integers(0, n_images, 12 * n_images)
    classes = rng.choice(6, 12 * n_images, p=share / share.sum())
    is_object = np.arange(12 * n_images) < 3 * n_images
    hit = is_object & (rng.random(12 * n_images) < 0.4)
    scores = rng.normal(hit)
    order = np.lexsort([-scores, classes])
    order = order[(hit | ~is_object)[order]]  # the objects that are missed have no detection
    found = images[order], classes[order], scores[order], hit[order]
    objects = images[is_object], classes[is_object], np.where(hit, scores, -1)[is_object]
    return BoxMatches(n_images, 6, *found, *objects)


def rare_crops(rng, n_images):
    """Three crops an image, of classes of which one is rarer than the other, and a classifier."""
    share = np.arange(1.0, 21) ** -1.5
    images = rng.integers(0, n_images, 3 * n_images)
    true, other = rng.choice(20, (2, 3 * n_images), p=share / share.sum())
    said = np.where(rng.random(3 * n_images) < 0.7, true, other)
    hits, trues, predicted = counts = np.zeros((3, n_images, 20), np.int64)
    right = true == said
    np.add.at(hits, (images[right], true[right]), 1)
    np.add.at(trues, (images, true), 1)
    np.add.at(predicted, (images, said), 1)
    return ClassCounts(f1_of_classes, *counts)


@pytest.mark.parametrize(("world", "n_images"), [(rare_boxes, 200), (rare_crops, 60)])
def test_an_interval_holds_the_score_on_all_such_images_also_where_classes_are_rare(
    world, n_images
):
    """Of 200, percentiles of the draws hold mAP in 146, basic intervals macro F1 in 160."""
    rng = np.random.default_rng(0)
    on_all = score_of_all(world(rng, 20_000))
    draws = draw_images(n_images)
    held = 0
    for _ in range(200):
        low, high = score_interval(world(rng, n_images), draws, each_its_own(n_images))
        held += low <= on_all <= high
    assert held >= 172


def test_the_interval_of_a_mean_over_few_groups_is_students_and_ends_at_0_and_1():
    groups = pd.Series(list("abcdefgh") * 2)
    draws = draw_groups(groups, n_draws=20_000)
    for hits in ([1, 2, 2, 3, 3, 4, 4, 5], [5, 8, 8, 8, 8, 8, 8, 8]):
        right = np.tile(hits, 2)[:, None]
        counts = ClassCounts(share_of_hits, right, np.full_like(right, 8), right)
        of_groups = np.divide(hits, 8)
        expected = t.interval(0.95, 7, of_groups.mean(), sem(of_groups))
        low, high = score_interval(counts, draws, groups)
        assert low == pytest.approx(expected[0], abs=2e-3)
        assert high == pytest.approx(min(expected[1], 1), abs=2e-3)


def test_draws_without_any_object_do_not_count_in_an_interval():
    truth, hits = np.array([[4], [4], [0]]), np.array([[2], [4], [0]])
    counts = ClassCounts(mean_iou, hits, truth, hits)
    draws = np.array([[0, 0, 3], [3, 0, 0], [0, 3, 0]])
    np.testing.assert_array_equal(counts.scores(draws), [np.nan, 0.5, 1])
    known = interval_of_draws(0.75, np.array([0.5, 1]), 2)
    assert interval_of_draws(0.75, counts.scores(draws), 2) == known
    assert np.isfinite(known).all()


def test_draws_that_all_score_alike_are_no_interval():
    """One group of images, or a class on one image, says nothing of other images."""
    truth = np.array([[4], [4], [0]])
    counts = ClassCounts(mean_iou, truth // 2, truth, truth // 2)
    one_image = ClassCounts(mean_iou, *(np.diag([4, 0, 0])[:, :1],) * 3)
    assert np.isnan(score_interval(counts, draw_images(3), pd.Series(["a"] * 3))).all()
    assert np.isnan(score_interval(one_image, draw_images(3), each_its_own(3))).all()


def test_the_interval_of_a_class_on_few_images_is_as_wide_as_these_few_ask_for():
    """Of 400 classes on five of 100 images, counting all images held 349."""
    rng = np.random.default_rng(0)
    draws, groups = draw_images(100), each_its_own(100)
    true = np.where(np.arange(100) < 5, 8, 0)[:, None]
    held = 0
    for _ in range(400):
        hits = np.where(true > 0, rng.binomial(8, rng.beta(4, 4, (100, 1))), 0)
        low, high = score_interval(ClassCounts(share_of_hits, hits, true, true), draws, groups)
        held += low <= 0.5 <= high
    assert held >= 374


def test_only_images_with_something_to_find_have_a_truth():
    truth = truth_of(np.random.default_rng(0))
    crowded, empty, *_ = truth.annotations["image_id"].unique()
    rows = truth.annotations.assign(iscrowd=truth.annotations["image_id"] == crowded)
    truth = replace(truth, annotations=rows[rows["image_id"] != empty].reset_index(drop=True))
    boxes = detections_of(truth, np.random.default_rng(1))
    ids = truth.images["image_id"]
    expected = ids.isin(rows["image_id"]) & ~ids.isin([crowded, empty])
    for scores in (
        match_boxes(truth, {"a": boxes})["a"],
        map50_95_by_image(truth, {"a": boxes})["a"],
        DrawnImages(truth, boxes, lambda *_: 0.0),
    ):
        np.testing.assert_array_equal(scores.has_truth, expected)


def test_the_member_with_a_fault_is_named():
    truth = truth_of(np.random.default_rng(0))
    good = detections_of(truth, np.random.default_rng(1))
    with pytest.raises(EvaluationError, match="^bad: detections: image_id 9 is not in the truth"):
        match_boxes(truth, {"good": good, "bad": Detections(good.assign(image_id=9))})
    masks = painted_scene()
    with pytest.raises(EvaluationError, match="^empty: label maps: none for image 7"):
        count_pixels(
            masks, {"empty": LabelMaps([], lambda _: np.zeros((1, 1), np.uint8))}, score=mean_iou
        )
    lacking = probabilities_of(masks, 0).drop(columns="Glass")
    with pytest.raises(EvaluationError, match="^small: class probabilities: no column"):
        count_crops(masks, {"small": lacking}, score=f1_of_classes)


def test_images_of_one_group_are_drawn_together():
    draws = draw_groups(pd.Series(["a", "b", "a", "c"]), n_draws=50)
    np.testing.assert_array_equal(draws[:, 0], draws[:, 2])
    assert (draws[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert (draws[:, 0] != draws[:, 1]).any()
