"""What the commands share: errors of one line, and the catalog of an environment."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import click
from kedro.framework.cli.utils import KedroCliError
from kedro.framework.context import KedroContext
from kedro.framework.session import KedroSession
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from recycling.errors import message_for_user
from recycling.runners import RunStoppedError
from recycling.stopping import INTERRUPTED

if TYPE_CHECKING:
    from rich.console import Console

    from recycling.experiments import Runs
    from recycling.sides import Workplace


def one_line_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Show an error that is meant for the user as its one line; leave every other one whole."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except Exception as error:
            message = message_for_user(error)
            if message is None:
                raise
            shown = StoppedError if isinstance(error, RunStoppedError) else OneLineError
            raise shown(message) from error

    return wrapped


class Finite(click.FloatRange):
    """A number of a range; `FloatRange` takes "nan" for one of any."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number", param, ctx)
        return number


class OneLineError(KedroCliError):
    """An error shown as one line; with ``--verbose`` as a traceback."""

    def show(self, file: Any = None) -> None:
        """Print the line."""
        if self.VERBOSE_ERROR:
            super().show(file)
        else:
            click.secho(f"Error: {self.message}", fg="red", err=True)


class StoppedError(OneLineError):
    """Ctrl-C, as shells tell of it."""

    exit_code = INTERRUPTED


def log_to_stderr() -> None:
    """Leave standard output to what a command prints, which other tools may read."""
    import rich

    rich.reconfigure(stderr=True)  # Kedro's handler logs to this console


def console_for_tables(width: int | None = None) -> Console:
    """Where tables are printed; names in them are text, whatever brackets they have.

    Args:
        width: Columns where the output is no terminal, so that grep finds whole lines.
    """
    from rich.console import Console

    console = Console(markup=False, emoji=False)
    if width is not None and not console.is_terminal:
        console.width = width
    return console


@contextmanager
def context_of(env: str | None) -> Iterator[KedroContext]:
    """The context of an environment, whose pipelines are known within."""
    with KedroSession.create(env=env) as session:
        yield cast(KedroSession, session).load_context()


def show_sample(
    context: KedroContext, catalog: DataCatalog, pipeline: Pipeline | None = None
) -> None:
    """Let a fresh clone look at what the repository ships, as a pipeline runs on it.

    Args:
        context: Says where the project is.
        catalog: Is pointed to the sample where nothing of that has been made.
        pipeline: What would run; by default, what `--pipelines ensembling` does.
    """
    from kedro.framework.project import pipelines

    from recycling.hooks import SampleHooks

    sample = SampleHooks()
    sample.after_context_created(context)
    asked = pipelines["ensembling"] if pipeline is None else pipeline
    sample.before_pipeline_run(asked, catalog)


@contextmanager
def catalog_of(env: str | None) -> Iterator[DataCatalog]:
    """The catalog of an environment, whose pipelines are known within."""
    with context_of(env) as context:
        yield cast(DataCatalog, context.catalog)


@contextmanager
def workplace_of(env: str | None) -> Iterator[Workplace]:
    """Where the sides of a comparison are looked up, in a fresh clone the sample."""
    from recycling.hooks import records_folder
    from recycling.sides import Workplace

    with context_of(env) as context:
        catalog = cast(DataCatalog, context.catalog)
        show_sample(context, catalog)
        runs = cast("Runs", catalog.load("run_manifests"))
        yield Workplace(catalog, runs, records_folder(context), context.params, context.env)
