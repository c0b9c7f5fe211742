"""Fusion across categories, and what holds for large inputs."""

import ensemble_boxes
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensembling.peer import BOX, MORE, SIDE, in_order, ours, table, weighted_box_in_float64
from recycling.ensembling import nms, weighted_boxes_fusion
from recycling.ensembling.boxes import tables
from recycling.predictions import DETECTIONS
from recycling.tables import TableError

MODES = ["avg", "max", "box_and_model_avg", "absent_model_aware_avg"]


def random_member(rng, n_boxes, n_images=1):
    """Boxes around three places, each a few pixels off; every fifth on a coarse grid.

    On the grid boxes coincide, touch, and some have no area.
    """
    low = rng.integers(0, 3, n_boxes)[:, None] * 250 + rng.uniform(0, 30, (n_boxes, 2))
    boxes = np.hstack([low, low + rng.uniform(60, 140, (n_boxes, 2))])
    on_grid = rng.random(n_boxes) < 0.2
    boxes[on_grid] = np.round(boxes[on_grid] / 128) * 128
    frame = pd.DataFrame(boxes, columns=BOX)
    frame["image_id"] = np.sort(rng.integers(0, n_images, n_boxes))
    frame["category_id"] = rng.integers(0, 3, n_boxes)
    frame["score"] = rng.uniform(0.01, 1, n_boxes)
    return DETECTIONS.conform(frame, where="random")


def for_package(members, image_id):
    own = [of_image(member, image_id) for member in members]
    return (
        [rows[:, 2:] / SIDE for rows in own],
        [rows[:, 1] for rows in own],
        [rows[:, 0] for rows in own],
    )


def of_image(frame, image_id):
    """Category, score and box of the rows on an image; rows are in order of images."""
    first, stop = np.searchsorted(frame["image_id"], [image_id, image_id + 1])
    return frame.iloc[first:stop, 1:].to_numpy()


@pytest.mark.filterwarnings("ignore:Zero area box")
@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_fusion_of_many_small_images_equals_the_package(mode, class_agnostic, monkeypatch):
    monkeypatch.setattr(
        ensemble_boxes.ensemble_boxes_wbf, "get_weighted_box", weighted_box_in_float64
    )
    rng = np.random.default_rng(11)
    n_images = 200
    members = [random_member(rng, size, n_images) for size in (4 * n_images, 0, 3 * n_images)]
    weights = [1.5, 1.0, 0.3]
    fused = weighted_boxes_fusion(
        members,
        weights=weights,
        iou_threshold=0.4,
        score_threshold=0.1,
        confidence=mode,
        class_agnostic=class_agnostic,
    )
    for image_id in range(n_images):
        boxes, scores, labels = for_package(members, image_id)
        if class_agnostic:
            labels = [np.zeros(len(own)) for own in labels]
        boxes, scores, labels = ensemble_boxes.weighted_boxes_fusion(
            boxes, scores, labels, weights, 0.4, 0.1, conf_type=mode
        )
        theirs = in_order(labels, np.minimum(scores, 1), boxes * SIDE)
        mine = ours(fused, image_id, class_agnostic=class_agnostic)
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize("weights", [None, [1.5, 0.3]])
def test_nms_of_many_small_images_equals_the_package(weights, class_agnostic):
    rng = np.random.default_rng(12)
    n_images = 400
    members = [random_member(rng, size, n_images) for size in (4 * n_images, 3 * n_images)]
    stayed = nms(members, iou_threshold=0.4, weights=weights, class_agnostic=class_agnostic)
    n_compared = 0
    for image_id in range(n_images):
        boxes, scores, labels = for_package(members, image_id)
        if class_agnostic:
            labels = [np.zeros(len(own)) for own in labels]
        if not any(((own[:, 2:] - own[:, :2]) > 0).all(axis=1).any() for own in boxes):
            continue  # the package cannot take an image without a box that has an area
        boxes, scores, labels = ensemble_boxes.nms(boxes, scores, labels, 0.4, weights)
        mine = ours(stayed, image_id, class_agnostic=class_agnostic)
        np.testing.assert_allclose(mine, in_order(labels, scores, boxes * SIDE), rtol=1e-12)
        n_compared += 1
    assert n_compared > 350


def test_across_categories_a_fused_box_has_the_category_of_most_weighted_score():
    members = [
        table([1, 4, 0.9, 0, 0, 10, 10]),
        table([1, 7, 0.5, 0, 0, 10, 10]),
        table([1, 7, 0.6, 0, 0, 10, 10]),
    ]
    assert weighted_boxes_fusion(members)["category_id"].tolist() == [7, 4]
    assert weighted_boxes_fusion(members, class_agnostic=True)["category_id"].tolist() == [7]
    heavy = weighted_boxes_fusion(members, weights=[3, 1, 1], class_agnostic=True)
    assert heavy["category_id"].tolist() == [4]
    assert nms(members, class_agnostic=True)["category_id"].tolist() == [4]


def test_across_categories_the_better_box_decides_between_equals():
    members = [
        table([1, 9, 0.8, 0, 0, 10, 10]),
        table([1, 2, 0.4, 0, 0, 10, 10]),
        table([1, 2, 0.4, 0, 0, 10, 10]),
    ]
    assert weighted_boxes_fusion(members, class_agnostic=True)["category_id"].tolist() == [9]


@given(seed=st.integers(0, 2**32), mode=st.sampled_from(MODES), class_agnostic=st.booleans())
@settings(max_examples=60 * MORE)
def test_scores_never_leave_zero_to_one(seed, mode, class_agnostic):
    rng = np.random.default_rng(seed)
    members = [random_member(rng, 30).assign(score=rng.integers(0, 2, 30) * 1.0) for _ in "abc"]
    fused = weighted_boxes_fusion(
        members,
        weights=list(rng.choice([0.01, 1, 50], 3)),
        iou_threshold=0.1,
        confidence=mode,
        class_agnostic=class_agnostic,
    )
    assert fused["score"].between(0, 1).all()
    assert np.isfinite(fused[BOX].to_numpy()).all()


@pytest.mark.parametrize("fuse", [weighted_boxes_fusion, nms])
def test_threads_share_images_out_without_a_trace(fuse, monkeypatch):
    rng = np.random.default_rng(3)
    members = [random_member(rng, size, 40) for size in (900, 0, 700)]
    alone = fuse(members)
    monkeypatch.setattr(tables, "BOXES_AT_A_TIME", 100)
    for n_threads in (1, 2, 5):
        monkeypatch.setattr("numba.get_num_threads", lambda n=n_threads: n)
        pd.testing.assert_frame_equal(fuse(members), alone, check_exact=True)


def test_equal_scores_of_thousands_of_boxes_do_not_take_forever_nor_depend_on_their_order():
    # Sorting by insertion would take minutes.
    rng = np.random.default_rng(4)
    low = rng.integers(0, 100_000, (20_000, 2)).astype(float)
    frame = pd.DataFrame(np.hstack([low, low + 20]), columns=BOX)
    frame = frame.assign(image_id=1, category_id=1, score=0.5)
    member = DETECTIONS.conform(frame, where="equal")
    shuffled = member.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(nms([member]), nms([shuffled]), check_exact=True)


def test_thousands_of_boxes_in_one_image_equal_the_package():
    rng = np.random.default_rng(6)
    low = rng.uniform(0, 900, (4000, 2))
    frame = pd.DataFrame(np.hstack([low, low + rng.uniform(20, 90, low.shape)]), columns=BOX)
    frame = frame.assign(image_id=0, category_id=1, score=rng.uniform(0, 1, 4000))
    members = [
        DETECTIONS.conform(frame[::2], where="a"),
        DETECTIONS.conform(frame[1::2], where="b"),
    ]
    boxes, scores, labels = ensemble_boxes.weighted_boxes_fusion(*for_package(members, 0))
    fused = weighted_boxes_fusion(members)
    assert len(fused) == len(scores)
    np.testing.assert_allclose(fused["score"], scores, rtol=1e-5)
    boxes, scores, labels = ensemble_boxes.nms(*for_package(members, 0))
    stayed = nms(members, iou_threshold=0.5)
    np.testing.assert_allclose(ours(stayed, 0), in_order(labels, scores, boxes * SIDE))


def test_columns_that_are_not_side_by_side_in_memory_are_read_right():
    member = table([1, 1, 0.5, 0, 0, 9, 9], [2, 1, 0.4, 0, 0, 8, 9], [1, 1, 0.3, 0, 1, 9, 9])
    strided = pd.concat([member, member]).sort_index(kind="stable").iloc[::2]
    rows = pd.DataFrame(member[BOX].to_numpy(), columns=BOX)  # one block of rows, not of columns
    rows.insert(0, "score", member["score"])
    rows.insert(0, "category_id", member["category_id"])
    rows.insert(0, "image_id", member["image_id"])
    expected = weighted_boxes_fusion([member])
    pd.testing.assert_frame_equal(weighted_boxes_fusion([strided]), expected)
    pd.testing.assert_frame_equal(weighted_boxes_fusion([rows]), expected)


@pytest.mark.parametrize("fuse", [weighted_boxes_fusion, nms])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", ["score", *BOX])
def test_every_value_that_is_not_a_finite_number_is_refused(fuse, bad, column):
    good = table([1, 1, 0.5, 0, 0, 9, 9], [1, 1, 0.4, 2, 0, 9, 9])
    worse = good.copy()
    worse.loc[1, column] = bad
    with pytest.raises(TableError, match=rf"^member 1: row 1: {column} is "):
        fuse([good, worse])
    with pytest.raises(TableError, match=rf"^member 1: row 1: {column} is "):
        fuse([good, worse], weights=[1, 0])
