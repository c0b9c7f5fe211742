"""What a run will do and take, told before it starts, from what its nodes took before."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kedro.pipeline.node import Node
from rich.filesize import decimal

from recycling.backends import Model
from recycling.datasets import CheckpointDataset, PathDataset
from recycling.errors import listed
from recycling.fingerprints.ingredients import Facts, Graph
from recycling.fingerprints.records import Record, Records
from recycling.fingerprints.state import State


@dataclass(frozen=True)
class Forecast:
    """What a run will do and take.

    Attributes:
        nodes: How many nodes run.
        trainings: How many of them train.
        seconds: What those that are known took before.
        unknown: The nodes of which nothing like them has run here.
        size: Bytes of the outputs, as far as such were made before.
        more: Bytes by which those exceed what they replace.
        free: Bytes that are free where outputs go.
        gpus: The GPUs: name, and free and whole memory in MiB.
        gpu_peak: MiB that the largest of the trainings took of one before; 0 if that is not known.
    """

    nodes: int
    trainings: int
    seconds: float
    unknown: tuple[str, ...]
    size: int
    more: int
    free: int
    gpus: tuple[tuple[str, int, int], ...] = ()
    gpu_peak: float = 0.0

    @property
    def fits(self) -> bool:
        """Whether the outputs find room, as far as that is known."""
        return self.more <= self.free

    def __str__(self) -> str:
        """One line.

        >>> print(Forecast(12, 2, 190, ("det.yolox.fold0.train",), 3_500_000, 0, 9_100_000_000))
        12 nodes, 2 trainings; about 3 minutes as before, and 1 node with no time known \
(det.yolox.fold0.train); writes about 3.5 MB, 9.1 GB are free
        """
        parts = [f"{_counted(self.nodes, 'node')}, {_counted(self.trainings, 'training')}"]
        parts.append(self._time())
        free = f"{decimal(self.free)} are free"
        parts.append(f"writes about {decimal(self.size)}, {free}" if self.size else free)
        if self.gpus and self.gpu_peak:
            parts.append(f"a training took {self.gpu_peak / 1024:.1f} GiB of a GPU")
        parts += [
            f"{name}: {free / 1024:.1f} of {whole / 1024:.1f} GiB free"
            for name, free, whole in self.gpus
        ]
        return "; ".join(parts)

    def _time(self) -> str:
        if self.unknown and not self.seconds:
            return "time unknown, as none of them has run here yet"
        line = f"about {_duration(self.seconds)} as before"
        if self.unknown:
            line += f", and {_counted(len(self.unknown), 'node')} with no time known"
            line += f" ({listed(self.unknown, 2)})"
        return line


def forecast(graph: Graph, records: Records, nodes: Sequence[Node]) -> Forecast:
    """What running some nodes will take.

    A node that has not run here takes as long as the same node of another fold of its model; a
    training with other epochs, as much longer.

    Args:
        graph: The nodes and the catalog.
        records: How long nodes took before.
        nodes: Those that will run.
    """
    earlier = _of_any_fold(records)
    seconds, size, more, trainings, peak = 0.0, 0, 0, 0, 0.0
    unknown = []
    for node in nodes:
        outputs = graph.stored_outputs(node)
        before: Record | None = None
        model: Facts = {}
        for name in outputs:
            record, like = earlier.get(name) or earlier.get(_any_fold(name)) or (None, name)
            before = before or record
            there = _size(graph, name)
            expected = there or _size(graph, like)
            size, more = size + expected, more + expected - there
            if isinstance(graph.stored(name), CheckpointDataset):
                trainings += 1
                model = _trained(graph, name) or _trained(graph, like)
        if model.get("peak_megabytes_of") == "GPU":
            peak = max(peak, model["peak_megabytes"])
        took = model.get("seconds") if before is None else before.seconds
        if took is not None:
            seconds += took * _more_epochs(node, model, graph)
        elif outputs:  # what keeps nothing takes no time that matters
            unknown.append(node.name)
    return Forecast(
        nodes=len(nodes),
        trainings=trainings,
        seconds=seconds,
        unknown=tuple(unknown),
        size=size,
        more=more,
        free=_free(records.folder),
        gpus=_gpus() if trainings else (),
        gpu_peak=peak,
    )


def nodes_to_run(graph: Graph, found: Iterable[State]) -> list[Node]:
    """The nodes that run where only what is missing or stale is made.

    They are those of outputs that are not up to date, those that store nothing, and those whose
    outputs in memory such nodes take.
    """
    made = {state.name for state in found if state.kind == "made"}
    running: list[Node] = []
    taken: set[str] = set()
    for node in reversed(graph.pipeline.nodes):
        stored = graph.stored_outputs(node)
        if not node.outputs or not made.issuperset(stored) or taken & set(node.outputs) - made:
            running.append(node)
            taken.update(node.inputs)
    return running[::-1]


def _of_any_fold(records: Records) -> Mapping[str, tuple[Record, str]]:
    """The records by output, and by output of any fold, with the output that they are of."""
    found: dict[str, tuple[Record, str]] = {}
    for name in records.names():
        record = records.read(name)
        if isinstance(record, Record):
            found[name] = found[_any_fold(name)] = record, name
    return found


def _any_fold(name: str) -> str:
    """An output of a model, whatever the fold.

    >>> _any_fold("det.yolox.fold0.checkpoint")
    'det.yolox.fold*.checkpoint'
    """
    return re.sub(r"\.fold(\d+|_all)\.", ".fold*.", name)


def _trained(graph: Graph, name: str) -> Facts:
    """What an earlier checkpoint says of its training; nothing where there is none."""
    dataset = graph.catalog.get(name)
    path = dataset.stored if isinstance(dataset, CheckpointDataset) else None
    with suppress(OSError, ValueError):
        return dict(json.loads((path / "checkpoint.json").read_bytes())) if path else {}
    return {}


def _more_epochs(node: Node, trained: Facts, graph: Graph) -> float:
    """How many times as many epochs a training has now."""
    epochs = trained.get("model", {}).get("epochs")
    for name in node.inputs:
        if epochs and name.startswith("params:models."):
            now = graph.parameter(name.removeprefix("params:"))
            return float(now.epochs / epochs) if isinstance(now, Model) else 1.0
    return 1.0


def _size(graph: Graph, name: str) -> int:
    dataset = graph.catalog.get(name)
    path = dataset.stored if isinstance(dataset, PathDataset) else None
    if path is None:
        return 0
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def _free(folder: Path) -> int:
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents)
                 if parent.exists())  # fmt: skip
    return shutil.disk_usage(there).free


def _gpus() -> tuple[tuple[str, int, int], ...]:
    """Asked of the driver: torch would take half a gigabyte of the memory for the answer."""
    query = ["nvidia-smi", "--query-gpu=name,memory.free,memory.total",
             "--format=csv,noheader,nounits"]  # fmt: skip
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return gpus_in(answer.stdout)


def gpus_in(answer: str) -> tuple[tuple[str, int, int], ...]:
    r"""The GPUs that nvidia-smi lists: name, free and whole memory in MiB.

    >>> gpus_in("NVIDIA H100 80GB HBM3, 80995, 81559\n")
    (('NVIDIA H100 80GB HBM3', 80995, 81559),)
    """
    rows = [line.rsplit(", ", 2) for line in answer.splitlines()]
    return tuple(
        (name, int(free), int(whole))
        for name, free, whole in (row for row in rows if len(row) == 3)
        if free.isdigit() and whole.isdigit()
    )


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"


def _duration(seconds: float) -> str:
    """A time in words.

    >>> _duration(40), _duration(190), _duration(9000)
    ('40 seconds', '3 minutes', '2.5 hours')
    """
    if seconds < 90:
        return _counted(max(round(seconds), 1), "second")
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
