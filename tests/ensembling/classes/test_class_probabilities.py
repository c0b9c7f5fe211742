"""Geometric means, averages of ranks and votes of class probabilities; what all methods promise."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recycling.ensembling import EnsemblingError
from recycling.ensembling.classes.geometric import geometric_mean_probabilities
from recycling.ensembling.classes.hard_vote import hard_vote_probabilities
from recycling.ensembling.classes.mean import average_probabilities
from recycling.ensembling.classes.probabilities import FLOOR
from recycling.ensembling.classes.rank import rank_average_probabilities
from recycling.predictions import CLASS_PROBABILITIES

MEANS = [average_probabilities, geometric_mean_probabilities, rank_average_probabilities]


def vote(members, **kwargs):
    return hard_vote_probabilities(members, ranks=list(range(len(members))), **kwargs)


def table(values, ids=None):
    values = np.asarray(values, dtype=np.float32)
    frame = pd.DataFrame(values, columns=[f"class {c}" for c in range(values.shape[1])])
    frame.insert(0, "annotation_id", range(len(values)) if ids is None else ids)
    return CLASS_PROBABILITIES.conform(frame, where="test")


def values(probabilities):
    return probabilities.drop(columns="annotation_id").to_numpy()


@st.composite
def tables(draw, min_members=1):
    """Members of the same crops; some probabilities are equal and some are 0."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_members, n_crops = draw(st.integers(min_members, 5)), draw(st.integers(1, 20))
    counts = rng.integers(0, 4, (n_members, n_crops, draw(st.integers(1, 5)))) + np.array([1e-9])
    return [table(own / own.sum(1, keepdims=True)) for own in counts]


@pytest.mark.parametrize("fuse", [*MEANS, vote])
@given(members=tables())
@settings(max_examples=12)
def test_rows_are_distributions_in_the_first_members_order(fuse, members):
    fused = fuse(members)
    np.testing.assert_allclose(values(fused).sum(1), 1, rtol=1e-5)
    assert (values(fused) >= 0).all()
    assert fused.columns.tolist() == members[0].columns.tolist()
    assert fused["annotation_id"].tolist() == members[0]["annotation_id"].tolist()
    assert {str(dtype) for dtype in fused.dtypes[1:]} == {"float32"}


@pytest.mark.parametrize("fuse", [*MEANS, vote])
@given(members=tables(min_members=2), seed=st.integers(0, 100))
@settings(max_examples=12)
def test_order_of_rows_and_columns_is_of_no_consequence(fuse, members, seed):
    shuffled = [members[0]] + [
        member.sample(frac=1, random_state=seed).sample(frac=1, axis=1, random_state=seed)
        for member in members[1:]
    ]
    pd.testing.assert_frame_equal(fuse(shuffled), fuse(members))
    of_first = members[0].sample(frac=1, random_state=seed)
    turned = fuse([of_first, *members[1:]]).sort_values("annotation_id", ignore_index=True)
    pd.testing.assert_frame_equal(turned, fuse(members))


@pytest.mark.parametrize("fuse", MEANS)
@given(members=tables(), n_members=st.integers(1, 4))
@settings(max_examples=12)
def test_identical_members_give_themselves(fuse, members, n_members):
    weights = list(range(1, n_members + 1))
    fused = fuse([members[0]] * n_members, weights=weights)
    np.testing.assert_allclose(values(fused), values(members[0]), atol=1e-5)


@pytest.mark.parametrize("fuse", MEANS)
@given(members=tables(min_members=2))
@settings(max_examples=12)
def test_a_member_of_weight_zero_is_as_if_absent(fuse, members):
    weights = [float(number) for number in range(1, len(members) + 1)]
    without = fuse(members[1:], weights=weights[1:])
    with_none = fuse(members, weights=[0, *weights[1:]])
    np.testing.assert_allclose(values(with_none), values(without), atol=1e-6)


@pytest.mark.parametrize("fuse", MEANS)
def test_only_the_ratio_of_weights_counts(fuse):
    rng = np.random.default_rng(0)
    members = [table(rng.dirichlet(np.ones(3), 9)) for _ in range(2)]
    np.testing.assert_allclose(
        values(fuse(members, weights=[3, 1])),
        values(fuse(members, weights=[0.75, 0.25])),
        rtol=1e-6,
    )
    assert not np.allclose(values(fuse(members, weights=[3, 1])), values(fuse(members)), atol=1e-3)


@pytest.mark.parametrize("fuse", [*MEANS, vote])
def test_members_that_do_not_fit_are_named(fuse):
    whole, part = table(np.full((2, 2), 0.5)), table(np.full((1, 2), 0.5))
    with pytest.raises(EnsemblingError, match="^small: no crop 1, which large has"):
        fuse([whole, part], names=["large", "small"])


@pytest.mark.parametrize("fuse", [*MEANS, vote])
def test_no_crops_give_an_empty_table(fuse):
    empty = table(np.zeros((0, 3)))
    assert len(fuse([empty, empty])) == 0
    assert fuse([empty, empty]).columns.tolist() == empty.columns.tolist()


def test_the_geometric_mean_is_the_mean_of_the_logits():
    logits = np.random.default_rng(0).normal(size=(3, 8, 4))
    members = [table(np.exp(own) / np.exp(own).sum(1, keepdims=True)) for own in logits]
    mean = np.exp(np.average(logits, axis=0, weights=[1, 2, 3]))
    fused = geometric_mean_probabilities(members, weights=[1, 2, 3])
    np.testing.assert_allclose(values(fused), mean / mean.sum(1, keepdims=True), rtol=1e-5)


def test_a_zero_of_one_member_is_no_veto():
    fused = geometric_mean_probabilities([table([[0, 1]]), table([[1, 0]])])
    np.testing.assert_allclose(values(fused), [[0.5, 0.5]])
    outvoted = geometric_mean_probabilities([table([[0, 1]])] + [table([[1 - FLOOR, FLOOR]])] * 2)
    assert values(outvoted).argmax() == 0


def test_the_average_of_ranks_forgets_how_sure_a_member_is():
    rng = np.random.default_rng(0)
    unsure = 0.5 + 0.01 * rng.standard_normal(50)
    sure = np.where(rng.random(50) < 0.5, 0.001, 0.998) + 0.001 * rng.random(50)
    members = [table(np.stack([p, 1 - p], 1)) for p in (unsure, sure)]
    fused = values(rank_average_probabilities(members))[:, 0]
    places = (unsure.argsort().argsort() + sure.argsort().argsort()).astype(float)
    # Rows of two classes that mirror each other need no scaling: the order is that of the places.
    assert (np.diff(fused[places.argsort(kind="stable")]) >= -1e-6).all()
    mean = values(average_probabilities(members))[:, 0]
    assert (np.diff(mean[places.argsort(kind="stable")]) < -0.1).any()


def test_equal_probabilities_share_their_place():
    members = [table([[0.5, 0.5]] * 3 + [[0.9, 0.1]]), table([[0.2, 0.8]] * 3 + [[0.4, 0.6]])]
    fused = values(rank_average_probabilities(members))
    assert (fused[:3] == fused[0]).all()
    np.testing.assert_allclose(fused[0], [0.35, 0.65], rtol=1e-6)


def test_votes_are_shares_and_the_winner_has_half_a_vote_more():
    a, b, c = table([[0.9, 0.1, 0]]), table([[0.8, 0, 0.2]]), table([[0.1, 0.9, 0]])
    np.testing.assert_allclose(values(vote([a, b, c])), [[2.5 / 3.5, 1 / 3.5, 0]], rtol=1e-6)


def test_ties_go_to_the_best_ranked_of_the_tied():
    for_class = [table(np.eye(4)[[c]]) for c in range(4)]
    members = [for_class[c] for c in (3, 1, 2, 1, 2)]
    for ranks, winner in (([0, 1, 2, 3, 4], 1), ([0, 4, 2, 3, 1], 2), ([9, 5, 2, 1, 3], 1)):
        assert values(hard_vote_probabilities(members, ranks=ranks)).argmax() == winner


def test_who_holds_all_classes_equally_likely_has_no_vote():
    silent = table([[0.5, 0.5], [0.5, 0.5]])
    members = [silent, table([[0.5, 0.5], [0.2, 0.8]]), table([[0.5, 0.5], [0.9, 0.1]])]
    fused = values(vote(members))
    np.testing.assert_allclose(fused[0], [0.5, 0.5])  # nobody votes
    np.testing.assert_allclose(fused[1], [1 / 2.5, 1.5 / 2.5], rtol=1e-6)


def test_votes_need_a_rank_for_each_member():
    member = table([[0.9, 0.1]])
    with pytest.raises(EnsemblingError, match="a and b share rank 1"):
        hard_vote_probabilities([member, member], ranks=[1, 1], names=["a", "b"])
