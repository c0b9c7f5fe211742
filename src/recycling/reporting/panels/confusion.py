"""What the ensemble takes every class for."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from recycling.diagnostics import Disagreement
from recycling.errors import listed
from recycling.reporting.confusions import OUTSIDE, confusions_figure
from recycling.reporting.pages import render_figure, render_list
from recycling.reporting.panels.core import panel

_SAID = 3  # pairs of classes that are named


@panel("What is taken for what", order=42)
def confusion(confusion: Disagreement, objects: str = "objects") -> list[Markup]:
    """The confusion matrix, and the pairs of classes that are confused most often in words."""
    if confusion.empty:
        return []
    figure = confusions_figure({"ensemble": confusion})
    return [
        render_list(confusion_sentences(confusion, objects)),
        render_figure(figure, "what is taken for what"),
    ]


def confusion_sentences(confusion: Disagreement, objects: str) -> Iterator[str]:
    """What goes wrong most often: classes taken for others, what is missed, what is made up.

    Args:
        confusion: The truth (`first`) against what is said (`second`).
        objects: What is counted, in the plural.
    """
    wrong = confusion[confusion["first"] != confusion["second"]]
    outside = wrong["first"].isin(OUTSIDE), wrong["second"].isin(OUTSIDE)
    for rows, template in (
        (
            wrong[~outside[0] & ~outside[1]],
            "{first} is taken for {second} ({count:,}, {share:.0%})",
        ),
        (wrong[~outside[0] & outside[1]], "{first} is missed ({count:,}, {share:.0%})"),
        (wrong[outside[0] & ~outside[1]], "{second} is seen where nothing is ({count:,})"),
    ):
        most = rows.sort_values("count", ascending=False, kind="stable").to_dict("records")
        if most:
            said = [template.format(**{str(k): v for k, v in row.items()}) for row in most[:_SAID]]
            yield f"most often, of {objects}: {listed(said)}"
