"""The cluster of this machine alone, which a run starts for itself."""

from __future__ import annotations

import time
from multiprocessing import get_context

import pytest

from recycling.runners.cluster import Cluster, connected, even_out

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")


def test_a_node_may_start_processes_such_as_the_loaders_of_a_training():
    def start_a_loader() -> int | None:
        loader = get_context("spawn").Process(target=print)
        loader.start()
        loader.join()
        return loader.exitcode

    with connected(Cluster(workers=1)) as client:
        assert client.submit(start_a_loader).result(60) == 0


def test_a_free_worker_takes_what_waits_behind_a_long_node():
    """Dask would count both workers as idle, and leave what waits where it is."""

    def wait(seconds: float) -> tuple[float, float]:
        began = time.monotonic()
        time.sleep(seconds)
        return began, time.monotonic()

    with (
        dask.config.set({"distributed.scheduler.unknown-task-duration": "10ms"}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        lengths = {"a": 1.5, "b": 2, "c": 4, "d": 4}
        sent = [
            client.submit(wait, seconds, key=f"{name}.train", pure=False)
            for name, seconds in lengths.items()
        ]
        for each in sent[:2]:
            each.result()
        even_out(client)
        starts, ends = zip(*(each.result() for each in sent[2:]), strict=True)
        assert max(starts) < min(ends)
