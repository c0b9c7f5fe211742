"""`kedro view`: images, predictions, mistakes and experiments in the browser."""

from __future__ import annotations

from pathlib import Path

import click
from kedro.framework.cli.utils import env_option

from recycling.cli.core import one_line_errors, workplace_of


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

    from recycling.viewer.holdings import Holdings
    from recycling.viewer.server import serve

    with workplace_of(env) as place:
        names = {name for pipeline in pipelines.values() for name in pipeline.datasets()}
        serve(Holdings(place.catalog, place, names, files), host=host, port=port, token=token)
