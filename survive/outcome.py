"""What a project holds when its run has ended, and whether that is as it should be."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from survive.events import DONE, NODE, WRITES, Event

LAYERS = ("02_intermediate", "03_primary", "05_model_input", "07_model_output")
COMPARED = {".parquet", ".json", ".csv", ".png", ".npz", ".pth"}

CACHE = "image_cache.parquet"
"""It knows files by when they were written, and each project has copies of its own."""

HIDDEN = (".unfinished", ".replaced", ".growing")


def outputs(project: Path) -> dict[str, str]:
    """The sha256 of every submission, table, label map, score and network, by its path."""
    data = project / "data"
    found = [path for layer in LAYERS for path in (data / layer).rglob("*")]
    found += (data / "06_models").rglob("checkpoint/*.pth")
    found += (data / "08_reporting").glob("*.parquet")
    found += (data / "08_reporting").glob("*/*.parquet")
    found.append(data / "08_reporting/summary.json")
    return {
        str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(found)
        if path.suffix in COMPARED and path.name != CACHE and path.is_file()
    }


def faults(
    project: Path,
    expected: Mapping[str, str],
    reference: Iterable[Event],
    lives: Iterable[Event],
) -> list[str]:
    """What is not as a run that was left alone has it.

    Args:
        project: After the last run.
        expected: The outputs of the run that was left alone.
        reference: Its events.
        lives: The events of all runs in the project.
    """
    return [
        *_differences(expected, outputs(project)),
        *_hidden(project),
        *_cut_off(project),
        *_locked(project),
        *_trained_again(reference, lives),
    ]


def overlaps(runs: Iterable[Iterable[Event]]) -> list[str]:
    """The nodes that two runs ran at the same time, though both write what it makes.

    Those that make values in memory alone are not locked.
    """
    spans: dict[str, list[tuple[float, float]]] = {}
    for events in runs:
        began: dict[str, float] = {}
        writes = False
        for event in events:
            writes |= event.kind in WRITES
            if event.kind == NODE:
                began[event.name], writes = event.seconds, False
            elif event.kind == DONE and event.name in began and writes:
                spans.setdefault(event.name, []).append((began[event.name], event.seconds))
    return [
        f"{name}: two runs ran it at the same time"
        for name, own in spans.items()
        if any(later < end for (_, end), (later, _) in pairwise(sorted(own)))
    ]


def _differences(expected: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*expected, *found}):
        if name not in found:
            yield f"{name}: is not there"
        elif name not in expected:
            yield f"{name}: should not be there"
        elif found[name] != expected[name]:
            yield f"{name}: holds other bytes"


def _hidden(project: Path) -> Iterator[str]:
    """What a kill leaves is removed by the next write to its place, which every place has had."""
    for path in (project / "data").rglob(".*"):
        if path.suffix in HIDDEN:
            yield f"{path.relative_to(project)}: was left behind"


def _cut_off(project: Path) -> Iterator[str]:
    for path in (project / "data").rglob("*.json"):
        # The libraries' own logs, mmengine's and detectron2's, grow a line at a time.
        if path.parent.name == "vis_data" or path.match("06_models/runs/*/metrics.json"):
            continue
        try:
            json.loads(path.read_bytes())
        except ValueError:
            yield f"{path.relative_to(project)}: is cut off"


def _locked(project: Path) -> Iterator[str]:
    for path in (project / "data").rglob("*.lock"):
        descriptor = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield f"{path.relative_to(project)}: is locked still"
        finally:
            os.close(descriptor)


def _trained_again(reference: Iterable[Event], lives: Iterable[Event]) -> Iterator[str]:
    """Each epoch but the last ends with a state, the last one with a checkpoint."""
    once = Counter(_training_ends(reference))
    for name, times in Counter(_training_ends(lives)).items():
        if times > once[name]:
            yield f"{name}: an epoch was trained again: {times} states instead of {once[name]}"


def _training_ends(events: Iterable[Event]) -> Iterator[str]:
    for event in events:
        if event.kind == "named" and event.name.endswith("/state.pth"):
            yield event.name
