"""Promises are kept as often as they say, in drawn worlds whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from recycling.pseudo_labels import GRID, Graded, Promise, log_evidence, promised_thresholds

PROMISE = Promise(precision=0.8, confidence=0.8)


def drawn_world(
    rng: np.random.Generator,
    n_images: int,
    right: float,
    *,
    chance: float | None = None,
    cap: int = 3,
    categories: int = 1,
) -> Graded:
    """Boxes that are right with a chance of their score to the power of `right`, or of `chance`."""
    shape = (n_images, categories, cap)
    scores = -np.sort(
        -np.where(np.arange(cap) < rng.poisson(1.2, shape[:2])[..., None], rng.random(shape), 0)
    )
    is_wrong = rng.random(shape) > (scores**right if chance is None else chance)
    on = scores[..., None] >= GRID
    kept = on.sum(axis=2).astype(float)
    wrong = (on & is_wrong[..., None]).sum(axis=2).astype(float)
    return Graded(kept, wrong, cap)


def excess(world: Graded, promise: Promise) -> np.ndarray:
    """By threshold, the mean of wrong less what is allowed: above 0 the promise is broken."""
    return (world.wrong - (1 - promise.precision) * world.kept).mean(axis=0)[0]


@pytest.mark.parametrize(("right", "precision"), [(0.5, 0.8), (1.5, 0.6)])
@pytest.mark.parametrize("starts", [1, 3])
def test_promises_are_kept_as_often_as_they_say(right, precision, starts):
    rng = np.random.default_rng(5)
    promise = PROMISE.model_copy(update={"starts": starts, "precision": precision})
    true_excess = excess(drawn_world(rng, 10_000, right), promise)
    kept, given = 0, 0
    for _ in range(300):
        (threshold,) = promised_thresholds(drawn_world(rng, 150, right), promise)
        given += not np.isnan(threshold)
        kept += np.isnan(threshold) or true_excess[threshold == GRID][0] <= 0
    assert binom.cdf(kept, 300, promise.confidence) > 0.01
    assert given > 30  # or it would be no promise at all


def test_the_order_of_the_images_says_nothing():
    rng = np.random.default_rng(8)
    promise = Promise(precision=0.8, confidence=0.9)
    given = 0
    for _ in range(300):
        # One in four is wrong, and the table begins with the easy images.
        world = drawn_world(rng, 100, 1.0, chance=0.75)
        easy = np.argsort(world.wrong[:, 0, -1], kind="stable")
        sorted_world = Graded(world.kept[easy], world.wrong[easy], world.cap)
        given += not np.isnan(promised_thresholds(sorted_world, promise)).any()
    assert binom.sf(given - 1, 300, 1 - promise.confidence) > 0.01


def test_where_scores_mean_nothing_something_is_kept_no_more_often_than_the_allowed_error():
    rng = np.random.default_rng(6)
    given = 0
    for _ in range(300):
        # One in four is wrong, whatever its score, where one in five may be.
        (threshold,) = promised_thresholds(drawn_world(rng, 60, 1.0, chance=0.75), PROMISE)
        given += not np.isnan(threshold)
    assert binom.sf(given - 1, 300, 1 - PROMISE.confidence) > 0.01


def test_all_categories_together_keep_their_promise():
    rng = np.random.default_rng(7)
    promise = PROMISE.model_copy(update={"together": True})
    true_excess = excess(drawn_world(rng, 10_000, 0.5), promise)
    kept, given = 0, 0
    for _ in range(100):
        found = promised_thresholds(drawn_world(rng, 150, 0.5, categories=3), promise)
        given += not np.isnan(found).all()
        kept += all(np.isnan(own) or true_excess[own == GRID][0] <= 0 for own in found)
    assert binom.cdf(kept, 100, promise.confidence) > 0.01
    assert given > 30


def test_by_hand_a_flawless_record_needs_as_many_images_as_the_error_says():
    # 4 in 10 may be wrong: a bet of all of it would multiply the stake by 1 + 0.4 / 0.6.
    flawless = np.full((20, 1), -0.4)
    evidence = [log_evidence(flawless[:n], 0.4, 1)[0] for n in range(1, 21)]
    assert np.all(np.diff(evidence) > 0)
    assert evidence[2] < np.log(5) < evidence[5]
    assert evidence[-1] <= 20 * np.log(1 + 0.99 * 0.4 / 0.6) + 1e-9


def test_losses_above_what_is_allowed_are_no_evidence():
    assert log_evidence(np.full((200, 1), 0.1), 0.1, 1).tolist() == [0.0]


def test_images_of_one_group_count_as_one():
    import pandas as pd

    from recycling.pseudo_labels.core import graded_by_score

    rows = pd.DataFrame({"image": [0, 1, 2], "category": 0, "score": 0.5, "outcome": [1, 0, 1]})
    graded = graded_by_score(rows, pd.DataFrame({"group": ["a", "a", "b"]}), 1, cap=3)
    at = np.flatnonzero(GRID <= 0.5)[0]
    assert graded.kept[:, 0, at].tolist() == [1.0, 1.0]
    assert graded.wrong[:, 0, at].tolist() == [0.5, 0.0]
    assert graded.kept[:, 0, at - 1].tolist() == [0.0, 0.0]


def test_only_the_surest_of_a_category_on_an_image_are_kept():
    import pandas as pd

    from recycling.pseudo_labels.core import graded_by_score

    rows = pd.DataFrame({"image": 0, "category": 0, "score": [0.9, 0.3, 0.6], "outcome": [1, 0, 0]})
    graded = graded_by_score(rows, pd.DataFrame({"group": ["a"]}), 1, cap=2)
    assert graded.kept[0, 0, -1] == 2
    assert graded.wrong[0, 0, -1] == 1
