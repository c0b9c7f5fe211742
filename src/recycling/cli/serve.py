"""`kedro serve`: models and ensembles as a service over HTTP."""

from __future__ import annotations

from typing import Any

import click
from kedro.framework.cli.utils import env_option

from recycling.cli.core import Finite, one_line_errors
from recycling.cli.place import place_of


@click.command()
@env_option
@click.option(
    "--with", "names", required=True, help="det.final, an exported file; more with commas."
)
@click.option("--host", default="127.0.0.1", help="Where it listens; this machine by default.")
@click.option("--port", default=8766, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--token", envvar="RECYCLING_TOKEN", help="What others have to send.")
@click.option("--open", "is_open", is_flag=True, help="Let others ask without a token.")
@click.option("--device", help="cpu, cuda, cuda:1; a GPU where there is one.")
@click.option("--batch-size", default=8, type=click.IntRange(min=1), help="Images at a time.")
@click.option("--max-bytes", type=click.IntRange(min=1), help="Of a request; 20 MiB.")
@click.option("--max-pixels", type=click.IntRange(min=1), help="Of an image; 40 million.")
@click.option("--seconds", type=Finite(0, min_open=True), help="For an answer; 30.")
@click.option("--per-minute", type=click.IntRange(min=0), help="Requests of an address; 600.")
@click.option("--queue", type=click.IntRange(min=1), help="Million pixels that wait; 330, 1 GB.")
@one_line_errors
def serve(env: str | None, names: str, host: str, port: int, **options: Any) -> None:
    """Answer what is on photographs: a page to drop one on, POST /predict, /docs for the rest."""
    from recycling.listening import check_address
    from recycling.predictors import Loading, predictor_of
    from recycling.serving import ServiceLimits, application, server

    token, is_open = options.pop("token"), options.pop("is_open")
    if token is not None or not is_open:
        check_address(host, token, or_else=", or --open")
    device, batch_size = options.pop("device"), options.pop("batch_size")
    limits = ServiceLimits(**{key: each for key, each in options.items() if each is not None})
    wanted = list(dict.fromkeys(filter(None, map(str.strip, names.split(",")))))
    with place_of(env, wanted) as place:
        if options["max_pixels"] is not None:
            _let_through(limits.max_pixels)
        loading = Loading(device, batch_size)
        predictors = [predictor_of(name, place.plan, place.catalog, loading) for name in wanted]
    here = token is None and not is_open
    app = application(predictors, limits, batch_size=batch_size, token=token, here=here)
    server.serve(app, host=host, port=port, seconds=limits.seconds)


def _let_through(max_pixels: int) -> None:
    """Have images of so many pixels decoded, where the parameters allow fewer."""
    from recycling.limits import limits, set_limits

    own = limits()
    most = max(own.max_pixels, max_pixels)
    set_limits(own.model_copy(update={"max_pixels": most}))
