"""A search over settings of a model: what is tried, and what the best is worth.

The held-out fold is halved, by groups of images: one half chooses, the other says how good the
choice is. A score that was chosen by is too good by construction.
"""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import product
from math import floor
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NewType, TypeAlias
from uuid import uuid4

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from recycling.backends import BackendError, Model
from recycling.errors import command, one_line
from recycling.files import drop_unfinished_line, write_text
from recycling.registry import Settings
from recycling.stopping import stop_if_asked
from recycling.tables import Column, Schema

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, Trial

logger = logging.getLogger(__name__)

Trials = NewType("Trials", pd.DataFrame)
"""One row a training of a search; schema `TRIALS`."""

FEWEST_FOR_IMPORTANCE = 10
"""Trainings to their end; a forest of fewer puts down to one setting what another one does."""

TRIALS = Schema(
    "trials",
    (
        Column("trial", "int64", "from 0, which is the base as it is", unique=True, minimum=0),
        Column("state", "string", "how it ended", values=("complete", "pruned", "failed")),
        Column("score", "Float64", "on the half that chooses; of its best epoch", nullable=True),
        Column("epochs", "int64", "that were trained", minimum=0),
        Column("minutes", "float64", "that it took", minimum=0),
        Column("settings", "string", "what it altered, as JSON"),
    ),
)


class Range(Settings):
    """Numbers that a setting may take.

    Attributes:
        low: The least.
        high: The greatest.
        log: Whether each power of ten is as likely as the next.
        step: Between two numbers that are tried; None for any. Whole ends make whole numbers.
    """

    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)
    log: bool = False
    step: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _ends_fit(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log: true needs a low above 0, and no step")
        return self

    @property
    def is_whole(self) -> bool:
        """Whether whole numbers are drawn."""
        numbers = (self.low, self.high, self.step or 1)
        return not self.log and all(number == int(number) for number in numbers)

    @property
    def grid(self) -> list[float]:
        """The numbers that are tried, where a step is given.

        >>> Range(low=0, high=1, step=0.3).grid, Range(low=4, high=9, step=2).grid
        ([0.0, 0.3, 0.6, 0.9], [4, 6, 8])
        """
        assert self.step is not None
        n = floor((self.high - self.low) / self.step + 1e-8)
        return [self.written(self.low + number * self.step) for number in range(n + 1)]

    def written(self, drawn: float) -> float:
        """A number as a person would write it."""
        if self.is_whole:
            return int(drawn)
        return float(f"{drawn:.3g}" if self.step is None else f"{drawn:.10g}")

    def holds(self, value: float) -> bool:
        """Whether a number may be drawn."""
        if not self.low <= value <= self.high:
            return False
        step = self.step or (1 if self.is_whole else None)
        if step is None:
            return True
        steps = (value - self.low) / step
        return abs(steps - round(steps)) < 1e-6


class Tuning(Settings):
    """What is searched, and for how long.

    Attributes:
        base: A model of `models.yml`.
        space: By setting (with dots for one inside a section), a range or a list of values.
        trials: How many trainings at most, those of earlier runs included.
        minutes: How long at most in this run; None for as long as it takes.
        fold: Which fold is held out; a half of it chooses, the other judges.
        workers: Trainings at a time, a process each.
        pruning: Whether a training that is worse than most were after as many epochs is ended.
        seed: Of what is drawn.
        given: Settings of one training, as an agent of a sweep gives them; no others are drawn.
    """

    base: str
    space: dict[str, Range | list[Any]] = Field(min_length=1)
    trials: int = Field(default=20, ge=1)
    minutes: float | None = Field(default=None, gt=0)
    fold: int = Field(default=0, ge=0)
    workers: int = Field(default=1, ge=1)
    pruning: bool = True
    seed: int = 0
    given: dict[str, Any] | None = None

    def files_of(self, base: Model) -> list[Model]:
        """The base with each recipe and each weights that the space names: files that are tried.

        Only these settings are altered: it is not said that such a model can be trained.
        """
        named = {name: self.space.get(name) for name in ("backend", "recipe", "pretrained")}
        lists = {
            name: [value for value in values if isinstance(value, str)]
            for name, values in named.items()
            if isinstance(values, list)
        }
        tried = (dict(zip(lists, values, strict=True)) for values in product(*lists.values()))
        return [base.model_copy(update=settings) for settings in tried if settings]

    @model_validator(mode="after")
    def _what_is_given_is_in_the_space(self) -> Tuning:
        if self.given is not None:
            if unlike := sorted(self.given.keys() ^ self.space.keys()):
                raise ValueError(f"given should hold what space holds: {', '.join(unlike)}")
            known = _as_drawn(self.given, self.space)
            for name in self.given.keys() - known.keys():
                raise ValueError(f"given.{name}: {self.given[name]!r} is not in its space")
        return self

    @model_validator(mode="after")
    def _values_are_there(self) -> Tuning:
        for name, values in self.space.items():
            if isinstance(values, list) and len(values) < 2:
                raise ValueError(f"space.{name} has {len(values)} values; give two or more")
            if isinstance(values, list) and any(values.count(value) > 1 for value in values):
                raise ValueError(f"space.{name} has a value twice; write it once")
        return self


def halves(images: pd.DataFrame, seed: int) -> tuple[list[int], list[int]]:
    """Deal images into two halves, groups whole.

    Args:
        images: Columns `image_id, group`.
        seed: Of the deal.

    Returns:
        The ids that choose, and those that judge.

    >>> images = pd.DataFrame({"image_id": [1, 2, 3, 4], "group": ["a", "a", "b", "c"]})
    >>> sorted(map(len, halves(images, 0)))
    [2, 2]
    """
    rng = np.random.default_rng(seed)
    sizes = images.groupby("group").size().sample(frac=1, random_state=rng)
    sizes = sizes.sort_values(ascending=False, kind="stable")
    sides: tuple[list[str], list[str]] = ([], [])
    counts = [0, 0]
    for group, size in sizes.items():
        side = int(counts[1] < counts[0])
        sides[side].append(str(group))
        counts[side] += int(size)
    first, second = (images.loc[images["group"].isin(own), "image_id"].tolist() for own in sides)
    return first, second


def open_study(journal: Path, tuning: Tuning, warm_up: int = 2) -> Study:
    """The study of a journal, which several processes may work on.

    Args:
        journal: The file; it need not be there.
        tuning: What is searched.
        warm_up: Epochs in which no training is ended: in the first ones all score next to nothing.
    """
    import optuna
    from optuna.pruners import MedianPruner, NopPruner
    from optuna.samplers import TPESampler
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

    journal.parent.mkdir(parents=True, exist_ok=True)
    if not journal.exists():
        write_text(journal, "")
    lock = JournalFileSymlinkLock(str(journal))
    lock.acquire()  # another process may be writing the line
    try:
        drop_unfinished_line(journal)
    finally:
        lock.release()
    pruner = (
        MedianPruner(n_startup_trials=4, n_warmup_steps=warm_up) if tuning.pruning else NopPruner()
    )
    study = optuna.create_study(
        study_name="tuning",
        storage=JournalStorage(JournalFileBackend(str(journal))),
        pruner=pruner,
        direction="maximize",
        load_if_exists=True,
    )
    # With the seed alone a search that goes on would draw again what it has tried.
    seed = tuning.seed + len(study.get_trials(deepcopy=False))
    study.sampler = TPESampler(seed=seed, constant_liar=tuning.workers > 1)
    return study


def prepare(study: Study) -> None:
    """What a run was at that was stopped or killed is gone on with, before anything else is tried.

    Args:
        study: The study.
    """
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        # Under its own number, in whose folder its state lies; `enqueue_trial` would give another.
        study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)


Train: TypeAlias = Callable[[dict[str, Any], int, Callable[[float], None]], float]
"""Trains with some settings, or goes on with that, and gives the score of the best epoch. It is
given the number of the trial, and what takes the score of each epoch, from the first one on."""


def try_base(study: Study, tuning: Tuning, base: Mapping[str, Any], train: Train) -> None:
    """Train the base as it is, whatever the space holds, as the first trial.

    Args:
        study: The study; one that has begun is left as it is.
        tuning: What is searched.
        base: What the settings of the space are now, by name. Optuna learns from those in it.
        train: Trains.
    """
    from optuna.trial import create_trial

    if study.get_trials(deepcopy=False):
        return
    reached: list[float] = []
    began = perf_counter()
    score = train({}, 0, reached.append)
    drawn = _as_drawn(base, tuning.space)
    study.add_trial(
        create_trial(
            value=score,
            params=drawn,
            distributions={name: _distribution(tuning.space[name]) for name in drawn},
            intermediate_values=dict(enumerate(reached, 1)),
            user_attrs={
                "settings": {}, "epochs": len(reached), "minutes": (perf_counter() - began) / 60,
            },
        )
    )  # fmt: skip


def _distribution(values: Range | list[Any]) -> BaseDistribution:
    """What a setting is drawn from; of a list its place, for Optuna takes plain values."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(values, list):
        return CategoricalDistribution(range(len(values)))
    if values.is_whole:
        return IntDistribution(int(values.low), int(values.high), step=int(values.step or 1))
    return FloatDistribution(values.low, values.high, log=values.log, step=values.step)


def work(
    study: Study,
    tuning: Tuning,
    train: Train,
    turn: AbstractContextManager[Any] | None = None,
) -> None:
    """Try settings until there are enough trials, or the time is up; or those that are given.

    Args:
        study: The study, perhaps shared with other processes.
        tuning: What is searched.
        train: Trains.
        turn: A lock of all who work on the study: who holds it sees what all others are at.

    Raises:
        Stopped: Ctrl-C was pressed.
    """
    from optuna.trial import TrialState

    if tuning.given is not None:
        # What a search that was killed was to try again comes before it.
        while study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            _train_with(study, _next(study, tuning), tuning, train)
        _train_with(study, _begun(study, tuning), tuning, train)
        return
    began = perf_counter()
    while tuning.minutes is None or perf_counter() - began < tuning.minutes * 60:
        stop_if_asked()
        with turn or nullcontext():
            # What others are training counts: without it each would begin one too many.
            trials = study.get_trials(deepcopy=False)
            is_waiting = any(each.state == TrialState.WAITING for each in trials)
            if len(trials) >= tuning.trials and not is_waiting:
                return
            trial = _next(study, tuning)
        _train_with(study, trial, tuning, train)
        gc.collect()


def _next(study: Study, tuning: Tuning) -> Trial:
    """Settings that are waiting, or new ones."""
    return study.ask({name: _distribution(values) for name, values in tuning.space.items()})


def _begun(study: Study, tuning: Tuning) -> Trial:
    """A trial of the settings that are given; no other agent takes it, for it runs already."""
    from optuna.trial import Trial, TrialState, create_trial

    token, drawn = uuid4().hex, _as_drawn(tuning.given or {}, tuning.space)
    study.add_trial(
        create_trial(
            state=TrialState.RUNNING,
            params=drawn,
            distributions={name: _distribution(tuning.space[name]) for name in drawn},
            user_attrs={"asked": token},
        )
    )
    trials = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    own = next(each for each in trials if each.user_attrs.get("asked") == token)
    return Trial(study, own._trial_id)


def _train_with(study: Study, trial: Trial, tuning: Tuning, train: Train) -> None:
    """Train with some settings, and note how that ends.

    One that is stopped is noted as running still, and so is one of a process that is killed.
    """
    import optuna
    from optuna.trial import TrialState

    settings = _as_written(trial.params, tuning.space)
    trial.set_user_attr("settings", settings)
    known = study.get_trials(deepcopy=False)[trial.number].intermediate_values
    before = trial.user_attrs.get("minutes", 0.0)
    epochs, is_pruned = 0, False
    began = perf_counter()

    def report(score: float) -> None:
        nonlocal epochs, is_pruned
        epochs += 1
        if epochs in known:
            return
        trial.report(score, epochs)
        trial.set_user_attr("epochs", epochs)
        trial.set_user_attr("minutes", before + (perf_counter() - began) / 60)
        is_pruned = trial.should_prune()
        if is_pruned:
            raise optuna.TrialPruned

    try:
        score = train(settings, trial.number, report)
    except Exception as error:
        if is_pruned:  # a training wraps whatever ends it
            study.tell(trial, state=TrialState.PRUNED)
        elif isinstance(error, BackendError):  # as of weights out of bounds: the others go on
            logger.warning("training %d failed: %s", trial.number, one_line(error))
            study.tell(trial, state=TrialState.FAIL)
        else:
            raise
    else:
        study.tell(trial, score)


def trials_table(study: Study) -> Trials:
    """What was tried, in that order."""
    from optuna.trial import TrialState

    names = {
        TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed",
    }  # fmt: skip
    rows = []
    for trial in study.get_trials(deepcopy=False, states=tuple(names)):
        reached = list(trial.intermediate_values.values())
        # Optuna calls the last epoch of one that was ended its value.
        is_done = trial.state == TrialState.COMPLETE
        score = trial.value if is_done else max(reached, default=None)
        rows.append(
            {
                "trial": trial.number, "state": names[trial.state], "score": score,
                "epochs": int(trial.user_attrs.get("epochs", 0)),
                "minutes": trial.user_attrs.get("minutes", _minutes(trial)),
                "settings": json.dumps(trial.user_attrs.get("settings", {}), sort_keys=True),
            }
        )  # fmt: skip
    columns = list(TRIALS.names)
    return Trials(TRIALS.conform(pd.DataFrame(rows, columns=columns), where="trials"))


def _minutes(trial: FrozenTrial) -> float:
    return trial.duration.total_seconds() / 60 if trial.duration else 0.0


def importance(study: Study) -> dict[str, float]:
    """How much of the score's variance each setting explains (fANOVA), the most first.

    Source: Hutter et al., An efficient approach for assessing hyperparameter importance (2014).

    Returns:
        By setting; empty where fewer than ten trainings came to their end, or all score the same,
        which tells nothing.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    names = sorted({name for trial in done for name in trial.params})
    # A base that lacks a setting tells nothing of it.
    with_all = [trial for trial in done if trial.params.keys() >= set(names)]
    if len(with_all) < FEWEST_FOR_IMPORTANCE or len({trial.value for trial in with_all}) == 1:
        return {}
    # By default Optuna asks what the best tenth has in common, which of few trainings is two.
    fanova = FanovaImportanceEvaluator(seed=0)
    return dict(get_param_importances(study, evaluator=fanova, params=names))


def sweep_config(name: str, tuning: Tuning, metric: str, env: str | None = None) -> dict[str, Any]:
    """The same search as a sweep of Weights & Biases, for `wandb sweep`.

    Args:
        name: Of the search.
        tuning: What is searched.
        metric: What it is scored by.
        env: The environment that its agents train in.

    Example:
        >>> tuning = Tuning(base="yolox", space={"epochs": {"low": 4, "high": 8}})
        >>> sweep_config("longer", tuning, "mAP50")["parameters"]
        {'epochs': {'distribution': 'int_uniform', 'min': 4, 'max': 8}}
    """
    parameters: dict[str, Any] = {}
    for setting, values in tuning.space.items():
        if isinstance(values, list):
            parameters[setting] = {"values": values}
            continue
        if values.step is not None:  # a step of theirs begins at 0
            parameters[setting] = {"values": values.grid}
            continue
        kind = "log_uniform_values" if values.log else "uniform"
        ends = (values.low, values.high)
        if values.is_whole:
            kind, ends = "int_uniform", (int(values.low), int(values.high))
        parameters[setting] = {"distribution": kind, "min": ends[0], "max": ends[1]}
    return {
        "name": name,
        "program": "kedro",
        "command": [
            "${env}",
            *command(f"tune {name} --settings", env).split(),
            "${args_json}",
        ],
        "method": "bayes",
        "metric": {"name": metric, "goal": "maximize"},
        "run_cap": tuning.trials,
        "parameters": parameters,
    }


def _as_drawn(base: Mapping[str, Any], space: Mapping[str, Range | list[Any]]) -> dict[str, Any]:
    """The base's settings as Optuna names values; without those that are not in the space."""
    found: dict[str, Any] = {}
    for name, values in space.items():
        now = base.get(name)
        if isinstance(values, list):
            if now in values:
                found[name] = values.index(now)
        elif isinstance(now, int | float) and values.holds(now):
            found[name] = now
    return found


def _as_written(drawn: Mapping[str, Any], space: Mapping[str, Range | list[Any]]) -> dict[str, Any]:
    """Settings as they are trained with, given as Optuna names values."""
    return {
        name: values[drawn[name]] if isinstance(values, list) else values.written(drawn[name])
        for name, values in space.items()
    }


def given_trial(trials: Trials, tuning: Tuning) -> dict[str, Any]:
    """The training with the settings that were given, of several the last one.

    Args:
        trials: All, those of other agents among them.
        tuning: Whose `given` was trained with.
    """
    assert tuning.given is not None
    settings = _as_written(_as_drawn(tuning.given, tuning.space), tuning.space)
    own = trials[trials["settings"] == json.dumps(settings, sort_keys=True)]
    return {str(key): value for key, value in own.iloc[-1].items()}


def setting_of(model: Mapping[str, Any], name: str) -> Any:
    """A setting of a model by its name, with dots; None where there is none.

    >>> setting_of({"optimizer": {"learning_rate": 0.1}}, "optimizer.learning_rate")
    0.1
    """
    value: Any = model
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def best_first(trials: Trials) -> list[int]:
    """The numbers of the trials that came to their end, the best first."""
    own = trials[trials["state"] == "complete"]
    return list(own.sort_values("score", ascending=False, kind="stable")["trial"].tolist())
