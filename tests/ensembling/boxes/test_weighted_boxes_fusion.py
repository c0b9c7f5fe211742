"""Weighted boxes fusion and NMS, beside the package whose semantics they keep."""

import subprocess
import sys

import ensemble_boxes
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensembling.peer import (
    BOX,
    MORE,
    SIDE,
    SIZES,
    in_order,
    ours,
    random_member,
    table,
    weighted_box_in_float64,
)
from recycling.ensembling import EnsemblingError, nms, weighted_boxes_fusion
from recycling.predictions import DETECTIONS
from recycling.tables import TableError

MODES = ["avg", "max", "box_and_model_avg", "absent_model_aware_avg"]


def peer(members, image_id, function, **settings):
    """What the package makes of one image: category, score, box in pixels, by score."""
    tables = [member[member["image_id"] == image_id] for member in members]
    with pytest.MonkeyPatch.context() as patch:
        # The package rounds means to float32; ties between clusters may turn on that.
        patch.setattr(
            ensemble_boxes.ensemble_boxes_wbf, "get_weighted_box", weighted_box_in_float64
        )
        boxes, scores, labels = function(
            [frame[BOX].to_numpy() / SIDE for frame in tables],
            [frame["score"].to_numpy() for frame in tables],
            [frame["category_id"].to_numpy() for frame in tables],
            **settings,
        )
    return in_order(labels, scores, boxes * SIDE)


@pytest.mark.filterwarnings("ignore:Zero area box")
@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(SIZES, min_size=1, max_size=5),
    n_images=st.integers(1, 3),
    on_grid=st.booleans(),
    iou_threshold=st.sampled_from([0.0, 0.3, 0.5, 0.55, 0.9]),
    score_threshold=st.sampled_from([0.0, 0.2]),
    mode=st.sampled_from(MODES),
    weighted=st.booleans(),
)
@settings(max_examples=120 * MORE)
def test_fusion_equals_the_package_on_random_boxes(
    seed, sizes, n_images, on_grid, iou_threshold, score_threshold, mode, weighted
):
    rng = np.random.default_rng(seed)
    members = [random_member(rng, size, n_images, on_grid=on_grid) for size in sizes]
    weights = list(rng.uniform(0.1, 3, len(sizes))) if weighted else None
    fused = weighted_boxes_fusion(
        members,
        weights=weights,
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        confidence=mode,
    )
    for image_id in range(3, 3 + 7 * n_images, 7):
        theirs = peer(
            members,
            image_id,
            ensemble_boxes.weighted_boxes_fusion,
            weights=weights,
            iou_thr=iou_threshold,
            skip_box_thr=score_threshold,
            conf_type=mode,
        )
        # Its scores may pass 1 (issue 40); ours stop there.
        theirs = in_order(theirs[:, 0], np.minimum(theirs[:, 1], 1), theirs[:, 2:])
        np.testing.assert_allclose(ours(fused, image_id), theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore:Zero area box")
def test_fusion_equals_the_package_as_it_is_but_for_its_rounding():
    rng = np.random.default_rng(5)
    members = [random_member(rng, 1500, 1, on_grid=False) for _ in range(3)]
    boxes, scores, labels = ensemble_boxes.weighted_boxes_fusion(
        [member[BOX].to_numpy() / SIDE for member in members],
        [member["score"].to_numpy() for member in members],
        [member["category_id"].to_numpy() for member in members],
    )
    fused = weighted_boxes_fusion(members)
    theirs = in_order(labels, scores, boxes * SIDE)
    np.testing.assert_allclose(ours(fused, 3), theirs, rtol=1e-5, atol=1e-3)


def test_thousands_of_boxes_far_apart_in_one_image_are_those_of_the_package():
    rng = np.random.default_rng(9)
    low = rng.uniform(0, 960, (1000, 2))
    boxes = np.hstack([low, low + rng.uniform(5, 60, (1000, 2))])
    members = []
    for _ in range(3):
        frame = pd.DataFrame(boxes + rng.uniform(0, 2, boxes.shape), columns=BOX)
        members.append(frame.assign(image_id=3, category_id=1, score=rng.uniform(0, 1, 1000)))
    fused, stayed = weighted_boxes_fusion(members), nms(members, iou_threshold=0.5)
    assert len(fused) > 500
    theirs = peer(members, 3, ensemble_boxes.weighted_boxes_fusion)
    np.testing.assert_allclose(ours(fused, 3), theirs, rtol=1e-9)
    theirs = peer(members, 3, ensemble_boxes.nms, iou_thr=0.5)
    np.testing.assert_allclose(ours(stayed, 3), theirs, rtol=1e-12)


@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(SIZES.filter(bool), min_size=1, max_size=4),
    on_grid=st.booleans(),
    iou_threshold=st.sampled_from([0.0, 0.3, 0.5, 0.9]),
    weighted=st.booleans(),
)
@settings(max_examples=50 * MORE)
def test_nms_equals_the_package_on_random_boxes(seed, sizes, on_grid, iou_threshold, weighted):
    rng = np.random.default_rng(seed)
    members = [random_member(rng, size, 1, on_grid=on_grid) for size in sizes]
    # The package cannot take an image that no box of any area is on.
    members[0].loc[0, [*BOX]] = [0.0, 0.0, 200.0, 200.0]
    weights = list(rng.uniform(0.1, 3, len(sizes))) if weighted else None
    stayed = nms(members, iou_threshold=iou_threshold, weights=weights)
    theirs = peer(members, 3, ensemble_boxes.nms, iou_thr=iou_threshold, weights=weights)
    np.testing.assert_allclose(ours(stayed, 3), theirs, rtol=1e-12)


@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.integers(0, 20), min_size=2, max_size=5),
    mode=st.sampled_from(MODES),
)
@settings(max_examples=50 * MORE)
def test_neither_order_of_members_nor_of_rows_alters_the_result(seed, sizes, mode):
    rng = np.random.default_rng(seed)
    members = [random_member(rng, size, 3, on_grid=True) for size in sizes]
    for member in members:  # few scores, so that many boxes are tied
        member["score"] = rng.integers(1, 4, len(member)) / 4
    shuffled = [
        members[place].sample(frac=1, random_state=int(rng.integers(1000)))
        for place in rng.permutation(len(members))
    ]
    for fuse in (
        lambda tables: weighted_boxes_fusion(tables, confidence=mode),
        lambda tables: nms(tables),
    ):
        pd.testing.assert_frame_equal(fuse(shuffled), fuse(members), check_exact=True)


@pytest.mark.parametrize("mode", MODES)
def test_only_the_ratio_of_weights_matters(mode):
    rng = np.random.default_rng(1)
    members = [random_member(rng, 40, 2, on_grid=False) for _ in range(3)]
    large = weighted_boxes_fusion(members, weights=[1, 2, 3], confidence=mode)
    small = weighted_boxes_fusion(members, weights=[0.01, 0.02, 0.03], confidence=mode)
    pd.testing.assert_frame_equal(large, small, rtol=1e-9)


def test_five_members_that_are_sure_stay_sure_when_weights_sum_to_one():
    # Issue 38 of the package.
    members = [table([1, 1, 1.0, 0, 0, 10, 10])] * 5
    assert weighted_boxes_fusion(members, weights=[0.2] * 5)["score"].tolist() == [1.0]


def test_highest_score_does_not_pass_one_with_weights():
    # Issue 39 of the package.
    members = [table([1, 1, 1.0, 0, 0, 10, 10])] * 2
    fused = weighted_boxes_fusion(members, weights=[1, 3], confidence="max")
    assert fused["score"].tolist() == [1.0]


def test_overlapping_boxes_of_one_heavy_member_do_not_pass_one():
    # Issue 40 of the package, which gives 1.33.
    twice = table([1, 1, 1.0, 10, 10, 20, 20], [1, 1, 1.0, 10, 10, 20, 20])
    once = table([1, 1, 0.5, 30, 30, 40, 40])
    fused = weighted_boxes_fusion([twice, once], weights=[2, 1])
    assert fused["score"].tolist() == [1.0, pytest.approx(1 / 6)]


@pytest.mark.parametrize("mode", MODES)
def test_scores_of_zero_keep_a_box_that_is_a_number(mode):
    members = [table([1, 1, 0.0, 0, 0, 10, 10]), table([1, 1, 0.0, 1, 0, 10, 10])]
    fused = weighted_boxes_fusion(members, confidence=mode)
    assert fused[["score", *BOX]].to_numpy().tolist() == [[0, 0, 0, 10, 10]]


def test_member_of_weight_zero_is_as_if_it_were_not_there():
    rng = np.random.default_rng(2)
    members = [random_member(rng, 40, 2, on_grid=False) for _ in range(3)]
    pd.testing.assert_frame_equal(
        weighted_boxes_fusion(members, weights=[1, 0, 2]),
        weighted_boxes_fusion([members[0], members[2]], weights=[1, 2]),
    )


def test_boxes_that_touch_and_boxes_of_other_categories_or_images_stay_apart():
    left, right = [1, 1, 0.9, 0, 0, 10, 10], [1, 1, 0.8, 10, 0, 20, 10]
    other_category, other_image = [1, 2, 0.7, 0, 0, 10, 10], [2, 1, 0.6, 0, 0, 10, 10]
    apart = table(left, right, other_category, other_image)
    pd.testing.assert_frame_equal(weighted_boxes_fusion([apart], iou_threshold=0.0), apart)
    pd.testing.assert_frame_equal(nms([apart], iou_threshold=0.0), apart)


def test_result_is_by_image_then_by_score_and_keeps_far_apart_category_ids():
    members = [
        table([9, 5_000_000, 0.2, 0, 0, 9, 9], [4, 1, 0.1, 0, 0, 9, 9], [9, 1, 0.8, 0, 0, 9, 9])
    ]
    fused = weighted_boxes_fusion(members)
    assert fused["image_id"].tolist() == [4, 9, 9]
    assert fused["category_id"].tolist() == [1, 1, 5_000_000]
    assert {name: str(dtype) for name, dtype in fused.dtypes.items()} == {
        column.name: column.dtype for column in DETECTIONS.columns
    }


def test_members_without_boxes_give_a_table_without_boxes():
    for fuse in (weighted_boxes_fusion, nms):
        fused = fuse([DETECTIONS.empty(), DETECTIONS.empty()])
        pd.testing.assert_frame_equal(fused, DETECTIONS.empty())


def test_boxes_without_area_are_left_out_and_counted(caplog):
    fused = weighted_boxes_fusion([table([1, 1, 0.5, 5, 0, 5, 9], [1, 1, 0.4, 0, 0, 9, 9])])
    assert fused["score"].tolist() == [0.4]
    assert "1 boxes of no area" in caplog.text


def test_members_are_left_as_they_were():
    member = table([1, 1, 0.5, 0, 0, 9, 9], [1, 1, 0.4, 0, 0, 8, 9])
    before = member.copy()
    weighted_boxes_fusion([member, member], weights=[1, 2])
    nms([member, member], weights=[1, 2])
    pd.testing.assert_frame_equal(member, before)


def test_number_of_threads_does_not_alter_the_result():
    numba = pytest.importorskip("numba")
    rng = np.random.default_rng(3)
    members = [random_member(rng, 200, 20, on_grid=False) for _ in range(3)]
    fused = weighted_boxes_fusion(members)
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        pd.testing.assert_frame_equal(weighted_boxes_fusion(members), fused, check_exact=True)
    finally:
        numba.set_num_threads(threads)


def test_a_value_that_is_not_a_number_is_refused_with_the_member_and_the_row():
    good = table([1, 1, 0.5, 0, 0, 9, 9])
    bad = pd.concat([good, good.assign(x_min=np.nan)])
    with pytest.raises(TableError, match=r"^yolox: row 1: x_min is missing"):
        weighted_boxes_fusion([good, bad], names=["retinanet", "yolox"])
    with pytest.raises(TableError, match=r"^yolox: row 0: score is above 1"):
        nms([good, good.assign(score=1.5)], names=["retinanet", "yolox"])


def test_a_box_the_wrong_way_round_is_refused_with_the_member_and_the_image():
    bad = table([1, 1, 0.5, 0, 0, 9, 9]).assign(x_min=10.0)
    with pytest.raises(EnsemblingError, match=r"^member 0: row 0, image 1: x_min 10 is above"):
        weighted_boxes_fusion([bad])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": [1.0]}, "1 weights for 2 members"),
        ({"weights": [1.0, -1.0]}, "member 1: weight -1"),
        ({"weights": [0.0, 0.0]}, "all weights are 0"),
        ({"iou_threshold": 1.5}, "iou_threshold is 1.5"),
        ({"score_threshold": float("nan")}, "score_threshold is nan"),
        ({"confidence": "mean"}, "confidence 'mean'; it is one of avg, max"),
        ({"names": ["a"]}, "1 names for 2 members"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(settings, message):
    member = table([1, 1, 0.5, 0, 0, 9, 9])
    with pytest.raises(EnsemblingError, match=message):
        weighted_boxes_fusion([member, member], **settings)
    with pytest.raises(EnsemblingError, match="no members"):
        weighted_boxes_fusion([])


def test_importing_the_package_does_not_import_numba():
    code = "import sys, recycling.ensembling; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
