"""What each member adds, and how sure that is."""

import numpy as np
import pytest

from recycling.diagnostics.contributions import (
    CONTRIBUTIONS,
    leave_one_out,
    member_contributions,
)
from recycling.ensembling.members import EnsemblingError

RIGHT = {
    "all": np.repeat([1.0, 0.0], [80, 20]),
    "a": np.repeat([1.0, 0.0], [70, 30]),
    "b": np.repeat([1.0, 0.0], [50, 50]),
}


def score_of(right):
    """A score that is the mean over images."""
    return lambda draws: draws @ right / draws.sum(axis=1)


def draws(n_draws=400, n_images=100, seed=0):
    return np.random.default_rng(seed).multinomial(
        n_images, np.full(n_images, 1 / n_images), n_draws
    )


MEMBERS = {"a": score_of(RIGHT["a"]), "b": score_of(RIGHT["b"])}


def test_a_contribution_is_the_score_with_less_the_score_without():
    table = member_contributions(
        score_of(RIGHT["all"]),
        MEMBERS,
        {"a": MEMBERS["b"], "b": MEMBERS["a"]},
        draws(),
        n_groups=100,
    )
    assert list(table) == CONTRIBUTIONS.names
    assert table["member"].tolist() == ["a", "b"]
    assert table["score"].tolist() == pytest.approx([0.7, 0.5])
    assert table["without"].tolist() == pytest.approx([0.5, 0.7])
    assert table["contribution"].tolist() == pytest.approx([0.3, 0.1])
    assert (table["low"] < table["contribution"]).all()
    assert (table["high"] > table["contribution"]).all()


def test_draws_are_paired_so_a_member_that_changes_nothing_surely_adds_nothing():
    everything = score_of(RIGHT["all"])
    table = member_contributions(
        everything, MEMBERS, {"a": everything, "b": MEMBERS["a"]}, draws(), n_groups=100
    ).set_index("member")
    assert table.loc["a", ["contribution", "low", "high"]].tolist() == [0, 0, 0]
    # 10 of 100 images differ: the interval is that of their share.
    low, high = table.loc["b", ["low", "high"]]
    spread = 1.96 * np.sqrt(0.1 * 0.9 / 100)
    assert (low, high) == pytest.approx((0.1 - spread, 0.1 + spread), abs=0.02)


def test_the_interval_of_a_gain_is_about_it_and_may_go_below_0():
    own = {"a": RIGHT["all"], "b": np.roll(RIGHT["all"], 1)}
    without = {name: score_of(right) for name, right in own.items()}
    table = member_contributions(
        score_of(np.roll(RIGHT["all"], 2)), MEMBERS, without, draws(), n_groups=100
    )
    assert table["contribution"].tolist() == pytest.approx([0, 0], abs=1e-12)
    assert (table["low"] < 0).all()
    assert table["low"].tolist() == pytest.approx((-table["high"]).tolist())


def test_a_gain_that_is_the_same_on_all_draws_has_no_interval():
    """As where all images are of one group: other images may gain nothing."""
    everything = np.ones((5, 100), np.int64)
    table = member_contributions(
        score_of(RIGHT["all"]),
        MEMBERS,
        {"a": MEMBERS["b"], "b": MEMBERS["a"]},
        everything,
        n_groups=100,
    )
    assert table["contribution"].tolist() == pytest.approx([0.3, 0.1])
    assert table[["low", "high"]].isna().to_numpy().all()


def test_each_member_is_left_out_once_and_one_alone_never():
    assert leave_one_out(["a", "b", "c"], tuple) == {
        "a": ("b", "c"),
        "b": ("a", "c"),
        "c": ("a", "b"),
    }
    assert leave_one_out(["a"], tuple) == {}
    assert member_contributions(MEMBERS["a"], {"a": MEMBERS["a"]}, {}, draws(), n_groups=100).empty


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"without": {"a": MEMBERS["b"]}}, "^b: is among the members or the ensembles"),
        ({"draws": np.empty((0, 100), np.int64)}, r"draws of the shape \(0, 100\)"),
        ({"ensemble": lambda d: np.full(len(d), np.nan)}, "^a: no draw of images has a score"),
    ],
)
def test_what_does_not_fit_is_one_line(change, message):
    values = {"ensemble": score_of(RIGHT["all"]), "without": MEMBERS, "draws": draws()} | change
    with pytest.raises(EnsemblingError, match=message) as caught:
        member_contributions(
            values["ensemble"], MEMBERS, values["without"], values["draws"], n_groups=100
        )
    assert "\n" not in str(caught.value)
