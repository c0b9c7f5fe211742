"""The page on the ensembles of a task: members and ensembles side by side, and each explained."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import TYPE_CHECKING

import pandas as pd

from recycling.evaluation import SIZES, Metrics
from recycling.reporting.figures import scores_figure
from recycling.reporting.pages import (
    as_part,
    render_figure,
    render_folded,
    render_list,
    render_page,
    render_table,
)
from recycling.reporting.scores import TITLES, TaskScores, ranked
from recycling.reporting.style import heat_map, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_ALL = "What its members add, where it is wrong, how it was found"


def ensembles_page(
    task: str,
    scores: TaskScores,
    on_test: Mapping[str, Metrics],
    out_of_fold: Mapping[str, Metrics],
    pages: Mapping[str, str],
    submissions: Mapping[str, pd.DataFrame],
) -> str:
    """The page on the ensembles of a task.

    Args:
        task: What is fused.
        scores: The scores on the test images.
        on_test: The metrics that they are of, by name of member or ensemble.
        out_of_fold: Those of members on images that they have not seen.
        pages: The page on each ensemble, by name.
        submissions: Those of ensembles beside the final one, by name.

    Returns:
        A page of HTML in UTF-8 that loads nothing.
    """
    panels = [("Scores", [
        render_figure(scores_figure({task: scores}), "scores on the test images"),
        render_table(*_scores(scores, out_of_fold)),
    ])]  # fmt: skip
    known = {name: own for name, own in on_test.items() if own.per_class} or {
        name: own for name, own in out_of_fold.items() if own.per_class
    }
    if known:
        where = "the test images" if any(own.per_class for own in on_test.values()) else "held out"
        figure = classes_figure(known, f"{scores['metric']} of each class, {where}")
        panels.append(("Scores by class", [render_figure(figure, "scores by class")]))
    panels += [
        (f"Ensemble {name}", [part if name == "final" else render_folded(_ALL, [part])])
        for name, page in pages.items()
        for part in [as_part(page)]
    ]
    if submissions:
        lines = [f"{name}: {len(rows):,} rows" for name, rows in submissions.items()]
        panels.append(("Submissions beside the final one", [render_list(lines)]))
    return render_page(f"Ensembles of {TITLES[task]}", panels)


def classes_figure(metrics: Mapping[str, Metrics], title: str) -> Figure:
    """The score of every member and ensemble for every class.

    Args:
        metrics: By name; one of them has scores by class.
        title: What is shown, of which images.

    Returns:
        A heat map, the classes that are hardest for all on top.
    """
    table = pd.DataFrame({name: own.per_class for name, own in metrics.items()}, dtype=float)
    table = table.loc[table.mean(axis="columns").sort_values(kind="stable").index]
    figure = new_figure(2.6 + 0.75 * len(table.columns), 1.6 + 0.32 * len(table))
    axis = figure.subplots()
    scores = table.to_numpy()
    texts = [["-" if isnan(score) else f"{score:.2f}" for score in row] for row in scores]
    rows, columns = table.index.astype(str).tolist(), table.columns.tolist()
    heat_map(axis, scores, texts, rows=rows, columns=columns, aspect="auto")
    axis.set_title(title, fontsize=10, loc="left")
    return figure


def _scores(
    scores: TaskScores, out_of_fold: Mapping[str, Metrics]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Every member and ensemble, the best first, and how the numbers are written."""
    metric = scores["metric"]
    rows = []
    for row in ranked(scores):
        own = out_of_fold.get(row.name)
        held_out = None if own is None or isnan(own.score) else own.score
        low_high = None if row.interval is None else "{:.3f} to {:.3f}".format(*row.interval)
        rows.append({"": row.name, metric: row.score, "95 % interval": low_high,
                     **{size: row.sizes.get(size) for size in SIZES},
                     "out of fold": held_out})  # fmt: skip
    table = pd.DataFrame(rows).dropna(axis="columns", how="all")
    return table, {name: ".4f" for name in (metric, *SIZES, "out of fold") if name in table}
