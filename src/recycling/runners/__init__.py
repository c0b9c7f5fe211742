"""How nodes are run: what one of them fails at stops no other that does not need it."""

from recycling.runners.cluster import Cluster
from recycling.runners.dask_runner import DaskRunner
from recycling.runners.keep_going import (
    ClusterError,
    KeepGoingRunner,
    KeepGoingThreadRunner,
    NodesFailedError,
    RunStoppedError,
)
from recycling.runners.leases import FOLDER, LeaseLostError, Leases, Token

__all__ = [
    "FOLDER",
    "Cluster",
    "ClusterError",
    "DaskRunner",
    "KeepGoingRunner",
    "KeepGoingThreadRunner",
    "LeaseLostError",
    "Leases",
    "NodesFailedError",
    "RunStoppedError",
    "Token",
]
