"""Soft voting on probability planes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensembling.peer import MORE
from recycling.ensembling import EnsemblingError
from recycling.ensembling.masks.image_members import stacked
from recycling.ensembling.masks.soft_vote import fuse_probability_maps, soft_vote
from recycling.predictions.probability_maps import ProbabilityMaps


def random_planes(seed, shape):
    planes = np.random.default_rng(seed).dirichlet(np.ones(shape[1]), (shape[0], *shape[2:]))
    return np.rint(np.moveaxis(planes, -1, 1) * 255).astype(np.uint8)


shapes = st.tuples(
    st.integers(1, 9), st.integers(1, 12), st.integers(1, 9), st.sampled_from([1, 7, 700])
)


@given(seed=st.integers(0, 2**32), shape=shapes)
@settings(max_examples=60 * MORE)
def test_equal_weights_give_the_label_of_the_largest_sum_and_of_equal_ones_the_first(seed, shape):
    planes = random_planes(seed, shape) // 32
    expected = planes.sum(0, dtype=np.int64).argmax(0)
    for weights in (None, [0.3] * shape[0]):
        np.testing.assert_array_equal(soft_vote(planes, weights=weights), expected)


@given(seed=st.integers(0, 2**32), shape=shapes)
@settings(max_examples=60 * MORE)
def test_labels_are_those_of_numpys_weighted_average(seed, shape):
    planes = random_planes(seed, shape)
    weights = np.random.default_rng(seed).uniform(0.01, 1, shape[0])
    expected = np.average(planes.astype(np.float64), axis=0, weights=weights)
    label_map = soft_vote(planes, weights=weights.tolist())
    chosen = np.take_along_axis(expected, label_map[None].astype(int), 0)[0]
    assert label_map.dtype == np.uint8
    np.testing.assert_allclose(chosen, expected.max(0), rtol=1e-5)


@given(seed=st.integers(0, 2**32), n_members=st.integers(1, 6))
@settings(max_examples=30 * MORE)
def test_identical_members_give_themselves(seed, n_members):
    planes = random_planes(seed, (1, 5, 4, 6))
    weights = np.random.default_rng(seed).uniform(0.01, 1, n_members).tolist()
    fused = soft_vote(planes.repeat(n_members, 0), weights=weights)
    np.testing.assert_array_equal(fused, planes[0].argmax(0))


def test_a_member_of_weight_zero_is_as_if_absent():
    planes = random_planes(0, (3, 5, 20, 30))
    np.testing.assert_array_equal(
        soft_vote(planes, weights=[2, 0, 1]), soft_vote(planes[[0, 2]], weights=[2, 1])
    )


def test_views_and_read_only_planes_are_voted_on_alike():
    planes = random_planes(0, (2, 3, 20, 30))
    frozen = planes[..., ::2].copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(soft_vote(planes[..., ::2]), soft_vote(frozen))


def test_planes_without_pixels_give_a_map_without_pixels():
    assert soft_vote(np.zeros((2, 3, 0, 5), np.uint8)).shape == (0, 5)


@pytest.mark.parametrize(
    ("planes", "weights", "message"),
    [
        (np.zeros((2, 3, 4, 4), np.float32), None, "float32; they should be uint8"),
        (np.zeros((3, 4, 4), np.uint8), None, "shape (members, classes, H, W)"),
        (np.zeros((2, 256, 1, 1), np.uint8), None, "256 classes"),
        (np.zeros((0, 3, 4, 4), np.uint8), None, "no members"),
        (np.zeros((2, 3, 4, 4), np.uint8), [1], "1 weights for 2 members"),
        (np.zeros((2, 3, 4, 4), np.uint8), [0, 0], "all weights are 0"),
    ],
)
def test_input_that_does_not_fit_is_refused(planes, weights, message):
    with pytest.raises(EnsemblingError) as caught:
        soft_vote(planes, weights=weights)
    assert message in str(caught.value)


def stored(image_ids, planes, asked=None):
    def read(image_id):
        if asked is not None:
            asked.append(image_id)
        return planes

    return ProbabilityMaps(image_ids, read)


def test_images_are_fused_when_they_are_asked_for():
    first, second = random_planes(0, (2, 3, 4, 6))
    asked = []
    members = [stored([5, 2], first, asked), stored([2, 5], second)]
    fused = fuse_probability_maps(members, weights=[1, 3])
    assert list(fused) == [5, 2]
    assert asked == []
    both = np.stack([first, second])
    np.testing.assert_array_equal(fused[2], soft_vote(both, weights=[1, 3]))
    assert asked == [2]


def test_planes_of_another_size_are_brought_to_the_images_bilinearly():
    ramp = np.array([[[0, 200], [0, 200]], [[255, 55], [255, 55]]], np.uint8)
    members = [stored([1], ramp), stored([1], np.full((2, 5, 9), 50, np.uint8))]
    own = stacked(members, 1, sizes={1: (2, 4)})[0]
    np.testing.assert_array_equal(own[0], [[0, 50, 150, 200]] * 2)
    assert fuse_probability_maps(members)[1].shape == (2, 2)
    assert fuse_probability_maps(members[::-1])[1].shape == (5, 9)
    assert fuse_probability_maps(members, sizes={1: (7, 3)})[1].shape == (7, 3)


def test_members_that_do_not_fit_each_other_are_named():
    planes = np.zeros((3, 4, 6), np.uint8)
    names = ["unet", "segformer"]
    with pytest.raises(EnsemblingError, match="^segformer: no probability map of image 7, which"):
        fuse_probability_maps([stored([1, 7], planes), stored([1], planes)], names=names)
    other = fuse_probability_maps([stored([1], planes), stored([1], planes[:2])], names=names)
    with pytest.raises(EnsemblingError, match="^segformer: image 1: 2 classes, and 3 in unet"):
        other[1]
    with pytest.raises(EnsemblingError, match="^image 1: the members predict it but its size"):
        fuse_probability_maps([stored([1], planes)], sizes={})
    with pytest.raises(EnsemblingError, match="2 weights for 1 members"):
        fuse_probability_maps([stored([1], planes)], weights=[1, 2])
