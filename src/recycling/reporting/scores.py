"""The scores of a run, ranked and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, NotRequired, TypeAlias

from typing_extensions import TypedDict

from recycling.evaluation import SIZES

if TYPE_CHECKING:
    from rich.console import Group
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
        sizes: Of boxes, by the name of the member or ensemble (`final` is the last round's,
            `teacher` the first one's): the same metric for small, medium and large objects; a size
            of which the truth holds none is left out.
        intervals: Where known, by the name of the ensemble as in `sizes`: the interval of its score
            over groups of images, of 95 %.
    """

    metric: str
    members: Mapping[str, float | None]
    ensemble: float | None
    teacher: NotRequired[float | None]
    others: NotRequired[Mapping[str, float | None]]
    sizes: NotRequired[Mapping[str, Mapping[str, float]]]
    intervals: NotRequired[Mapping[str, tuple[float, float]]]


Summary: TypeAlias = Mapping[str, TaskScores]
"""The scores by task: `cls`, `det`, `seg`."""

Kind: TypeAlias = Literal["member", "teacher", "ensemble"]


class Scored(NamedTuple):
    """A model or an ensemble with its score."""

    name: str
    score: float | None
    kind: Kind
    sizes: Mapping[str, float] = {}
    interval: tuple[float, float] | None = None


def ranked(scores: TaskScores) -> list[Scored]:
    """All members and ensembles of a task, the best first; equal scores in the order of names.

    >>> scores = TaskScores(metric="mAP50", members={"a": 0.4, "b": 0.5}, ensemble=0.6)
    >>> [row.name for row in ranked(scores)]
    ['ensemble', 'b', 'a']
    """
    sizes, intervals = scores.get("sizes", {}), scores.get("intervals", {})

    def scored(key: str, name: str, score: float | None, kind: Kind) -> Scored:
        return Scored(name, score, kind, sizes.get(key, {}), intervals.get(key))

    rows = [scored(name, name, score, "member") for name, score in scores["members"].items()]
    rows.append(scored("final", "ensemble", scores["ensemble"], "ensemble"))
    if "teacher" in scores:
        rows.append(scored("teacher", "ensemble, first round", scores["teacher"], "teacher"))
    for name, score in scores.get("others", {}).items():
        rows.append(scored(name, f"ensemble {name}", score, "ensemble"))
    return sorted(rows, key=lambda row: (row.score is None, -(row.score or 0), row.name))


def scores_table(summary: Summary) -> Group:
    """The tables at the end of a run, for a terminal of 80 columns.

    Args:
        summary: The scores by task, as in `summary.json`.

    Returns:
        One table a task. A row for each ensemble, then for each model, the best first and marked;
        with the interval of the scores where one is known, and where boxes were scored by size, a
        column a size.
    """
    from rich.console import Group

    return Group(*(_task_table(task, summary[task]) for task in TITLES if task in summary))


def _task_table(task: str, scores: TaskScores) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Column, Table

    rows = ranked(scores)
    best = rows[0].score
    sizes = SIZES if "sizes" in scores else ()
    has_intervals = any(row.interval is not None for row in rows)
    headers = [scores["metric"], *(["95 % interval"] if has_intervals else []), *sizes, ""]
    table = Table(
        # A name that is too long goes on in the next line; numbers stay whole.
        Column(TITLES[task], overflow="fold", min_width=20),
        *(Column(header, justify="right", no_wrap=True) for header in headers),
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for row in sorted(rows, key=lambda row: (row.name != "ensemble", row.kind == "member")):
        low_high = "" if row.interval is None else "{:.3f} to {:.3f}".format(*row.interval)
        table.add_row(
            escape(row.name),
            "no truth" if row.score is None else f"{row.score:.4f}",
            *([low_high] if has_intervals else []),
            *(f"{row.sizes[size]:.4f}" if size in row.sizes else "" for size in sizes),
            "[green]best[/green]" if row.score == best is not None else "",
            style=None if row.kind == "member" else "bold",
        )
    return table
