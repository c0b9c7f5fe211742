import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.image_cases import clouds, images_table
from recycling.annotations import (
    ImageFolder,
    check_images,
    near_duplicate_groups,
    near_duplicate_links,
)


def _checks(hashes):
    return pd.DataFrame(
        {
            "image_id": range(1, len(hashes) + 1),
            "phash": pd.array(hashes, dtype="string"),
            "sha256": None,
        }
    )


def test_images_within_the_distance_share_a_group_and_likeness_carries_over():
    images = images_table(*"abcdef")
    images.loc[4, "group"] = "5"
    hashes = [f"{value:016x}" for value in (0, 0b11, 0b1111, 0xFFFF << 40, 0xFFFF)]
    checks = _checks([*hashes, None])
    grouped = near_duplicate_groups(images, checks, max_distance=2)
    assert grouped["group"].tolist() == ["1", "1", "1", "4", "5", "6"]
    same = near_duplicate_groups(images, checks, max_distance=1)
    assert same["group"].tolist() == images["group"].tolist()


def test_existing_groups_are_joined_never_taken_apart():
    images = images_table(*"abcd").assign(group=pd.array(["x", "y", "x", "y"], dtype="string"))
    far = [f"{value:016x}" for value in (0, 0xFFF, 0xFFFFFF, 0xFFFFFFFFF)]
    apart = near_duplicate_groups(images, _checks(far))
    assert apart["group"].tolist() == ["x", "y", "x", "y"]
    joined = near_duplicate_groups(images, _checks([far[0], far[1], far[2], far[2]]))
    assert joined["group"].tolist() == ["x", "x", "x", "x"]


def test_grouping_does_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(0)
    images = images_table(*[f"{number}.jpg" for number in range(700)])
    near = rng.integers(0, 40, 700).astype(np.uint64) << np.uint64(50)
    checks = _checks([f"{value:016x}" for value in near])
    expected = near_duplicate_groups(images, checks, max_distance=0).set_index("image_id")["group"]
    assert expected.nunique() == len(set(near.tolist()))
    shuffled = images.sample(frac=1, random_state=1)
    got = near_duplicate_groups(shuffled, checks.iloc[::-1], max_distance=0)
    assert got["image_id"].tolist() == shuffled["image_id"].tolist()
    pd.testing.assert_series_equal(got.set_index("image_id")["group"].sort_index(), expected)


def test_a_photograph_saved_again_is_a_near_duplicate(tmp_path):
    clouds(1).save(tmp_path / "good.jpg")
    clouds(1).resize((52, 36)).save(tmp_path / "again.jpg", quality=40)
    clouds(2).save(tmp_path / "other.png")
    images = images_table("good.jpg", "again.jpg", "other.png")
    grouped = near_duplicate_groups(images, check_images(images, ImageFolder(tmp_path)))
    assert grouped["group"].tolist() == ["1", "1", "3"]


def test_ten_thousand_blank_pictures_become_one_group():
    images = images_table(*[f"{number}.jpg" for number in range(10_003)])
    checks = _checks(["0" * 16] * 10_000 + ["0" * 15 + "1", "f" * 16, None])
    first, second = near_duplicate_links(checks["phash"], 8)
    assert len(first) == len(second) == 10_000  # not the 50 million pairs
    groups = near_duplicate_groups(images, checks)["group"]
    assert groups.tolist() == ["1"] * 10_001 + ["10002", "10003"]


def _brute_force(hashes, max_distance):
    values = [None if text is None else int(text, 16) for text in hashes]
    return [
        (first, second)
        for second, other in enumerate(values)
        for first, one in enumerate(values[:second])
        if one is not None and other is not None and (one ^ other).bit_count() <= max_distance
    ]


@st.composite
def _hash_lists(draw):
    """A few hashes, equal and near ones of each, and missing ones, in any order."""
    base = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
    flips = st.sets(st.integers(0, 63), max_size=12)
    near = st.builds(
        lambda one, bits: one ^ sum(1 << bit for bit in bits), st.sampled_from(base), flips
    )
    one = st.one_of(st.none(), st.sampled_from(base), near, st.integers(0, 2**64 - 1))
    values = draw(st.lists(one, max_size=60))
    return [None if value is None else f"{value:016x}" for value in values]


@given(_hash_lists(), st.sampled_from([0, 1, 2, 3, 4, 5, 8, 15, 16, 31, 63, 64]))
def test_all_near_pairs_of_different_hashes_are_found_and_no_others(hashes, max_distance):
    hashes = list(dict.fromkeys(hashes))
    first, second = near_duplicate_links(pd.Series(hashes, dtype="string"), max_distance)
    expected = sorted(_brute_force(hashes, max_distance))
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == expected


@given(_hash_lists(), st.sampled_from([0, 1, 4, 8, 64]))
def test_links_are_near_pairs_and_join_what_the_pairs_join(hashes, max_distance):
    links = near_duplicate_links(pd.Series(hashes, dtype="string"), max_distance)
    links, pairs = list(zip(*links, strict=True)), _brute_force(hashes, max_distance)
    assert set(links) <= set(pairs)
    assert _components(len(hashes), links) == _components(len(hashes), pairs)


def _components(n_rows, edges):
    component = list(range(n_rows))
    for one, other in edges:
        old, new = component[other], component[one]
        component = [new if number == old else number for number in component]
    return [component.index(number) for number in component]


@pytest.mark.parametrize("max_distance", range(13))
def test_the_search_through_tables_misses_no_pair_among_many_hashes(max_distance):
    rng = np.random.default_rng(max_distance)
    one = rng.integers(0, 2**64, 700, dtype=np.uint64)
    near = one.copy()
    for _ in range(13):  # up to 13 different bits, and fewer where one is hit twice
        near ^= rng.integers(0, 2, 700).astype(np.uint64) << rng.integers(0, 64, 700).astype(
            np.uint64
        )
    values = np.unique(np.concatenate([one, near]))
    distance = np.bitwise_count(values[:, None] ^ values[None])
    expected = np.nonzero(np.triu(distance <= max_distance, k=1))
    assert len(expected[0]) > 0 or max_distance == 0
    found = near_duplicate_links(pd.Series([f"{value:016x}" for value in values]), max_distance)
    np.testing.assert_array_equal(found, expected)


def test_hashes_that_are_all_near_one_another_are_all_paired():
    hashes = pd.Series([f"{value:016x}" for value in range(100)])  # they differ in 7 bits at most
    first, second = near_duplicate_links(hashes, 7)
    np.testing.assert_array_equal((first, second), np.triu_indices(100, k=1))


def test_of_millions_of_pairs_those_are_kept_that_connect_the_same_images(monkeypatch):
    values = [*range(200), *((2**40 - 1 << 20) + value for value in range(100)), 2**64 - 1]
    checks = _checks([f"{value:016x}" for value in values])
    images = images_table(*[f"{number}.jpg" for number in range(len(values))])
    every, groups = near_duplicate_links(checks["phash"], 8), near_duplicate_groups(images, checks)
    assert len(every[0]) == (200 * 199 + 100 * 99) / 2
    module = "recycling.annotations.images.near_duplicates"
    monkeypatch.setattr(f"{module}._MOST_PAIRS", 1000)
    monkeypatch.setattr(f"{module}._AT_A_TIME", 500)
    links = near_duplicate_links(checks["phash"], 8)
    assert len(links[0]) < 2000
    assert set(zip(*links, strict=True)) < set(zip(*every, strict=True))
    pd.testing.assert_frame_equal(near_duplicate_groups(images, checks), groups)
    assert groups["group"].nunique() == 3


def test_the_pairs_are_row_numbers_whatever_the_index():
    hashes = pd.Series(["0" * 16, None, "0" * 16], index=[7, 7, 9])
    first, second = near_duplicate_links(hashes, 0)
    assert (first.tolist(), second.tolist()) == ([0], [2])


def test_what_is_no_hash_is_named():
    with pytest.raises(ValueError, match="row 2: 'xyz' is not a hash of 16 hex digits"):
        near_duplicate_links(pd.Series(["0" * 16, None, "xyz"]), 8)
    with pytest.raises(ValueError, match="max_distance is 65; two hashes differ in 0 to 64 bits"):
        near_duplicate_links(pd.Series(["0" * 16]), 65)
