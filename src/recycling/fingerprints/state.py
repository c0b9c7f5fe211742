"""How the outputs of a graph are: made, stale, missing or failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from kedro.io import DatasetError
from kedro.pipeline.node import Node

from recycling.backends import Model, changed_settings
from recycling.datasets import CheckpointDataset, PathDataset
from recycling.errors import listed
from recycling.fingerprints.ingredients import Graph
from recycling.fingerprints.records import Records, changed_code, reason
from recycling.plan import start_of

Kind = Literal["made", "stale", "missing", "failed"]


@dataclass(frozen=True)
class State:
    """How one output is.

    Attributes:
        name: The output.
        kind: Whether it is there, is up to date, and whether its node raised in the last run.
        why: In a few words; empty for one that is made.
        is_root: Whether that is so by itself, not as it follows from another one.
        has_record: Whether it is known how it was made.
        modules: Modules that have changed since it was made.
        libraries: Libraries of which another version has been installed since.
    """

    name: str
    kind: Kind
    why: str = ""
    is_root: bool = True
    has_record: bool = True
    modules: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()

    @property
    def has_other_code(self) -> bool:
        """Whether its code, or that of a library, is another now."""
        return bool(self.modules or self.libraries)


def states(graph: Graph, records: Records, *, stale_code: bool = False) -> list[State]:
    """How each stored output is, in the order in which they are made.

    Args:
        graph: The nodes and the catalog.
        records: How the outputs were made.
        stale_code: Whether an output of other code is stale.
    """
    found: dict[str, State] = {}
    # By what is in memory, what it follows from and is not up to date.
    follows: dict[str, str] = {}
    for node in graph.pipeline.nodes:
        before = next((follows[name] for name in node.inputs if name in follows), None)
        for name in node.outputs:
            if graph.stored(name) is None:
                if before is not None:
                    follows[name] = before
                continue
            outdated = set(follows.values())
            found[name] = _state(name, node, before, outdated, graph, records, stale_code)
            if found[name].kind in ("stale", "missing"):
                follows[name] = name
        failure = records.failure(node.name)
        for name in graph.stored_outputs(node) if failure is not None else ():
            if found[name].kind != "made" or not found[name].has_record:
                found[name] = State(name, "failed", failure or "")
                follows[name] = name
    return list(found.values())


def _state(
    name: str,
    node: Node,
    before: str | None,
    outdated: set[str],
    graph: Graph,
    records: Records,
    stale_code: bool,
) -> State:
    if not graph.catalog.exists(name):
        return State(name, "missing", is_root=before is None)
    record = records.read(name)
    if isinstance(record, str):
        return State(name, "stale", record)
    modules: list[str] = []
    libraries: list[str] = []
    if record is not None:
        made = graph.ingredients(node)
        if (why := reason(record, name, made, graph, outdated)) is not None:
            return State(name, "stale", why)
        modules, libraries = changed_code(record, made, graph, records)
    if (why := _other_checkpoint(name, node, graph)) is not None:
        return State(name, "stale", why)
    if stale_code and (modules or libraries):
        return State(
            name,
            "stale",
            f"code changed ({listed([*modules, *libraries], 3)})",
            modules=tuple(modules),
            libraries=tuple(libraries),
        )
    if before is not None:
        return State(name, "stale", f"follows from {before}", is_root=False)
    if record is None and records.was_killed(node.name):
        return State(name, "stale", "a run was killed as it made it", has_record=False)
    if record is None and (newer := _newer_input(name, node, graph)) is not None:
        return State(name, "stale", f"older than {newer}", has_record=False)
    return State(
        name,
        "made",
        has_record=record is not None,
        modules=tuple(modules),
        libraries=tuple(libraries),
    )


def _other_checkpoint(name: str, node: Node, graph: Graph) -> str | None:
    """What a checkpoint says itself: it may be of an earlier version of the project."""
    dataset = graph.stored(name)
    keys = [key for key in node.inputs if key.startswith("params:models.")]
    if not isinstance(dataset, CheckpointDataset) or not keys:
        return None
    model = cast(Model, graph.parameter(keys[0].removeprefix("params:")))
    # What another model's weights are called is known only once they are there.
    besides = {"pretrained"} if start_of(model) is not None else set()
    try:
        checkpoint = dataset.described()
    except DatasetError:
        return None
    return changed_settings(checkpoint, model, besides)


def _newer_input(name: str, node: Node, graph: Graph) -> str | None:
    """An input of an output without a record that has been made after it.

    A checkpoint says itself what it was made of, as far as that is settings: the times of files
    that were copied train nothing again.
    """
    dataset = graph.stored(name)
    if not isinstance(dataset, PathDataset) or isinstance(dataset, CheckpointDataset):
        return None
    written = dataset.written()
    for other in node.inputs:
        source = graph.stored(other) if other in graph.makers else None
        inside = "checkpoint.json" if isinstance(source, CheckpointDataset) else ""
        made = source.written(inside) if isinstance(source, PathDataset) else None
        if None not in (written, made) and cast(float, made) > cast(float, written):
            return other
    return None


def summary(found: Sequence[State]) -> str:
    """How many outputs are up to date, stale and missing, on one line, with the first reasons."""
    counts = Counter(state.kind for state in found)
    made, stale = counts["made"], counts["stale"] + counts["failed"]
    line = f"{made} {'output is' if made == 1 else 'outputs are'} up to date"
    if counts["missing"]:
        line += f", {counts['missing']} missing"
    if stale:
        line += f", {stale} stale: {'; '.join(reasons(found))}"
    return line


def reasons(found: Iterable[State], limit: int = 3) -> list[str]:
    """The first reasons why outputs are stale by themselves, each with the first of its outputs."""
    of: dict[str, list[str]] = {}
    for state in found:
        if state.kind in ("stale", "failed") and state.is_root:
            why = f"failed: {state.why}" if state.kind == "failed" else state.why
            of.setdefault(why, []).append(state.name)
    lines = [f"{_first(names)}: {why}" for why, names in of.items()]
    if not lines:
        return ["what follows from those that are missing"]
    more = [f"and {len(lines) - limit} more reasons"] if len(lines) > limit else []
    return lines[:limit] + more


def code_line(found: Iterable[State]) -> str | None:
    """Which code and libraries are others than when outputs were made that are up to date."""
    other = [state for state in found if state.kind == "made" and state.has_other_code]
    if not other:
        return None
    modules = sorted({name for state in other for name in state.modules})
    libraries = sorted({name for state in other for name in state.libraries})
    outputs = "1 output was" if len(other) == 1 else f"{len(other)} outputs were"
    return (
        f"code has changed since {outputs} made ({listed([*libraries, *modules], 3)}); they count "
        "as up to date, `kedro run --stale-code` makes them anew"
    )


def unknown_line(found: Iterable[State]) -> str | None:
    """How many outputs are taken as made, since nothing is known of how they were."""
    names = [state.name for state in found if state.kind == "made" and not state.has_record]
    if not names:
        return None
    count = "1 of them has" if len(names) == 1 else f"{len(names)} of them have"
    return (
        f"{count} no record of how it was made and counts as up to date: {listed(names, 3)}"
        if len(names) == 1
        else f"{count} no record of how they were made and count as up to date: {listed(names, 3)}"
    )


def _first(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def failed_nodes(graph: Graph, records: Records) -> list[State]:
    """The nodes that raised in the last run, of those whose outputs all stay in memory."""
    failures = {
        node.name: records.failure(node.name)
        for node in graph.pipeline.nodes
        if not graph.stored_outputs(node)
    }
    return [State(name, "failed", why) for name, why in failures.items() if why is not None]
