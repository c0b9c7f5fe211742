"""`kedro score`: how good models, ensembles or files are, each by itself, and how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from kedro.framework.cli.utils import env_option

from recycling.cli.core import log_to_stderr, one_line_errors, workplace_of
from recycling.cli.experiments import print_table

if TYPE_CHECKING:
    from recycling.backends.shared.model import Task


@click.command()
@env_option
@click.argument("sides", nargs=-1, required=True)
@click.option("--task", type=click.Choice(("cls", "det", "seg")), help="What CSV files predict.")
@one_line_errors
def score(env: str | None, sides: tuple[str, ...], task: Task | None) -> None:
    """Score SIDES, each by itself, of all and by class and size, with intervals.

    A side is named as for `kedro compare`: det.yolox (all its folds), det.yolox.fold0, det.final,
    latest~1:det.yolox, or a CSV file. Models are scored on images that they have not seen, where
    they have predicted some, else on labelled test images.
    """
    from recycling.evaluation import metric_of
    from recycling.experiments import ExperimentError, scores_with_intervals
    from recycling.pipelines.tasks import is_labelled
    from recycling.sides import OUT_OF_FOLD, chosen_epoch, common_images, only_on, shared_part

    log_to_stderr()
    with workplace_of(env) as place:
        for asked in sides:
            if place.is_run(asked):
                raise ExperimentError(f"{asked} is a whole run; name its model: {asked}:det.yolox")
            side = place.side(asked, task)
            part = shared_part([side])
            truth = common_images([side], part)
            if not is_labelled(truth):
                raise ExperimentError(f"{asked}: the test images have no labels: nothing is scored")
            metric = place.metric(side.task)
            where = "images that it has not seen" if part == OUT_OF_FOLD else "test images"
            title = metric_of(metric).title
            for seed, own in enumerate(side.predictions[part]):
                of_seed = f", seed {seed}" if len(side.predictions[part]) > 1 else ""
                click.echo(f"{asked}{of_seed}: {title} on {len(truth.images)} {where}")
                print_table(scores_with_intervals(metric, truth, only_on(truth, own)))
            for line in chosen_epoch(side, part):
                click.echo(line)
