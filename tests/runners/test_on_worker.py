"""What nodes hand on in memory does not leave a worker; another one makes it again."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog
from kedro.pipeline import node
from kedro.pipeline.node import Node

from recycling.datasets import JsonDataset

pytest.importorskip("distributed")

from recycling.runners import ClusterError, on_worker
from recycling.runners.on_worker import (
    KEPT_IN_MEMORY,
    RunOnWorker,
    Session,
    check_code,
    note_code,
)
from recycling.runners.sent_run import SentRun
from recycling.runners.specs import WorkerSpecs

MANY = KEPT_IN_MEMORY + 4


def session(folder: Path, *nodes: Node) -> Session:
    """A worker that has run nothing yet; what is called like a file is one."""
    sent = SentRun(
        run_id="monday", package="small", project=str(folder), config={}, loader={},
        catalog=(), pipeline_names=["__default__"], nodes=[own.name for own in nodes],
        leases=str(folder / "leases"), logging={}, is_alone=True,
    )  # fmt: skip
    names = {name for own in nodes for name in (*own.inputs, *own.outputs) if "." in name}
    catalog = DataCatalog({name: JsonDataset(filepath=folder / name) for name in names})
    hooks = _create_hook_manager()
    hooks.add_hookspecs(WorkerSpecs)
    return Session(sent, "one", {own.name: own for own in nodes}, catalog, hooks)


def test_more_than_a_worker_keeps_in_memory_is_made_for_a_node_that_takes_it_all(tmp_path):
    (tmp_path / "raw.json").write_text("7")
    makers = [
        node(lambda raw, n=n: raw * n, "raw.json", f"part {n}", name=f"make-{n}")
        for n in range(MANY)
    ]
    parts = [f"part {n}" for n in range(MANY)]
    join = node(lambda *values: sum(values), parts, "joined.json", name="join")
    worker = session(tmp_path, *makers, join)
    worker.run("join", 0, 1)
    assert (tmp_path / "joined.json").read_text() == str(7 * sum(range(MANY)))
    assert len(worker.in_memory) == KEPT_IN_MEMORY
    there = [name for name in parts if worker.catalog.exists(name)]
    assert there == parts[-KEPT_IN_MEMORY:]


def test_what_is_stored_is_not_stored_again_where_only_the_rest_is_needed(tmp_path):
    (tmp_path / "raw.json").write_text("7")
    ran = []

    def split(raw: int) -> tuple[int, int]:
        ran.append("split")
        return raw + 1, raw + 2

    nodes = (
        node(split, "raw.json", ["stored.json", "rest"], name="split"),
        node(lambda rest: rest, "rest", "end.json", name="end"),
    )
    first, other = session(tmp_path, *nodes), session(tmp_path, *nodes)
    first.run("split", 0, 1)
    before = (tmp_path / "stored.json").stat()
    first.run("end", 0, 2)
    assert ran == ["split"]
    other.run("end", 0, 3)
    assert ran == ["split", "split"]
    assert (tmp_path / "end.json").read_text() == "9"
    assert (tmp_path / "stored.json").stat() == before


def test_code_that_has_changed_since_it_was_loaded_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "of_a_worker.py"
    path.write_text("X = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(on_worker, "_code", {})
    check_code(["of_a_worker"], "one")
    path.write_text("X = 2")
    monkeypatch.setitem(sys.modules, "of_a_worker", import_module("of_a_worker"))
    note_code(["of_a_worker"])
    os.utime(path, (1, 1))
    check_code(["of_a_worker"], "one")
    path.write_text("X = 3")
    with pytest.raises(ClusterError) as caught:
        check_code(["of_a_worker"], "one")
    assert str(caught.value) == (
        "one: code has changed since the worker loaded it (of_a_worker.py); restart the workers"
    )


def test_code_that_has_changed_before_a_worker_has_run_a_node_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "of_a_project.py"
    path.write_text("X = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(on_worker, "_code", {})
    monkeypatch.setitem(sys.modules, "of_a_project", import_module("of_a_project"))
    sent = replace(session(tmp_path).sent, package="of_a_project", is_alone=False)
    RunOnWorker(sent).setup(SimpleNamespace())
    path.write_text("X = 2")
    with pytest.raises(ClusterError, match="code has changed .*of_a_project.py"):
        check_code(["of_a_project"], "one")
