"""`kedro compare`: what differs between runs, models, ensembles or files, and what that did."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.cli.utils import env_option

from recycling.cli.core import log_to_stderr, one_line_errors, workplace_of
from recycling.cli.experiments import print_table

if TYPE_CHECKING:
    import pandas as pd

    from recycling.backends.shared.model import Task
    from recycling.experiments import Effect, Manifest
    from recycling.sides import Scored, Side, Workplace

SHOWN = 12
"""Rows of a table that the console shows; the files have all."""


@click.command()
@env_option
@click.argument("sides", nargs=-1, required=True)
@click.option("--task", type=click.Choice(("cls", "det", "seg")), help="What CSV files predict.")
@one_line_errors
def compare(env: str | None, sides: tuple[str, ...], task: Task | None) -> None:
    """Compare two SIDES or more, each with the first.

    A side is a run (latest, latest~1, its id or name), a model or ensemble as it is now (det.yolox,
    det.final) or in a run (latest~1:det.yolox), or a CSV file of a submission.
    """
    from recycling.experiments import ExperimentError

    if len(sides) < 2:
        raise ExperimentError("give two or more to compare: kedro compare det.yolox det.fcos")
    if twice := [side for side in dict.fromkeys(sides) if sides.count(side) > 1]:
        raise ExperimentError(f"{twice[0]} is named twice; name each side once")
    log_to_stderr()
    with workplace_of(env) as place:
        whole = [place.is_run(side) for side in sides]
        if all(whole):
            _compare_runs(place, [place.runs.find(side) for side in sides])
        elif any(whole):
            raise ExperimentError(
                f"{sides[whole.index(True)]} is a whole run, and others are not; name its model: "
                f"{sides[whole.index(True)]}:det.yolox"
            )
        else:
            _compare_things(place, [place.side(side, task) for side in sides])


def _compare_things(place: Workplace, sides: Sequence[Side]) -> None:
    """Models, ensembles or files of one task."""
    from recycling.diagnostics import confusion_counts
    from recycling.errors import printable
    from recycling.reporting import confusions_figure
    from recycling.sides import OUT_OF_FOLD, check_alike, score, sentences

    check_alike(sides)
    first, *others = sides
    for other in others:
        _say_differences(first, other)
    scored = score(place, sides)
    truth, compared = scored.truth, scored.compared
    where = "images that none has seen" if scored.part == OUT_OF_FOLD else "test images"
    if compared is not None:
        click.echo(f"\non {len(truth.images)} {where}, {first.label} first:")
        print_table(_overall(compared.table))
        print_table(_by_part(compared.table))
        for line in sentences(place, sides, compared, scored.part):
            click.echo(printable(line))
        place.save(_slug(sides), "scores", compared.table)
    else:
        click.echo(f"\nthe {where} have no labels: nothing is scored")
    for other in others:
        _say_disagreement(place, scored, first, other)
    if compared is not None:
        figure = confusions_figure(
            {label: confusion_counts(truth, own[0]) for label, own in scored.predicted.items()}
        )
        click.echo(f"confusion: {place.save(_slug(sides), 'confusion', figure)}")


def _say_differences(first: Side, other: Side) -> None:
    """Say what differs between two sides: on purpose, and what came along."""
    from recycling.errors import printable
    from recycling.sides import what_differs

    click.echo(f"{first.label} -> {other.label}")
    found, verdict = what_differs(first, other)
    for title, lines in found.items():
        click.echo(f"  {title}:")
        for line in lines:
            click.echo(f"    {printable(line)}")
    click.echo(f"  {verdict}")


def _overall(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["of"] == "all"].drop(columns="of")


def _by_part(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["of"] != "all"].drop(columns=["low", "high", "p"])


def _say_disagreement(place: Workplace, scored: Scored, first: Side, other: Side) -> None:
    """Say where two sides differ most, by class and by image, and draw it."""
    from recycling.diagnostics import changes_between, disagreement
    from recycling.diagnostics.disagreement import SCORE
    from recycling.sides import draw_changes

    one, two = (scored.predicted[side.label][0] for side in (first, other))
    counts, changes = disagreement(scored.truth, one, two), changes_between(one, two)
    differing = counts[counts["first"] != counts["second"]]
    boxes = f"boxes of a score of {SCORE} and up"
    what = {"cls": "crops", "det": boxes, "seg": "pixels"}[first.task]
    total, differ = int(counts["count"].sum()), int(differing["count"].sum())
    click.echo(f"\n{first.label} and {other.label} differ in {differ:,} of {total:,} {what}:")
    if differ:
        print_table(differing.head(SHOWN))
    picture = draw_changes(
        place, first.task, scored.part, scored.truth, one, two, changes, (first.label, other.label)
    )
    slug = _slug([first, other])
    place.save(slug, "disagreement", counts)
    click.echo(f"where they differ most: {place.save(slug, 'pictures', picture)}")


def _compare_runs(place: Workplace, runs: Sequence[Manifest]) -> None:
    """All that several runs have scored, each run with the first."""
    import pandas as pd

    from recycling.experiments import ExperimentError, compare_scores, holm
    from recycling.experiments.effect import CHANCE, LEVEL
    from recycling.pipelines.tasks import is_labelled
    from recycling.sides import common_images, only_on, shared_part

    first, *others = runs
    things = place.things(runs)
    if not things:
        raise ExperimentError("these runs have scored nothing in common")
    rows: list[dict[str, Any]] = []
    for number, other in enumerate(others):
        # Before anything is scored: it may say why that cannot be.
        _say_differences(place.whole(first, things), place.whole(other, things))
        for task, name in things:
            pair = [place.thing(run.run_id, task, name, run) for run in (first, other)]
            part = shared_part(pair)
            truth = common_images(pair, part)
            if not is_labelled(truth):
                continue
            predicted = {
                label: [only_on(truth, own) for own in side.predictions[part]]
                for label, side in zip(("first", "second"), pair, strict=True)
            }
            compared = compare_scores(
                place.metric(task), truth, predicted,
                of="trainings" if pair[0].is_training else "predictions",
            )  # fmt: skip
            found = _row(compared.table, compared.effects)
            rows.append({"run": number, "of": f"{task}.{name}", **found})
    # All runs and all that they have scored are one family of comparisons.
    known = [row for row in rows if row["p"] is not None]
    for row, p in zip(known, holm([row["p"] for row in known]), strict=True):
        row["p_corrected"] = p
        if p > LEVEL and row["verdict"] != "the same":
            row["verdict"] = CHANCE
    for number, other in enumerate(others):
        if len(others) > 1:
            click.echo(f"\n{first.run_id} -> {other.run_id}")
        own = [row for row in rows if row["run"] == number]
        print_table(pd.DataFrame(own).drop(columns="run", errors="ignore"))


def _row(table: pd.DataFrame, effects: dict[str, Effect]) -> dict[str, Any]:
    (effect,) = effects.values()
    overall = table[table["of"] == "all"].iloc[0]
    return {
        "metric": effect["metric"], "first": overall["first"], "second": overall["score"],
        "difference": effect["difference"], "low": effect["low"], "high": effect["high"],
        "p": effect["p"], "p_corrected": None, "verdict": overall["verdict"],
    }  # fmt: skip


def _slug(sides: Sequence[Side]) -> str:
    return "-vs-".join(re.sub(r"[^A-Za-z0-9]+", "_", side.label).strip("_") for side in sides)
