"""The ensemble's score, on top of the report."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan

import pandas as pd
from markupsafe import Markup

from recycling.evaluation import SIZES, Metrics
from recycling.reporting.pages import render_table, render_text
from recycling.reporting.panels.core import panel

_SCORE = """
<p>{{ metric }} <strong>{{ "%.4f" | format(score) }}</strong> {{ where }}
{%- if interval %}, {{ interval }} on other groups of images{% endif %}.
{%- if test is not none %} On the test images: {{ "%.4f" | format(test) }}.{% endif %}</p>
"""
_SAME = """
<p>The search kept the default, so this is the same ensemble as {{ name }}, whose page shows its
members and its mistakes.</p>
"""
_NO_SCORE = "<p>No truth is known, so there is no score.</p>"


@panel("", order=0)
def score(
    metrics: Metrics,
    interval: Mapping[str, float] | None = None,
    out_of_fold: bool = False,
    test_metrics: Metrics | None = None,
    same_as: str | None = None,
) -> list[Markup]:
    """The score with its interval, and that of each size of objects, where boxes were scored."""
    same = [] if same_as is None else [render_text(_SAME, name=same_as)]
    if isnan(metrics.score):
        return [*same, render_text(_NO_SCORE), *_sizes(metrics)]
    test = None
    if out_of_fold and test_metrics is not None and not isnan(test_metrics.score):
        test = test_metrics.score
    sentence = render_text(
        _SCORE,
        metric=metrics.metric,
        score=metrics.score,
        where="out of fold" if out_of_fold else "on the test images",
        interval="{low:.4f} to {high:.4f}".format(**interval) if interval else None,
        test=test,
    )
    return [*same, sentence, *_sizes(metrics)]


def _sizes(metrics: Metrics) -> list[Markup]:
    """How well small, medium and large objects are found; a size that there is none of is not."""
    sizes = [size for size in SIZES if f"{metrics.metric}_{size}" in metrics.details]
    if not sizes:
        return []
    scores = {
        name: [metrics.details[f"{name}_{size}"] for size in sizes]
        for name in (metrics.metric, "mAP")
    }
    return [render_table(pd.DataFrame({"objects": sizes, **scores}), dict.fromkeys(scores, ".4f"))]
