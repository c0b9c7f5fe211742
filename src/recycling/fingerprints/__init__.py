"""What outputs were made of, and whether that is still so.

Beside the outputs of a run, in ``data/.made``, lies a record of each: the fingerprints of what its
node took, its parameters, what its function is bound to, its code and the versions of libraries.
An output whose record says otherwise than the project does now is stale.
"""

from recycling.fingerprints.code import library_versions
from recycling.fingerprints.content import ContentCache
from recycling.fingerprints.forecast import Forecast, forecast, nodes_to_run
from recycling.fingerprints.ingredients import Graph, Ingredients
from recycling.fingerprints.locks import Locks
from recycling.fingerprints.records import Record, Records, record_of
from recycling.fingerprints.state import (
    State,
    code_line,
    failed_nodes,
    states,
    summary,
    unknown_line,
)

__all__ = [
    "ContentCache",
    "Forecast",
    "Graph",
    "Ingredients",
    "Locks",
    "Record",
    "Records",
    "State",
    "code_line",
    "failed_nodes",
    "forecast",
    "library_versions",
    "nodes_to_run",
    "record_of",
    "states",
    "summary",
    "unknown_line",
]
