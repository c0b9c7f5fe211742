"""Weights & Biases: a run for each entry, offline below the folder unless told otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from pydantic import Field

from recycling.errors import one_line
from recycling.tracking.core import TRACKERS, Entry, PredictedImage, Tracking, TrackingError

if TYPE_CHECKING:
    import wandb

Mode: TypeAlias = Literal["offline", "online", "disabled"]

MODE = "WANDB_MODE"
"""W&B's own variable, which goes before the setting."""

CTRL_C = 255
"""What W&B itself ends a run with that Ctrl-C has ended."""


class WandbTracking(Tracking):
    """Weights & Biases."""

    to: Literal["wandb"] = "wandb"
    mode: Mode = Field(
        default="offline",
        description="offline writes below `data/08_reporting/wandb`, which `wandb sync` sends",
    )
    project: str = Field(default="recycling", description="of W&B")
    entity: str | None = Field(default=None, description="the team; by default the user's own")


@TRACKERS.register("wandb", WandbTracking)
def track(entries: Iterable[Entry], settings: WandbTracking, folder: Path) -> None:
    """Write each entry as a run of W&B.

    Args:
        entries: What to write.
        settings: Whether to send them at once, and where to.
        folder: Gets the folder ``wandb``.

    Raises:
        TrackingError: W&B is not installed, or cannot begin a run: no login, no network, no room.
    """
    mode = cast(Mode, os.environ.get(MODE, settings.mode))
    if mode == "disabled":
        return
    os.environ.setdefault("WANDB_SILENT", "true")
    # What is to be sent waits here, not in the user's home.
    os.environ.setdefault("WANDB_DATA_DIR", str((folder / "wandb").absolute()))
    try:
        import wandb

        for entry in entries:
            _write(entry, settings, mode, folder)
        wandb.teardown()  # until all is on the disk
    except Exception as error:  # what W&B raises has no base of its own
        raise TrackingError(
            f"W&B cannot keep the run: {one_line(error)}; mend it, or set tracking: none"
        ) from error


def _write(entry: Entry, settings: WandbTracking, mode: Mode, folder: Path) -> None:
    import wandb

    run = wandb.init(
        dir=folder,
        mode=mode,
        project=settings.project,
        entity=settings.entity,
        id=entry.name,
        name=entry.name,
        group=entry.group,
        job_type=entry.kind,
        tags=entry.tags,
        config={"parameters": entry.parameters, "fingerprints": entry.fingerprints},
        reinit="create_new",
        settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
    )
    try:
        run.define_metric("epoch")
        run.define_metric("training/*", step_metric="epoch")
        for line in entry.curves:
            rest = {f"training/{name}": value for name, value in line.items() if name != "epoch"}
            run.log({"epoch": line["epoch"], **rest})
        shown: dict[str, Any] = {name: wandb.Html(page) for name, page in entry.pages.items()}
        if entry.predictions:
            shown["predictions"] = _table(entry.predictions)
        if shown:
            run.log(shown)
        run.summary.update(dict(entry.scores))
        for artifact in _artifacts(entry.takes, entry.fingerprints):
            # The public `use_artifact` refuses to work offline; this is what it calls.
            run._log_artifact(artifact, is_user_created=True, use_after_commit=True)
        for artifact in _artifacts(entry.gives, entry.fingerprints):
            run.log_artifact(artifact)
    finally:
        run.finish(exit_code=CTRL_C if entry.stopped else int(entry.failed))


def _table(predictions: Sequence[PredictedImage]) -> wandb.Table:
    import wandb

    rows: list[Iterable[Any]] = [
        [each.predictions, each.file_name, each.objects, wandb.Image(each.overlay, file_type="jpg")]
        for each in predictions
    ]
    return wandb.Table(["predictions", "image", "objects", "overlay"], data=rows)


def _artifacts(files: Mapping[str, Path], fingerprints: Mapping[str, str]) -> list[wandb.Artifact]:
    """An artifact for each dataset; the same content is the same version, whoever brings it."""
    import wandb

    made = []
    for dataset, path in files.items():
        artifact = wandb.Artifact(
            dataset, dataset.rpartition(".")[2], metadata={"content": fingerprints.get(dataset)}
        )
        if path.is_dir():
            artifact.add_dir(str(path), skip_cache=True, policy="immutable")
        else:
            artifact.add_file(str(path), skip_cache=True, policy="immutable")
        made.append(artifact)
    return made
