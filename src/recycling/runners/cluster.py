"""Which cluster nodes run on: one that is running, or one that is started on this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from recycling.backends import Resources
from recycling.plan.parameters import ParameterError, faults
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
    def read(cls, parameters: Mapping[str, Any]) -> Cluster:
        """The section `dask` of the parameters.

        Raises:
            ParameterError: It holds what is not known.
        """
        try:
            return cls.model_validate(parameters.get("dask") or {})
        except ValidationError as error:
            raise ParameterError(faults(error, "dask", cls)) from error


@contextmanager
def connected(settings: Cluster) -> Iterator[Client]:
    """Connect to the cluster, or start one for as long as the block lasts.

    Raises:
        ClusterError: `distributed` is not installed, or nothing answers there.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ClusterError(
            f'DaskRunner: {error}; install the extra: pip install ".[dask]"'
        ) from error
    logging.getLogger("distributed").setLevel(logging.ERROR)
    if settings.address is None:
        with (
            LocalCluster(
                n_workers=settings.workers or os.cpu_count(),
                threads_per_worker=1,
                memory_limit=None,
                resources=settings.resources.amounts,
                silence_logs=logging.ERROR,
                dashboard_address=":0",
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    is_file = "://" not in settings.address
    try:
        client = (
            Client(scheduler_file=settings.address, timeout=_SECONDS)
            if is_file
            else Client(settings.address, timeout=_SECONDS)
        )
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"dask.address: {settings.address}: no scheduler answers there; start one: "
            "dask scheduler, or leave address out"
        ) from error
    with client:
        yield client
