"""The scores of a run, ranked and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, NotRequired, TypeAlias

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from rich.table import Table

TITLES = {"cls": "classification", "det": "detection", "seg": "segmentation"}
"""The tasks, in the order in which they are shown."""

SIZES = ("small", "medium", "large")
"""Of objects, in the order in which they are shown."""


class TaskScores(TypedDict):
    """The scores of one task on the test part; None where its truth is not known.

    Attributes:
        metric: What the scores are.
        members: The score of each member, by name.
        ensemble: The score of the last round's ensemble.
        teacher: The score of the first round's ensemble, where there were two rounds.
        others: The scores of further ensembles, by name.
        sizes: Of boxes, by the name of the member or ensemble (`final` is the last round's,
            `teacher` the first one's): the same metric for small, medium and large objects; a size
            of which the truth holds none is left out.
    """

    metric: str
    members: Mapping[str, float | None]
    ensemble: float | None
    teacher: NotRequired[float | None]
    others: NotRequired[Mapping[str, float | None]]
    sizes: NotRequired[Mapping[str, Mapping[str, float]]]


Summary: TypeAlias = Mapping[str, TaskScores]
"""The scores by task: `cls`, `det`, `seg`."""

Kind: TypeAlias = Literal["member", "teacher", "ensemble"]


class Scored(NamedTuple):
    """A model or an ensemble with its score."""

    name: str
    score: float | None
    kind: Kind
    sizes: Mapping[str, float] = {}


def ranked(scores: TaskScores) -> list[Scored]:
    """All members and ensembles of a task, the best first; equal scores in the order of names.

    >>> scores = TaskScores(metric="mAP50", members={"a": 0.4, "b": 0.5}, ensemble=0.6)
    >>> [row.name for row in ranked(scores)]
    ['ensemble', 'b', 'a']
    """
    sizes = scores.get("sizes", {})

    def scored(key: str, name: str, score: float | None, kind: Kind) -> Scored:
        return Scored(name, score, kind, sizes.get(key, {}))

    rows = [scored(name, name, score, "member") for name, score in scores["members"].items()]
    rows.append(scored("final", "ensemble", scores["ensemble"], "ensemble"))
    if "teacher" in scores:
        rows.append(scored("teacher", "ensemble, first round", scores["teacher"], "teacher"))
    for name, score in scores.get("others", {}).items():
        rows.append(scored(name, f"ensemble {name}", score, "ensemble"))
    return sorted(rows, key=lambda row: (row.score is None, -(row.score or 0), row.name))


def scores_table(summary: Summary) -> Table:
    """The table at the end of a run.

    Args:
        summary: The scores by task, as in `summary.json`.

    Returns:
        One row for each model and ensemble, the best of a task marked, ensembles in bold; where
        boxes were scored by size, with a column a size.
    """
    from rich.table import Table

    table = Table(title="Scores on the test part", title_justify="left", header_style="bold")
    table.add_column("task")
    table.add_column("metric")
    table.add_column("model")
    table.add_column("score", justify="right")
    sizes = SIZES if any("sizes" in scores for scores in summary.values()) else ()
    for size in sizes:
        table.add_column(size, justify="right")
    table.add_column("")
    for task in (name for name in TITLES if name in summary):
        rows = ranked(summary[task])
        for index, row in enumerate(rows):
            first = index == 0
            table.add_row(
                TITLES[task] if first else "",
                summary[task]["metric"] if first else "",
                row.name,
                "no truth" if row.score is None else f"{row.score:.4f}",
                *(f"{row.sizes[size]:.4f}" if size in row.sizes else "" for size in sizes),
                "[green]best[/green]" if row.score == rows[0].score is not None else "",
                style=None if row.kind == "member" else "bold",
                end_section=index == len(rows) - 1,
            )
    return table
