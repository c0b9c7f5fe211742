"""What a study found: the effect of each change, and what came with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NewType, TypedDict

import numpy as np
import pandas as pd

from recycling.evaluation import ImageScores, score_of_all
from recycling.evaluation.bootstrap import CONFIDENCE
from recycling.experiments.effect import Effect, corrected_sentences, measure_contrast
from recycling.tables import Column, Schema

StudyArms = NewType("StudyArms", pd.DataFrame)
"""One row an arm of a study; schema `STUDY_ARMS`."""

STUDY_ARMS = Schema(
    "study_arms",
    (
        Column("arm", "string", "the base, or the name of a change", unique=True),
        Column("settings", "int64", "how many settings it alters", minimum=0),
        Column("seeds", "int64", "how many trainings it has on each fold", minimum=1),
        Column("score", "float64", "the mean over the seeds"),
        Column("deviation", "Float64", "between seeds, its standard deviation", nullable=True),
        Column("minutes", "float64", "of a training, the mean", minimum=0),
        Column("images_per_second", "float64", "while training, the mean", minimum=0),
        Column("steps", "float64", "of a training, the mean", minimum=0),
        Column("weights", "string", "what it starts from"),
    ),
)


class Noise(TypedDict):
    """How far trainings that differ in the seed alone are apart.

    Attributes:
        model: Which model.
        metric: What it is scored by.
        deviation: The standard deviation of its score between seeds.
        seeds: How many there were.
        folds: Which folds they were scored on.
    """

    model: str
    metric: str
    deviation: float
    seeds: int
    folds: list[int]


class StudySummary(TypedDict):
    """What a study found, in sentences.

    Attributes:
        sentences: One for each change, then one for each interaction.
        effects: The numbers of these, in the same order.
        noise: Of the base; None with one seed.
    """

    sentences: list[str]
    effects: list[Effect]
    noise: Noise | None


@dataclass(frozen=True)
class ArmFacts:
    """What is known of an arm beside its predictions.

    Attributes:
        name: Of the change.
        settings: How many settings it alters.
        trainings: What the checkpoints say of their trainings.
        weights: What its trainings start from.
    """

    name: str
    settings: int
    trainings: Sequence[Mapping[str, Any]]
    weights: str

    def mean(self, key: str) -> float:
        """A figure of its trainings, the mean; 0 where none says."""
        known = [float(facts[key]) for facts in self.trainings if facts.get(key) is not None]
        return float(np.mean(known)) if known else 0.0


def arms_table(arms: Sequence[ArmFacts], scores: Mapping[str, Sequence[ImageScores]]) -> StudyArms:
    """The arms side by side.

    Args:
        arms: The base first.
        scores: What the score of each seed of an arm is made of.
    """
    rows = []
    for arm in arms:
        of_seeds = [score_of_all(own) for own in scores[arm.name]]
        rows.append(
            {
                "arm": arm.name, "settings": arm.settings, "seeds": len(of_seeds),
                "score": np.mean(of_seeds),
                "deviation": np.std(of_seeds, ddof=1) if len(of_seeds) > 1 else pd.NA,
                "minutes": arm.mean("seconds") / 60,
                "images_per_second": arm.mean("images_per_second"),
                "steps": arm.mean("iterations"), "weights": arm.weights,
            }
        )  # fmt: skip
    return StudyArms(STUDY_ARMS.conform(pd.DataFrame(rows), where="study arms"))


def interaction(
    pair: tuple[str, str],
    joined: str,
    base: str,
    metric: str,
    scores: Mapping[str, Sequence[ImageScores]],
    groups: pd.Series,
) -> Effect:
    """How much more, or less, two changes do together than the sum of both.

    Args:
        pair: The two changes.
        joined: The arm with both.
        base: The arm with neither.
        metric: What all are scored by.
        scores: What the score of each seed of an arm is made of.
        groups: The group of each image.
    """
    terms = [(1, scores[joined]), (-1, scores[pair[0]]), (-1, scores[pair[1]]), (1, scores[base])]
    return measure_contrast(f"{pair[0]} x {pair[1]}", metric, terms, groups)


def summarise_study(
    model: str,
    metric: str,
    effects: Mapping[str, Effect],
    interactions: Sequence[Effect],
    arms: StudyArms,
    folds: Sequence[int],
) -> StudySummary:
    """Say what a study found, and what spoils it.

    Args:
        model: The base.
        metric: What all are scored by.
        effects: Of each change.
        interactions: Of pairs of changes.
        arms: The base first.
        folds: Those that all arms are scored on.
    """
    rows = {str(row["arm"]): row for row in arms.to_dict("records")}
    base = next(iter(rows.values()))
    changes = corrected_sentences(list(effects.values()), "changes")
    sentences = [
        "; ".join([sentence, *_spoilt(rows[name], base)])
        for name, sentence in zip(effects, changes, strict=True)
    ]
    sentences += corrected_sentences(interactions, "interactions")
    deviation = base["deviation"]
    noise = None
    if not pd.isna(deviation):
        noise = Noise(
            model=model, metric=metric, deviation=float(deviation), seeds=int(base["seeds"]),
            folds=sorted(folds),
        )  # fmt: skip
    return StudySummary(
        sentences=sentences, effects=[*effects.values(), *interactions], noise=noise
    )


def noise_sentence(difference: float, noise: Noise) -> str:
    """Whether the difference of two single trainings is more than two seeds differ by.

    Two trainings that differ in the seed alone are `sqrt(2)` standard deviations apart; how well
    that is known is Student's.

    >>> noise = Noise(model="yolox", metric="mAP50", deviation=0.01, seeds=5, folds=[0])
    >>> noise_sentence(0.02, noise)
    'the difference is under the noise between seeds (0.039 with 95 %, from 5 seeds of yolox)'
    >>> noise_sentence(-0.05, noise)
    'the difference is over the noise between seeds (0.039 with 95 %, from 5 seeds of yolox)'
    """
    from scipy.special import stdtrit

    reach = float(stdtrit(noise["seeds"] - 1, (1 + CONFIDENCE) / 2))
    apart = reach * noise["deviation"] * 2**0.5
    word = "under" if abs(difference) < apart else "over"
    return (
        f"the difference is {word} the noise between seeds ({apart:.3f} with 95 %, "
        f"from {noise['seeds']} seeds of {noise['model']})"
    )


def _spoilt(row: Mapping[Any, Any], base: Mapping[Any, Any]) -> list[str]:
    """What came along with a change."""
    found = []
    if row["settings"] > 1:
        found.append(f"it alters {row['settings']} settings, of which any may have done it")
    if row["steps"] != base["steps"]:
        found.append(f"it takes {row['steps']:g} steps, the base {base['steps']:g}")
    if row["weights"] != base["weights"]:
        found.append(f"it starts from {row['weights']}, the base from {base['weights']}")
    return found
