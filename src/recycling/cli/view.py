"""`kedro view`: images, predictions, mistakes and experiments in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.utils import env_option

from recycling.cli.core import context_of, one_line_errors, show_sample


@click.command()
@env_option
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--host", default="127.0.0.1", help="Where it listens; this machine by default.")
@click.option("--port", default=8765, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--token", help="What others have to know, where --host lets them in.")
@one_line_errors
def view(env: str | None, files: tuple[Path, ...], host: str, port: int, token: str | None) -> None:
    """Look at what the catalog holds, in the browser; FILES are submissions (CSV) to look at."""
    from kedro.framework.project import pipelines

    from recycling.hooks import records_folder
    from recycling.sides import Workplace
    from recycling.viewer.holdings import Holdings
    from recycling.viewer.server import serve

    with context_of(env) as context:
        catalog: Any = context.catalog
        names = {name for pipeline in pipelines.values() for name in pipeline.datasets()}
        show_sample(context, catalog)
        runs = catalog.load("run_manifests")
        place = Workplace(catalog, runs, records_folder(context), context.params)
        serve(Holdings(catalog, place, names, files), host=host, port=port, token=token)
