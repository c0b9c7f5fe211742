"""Choosing an ensemble: the best member, greedy selection, search; and what a choice is worth."""

import json
import os
from dataclasses import replace

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recycling.ensembling import EnsemblingError
from recycling.ensembling.methods import Searched
from recycling.ensembling.search.candidates import (
    DEFAULT,
    Candidate,
    Judge,
    Problem,
    Space,
    candidate,
)
from recycling.ensembling.search.core import ALL_FOLDS, HISTORY, search
from recycling.ensembling.search.selection import (
    CHOICES,
    Scores,
    alone,
    choice_sentence,
    choices_table,
    choose_best_member,
    choose_greedily,
    keep_default,
    leave_out_worst,
)

MEAN = Space("mean", {"shrink": Searched(0.5, 1.0, 0.05, first=0.8)})
MEDIAN = Space("median", weighted=False)
N_PARTS = 4


def problem(skills, methods=(MEAN, MEDIAN), n_images=400, seed=0):
    """Members guess a number an image, off by their skill; the score is 1 less the mean square."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n_images)
    guesses = {name: truth + off * rng.normal(size=n_images) for name, off in skills.items()}

    def fuse(chosen, held_out, best_first):
        of_members = [guesses[name] for name in chosen.members]
        if chosen.method == "median":
            return np.median(of_members, axis=0)
        weights = [weight for _, weight in chosen.weights]
        shrink = dict(chosen.settings).get("shrink", 1.0)
        return shrink * np.average(of_members, axis=0, weights=weights)

    return Problem(
        names=tuple(sorted(skills)),
        methods=methods,
        folds=tuple(range(N_PARTS)),
        parts=tuple(np.arange(part, n_images, N_PARTS) for part in range(N_PARTS)),
        fuse=fuse,
        score=lambda fused, ids: 1 - float(np.mean((fused[ids] - truth[ids]) ** 2)),
    )


def counted(made_up, limit=None):
    """The same problem, and how often it was fused; it kills the process at the limit."""
    calls = []

    def fuse(chosen, held_out, best_first):
        calls.append(chosen)
        if limit is not None and len(calls) > limit:
            os._exit(9)
        return made_up.fuse(chosen, held_out, best_first)

    return replace(made_up, fuse=fuse), calls


@pytest.fixture(scope="module")
def useful():
    return problem({"a": 0.5, "b": 0.5, "c": 0.6, "useless": 4.0})


def same(one, other):
    return (
        one.choices == other.choices
        and one.history.equals(other.history)
        and one.table().equals(other.table())
    )


def test_a_useless_member_is_left_out_and_the_useful_ones_are_kept(useful):
    found = search(useful, n_trials=20)
    for choice in (found.greedy, found.searched):
        assert choice.chosen.members == ("a", "b", "c")
        assert all("useless" not in chosen.members for chosen in choice.chosen_without)


def test_members_that_alter_nothing_are_left_out_of_what_the_search_finds():
    # Only c and d together are worth anything, which steps of one member never meet.
    made_up = replace(
        problem(dict.fromkeys("abcd", 1.0)),
        fuse=lambda chosen, held_out, best_first: chosen.members,
        score=lambda fused, ids: float({"c", "d"} <= set(fused)),
    )
    found = search(made_up, n_trials=2)
    assert found.greedy.training_score == 0
    assert found.searched.training_score == 1
    assert found.searched.chosen.members == ("c", "d")


def test_an_ensemble_of_useful_members_gains_on_held_out_parts(useful):
    found = search(useful, n_trials=20)
    for choice in (found.greedy, found.searched):
        assert choice.held_out_score > found.best_member.held_out_score + 0.05
        assert choice.gain > 4 * choice.gain_error
    assert found.default.gain == found.default.gain_error == 0
    # The default has the useless member in it; whatever leaves it out is better.
    assert found.all_but_worst.chosen.members == ("a", "b", "c")
    assert found.best in (found.all_but_worst, found.greedy, found.searched)


def test_the_default_stays_unless_another_is_better_by_more_than_a_standard_error():
    even = problem({"a": 0.5, "b": 0.5}, methods=(Space("mean"),))
    found = search(even, n_trials=4)
    assert found.best is found.default
    assert choice_sentence(found.table()).startswith("kept the default: the best found (")
    useless = search(problem({"a": 0.5, "b": 0.5, "c": 9.0}, methods=(Space("mean"),)), n_trials=4)
    best = useless.best
    assert best.chosen.members == ("a", "b")
    assert best.gain > best.gain_error
    assert "instead of the default: a 1, b 1" in choice_sentence(useless.table())


def test_the_default_is_fused_as_it_is_configured_and_not_as_the_first_method_is():
    seen = []
    made_up = problem({"a": 0.5, "b": 0.5})

    def fuse(chosen, held_out, scores):
        seen.append((chosen.method, held_out, dict(scores)))
        return made_up.fuse(chosen, held_out, scores)

    default = Space(DEFAULT, weighted=False, learns="scores")
    configured = replace(made_up, fuse=fuse, default=default)
    scores = Scores(configured)
    choice = keep_default(scores)
    assert choice.chosen == Candidate(DEFAULT, (("a", 1), ("b", 1)))
    # It is told the members' scores on the other parts, and never those of the part held out.
    told = {held_out: known for method, held_out, known in seen if method == DEFAULT}
    assert set(told) == {None, *range(N_PARTS)}
    for held_out, known in told.items():
        assert known == {name: scores.training(alone(name), held_out) for name in "ab"}


def judged(made_up, groups=None):
    """The same problem, scored image by image; the score of a draw is the mean over it."""
    n_images = sum(map(len, made_up.parts))
    part = np.arange(n_images) % N_PARTS
    group = np.arange(n_images) if groups is None else groups

    def scores(fused):
        each = np.array([made_up.score(fused, np.array([image])) for image in range(n_images)])
        return lambda draws: draws @ each / draws.sum(axis=1)

    return replace(made_up, score=None, judge=Judge(scores, part, group))


def test_scores_image_by_image_are_those_of_the_parts_and_the_error_is_that_of_a_mean(useful):
    by_image = judged(useful)
    one = search(useful, n_trials=3)
    other = search(by_image, n_trials=3)
    for before, after in zip(one.choices, other.choices, strict=True):
        assert before.chosen == after.chosen
        assert before.held_out == pytest.approx(after.held_out)
    # The mean over the images of the gain of each has a standard error that is known.
    scores = Scores(by_image)
    choice = leave_out_worst(scores)
    difference = np.empty(400)
    for part, ids in enumerate(by_image.parts):
        for chosen, sign in ((choice.chosen_without[part], 1), (scores.default, -1)):
            fused = scores.fused(chosen, part)
            each = [sign * useful.score(fused, np.array([image])) for image in ids]
            difference[ids] = difference[ids] + each if sign < 0 else each
    expected = difference.std(ddof=1) / np.sqrt(400)
    assert choice.gain_error == pytest.approx(expected, rel=0.15)


def test_images_of_one_group_are_drawn_together_and_make_the_error_larger(useful):
    # Ten copies of each image say no more than one of them.
    guesses = np.repeat(np.arange(40), 10)
    copied = replace(
        useful,
        fuse=lambda chosen, *_: useful.fuse(chosen, None, {})[guesses],
        parts=tuple(np.flatnonzero(guesses % N_PARTS == part) for part in range(N_PARTS)),
        score=lambda fused, ids: useful.score(fused[::10], guesses[ids]),
    )
    part = guesses % N_PARTS

    def scores(fused):
        each = np.array([copied.score(fused, np.array([image])) for image in range(400)])
        return lambda draws: draws @ each / draws.sum(axis=1)

    def error(group):
        judge = Judge(scores, part, group)
        return judge, leave_out_worst(Scores(replace(copied, score=None, judge=judge))).gain_error

    alone_judge, of_images = error(np.arange(400))
    together_judge, of_groups = error(guesses)
    assert (alone_judge.unit, together_judge.unit) == ("400 images", "40 groups of images")
    assert of_groups == pytest.approx(of_images * np.sqrt(10), rel=0.3)


def test_the_error_is_over_the_parts_where_one_of_them_is_a_single_group(useful):
    """All draws of one group are alike, and tell nothing of other groups."""
    part = np.arange(400) % N_PARTS
    choice = leave_out_worst(Scores(judged(useful, groups=part)))
    gains = np.subtract(choice.held_out, choice.default)
    assert choice.gain_error == pytest.approx(gains.std(ddof=1) / np.sqrt(N_PARTS))
    assert choice.gain_error > 0
    assert choice.unit == f"{N_PARTS} parts"


def test_the_error_of_few_groups_is_that_of_a_mean():
    """Draws of two groups vary by half of what the mean of two varies by."""
    part = np.repeat(np.arange(N_PARTS), 100)
    group = np.arange(400) // 50
    rng = np.random.default_rng(0)
    gain_of_group = rng.normal(size=8)

    def score(fused, ids):
        return float(np.mean(gain_of_group[group[ids]])) if len(fused) == 1 else 0.0

    made_up = replace(
        problem({"a": 0.5, "b": 0.5}),
        parts=tuple(np.flatnonzero(part == own) for own in range(N_PARTS)),
        fuse=lambda chosen, *_: chosen.members,
        score=score,
    )

    def scores(fused):
        each = np.array([score(fused, [image]) for image in range(400)])
        return lambda draws: draws @ each / draws.sum(axis=1)

    choice = leave_out_worst(Scores(replace(made_up, score=None, judge=Judge(scores, part, group))))
    of_parts = gain_of_group.reshape(N_PARTS, 2).var(axis=1, ddof=1) / 2
    expected = np.sqrt(of_parts.sum()) / N_PARTS
    assert choice.gain_error == pytest.approx(expected, rel=0.1)
    assert choice.unit == "8 groups of images"


def test_all_but_the_worst_is_the_default_where_there_is_one_member():
    lonely = search(problem({"a": 0.5}, methods=(Space("mean"),)), n_trials=2)
    assert lonely.all_but_worst.chosen == lonely.default.chosen
    assert lonely.best is lonely.default


def test_the_best_member_is_recommended_where_no_ensemble_is_better():
    # Two members that always err alike and one that is bad: nothing to gain.
    alike = problem({"a": 0.1, "b": 6.0}, methods=(MEDIAN,))
    assert search(alike, n_trials=5).best.chosen == alone("a")


def test_on_noise_the_training_score_gains_and_the_held_out_score_does_not():
    found = [search(coin_tossers(seed), n_trials=6, seed=seed) for seed in range(40)]
    for how in ("greedy", "searched"):
        choices = [getattr(one, how) for one in found]
        best = [one.best_member for one in found]
        training = np.mean(
            [c.training_score - b.training_score for c, b in zip(choices, best, strict=True)]
        )
        held_out = np.mean(
            [c.held_out_score - b.held_out_score for c, b in zip(choices, best, strict=True)]
        )
        assert training > 0.02
        # Over 150 such problems the mean is -0.0005 and -0.0008, with a standard error of 0.0021.
        assert abs(held_out) < 0.3 * training


def coin_tossers(seed, n_images=400, n_members=6):
    """Members that know nothing of a truth that is one of two; the score is the share right."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n_images)
    names = tuple(f"m{number}" for number in range(n_members))
    guesses = dict(zip(names, rng.random((n_members, n_images)), strict=True))

    def fuse(chosen, held_out, best_first):
        weights = [weight for _, weight in chosen.weights]
        return np.average([guesses[n] for n in chosen.members], axis=0, weights=weights) > 0.5

    parts = tuple(np.arange(part, n_images, N_PARTS) for part in range(N_PARTS))
    return Problem(
        names=names,
        methods=(Space("mean"),),
        folds=tuple(range(N_PARTS)),
        parts=parts,
        fuse=fuse,
        score=lambda fused, ids: float(np.mean(fused[ids] == truth[ids])),
    )


def test_what_is_chosen_for_a_part_does_not_hang_on_that_part(useful):
    at = 2
    lying = replace(
        useful,
        score=lambda fused, ids: (
            -useful.score(fused, ids) if ids is useful.parts[at] else useful.score(fused, ids)
        ),
    )
    honest, other = search(useful, n_trials=12), search(lying, n_trials=12)
    assert honest.searched.chosen_without[at] == other.searched.chosen_without[at]
    assert honest.greedy.chosen_without[at] == other.greedy.chosen_without[at]
    assert honest.searched.held_out[at] == -other.searched.held_out[at]
    assert honest.searched.chosen != other.searched.chosen


def test_the_search_is_never_worse_than_greedy_selection_on_what_it_chooses_on(useful):
    for n_trials in (1, 15):
        found = search(useful, n_trials=n_trials)
        assert found.searched.training_score >= found.greedy.training_score


def test_the_search_finds_settings_and_methods_that_greedy_selection_does_not_try():
    # Shrinking costs: the best is not to, which greedy selection never learns.
    found = search(problem({"a": 0.1, "b": 0.1}), n_trials=25)
    assert dict(found.greedy.chosen.settings) == {"shrink": 0.8}
    assert found.searched.held_out_score > found.greedy.held_out_score + 0.01


def test_no_ensemble_is_tried_twice_while_there_are_others(useful):
    history = search(useful, n_trials=30).history
    assert not history.duplicated(["search", "method", "weights", "settings"]).any()


def test_where_all_ensembles_were_tried_the_budget_is_kept_still():
    history = search(problem({"a": 0.5, "b": 0.5}, methods=(MEDIAN,)), n_trials=6).history
    assert history.groupby("search").size().tolist() == [6] * (N_PARTS + 1)
    assert set(history["weights"]) == {"a 1", "b 1", "a 1, b 1"}


@pytest.mark.parametrize("n_trials", [1, 14])
def test_the_budget_of_trials_is_kept(useful, n_trials):
    history = search(useful, n_trials=n_trials).history
    names = [ALL_FOLDS, *(f"without fold {fold}" for fold in range(N_PARTS))]
    assert history["search"].value_counts().to_dict() == dict.fromkeys(names, n_trials)


def test_when_the_time_is_up_every_search_has_had_one_trial_and_no_more(useful):
    history = search(useful, n_trials=50, timeout_s=0).history
    assert history["search"].value_counts().tolist() == [1] * (N_PARTS + 1)


def test_time_alone_may_be_the_budget(useful):
    history = search(useful, n_trials=None, timeout_s=0.3).history
    counts = history["search"].value_counts()
    assert counts.max() - counts.min() <= 1


def test_a_search_without_an_end_is_refused(useful):
    with pytest.raises(EnsemblingError, match="without an end"):
        search(useful, n_trials=None)
    with pytest.raises(EnsemblingError, match="n_trials is 0"):
        search(useful, n_trials=0)
    with pytest.raises(EnsemblingError, match="timeout_s"):
        search(useful, timeout_s=-1)


def test_the_same_seed_gives_the_same_and_another_seed_tries_others(useful):
    one, again, other = (search(useful, n_trials=15, seed=seed) for seed in (3, 3, 4))
    assert same(one, again)
    assert not one.history.equals(other.history)


def test_the_order_in_which_members_are_named_does_not_matter():
    skills = {"b": 0.6, "useless": 4.0, "a": 0.5}
    rng = np.random.default_rng(0)
    guesses = {name: off * rng.normal(size=80) for name, off in skills.items()}

    def named(names):
        made = problem(dict.fromkeys(names, 1.0), n_images=80)
        return replace(
            made,
            fuse=lambda chosen, *_: np.mean([guesses[name] for name in chosen.members], axis=0),
            score=lambda fused, ids: -float(np.mean(fused[ids] ** 2)),
        )

    assert same(search(named(skills), n_trials=8), search(named(sorted(skills)), n_trials=8))


def test_a_search_goes_on_where_it_stopped_and_ends_as_if_it_had_not(useful, tmp_path):
    folder = tmp_path / "run" / "searches"
    unbroken = search(useful, n_trials=18, seed=5)
    search(useful, n_trials=7, seed=5, storage=folder)
    assert same(search(useful, n_trials=18, seed=5, storage=folder), unbroken)


def only_file(folder):
    (path,) = folder.iterdir()
    return path


def test_trials_that_are_stored_are_not_done_again(useful, tmp_path):
    search(useful, n_trials=18, storage=tmp_path)
    stored = only_file(tmp_path).read_bytes()
    fresh, calls_of_all = counted(useful)
    search(fresh, n_trials=18)
    made_up, calls = counted(useful)
    search(made_up, n_trials=18, storage=tmp_path)
    assert len(calls) < len(calls_of_all)
    assert only_file(tmp_path).read_bytes() == stored


def test_a_smaller_budget_gives_what_it_would_have_given_at_first(useful, tmp_path):
    search(useful, n_trials=14, storage=tmp_path)
    assert same(search(useful, n_trials=6, storage=tmp_path), search(useful, n_trials=6))


def test_a_search_that_was_killed_goes_on(useful, tmp_path):
    unbroken = search(useful, n_trials=12)
    made_up, calls = counted(useful)
    choose_greedily(Scores(made_up))
    child = os.fork()
    if child == 0:
        search(counted(useful, limit=len(calls) + 4)[0], n_trials=12, storage=tmp_path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    trials = only_file(tmp_path).read_text().count("weight.a")
    assert trials > 0
    assert same(search(useful, n_trials=12, storage=tmp_path), unbroken)
    assert only_file(tmp_path).read_text().count("weight.a") > trials


@pytest.mark.parametrize("lost", [1, 40])
def test_a_line_that_a_killed_search_did_not_finish_is_cut_off(useful, tmp_path, lost):
    search(useful, n_trials=4, storage=tmp_path)
    path = only_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-lost])
    assert same(search(useful, n_trials=6, storage=tmp_path), search(useful, n_trials=6))
    # And what it wrote then can be read again.
    assert same(search(useful, n_trials=6, storage=tmp_path), search(useful, n_trials=6))


def test_a_search_of_something_else_begins_anew_and_the_first_is_kept(useful, tmp_path):
    first = search(useful, n_trials=6, storage=tmp_path)
    retrained = problem({"a": 0.5, "b": 0.5, "c": 0.6, "useless": 4.0}, seed=1)
    others = (retrained, replace(useful, methods=(MEAN,)), replace(useful, names=("a", "b")))
    for other in others:
        assert same(search(other, n_trials=6, storage=tmp_path), search(other, n_trials=6))
    search(useful, n_trials=6, seed=1, storage=tmp_path)
    search(useful, n_trials=6, storage=tmp_path, code="another")
    assert len(list(tmp_path.iterdir())) == 6
    stored = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert same(search(useful, n_trials=6, storage=tmp_path), first)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == stored


@pytest.mark.parametrize("content", ["how,method\n1,2\n", "notes", '{"op_code":77}\n', "{}\n"])
def test_a_file_that_is_no_journal_is_left_as_it_is(useful, tmp_path, content):
    search(useful, n_trials=1, storage=tmp_path)
    path = only_file(tmp_path)
    path.write_text(content)
    with pytest.raises(EnsemblingError, match=r"\.journal: not a journal"):
        search(useful, n_trials=2, storage=tmp_path)
    assert path.read_text() == content


def test_a_score_that_is_not_finite_stops_with_one_line(useful):
    broken = replace(useful, score=lambda fused, ids: float("nan"))
    with pytest.raises(EnsemblingError, match="mean of a, b, c, useless scores nan on fold 0"):
        search(broken, n_trials=2)


def test_each_ensemble_is_fused_once(useful):
    made_up, calls = counted(useful)
    search(made_up, n_trials=15)
    assert len(calls) == len(set(calls))


def test_ensembles_that_learn_are_fused_anew_for_each_part_that_is_held_out():
    learning = Space("mean", weighted=False, learns="labels")
    made_up = problem({"a": 0.5, "b": 0.6}, methods=(learning,))
    seen = set()

    def fuse(chosen, held_out, best_first):
        if chosen.method == "mean":
            seen.add((chosen.members, held_out))
        return made_up.fuse(chosen, held_out, best_first)

    choose_greedily(Scores(replace(made_up, fuse=fuse)))
    both = [(("a", "b"), part) for part in (None, *range(N_PARTS))]
    assert seen >= set(both)


def test_ties_are_ranked_without_the_part_that_is_held_out():
    # Member b is better on part 0 by far, and on that one only.
    ranks = Space("vote", weighted=False, learns="ranks")
    seen = {}

    def fuse(chosen, held_out, best_first):
        if len(chosen.members) == 2:
            seen[held_out] = tuple(best_first)
        return chosen

    def score(chosen, ids):
        return {("a",): 0.6, ("b",): 0.5 + 5 * (ids[0] == 0)}.get(chosen.members, 0.0)

    ranked = replace(problem({"a": 1, "b": 1}, methods=(ranks,)), fuse=fuse, score=score)
    scores = Scores(ranked)
    for held_out in (None, 0, 1):
        scores.of(candidate(ranks, {"a": 1, "b": 1}), held_out)
    assert seen[None] == ("b", "a")
    assert seen[0] == ("a", "b")


def test_greedy_selection_takes_a_good_member_twice():
    skewed = problem({"a": 0.5, "b": 0.8}, methods=(Space("mean"),), n_images=4000)
    weights = dict(choose_greedily(Scores(skewed)).chosen.weights)
    # The best weights are as one over the square of how far members are off.
    assert weights["a"] / weights["b"] == pytest.approx((0.8 / 0.5) ** 2, rel=0.3)


def test_greedy_selection_is_at_least_as_good_as_every_member_where_one_alone_is_fused_as_it_is():
    fair = problem({"a": 0.5, "b": 0.9, "c": 2.0}, methods=(Space("mean"),))
    scores = Scores(fair)
    assert choose_greedily(scores).training_score >= choose_best_member(scores).training_score


def test_the_best_member_is_compared_with_by_the_same_rule(useful):
    choice = choose_best_member(Scores(useful))
    singles = np.array([Scores(useful).of(alone(name)) for name in useful.names])
    for part in range(N_PARTS):
        winner = np.delete(singles, part, axis=1).mean(axis=1).argmax()
        assert choice.held_out[part] == singles[winner, part]
    assert choice.training_score == singles.mean(axis=1).max()


def test_the_table_says_what_the_choices_say(useful):
    found = search(useful, n_trials=6)
    table = found.table()
    ways = ["default", "best member", "all but the worst", "greedy", "search"]
    assert table["how"].tolist() == ways
    assert CHOICES.conform(table, where="choices").equals(table)
    row = table.set_index("how").loc["greedy"]
    assert row["members"] == "a, b, c"
    assert row["settings"] == "shrink 0.8"
    assert [row[f"fold {fold}"] for fold in range(N_PARTS)] == list(found.greedy.held_out)
    assert row["held_out_score"] == pytest.approx(np.mean(found.greedy.held_out))
    default = table.set_index("how").loc["default"]
    assert row["gain"] == pytest.approx(row["held_out_score"] - default["held_out_score"])
    assert choices_table(found.choices).equals(table)


def test_the_history_says_the_best_so_far_of_each_search(useful):
    history = search(useful, n_trials=9).history
    assert HISTORY.conform(history, where="history").equals(history)
    for _, own in history.groupby("search"):
        assert own["trial"].tolist() == list(range(9))
        assert own["best"].tolist() == own["score"].cummax().tolist()


def test_a_choice_is_written_as_json_and_its_ensemble_read_back(useful):
    choice = search(useful, n_trials=6).searched
    content = json.loads(json.dumps(choice.to_dict()))
    ensemble = {key: content[key] for key in ("method", "weights", "settings")}
    assert Candidate.from_dict(ensemble) == choice.chosen
    assert content["gain"] == choice.gain
    with pytest.raises(EnsemblingError, match="keys method, weights"):
        Candidate.from_dict({"method": "mean", "weights": {"a": 1}})


@settings(max_examples=60)
@given(
    weights=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 9), min_size=1).filter(
        lambda weights: any(weights.values())
    ),
    factor=st.integers(1, 5),
    randomly=st.randoms(use_true_random=False),
)
def test_ensembles_that_mean_the_same_are_equal(weights, factor, randomly):
    shuffled = list(weights.items())
    randomly.shuffle(shuffled)
    scaled = {name: weight * factor for name, weight in shuffled}
    one, other = candidate(MEAN, weights), candidate(MEAN, scaled)
    assert one == other
    assert one.members == tuple(sorted(name for name in weights if weights[name]))
    ratios = np.array([weights[name] for name in one.members]) / [w for _, w in one.weights]
    assert np.allclose(ratios, ratios[0])
    assert {weight for _, weight in candidate(MEDIAN, weights).weights} == {1}


def test_an_ensemble_of_nobody_is_refused():
    with pytest.raises(EnsemblingError, match="no member has a weight above 0"):
        candidate(MEAN, {"a": 0})
    with pytest.raises(EnsemblingError, match="b: weight -1"):
        candidate(MEAN, {"a": 1, "b": -1})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ()}, "no members or no methods"),
        ({"methods": ()}, "no members or no methods"),
        ({"names": ("b", "a")}, "name each once, in order"),
        ({"parts": (np.arange(9),), "folds": (0,)}, "1 parts"),
        ({"folds": (0, 1)}, "4 parts and 2 names"),
    ],
)
def test_a_problem_that_cannot_be_is_refused(useful, change, message):
    with pytest.raises(EnsemblingError, match=message):
        replace(useful, **change)


def test_words_are_searched_as_well_as_numbers():
    worded = Space("mean", {"mood": ("bad", "good")})
    made_up = problem({"a": 0.5, "b": 0.5}, methods=(worded,))

    def fuse(chosen, held_out, best_first):
        fused = made_up.fuse(chosen, held_out, best_first)
        return fused + 1 if dict(chosen.settings).get("mood") == "bad" else fused

    found = search(replace(made_up, fuse=fuse), n_trials=15)
    assert dict(found.searched.chosen.settings) == {"mood": "good"}
    assert dict(found.greedy.chosen.settings) == {"mood": "bad"}


def test_optuna_says_nothing_of_each_trial(useful):
    optuna.logging.set_verbosity(optuna.logging.INFO)
    search(useful, n_trials=1)
    assert optuna.logging.get_verbosity() == optuna.logging.WARNING
