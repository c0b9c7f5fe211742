"""A run that is asked for something which does not exist says so, with the nearest names."""

from __future__ import annotations

import atexit
import shutil
import tarfile
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines, settings
from kedro.framework.session import KedroSession
from kedro.pipeline import Pipeline

from recycling.errors import visible
from recycling.plan.parameters import nearest, shown
from recycling.runners import DaskRunner, KeepGoingRunner


class UnknownNameError(ValueError):
    """A run was asked for something that does not exist: one line, which option, what there is."""


class NamedSession(KedroSession):
    """Kedro's own, which checks each name that a run is given before anything is done.

    Kedro refuses some of them with a traceback, and passes over a tag that no node has where
    another one is right.
    """

    _asked: Mapping[str, Any] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As Kedro's, but an archive of the configuration is unpacked: recipes are read by path."""
        source = kwargs.get("conf_source")
        if source is not None and Path(source).is_file():
            kwargs["conf_source"] = _unpacked(source)
        super().__init__(*args, **kwargs)

    def run(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run the pipelines, as Kedro does, but go on where it would stop at the first failure.

        Raises:
            UnknownNameError: No pipeline, node, dataset, tag or namespace is called so.
            NodesFailedError: Some nodes failed; what does not need them is done.
        """
        self._asked = kwargs
        kwargs["runner"] = kwargs.get("runner") or KeepGoingRunner()
        result: dict[str, Any] = super().run(*args, **kwargs)
        return result

    def load_context(self) -> KedroContext:
        """The context, once what is asked for is known to exist.

        Raises:
            UnknownNameError: Something does not.
        """
        conf = Path(self._conf_source)
        if (env := self.store.get("env")) and conf.is_dir() and not (conf / env).is_dir():
            known = [path.parent.name for path in conf.glob("*/*.y*ml")]
            raise UnknownNameError(_unknown("--env", "environment", env, known, shown(conf)))
        context = super().load_context()
        if self._asked is not None:
            check_names(self._asked)
            if isinstance(runner := self._asked.get("runner"), DaskRunner):
                runner.prepare(context, self._asked.get("pipeline_names"))
        return context


def _unpacked(archive: str) -> str:
    """A folder of this process with the configuration of an archive, as `kedro package` makes one.

    Raises:
        UnknownNameError: It is no archive, or there is no configuration in it.
    """
    folder = Path(mkdtemp(prefix="recycling-conf-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        # Nothing lands outside of the folder; zip archives never had a way to.
        inside: dict[str, Any] = {"filter": "data"} if tarfile.is_tarfile(archive) else {}
        shutil.unpack_archive(archive, folder, **inside)
    except (shutil.ReadError, tarfile.TarError, ValueError, EOFError) as error:
        raise UnknownNameError(
            f"--conf-source: {archive}: not a readable archive: {error}"
        ) from error
    base = settings.CONFIG_LOADER_ARGS["base_env"]
    found = sorted(path.parent for path in (*folder.glob(base), *folder.glob(f"*/{base}")))
    if not found:
        raise UnknownNameError(
            f"--conf-source: {archive}: no folder {base!r} in it; pack the folder conf"
        )
    return str(found[0])


def check_names(asked: Mapping[str, Any]) -> None:
    """Check the names that a run is given against the pipelines.

    Args:
        asked: Options of `KedroSession.run`.

    Raises:
        UnknownNameError: One line for the first name that is not known, with near ones; where
            other pipelines have it, with theirs.
    """
    names = list(asked.get("pipeline_names") or ["__default__"])
    try:
        missing = [name for name in names if name not in pipelines]
        if missing:
            pipelines.set_requested(None)
            raise UnknownNameError(_unknown("--pipelines", "pipeline", missing[0], pipelines))
        chosen = sum((pipelines[name] for name in names), start=Pipeline([]))
        for option, (kind, names_of) in _OPTIONS.items():
            known = names_of(chosen)
            for name in asked.get(option) or ():
                if name not in known:
                    raise UnknownNameError(_elsewhere(option, kind, name, names, names_of))
    finally:
        pipelines.set_requested(asked.get("pipeline_names") or None)


def _elsewhere(
    option: str,
    kind: str,
    name: str,
    chosen: list[str],
    names_of: Callable[[Pipeline], set[str]],
) -> str:
    """The message for a name that the chosen pipelines do not have."""
    pipelines.set_requested(None)
    where = "" if chosen == ["__default__"] else f"the pipeline {', '.join(chosen)}"
    others = [
        other
        for other, pipeline in sorted(pipelines.items())
        if other != "__default__" and name in names_of(pipeline)
    ]
    flag = "--" + option.replace("node_names", "nodes").replace("_", "-")
    if others:
        return (
            f"{flag}: no {kind} {visible(name)} in {where}; it is in {', '.join(others)}: "
            f"--pipelines {others[0]}"
        )
    known = set().union(*(names_of(pipelines[other]) for other in chosen))
    return _unknown(flag, kind, name, known, where)


def _unknown(flag: str, kind: str, name: str, known: Iterable[str], where: str = "") -> str:
    place = f" in {where}" if where else ""
    return f"{flag}: no {kind} {visible(name)}{place}; {nearest(name, dict.fromkeys(known))}"


def _nodes(pipeline: Pipeline) -> set[str]:
    return {node.name for node in pipeline.nodes}


def _tags(pipeline: Pipeline) -> set[str]:
    return {tag for node in pipeline.nodes for tag in node.tags}


def _namespaces(pipeline: Pipeline) -> set[str]:
    """Those of the nodes, and those that they are in."""
    parts = [(node.namespace or "").split(".") for node in pipeline.nodes]
    return {".".join(names[:n]) for names in parts for n in range(1, len(names) + 1)} - {""}


def _datasets(pipeline: Pipeline) -> set[str]:
    return set(pipeline.datasets())


_RUNNERS = {
    "SequentialRunner": "KeepGoingRunner",
    "ThreadRunner": "KeepGoingThreadRunner",
    "DaskRunner": "DaskRunner",
}
"""Plain names, and the classes of the project that they stand for."""


def runner_class(name: str | None) -> str:
    """The class of a runner, with its module, by the name that a user gives it.

    The plain names are those of runners that go on where a node fails; `kedro.runner.ThreadRunner`
    is Kedro's own, which stops at the first.

    Args:
        name: One of Kedro's, or a class with its module; by default one node runs after another.

    Raises:
        UnknownNameError: There is none; one line, with near ones. Or it is one that starts other
            processes, which cannot be given the nodes.
    """
    if name in ("ParallelRunner", "kedro.runner.ParallelRunner"):
        raise UnknownNameError(
            "--runner: ParallelRunner cannot run this project: its nodes are made of models.yml "
            "within this process, and cannot be sent to others; use ThreadRunner, or start one run "
            "for each of several --namespaces"
        )
    if name is None or name in _RUNNERS:
        return f"recycling.runners.{_RUNNERS[name or 'SequentialRunner']}"
    module, _, class_name = name.rpartition(".")
    try:
        found = hasattr(import_module(module), class_name) if module else False
    except ImportError as error:
        raise UnknownNameError(f"--runner: {name}: {error}; write MODULE.CLASS") from error
    if not found:
        raise UnknownNameError(_unknown("--runner", "runner", name, _RUNNERS))
    return name


_OPTIONS: Mapping[str, tuple[str, Callable[[Pipeline], set[str]]]] = {
    "tags": ("tag", _tags),
    "node_names": ("node", _nodes),
    "from_nodes": ("node", _nodes),
    "to_nodes": ("node", _nodes),
    "from_inputs": ("dataset", _datasets),
    "to_outputs": ("dataset", _datasets),
    "namespaces": ("namespace", _namespaces),
}
"""Options of a run that name things, what they name, and which there are in a pipeline."""
