"""Kedro's commands for this project: `run` with errors of one line, and what there is to see."""

from __future__ import annotations

import copy
import textwrap
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import KedroCliError, env_option
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from recycling.cli.compare import compare
from recycling.cli.core import (
    catalog_of,
    console_for_tables,
    context_of,
    one_line_errors,
    show_sample,
)
from recycling.cli.experiments import experiments, noise, study
from recycling.cli.export import export
from recycling.cli.join import join
from recycling.cli.predict import predict
from recycling.cli.score import score
from recycling.cli.serve import serve
from recycling.cli.tune import tune
from recycling.cli.view import view
from recycling.new_data import new_data
from recycling.runners import RunStoppedError
from recycling.sessions import runner_class

if TYPE_CHECKING:
    from rich.table import Table

    from recycling.backends import Recipes
    from recycling.backends.shared.anchor_proposal import AnchorReport
    from recycling.backends.shared.model import Task
    from recycling.backends.shared.recipes import RecipeFacts
    from recycling.fingerprints.state import Kind


__all__ = ["cli"]


@click.group(name="recycling")
def cli() -> None:
    """Commands of this project."""


for _command in (
    experiments, score, compare, noise, study, tune, join, view, predict, export, serve,
):  # fmt: skip
    cli.add_command(_command)


def _run(stale_code: bool, **options: Any) -> Any:
    """Kedro's own, with an option that the hooks read off the command line."""
    options["only_missing_outputs"] |= stale_code
    options["runner"] = runner_class(options["runner"])
    try:
        return cast(Callable[..., Any], kedro_run.callback)(**options)
    except KeyboardInterrupt as error:
        raise RunStoppedError(
            "stopped at once, as asked; what was made before is whole, and the same command with "
            "--only-missing-outputs goes on"
        ) from error


run = copy.copy(kedro_run)
run.callback = one_line_errors(_run)
run.params = [
    *kedro_run.params,
    click.Option(
        ["--stale-code"],
        is_flag=True,
        help="Like --only-missing-outputs, and make anew what was made by other code or libraries.",
    ),
]
for _option in run.params:
    if _option.name == "only_missing_outputs":
        cast(click.Option, _option).help = (
            "Run only nodes whose outputs are missing or stale: made of other inputs or parameters "
            "than there are now."
        )
cli.add_command(run)
new_data.callback = one_line_errors(cast(Callable[..., Any], new_data.callback))
cli.add_command(new_data)


@cli.command()
@env_option
@click.option(
    "--pipelines", "names", default="__default__", help="Which, with commas; by default all."
)
@click.option("--all", "show_all", is_flag=True, help="List the outputs that are up to date too.")
@one_line_errors
def status(env: str | None, names: str, show_all: bool) -> None:
    """List what is stale (and why), missing or failed, without a run."""
    from recycling.fingerprints import (
        ContentCache,
        Graph,
        Records,
        code_line,
        failed_nodes,
        states,
        unknown_line,
    )
    from recycling.hooks import records_folder

    with context_of(env) as context:
        pipeline = _pipelines(names)
        catalog = cast(DataCatalog, context.catalog)
        folder = records_folder(context)
        show_sample(context, catalog, pipeline)
        graph = Graph(pipeline, catalog, ContentCache(folder / "content.json"))
        records = Records(folder)
        found = states(graph, records)
        raised = failed_nodes(graph, records)
        if folder.is_dir():
            graph.cache.save()
    for state in [*found, *raised]:
        if state.kind != "made" or show_all:
            _echo(f"{state.kind:<8} {state.name}" + (f": {state.why}" if state.why else ""))
    counts = Counter(state.kind for state in found)
    kinds: list[Kind] = ["made", "stale", "missing", "failed"]
    click.echo(
        ", ".join(f"{counts[kind]} {kind}" for kind in kinds if counts[kind] or kind == "made")
    )
    for line in (unknown_line(found), code_line(found)):
        if line is not None:
            _echo(line)


def _echo(line: str) -> None:
    """Print a line in 80 columns; what is longer goes on below."""
    click.echo(textwrap.fill(line, 80, subsequent_indent=" " * 9, break_on_hyphens=False))


def _pipelines(names: str) -> Pipeline:
    """The pipelines of these names, with commas, as one."""
    from kedro.framework.project import pipelines

    found = Pipeline([])
    for name in filter(None, map(str.strip, names.split(","))):
        if name not in pipelines:
            raise KedroCliError(f"no pipeline {name!r}; known: {', '.join(sorted(pipelines))}")
        found += pipelines[name]
    return found


@cli.command()
@env_option
@click.option("--pipeline", "-p", default="__default__", help="Which pipeline; all by default.")
@one_line_errors
def types(env: str | None, pipeline: str) -> None:
    """Check that the types along the graph agree, without a run."""
    from rich.table import Table

    from recycling.typed import check_types, type_name

    with catalog_of(env) as catalog:
        edges = check_types(_pipelines(pipeline), catalog)
    table = Table("dataset", "from", "to", "type")
    for edge in edges:
        table.add_row(edge.dataset, edge.giver.who, edge.taker.who, type_name(edge.taker.type))
    console_for_tables().print(table)
    click.echo(f"{len(edges)} edges of {pipeline} fit")


@cli.command()
@env_option
@click.option("--task", type=click.Choice(("cls", "det", "seg")), help="Only those for it.")
@one_line_errors
def recipes(env: str | None, task: Task | None) -> None:
    """List the recipes: how large, whose weights, which report asked."""
    from recycling.backends.libraries import how_to_install
    from recycling.backends.shared.recipes import N_CLASSES, list_recipes

    with catalog_of(env) as catalog:
        folder = cast("Recipes", catalog.load("recipes"))
    found = list_recipes(folder, task)
    console_for_tables(300).print(_recipes_table(found))  # one line a recipe
    counted = ", ".join(f"{task} {n}" for task, n in N_CLASSES.items())
    click.echo(f"{len(found)} recipes")
    click.echo(f"parameters: millions, with as many classes as the reports had ({counted})")
    click.echo("weights: what `pretrained: default` takes, host and file")
    if any(None in (recipe.parameters, recipe.weights, recipe.reports) for recipe in found):
        click.echo("-: the comment at the top of the recipe does not say")
    for library in sorted({library for recipe in found for library in recipe.missing}):
        click.echo(f"{library} is not installed: {how_to_install(library)}")


def _recipes_table(found: list[RecipeFacts]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    table = Table(
        "task",
        "library",
        Column("recipe", no_wrap=True),
        Column("parameters", justify="right"),
        "reports",
        Column("weights", overflow="fold"),
        box=SIMPLE_HEAD,
    )
    for recipe in found:
        missing = ", ".join(recipe.missing)
        table.add_row(
            recipe.task,
            recipe.backend if not missing else f"{recipe.backend} ({missing} not installed)",
            recipe.name,
            "-" if recipe.parameters is None else f"{recipe.parameters / 1e6:.1f}",
            _joined(recipe.reports),
            _joined(recipe.weights) + _as_its_base(recipe),
        )
    return table


def _as_its_base(recipe: RecipeFacts) -> str:
    if recipe.starts_as_base is None:
        return ""
    return f" ({'as' if recipe.starts_as_base else 'not those of'} {recipe.base})"


def _joined(entries: tuple[str, ...] | None) -> str:
    return "-" if entries is None else ", ".join(entries) or "none"


@cli.command()
@env_option
@click.option("--dataset", default="train.annotations", help="The annotations; the cleaned train.")
@click.option("--image-size", default=1024, help="Longer side as the network sees it, pixels.")
@one_line_errors
def anchors(env: str | None, dataset: str, image_size: int) -> None:
    """Say which anchors fit the boxes, and how well the usual ones do."""
    from recycling.backends.shared.anchor_proposal import (
        FASTER_RCNN,
        MATCH,
        anchor_report,
        describe,
    )

    with catalog_of(env) as catalog:
        annotations = catalog.load(dataset)
    report = anchor_report(annotations, image_size)
    console_for_tables(150).print(_anchors_table(report))  # one line a category
    click.echo(
        f"size: root of the area in pixels, on a longer side of {image_size}; ratio: height by "
        f"width; each from the 5th to the 95th of 100 boxes"
    )
    click.echo(
        f"usual: {describe(FASTER_RCNN)}; matched: boxes with an anchor of IoU {MATCH} or more"
    )
    sizes, ratios = list(report.proposed.sizes), list(report.proposed.ratios)
    click.echo(
        f"for models.yml, `anchors: proposed`, or: anchors: {{sizes: {sizes}, ratios: {ratios}}}"
    )


def _anchors_table(report: AnchorReport) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    from recycling.errors import printable

    headers = ("boxes", "size", "ratio", "usual IoU", "matched", "proposed IoU", "matched")
    table = Table(
        "category", *(Column(header, justify="right") for header in headers), box=SIMPLE_HEAD
    )
    for row in report.table.to_dict("records"):
        table.add_row(
            printable(row["category"]),
            f"{row['boxes']:,}",
            f"{row['size_05']:g} {row['size_50']:g} {row['size_95']:g}",
            f"{row['ratio_05']:g} {row['ratio_50']:g} {row['ratio_95']:g}",
            f"{row['default_mean_iou']:.3f}",
            f"{row['default_recall']:.1%}",
            f"{row['proposed_mean_iou']:.3f}",
            f"{row['proposed_recall']:.1%}",
        )
    return table


@cli.command()
@env_option
@click.argument("dataset")
@one_line_errors
def baseline(env: str | None, dataset: str) -> None:
    """Store the category shares of DATASET, which later runs are compared with."""
    from recycling.validation import store_baseline

    with catalog_of(env) as catalog:
        path = store_baseline(catalog, dataset)
    click.echo(f"{path}: category shares of {dataset}")
