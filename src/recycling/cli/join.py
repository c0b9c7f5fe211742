"""`kedro join`: this machine takes part in trainings that another one runs."""

from __future__ import annotations

import logging

import click
from kedro.framework.cli.utils import env_option

from recycling.cli.core import catalog_of, one_line_errors

logger = logging.getLogger(__name__)


@click.command()
@env_option
@one_line_errors
def join(env: str | None) -> None:
    """Take part in trainings that other machines run; Ctrl-C ends it.

    For models with `devices: {nodes: 2, ...}`: `kedro run` on one machine, this on the others.
    """
    from recycling.backends import RunFolder
    from recycling.backends.mmengine_backend import devices
    from recycling.stopping import stops_when_asked

    with catalog_of(env) as catalog:
        runs: RunFolder = catalog.load("runs")
        with stops_when_asked():
            logger.info("waits for trainings in %s", runs.path)
            devices.join(runs.path)
