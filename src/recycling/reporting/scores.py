"""The scores of a run: their form, their order, their table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from typing_extensions import NotRequired, TypedDict

if TYPE_CHECKING:
    from rich.table import Table

TITLES = {"cls": "classification", "det": "detection", "seg": "segmentation"}
"""The tasks, in the order in which they are shown."""


class TaskScores(TypedDict):
    """The scores of one task on the test part; None where its truth is not known.

    Attributes:
        metric: What the scores are.
        members: The score of each member, by name.
        ensemble: The score of the last round's ensemble.
        teacher: The score of the first round's ensemble, where there were two rounds.
        others: The scores of further ensembles, by name.
    """

    metric: str
    members: Mapping[str, float | None]
    ensemble: float | None
    teacher: NotRequired[float | None]
    others: NotRequired[Mapping[str, float | None]]


Summary: TypeAlias = Mapping[str, TaskScores]
"""The scores by task: `cls`, `det`, `seg`."""

Kind: TypeAlias = Literal["member", "teacher", "ensemble"]


class Scored(NamedTuple):
    """A model or an ensemble with its score."""

    name: str
    score: float | None
    kind: Kind


def ranked(scores: TaskScores) -> list[Scored]:
    """All members and ensembles of a task, the best first; equal scores in the order of names."""
    rows = [Scored(name, score, "member") for name, score in scores["members"].items()]
    rows.append(Scored("ensemble", scores["ensemble"], "ensemble"))
    if "teacher" in scores:
        rows.append(Scored("ensemble, first round", scores["teacher"], "teacher"))
    for name, score in scores.get("others", {}).items():
        rows.append(Scored(f"ensemble {name}", score, "ensemble"))
    return sorted(rows, key=lambda row: (row.score is None, -(row.score or 0), row.name))


def scores_table(summary: Summary) -> Table:
    """The table at the end of a run.

    Args:
        summary: The scores by task, as in `summary.json`.

    Returns:
        One row for each model and ensemble, the best of a task marked, ensembles in bold.
    """
    from rich.table import Table

    table = Table(title="Scores on the test part", title_justify="left", header_style="bold")
    table.add_column("task")
    table.add_column("metric")
    table.add_column("model")
    table.add_column("score", justify="right")
    table.add_column("")
    for task in (name for name in TITLES if name in summary):
        rows = ranked(summary[task])
        for place, row in enumerate(rows):
            first = place == 0
            table.add_row(
                TITLES[task] if first else "",
                summary[task]["metric"] if first else "",
                row.name,
                "no truth" if row.score is None else f"{row.score:.4f}",
                "[green]best[/green]" if row.score == rows[0].score is not None else "",
                style=None if row.kind == "member" else "bold",
                end_section=place == len(rows) - 1,
            )
    return table
