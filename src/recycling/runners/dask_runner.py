"""A runner whose nodes run on the workers of a Dask cluster."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import CancelledError, Executor, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from itertools import chain, count
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.project import LOGGING
from kedro.io import CatalogProtocol, DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.runner import ThreadRunner
from pluggy import PluginManager

from recycling.files import write_json
from recycling.plan.data_folder import data_folder
from recycling.runners.cluster import Cluster, connected, even_out
from recycling.runners.keep_going import ClusterError, _KeepsGoing
from recycling.runners.leases import FOLDER, Leases
from recycling.runners.resources import asked_for, shown_resources
from recycling.runners.sent_run import SentRun
from recycling.runners.specs import WorkerSpecs
from recycling.stopping import Stopped, is_asked_to_stop

if TYPE_CHECKING:
    from distributed import Client, Future

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2
"""How often is looked whether Ctrl-C was pressed."""

_LOOKS_A_BALANCE = 5
"""Of these, one evens out what waits at the workers."""


class DaskRunner(_KeepsGoing, ThreadRunner):
    """Runs each node on a worker of a Dask cluster, as soon as its inputs are there.

    Values pass through the catalog alone; what a worker is sent is what the run is, once, and then
    names of nodes. A node whose worker ends goes to another one.
    """

    def __init__(self, is_async: bool = False) -> None:
        super().__init__(is_async=is_async)
        self._context: KedroContext | None = None
        self._names: list[str] = []
        self._returning = Lock()

    def prepare(self, context: KedroContext, pipeline_names: list[str] | None) -> None:
        """Take what workers have to know of the project.

        Args:
            context: Of the session.
            pipeline_names: The pipelines that are run.
        """
        self._context, self._names = context, pipeline_names or ["__default__"]

    def _get_required_workers_count(self, pipeline: Pipeline) -> int:
        return len(pipeline.nodes)  # the scheduler knows who is free

    def _run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
    ) -> None:
        if self._context is None or hook_manager is None or run_id is None:
            raise ClusterError("DaskRunner: runs a project: kedro run --runner DaskRunner")
        hook_manager.add_hookspecs(WorkerSpecs)
        settings = Cluster.read(cast(OmegaConfigLoader, self._context.config_loader))
        self._sent = _sent(self._context, self._names, pipeline, catalog, run_id, settings)
        self._settings = settings
        super()._run(pipeline, catalog, hook_manager, run_id)

    def _get_executor(self, max_workers: int) -> Executor:
        self._on_cluster = _OnCluster(max_workers, self._settings, self._sent)
        return self._on_cluster

    def _run_node(
        self,
        node: Node,
        catalog: CatalogProtocol[Any, Any],
        hook_manager: PluginManager | None,
        run_id: str | None,
    ) -> None:
        assert hook_manager is not None
        hooks = hook_manager.hook
        notes: Mapping[str, Any] | None = {}
        error = None
        try:
            hooks.before_node_sent(node=node)
            notes = self._on_cluster.run_node(node)
        except Exception as raised:
            error = raised
        with self._returning:
            hooks.after_node_returned(
                node=node, notes=notes or {}, error=error, worker=(notes or {}).get("worker", "")
            )
        if notes is None:
            raise Stopped
        if error is not None:
            raise error


class _OnCluster(ThreadPoolExecutor):
    """Threads that each wait for a node on a cluster."""

    def __init__(self, threads: int, settings: Cluster, sent: SentRun) -> None:
        super().__init__(max(threads, 1))
        self._settings, self._sent = settings, sent
        self._over = Event()
        self._sent_out: dict[str, Future] = {}

    def __enter__(self) -> _OnCluster:
        with ExitStack() as stack:
            stack.callback(self._sent.mark.unlink, missing_ok=True)
            self._client: Client = stack.enter_context(connected(self._settings))
            from recycling.runners.on_worker import RunOnWorker

            write_json(self._sent.mark, {})
            self._client.subscribe_topic(self._sent.plugin, _show)
            self._client.register_plugin(RunOnWorker(self._sent))
            self._cluster = stack.pop_all()
        link = self._client.dashboard_link
        if link and find_spec("bokeh") is not None:
            logger.info("Dask's dashboard: %s", link)
        if not self._client.scheduler_info()["workers"]:
            logger.warning("%s: has no workers yet: dask worker ...", self._settings.address)
        Thread(target=self._watch, daemon=True).start()
        super().__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._over.set()
        if raised[0] is None:
            super().__exit__(*raised)
            self._client.unsubscribe_topic(self._sent.plugin)
        if self._client.status == "running":  # with the plugin go the catalog's credentials
            with suppress(OSError):  # the scheduler is just going
                self._client.unregister_worker_plugin(self._sent.plugin)
        # Threads that still wait for a node are told that it is cancelled.
        self._cluster.__exit__(*raised)
        if raised[0] is not None:
            super().__exit__(*raised)

    def run_node(self, node: Node) -> dict[str, Any] | None:
        """Run a node on a worker, and wait for it.

        Returns:
            What was noted of it; None where the workers were asked to stop.

        Raises:
            ClusterError: The scheduler is gone.
            WorkersEndedError: Worker after worker has ended that ran the node.
            Exception: What the node has raised.
        """
        from distributed import KilledWorker

        from recycling.runners.on_worker import run_on_worker

        asked = asked_for(node.tags)
        self._check_there_is(asked, node)
        # Its outputs are locked: no other run is at it.
        turn = Leases(Path(self._sent.leases)).give(node.name, self._sent.run_id)
        future = self._client.submit(
            run_on_worker, self._sent.plugin, node.name, turn,
            key=f"{node.name}-{uuid4().hex}", resources=asked or None,
        )  # fmt: skip
        self._sent_out[node.name] = future
        try:
            return cast(dict[str, Any] | None, future.result())
        except KilledWorker as error:
            raise WorkersEndedError(
                f"{node.name}: {error.allowed_failures + 1} workers have ended while they ran it, "
                f"the last of them {error.last_worker.name}; if they lacked memory, ask for it in "
                "models.yml: resources: {memory: ...}"
            ) from error
        except (CancelledError, OSError) as error:
            if self._client.status == "running":
                if isinstance(error, OSError):
                    raise  # of the node
                if is_asked_to_stop():
                    return None  # called back
            raise ClusterError(
                f"{self._settings.address or 'the cluster'}: the scheduler is gone; the same "
                "command with --only-missing-outputs goes on, with any runner"
            ) from error
        finally:
            # The scheduler would have it made again where the worker ends that has its result.
            del self._sent_out[node.name]

    def _check_there_is(self, asked: Mapping[str, float], node: Node) -> None:
        """Say, and of a cluster of one's own stop, where no worker has what a node asks for."""
        if not asked:
            return
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        if any(
            all(worker["resources"].get(name, 0) >= much for name, much in asked.items())
            for worker in workers
        ):
            return
        lacking = f"{node.name}: no worker has {shown_resources(asked)}"
        if self._settings.address is None:
            raise ClusterError(f"{lacking}; give it to those of `dask: {{resources: ...}}`")
        logger.warning("%s; it waits for one: dask worker --resources ...", lacking)

    def _watch(self) -> None:
        """Even out what waits at the workers; from a Ctrl-C on, tell them of it instead."""
        told, waited = set[str](), set[str]()
        for look in count():
            if self._over.wait(_LOOK_SECONDS):
                return
            with suppress(Exception):  # a scheduler that is gone is said elsewhere
                if is_asked_to_stop():
                    waited = self._call_back(told, waited)
                elif look % _LOOKS_A_BALANCE == 0:
                    even_out(self._client)

    def _call_back(self, told: set[str], waited: set[str]) -> set[str]:
        """Tell workers of a Ctrl-C, also those that join, and call back what none has begun.

        Args:
            told: The workers that know of it; those that are told now are added.
            waited: What no worker had begun before.

        Returns:
            What none has begun now.
        """
        from recycling.runners.on_worker import stop_on_worker

        begun = self._client.processing()
        if new := [worker for worker in begun if worker not in told]:
            answers = self._client.run(
                stop_on_worker, self._sent.plugin, workers=new, on_error="ignore"
            )
            told.update(worker for worker, knows in answers.items() if knows)
        here = set(chain.from_iterable(begun.values()))
        sent = [own for own in list(self._sent_out.values()) if own.status == "pending"]
        waits = {own.key: own for own in sent if own.key not in here}
        # Not the first time: that one has ended may be still to be heard of.
        self._client.cancel([waits[key] for key in waits.keys() & waited])
        return set(waits)


class WorkersEndedError(RuntimeError):
    """Worker after worker has ended with the same node: one line, which, what to do."""


def _sent(
    context: KedroContext,
    names: list[str],
    pipeline: Pipeline,
    catalog: CatalogProtocol[Any, Any],
    run_id: str,
    settings: Cluster,
) -> SentRun:
    config = cast(OmegaConfigLoader, context.config_loader)
    project = Path(context.project_path)
    return SentRun(
        run_id=run_id,
        package=str(context._package_name),
        project=str(project),
        config={"parameters": config["parameters"], "globals": config["globals"]},
        loader={
            "conf_source": str(config.conf_source),
            "env": config.env,
            "runtime_params": config.runtime_params,
            "base_env": config.base_env,
            "default_run_env": config.default_run_env,
        },
        catalog=cast(DataCatalog, catalog).to_config(),
        pipeline_names=names,
        nodes=[node.name for node in pipeline.nodes],
        leases=str(data_folder(config, project) / ".made" / FOLDER),
        logging=dict(LOGGING.data),
        is_alone=settings.address is None,
    )


def _show(event: tuple[float, dict[str, Any]]) -> None:
    """Log here what a worker has logged, after its name; `said` is that without it."""
    _, told = event
    extra = {"said": told["line"]}
    logging.getLogger(told["name"]).log(
        told["level"], "%s: %s", told["by"], told["line"], extra=extra
    )
