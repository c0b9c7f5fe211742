"""What a worker of Dask does for a run: once what a session would, then node after node."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from distributed import Worker, WorkerPlugin, get_worker
from kedro.config import AbstractConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks.manager import (
    _create_hook_manager,
    _register_hooks,
)
from kedro.framework.project import configure_logging, configure_project, pipelines, settings
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.utils import find_kedro_project
from pluggy import PluginManager

from recycling.errors import listed
from recycling.files import sha256_of
from recycling.runners.keep_going import ClusterError, run_node
from recycling.runners.leases import LeaseLostError, Leases, Token
from recycling.runners.sent_run import SentRun
from recycling.runners.specs import WorkerSpecs
from recycling.stopping import Stopped, ask_to_stop

logger = logging.getLogger(__name__)

_STARTED_IN = Path.cwd()

KEPT_IN_MEMORY = 16
"""Datasets without a catalog entry that a worker keeps; of those before, it makes again."""


class RunOnWorker(WorkerPlugin):  # type: ignore[misc]
    """A run, as each worker has it: those that join later, too.

    Args:
        sent: What the worker is told of it.
    """

    def __init__(self, sent: SentRun) -> None:
        self.sent, self.name = sent, sent.plugin
        self.is_asked = self.is_running = False

    def setup(self, worker: Worker) -> None:
        """Take note of the worker, and of the code that it has loaded to get here."""
        self.worker, self.handler = worker, _ToTheRun(worker, self.name)
        note_code(_packages(self.sent))
        if self.sent.is_alone:  # the run shows it
            logging.getLogger("distributed").setLevel(logging.CRITICAL)

    def session(self) -> Session:
        """What a session of Kedro would have made: anew, where the last node was another run's."""
        global _session
        if _session is not None and _session.sent.run_id == self.sent.run_id:
            return _session
        if (threads := self.worker.state.nthreads) != 1:
            raise ClusterError(
                f"{called(self.worker)}: has {threads} threads, and nodes do not share a process; "
                "start workers with one each: dask worker ... --nthreads 1"
            )
        check_code(_packages(self.sent), called(self.worker))
        own = find_kedro_project(_STARTED_IN)
        sent = self.sent if own is None else self.sent.seen_from(own)
        _session = Session.of(sent, called(self.worker))
        return _session

    def ask_to_stop(self) -> None:
        """Begin no other node; what runs ends where it can be gone on from."""
        self.is_asked = True
        if self.is_running:
            ask_to_stop()

    def run(self, name: str, turn: int) -> dict[str, Any] | None:
        """Run a node; None where the worker was asked to stop before it was done."""
        self.is_running = True
        try:
            if self.is_asked:
                return None
            attempt = self.worker.state.tasks[self.worker.get_current_task()].run_id
            with self._logs():
                return {"worker": called(self.worker), **self.session().run(name, turn, attempt)}
        except Stopped:
            return None
        finally:
            note_code(_packages(self.sent))
            self.is_running = False
            ask_to_stop(False)

    @contextmanager
    def _logs(self) -> Iterator[None]:
        """Log to the run's screen and to Dask's own pages, while a node of the run goes on."""
        global _logs_as
        if _logs_as != self.sent.run_id:  # the last node was another run's
            configure_logging(self.sent.logging)
            if self.sent.is_alone:
                logging.getLogger().handlers.clear()
            _logs_as = self.sent.run_id
        handlers = {"": self.handler, "recycling": self.worker._deque_handler}
        for name, handler in handlers.items():
            logging.getLogger(name).addHandler(handler)
        try:
            yield
        except LeaseLostError as error:
            logger.warning("%s", error)
            raise
        finally:
            for name, handler in handlers.items():
                logging.getLogger(name).removeHandler(handler)


_session: Session | None = None
"""Hooks and pipelines are those of a process, so that it has one session at a time."""

_code: dict[Path, str] = {}
"""The sha256 of each file of code that this process has loaded, as it then was."""


def _packages(sent: SentRun) -> set[str]:
    custom = sent.config.get("parameters", {}).get("custom_imports") or []
    names = custom if isinstance(custom, list) else [custom]
    return {"recycling", sent.package, *(str(name).partition(".")[0] for name in names)}


def note_code(packages: Collection[str]) -> None:
    """Note the files of some packages' modules that were loaded since this was last asked.

    Args:
        packages: Names of packages, and of modules outside of any.
    """
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and name.partition(".")[0] in packages and (path := Path(file)) not in _code:
            with suppress(OSError):
                _code[path] = sha256_of(path)


def check_code(packages: Collection[str], worker: str) -> None:
    """Refuse a run where code has changed since this process has loaded it: nothing is reloaded.

    Args:
        packages: As for `note_code`.
        worker: What to call it in the message.

    Raises:
        ClusterError: It has.
    """
    changed = [
        path.name
        for path, sha256 in _code.items()
        if not path.exists() or sha256_of(path) != sha256
    ]
    if changed:
        raise ClusterError(
            f"{worker}: code has changed since the worker loaded it ({listed(changed, 3)}); "
            "restart the workers"
        )
    note_code(packages)


_logs_as = ""
"""The run that says how this process logs."""


class _ToTheRun(logging.Handler):
    """Hands on what is logged to where the run is led."""

    def __init__(self, worker: Worker, topic: str) -> None:
        super().__init__()
        self.worker, self.topic = worker, topic

    def emit(self, record: logging.LogRecord) -> None:
        """Hand on one line, and the traceback where there is one; not what Dask says of itself."""
        if record.name.startswith("distributed"):
            return
        told = {"name": record.name, "level": record.levelno, "line": self.format(record)}
        self.worker.log_event(self.topic, told | {"by": called(self.worker)})


@dataclass
class Session:
    """A run on a worker: its nodes, catalog and hooks.

    Attributes:
        sent: What the worker was told of it.
        worker: What the worker is called.
        nodes: By name.
        catalog: Their datasets.
        hooks: Those of the project.
        in_memory: Datasets without a catalog entry that are there, the oldest first.
    """

    sent: SentRun
    worker: str
    nodes: Mapping[str, Node]
    catalog: DataCatalog
    hooks: PluginManager
    in_memory: dict[str, None] = field(default_factory=dict)

    @classmethod
    def of(cls, sent: SentRun, worker: str) -> Session:
        """Make what a session would, out of what was sent."""
        if not sent.mark.exists():
            raise ClusterError(
                f"{worker}: {sent.mark.parent} is not the folder of the run; let `data` in "
                "conf/base/globals.yml be a folder that all machines see by the same path"
            )
        if Path(sent.project).is_dir():
            os.chdir(sent.project)  # what is relative in the configuration is so to the project
            bootstrap_project(Path(sent.project))
        else:
            configure_project(sent.package)
        hooks = _create_hook_manager()
        hooks.add_hookspecs(WorkerSpecs)
        # Those of plugins stay where the run is led: they wait for a catalog to be created.
        _register_hooks(hooks, settings.HOOKS)
        pipelines.set_requested(sent.pipeline_names)
        context = _context(sent, hooks)
        chosen = sum((pipelines[name] for name in sent.pipeline_names), start=Pipeline([]))
        pipeline = chosen.filter(node_names=sent.nodes)
        catalog = _catalog(sent, context)
        hooks.hook.before_run_on_worker(run_id=sent.run_id, pipeline=pipeline, catalog=catalog)
        return cls(sent, worker, {node.name: node for node in pipeline.nodes}, catalog, hooks)

    def run(self, name: str, turn: int, attempt: int) -> dict[str, Any]:
        """Run a node under its lease.

        Args:
            name: The node's.
            turn: Of the run, as the lease was given to it.
            attempt: Which of all that the scheduler has given out.

        Returns:
            What hooks have noted of it.
        """
        node = self.nodes[name]
        token = Token(turn, attempt, self.sent.run_id, self.worker)
        logger.info("%s begins", name)
        with Leases(Path(self.sent.leases)).held(name, token):
            for each in node.inputs:
                self._provide(each)
            for each in node.outputs:  # one without an entry gets its dataset when asked for
                self._is_in_memory(each)
            run_node(node, self.catalog, self.hooks, self.sent.run_id)
        self._remember(node)
        self._let_go()
        noted = self.hooks.hook.notes_of_node(node=node)
        return {key: value for notes in noted if notes for key, value in notes.items()}

    @cached_property
    def _makers(self) -> dict[str, Node]:
        return {name: node for node in self.nodes.values() for name in node.outputs}

    def _provide(self, name: str) -> None:
        """Make a value that is only in memory, where another worker has made it."""
        if not self._is_in_memory(name) or self.catalog.exists(name):
            return
        maker = self._makers[name]
        for each in maker.inputs:
            self._provide(each)
        made = maker.run({each: self.catalog.load(each) for each in maker.inputs})
        for each in maker.outputs:
            if self._is_in_memory(each):
                self.catalog.save(each, made[each])
        self._remember(maker)

    def _is_in_memory(self, name: str) -> bool:
        dataset = self.catalog.get(name, fallback_to_runtime_pattern=True)
        return name in self._makers and bool(getattr(dataset, "_EPHEMERAL", False))

    def _remember(self, node: Node) -> None:
        """Keep what a node has made in memory for the next ones."""
        for name in filter(self._is_in_memory, node.outputs):
            self.in_memory.pop(name, None)
            self.in_memory[name] = None

    def _let_go(self) -> None:
        """Of what is in memory, let go what was made long ago."""
        while len(self.in_memory) > KEPT_IN_MEMORY:
            oldest = next(iter(self.in_memory))
            del self.in_memory[oldest]
            self.catalog.release(oldest)


def called(worker: Worker) -> str:
    """What to call a worker: its name, which Dask makes a number or the address."""
    return worker.name if isinstance(worker.name, str) else f"worker {worker.name}"


def run_on_worker(plugin: str, name: str, turn: int) -> dict[str, Any] | None:
    """Run a node of a run; what Dask gives to a worker.

    Args:
        plugin: Of the run.
        name: Of the node.
        turn: Of the run, as the node's lease was given to it.

    Returns:
        What hooks have noted of it; None where the worker was asked to stop, or the run has ended.
    """
    own = cast(RunOnWorker | None, get_worker().plugins.get(plugin))
    return None if own is None else own.run(name, turn)


def stop_on_worker(plugin: str, dask_worker: Worker) -> bool:
    """Ask a worker to stop a run; what Dask calls beside the node that runs.

    Returns:
        Whether it knows of the run; one that is just joining may not yet.
    """
    own = cast(RunOnWorker | None, dask_worker.plugins.get(plugin))
    if own is not None:
        own.ask_to_stop()
    return own is not None


def _context(sent: SentRun, hooks: PluginManager) -> KedroContext:
    """The context of a session, whose configuration has been read elsewhere."""
    loader = _Resolved(**sent.loader)
    loader.update(sent.config)
    context: KedroContext = settings.CONTEXT_CLASS(
        package_name=sent.package,
        project_path=sent.project,
        config_loader=loader,
        env=loader.env,
        runtime_params=loader.runtime_params,
        hook_manager=hooks,
    )
    hooks.hook.after_context_created(context=context)
    if "__default__" not in sent.pipeline_names:
        context._pipelines_to_validate = list(sent.pipeline_names)
    return context


class _Resolved(AbstractConfigLoader):
    """A configuration that is data."""

    def __init__(self, base_env: str, default_run_env: str, **known: Any) -> None:
        super().__init__(**known)
        self.base_env, self.default_run_env = base_env, default_run_env


def _catalog(sent: SentRun, context: KedroContext) -> DataCatalog:
    entries, credentials, load_versions, save_version = sent.catalog
    versions = {name: version for name, version in load_versions.items() if version is not None}
    catalog: DataCatalog = settings.DATA_CATALOG_CLASS.from_config(
        entries, credentials, versions, save_version
    )
    for name, value in context._get_parameters().items():
        catalog[name] = value
    return catalog
