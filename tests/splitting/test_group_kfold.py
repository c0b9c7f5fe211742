import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recycling.splitting import MultilabelStratifiedGroupKFold, group_kfold
from recycling.splitting.group_kfold import assign_groups


def folds_of(splitter, y, groups):
    fold = np.full(len(y), -1)
    for k, (train, test) in enumerate(splitter.split(np.zeros(len(y)), y, groups)):
        assert sorted([*train, *test]) == list(range(len(y)))
        assert (fold[test] == -1).all()
        fold[test] = k
    return fold


def squared_deviation(y, fold, n_splits):
    """Of the folds' sums from their even share, each column on the scale of its groups."""
    sums = np.array([y[fold == k].sum(axis=0) for k in range(n_splits)])
    return ((sums - y.sum(axis=0) / n_splits) ** 2).sum(axis=0)


@st.composite
def problems(draw):
    n_splits = draw(st.integers(2, 5))
    n = draw(st.integers(n_splits, 60))
    columns = draw(st.integers(1, 5))
    y = draw(arrays(np.int64, (n, columns), elements=st.integers(0, 6)))
    n_groups = draw(st.integers(n_splits, n))
    groups = np.array(
        [
            *range(n_groups),
            *draw(arrays(np.int64, n - n_groups, elements=st.integers(0, n_groups - 1))),
        ]
    )
    return y, groups, n_splits, draw(st.integers(0, 2**32))


@settings(max_examples=80)
@given(problems())
def test_groups_stay_whole_and_every_row_is_held_out_once(problem):
    y, groups, n_splits, seed = problem
    fold = folds_of(
        MultilabelStratifiedGroupKFold(n_splits, shuffle=True, random_state=seed), y, groups
    )
    assert set(fold) == set(range(n_splits))
    for group in np.unique(groups):
        assert len(set(fold[groups == group])) == 1


@settings(max_examples=40)
@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(problem, random):
    y, groups, n_splits, seed = problem
    splitter = MultilabelStratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
    order = list(range(len(y)))
    random.shuffle(order)
    fold = folds_of(splitter, y, groups)
    assert np.array_equal(folds_of(splitter, y[order], groups[order]), fold[order])


@settings(max_examples=40)
@given(problems())
def test_rows_without_groups_fill_folds_to_within_one(problem):
    y, _, n_splits, seed = problem
    splitter = MultilabelStratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
    sizes = np.bincount(folds_of(splitter, y, np.arange(len(y))), minlength=n_splits)
    assert sizes.max() - sizes.min() <= 1


@settings(max_examples=25)
@given(problems())
def test_no_move_and_no_swap_of_groups_would_be_better(problem):
    y, groups, n_splits, seed = problem
    fold = folds_of(
        MultilabelStratifiedGroupKFold(n_splits, shuffle=True, random_state=seed), y, groups
    )
    labels, of_row = np.unique(groups, return_inverse=True)
    n = len(labels)
    sums = np.array([y[of_row == g].sum(axis=0) for g in range(n)])
    sums = sums[:, sums.any(axis=0)]
    sizes = np.bincount(of_row)[:, None]
    weights = 1 / (sums**2).sum(axis=0)

    def cost(of_group):
        rows = np.bincount(of_group, weights=sizes[:, 0], minlength=n_splits)
        return (rows**2).sum(), (weights * squared_deviation(sums, of_group, n_splits)).sum()

    here = np.array([fold[of_row == g][0] for g in range(n)])
    neighbours = [(g, k, g, k) for g in range(n) for k in range(n_splits)]
    neighbours += [(g, here[h], h, here[g]) for g in range(n) for h in range(g)]
    uneven, deviation = cost(here)
    for g, fold_of_g, h, fold_of_h in neighbours:
        there = here.copy()
        there[[g, h]] = fold_of_g, fold_of_h
        uneven_there, deviation_there = cost(there)
        assert (uneven_there, deviation_there + 1e-6) >= (uneven, deviation)


def test_folds_are_of_one_size_where_groups_of_several_sizes_allow_it():
    sizes = np.array([7, 5, 4, 3, 3, 2, 2, 1, 1])
    groups = np.repeat(np.arange(9), sizes)
    y = np.ones((len(groups), 1))
    fold = folds_of(MultilabelStratifiedGroupKFold(2, shuffle=True, random_state=0), y, groups)
    assert np.bincount(fold).tolist() == [14, 14]


def labelled_images(n=1500, seed=0):
    """Counts of eight labels, the rarest on a few rows, in groups of up to five."""
    rng = np.random.default_rng(seed)
    y = rng.poisson(np.geomspace(0.01, 1.5, 8), (n, 8))
    return y, np.sort(rng.integers(0, n // 3, n))


def test_folds_are_far_more_even_than_at_random():
    y, groups = labelled_images()
    fold = folds_of(MultilabelStratifiedGroupKFold(5, shuffle=True, random_state=0), y, groups)
    chance = np.random.default_rng(0).integers(0, 5, groups.max() + 1)[groups]
    ours = squared_deviation(y, fold, 5)
    assert (ours < squared_deviation(y, chance, 5) / 20).all()
    # Within two annotations of the even share, for every label.
    sums = np.array([y[fold == k].sum(axis=0) for k in range(5)])
    assert np.abs(sums - y.sum(axis=0) / 5).max() <= 2


def test_disturbing_folds_that_no_swap_improves_makes_them_more_even(monkeypatch):
    rng = np.random.default_rng(0)
    y, groups = rng.poisson(np.geomspace(0.05, 1.5, 10), (300, 10)), rng.integers(0, 60, 300)

    def unevenness(seed):
        splitter = MultilabelStratifiedGroupKFold(5, shuffle=True, random_state=seed)
        deviation = squared_deviation(y, folds_of(splitter, y, groups), 5)
        return (deviation / (y**2).sum(axis=0)).sum()

    disturbed = [unevenness(seed) for seed in range(3)]
    monkeypatch.setattr(group_kfold, "PERTURBATIONS", 0)
    assert max(disturbed) < min(unevenness(seed) for seed in range(3))


def test_same_seed_same_folds_and_another_seed_others():
    y, groups = labelled_images()
    first = folds_of(MultilabelStratifiedGroupKFold(5, shuffle=True, random_state=1), y, groups)
    again = folds_of(MultilabelStratifiedGroupKFold(5, shuffle=True, random_state=1), y, groups)
    other = folds_of(MultilabelStratifiedGroupKFold(5, shuffle=True, random_state=2), y, groups)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_without_shuffle_folds_are_the_same_every_time():
    y, groups = labelled_images()
    splitter = MultilabelStratifiedGroupKFold(5, shuffle=False)
    assert np.array_equal(folds_of(splitter, y, groups), folds_of(splitter, y, groups))


def test_the_unit_of_a_column_does_not_matter():
    y, groups = labelled_images()
    areas = np.random.default_rng(0).lognormal(size=(len(y), 1))
    splitter = MultilabelStratifiedGroupKFold(5, shuffle=True, random_state=0)
    pixels = folds_of(splitter, np.hstack([y, areas * 2.0**20]), groups)
    assert np.array_equal(folds_of(splitter, np.hstack([y, areas]), groups), pixels)


def test_a_vector_of_class_labels_is_stratified():
    labels = np.array(["can", "jar", "bag"])[np.repeat([0, 1, 2], [50, 30, 20])]
    fold = folds_of(
        MultilabelStratifiedGroupKFold(5, shuffle=True, random_state=0), labels, np.arange(100)
    )
    for label, share in (("can", 10), ("jar", 6), ("bag", 4)):
        assert np.bincount(fold[labels == label]).tolist() == [share] * 5


def test_the_labels_of_groups_may_be_of_any_kind():
    y, groups = labelled_images(300)
    splitter = MultilabelStratifiedGroupKFold(3, shuffle=True, random_state=0)
    numbers = folds_of(splitter, y, groups)
    names = np.array([f"{group:05}" for group in groups])
    for other in (names, names.astype(object), pd.Series(names), pd.Categorical(names), [*names]):
        assert np.array_equal(folds_of(splitter, y, other), numbers)


@settings(max_examples=40)
@given(problems(), st.floats(0.01, 0.99))
def test_rows_without_groups_are_dealt_by_share_to_within_one(problem, share):
    y, _, _, seed = problem
    rng = np.random.default_rng(seed)
    fold = assign_groups(y, np.arange(len(y)), np.array([share, 1 - share]), rng)
    assert abs((fold == 0).sum() - share * len(y)) <= 1


def test_each_share_holds_its_part_of_every_label():
    y, groups = labelled_images()
    shares = np.array([0.6, 0.3, 0.1])
    fold = assign_groups(y, groups, shares, np.random.default_rng(0))
    sums = np.array([y[fold == k].sum(axis=0) for k in range(3)])
    assert np.abs(sums - np.outer(shares, y.sum(axis=0))).max() <= 2
    assert not set(groups[fold == 0]) & set(groups[fold != 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_splits": 1}, "n_splits=1, give a whole number of folds, at least 2"),
        ({"n_splits": 2.5}, "n_splits=2.5"),
        ({"shuffle": None}, "shuffle=None: give True or False"),
        (
            {"shuffle": False, "random_state": 0},
            "random_state has no effect since shuffle is False",
        ),
    ],
)
def test_a_wrong_setting_is_refused_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultilabelStratifiedGroupKFold(**arguments)


@pytest.mark.parametrize(
    ("y", "groups", "message"),
    [
        (None, [1, 2, 3], "'y' parameter should not be None: give a column"),
        ([[1], [1], [1]], None, "'groups' parameter should not be None: give the group"),
        ([[1], [1], [1]], [1, 1, 1], "n_splits=2 greater than the 1 groups there are"),
        ([[1, 0], [1, 0], [1, -2]], [1, 2, 3], r"y\[2, 1\] is -2"),
        ([[1], [np.nan], [1]], [1, 2, 3], "y contains NaN"),
        ([0.5, 0.25, 1.5], [1, 2, 3], "not of class labels"),
        ([[1], [1], [1]], [1, None, 3], r"groups\[1\] is missing"),
        (["can", "jar", "bag"], [1, 2, 3], "greater than the number of members in each class"),
        ([[1], [1]], [1, 2, 3], "inconsistent numbers of samples"),
    ],
)
def test_what_cannot_be_split_is_refused(y, groups, message):
    with pytest.raises(ValueError, match=message):
        list(MultilabelStratifiedGroupKFold(2).split([0, 0, 0], y, groups))
