"""The modules of the backends build on each other in one direction."""

from __future__ import annotations

from graphlib import TopologicalSorter

import pytest

grimp = pytest.importorskip("grimp")


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = grimp.build_graph("recycling", cache_dir=None)
    modules = {name for name in graph.modules if name.startswith("recycling.backends")}
    assert len(modules) > 50
    imported = {name: graph.find_modules_directly_imported_by(name) & modules for name in modules}
    # Raises an error that names the circle.
    TopologicalSorter(imported).prepare()
