"""Searching for an ensemble with Optuna: who is in it, how much each counts, how they are fused.

One search on all parts gives the ensemble; one more for each part, on the others, says what such
an ensemble is worth (`recycling.ensembling.search.selection`). They go forward together, trial by
trial, so that a run that stops early has all of them equally far.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NewType

import numpy as np
import pandas as pd

from recycling.ensembling.members import EnsemblingError
from recycling.ensembling.methods import Searched
from recycling.ensembling.search.candidates import (
    CALIBRATE,
    Candidate,
    Fused,
    Setting,
    Space,
    candidate,
)
from recycling.ensembling.search.selection import (
    N_STEPS,
    SEARCH,
    Choice,
    Choices,
    Scores,
    alone,
    choices_table,
    choose_best_member,
    choose_greedily,
    chosen_row,
    in_words,
    keep_default,
    leave_out_worst,
)
from recycling.files import drop_unfinished_line
from recycling.progress import progress_bar
from recycling.stopping import stop_if_asked
from recycling.tables import Column, Schema, register_table

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial
    from rich.progress import Progress

    from recycling.ensembling.search.candidates import Problem

History = NewType("History", pd.DataFrame)
"""One row a trial; schema `HISTORY`."""

HISTORY = Schema(
    "history of a search",
    (
        Column("search", "string", "the parts that it chooses on"),
        Column("trial", "int64", "its number, from 0", minimum=0),
        Column("method", "string", "how the members are fused"),
        Column("weights", "string", "who is in the ensemble, and how much each counts"),
        Column("settings", "string", "the method's settings"),
        Column("score", "float64", "mean over the parts that it chooses on"),
        Column("best", "float64", "the highest up to this trial"),
    ),
)
register_table("search_history", HISTORY, History)

ALL_FOLDS = "all folds"
"""The search whose ensemble is chosen; those beside it only say what it is worth."""

N_DRAWS = 10
"""How often an ensemble is drawn until it is a new one: half of it by TPE, then at random."""

MAX_WEIGHT = N_STEPS
"""Enough for what greedy selection finds, which is where the search begins."""


@dataclass(frozen=True)
class Found:
    """What a search found, beside what simpler ways choose.

    Attributes:
        default: All members, fused as it is configured.
        best_member: The best single member.
        all_but_worst: The default without its worst member.
        greedy: Greedy forward selection, the baseline to beat.
        searched: The search.
        history: Every trial; schema `HISTORY`.
    """

    default: Choice
    best_member: Choice
    all_but_worst: Choice
    greedy: Choice
    searched: Choice
    history: History

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The ways of choosing, the simplest first."""
        return self.default, self.best_member, self.all_but_worst, self.greedy, self.searched

    @property
    def best(self) -> Choice:
        """The default, unless another is better by more than a standard error of the difference.

        Of several such, the one with the highest held-out score; of equals the simplest. It is
        chosen among a few by the very score that it reports, which flatters it a little where they
        are close.
        """
        return self.choices[chosen_row(self.table())]

    def table(self) -> Choices:
        """The ways of choosing side by side; schema `CHOICES`."""
        return choices_table(self.choices)


def search(
    problem: Problem[Fused],
    *,
    n_trials: int | None = 100,
    timeout_s: float | None = None,
    seed: int = 0,
    storage: Path | None = None,
    code: str = "",
    data: str = "",
) -> Found:
    """Search for the best ensemble with Optuna's TPE sampler.

    It begins with what greedy selection chooses and with all members counting the same, by each
    method and by the first with calibrated scores. At the end, members are left out as long as that
    costs nothing. So on the parts that it chooses on it is never worse than greedy selection;
    whether it is better on others, the held-out scores say.

    The same problem, seed and number of trials give the same result, whether or not the run was
    broken off and started again.

    Args:
        problem: What to choose from.
        n_trials: How many ensembles each search tries; there is one search for each part, and one
            on all. None where only the time counts.
        timeout_s: After how many seconds no further trial begins; None where only their number
            counts. The best member, greedy selection and each search's first trial are waited for.
        seed: Of the sampler.
        storage: A folder that keeps the trials, made if it is not there. Each search has a file of
            its own in it (Optuna's journal) and goes on from where it stopped; one of other
            predictions or code begins anew.
        code: What says of which code the trials in the storage are, such as a hash; another one is
            another search.
        data: What says of which predictions and truth they are, likewise. Without it the members'
            own scores stand for these; they are the same for others that order alike, too.

    Returns:
        The choices of the default, of the best member, of all but the worst, of greedy selection
        and of the search, and all trials.

    Raises:
        EnsemblingError: No budget, a score that is not a finite number, or a file in the storage
            that is no journal.
    """
    import optuna

    _check_budget(n_trials, timeout_s)
    stop = None if timeout_s is None else time.monotonic() + timeout_s
    scores = Scores(problem)
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # the progress line says it
    with progress_bar() as progress:
        default, best_member, all_but_worst, greedy = _baselines(scores, progress)
        starts = (greedy.chosen, *greedy.chosen_without)
        held_out = (None, *range(len(problem.parts)))
        kept = None if storage is None else _open(storage, _described(scores, seed, code, data))
        searches = [
            _Search(scores, part, start, seed, kept)
            for part, start in zip(held_out, starts, strict=True)
        ]
        _run(searches, n_trials, stop, progress)
        found = {each.held_out: each.best(n_trials) for each in searches}
    return Found(
        default=default,
        best_member=best_member,
        all_but_worst=all_but_worst,
        greedy=greedy,
        searched=scores.choice(SEARCH, found.__getitem__),
        history=_history(searches, n_trials),
    )


def _check_budget(n_trials: int | None, timeout_s: float | None) -> None:
    if n_trials is None and timeout_s is None:
        raise EnsemblingError("a search without an end; give n_trials, timeout_s or both")
    if n_trials is not None and n_trials < 1:
        raise EnsemblingError(f"n_trials is {n_trials}; it should be 1 or more")
    if timeout_s is not None and not timeout_s >= 0:
        raise EnsemblingError(f"timeout_s is {timeout_s}; it should be 0 or more")


def _baselines(scores: Scores[Fused], progress: Progress) -> list[Choice]:
    """What the simpler ways choose, the simplest first."""
    ways = (keep_default, choose_best_member, leave_out_worst, choose_greedily)
    task = progress.add_task("default, best member, greedy", total=len(ways), note="")
    found = []
    for choose in ways:
        found.append(choose(scores))
        progress.update(task, advance=1, note=f"{found[-1].held_out_score:.4f} held out")
    return found


def _run(
    searches: list[_Search[Fused]], n_trials: int | None, stop: float | None, progress: Progress
) -> None:
    """Take every search forward by a trial, then by another, until the budget is spent."""
    total = None if n_trials is None else n_trials * len(searches)
    task = progress.add_task("search", total=total, note="")
    for number in count() if n_trials is None else range(n_trials):
        for each in searches:
            if number >= each.n_trials:
                if number > 0 and stop is not None and time.monotonic() >= stop:
                    return
                each.step()
            note = f"best {searches[0].study.best_value:.4f}" if searches[0].n_trials else ""
            progress.update(task, advance=1, note=note)


class _Search(Generic[Fused]):
    """One search: on all parts, or on all but one.

    Trials are drawn in memory and kept in the storage once they have their score. A run that is
    killed in the middle of one so leaves no trace of it, and its number is drawn again.

    Args:
        scores: Of the problem.
        held_out: The part that it is not shown; None where it is shown all.
        start: What greedy selection chose on the same parts.
        seed: Of the sampler.
        storage: Where its trials are kept, and may be already.
    """

    def __init__(
        self,
        scores: Scores[Fused],
        held_out: int | None,
        start: Candidate,
        seed: int,
        storage: BaseStorage | None,
    ) -> None:
        import optuna

        self.scores, self.held_out = scores, held_out
        self.name = (
            ALL_FOLDS if held_out is None else f"without fold {scores.problem.folds[held_out]}"
        )
        self._seed = seed
        self.study = optuna.create_study(direction="maximize")
        self._kept: Study | None = None
        if storage is not None:
            self._kept = _kept_study(storage, self.name)
            self.study.add_trials(self._kept.get_trials(deepcopy=False))
        problem = scores.problem
        self._tried = {chosen for chosen, _ in self.tried(None)}
        starts = [start, *_starts(problem)]
        for first in list(dict.fromkeys(starts))[self.n_trials :]:
            self.study.enqueue_trial(_parameters(problem, first))

    @property
    def n_trials(self) -> int:
        """How many trials have their score."""
        return len(self._complete())

    def step(self) -> None:
        """Try one more ensemble."""
        trial, chosen = self._draw()
        self._tried.add(chosen)
        told = self.study.tell(trial, self._score(chosen))
        if self._kept is not None:
            self._kept.add_trial(told)
            stop_if_asked()

    def _draw(self) -> tuple[Trial, Candidate]:
        """Draw an ensemble that was not tried yet, if a few draws find one.

        TPE takes a good ensemble that it has drawn ten times for ten good ones, and draws no other.
        """
        import optuna

        for draw in range(N_DRAWS):
            # A sampler of its own for each trial and draw: it does not matter how many this process
            # has drawn before.
            states = np.random.SeedSequence([self._seed, self.n_trials, draw]).generate_state(1)
            samplers = optuna.samplers
            guided = draw < N_DRAWS // 2
            sampler = samplers.TPESampler if guided else samplers.RandomSampler
            self.study.sampler = sampler(seed=int(states[0]))
            trial = self.study.ask()
            _suggest(self.scores.problem, trial)
            chosen = _meant(self.scores.problem, trial.params)
            if chosen not in self._tried or draw == N_DRAWS - 1:
                break
            self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return trial, chosen

    def tried(self, n_trials: int | None) -> list[tuple[Candidate, float]]:
        """The first ensembles that were tried, and their scores."""
        return [
            (_meant(self.scores.problem, trial.params), float(trial.values[0]))
            for trial in self._complete()[:n_trials]
        ]

    def best(self, n_trials: int | None) -> Candidate:
        """The best of the first ensembles; of equals one with the fewest members."""
        tried = self.tried(n_trials)
        chosen, _ = max(tried, key=lambda pair: (pair[1], -len(pair[0].members)))
        return self._without_idle(chosen)

    def _score(self, chosen: Candidate) -> float:
        return self.scores.training(chosen, self.held_out)

    def _complete(self) -> list[FrozenTrial]:
        from optuna.trial import TrialState

        return self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))

    def _without_idle(self, chosen: Candidate) -> Candidate:
        """Leave members out as long as that costs nothing, each time the one that gains most."""
        method = next(m for m in self.scores.problem.methods if m.name == chosen.method)
        while len(chosen.members) > 1:
            fewer = [
                candidate(method, dict(chosen.weights) | {name: 0}, dict(chosen.settings))
                for name in chosen.members
            ]
            best = max(fewer, key=self._score)
            if self._score(best) < self._score(chosen):
                break
            chosen = best
        return chosen


def _all_equal(problem: Problem[Fused], method: Space) -> Candidate:
    return candidate(method, dict.fromkeys(problem.names, 1))


def _starts(problem: Problem[Fused]) -> list[Candidate]:
    """All members counting the same, by each method, and by the first with scores calibrated."""
    starts = [_all_equal(problem, method) for method in problem.methods]
    for method in problem.methods:
        calibrations = method.settings.get(CALIBRATE, ())
        if isinstance(calibrations, tuple) and calibrations:
            everybody = dict.fromkeys(problem.names, 1)
            starts += [
                candidate(method, everybody, method.defaults() | {CALIBRATE: name})
                for name in calibrations
            ]
            break
    return starts


def _suggest(problem: Problem[Fused], trial: Trial) -> None:
    """Draw the parameters of an ensemble."""
    names = [method.name for method in problem.methods]
    drawn = trial.suggest_categorical("method", names)
    for name in problem.names:
        # 0 and all below it mean out: about half of the members are, to begin with.
        trial.suggest_int(_weight(name), -MAX_WEIGHT, MAX_WEIGHT)
    for name, tried in problem.methods[names.index(drawn)].settings.items():
        key = f"{drawn}.{name}"
        if isinstance(tried, Searched):
            trial.suggest_float(key, tried.low, tried.high, step=tried.step)
        else:
            trial.suggest_categorical(key, tried)


def _meant(problem: Problem[Fused], parameters: Mapping[str, Any]) -> Candidate:
    """The ensemble that parameters describe; without a member inside, all count the same."""
    method = next(method for method in problem.methods if method.name == parameters["method"])
    weights = {name: max(0, int(parameters[_weight(name)])) for name in problem.names}
    if not any(weights.values()):
        return _all_equal(problem, method)
    settings: dict[str, Setting] = {}
    for name in method.settings:
        value = parameters[f"{method.name}.{name}"]
        # Optuna adds up steps: 0.55 may be 0.5500000000000003.
        settings[name] = value if isinstance(value, str) else round(value, 9)
    return candidate(method, weights, settings)


def _parameters(problem: Problem[Fused], chosen: Candidate) -> dict[str, Setting]:
    """The parameters that describe an ensemble."""
    weights = dict(chosen.weights)
    return {
        "method": chosen.method,
        **{_weight(name): weights.get(name, 0) for name in problem.names},
        **{f"{chosen.method}.{name}": value for name, value in chosen.settings},
    }


def _weight(name: str) -> str:
    return f"weight.{name}"


def _history(searches: list[_Search[Fused]], n_trials: int | None) -> History:
    tables = []
    for each in searches:
        tried = each.tried(n_trials)
        values = [score for _, score in tried]
        tables.append(
            pd.DataFrame(
                {
                    "search": each.name,
                    "trial": range(len(tried)),
                    "method": [chosen.method for chosen, _ in tried],
                    "weights": [in_words(chosen.weights) for chosen, _ in tried],
                    "settings": [in_words(chosen.settings) for chosen, _ in tried],
                    "score": values,
                    "best": np.maximum.accumulate(values),
                }
            )
        )
    return History(HISTORY.conform(pd.concat(tables), where="history"))


def _described(scores: Scores[Fused], seed: int, code: str, data: str) -> dict[str, Any]:
    """What a search is of."""
    problem = scores.problem
    parts = [part.tolist() for part in problem.parts]
    return {
        "seed": seed,
        "code": code,
        "data": data,
        "members": list(problem.names),
        "methods": [repr(method) for method in problem.methods],
        "folds": sha256(json.dumps([problem.folds, parts]).encode()).hexdigest(),
        "predictions or truth": [scores.of(alone(name)).tolist() for name in problem.names],
    }


def _open(folder: Path, described: Mapping[str, Any]) -> BaseStorage:
    """Open the journal of a search in a folder, or begin one.

    Raises:
        EnsemblingError: The file holds something else.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    name = sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
    path = folder / f"{name[:16]}.journal"
    folder.mkdir(parents=True, exist_ok=True)
    foreign = f"{path}: not a journal of trials; delete it"
    if path.exists():
        content = path.read_bytes()
        if not content.startswith(_BEGINNING[: len(content)]):
            raise EnsemblingError(foreign)
        drop_unfinished_line(path)
    try:
        return JournalStorage(JournalFileBackend(str(path)))
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise EnsemblingError(foreign) from error


def _kept_study(storage: BaseStorage, name: str) -> Study:
    """A study in a storage, made if it is not there."""
    import optuna

    # `load_if_exists` would do, but writes to the journal each time.
    if name in optuna.get_all_study_names(storage):
        return optuna.load_study(study_name=name, storage=storage)
    return optuna.create_study(study_name=name, storage=storage, direction="maximize")


_BEGINNING = b'{"op_code":'
"""How a journal begins."""
