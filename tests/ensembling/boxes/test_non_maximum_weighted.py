"""Non-maximum weighted, beside the package whose semantics it keeps."""

import ensemble_boxes
import numpy as np
import pandas as pd
import pytest
from ensemble_boxes.ensemble_boxes_nmw import bb_intersection_over_union
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask

from ensembling.peer import BOX, MORE, SIDE, SIZES, in_order, ours, random_member, table
from recycling.annotations.masks import mask_to_segmentation, segmentation_rle
from recycling.ensembling import EnsemblingError, non_maximum_weighted
from recycling.predictions import DETECTIONS
from recycling.tables import TableError


def peer(members, image_id, *, class_agnostic=False, rounded=False, **settings):
    """What the package makes of one image: category, score, box in pixels, by score."""
    frames = [member[member["image_id"] == image_id] for member in members]
    with pytest.MonkeyPatch.context() as patch:
        if not rounded:
            # The package rounds means to float32; ties between clusters may turn on that.
            patch.setattr(
                ensemble_boxes.ensemble_boxes_nmw, "get_weighted_box", weighted_box_in_float64
            )
        boxes, scores, labels = ensemble_boxes.non_maximum_weighted(
            [frame[BOX].to_numpy() / SIDE for frame in frames],
            [frame["score"].to_numpy() for frame in frames],
            [frame["category_id"].to_numpy() * (not class_agnostic) for frame in frames],
            **settings,
        )
    return in_order(labels, scores, boxes * SIDE)


def weighted_box_in_float64(boxes):
    """The package's `get_weighted_box`, without its rounding to float32."""
    summed, total = np.zeros(4), 0.0
    for box in boxes:
        weight = box[1] * bb_intersection_over_union(box[2:], boxes[0][2:])
        summed += weight * box[2:]
        total += weight
    return np.concatenate([boxes[0][:2], summed / total])


@pytest.mark.filterwarnings("ignore:Zero area box")
@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(SIZES, min_size=1, max_size=5),
    n_images=st.integers(1, 4),
    on_grid=st.booleans(),
    iou_threshold=st.sampled_from([0.0, 0.3, 0.55, 0.9, 1.0]),
    score_threshold=st.sampled_from([0.0, 0.2, 0.7]),
    weighted=st.booleans(),
    class_agnostic=st.booleans(),
)
@settings(max_examples=200 * MORE)
def test_result_is_that_of_the_package(
    seed, sizes, n_images, on_grid, iou_threshold, score_threshold, weighted, class_agnostic
):
    rng = np.random.default_rng(seed)
    members = [random_member(rng, size, n_images, on_grid=on_grid) for size in sizes]
    weights = list(rng.uniform(0.1, 3, len(sizes))) if weighted else None
    fused = non_maximum_weighted(
        members,
        weights=weights,
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        class_agnostic=class_agnostic,
    )
    assert fused["score"].between(0, 1).all()
    for image_id in range(3, 3 + 7 * n_images, 7):
        theirs = peer(
            members,
            image_id,
            class_agnostic=class_agnostic,
            weights=weights,
            iou_thr=iou_threshold,
            skip_box_thr=score_threshold,
        )
        mine = ours(fused, image_id, class_agnostic=class_agnostic)
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore:Zero area box")
def test_thousands_of_boxes_in_one_image_are_those_of_the_package_but_for_its_rounding():
    rng = np.random.default_rng(5)
    members = [random_member(rng, 1500, 1, on_grid=False) for _ in range(3)]
    fused = non_maximum_weighted(members, weights=[1, 2, 3])
    theirs = peer(members, 3, rounded=True, weights=[1, 2, 3])
    np.testing.assert_allclose(ours(fused, 3), theirs, rtol=1e-5, atol=1e-3)


@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.integers(0, 20), min_size=2, max_size=5),
    class_agnostic=st.booleans(),
)
@settings(max_examples=60 * MORE)
def test_neither_order_of_members_nor_of_rows_alters_the_result(seed, sizes, class_agnostic):
    rng = np.random.default_rng(seed)
    members = [random_member(rng, size, 3, on_grid=True) for size in sizes]
    for member in members:  # few scores, so that many boxes are tied
        member["score"] = rng.integers(1, 4, len(member)) / 4
    shuffled = [
        members[place].sample(frac=1, random_state=int(rng.integers(1000)))
        for place in rng.permutation(len(members))
    ]
    pd.testing.assert_frame_equal(
        non_maximum_weighted(shuffled, class_agnostic=class_agnostic),
        non_maximum_weighted(members, class_agnostic=class_agnostic),
        check_exact=True,
    )


def test_of_equal_scores_the_left_box_is_the_best():
    left, right = [1, 1, 0.8, 0, 0, 30, 10], [1, 1, 0.8, 10, 0, 40, 10]
    middle = [1, 1, 0.4, 5, 0, 35, 10]
    fused = non_maximum_weighted([table(middle, right, left)])
    # The middle one overlaps both by 5 / 7 and so joins the left one.
    assert fused["x_min"].tolist() == [pytest.approx(5 * 5 / 14 / (1 + 5 / 14)), 10]


def test_a_box_that_none_joins_stays_exactly_what_it_was():
    rng = np.random.default_rng(4)
    low = np.arange(300)[:, None] * 100 + rng.uniform(0, 10, (300, 2))
    apart = pd.DataFrame(np.hstack([low, low + rng.uniform(1, 80, (300, 2))]), columns=BOX)
    apart = apart.assign(image_id=1, category_id=1, score=np.sort(rng.uniform(0, 1, 300))[::-1])
    pd.testing.assert_frame_equal(
        non_maximum_weighted([apart]), DETECTIONS.conform(apart, where="apart"), check_exact=True
    )


def test_identical_boxes_are_one_with_the_highest_score():
    same = [table([1, 1, score, 0, 0, 10, 20]) for score in (0.3, 0.9, 0.6)]
    assert non_maximum_weighted(same).to_numpy().tolist() == [[1, 1, 0.9, 0, 0, 10, 20]]


def test_boxes_that_touch_and_boxes_of_other_categories_or_images_stay_apart():
    left, right = [1, 1, 0.9, 0, 0, 10, 10], [1, 1, 0.8, 10, 0, 20, 10]
    other_category, other_image = [1, 2, 0.7, 0, 0, 10, 10], [2, 1, 0.6, 0, 0, 10, 10]
    apart = table(left, right, other_category, other_image)
    pd.testing.assert_frame_equal(
        non_maximum_weighted([apart], iou_threshold=0.0), apart, check_exact=True
    )


def test_boxes_of_all_categories_join_if_asked_to_and_take_that_of_the_best():
    boxes = table([1, 5, 0.8, 0, 0, 10, 10], [1, 2, 0.4, 0, 0, 10, 6])
    fused = non_maximum_weighted([boxes], class_agnostic=True)
    assert fused["category_id"].tolist() == [5]
    assert fused["y_max"].tolist() == [pytest.approx((10 + 0.3 * 6) / 1.3)]


def test_scores_of_zero_keep_the_first_box():
    members = [table([1, 1, 0.0, 1, 0, 10, 10]), table([1, 1, 0.0, 0, 0, 10, 10])]
    fused = non_maximum_weighted(members)
    assert fused[["score", *BOX]].to_numpy().tolist() == [[0, 0, 0, 10, 10]]


def test_only_the_ratio_of_weights_matters_and_a_member_of_weight_zero_is_not_there():
    rng = np.random.default_rng(1)
    members = [random_member(rng, 40, 2, on_grid=False) for _ in range(3)]
    pd.testing.assert_frame_equal(
        non_maximum_weighted(members, weights=[1, 2, 3]),
        non_maximum_weighted(members, weights=[100, 200, 300]),
        rtol=1e-9,
    )
    pd.testing.assert_frame_equal(
        non_maximum_weighted(members, weights=[1, 0, 2]),
        non_maximum_weighted([members[0], members[2]], weights=[1, 2]),
    )


def test_score_threshold_is_for_scores_before_weights():
    members = [table([1, 1, 0.5, 0, 0, 9, 9]), table([1, 1, 0.4, 50, 0, 59, 9])]
    fused = non_maximum_weighted(members, weights=[1, 2], score_threshold=0.5)
    assert fused["score"].tolist() == [0.25]


def test_boxes_may_reach_over_the_edge_of_the_picture_and_are_not_clipped():
    over = table([1, 1, 0.9, -50, -20.5, 5000, 7000])
    pd.testing.assert_frame_equal(non_maximum_weighted([over, over]), over)


def test_so_many_images_that_threads_share_them_give_what_each_gives_alone():
    rng = np.random.default_rng(3)
    members = [random_member(rng, 12_000, 600, on_grid=False) for _ in range(2)]
    fused = non_maximum_weighted(members)
    for image_id in (3, 3 + 7 * 300, 3 + 7 * 599):
        alone = non_maximum_weighted([member[member["image_id"] == image_id] for member in members])
        among_all = fused[fused["image_id"] == image_id].reset_index(drop=True)
        pd.testing.assert_frame_equal(among_all, alone, check_exact=True)
    assert fused["image_id"].is_monotonic_increasing
    assert fused["image_id"].nunique() == 600


def test_members_without_boxes_give_a_table_without_boxes():
    pd.testing.assert_frame_equal(
        non_maximum_weighted([DETECTIONS.empty(), DETECTIONS.empty()]), DETECTIONS.empty()
    )


def test_boxes_without_area_are_left_out_and_counted(caplog):
    fused = non_maximum_weighted([table([1, 1, 0.5, 5, 0, 5, 9], [1, 1, 0.4, 0, 0, 9, 9])])
    assert fused["score"].tolist() == [0.4]
    assert "1 boxes of no area" in caplog.text


def test_members_are_left_as_they_were():
    member = table([1, 1, 0.5, 0, 0, 9, 9], [1, 1, 0.4, 0, 0, 8, 9])
    before = member.copy()
    non_maximum_weighted([member, member], weights=[1, 2])
    pd.testing.assert_frame_equal(member, before)


def test_masks_fuse_along_with_their_boxes():
    left_half = np.zeros((4, 4), dtype=bool)
    left_half[:, :2] = True
    texts = [mask_to_segmentation(left_half), mask_to_segmentation(np.ones((4, 4), dtype=bool))]
    boxes = [
        table([1, 1, score, 0, 0, 4, 4]).assign(segmentation=pd.array([text], dtype="string"))
        for score, text in zip((0.9, 0.5), texts, strict=True)
    ]
    (fused,) = non_maximum_weighted(boxes)["segmentation"]
    np.testing.assert_array_equal(mask.decode(segmentation_rle(fused, 4, 4)), left_half)


def test_a_value_that_is_not_a_number_is_refused_with_the_member_and_the_row():
    good = table([1, 1, 0.5, 0, 0, 9, 9])
    bad = pd.concat([good, good.assign(x_min=np.nan)])
    with pytest.raises(TableError, match=r"^yolox: row 1: x_min is missing"):
        non_maximum_weighted([good, bad], names=["retinanet", "yolox"])
    with pytest.raises(EnsemblingError, match=r"^member 0: row 0, image 1: x_min 10 is above"):
        non_maximum_weighted([good.assign(x_min=10.0)])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": [1.0]}, "1 weights for 2 members"),
        ({"weights": [0.0, 0.0]}, "all weights are 0"),
        ({"iou_threshold": 1.5}, "iou_threshold is 1.5"),
        ({"score_threshold": float("nan")}, "score_threshold is nan"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(settings, message):
    member = table([1, 1, 0.5, 0, 0, 9, 9])
    with pytest.raises(EnsemblingError, match=message):
        non_maximum_weighted([member, member], **settings)
    with pytest.raises(EnsemblingError, match="no members"):
        non_maximum_weighted([])
