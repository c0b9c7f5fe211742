"""Dealing the images of one fold into parts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recycling.ensembling import EnsemblingError
from recycling.ensembling.search.parts import PARTS, parts_of


@settings(max_examples=50)
@given(
    group_of=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40),
    n_parts=st.integers(2, 5),
    seed=st.integers(0, 3),
    randomly=st.randoms(use_true_random=False),
)
def test_each_image_is_in_one_part_and_groups_never_cross(group_of, n_parts, seed, randomly):
    ids = list(range(10, 10 + len(group_of)))
    if len(set(group_of)) < n_parts:
        with pytest.raises(EnsemblingError, match=f"{n_parts} parts of {len(ids)} images"):
            parts_of(ids, group_of, n_parts=n_parts, seed=seed)
        return
    parts = parts_of(ids, group_of, n_parts=n_parts, seed=seed)
    assert parts["image_id"].tolist() == ids
    assert set(parts["fold"]) == set(range(n_parts))
    assert parts.groupby(np.array(group_of))["fold"].nunique().max() == 1
    assert PARTS.conform(parts, where="parts").equals(parts)
    both = list(zip(ids, group_of, strict=True))
    randomly.shuffle(both)
    shuffled_ids, shuffled_groups = zip(*both, strict=True)
    assert parts_of(shuffled_ids, shuffled_groups, n_parts=n_parts, seed=seed).equals(parts)


def test_the_seed_decides_and_parts_are_about_as_large():
    ids = np.arange(100)
    names = [str(image_id) for image_id in ids]
    parts = parts_of(ids, names, seed=1)
    assert parts["fold"].value_counts().tolist() == [20] * 5
    assert parts_of(ids, names, seed=1).equals(parts)
    assert not parts_of(ids, names, seed=2).equals(parts)


def test_images_that_cannot_be_dealt_are_refused():
    with pytest.raises(EnsemblingError, match="1 groups for 2 images"):
        parts_of([1, 2], ["a"])
    with pytest.raises(EnsemblingError, match="image 1 is there twice"):
        parts_of([1, 1], ["a", "b"])
    with pytest.raises(EnsemblingError, match="1 parts of"):
        parts_of([1, 2], ["a", "b"], n_parts=1)
