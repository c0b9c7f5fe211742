"""Runners that go on with what does not depend on a node that fails.

As ``make --keep-going`` does. Kedro's own stop at the first node that fails, in the middle of a
night with ten trainings to go.
"""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import nullcontext
from itertools import chain
from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.runner import SequentialRunner, ThreadRunner
from kedro.runner.runner import AbstractRunner
from kedro.runner.task import Task
from pluggy import PluginManager

from recycling.errors import has_no_room, line_of, message_for_user
from recycling.stopping import Stopped, is_asked_to_stop, stops_when_asked

logger = logging.getLogger(__name__)

_NAMED = 3
"""Reasons that the line of the error tells of; the console and the manifest tell of all."""


class NodesFailedError(RuntimeError):
    """Some nodes have failed, and all that do not need them are done.

    Attributes:
        failed: Why, on one line, by the name of the node, in the order of the run.
        skipped: The nodes that need what those were to make.
    """

    def __init__(self, failed: Mapping[str, str], skipped: tuple[str, ...]) -> None:
        self.failed, self.skipped = dict(failed), skipped
        after = f", {len(skipped)} that need what failed were skipped" if skipped else ""
        if len(failed) == 1:
            ((name, why),) = failed.items()
            super().__init__(f"{why} ({name} failed{after})")
            return
        reasons = self.reasons
        more = [f"and {len(reasons) - _NAMED} more"] if len(reasons) > _NAMED else []
        told = "; ".join(reasons[:_NAMED] + more)
        super().__init__(f"{len(failed)} steps failed{after}: {told}")

    @property
    def reasons(self) -> list[str]:
        """Each reason once, after the names of all nodes that failed for it."""
        nodes: dict[str, list[str]] = {}
        for name, why in self.failed.items():
            nodes.setdefault(why, []).append(name)
        return [f"{', '.join(names)}: {why}" for why, names in nodes.items()]


class ClusterError(RuntimeError):
    """Nodes cannot be run on other machines as asked: one line, why, what to do."""


class RunStoppedError(RuntimeError):
    """Ctrl-C was pressed: how far the run has come, and how to go on."""


class _KeepsGoing(AbstractRunner):
    def _run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
    ) -> None:
        """Run every node whose inputs are there.

        Raises:
            NodesFailedError: Some could not be run.
            RunStoppedError: Ctrl-C was pressed before the last one had begun.
            OSError: The disk is full; no other node is tried.
            ClusterError: The machines that nodes run on are no longer there.
        """

        def attempt(node: Node) -> Exception | None:
            try:
                self._run_node(node, catalog, hook_manager, run_id)
            except Exception as error:
                return error
            return None

        needs = pipeline.node_dependencies
        uses = Counter(chain.from_iterable(node.inputs for node in pipeline.nodes))
        todo, done = list(pipeline.nodes), set[Node]()
        failed: dict[str, Exception] = {}
        running: dict[Future[Exception | None], Node] = {}
        most = self._get_required_workers_count(pipeline)
        with stops_when_asked(), self._get_executor(most) or nullcontext(_InTurn()) as executor:
            while True:
                ready = [] if is_asked_to_stop() else [n for n in todo if needs[n] <= done]
                for node in ready[: most - len(running)]:
                    todo.remove(node)
                    running[executor.submit(attempt, node)] = node
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    node = running.pop(future)
                    try:
                        error = future.result()
                    except Stopped:
                        todo.append(node)
                        continue
                    if error is None:
                        done.add(node)
                    elif has_no_room(error) or isinstance(error, ClusterError):
                        raise error
                    else:
                        failed[node.name] = error
                        _say(node, error)
                    self._release_datasets(node, catalog, uses, pipeline)
            was_stopped = is_asked_to_stop()
        skipped = _that_need(pipeline, failed)
        if was_stopped and len(todo) > len(skipped):
            raise RunStoppedError(
                f"stopped, as asked, after {len(done)} of {len(pipeline.nodes)} steps; the same "
                "command with --only-missing-outputs goes on"
            )
        if failed:
            why = {name: line_of(error) for name, error in failed.items()}
            raise NodesFailedError(why, skipped) from next(iter(failed.values()))

    def _run_node(
        self,
        node: Node,
        catalog: CatalogProtocol[Any, Any],
        hook_manager: PluginManager | None,
        run_id: str | None,
    ) -> None:
        run_node(node, catalog, hook_manager, run_id, is_async=self._is_async)


def run_node(
    node: Node,
    catalog: CatalogProtocol[Any, Any],
    hook_manager: PluginManager | None,
    run_id: str | None,
    *,
    is_async: bool = False,
) -> None:
    """Run a node in this process; hooks hear of all that fails.

    Kedro tells them of what a node raises, and not of inputs and outputs.
    """
    try:
        Task(node, catalog, is_async, hook_manager, run_id).execute()
    except Exception as error:
        if hook_manager is not None and not _is_of_node(error):
            hook_manager.hook.on_node_error(
                error=error, node=node, catalog=catalog, inputs={},
                is_async=is_async, run_id=run_id,
            )  # fmt: skip
        raise


class KeepGoingRunner(_KeepsGoing, SequentialRunner):
    """Runs one node after another, in Kedro's order."""


class KeepGoingThreadRunner(_KeepsGoing, ThreadRunner):
    """Runs nodes that do not need one another at the same time, in threads."""


class _InTurn(Executor):
    """Does what it is given at once, in this thread."""

    def submit(self, function: Any, /, *arguments: Any, **keywords: Any) -> Future[Any]:
        """Do it."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments, **keywords))
        except Stopped as error:
            future.set_exception(error)
        return future


def _that_need(pipeline: Pipeline, failed: Mapping[str, Exception]) -> tuple[str, ...]:
    """The nodes that need, over whatever others, what failed nodes were to make."""
    if not failed:
        return ()
    after = {node.name for node in pipeline.from_nodes(*failed).nodes} - failed.keys()
    return tuple(node.name for node in pipeline.nodes if node.name in after)


def _is_of_node(error: Exception) -> bool:
    """Whether an error was raised by the function of a node."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_code is Node.run.__code__ for frame, _ in frames)


def _say(node: Node, error: Exception) -> None:
    """Say at once what failed; where this program is at fault, also where."""
    is_ours = message_for_user(error) is None
    logger.error(
        "%s failed, the run goes on with what does not need it: %s",
        node.name, line_of(error), exc_info=error if is_ours else None,
    )  # fmt: skip
