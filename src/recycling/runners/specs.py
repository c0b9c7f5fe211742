"""Hooks of a run whose nodes run in other processes.

Kedro's own are called where they belong: those of the pipeline and the catalog where the run is
led, those of nodes and datasets where a node runs. These carry over what was noted there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kedro.framework.hooks.markers import hook_spec
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node


class WorkerSpecs:
    """What a run and its workers tell one another."""

    @hook_spec
    def before_run_on_worker(
        self, run_id: str, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """On a worker: it is about to run nodes of a run."""

    @hook_spec
    def notes_of_node(self, node: Node) -> Mapping[str, Any] | None:
        """On a worker: what was noted of a node that has ended, small and plain."""

    @hook_spec
    def before_node_sent(self, node: Node) -> None:
        """Where the run is led: a node is about to be given to the workers. It may wait."""

    @hook_spec
    def after_node_returned(
        self, node: Node, notes: Mapping[str, Any], error: Exception | None, worker: str
    ) -> None:
        """Where the run is led: a node has ended; `notes` are those of all hooks on the worker."""
