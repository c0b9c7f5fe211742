"""Reads the log of an offline run of W&B: LevelDB's log format around W&B's own messages."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK, HEADER = 32768, 7
BEGINNING = 7
"""Bytes before the first record: W&B's own mark."""

FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(path: Path) -> Iterator[Any]:
    """Every message of a `.wandb` file, in order."""
    from wandb.proto import wandb_internal_pb2

    data, at, parts = path.read_bytes(), BEGINNING, b""
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:  # the rest of a block that no header fits in
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + HEADER])
        parts += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (FULL, LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            yield record
            parts = b""


class Logged:
    """What an offline run says.

    Args:
        folder: Of the run.
    """

    def __init__(self, folder: Path) -> None:
        (path,) = folder.glob("*.wandb")
        every = list(records(path))
        self.run = next(record.run for record in every if record.HasField("run"))
        self.exit_code = next(r.exit.exit_code for r in every if r.HasField("exit"))
        self.config = {each.key: json.loads(each.value_json) for each in self.run.config.update}
        self.history = [
            {_key(item): json.loads(item.value_json) for item in record.history.item}
            for record in every
            if record.HasField("history")
        ]
        self.summary: dict[str, Any] = {}
        for record in every:
            if record.HasField("summary"):
                self.summary |= {_key(i): json.loads(i.value_json) for i in record.summary.update}
        self.artifacts = [_artifact(record) for record in every if _artifact(record) is not None]
        self.gives = {each.name: each for each in self.artifacts if not each.use_after_commit}
        self.takes = {each.name: each for each in self.artifacts if each.use_after_commit}

    def summary_names(self) -> set[str]:
        """What its summary speaks of: numbers, and pages and tables, whose keys have parts."""
        return {name.rpartition(".")[0] or name for name in self.summary}

    @property
    def curve(self) -> list[dict[str, Any]]:
        """The lines of its history that are of an epoch."""
        return [line for line in self.history if "epoch" in line]


def logged(folder: Path) -> dict[str, Logged]:
    """The offline runs in a folder, by name."""
    found = [Logged(path) for path in sorted(folder.glob("offline-run-*"))]
    return {each.run.display_name: each for each in found}


def _artifact(record: Any) -> Any:
    if record.HasField("artifact"):
        return record.artifact
    if record.HasField("request") and record.request.HasField("log_artifact"):
        return record.request.log_artifact.artifact
    return None


def _key(item: Any) -> str:
    return item.key or ".".join(item.nested_key)
