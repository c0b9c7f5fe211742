"""What a worker is told of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SentRun:
    """What a worker has to know of a run: data, and no code.

    Attributes:
        run_id: As Kedro names it.
        package: The project's.
        project: The folder of the project where the run is led.
        config: What the configuration says, resolved: `parameters` and `globals`.
        loader: What else is known of the configuration: where it is, the environments, `--params`.
        catalog: Entries, credentials and versions, as `DataCatalog.from_config` takes them.
        pipeline_names: The pipelines that the run is of.
        nodes: The names of its nodes.
        leases: Where leases lie, below the folder of all outputs.
        logging: How it is logged.
        is_alone: Whether the workers are of this run alone, and share its screen.
    """

    run_id: str
    package: str
    project: str
    config: dict[str, Any]
    loader: dict[str, Any]
    catalog: tuple[Any, ...]
    pipeline_names: list[str]
    nodes: list[str]
    leases: str
    logging: dict[str, Any]
    is_alone: bool

    @property
    def plugin(self) -> str:
        """What the worker's plugin for the run is called, and the topic of its log."""
        return f"recycling {self.run_id}"

    @property
    def mark(self) -> Path:
        """A file that is there while the run goes on: whoever sees it sees the run's folder."""
        return Path(self.leases) / f"run {self.run_id}.json"

    def seen_from(self, project: Path) -> SentRun:
        """The same run where the project lies elsewhere: all paths within it are moved there."""
        facts = {
            name: _moved(value, self.project, str(project)) for name, value in vars(self).items()
        }
        return SentRun(**facts)


def _moved(value: Any, before: str, now: str) -> Any:
    """A value whose texts that are a path begin otherwise.

    >>> _moved({"a": ["/here/data", "/hereafter"]}, "/here", "/there")
    {'a': ['/there/data', '/hereafter']}
    """
    if isinstance(value, dict):
        return {key: _moved(each, before, now) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_moved(each, before, now) for each in value)
    if isinstance(value, str) and (value == before or value.startswith(f"{before}/")):
        return now + value.removeprefix(before)
    return value
