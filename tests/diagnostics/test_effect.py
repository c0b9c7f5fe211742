"""The effect of one change: by hand, and in drawn worlds whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recycling.diagnostics import measure_effect
from recycling.evaluation import ClassCounts


def accuracy(hits: np.ndarray) -> ClassCounts:
    """One crop an image, of which some are right."""
    own = np.asarray(hits, dtype=np.int64)[:, None]
    return ClassCounts(lambda h, t, _: h[:, 0] / t[:, 0], own, np.ones_like(own), own)


def test_between_seeds_the_interval_is_students():
    # Every image alike, so that only the seeds differ: 0.5 and 1 better.
    half = accuracy([1, 1, 0, 0])
    groups = pd.Series(["a", "a", "a", "a"])  # one group, so that no draw differs
    effect = measure_effect(
        "x", "accuracy", [half, accuracy([1] * 4)], [accuracy([0] * 4)] * 2, groups
    )
    assert effect["difference"] == 0.75
    # The standard error of 0.5 and 1 is 0.25, and t of one degree of freedom is 12.706.
    assert effect["high"] - effect["difference"] == pytest.approx(0.25 * 12.7062, rel=1e-4)
    assert effect["sentence"].endswith("2 seeds: cannot be told from chance")


def test_groups_are_what_is_drawn():
    rng = np.random.default_rng(0)
    better = np.repeat(rng.random(20) < 0.5, 10)  # images of a group are alike
    own, twin = [accuracy(better)], [accuracy(np.zeros(200))]
    alone = measure_effect("x", "accuracy", own, twin, pd.Series(range(200)))
    grouped = measure_effect("x", "accuracy", own, twin, pd.Series(np.repeat(range(20), 10)))
    widths = [effect["high"] - effect["low"] for effect in (alone, grouped)]
    assert widths[1] == pytest.approx(widths[0] * 10**0.5, rel=0.15)
    assert (alone["images"], alone["groups"], grouped["groups"]) == (200, 200, 20)


@pytest.mark.parametrize("effect", [0.0, 0.1])
def test_the_interval_holds_the_true_effect_as_often_as_it_says(effect):
    rng = np.random.default_rng(1)
    groups = pd.Series(range(80))
    held, told = 0, 0
    for _ in range(200):
        treated, controls = [], []
        for _ in range(3):
            seed = rng.normal(0, 0.03, 2)  # what another seed alone would change
            treated.append(accuracy(rng.random(80) < 0.6 + effect + seed[0]))
            controls.append(accuracy(rng.random(80) < 0.6 + seed[1]))
        found = measure_effect("x", "accuracy", treated, controls, groups, n_draws=100)
        held += found["low"] <= effect <= found["high"]
        told += "chance" not in found["sentence"]
    assert held >= 184  # of 200 at 95 %: 183 and fewer are less likely than 2 %
    if effect == 0:
        assert told <= 16
