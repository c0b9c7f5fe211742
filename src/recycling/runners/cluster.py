"""Which cluster nodes run on: one that is running, or one that is started on this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.config import OmegaConfigLoader
from pydantic import Field, ValidationError

from recycling.backends import Resources
from recycling.plan.parameters import ParameterError, faults, source_of
from recycling.registry import Settings
from recycling.runners.keep_going import ClusterError

if TYPE_CHECKING:
    from distributed import Client

_SECONDS = 30
"""How long a scheduler is waited for."""


class Cluster(Settings):
    """Where nodes run with `--runner DaskRunner`."""

    address: str | None = Field(
        default=None,
        description="of the scheduler of a running cluster, as tcp://HOST:8786, or its file "
        "(`dask scheduler --scheduler-file`); without, a cluster of this machine alone is started",
    )
    workers: int | None = Field(
        default=None, ge=1, description="processes of that one; as many as there are processors"
    )
    resources: Resources = Field(
        default=Resources(), description="what each of these has for nodes that ask for it"
    )

    @classmethod
    def read(cls, config: OmegaConfigLoader) -> Cluster:
        """The parameter `dask` of a configuration.

        Raises:
            ParameterError: It holds what is not known.
        """
        try:
            return cls.model_validate(config["parameters"].get("dask") or {})
        except ValidationError as error:
            where = f"{source_of('dask', config)}: dask"
            raise ParameterError(faults(error, where, cls)) from error


@contextmanager
def connected(settings: Cluster) -> Iterator[Client]:
    """Connect to the cluster, or start one for as long as the block lasts.

    Raises:
        ClusterError: `distributed` is not installed, or nothing answers there.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ClusterError(
            f'DaskRunner: {error}; install the extra: pip install ".[dask]"'
        ) from error
    logging.getLogger("distributed").setLevel(logging.ERROR)
    if settings.address is not None:
        with _answering(settings.address) as client:
            yield client
        return
    processors = os.cpu_count() or 1
    workers = settings.workers or processors
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, processors // workers))
    with (
        dask.config.set(
            {
                # Dask has workers hand freed memory back at once; each step of a training asks for
                # it anew, and takes 1.5 times as long.
                "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
                # Each worker says in twelve lines where it listens.
                "distributed.nanny.pre-spawn-environ.DASK_LOGGING__DISTRIBUTED": "error",
                # Loaders of a training are processes of their own, which a daemon may not start.
                "distributed.worker.daemon": False,
            }
        ),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=None,
            resources=settings.resources.amounts,
            env={"OMP_NUM_THREADS": threads},
            silence_logs=logging.ERROR,
            dashboard_address=":0",
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def even_out(client: Client) -> None:
    """Let a worker that has nothing to do take nodes that wait at another one.

    Dask does so while some workers count as busy and others as idle, but judges a worker only when
    a node of its own begins or ends: one with nodes behind a long training may count as idle for as
    long as that takes, and where all do, none takes from another. Here all are judged anew.

    Args:
        client: Of the cluster.
    """

    def judge(dask_scheduler: Any) -> None:  # within, as a scheduler need not have this package
        for worker in dask_scheduler.workers.values():
            dask_scheduler.check_idle_saturated(worker)

    client.run_on_scheduler(judge)


def _answering(address: str) -> Client:
    """Connect to a scheduler.

    Raises:
        ClusterError: None answers there.
    """
    from distributed import Client

    is_file = "://" not in address
    try:
        if is_file and not Path(address).exists():  # Dask would wait for it
            raise FileNotFoundError(address)
        there = {"scheduler_file": address} if is_file else {"address": address}
        return Client(**there, timeout=_SECONDS)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"dask: address: {address}: no scheduler answers there; start one with dask scheduler, "
            "or leave address out"
        ) from error
