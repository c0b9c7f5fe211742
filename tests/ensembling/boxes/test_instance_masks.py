"""Masks of instances, fused along with their boxes."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from recycling.ensembling import EnsemblingError, nms, weighted_boxes_fusion
from recycling.ensembling.boxes.instance_masks import fused_mask
from recycling.predictions import DETECTIONS


def rle(mask):
    encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return json.dumps({"size": encoded["size"], "counts": encoded["counts"].decode()})


def drawn(segmentation):
    return coco_mask.decode(json.loads(segmentation))


def rectangle(left, right, size=(20, 30)):
    mask = np.zeros(size, np.uint8)
    mask[5:15, left:right] = 1
    return mask


def table(*rows):
    """Rows of image_id, score, x_min, x_max, mask (None where there is none)."""
    frame = pd.DataFrame(
        [
            (image_id, 1, score, x_min, 5, x_max, 15, None if mask is None else rle(mask))
            for image_id, score, x_min, x_max, mask in rows
        ],
        columns=[*DETECTIONS.names, "segmentation"],
    )
    return DETECTIONS.conform(frame, where="test")


def test_a_fused_mask_has_the_pixels_that_half_of_the_votes_are_for():
    members = [
        table((1, 0.6, 0, 10, rectangle(0, 10))),
        table((1, 0.5, 0, 11, rectangle(0, 11))),
        table((1, 0.4, 1, 12, rectangle(1, 12))),
    ]
    fused = weighted_boxes_fusion(members)
    # Column 0: 1.1 of 1.5 votes; column 10: 0.9; column 11: 0.4.
    np.testing.assert_array_equal(drawn(fused["segmentation"][0]), rectangle(0, 11))
    fused = weighted_boxes_fusion(members, weights=[0.1, 0.1, 3])
    np.testing.assert_array_equal(drawn(fused["segmentation"][0]), rectangle(1, 12))
    DETECTIONS.conform(fused, where="fused")


def test_a_mask_that_is_alone_stays_to_the_letter_and_a_box_without_one_does_not_vote():
    mask = rectangle(0, 10)
    with_mask = table((1, 0.2, 0, 10, mask), (2, 0.5, 0, 10, None), (2, 0.4, 20, 30, mask))
    without = table((1, 0.9, 0, 10, None)).drop(columns="segmentation")
    fused = weighted_boxes_fusion([without, with_mask])
    assert fused["image_id"].tolist() == [1, 2, 2]
    assert fused["segmentation"][[0, 2]].tolist() == [rle(mask)] * 2
    assert fused["segmentation"].isna().tolist() == [False, True, False]


def test_nms_keeps_each_mask_with_its_box():
    members = [
        table((1, 0.6, 0, 10, rectangle(0, 10)), (2, 0.1, 3, 9, rectangle(3, 9))),
        table((1, 0.8, 0, 11, rectangle(0, 11)), (2, 0.7, 20, 29, None)),
    ]
    stayed = nms(members)
    assert stayed["score"].tolist() == [0.8, 0.7, 0.1]
    np.testing.assert_array_equal(drawn(stayed["segmentation"][0]), rectangle(0, 11))
    assert stayed["segmentation"].isna().tolist() == [False, True, False]
    np.testing.assert_array_equal(drawn(stayed["segmentation"][2]), rectangle(3, 9))


def test_without_masks_there_is_no_column_and_boxes_are_the_same_with_them():
    members = [table((1, 0.6, 0, 10, rectangle(0, 10)))] * 2
    bare = [member.drop(columns="segmentation") for member in members]
    fused = weighted_boxes_fusion(bare)
    assert list(fused.columns) == DETECTIONS.names
    pd.testing.assert_frame_equal(
        weighted_boxes_fusion(members).drop(columns="segmentation"), fused
    )


def test_masks_stay_with_their_images_when_threads_share_these_out(monkeypatch):
    rng = np.random.default_rng(0)
    members = [
        table(*((i, s, 0, 10, rectangle(i % 7, 10 + i % 5)) for i, s in enumerate(rng.random(60))))
        for _ in range(2)
    ]
    alone = weighted_boxes_fusion(members)
    monkeypatch.setattr("recycling.ensembling.boxes.tables.BOXES_AT_A_TIME", 10)
    pd.testing.assert_frame_equal(weighted_boxes_fusion(members), alone)
    for row in alone.itertuples():
        expected = rectangle(row.image_id % 7, 10 + row.image_id % 5)
        np.testing.assert_array_equal(drawn(row.segmentation), expected)


@given(
    masks=hnp.arrays(
        np.uint8, st.tuples(st.integers(1, 5), st.just(6), st.just(7)), elements=st.integers(0, 1)
    ),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=100)
def test_votes_are_counted_pixel_by_pixel(masks, seed):
    votes = np.random.default_rng(seed).integers(0, 5, len(masks)) / 4
    fused = drawn(fused_mask([rle(mask) for mask in masks], votes))
    counting = votes if votes.any() else np.ones(len(masks))
    expected = np.tensordot(counting, masks, 1) >= counting.sum() / 2
    if not masks.any():
        expected[:] = False
    np.testing.assert_array_equal(fused, expected)


def test_masks_that_cannot_be_fused_name_the_members_and_the_image():
    one = table((7, 0.6, 0, 10, rectangle(0, 10)))
    other = table((7, 0.6, 0, 10, rectangle(0, 10, size=(20, 31))))
    with pytest.raises(EnsemblingError, match=r"^a, b, image 7: masks are of 30 x 20 and 31 x 20"):
        weighted_boxes_fusion([one, other], names=["a", "b"])
    polygon = one.assign(segmentation=pd.Series(["[[0,0,5,0,5,5]]"], dtype="string"))
    with pytest.raises(EnsemblingError, match=r"^a, b, image 7: a segmentation is not COCO RLE"):
        weighted_boxes_fusion([one, polygon], names=["a", "b"])
    damaged = pd.Series(['{"size":[20,30],"counts":"5"}'], dtype="string")
    with pytest.raises(EnsemblingError, match=r"^a, b, image 7: segmentation is an RLE whose"):
        weighted_boxes_fusion([one, one.assign(segmentation=damaged)], names=["a", "b"])
