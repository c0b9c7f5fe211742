"""The cluster of this machine alone, which a run starts for itself."""

from __future__ import annotations

from multiprocessing import get_context

import pytest

from recycling.runners.cluster import Cluster, connected

pytest.importorskip("distributed")


def test_a_node_may_start_processes_such_as_the_loaders_of_a_training():
    def start_a_loader() -> int | None:
        loader = get_context("spawn").Process(target=print)
        loader.start()
        loader.join()
        return loader.exitcode

    with connected(Cluster(workers=1)) as client:
        assert client.submit(start_a_loader).result(60) == 0
