"""MLflow: a run for each entry, below the folder unless a server is named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from recycling.errors import one_line
from recycling.tracking.core import TRACKERS, Entry, Tracking, TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

BATCH = 100
"""Most parameters that MLflow takes at once."""

LONGEST = 500
"""Characters of a parameter that it takes."""


class MlflowTracking(Tracking):
    """MLflow, from the extra `mlflow`."""

    to: Literal["mlflow"] = "mlflow"
    address: str | None = Field(
        default=None,
        description="of a server or data base; by default a file in `data/08_reporting/mlflow`",
    )
    experiment: str = Field(default="recycling", description="of MLflow")


@TRACKERS.register("mlflow", MlflowTracking)
def track(entries: Iterable[Entry], settings: MlflowTracking, folder: Path) -> None:
    """Write each entry as a run of MLflow.

    Args:
        entries: What to write.
        settings: Where to.
        folder: Gets the folder ``mlflow`` where no address is set.

    Raises:
        TrackingError: MLflow is not installed, or cannot write.
    """
    try:
        from mlflow import MlflowClient

        own = (folder / "mlflow").absolute()
        own.mkdir(parents=True, exist_ok=True)
        client = MlflowClient(settings.address or f"sqlite:///{own}/mlflow.db")
        known = client.get_experiment_by_name(settings.experiment)
        if known is None:
            place = None if settings.address else (own / "artifacts").as_uri()
            experiment = client.create_experiment(settings.experiment, artifact_location=place)
        else:
            experiment = known.experiment_id
        for entry in entries:
            _write(entry, client, experiment)
    except Exception as error:  # of requests, of the file system, of its own
        raise TrackingError(
            f"MLflow cannot keep the run: {one_line(error)}; mend it, or set tracking: none"
        ) from error


def _write(entry: Entry, client: MlflowClient, experiment: str) -> None:
    from mlflow.entities import Metric, Param

    tags = {"kind": entry.kind, "group": entry.group, "tags": ", ".join(entry.tags)}
    run = client.create_run(experiment, run_name=entry.name, tags=tags).info.run_id
    parameters = dict(_flat(entry.parameters))
    parameters |= {f"fingerprint.{name}": each for name, each in entry.fingerprints.items()}
    texts = {_key(name): str(each)[:LONGEST] for name, each in parameters.items()}
    for some in _batches(Param(name, text) for name, text in texts.items()):
        client.log_batch(run, params=some)
    now = int(time() * 1000)
    metrics = [Metric(_key(name), value, now, 0) for name, value in entry.scores.items()]
    metrics += [
        Metric(_key(f"training/{name}"), float(value), now, int(line["epoch"]))
        for line in entry.curves
        for name, value in line.items()
        if name != "epoch"
    ]
    for some in _batches(metrics):
        client.log_batch(run, metrics=some)
    for each in entry.predictions:
        name = re.sub(r"[^\w.-]", "_", each.file_name)
        client.log_image(run, each.overlay, f"predictions/{each.predictions}/{name}.png")
    for page in entry.pages.values():
        client.log_artifact(run, str(page), "pages")
    for dataset, path in entry.gives.items():
        client.log_artifact(run, str(path), f"artifacts/{dataset}")
    end = "KILLED" if entry.stopped else "FAILED" if entry.failed else "FINISHED"
    client.set_terminated(run, end)


def _flat(parameters: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by their whole name, with dots; lists stay whole."""
    for name, value in parameters.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _batches(things: Iterable[Any]) -> Iterator[list[Any]]:
    every = list(things)
    yield from (every[at : at + BATCH] for at in range(0, len(every), BATCH))


def _key(name: str) -> str:
    """A name in the letters that MLflow takes.

    >>> _key("out_of_fold/class/Paper & pack")
    'out_of_fold/class/Paper _ pack'
    """
    return re.sub(r"[^\w\-./ ]", "_", name)
