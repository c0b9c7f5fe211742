"""The report on an ensemble as one page that needs nothing but itself."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from recycling.reporting.ensembles import (
    class_gains_figure,
    contributions_figure,
    leaderboard_figure,
    likeness_figure,
    thresholds_figure,
)
from recycling.reporting.panels import Picture
from recycling.reporting.scores import SIZES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from recycling.diagnostics.contributions import Contributions
    from recycling.diagnostics.gains import ClassGains
    from recycling.diagnostics.leaderboard import LeaderboardComparison
    from recycling.diagnostics.thresholds import ScoreThresholds
    from recycling.evaluation.core import Metrics

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #d5d9de; --soft: #f2f4f6 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #dee2e6; --paper: #16191d; --line: #3a4047; --soft: #22272d } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
  color: var(--ink); background: var(--paper) }
h1 { margin-bottom: 0 } h2 { margin-top: 2.5rem }
table { border-collapse: collapse; font-size: .9rem; margin: .5rem 0 1.5rem }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .7rem; text-align: left }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
thead th { background: var(--soft) }
img { background: #fff; display: block; height: auto; margin: .5rem 0 1.5rem; max-width: 100% }
.wide { overflow-x: auto }
""".strip()


def report_page(
    title: str,
    *,
    metric: str,
    ensemble: Metrics | None = None,
    interval: tuple[float, float] | None = None,
    sentences: Sequence[str] = (),
    contributions: Contributions | None = None,
    members: Mapping[str, float] | None = None,
    weights: Mapping[str, float] | None = None,
    agreement: pd.DataFrame | None = None,
    error_correlation: pd.DataFrame | None = None,
    gains: ClassGains | None = None,
    best: str = "",
    thresholds: ScoreThresholds | None = None,
    changed: Picture | None = None,
    choices: pd.DataFrame | None = None,
    search: pd.DataFrame | None = None,
    search_figure: Figure | None = None,
    leaderboard: LeaderboardComparison | None = None,
) -> str:
    """The report on an ensemble; a part that is not given is left out.

    Args:
        title: What was fused, like ``Detection: final``.
        metric: What the scores are.
        ensemble: The ensemble's metrics; None where no truth is known.
        interval: Between which values its score lies, by the bootstrap over images.
        sentences: What stands on top, like which members are alike, without full stops.
        contributions: What each member adds; schema `recycling.ensembling.CONTRIBUTIONS`.
        members: Each member's own score, where there are no contributions.
        weights: How much each member counts, by name.
        agreement: How alike the members are; schema `recycling.ensembling.AGREEMENT`.
        error_correlation: How far they err on the same; schema
            `recycling.evaluation.ERROR_CORRELATION`.
        gains: Class by class; schema `recycling.evaluation.CLASS_GAINS`.
        best: The best member's name.
        thresholds: Schema `recycling.evaluation.SCORE_THRESHOLDS`; the table has every tenth row.
        changed: A picture of what the ensemble changed.
        choices: The ways of choosing; schema `recycling.ensembling.search.selection.CHOICES`.
        search: The history of a search, a row a trial; the 20 best by the column `score`, if there
            is one, else the first 20.
        search_figure: A figure of it.
        leaderboard: From `recycling.evaluation.compare_with_leaderboard`.

    Returns:
        A page of HTML in UTF-8 that loads nothing: figures and pictures are in it as PNG.
    """
    parts = [
        _summary(metric, ensemble, interval, sentences),
        _section("Members", _members(metric, contributions, members, weights),
                 _contributions(contributions, metric)),
        _section("How alike the members are", _likeness(agreement, error_correlation)),
        _section("Class by class", *_gains(gains, best, metric)),
        _section("What a score threshold does", *_thresholds(thresholds)),
        _section("Where the ensemble changed most", _image(changed, "changed images")),
        _section("Search", _choices(choices),
                 _image(search_figure, "history of the search"), _search(search)),
        _section("Validation and leaderboard", *_leaderboard(leaderboard)),
    ]  # fmt: skip
    return "\n".join(
        [
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            *(part for part in parts if part),
            "</body></html>\n",
        ]
    )


def _summary(
    metric: str,
    ensemble: Metrics | None,
    interval: tuple[float, float] | None,
    sentences: Sequence[str],
) -> str:
    score = ""
    if ensemble is not None and np.isfinite(ensemble.score):
        between = (
            "" if interval is None else f", {interval[0]:.4f} to {interval[1]:.4f} on other images"
        )
        score = f"<p>{escape(metric)} <strong>{ensemble.score:.4f}</strong>{between}.</p>"
    elif ensemble is not None:
        score = "<p>No truth is known, so there is no score.</p>"
    parts = (score, _sizes(metric, ensemble), _list(sentences))
    return "\n".join(part for part in parts if part)


def _sizes(metric: str, ensemble: Metrics | None) -> str:
    """How well small, medium and large objects are found, where boxes were scored."""
    details = {} if ensemble is None else ensemble.details
    known = [size for size in SIZES if f"{metric}_{size}" in details]
    if not known:
        return ""
    table = pd.DataFrame({"objects": known})
    for name in dict.fromkeys((metric, "mAP")):
        table[name] = _decimals(pd.Series([details[f"{name}_{size}"] for size in known]))
    return _table(table, text=["objects"])


def _section(heading: str, *parts: str) -> str:
    filled = [part for part in parts if part]
    return "\n".join([f"<h2>{escape(heading)}</h2>", *filled]) if filled else ""


def _list(sentences: Sequence[str]) -> str:
    # As they are: many begin with the name of a model.
    said = [f"<li>{escape(text)}.</li>" for text in sentences]
    return f"<ul>{''.join(said)}</ul>" if said else ""


def _members(
    metric: str,
    contributions: Contributions | None,
    members: Mapping[str, float] | None,
    weights: Mapping[str, float] | None,
) -> str:
    if contributions is not None and len(contributions):
        names = contributions["member"].tolist()
        table = pd.DataFrame({"member": names, metric: _decimals(contributions["score"])})
    elif members or weights:
        names = list(members or weights or {})
        table = pd.DataFrame({"member": names})
        if members:
            table[metric] = _decimals(pd.Series([members[name] for name in names]))
    else:
        return ""
    if weights is not None:
        table["weight"] = [f"{weights[name]:.3g}" if name in weights else "" for name in names]
    if contributions is not None and len(contributions):
        table["ensemble without it"] = _decimals(contributions["without"])
        table["what it adds"] = _decimals(contributions["contribution"], "+.4f")
        table["interval"] = [
            f"{low:+.4f} to {high:+.4f}"
            for low, high in zip(contributions["low"], contributions["high"], strict=True)
        ]
    return _table(table, text=["member"])


def _contributions(contributions: Contributions | None, metric: str) -> str:
    if contributions is None or contributions.empty:
        return ""
    return _image(contributions_figure(contributions, metric), "what each member adds")


def _likeness(agreement: pd.DataFrame | None, error_correlation: pd.DataFrame | None) -> str:
    if agreement is None or agreement.empty:
        return ""
    return _image(likeness_figure(agreement, error_correlation), "likeness of the members")


def _leaderboard(comparison: LeaderboardComparison | None) -> tuple[str, ...]:
    if comparison is None:
        return ()
    figure = None if comparison.points.empty else leaderboard_figure(comparison)
    return _list(comparison.sentences), _image(figure, "validation and leaderboard")


def _gains(gains: ClassGains | None, best: str, metric: str) -> tuple[str, ...]:
    if gains is None or gains.empty:
        return ()
    table = pd.DataFrame({"class": gains["category"]})
    for column, heading, form in (
        ("ensemble", "ensemble", ".4f"),
        ("best", "best member", ".4f"),
        ("mean", "mean of members", ".4f"),
        ("over_best", "over best", "+.4f"),
        ("over_mean", "over mean", "+.4f"),
    ):
        table[heading] = _decimals(gains[column], form)
    figure = class_gains_figure(gains, best, metric)
    return _image(figure, "gains and losses by class"), _table(table, text=["class"])


def _thresholds(thresholds: ScoreThresholds | None) -> tuple[str, ...]:
    if thresholds is None or thresholds.empty:
        return ()
    rows = thresholds.iloc[::10]
    table = pd.DataFrame({"threshold": _decimals(rows["threshold"], ".2f")})
    for column in ("mAP50", "precision", "recall", "f1"):
        table["F1" if column == "f1" else column] = _decimals(rows[column], ".3f")
    table["boxes an image"] = _decimals(rows["boxes_per_image"], ".1f")
    figure = thresholds_figure(thresholds)
    return _image(figure, "score thresholds"), _table(table, text=[])


def _choices(choices: pd.DataFrame | None) -> str:
    if choices is None or choices.empty:
        return ""
    shown = {
        "chosen by": choices["how"],
        "method": choices["method"],
        "weights": choices["weights"],
        "settings": choices["settings"],
        "held out": _decimals(choices["held_out_score"]),
        "gain": _decimals(choices["gain"], "+.4f"),
        "±": _decimals(choices["gain_error"]),
        "on the parts chosen on": _decimals(choices["training_score"]),
    }
    text = ["chosen by", "method", "weights", "settings"]
    return _table(pd.DataFrame(shown), text=text)


def _search(search: pd.DataFrame | None) -> str:
    if search is None or search.empty:
        return ""
    rows = search.sort_values("score", ascending=False) if "score" in search.columns else search
    table = pd.DataFrame(
        {
            str(name): [
                f"{value:.4g}" if isinstance(value, float) else str(value)
                for value in rows[name].head(20).tolist()
            ]
            for name in rows.columns
        }
    )
    text = [str(name) for name in rows.columns if not pd.api.types.is_numeric_dtype(rows[name])]
    shown = f"<p>{min(20, len(rows))} of {len(rows):,} trials.</p>"
    return shown + _table(table, text=text)


def _decimals(values: pd.Series, form: str = ".4f") -> list[str]:
    return [format(value, form) for value in values.tolist()]


def _table(table: pd.DataFrame, *, text: Sequence[str]) -> str:
    """A table of HTML; columns that are not `text` are set to the right."""
    classes = ["" if name in text else ' class="number"' for name in table.columns]
    head = "".join(
        f"<th{where}>{escape(str(name))}</th>"
        for name, where in zip(table.columns, classes, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{where}>{escape(str(value))}</td>"
            for value, where in zip(row, classes, strict=True)
        )
        + "</tr>"
        for row in table.itertuples(index=False, name=None)
    )
    rows = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="wide"><table>{rows}</table></div>'


def _image(drawn: Figure | Picture | None, what: str) -> str:
    if drawn is None:
        return ""
    content = BytesIO()
    if isinstance(drawn, np.ndarray):
        from PIL import Image

        Image.fromarray(drawn).save(content, format="PNG")
        width = drawn.shape[1]
    else:
        drawn.savefig(content, format="png")
        width = round(drawn.get_figwidth() * 100)
    data = b64encode(content.getvalue()).decode("ascii")
    return f'<img alt="{escape(what)}" width="{width}" src="data:image/png;base64,{data}">'
