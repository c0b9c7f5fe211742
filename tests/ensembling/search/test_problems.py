"""Choosing among real predictions: boxes, masks and classes."""

import numpy as np
import pandas as pd
import pytest

from recycling.ensembling import (
    BOX_METHODS,
    CLASS_METHODS,
    MASK_METHODS,
    EnsemblingError,
    KnownLabels,
    fuse_label_maps,
    hard_vote,
)
from recycling.ensembling.classes.hard_vote import hard_vote_probabilities
from recycling.ensembling.classes.stacking import stack_probabilities
from recycling.ensembling.search.candidates import candidate, space_of
from recycling.ensembling.search.core import search
from recycling.ensembling.search.problems import class_problem, detection_problem, mask_problem
from recycling.ensembling.search.selection import Scores, alone
from recycling.evaluation import map50
from recycling.predictions import CLASS_PROBABILITIES, DETECTIONS, LabelMaps
from recycling.predictions.probability_maps import ProbabilityMaps
from recycling.tables import TableError

HARD_VOTE, STACKING = space_of(MASK_METHODS["hard_vote"]), space_of(CLASS_METHODS["stacking"])

N_IMAGES = 20
FOLDS = pd.DataFrame({"image_id": range(N_IMAGES), "fold": np.arange(N_IMAGES) % 4})


@pytest.fixture(scope="module")
def scene():
    """Ten objects an image; members see them shifted, at random miss some and invent others."""
    rng = np.random.default_rng(0)
    n_objects = 10 * N_IMAGES
    corner = rng.uniform(0, 400, (n_objects, 2))
    side = rng.uniform(20, 60, (n_objects, 2))
    image_id = np.repeat(np.arange(N_IMAGES), 10)
    truth = np.hstack([corner, corner + side])

    def member(shift, missed, invented, away=0):
        seen = rng.random(n_objects) > missed
        moved = truth[seen] + shift * rng.normal(size=(seen.sum(), 4))
        low, high = moved[:, :2], moved[:, 2:]
        boxes = np.hstack([np.minimum(low, high), np.maximum(low, high)])
        score = rng.uniform(0.4, 1, seen.sum())
        ghost = rng.uniform(0, 400, (invented, 2))
        ghosts = np.hstack([ghost, ghost + 40]) + away
        table = pd.DataFrame(np.vstack([boxes, ghosts]), columns=DETECTIONS.names[3:])
        table.insert(0, "score", np.concatenate([score, rng.uniform(0, 0.7, invented)]))
        table.insert(0, "category_id", 1)
        places = np.concatenate([image_id[seen], rng.integers(0, N_IMAGES, invented)])
        table.insert(0, "image_id", places)
        return DETECTIONS.conform(table, where="member")

    members = {
        "good": member(4, 0.3, 60),
        "other": member(4, 0.3, 60),
        "useless": member(0, 1.0, 200, away=1000),
    }
    return image_id, truth, members


@pytest.fixture(scope="module")
def mean_ap(scene):
    from recycling.annotations import ANNOTATIONS, CATEGORIES, IMAGES, Annotations

    image_id, truth, _ = scene
    images = pd.DataFrame({"image_id": range(N_IMAGES), "width": 500, "height": 500})
    images = images.assign(file_name="x.png", group="", extra=None)
    rows = pd.DataFrame(truth, columns=["x_min", "y_min", "x_max", "y_max"]).assign(
        annotation_id=range(1, len(truth) + 1), image_id=image_id, category_id=1, area=400.0,
        segmentation=None, iscrowd=False, source="human", score=1.0, extra=None,
    )  # fmt: skip
    category = {"category_id": [1], "name": ["Can"], "supercategory": "", "extra": None}
    annotations = Annotations(
        IMAGES.conform(images, where="images"),
        ANNOTATIONS.conform(rows, where="annotations"),
        CATEGORIES.conform(pd.DataFrame(category), where="categories"),
    )
    return lambda detections, ids: map50(annotations.of_images(ids.tolist()), detections).score


def test_detectors_that_miss_different_objects_gain_and_a_useless_one_is_left_out(scene, mean_ap):
    # By NMS: a member that finds nothing alters what weighted boxes fusion takes for certain.
    found = search(detection_problem(scene[2], mean_ap, FOLDS, methods=["nms"]), n_trials=8)
    assert found.best_member.chosen.members[0] in ("good", "other")
    assert found.searched.chosen.members == ("good", "other")
    for choice in (found.searched, found.greedy):
        assert choice.held_out_score > found.best_member.held_out_score + 0.05


@pytest.mark.parametrize("method", BOX_METHODS)
def test_every_method_of_boxes_is_searched_with_settings_that_it_takes(scene, method):
    problem = detection_problem(
        scene[2], lambda fused, ids: fused["score"].mean(), FOLDS, methods=[method]
    )
    found = search(problem, n_trials=4)
    assert set(found.history["method"]) == {method}
    described = space_of(BOX_METHODS[method])
    # Nothing says which boxes are right, so no scores are calibrated.
    assert set(dict(found.searched.chosen.settings)) == set(described.settings) - {"calibrate"}


def test_a_method_is_called_as_its_function_is_with_the_settings_of_the_ensemble(scene):
    from recycling.ensembling.boxes.soft_nms import soft_nms

    problem = detection_problem(scene[2], lambda fused, ids: len(fused), FOLDS)
    soft = space_of(BOX_METHODS["soft_nms"])
    values = {"decay": "linear", "iou_threshold": 0.4, "score_threshold": 0.2}
    chosen = candidate(soft, {"other": 1, "good": 2}, values)
    fused = problem.fuse(chosen, None, {})
    good, other, _ = scene[2].values()
    expected = soft_nms(
        [good, other], weights=[2, 1], decay="linear", iou_threshold=0.4, score_threshold=0.2,
    )  # fmt: skip
    pd.testing.assert_frame_equal(fused, expected)


def test_the_best_member_is_scored_as_it_is_and_on_the_images_of_the_folds_only(scene):
    seen = []

    def score(detections, ids):
        assert set(detections["image_id"]) <= set(ids)
        seen.append(len(detections))
        return 0.0

    few = FOLDS[FOLDS["image_id"] < 12]
    problem = detection_problem(scene[2], score, few)
    Scores(problem).of(alone("useless"))
    assert sum(seen) == (scene[2]["useless"]["image_id"] < 12).sum()


def crops(n_crops=240, seed=0):
    rng = np.random.default_rng(seed)
    names = ["Paper", "Metal", "Glass"]
    truth = rng.integers(0, 3, n_crops)

    def member(knows):
        logits = knows * np.eye(3)[truth] + 1.5 * rng.normal(size=(n_crops, 3))
        odds = np.exp(logits)
        table = pd.DataFrame(odds / odds.sum(1, keepdims=True), columns=names)
        table.insert(0, "annotation_id", np.arange(n_crops))
        shuffled = table.sample(frac=1, random_state=seed)
        return CLASS_PROBABILITIES.conform(shuffled.astype(dict.fromkeys(names, "float32")),
                                           where="member")  # fmt: skip

    labels = pd.Series(np.array(names)[truth], index=np.arange(n_crops))
    folds = pd.DataFrame({"annotation_id": labels.index, "fold": np.arange(n_crops) % 4})
    members = {"a": member(2.0), "b": member(2.0), "bad": member(-1.0)}

    def score(table, ids):
        assert set(table["annotation_id"]) == set(ids)
        guessed = table.set_index("annotation_id").idxmax(axis=1)
        return float((guessed == labels.loc[guessed.index]).mean())

    return members, score, folds, labels


def test_classifiers_gain_and_a_bad_one_is_left_out():
    members, score, folds, _ = crops()
    found = search(class_problem(members, score, folds), n_trials=12)
    assert found.greedy.chosen.members == found.searched.chosen.members == ("a", "b")
    assert found.searched.held_out_score > found.best_member.held_out_score + 0.02
    assert set(found.history["method"]) == {*CLASS_METHODS} - {"stacking"}


@pytest.mark.parametrize("method", [name for name in CLASS_METHODS if name != "stacking"])
def test_every_method_of_classes_is_searched(method):
    members, score, folds, _ = crops()
    found = search(class_problem(members, score, folds, methods=[method]), n_trials=3)
    assert found.searched.chosen.method == method
    assert found.searched.held_out_score > 0.7


def test_stacked_probabilities_of_a_held_out_part_are_made_without_its_labels():
    members, score, folds, labels = crops(n_crops=100)
    both = candidate(STACKING, {"a": 1, "bad": 1})

    def fused(truth):
        problem = class_problem(members, score, folds, truth=truth)
        return problem.fuse(both, 1, {}).sort_values("annotation_id", ignore_index=True)

    lying = labels.copy()
    lying[folds["fold"] == 1] = "Paper"
    pd.testing.assert_frame_equal(fused(labels), fused(lying))
    rest = folds.loc[folds["fold"] != 1, "annotation_id"]
    learning, other = (
        [table[table["annotation_id"].isin(rest) == inside] for table in
         (members["a"], members["bad"])]
        for inside in (True, False)
    )  # fmt: skip
    known = KnownLabels(learning, labels, folds.set_index("annotation_id")["fold"])
    stack = stack_probabilities(other, known=known)
    expected = pd.concat([stack.out_of_fold, stack.test]).sort_values("annotation_id")
    pd.testing.assert_frame_equal(fused(labels), expected.reset_index(drop=True))


def test_ties_of_classes_go_to_the_better_member():
    members, score, folds, _ = crops()
    problem = class_problem(members, score, folds)
    pair = candidate(HARD_VOTE, {"a": 1, "bad": 1})
    for best_first in (("a", "b", "bad"), ("bad", "b", "a")):
        fused = problem.fuse(pair, None, dict.fromkeys(best_first, 0.5))
        ranks = [best_first.index("a"), best_first.index("bad")]
        expected = hard_vote_probabilities([members["a"], members["bad"]], ranks=ranks)
        pd.testing.assert_frame_equal(fused, expected)


def planes(seed=0):
    """Members that see which of two labels a pixel has, with noise; one sees the opposite."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, (N_IMAGES, 12, 16))

    def member(knows):
        certain = np.clip(0.5 + knows * (truth - 0.5) + 0.4 * rng.normal(size=truth.shape), 0, 1)
        stack = np.rint(255 * np.stack([1 - certain, certain], axis=1)).astype(np.uint8)
        return ProbabilityMaps(range(N_IMAGES), lambda image_id: stack[image_id])

    members = {"a": member(0.5), "b": member(0.5), "c": member(0.5), "bad": member(-0.5)}

    def score(maps, ids):
        assert list(maps) == list(ids)
        return float(np.mean([(maps[image_id] == truth[image_id]).mean() for image_id in ids]))

    return members, {name: own.label_maps() for name, own in members.items()}, score


@pytest.mark.parametrize("method", MASK_METHODS)
def test_segmentation_models_gain_and_a_bad_one_is_left_out(method):
    probabilities, maps, score = planes()
    problem = mask_problem(maps, score, FOLDS, probabilities=probabilities, methods=[method])
    found = search(problem, n_trials=4)
    for choice in (found.greedy, found.searched):
        assert choice.chosen.method == method
        assert choice.chosen.members == ("a", "b", "c")
        assert choice.held_out_score > found.best_member.held_out_score + 0.05


def test_hard_and_soft_votes_are_searched_where_there_are_probabilities():
    probabilities, maps, score = planes()
    problem = mask_problem(maps, score, FOLDS, probabilities=probabilities)
    assert set(search(problem, n_trials=3).history["method"]) == {"hard_vote", "soft_vote"}


def test_masks_are_searched_on_two_folds_of_which_one_alone_teaches_no_calibration():
    probabilities, maps, score = planes()
    folds = FOLDS.assign(fold=FOLDS["fold"] % 2)
    right = np.where(maps["a"][0] == maps["b"][0], maps["a"][0], 0)
    truth = LabelMaps(range(N_IMAGES), lambda _: right)
    problem = mask_problem(maps, score, folds, probabilities=probabilities, truth=truth)
    soft = next(space for space in problem.methods if space.name == "soft_vote")
    chosen = candidate(soft, {"a": 1}, {"calibrate": "platt"})
    fused = problem.fuse(chosen, 1, {"a": 0.5})
    # Part 0 has nobody to learn from but part 1, which is held out.
    assert np.array_equal(fused[0], maps["a"][0])
    assert set(search(problem, n_trials=3).history["method"]) == {"hard_vote", "soft_vote"}


def test_without_probabilities_members_vote_and_the_better_one_decides():
    _, maps, score = planes()
    problem = mask_problem(maps, score, FOLDS)
    assert problem.methods == (HARD_VOTE,)
    pair = candidate(HARD_VOTE, {"a": 1, "bad": 1})
    fused = problem.fuse(pair, None, dict.fromkeys(("bad", "b", "c", "a"), 0.5))
    expected = fuse_label_maps([maps["a"], maps["bad"]], [3, 0])
    assert all(np.array_equal(fused[image_id], expected[image_id]) for image_id in range(N_IMAGES))
    stack = np.stack([maps["a"][0], maps["bad"][0]])
    assert np.array_equal(fused[0], hard_vote(stack, ranks=[1, 0]))


def test_maps_of_other_sizes_meet_in_the_size_that_is_given():
    _, maps, _ = planes()
    sizes = dict.fromkeys(range(N_IMAGES), (24, 32))
    problem = mask_problem(maps, lambda fused, ids: fused[ids[0]].size, FOLDS, sizes=sizes)
    assert Scores(problem).of(candidate(HARD_VOTE, {"a": 1, "b": 1})).tolist() == [24 * 32] * 4


def test_members_that_lack_an_image_or_a_crop_are_refused():
    probabilities, maps, score = planes()
    fewer = LabelMaps(range(N_IMAGES - 1), maps["b"].__getitem__)
    with pytest.raises(EnsemblingError, match="b: no label map of image 19 \\(1 of 20"):
        mask_problem(maps | {"b": fewer}, score, FOLDS)
    some = ProbabilityMaps(range(3), probabilities["a"].__getitem__)
    with pytest.raises(EnsemblingError, match="a: no probability map of image 3 \\(17 of 20"):
        mask_problem(maps, score, FOLDS, probabilities=probabilities | {"a": some})
    with pytest.raises(EnsemblingError, match="c: has only one of label maps and probability"):
        mask_problem({"a": maps["a"]}, score, FOLDS,
                     probabilities={n: probabilities[n] for n in "ac"})  # fmt: skip
    members, score, folds, _ = crops()
    without = members["a"][members["a"]["annotation_id"] != 9]
    with pytest.raises(EnsemblingError, match="a: no row for crop 9 \\(1 of 240"):
        class_problem(members | {"a": without}, score, folds)


def test_methods_that_cannot_be_are_refused(scene):
    with pytest.raises(
        EnsemblingError,
        match="no fusion method of boxes is called 'wbf'; there are weighted_boxes_fusion",
    ):
        detection_problem(scene[2], len, FOLDS, methods=["wbf"])
    _, maps, score = planes()
    with pytest.raises(EnsemblingError, match="'soft_vote' needs probability maps"):
        mask_problem(maps, score, FOLDS, methods=["soft_vote"])
    members, score, folds, labels = crops()
    with pytest.raises(EnsemblingError, match="'stacking' needs labels"):
        class_problem(members, score, folds, methods=["stacking"])
    with pytest.raises(EnsemblingError, match="3 folds; stacking"):
        class_problem(members, score, folds[folds["fold"] < 3], truth=labels)


def test_folds_that_cannot_be_are_refused(scene):
    members = scene[2]
    with pytest.raises(TableError, match="folds: no column 'fold'"):
        detection_problem(members, len, FOLDS[["image_id"]])
    with pytest.raises(EnsemblingError, match="folds: image_id 0 is there twice"):
        detection_problem(members, len, pd.concat([FOLDS, FOLDS]))
    with pytest.raises(EnsemblingError, match="1 parts"):
        detection_problem(members, len, FOLDS[FOLDS["fold"] == 0])
    with pytest.raises(EnsemblingError, match="0 parts"):
        detection_problem(members, len, FOLDS[:0])
    with pytest.raises(EnsemblingError, match="no members"):
        detection_problem({}, len, FOLDS)
    with pytest.raises(TableError, match="good"):
        detection_problem({"good": FOLDS}, len, FOLDS)
