"""Where the commands that predict find what they need."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recycling.addresses import is_address
from recycling.cli.core import context_of


@dataclass(frozen=True)
class Place:
    """An environment, or the folder that exported files are used in.

    Attributes:
        data: The folder of all data, or its address.
        plan: Of the environment; None where exported files alone predict.
        catalog: Likewise.
        records: The folder that says what the outputs of the environment were made of; likewise.
    """

    data: Path | str
    plan: Any = None
    catalog: Any = None
    records: Path | None = None

    def folder(self, inside: str) -> Path:
        """A folder in that of all data, for what a command writes where it is not told otherwise.

        Args:
            inside: Its path there.

        Raises:
            ParameterError: The data are elsewhere, and what stands for them here may be removed.
        """
        from recycling.plan.parameters import ParameterError

        if is_address(self.data):
            raise ParameterError(
                f"globals.yml: data: {self.data} is elsewhere, and the files are written on this "
                "machine; name their folder with --to"
            )
        return Path(self.data) / inside


@contextmanager
def place_of(env: str | None, names: Sequence[str]) -> Iterator[Place]:
    """The place that an environment is; exported files need its limits and credentials alone.

    Without the libraries that train, the models of its plan cannot be read.

    Args:
        env: The environment.
        names: What predicts.

    Raises:
        ParameterError: The limits are not what they should be.
    """
    from recycling.inference.exported import is_exported

    if all(map(is_exported, names)):
        _set_limits_and_credentials(env)
        yield Place(Path("data"))
        return
    from recycling.hooks import records_folder
    from recycling.pipeline_registry import plan_of

    with context_of(env) as context:
        project = Path(context.project_path)
        config: Any = context.config_loader
        data = str(config["globals"]["data"])
        yield Place(
            data if is_address(data) else project / data,
            plan_of(config, project),
            context.catalog,
            records_folder(context),
        )


def _set_limits_and_credentials(env: str | None) -> None:
    """Let hold what the configuration of the project says of them, where there is a project."""
    from kedro.framework.project import settings
    from kedro.utils import find_kedro_project
    from pydantic import ValidationError

    from recycling.configuration import ConfigLoader
    from recycling.limits import Limits, set_limits
    from recycling.plan.data_folder import set_credentials
    from recycling.plan.parameters import ParameterError, faults, source_of

    project = find_kedro_project(Path.cwd())
    if project is None:
        return
    config = ConfigLoader(
        str(project / settings.CONF_SOURCE),
        env=env or os.environ.get("KEDRO_ENV"),
        **settings.CONFIG_LOADER_ARGS,
    )
    set_credentials(config)
    try:
        set_limits(Limits.model_validate(config["parameters"].get("limits") or {}))
    except ValidationError as error:
        where = f"{source_of('limits', config)}: limits"
        raise ParameterError(faults(error, where, Limits)) from error
