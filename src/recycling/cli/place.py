"""Where the commands that predict find what they need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recycling.cli.core import context_of


@dataclass(frozen=True)
class Place:
    """An environment, or the folder that exported files are used in.

    Attributes:
        data: The folder of all data.
        plan: Of the environment; None where exported files alone predict.
        catalog: Likewise.
    """

    data: Path
    plan: Any = None
    catalog: Any = None


@contextmanager
def place_of(env: str | None, names: Sequence[str]) -> Iterator[Place]:
    """The place that an environment is, of which exported files need next to nothing.

    Without the libraries that train, the models of its plan cannot be read.

    Args:
        env: The environment.
        names: What predicts.
    """
    from recycling.inference.exported import is_exported

    if all(map(is_exported, names)):
        yield Place(Path("data"))
        return
    from recycling.pipeline_registry import plan_of
    from recycling.plan.data_folder import data_folder

    with context_of(env) as context:
        project = Path(context.project_path)
        config: Any = context.config_loader
        data = data_folder(config, project)
        yield Place(data, plan_of(config, project), context.catalog)
