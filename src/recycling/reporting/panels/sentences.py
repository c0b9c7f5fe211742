"""What the report says in words, below the score."""

from __future__ import annotations

from math import isnan

from markupsafe import Markup

from recycling.diagnostics import (
    Agreement,
    ErrorCorrelation,
    ScoreThresholds,
    alike_sentences,
    threshold_sentence,
)
from recycling.ensembling import Choices, choice_sentence
from recycling.evaluation import Metrics
from recycling.reporting.pages import render_list
from recycling.reporting.panels.core import panel


@panel("", order=10)
def sentences(
    metrics: Metrics,
    agreement: Agreement | None = None,
    error_correlation: ErrorCorrelation | None = None,
    objects: str = "objects",
    score_thresholds: ScoreThresholds | None = None,
    choices: Choices | None = None,
) -> list[Markup]:
    """How the ensemble was chosen, which members are alike, and what a score threshold costs."""
    lines = []
    if choices is not None:
        lines.append(choice_sentence(choices))
    if agreement is not None:
        errors = None if isnan(metrics.score) else error_correlation
        lines += alike_sentences(agreement, errors, of=objects)
    if score_thresholds is not None and len(score_thresholds):
        lines.append(threshold_sentence(score_thresholds))
    return [render_list(lines)]
