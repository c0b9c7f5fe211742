"""Experiments: runs and models, training curves, a comparison, studies."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from recycling.backends.shared.training_log import METRICS, training_log
from recycling.experiments import (
    chosen_rows,
    models_table,
    nothing_listed,
    runs_table,
    shown_table,
    without_empty_columns,
)
from recycling.sides import Side, check_alike, score, sentences, what_differs
from recycling.viewer.controls import choice, choices, field
from recycling.viewer.core import ViewerError
from recycling.viewer.later import later
from recycling.viewer.markup import render
from recycling.viewer.predicted import PARTS
from recycling.viewer.views import View

SHOWN = {"runs": "runs", "models": "models of each run"}

# Okabe and Ito's (2008), which differ for eyes of every kind; dashes tell further lines apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")

GREY = "#868e96"
"""Of what stands around lines: read on light and on dark."""


def build(view: View) -> None:
    """Put the page on the screen."""
    view.title("Experiments")
    _runs(view)
    _curves(view)
    _comparison(view)
    _studies(view)


def _runs(view: View) -> None:
    """The runs, or their models, sorted and filtered as `kedro experiments` does."""
    from nicegui import ui

    address = view.address
    shown = address.one_of("show", list(SHOWN), "runs")
    with ui.element("div").classes("controls"):
        columns = ("filter", "sort")  # either list has its own
        choice(view, "show", SHOWN, "list", value=shown, optional=False, resets=columns)
        field(view, "filter", 'condition, such as task == "det"', address.text("filter"))
        field(view, "sort", "column to sort by, - before it for up", address.text("sort"))
    runs = list(view.holdings.load("run_manifests").all().values())
    table = models_table(runs) if shown == "models" else runs_table(runs)
    if table.empty:
        view.say(nothing_listed(runs))
        return
    table = chosen_rows(
        table, sort=address.text("sort"), where=address.text("filter"), columns=None
    )
    view.html(_table(table, "runs" if shown == "runs" else "models"))


def _table(table: pd.DataFrame, caption: str) -> Markup:
    """A table as the console shows it, without columns that are empty."""
    table = without_empty_columns(table)
    return render(
        "table.html", heads=list(map(str, table)), rows=shown_table(table), caption=caption
    )


def _curves(view: View) -> None:
    """A value of several trainings, epoch by epoch."""
    from nicegui import ui

    logs = training_logs(view.holdings.load("runs").path)
    view.html(render("heading.html", text="Training curves"))
    if not logs:
        view.say("no training has left a log yet")
        return
    columns = sorted({str(key) for log in logs.values() for key in log if key != "epoch"})
    value = view.address.one_of("curve", columns, "loss" if "loss" in columns else columns[0])
    asked = view.address.several("trainings")
    for name in asked:
        if name not in logs:
            raise ViewerError(f"trainings={name}: there are {', '.join(logs)}")
    chosen = asked or list(logs)[: len(COLOURS)]
    with ui.element("div").classes("controls"):
        choice(view, "curve", columns, "what", value=value, optional=False)
        choices(view, "trainings", list(logs), "trainings", chosen)
    ui.echart(curves_chart({name: logs[name] for name in chosen}, str(value))).classes("chart")


def training_logs(folder: Path) -> dict[str, pd.DataFrame]:
    """The log of each training, a row an epoch, by the name of its folder.

    Args:
        folder: Of the trainings; each has a ``metrics.jsonl``.
    """
    logs = {path.parent.name: training_log(path.parent) for path in folder.glob(f"*/{METRICS}")}
    return {name: pd.DataFrame(log) for name, log in sorted(logs.items()) if log}


def curves_chart(logs: dict[str, pd.DataFrame], value: str) -> dict[str, Any]:
    """Lines of one value over the epochs, as ECharts takes them.

    Args:
        logs: By training, a row an epoch.
        value: The column.

    >>> log = pd.DataFrame({"epoch": [1], "loss": [3.0]})
    >>> curves_chart({"det.yolox.fold0": log}, "loss")["series"][0]["data"]
    [[1.0, 3.0]]
    """
    axis = {
        "axisLabel": {"color": GREY},
        "nameTextStyle": {"color": GREY},
        "splitLine": {"lineStyle": {"color": GREY, "opacity": 0.3}},
    }
    series = [
        {
            "name": name,
            "type": "line",
            "symbolSize": 5,
            "data": log[["epoch", value]].dropna().to_numpy().tolist(),
            "lineStyle": {"type": ("solid", "dashed", "dotted")[index // len(COLOURS) % 3]},
        }
        for index, (name, log) in enumerate(logs.items())
        if value in log
    ]
    return {
        "color": list(COLOURS),
        "tooltip": {"trigger": "axis"},
        "legend": {"type": "scroll", "top": 0, "textStyle": {"color": GREY}},
        "grid": {"left": 60, "right": 20, "top": 60, "bottom": 44},
        "xAxis": {
            "name": "epoch",
            "nameLocation": "middle",
            "nameGap": 26,
            "minInterval": 1,
            **axis,
        },
        "yAxis": {"name": value, "scale": True, **axis},
        "series": series,
        "animation": False,
    }


def _comparison(view: View) -> None:
    """What `kedro compare` says of models, ensembles, files, and those of earlier runs."""
    from nicegui import ui

    address = view.address
    view.html(render("heading.html", text="Comparison"))
    asked = address.several("compare")
    known = list(dict.fromkeys([*view.holdings.sides, *asked]))
    with ui.element("div").classes("controls"):
        choices(view, "compare", known, "models, ensembles, files", asked)
        typed = "or typed, with commas: latest~1:det.yolox,det.yolox"
        field(view, "compare", typed, address.text("compare"))
    if len(asked) < 2:
        view.say("choose two or more; each is compared with the first")
        return
    sides = [view.holdings.side(name) for name in asked]
    check_alike(sides)
    for other in sides[1:]:
        found, verdict = what_differs(sides[0], other)
        lines = [f"{title}: {line}" for title, own in found.items() for line in own]
        title = f"{sides[0].label} → {other.label}"
        view.html(render("lines.html", title=title, lines=[*lines, verdict]))
    later(view, partial(_scored, view, asked, sides), "drawing images a thousand times …")


def _scored(view: View, asked: list[str], sides: list[Side]) -> Markup:
    """The scores of several sides, and what may be said of their differences."""
    make = partial(score, view.holdings.workplace, sides)
    scored = view.holdings.keep("scored", ",".join(asked), tuple(sides), make)
    where = f"{len(scored.truth.images):,} images, {PARTS[scored.part]}"
    if scored.compared is None:
        text = f"the images have no labels, so nothing is scored ({where})"
        return render("message.html", text=text)
    lines = sentences(view.holdings.workplace, sides, scored.compared, scored.part)
    table = _table(scored.compared.table, f"{sides[0].label} first; {where}")
    return render("lines.html", title="what may be said", lines=lines) + table


def _studies(view: View) -> None:
    """Each study: what may be said, its arms and their effects."""
    holdings = view.holdings
    for summary in holdings.there(r"study\.\w+\.summary"):
        study = summary.removesuffix(".summary")
        arms, effects = (
            _table(holdings.load(name), caption) if holdings.is_there(name) else ""
            for name, caption in (
                (f"{study}.arms", "the base, and each change"),
                (f"{study}.effects", "each change beside the base, overall, by class and by size"),
            )
        )
        figure = f"{study}.figure"
        view.html(
            render(
                "study.html",
                name=study.removeprefix("study."),
                sentences=holdings.load(summary)["sentences"],
                arms=arms,
                figure=holdings.png(figure) if holdings.is_there(figure) else None,
                effects=effects,
            )
        )
