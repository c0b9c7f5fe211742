"""The effect of one change: by hand, and in drawn worlds whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import stdtrit

from recycling.evaluation import ClassCounts, draw_groups
from recycling.experiments import holm, measure_effect
from recycling.experiments.effect import drawn_contrast, measure_contrast


def accuracy(hits: np.ndarray) -> ClassCounts:
    """One crop an image, of which some are right."""
    own = np.asarray(hits, dtype=np.int64)[:, None]
    return ClassCounts(lambda h, t, _: h[:, 0] / t[:, 0], own, np.ones_like(own), own)


def test_between_seeds_the_interval_is_students():
    # Every group alike, so that only the seeds differ: 0.5 and 1 better.
    half = accuracy([1, 0, 1, 0])
    groups = pd.Series(["a", "a", "b", "b"])  # of which no draw differs
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


def world(
    rng: np.random.Generator, effect: float, *, n_groups: int, n_seeds: int, seed_noise: float
) -> tuple[list[ClassCounts], list[ClassCounts], pd.Series]:
    """A change and its base on the same images, some groups of which are harder for both."""
    hard = rng.normal(0, 0.1, n_groups)
    helped = rng.normal(0, 0.05, n_groups)  # a change helps some images more than others
    treated, controls = [], []
    for _ in range(n_seeds):
        of_seed = rng.normal(0, seed_noise, 2)
        luck = rng.random(n_groups)  # what is hard for one training is mostly hard for the other
        other = np.where(rng.random(n_groups) < 0.7, luck, rng.random(n_groups))
        treated.append(accuracy(luck < 0.6 + hard + helped + effect + of_seed[0]))
        controls.append(accuracy(other < 0.6 + hard + of_seed[1]))
    return treated, controls, pd.Series(range(n_groups))


@pytest.mark.parametrize(
    ("of", "shape"),
    [
        ("predictions", {"n_groups": 200, "n_seeds": 1, "seed_noise": 0.0}),
        ("trainings", {"n_groups": 200, "n_seeds": 8, "seed_noise": 0.01}),
        ("trainings", {"n_groups": 80, "n_seeds": 2, "seed_noise": 0.02}),
    ],
)
def test_chance_is_called_real_in_one_of_twenty_and_an_effect_is_found(of, shape):
    rng = np.random.default_rng(0)

    def difference() -> float:
        treated, controls, _ = world(rng, 0, **shape)
        pairs = zip(treated, controls, strict=True)
        return float(np.mean([own.hits.mean() - twin.hits.mean() for own, twin in pairs]))

    error = np.std([difference() for _ in range(400)])
    called_real = []
    for effect in (0.0, 3.3 * error):
        found = [
            measure_effect("x", "accuracy", *world(rng, effect, **shape), of=of, n_draws=200)
            for _ in range(500)
        ]
        called_real.append(sum("chance" not in each["sentence"] for each in found))
    # 25 of 500 are 5 %; 37 and more are less likely than 1 % where each is.
    assert called_real[0] <= 36
    if shape["n_seeds"] != 2:  # which tell too little of their own noise
        assert called_real[1] >= 0.85 * 500


def rare(found: dict[int, tuple[int, int]], n_images: int = 40) -> ClassCounts:
    """A class on some images: there, how many of its objects are found, and how many there are."""
    hits, true = np.zeros((2, n_images, 1), dtype=np.int64)
    for image, (own, objects) in found.items():
        hits[image], true[image] = own, objects

    def share(h: np.ndarray, t: np.ndarray, _: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):  # an image without any
            return (h / t)[:, 0]

    return ClassCounts(share, hits, true, hits)


@pytest.mark.parametrize("images", [[3], [3, 8], [3, 8, 20]])
def test_a_class_that_is_won_on_all_of_its_few_images_is_no_proof(images):
    mine = rare(dict.fromkeys(images, (1, 1)))
    yours = rare(dict.fromkeys(images, (0, 1)))
    effect = measure_effect(
        "Battery", "recall", [mine], [yours], pd.Series(range(40)), of="predictions"
    )
    assert (effect["difference"], effect["p"]) == (1.0, 1.0)
    assert "chance" in effect["sentence"]


def test_of_a_rare_class_only_the_images_that_have_it_count():
    # Differences 1, 1, 0.5 on three images: Student's t of them, of two degrees of freedom.
    mine = rare({3: (2, 2), 8: (2, 2), 20: (1, 2)})
    yours = rare({3: (0, 2), 8: (0, 2), 20: (0, 2)})
    effect = measure_effect(
        "Battery", "recall", [mine], [yours], pd.Series(range(40)), of="predictions", n_draws=4000
    )
    error = np.std([1, 1, 0.5], ddof=1) / 3**0.5
    assert effect["high"] - effect["difference"] == pytest.approx(4.303 * error, rel=0.15)


@pytest.mark.parametrize("images", [7, 10, 15])
def test_of_a_class_that_hardly_any_draw_misses_its_groups_are_the_degrees_of_freedom(images):
    # Of 400 images, so many have it: Student's t of them, of one fewer degrees of freedom.
    hits = [1 + image % 2 for image in range(images)]
    mine = rare({20 * image: (own, 2) for image, own in enumerate(hits)}, 400)
    yours = rare({20 * image: (0, 2) for image in range(images)}, 400)
    groups = pd.Series(range(400))
    effect = measure_effect(
        "Battery", "recall", [mine], [yours], groups, of="predictions", n_draws=4000
    )
    drawn = drawn_contrast([(1, [mine]), (-1, [yours])], draw_groups(groups, n_draws=4000))
    error = np.nanstd(drawn, ddof=1) * (images / (images - 1)) ** 0.5
    reach = stdtrit(images - 1, 0.975) * error
    assert effect["high"] - effect["difference"] == pytest.approx(reach)


def test_one_group_says_nothing_of_others_whatever_the_seeds_say():
    groups = pd.Series(["a"] * 4)
    better, worse = [accuracy([1, 1, 1, 0]), accuracy([1] * 4)], [accuracy([0] * 4)] * 2
    assert measure_effect("x", "accuracy", better, worse, groups)["p"] == 1.0


def test_holms_correction_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_an_interaction_is_what_both_do_beyond_the_sum():
    groups = pd.Series(["a"] * 4)
    nothing, one, both = accuracy([0, 0, 0, 0]), accuracy([1, 0, 0, 0]), accuracy([1, 1, 1, 1])
    terms = [(1, [both]), (-1, [one]), (-1, [one]), (1, [nothing])]
    assert measure_contrast("a x b", "accuracy", terms, groups)["difference"] == 0.5
