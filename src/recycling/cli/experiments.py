"""`kedro experiments`, `kedro study` and `kedro noise`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.cli.utils import env_option

from recycling.cli.core import catalog_of, console_for_tables, log_to_stderr, one_line_errors

if TYPE_CHECKING:
    import pandas as pd

WIDE = 300
"""Columns where the output is no terminal."""


@click.command()
@env_option
@click.option("--models", "of_models", is_flag=True, help="A row a model and ensemble of each run.")
@click.option("--sort", help="A column, largest first; with - before it, smallest first.")
@click.option("--filter", "where", help='A condition: task == "det" and out_of_fold > 0.5')
@click.option("--columns", help="Which columns, with commas.")
@click.option(
    "--format", "form", type=click.Choice(("table", "json", "csv")), default="table", help="How."
)
@click.option(
    "--best", nargs=2, metavar="TASK METRIC", help="Print the folder of the best model: det mAP50."
)
@click.option(
    "--name", "naming", nargs=2, metavar="RUN NAME", help="Call a run so; its models are kept."
)
@one_line_errors
def experiments(
    env: str | None,
    of_models: bool,
    sort: str | None,
    where: str | None,
    columns: str | None,
    form: str,
    best: tuple[str, str] | None,
    naming: tuple[str, str] | None,
) -> None:
    """List the runs and what they scored, or their models."""
    from recycling.experiments import (
        as_records,
        best_checkpoint,
        chosen_rows,
        models_table,
        nothing_listed,
        runs_table,
    )
    from recycling.mirrors import send

    log_to_stderr()
    with catalog_of(env) as catalog:
        runs = catalog.load("run_manifests")
        if naming:
            run_id = runs.find(naming[0]).run_id
            runs.rename(run_id, naming[1])
            send()
            click.echo(f"{run_id} is called {naming[1]}")
            return
        found = list(runs.all().values())
        if best:
            row = best_checkpoint(models_table(found), *best)
            click.echo(_folder(catalog, runs, row))
            return
    table = models_table(found) if of_models else runs_table(found)
    if table.empty:
        click.echo(f"{runs.path}: {nothing_listed(found)}", err=True)
        return
    table = chosen_rows(table, sort=sort, where=where, columns=columns)
    if form == "json":
        click.echo(json.dumps(as_records(table), indent=2))
    elif form == "csv":
        click.echo(table.to_csv(index=False), nl=False)
    else:
        print_table(table)


def print_table(table: pd.DataFrame) -> None:
    """Print a table, without columns that are empty."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    from recycling.errors import printable
    from recycling.experiments import shown_table, without_empty_columns

    table = without_empty_columns(table)
    numbers = set(table.select_dtypes("number").columns)
    headers = (
        Column(
            printable(str(name)), justify="right" if name in numbers else "left", overflow="fold"
        )
        for name in table
    )
    shown = Table(*headers, box=SIMPLE_HEAD)
    for row in shown_table(table):
        shown.add_row(*row)
    console_for_tables(WIDE).print(shown)


def _folder(catalog: Any, runs: Any, row: dict[str, Any]) -> str:
    """Where the checkpoint of a run lies, as the run kept it."""
    from recycling.datasets.kept import kept_by
    from recycling.experiments import ExperimentError
    from recycling.plan.parameters import shown

    name = row["checkpoint"]
    current = catalog.get(name)
    kept = None if current is None else kept_by(runs.folder(row["run"]), name, current)
    if kept is None and current is not None:
        raise ExperimentError(
            f"{row['run']}: runs keep no checkpoint that is elsewhere where data are here; that of "
            f"the last run is {current.url}; versioned: true in its catalog entry keeps all"
        )
    if kept is None or not kept.exists():
        raise ExperimentError(
            f"{row['run']}: its checkpoint {name} is not kept any more; name runs that are to be "
            "kept: kedro experiments --name RUN NAME"
        )
    return kept.url or str(shown(kept.filepath))


@click.command()
@env_option
@click.argument("name")
@one_line_errors
def study(env: str | None, name: str) -> None:
    """Train what NAME, a study, lacks, and compare its arms."""
    _run_study(env, name, {})


@click.command()
@env_option
@click.argument("model")
@click.option("--seeds", default=5, type=click.IntRange(min=2), help="How many trainings.")
@click.option("--fold", default=0, type=click.IntRange(min=0), help="Which fold is held out.")
@one_line_errors
def noise(env: str | None, model: str, seeds: int, fold: int) -> None:
    """Measure how far trainings of MODEL (det.yolox) are apart that differ in the seed alone."""
    name = model.rpartition(".")[2]
    described = {"base": name, "seeds": list(range(seeds)), "folds": [fold]}
    _run_study(env, f"noise_{name}", {f"noise_{name}": described})


def _run_study(env: str | None, name: str, further: dict[str, Any]) -> None:
    """Run a study as it is in the parameters, or one that is given here."""
    from kedro.framework.project import pipelines
    from kedro.framework.session import KedroSession

    from recycling.experiments import ExperimentError

    given = {"studies": further} if further else {}
    with KedroSession.create(env=env, runtime_params=given) as created:
        session: Any = created
        catalog = session.load_context().catalog
        known = [key.removeprefix("study_") for key in pipelines if key.startswith("study_")]
        if name not in known:
            listed = ", ".join(known) or "none; describe one under studies in a parameters file"
            raise ExperimentError(f"no study {name!r}; there are {listed}")
        session.run(
            pipeline_names=["__default__", f"study_{name}"],
            to_outputs=sorted(pipelines[f"study_{name}"].outputs()),
            only_missing_outputs=True,
        )
        summary = catalog.load(f"study.{name}.summary")
        print_table(catalog.load(f"study.{name}.arms"))
        effects = catalog.load(f"study.{name}.effects")
    if len(effects):
        print_table(effects)
    for sentence in summary["sentences"]:
        click.echo(sentence)
    if summary["noise"] is not None:
        own = summary["noise"]
        # What was measured before does not say on which folds.
        where = f" on fold {', '.join(map(str, own['folds']))}" if "folds" in own else ""
        click.echo(
            f"noise between {own['seeds']} seeds of {own['model']}{where}: a standard deviation of "
            f"{own['deviation']:.4f} {own['metric']}"
        )
