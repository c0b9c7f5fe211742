"""Choosing an ensemble, and what the choice is worth on images that it was not made on.

The best of many ensembles on some images owes part of its score to luck on just these. So every
way of choosing is scored by nested cross-validation: for each part, choose on the other parts and
score on this one. The ensemble itself is then chosen on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NewType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.ensembling.members import EnsemblingError
from recycling.ensembling.search.candidates import (
    ALONE,
    Candidate,
    Fused,
    Problem,
    Space,
    candidate,
)
from recycling.tables import Column, Schema, register_table

Choices = NewType("Choices", pd.DataFrame)
"""One row a way of choosing; schema `CHOICES`."""

CHOICES = Schema(
    "choices",
    (
        Column("how", "string", "the way of choosing", unique=True),
        Column("method", "string", "how the members are fused"),
        Column("members", "string", "who is in the ensemble"),
        Column("weights", "string", "how much each member counts"),
        Column("settings", "string", "the method's settings"),
        Column("training_score", "float64", "mean over the parts, on which it was chosen"),
        Column(
            "held_out_score", "float64", "mean over the parts, each without a say in the choice"
        ),
        Column("gain", "float64", "held-out score less that of the best member"),
        Column("gain_error", "float64", "standard error of the gain over the parts", minimum=0),
    ),
    open_ended=True,
)
"""A column for each part follows, ``fold 0`` and so on: the held-out score on it."""
register_table("choices", CHOICES, Choices)

BEST_MEMBER, GREEDY, SEARCH = "best member", "greedy", "search"

N_STEPS = 10
"""How many members greedy selection takes, counting one taken twice as two."""


@dataclass(frozen=True)
class Choice:
    """An ensemble, and how good the way of choosing it is.

    Attributes:
        how: The way of choosing: `BEST_MEMBER`, `GREEDY` or `SEARCH`.
        chosen: The ensemble, chosen on all parts.
        training_score: Its mean score over these same parts: flattering.
        held_out: (parts,), the score on each part of what was chosen on the others: honest.
        best_member: (parts,), the same of the one member that is best on the others.
        chosen_without: (parts,), what was chosen on the others.
        folds: (parts,), what the parts are called.
    """

    how: str
    chosen: Candidate
    training_score: float
    held_out: tuple[float, ...]
    best_member: tuple[float, ...]
    chosen_without: tuple[Candidate, ...]
    folds: tuple[int, ...]

    @property
    def held_out_score(self) -> float:
        """The mean over the parts."""
        return float(np.mean(self.held_out))

    @property
    def gain(self) -> float:
        """What is gained over the best single member, on images without a say in the choice."""
        return float(np.mean(self._gains()))

    @property
    def gain_error(self) -> float:
        """The gain's standard error over the parts; low, since parts are chosen on in common."""
        return float(np.std(self._gains(), ddof=1) / np.sqrt(len(self.held_out)))

    def _gains(self) -> NDArray[np.float64]:
        return np.subtract(self.held_out, self.best_member)

    def to_dict(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold."""
        return {
            "how": self.how,
            **self.chosen.to_dict(),
            "training_score": self.training_score,
            "held_out_score": self.held_out_score,
            "gain": self.gain,
            "gain_error": self.gain_error,
            "held_out": dict(zip(map(str, self.folds), self.held_out, strict=True)),
        }


def best_member(problem: Problem[Fused]) -> Choice:
    """Choose the one member with the best mean score.

    Args:
        problem: What to choose from. Of equals, the first by name.

    Returns:
        The member, its predictions left as they are.

    Raises:
        EnsemblingError: A score is not a finite number.
    """
    return choose_best_member(Scores(problem))


def greedy_selection(problem: Problem[Fused], *, n_steps: int = N_STEPS) -> Choice:
    """Add members one by one, each time the one that helps most, or hurts least.

    Forward selection with replacement (Caruana, Niculescu-Mizil, Crew and Ksikes, ICML 2004): a
    member taken twice counts double. Of the ensembles on the way the best is chosen, of equals the
    first. The members are fused by the problem's first method, with the settings that are tried
    first; where that has no weights, a member is taken once.

    Args:
        problem: What to choose from. Of equals, the first by name is added.
        n_steps: How many members to take.

    Returns:
        The ensemble; a weight says how often its member was taken, up to a common factor.

    Raises:
        EnsemblingError: No step, or a score is not a finite number.
    """
    if n_steps < 1:
        raise EnsemblingError(f"{n_steps} steps of greedy selection; take 1 at least")
    return choose_greedily(Scores(problem), n_steps)


class Scores(Generic[Fused]):
    """What ensembles score on each part; each is fused and scored once.

    Args:
        problem: What to choose from.
    """

    def __init__(self, problem: Problem[Fused]) -> None:
        self.problem = problem
        self._methods = {method.name: method for method in (*problem.methods, Space(ALONE))}
        self._known: dict[tuple[Candidate, int | None, tuple[str, ...]], NDArray[np.float64]] = {}

    def of(self, chosen: Candidate, held_out: int | None = None) -> NDArray[np.float64]:
        """(parts,) scores, where fusing has seen nothing of the truth of a part.

        Args:
            chosen: An ensemble.
            held_out: The index of the part; None where no part is held out.
        """
        learns = self._methods[chosen.method].learns
        # Ensembles that learn nothing are the same whatever is held out.
        ranked = () if learns == "nothing" else self._best_first(held_out)
        # Of the ranks only the order of those inside matters.
        inside = tuple(name for name in ranked if name in chosen.members)
        key = (chosen, held_out if learns == "labels" else None, inside)
        if key not in self._known:
            fused = self.problem.fuse(chosen, held_out, ranked)
            scores = [float(self.problem.score(fused, part)) for part in self.problem.parts]
            self._known[key] = np.array(scores)
            self._check(chosen, self._known[key])
        return self._known[key]

    def training(self, chosen: Candidate, held_out: int | None = None) -> float:
        """The mean over the parts that are not held out."""
        scores = self.of(chosen, held_out)
        return float(np.mean(scores if held_out is None else np.delete(scores, held_out)))

    def choice(self, how: str, choose: Callable[[int | None], Candidate]) -> Choice:
        """What a way of choosing chooses, and how good that is.

        Args:
            how: The way of choosing.
            choose: Given the part that is held out, the ensemble that is best on the others.
        """
        parts = range(len(self.problem.parts))
        chosen = choose(None)
        without = tuple(choose(part) for part in parts)
        members = [self._best_first(part)[0] for part in parts]
        return Choice(
            how=how,
            chosen=chosen,
            training_score=self.training(chosen),
            held_out=tuple(float(self.of(without[part], part)[part]) for part in parts),
            best_member=tuple(float(self.of(alone(members[part]))[part]) for part in parts),
            chosen_without=without,
            folds=self.problem.folds,
        )

    def _best_first(self, held_out: int | None) -> tuple[str, ...]:
        def key(name: str) -> tuple[float, str]:
            return -self.training(alone(name), held_out), name

        return tuple(sorted(self.problem.names, key=key))

    def _check(self, chosen: Candidate, scores: NDArray[np.float64]) -> None:
        bad = ~np.isfinite(scores)
        if bad.any():
            raise EnsemblingError(
                f"{chosen.method} of {', '.join(chosen.members)} scores {scores[bad][0]} on fold "
                f"{self.problem.folds[int(bad.argmax())]}; a score is a finite number"
            )


def alone(name: str) -> Candidate:
    """One member, its predictions left as they are.

    >>> alone("yolox").members
    ('yolox',)
    """
    return candidate(Space(ALONE), {name: 1})


def choose_best_member(scores: Scores[Fused]) -> Choice:
    """As `best_member`, on scores that others may know already."""

    def choose(held_out: int | None) -> Candidate:
        singles = [alone(name) for name in scores.problem.names]
        return max(singles, key=lambda single: scores.training(single, held_out))

    return scores.choice(BEST_MEMBER, choose)


def choose_greedily(scores: Scores[Fused], n_steps: int = N_STEPS) -> Choice:
    """As `greedy_selection`, on scores that others may know already."""
    return scores.choice(GREEDY, lambda held_out: _greedy(scores, held_out, n_steps))


def _greedy(scores: Scores[Fused], held_out: int | None, n_steps: int) -> Candidate:
    names, method = scores.problem.names, scores.problem.methods[0]
    taken: dict[str, int] = {}
    on_the_way: list[Candidate] = []
    for _ in range(n_steps if method.weighted else min(n_steps, len(names))):
        grown = [
            taken | {name: taken.get(name, 0) + 1}
            for name in names
            if method.weighted or name not in taken
        ]
        # max takes the first of equals.
        taken = max(
            grown, key=lambda weights: scores.training(candidate(method, weights), held_out)
        )
        on_the_way.append(candidate(method, taken))
    return max(on_the_way, key=lambda chosen: scores.training(chosen, held_out))


def choices_table(choices: Sequence[Choice]) -> Choices:
    """Put ways of choosing side by side.

    Args:
        choices: Of one problem.

    Returns:
        One row each; schema `CHOICES`.
    """
    rows = [
        {
            "how": choice.how,
            "method": choice.chosen.method,
            "members": ", ".join(choice.chosen.members),
            "weights": in_words(choice.chosen.weights),
            "settings": in_words(choice.chosen.settings),
            "training_score": choice.training_score,
            "held_out_score": choice.held_out_score,
            "gain": choice.gain,
            "gain_error": choice.gain_error,
            **{f"fold {f}": s for f, s in zip(choice.folds, choice.held_out, strict=True)},
        }
        for choice in choices
    ]
    return Choices(CHOICES.conform(pd.DataFrame(rows), where="choices"))


def choice_sentence(choices: Choices) -> str:
    """Which way of choosing was taken, and what it is worth, without a full stop.

    Args:
        choices: Schema `CHOICES`; that with the highest held-out score was taken, of equals the
            first.
    """
    taken = choices.sort_values("held_out_score", ascending=False, kind="stable").iloc[0]
    return (
        f"chosen by {taken['how']}, whose score on held-out parts is the highest: "
        f"{taken['weights']} ({taken['method'].replace('_', ' ')}), {taken['gain']:+.4f} over the "
        "best member"
    )


def in_words(pairs: Iterable[tuple[str, float | str]]) -> str:
    """Names and values as a table shows them.

    Example:
        >>> in_words([("iou_threshold", 0.55), ("confidence", "avg")])
        'iou_threshold 0.55, confidence avg'
    """
    return ", ".join(
        f"{name} {value if isinstance(value, str) else format(value, 'g')}" for name, value in pairs
    )
