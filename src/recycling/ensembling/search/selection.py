"""Choosing an ensemble, and what the choice is worth on images that it was not made on.

The best of many ensembles on some images owes part of its score to luck on just these. So every
way of choosing is scored by nested cross-validation: for each part, choose on the other parts and
score on this one. The ensemble itself is then chosen on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, NewType, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.ensembling.calibration import NONE
from recycling.ensembling.members import EnsemblingError
from recycling.ensembling.search.candidates import (
    ALONE,
    Candidate,
    Fused,
    Judge,
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
        Column("gain", "float64", "held-out score less that of the default"),
        Column("gain_error", "float64", "standard error of the gain", minimum=0),
        Column("unit", "string", "what the standard error is over"),
    ),
    open_ended=True,
)
"""A column for each part follows, ``fold 0`` and so on: the held-out score on it."""
register_table("choices", CHOICES, Choices)

AS_CONFIGURED, BEST_MEMBER, ALL_BUT_WORST = "default", "best member", "all but the worst"
GREEDY, SEARCH = "greedy", "search"

N_STEPS = 10
"""How many members greedy selection takes, counting one taken twice as two."""

N_DRAWS = 200
"""How often the images of a part are drawn: the error of a standard error is 5 % of it."""


@dataclass(frozen=True)
class Choice:
    """An ensemble, and how good the way of choosing it is.

    Attributes:
        how: The way of choosing: `AS_CONFIGURED`, `BEST_MEMBER`, `ALL_BUT_WORST`, `GREEDY` or
            `SEARCH`.
        chosen: The ensemble, chosen on all parts.
        training_score: Its mean score over these same parts: flattering.
        held_out: (parts,), the score on each part of what was chosen on the others: honest.
        default: (parts,), the same of the default.
        gain_error: The standard error of the gain, as `Scores.gain_error` takes it.
        unit: What that is over: ``400 images``.
        chosen_without: (parts,), what was chosen on the others.
        folds: (parts,), what the parts are called.
    """

    how: str
    chosen: Candidate
    training_score: float
    held_out: tuple[float, ...]
    default: tuple[float, ...]
    gain_error: float
    unit: str
    chosen_without: tuple[Candidate, ...]
    folds: tuple[int, ...]

    @property
    def held_out_score(self) -> float:
        """The mean over the parts."""
        return float(np.mean(self.held_out))

    @property
    def gain(self) -> float:
        """What is gained over the default, on images without a say in the choice."""
        return float(np.mean(np.subtract(self.held_out, self.default)))

    def to_dict(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold."""
        folds = list(map(str, self.folds))
        return {
            "how": self.how,
            **self.chosen.to_dict(),
            "training_score": self.training_score,
            "held_out_score": self.held_out_score,
            "gain": self.gain,
            "gain_error": self.gain_error,
            "unit": self.unit,
            "held_out": dict(zip(folds, self.held_out, strict=True)),
            "chosen_without": {
                fold: chosen.to_dict()
                for fold, chosen in zip(folds, self.chosen_without, strict=True)
            },
        }


class Scores(Generic[Fused]):
    """What ensembles score on each part; each is fused and scored once.

    Args:
        problem: What to choose from.
    """

    def __init__(self, problem: Problem[Fused]) -> None:
        self.problem = problem
        self.default = problem.as_default(problem.names)
        self._known: dict[_Key, NDArray[np.float64]] = {}
        self._drawn: dict[tuple[_Key, int], NDArray[np.float64]] = {}

    def of(self, chosen: Candidate, held_out: int | None = None) -> NDArray[np.float64]:
        """(parts,) scores, where fusing has seen nothing of the truth of a part.

        Args:
            chosen: An ensemble.
            held_out: The index of the part; None where no part is held out.
        """
        key = self._key(chosen, held_out)
        if key not in self._known:
            self._known[key] = self.problem.scores(self.fused(chosen, held_out))
            self._check(chosen, self._known[key])
        return self._known[key]

    def fused(self, chosen: Candidate, held_out: int | None = None) -> Fused:
        """The predictions of an ensemble for all parts, as for `of`."""
        return self.problem.fuse(chosen, held_out, self._of_members(chosen, held_out))

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
        return Choice(
            how=how,
            chosen=chosen,
            training_score=self.training(chosen),
            held_out=tuple(float(self.of(without[part], part)[part]) for part in parts),
            default=tuple(float(self.of(self.default, part)[part]) for part in parts),
            gain_error=self.gain_error(without),
            unit=f"{len(parts)} parts" if self._drawing is None else self._drawing.unit,
            chosen_without=without,
            folds=self.problem.folds,
        )

    def gain_error(self, without: Sequence[Candidate]) -> float:
        """The standard error of what is gained over the default.

        Images (groups, where there are any) of each part are drawn with replacement, and both are
        scored on the same draws, so what makes images easy or hard for both cancels out. Where
        scores are not known image by image, or a part is a single group, whose draws are all alike,
        it is taken over the parts; that is low, as any two choices have most of their parts in
        common.

        Args:
            without: (parts,), what was chosen on the other parts.
        """
        n_parts = len(self.problem.parts)
        if self._drawing is None:
            gains = [
                self.of(own, p)[p] - self.of(self.default, p)[p] for p, own in enumerate(without)
            ]
            return float(np.std(gains, ddof=1) / np.sqrt(n_parts))
        variances = []
        for part, own in enumerate(without):
            gain = self._on_draws(own, part) - self._on_draws(self.default, part)
            n_groups = self._drawing.groups_in(part)
            # Draws from as many groups as there are vary by too little, as a variance over n does.
            variances.append(np.nanvar(gain, ddof=1) * n_groups / (n_groups - 1))
        return float(np.sqrt(np.sum(variances)) / n_parts)

    @cached_property
    def _drawing(self) -> Judge[Fused] | None:
        """What scores draws of images, where every part has several groups to draw from."""
        judge = self.problem.judge
        several = judge and all(judge.groups_in(n) > 1 for n in range(len(self.problem.parts)))
        return judge if several else None

    def best_first(self, held_out: int | None = None) -> dict[str, float]:
        """The members and their scores on the parts that are not held out, the best first."""
        scores = {name: self.training(alone(name), held_out) for name in self.problem.names}
        return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))

    def _on_draws(self, chosen: Candidate, part: int) -> NDArray[np.float64]:
        """(draws,), the scores of an ensemble that was chosen without a part on draws of it."""
        assert self._drawing is not None
        key = (self._key(chosen, part), part)
        if key not in self._drawn:
            score = self._drawing.scores(self.fused(chosen, part))
            self._drawn[key] = score(self._drawing.draw(part, N_DRAWS))
        return self._drawn[key]

    def _of_members(self, chosen: Candidate, held_out: int | None) -> dict[str, float]:
        """The members' scores, where an ensemble hangs on them."""
        return {} if self._learns(chosen) == "nothing" else self.best_first(held_out)

    def _learns(self, chosen: Candidate) -> str:
        return "labels" if chosen.calibrate != NONE else self.problem.spaces[chosen.method].learns

    def _key(self, chosen: Candidate, held_out: int | None) -> _Key:
        # Ensembles that learn nothing are the same whatever is held out; of ranks only the order
        # of those inside matters.
        learns = self._learns(chosen)
        ranked = self._of_members(chosen, held_out) if learns == "ranks" else {}
        inside = tuple(name for name in ranked if name in chosen.members)
        return chosen, held_out if learns in ("scores", "labels") else None, inside

    def _check(self, chosen: Candidate, scores: NDArray[np.float64]) -> None:
        bad = ~np.isfinite(scores)
        if bad.any():
            raise EnsemblingError(
                f"{chosen.method} of {', '.join(chosen.members)} scores {scores[bad][0]} on fold "
                f"{self.problem.folds[int(bad.argmax())]}; a score is a finite number"
            )


_Key: TypeAlias = tuple[Candidate, int | None, tuple[str, ...]]


def alone(name: str) -> Candidate:
    """One member, its predictions left as they are.

    >>> alone("yolox").members
    ('yolox',)
    """
    return candidate(Space(ALONE), {name: 1})


def keep_default(scores: Scores[Fused]) -> Choice:
    """All members, fused as it is configured, whatever they score."""
    return scores.choice(AS_CONFIGURED, lambda _: scores.default)


def leave_out_worst(scores: Scores[Fused]) -> Choice:
    """All members but the one with the lowest score, fused as it is configured."""

    def choose(held_out: int | None) -> Candidate:
        best_first = tuple(scores.best_first(held_out))
        return scores.problem.as_default(tuple(sorted(best_first[:-1] or best_first)))

    return scores.choice(ALL_BUT_WORST, choose)


def choose_best_member(scores: Scores[Fused]) -> Choice:
    """The one member with the best mean score, as it is; of equals, the first by name."""

    def choose(held_out: int | None) -> Candidate:
        singles = [alone(name) for name in scores.problem.names]
        return max(singles, key=lambda single: scores.training(single, held_out))

    return scores.choice(BEST_MEMBER, choose)


def choose_greedily(scores: Scores[Fused]) -> Choice:
    """Add members one by one, each time the one that helps most, or hurts least.

    Forward selection with replacement (Caruana, Niculescu-Mizil, Crew and Ksikes, ICML 2004): a
    member taken twice counts double. Of the ensembles on the way the best is chosen, of equals the
    first. The members are fused by the problem's first method, with the settings that are tried
    first; where that has no weights, a member is taken once.

    Args:
        scores: What to choose from, and by. Of equals, the first by name is added.

    Returns:
        The ensemble; a weight says how often its member was taken, up to a common factor.

    Raises:
        EnsemblingError: A score is not a finite number.
    """
    return scores.choice(GREEDY, lambda held_out: _greedy(scores, held_out))


def _greedy(scores: Scores[Fused], held_out: int | None) -> Candidate:
    names, method = scores.problem.names, scores.problem.methods[0]
    taken: dict[str, int] = {}
    on_the_way: list[Candidate] = []
    for _ in range(N_STEPS if method.weighted else min(N_STEPS, len(names))):
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
            "unit": choice.unit,
            **{f"fold {f}": s for f, s in zip(choice.folds, choice.held_out, strict=True)},
        }
        for choice in choices
    ]
    return Choices(CHOICES.conform(pd.DataFrame(rows), where="choices"))


def chosen_row(choices: Choices) -> int:
    """Which way of choosing is taken: the default, unless one is better beyond chance.

    Args:
        choices: One row a way, the default's first; schema `CHOICES`.

    Returns:
        The row of the highest held-out score among those whose gain over the default is above its
        standard error; 0 where there is none.

    >>> ways = pd.DataFrame(
    ...     {"held_out_score": [0.5, 0.6, 0.7], "gain": [0, 0.1, 0.2], "gain_error": [0, 0.05, 0.3]}
    ... )
    >>> chosen_row(Choices(ways))
    1
    """
    score = choices["held_out_score"].where(choices["gain"] > choices["gain_error"])
    return 0 if score.isna().all() else int(score.fillna(-np.inf).to_numpy().argmax())


def choice_sentence(choices: Choices) -> str:
    """Whether the default was kept, and what the best of the others is worth beside it.

    Args:
        choices: One row a way of choosing, the default's first; schema `CHOICES`.

    Returns:
        A sentence without a full stop, like "kept the default: the best found (greedy) is 0.004 +-
        0.007 better on held-out parts (standard error over 400 images)".
    """
    row = chosen_row(choices)
    others = choices.iloc[1:].sort_values("held_out_score", ascending=False, kind="stable")
    best = choices.iloc[row] if row else others.iloc[0]
    worth = f"{abs(best['gain']):.3f} +- {best['gain_error']:.3f}"
    worth = f"{worth} {'better' if best['gain'] >= 0 else 'worse'}"
    where = f" on held-out parts (standard error over {best['unit']})"
    if row == 0:
        return f"kept the default: the best found ({best['how']}) is {worth}{where}"
    return (
        f"took {best['how']} instead of the default: {best['weights']} "
        f"({best['method'].replace('_', ' ')}), {worth}{where}"
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
