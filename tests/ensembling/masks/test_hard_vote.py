"""Pixel-wise hard voting."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensembling.peer import MORE
from recycling.ensembling import EnsemblingError, fuse_label_maps, hard_vote, vote_agreement
from recycling.predictions import IGNORE, LabelMaps


def voted(labels, ranks):
    """One pixel, counted by hand."""
    by_rank = [label for _, label in sorted(zip(ranks, labels, strict=True)) if label != IGNORE]
    votes = Counter(by_rank)
    # The first of the highest is the best-ranked member's: by_rank is in the order of ranks.
    return max(by_rank, key=votes.__getitem__, default=IGNORE)


@given(
    seed=st.integers(0, 2**32),
    n_members=st.integers(1, 12),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    n_labels=st.integers(1, 5),
)
@settings(max_examples=200 * MORE)
def test_vote_is_what_counting_by_hand_gives(seed, n_members, height, width, n_labels):
    rng = np.random.default_rng(seed)
    labels = np.append(np.arange(n_labels), IGNORE).astype(np.uint8)
    maps = rng.choice(labels, (n_members, height, width))
    ranks = rng.permutation(n_members * 2)[:n_members].tolist()
    expected = [[voted(maps[:, y, x].tolist(), ranks) for x in range(width)] for y in range(height)]
    assert hard_vote(maps, ranks=ranks).tolist() == expected


@pytest.mark.parametrize("n_members", [1, 2, 7, 8, 9, 40, 255])
def test_any_number_of_members_is_counted(n_members):
    rng = np.random.default_rng(n_members)
    # Wider than the blocks that the pixels are counted in, and no multiple of them.
    maps = rng.integers(0, 3, (n_members, 5, 1000), dtype=np.uint8)
    counts = (maps[:, None] == np.arange(3)[:, None, None]).sum(0)
    fused = hard_vote(maps, ranks=list(range(n_members)))
    won = np.take_along_axis(counts, fused[None].astype(int), 0)[0]
    np.testing.assert_array_equal(won, counts.max(0))


def test_a_unanimous_vote_of_255_members_is_counted_in_full():
    maps = np.full((255, 1, 2), 4, np.uint8)
    maps[0] = 9
    assert hard_vote(maps, ranks=list(range(255))).tolist() == [[4, 4]]


def test_maps_that_are_views_or_read_only_are_voted_on_alike():
    maps = np.random.default_rng(0).integers(0, 3, (3, 40, 60), dtype=np.uint8)
    expected = hard_vote(maps[:, ::2, 1:].copy(), ranks=[0, 1, 2])
    np.testing.assert_array_equal(hard_vote(maps[:, ::2, 1:], ranks=[0, 1, 2]), expected)
    frozen = maps[:, ::2, 1:].copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(hard_vote(frozen, ranks=[0, 1, 2]), expected)


def test_ties_go_to_the_better_ranked_of_the_tied():
    # The best-ranked member stands alone with 9: the tie between 1 and 2 is not its to decide.
    maps = np.array([[[9]], [[1]], [[2]], [[1]], [[2]]], dtype=np.uint8)
    assert hard_vote(maps, ranks=[1, 5, 2, 4, 3]).tolist() == [[2]]
    assert hard_vote(maps, ranks=[1, 2, 5, 4, 3]).tolist() == [[1]]


def test_order_of_members_does_not_alter_the_vote_when_ranks_go_with_them():
    rng = np.random.default_rng(0)
    maps = rng.integers(0, 4, (5, 70, 130), dtype=np.uint8)
    ranks = np.array([3, 1, 4, 0, 2])
    order = rng.permutation(5)
    np.testing.assert_array_equal(
        hard_vote(maps, ranks=ranks.tolist()), hard_vote(maps[order], ranks=ranks[order].tolist())
    )


def test_all_pixels_of_a_large_map_are_voted_on():
    rng = np.random.default_rng(0)
    maps = rng.integers(0, 3, (3, 201, 307), dtype=np.uint8)
    fused = hard_vote(maps, ranks=[0, 1, 2])
    agreed = (maps[1] == maps[2]) & (maps[0] != maps[1])
    np.testing.assert_array_equal(fused, np.where(agreed, maps[1], maps[0]))


def test_ignore_has_no_vote_unless_all_say_it():
    maps = np.array([[[255, 255]], [[255, 255]], [[3, 255]]], dtype=np.uint8)
    assert hard_vote(maps, ranks=[0, 1, 2]).tolist() == [[3, 255]]


def test_agreement_is_the_share_of_members_with_the_fused_label():
    maps = np.array([[[1, 1]], [[1, 2]], [[1, 3]], [[2, 4]]], dtype=np.uint8)
    agreement = vote_agreement(maps, hard_vote(maps, ranks=[0, 1, 2, 3]))
    assert agreement.dtype == np.float32
    assert agreement.tolist() == [[0.75, 0.25]]


@pytest.mark.parametrize(
    ("maps", "ranks", "message"),
    [
        (np.zeros((2, 3, 3), np.int64), [0, 1], "int64; they should be uint8"),
        (np.zeros((3, 3), np.uint8), [0, 1, 2], "should be uint8 of shape"),
        (np.zeros((2, 3, 3), np.uint8), [0], "1 ranks for 2 members"),
        (np.zeros((2, 3, 3), np.uint8), [1, 1], "member 0 and member 1 share rank 1"),
        (np.zeros((0, 3, 3), np.uint8), [], "0 label maps"),
    ],
)
def test_input_that_does_not_fit_is_refused(maps, ranks, message):
    with pytest.raises(EnsemblingError, match=message):
        hard_vote(maps, ranks=ranks)


def test_agreement_of_another_size_is_refused():
    with pytest.raises(EnsemblingError, match="same image"):
        vote_agreement(np.zeros((2, 3, 3), np.uint8), np.zeros((3, 4), np.uint8))


def constant_maps(image_ids, label, shape=(4, 6), asked=None):
    def read(image_id):
        if asked is not None:
            asked.append(image_id)
        return np.full(shape, label, np.uint8)

    return LabelMaps(image_ids, read)


def test_fused_maps_are_voted_on_when_asked_for():
    asked = []
    fused = fuse_label_maps(
        [constant_maps([5, 2], 1, asked=asked), constant_maps([2, 5], 2), constant_maps([5, 2], 2)],
        ranks=[0, 1, 2],
    )
    assert list(fused) == [5, 2]
    assert asked == []
    np.testing.assert_array_equal(fused[2], np.full((4, 6), 2))
    assert asked == [2]


def test_maps_of_other_sizes_are_brought_to_the_first_ones():
    small = np.array([[1, 2], [3, 4]], np.uint8)
    members = [constant_maps([1], IGNORE), LabelMaps([1], lambda _: small)]
    fused = fuse_label_maps(members, ranks=[0, 1])[1]
    np.testing.assert_array_equal(fused, small.repeat(2, 0).repeat(3, 1))


def test_maps_are_brought_to_the_size_of_the_image_where_sizes_are_given():
    small = np.array([[1, 2], [3, 4]], np.uint8)
    members = [LabelMaps([1], lambda _: small), constant_maps([1], IGNORE, shape=(9, 9))]
    for ordered in (members, members[::-1]):
        fused = fuse_label_maps(ordered, ranks=[0, 1], sizes={1: (4, 6), 2: (1, 1)})[1]
        np.testing.assert_array_equal(fused, small.repeat(2, 0).repeat(3, 1))


def test_a_smaller_map_takes_the_pixel_under_the_centre():
    large = np.arange(36, dtype=np.uint8).reshape(6, 6)
    fused = fuse_label_maps([LabelMaps([1], lambda _: large)], ranks=[0], sizes={1: (2, 2)})[1]
    np.testing.assert_array_equal(fused, large[1::3, 1::3])


def test_an_image_without_a_size_is_refused_before_anything_is_read():
    asked = []
    members = [constant_maps([1, 7], 0, asked=asked)]
    with pytest.raises(EnsemblingError, match="^image 7: the members predict it but its size"):
        fuse_label_maps(members, ranks=[0], sizes={1: (4, 6)})
    with pytest.raises(EnsemblingError, match="^image 7: a size of 0 x 4 pixels"):
        fuse_label_maps(members, ranks=[0], sizes={1: (4, 6), 7: (4, 0)})
    assert asked == []


def test_a_member_that_lacks_an_image_is_named_with_the_image():
    both, one = constant_maps([1, 7], 0), constant_maps([1], 0)
    for members in ([both, one], [one, both]):
        names = ["full", "part"] if members[0] is both else ["part", "full"]
        with pytest.raises(EnsemblingError, match="^part: no label map of image 7, which full has"):
            fuse_label_maps(members, ranks=[0, 1], names=names)
