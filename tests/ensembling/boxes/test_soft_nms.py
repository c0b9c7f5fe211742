"""Soft-NMS, beside the package whose semantics it keeps."""

import subprocess
import sys

import ensemble_boxes
import numpy as np
import pandas as pd
import pytest
from ensemble_boxes.ensemble_boxes_nms import cpu_soft_nms_float, prepare_boxes
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ensembling.peer import BOX, MORE, SIDE, SIZES, in_order, ours, random_member, table
from recycling.ensembling import EnsemblingError, soft_nms
from recycling.ensembling.methods import BoxFusion
from recycling.predictions import DETECTIONS
from recycling.tables import TableError

NUMBERS = {"linear": 1, "gaussian": 2}
LINEAR = {"decay": "linear", "iou_threshold": 0.5, "score_threshold": 0.001}


def peer_input(members, image_id, *, class_agnostic=False):
    frames = [member[member["image_id"] == image_id] for member in members]
    return (
        [frame[BOX].to_numpy() / SIDE for frame in frames],
        [frame["score"].to_numpy() for frame in frames],
        [frame["category_id"].to_numpy() * (not class_agnostic) for frame in frames],
    )


def peer_with_lowered_scores(boxes, scores, labels, *, method, iou_thr, sigma, thresh, weights):
    """The package's own loop over labels, but with the scores that its loop over boxes lowers."""
    if weights is not None:
        scores = [
            score * weight / sum(weights) for score, weight in zip(scores, weights, strict=True)
        ]
    boxes, scores, labels = prepare_boxes(
        np.concatenate(boxes), np.concatenate(scores), np.concatenate(labels)
    )
    kept = [np.empty((0, 6))]
    for label in np.unique(labels):
        own, lowered = boxes[labels == label], scores[labels == label].copy()
        keep = cpu_soft_nms_float(own.copy(), lowered, iou_thr, sigma, thresh, method)
        stayed = lowered[lowered > thresh]
        kept.append(np.column_stack([np.full(len(keep), label), stayed, own[keep]]))
    rows = np.vstack(kept)
    return in_order(rows[:, 0], rows[:, 1], rows[:, 2:] * SIDE, score_decimals=9)


@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(SIZES, min_size=1, max_size=5),
    n_images=st.integers(1, 4),
    on_grid=st.booleans(),
    iou_threshold=st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]),
    sigma=st.sampled_from([0.01, 0.1, 0.5, 2.0]),
    score_threshold=st.sampled_from([0.0, 0.001, 0.1, 0.5]),
    decay=st.sampled_from(list(NUMBERS)),
    weighted=st.booleans(),
    class_agnostic=st.booleans(),
)
@settings(max_examples=200 * MORE)
def test_boxes_and_their_lowered_scores_are_those_of_the_package(
    seed,
    sizes,
    n_images,
    on_grid,
    iou_threshold,
    sigma,
    score_threshold,
    decay,
    weighted,
    class_agnostic,
):
    rng = np.random.default_rng(seed)
    members = [random_member(rng, size, n_images, on_grid=on_grid) for size in sizes]
    weights = list(rng.uniform(0.1, 3, len(sizes))) if weighted else None
    fused = soft_nms(
        members,
        weights=weights,
        iou_threshold=iou_threshold,
        sigma=sigma,
        score_threshold=score_threshold,
        decay=decay,
        class_agnostic=class_agnostic,
    )
    for image_id in range(3, 3 + 7 * n_images, 7):
        theirs = peer_with_lowered_scores(
            *peer_input(members, image_id, class_agnostic=class_agnostic),
            method=NUMBERS[decay],
            iou_thr=iou_threshold,
            sigma=sigma,
            thresh=score_threshold,
            weights=weights,
        )
        mine = ours(fused, image_id, class_agnostic=class_agnostic, score_decimals=9)
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("decay", ["linear", "gaussian"])
def test_boxes_are_those_of_the_packages_call_which_leaves_their_scores_as_they_were(
    decay,
):
    rng = np.random.default_rng(5)
    members = [random_member(rng, 500, 1, on_grid=False) for _ in range(3)]
    boxes, scores, labels = ensemble_boxes.soft_nms(
        *peer_input(members, 3), method=NUMBERS[decay], iou_thr=0.5, sigma=0.5, thresh=0.05
    )
    fused = soft_nms(members, decay=decay, iou_threshold=0.5, score_threshold=0.05)
    rows = ["category_id", *BOX]
    theirs = pd.DataFrame(boxes * SIDE, columns=BOX).assign(category_id=labels, theirs=scores)
    both = fused.merge(theirs, on=rows, how="outer", validate="one_to_one")
    assert 0 < len(both) == len(fused) == len(theirs)
    assert (both["score"] <= both["theirs"]).all()
    assert (both["score"] < both["theirs"]).any()


@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.integers(0, 20), min_size=2, max_size=5),
    decay=st.sampled_from(list(NUMBERS)),
    class_agnostic=st.booleans(),
)
@settings(max_examples=60 * MORE)
def test_neither_order_of_members_nor_of_rows_alters_the_result(seed, sizes, decay, class_agnostic):
    rng = np.random.default_rng(seed)
    members = [random_member(rng, size, 3, on_grid=True) for size in sizes]
    for member in members:  # few scores, so that many boxes are tied
        member["score"] = rng.integers(1, 4, len(member)) / 4
    shuffled = [
        members[place].sample(frac=1, random_state=int(rng.integers(1000)))
        for place in rng.permutation(len(members))
    ]
    pd.testing.assert_frame_equal(
        soft_nms(shuffled, decay=decay, class_agnostic=class_agnostic),
        soft_nms(members, decay=decay, class_agnostic=class_agnostic),
        check_exact=True,
    )


def test_of_equal_scores_the_higher_to_begin_with_is_taken_first_and_then_the_left_one():
    # The first box halves the second's score to that of the third, which overlaps the second.
    best = [1, 1, 1.0, 0, 0, 10, 10]
    halved, third = [1, 1, 0.8, 0, 0, 10, 20], [1, 1, 0.4, 0, 10, 10, 20]
    fused = soft_nms([table(third, halved, best)], decay="linear", iou_threshold=0.4)
    assert fused["score"].tolist() == [1.0, 0.4, pytest.approx(0.2)]
    assert fused["y_min"].tolist() == [0, 0, 10]
    # Two boxes of one score that overlap by half.
    left, right = [1, 1, 0.8, 0, 0, 30, 10], [1, 1, 0.8, 10, 0, 40, 10]
    fused = soft_nms([table(right, left)], decay="linear", iou_threshold=0.4)
    assert fused[["x_min", "score"]].to_numpy().tolist() == [[0, 0.8], [10, 0.4]]


def test_identical_boxes_lose_all_their_score_when_lowered_in_proportion():
    same = table([1, 1, 0.9, 0, 0, 10, 10], [1, 1, 0.8, 0, 0, 10, 10])
    assert soft_nms([same, same], decay="linear")["score"].tolist() == [0.9]
    kept = soft_nms([same], decay="gaussian")["score"].tolist()
    assert kept == [0.9, pytest.approx(0.8 * np.exp(-2))]


def test_boxes_that_touch_and_boxes_of_other_categories_or_images_keep_their_scores():
    left, right = [1, 1, 0.9, 0, 0, 10, 10], [1, 1, 0.8, 10, 0, 20, 10]
    other_category, other_image = [1, 2, 0.7, 0, 0, 10, 10], [2, 1, 0.6, 0, 0, 10, 10]
    apart = table(left, right, other_category, other_image)
    for decay in NUMBERS:
        pd.testing.assert_frame_equal(
            soft_nms([apart], iou_threshold=0.0, decay=decay), apart, check_exact=True
        )


def test_boxes_of_all_categories_compete_if_asked_to_and_keep_their_own():
    boxes = table([1, 5, 0.9, 0, 0, 10, 10], [1, 2, 0.8, 0, 0, 10, 6])
    fused = soft_nms([boxes], decay="linear", class_agnostic=True)
    assert fused["category_id"].tolist() == [5, 2]
    assert fused["score"].tolist() == [0.9, pytest.approx(0.32)]


def test_a_score_that_is_not_above_the_threshold_goes_after_weights_and_lowering():
    members = [table([1, 1, 0.5, 0, 0, 9, 9]), table([1, 1, 0.9, 50, 0, 59, 9])]
    fused = soft_nms(members, weights=[1, 1], score_threshold=0.25)
    assert fused["score"].tolist() == [0.45]


def test_only_the_ratio_of_weights_matters_and_a_member_of_weight_zero_is_not_there():
    rng = np.random.default_rng(1)
    members = [random_member(rng, 40, 2, on_grid=False) for _ in range(3)]
    pd.testing.assert_frame_equal(
        soft_nms(members, weights=[1, 2, 3]),
        soft_nms(members, weights=[0.01, 0.02, 0.03]),
        rtol=1e-9,
    )
    pd.testing.assert_frame_equal(
        soft_nms(members, weights=[1, 0, 2]),
        soft_nms([members[0], members[2]], weights=[1, 2]),
    )


def test_boxes_may_reach_over_the_edge_of_the_picture_and_are_not_clipped():
    over = table([1, 1, 0.9, -50, -20.5, 5000, 7000])
    pd.testing.assert_frame_equal(soft_nms([over]), over)


def test_thousands_of_boxes_in_one_image_are_those_of_the_package():
    rng = np.random.default_rng(9)
    low = rng.uniform(0, 900, (3000, 2))
    member = pd.DataFrame(np.hstack([low, low + rng.uniform(5, 100, (3000, 2))]), columns=BOX)
    member = member.assign(image_id=3, category_id=1, score=rng.uniform(0, 1, 3000))
    fused = soft_nms([member], **LINEAR)
    theirs = peer_with_lowered_scores(
        *peer_input([member], 3), method=1, iou_thr=0.5, sigma=0.5, thresh=0.001, weights=None
    )
    np.testing.assert_allclose(ours(fused, 3, score_decimals=9), theirs, rtol=1e-9)


def test_so_many_images_that_threads_share_them_give_what_each_gives_alone():
    rng = np.random.default_rng(3)
    members = [random_member(rng, 12_000, 600, on_grid=False) for _ in range(2)]
    fused = soft_nms(members, decay="gaussian")
    for image_id in (3, 3 + 7 * 300, 3 + 7 * 599):
        alone = soft_nms(
            [member[member["image_id"] == image_id] for member in members], decay="gaussian"
        )
        among_all = fused[fused["image_id"] == image_id].reset_index(drop=True)
        pd.testing.assert_frame_equal(among_all, alone, check_exact=True)
    assert fused["image_id"].is_monotonic_increasing
    assert fused["image_id"].nunique() == 600


def test_members_without_boxes_give_a_table_without_boxes():
    pd.testing.assert_frame_equal(
        soft_nms([DETECTIONS.empty(), DETECTIONS.empty()]), DETECTIONS.empty()
    )
    below = table([1, 1, 0.0005, 0, 0, 9, 9])
    pd.testing.assert_frame_equal(soft_nms([below], score_threshold=0.001), DETECTIONS.empty())


def test_boxes_without_area_are_left_out_and_counted(caplog):
    fused = soft_nms([table([1, 1, 0.5, 5, 0, 5, 9], [1, 1, 0.4, 0, 0, 9, 9])])
    assert fused["score"].tolist() == [0.4]
    assert "1 boxes of no area" in caplog.text


def test_members_are_left_as_they_were():
    member = table([1, 1, 0.5, 0, 0, 9, 9], [1, 1, 0.4, 0, 0, 8, 9])
    before = member.copy()
    soft_nms([member, member], weights=[1, 2])
    pd.testing.assert_frame_equal(member, before)


def test_a_mask_stays_with_its_box():
    mask = '{"size": [4, 4], "counts": "04<"}'
    other = '{"size": [4, 4], "counts": "44800"}'
    boxes = table([1, 1, 0.5, 0, 0, 10, 10], [1, 1, 0.9, 0, 0, 10, 8], [2, 1, 0.3, 0, 0, 9, 9])
    masked = boxes.assign(segmentation=pd.array([mask, other, None], dtype="string"))
    fused = soft_nms([masked])
    assert fused["segmentation"].tolist() == [other, mask, pd.NA]


def test_a_value_that_is_not_a_number_is_refused_with_the_member_and_the_row():
    good = table([1, 1, 0.5, 0, 0, 9, 9])
    bad = pd.concat([good, good.assign(x_min=np.nan)])
    with pytest.raises(TableError, match=r"^yolox: row 1: x_min is missing"):
        soft_nms([good, bad], names=["retinanet", "yolox"])
    with pytest.raises(TableError, match=r"^yolox: row 0: score is above 1"):
        soft_nms([good, good.assign(score=1.5)], names=["retinanet", "yolox"])
    with pytest.raises(EnsemblingError, match=r"^member 0: row 0, image 1: x_min 10 is above"):
        soft_nms([good.assign(x_min=10.0)])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": [1.0]}, "1 weights for 2 members"),
        ({"iou_threshold": 1.5}, "iou_threshold is 1.5"),
        ({"score_threshold": float("nan")}, "score_threshold is nan"),
        ({"sigma": 0.0}, "sigma is 0; it should be a number above 0"),
        ({"sigma": float("nan")}, "sigma is nan"),
        ({"decay": "soft"}, "decay 'soft'; it is one of gaussian, linear"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(settings, message):
    member = table([1, 1, 0.5, 0, 0, 9, 9])
    with pytest.raises(EnsemblingError, match=message):
        soft_nms([member, member], **settings)
    with pytest.raises(EnsemblingError, match="no members"):
        soft_nms([])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decay": "linear", "sigma": 0.3}, "'sigma' means nothing to decay 'linear'"),
        ({"iou_threshold": 0.3}, "'iou_threshold' means nothing to decay 'gaussian'"),
        ({"confidence": "max"}, "'soft_nms' takes no 'confidence'"),
    ],
)
def test_a_setting_that_does_nothing_is_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        BoxFusion.model_validate({"method": "soft_nms", **settings})


@pytest.mark.parametrize("settings", [{"decay": "linear", "iou_threshold": 0.3}, {"sigma": 0.3}])
def test_settings_stay_good_when_they_are_written_down_and_read_again(settings):
    chosen = BoxFusion.model_validate({"method": "soft_nms", **settings})
    assert BoxFusion.model_validate(chosen.model_dump()) == chosen


def test_weighted_boxes_fusion_does_not_wait_for_these_loops():
    code = (
        "import pandas as pd; from recycling.ensembling import weighted_boxes_fusion as wbf;"
        "from recycling.predictions import DETECTIONS; import sys;"
        "wbf([pd.DataFrame([[1, 1, 0.5, 0.0, 0.0, 9.0, 9.0]], columns=DETECTIONS.names)]);"
        "loaded = [name for name in sys.modules if name.endswith('.kernel')];"
        "assert loaded == ['recycling.ensembling.boxes.weighted_boxes_fusion.kernel'], loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
