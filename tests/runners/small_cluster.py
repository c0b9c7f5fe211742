"""A project of a few small steps, and a cluster of processes in folders of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import recycling

SOURCE = Path(recycling.__file__).parents[1]
TRAININGS = ("a", "b")
EPOCHS = 6
PATIENCE = 180.0

FILES = {
    "pyproject.toml": """
[tool.kedro]
package_name = "small"
project_name = "small"
kedro_init_version = "1.7.0"
source_dir = "src"
""",
    "src/small/__init__.py": "",
    "src/small/settings.py": """
from recycling.configuration import ConfigLoader
from recycling.hooks import ConsoleHooks, ManifestHooks, UpToDateHooks
from recycling.sessions import NamedSession

HOOKS = (ConsoleHooks(), ManifestHooks(), UpToDateHooks())
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry", "kedro-viz")
SESSION_CLASS = NamedSession
CONFIG_LOADER_CLASS = ConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "config_patterns": {"parameters": ["parameters*"], "catalog": ["catalog*"]},
}
""",
    "src/small/cli.py": "from recycling.cli import cli, run",
    "src/small/pipeline_registry.py": """
import os
import time

from kedro.pipeline import Pipeline, node

from recycling.files import write_json
from recycling.plan.parameters import ParameterError
from recycling.stopping import stop_if_asked
import json

def selector(name):
    def select(raw):
        return {"value": raw["seed"] * (ord(name) - 96)}, {"held out": name}
    return select

def trainer(name):
    def train(part, runs, training):
        folder = runs.path / name
        folder.mkdir(parents=True, exist_ok=True)
        state = {"epoch": 0, "weight": 1}
        if (folder / "state.json").exists():
            state = json.loads((folder / "state.json").read_text())
        for epoch in range(state["epoch"], training["epochs"]):
            time.sleep(training["seconds"])
            weight = (state["weight"] * 31 + part["value"]) % 1009
            state = {"epoch": epoch + 1, "weight": weight}
            with (folder / "epochs.log").open("a") as log:
                log.write(f"{epoch}\\n")
            write_json(folder / "state.json", state)
            stop_if_asked()
        return {"weight": state["weight"]}
    return train

def score(checkpoint, held_out, training):
    if training.get("fails"):
        raise ParameterError("conf/base/parameters.yml: training.fails: is set; remove it")
    return {**checkpoint, **held_out}

def join(*scores):
    return {"scores": list(scores)}

def register_pipelines():
    nodes = []
    for name in ("a", "b"):
        nodes += [
            node(selector(name), "raw", [f"{name}.part", f"{name}.held_out"],
                 name=f"{name}.select"),
            node(trainer(name), [f"{name}.part", "runs", "params:training"],
                 f"{name}.checkpoint", name=f"{name}.train",
                 tags=os.environ.get("TAGS", "").split()),
            node(score, [f"{name}.checkpoint", f"{name}.held_out", "params:training"],
                 f"{name}.score", name=f"{name}.score"),
        ]
    nodes.append(node(join, ["a.score", "b.score"], "joined", name="join"))
    return {"__default__": Pipeline(nodes)}
""",
    "conf/base/globals.yml": "data: data",
    "conf/base/catalog.yml": """
raw: {type: recycling.datasets.JsonDataset, filepath: "${globals:data}/raw.json"}
runs: {type: recycling.datasets.RunFolderDataset, filepath: "${globals:data}/runs"}
run_manifests: {type: recycling.datasets.RunsDataset, filepath: "${globals:data}/manifests"}
joined: {type: recycling.datasets.JsonDataset, filepath: "${globals:data}/made/joined.json"}
"{name}.checkpoint":
  type: recycling.datasets.JsonDataset
  filepath: "${globals:data}/made/{name}/checkpoint.json"
"{name}.score":
  type: recycling.datasets.JsonDataset
  filepath: "${globals:data}/made/{name}/score.json"
""",
    "conf/logging.yml": """
version: 1
disable_existing_loggers: false
formatters: {plain: {format: "%(levelname)s %(message)s"}}
handlers: {console: {class: logging.StreamHandler, formatter: plain}}
loggers: {kedro: {level: WARNING}, recycling: {level: INFO}}
root: {level: WARNING, handlers: [console]}
""",
    "conf/base/parameters.yml": f"training: {{epochs: {EPOCHS}, seconds: 0.2}}",
}


def small_project(folder: Path, **parameters: Any) -> Path:
    """A project whose two trainings each have six epochs, and keep a state after each."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "conf/local").mkdir()
    (folder / "conf/local/parameters_own.yml").write_text(json.dumps(parameters))
    (folder / "data").mkdir()
    (folder / "data/raw.json").write_text('{"seed": 7}')
    return folder


def outputs(project: Path) -> dict[str, bytes]:
    """What the nodes have made."""
    made = project / "data/made"
    return {str(path.relative_to(made)): path.read_bytes() for path in made.rglob("*.json")}


def epochs(project: Path, training: str) -> list[int]:
    """The epochs that were trained, in order, whether or not they were kept."""
    log = (project / f"data/runs/{training}/epochs.log").read_text()
    return [int(line) for line in log.split()]


def environment(*paths: Path, **more: str) -> dict[str, str]:
    """Of a process that finds this version of the package."""
    path = os.pathsep.join(map(str, (*paths, SOURCE)))
    own = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "DO_NOT_TRACK": "1"}
    return {**os.environ, **own, **more}


@dataclass
class Run:
    """A ``kedro run`` that goes on."""

    project: Path
    process: subprocess.Popen[bytes]
    screen: Path

    def end(self) -> tuple[int, str]:
        """Wait for it: its exit status, and what it has printed."""
        status = self.process.wait(timeout=3600)
        return status, self.screen.read_text()

    def wait_for_epoch(self, training: str, epoch: int) -> str:
        """Wait until that epoch is kept: who trains."""
        state = self.project / f"data/runs/{training}/state.json"
        wait_until(lambda: state.exists() and json.loads(state.read_text())["epoch"] >= epoch)
        return self.holder(f"{training}.train")

    def holder(self, node: str) -> str:
        """Who runs a node."""
        lease = self.project / f"data/.made/leases/{node}.json"
        return str(json.loads(lease.read_text())["holder"])


def start(project: Path, *arguments: str, **more: str) -> Run:
    """Start ``kedro run``."""
    screen = project / f"screen {time.monotonic_ns()}.txt"
    with screen.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "kedro", "run", *arguments],
            cwd=project, env=environment(**more), start_new_session=True, stdout=log, stderr=log,
        )  # fmt: skip
    return Run(project, process, screen)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "has not come about"
        time.sleep(0.02)


@dataclass
class SmallCluster:
    """A scheduler and workers, each a process that was started in an empty folder."""

    folder: Path
    source: Path
    scheduler: subprocess.Popen[bytes] | None = None
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The file that says where the scheduler is."""
        return str(self.folder / "scheduler.json")

    def add(self, name: str, *options: str, **more: str) -> None:
        """Start a worker."""
        self.workers[name] = self._start(
            name, "dask_worker", "--scheduler-file", self.address, "--name", name, "--no-nanny",
            "--nthreads", "1", "--memory-limit", "0", "--no-dashboard", *options, **more,
        )  # fmt: skip

    def signal(self, name: str, kind: signal.Signals) -> None:
        """Send a signal to a worker."""
        self.workers[name].send_signal(kind)
        if kind == signal.SIGKILL:
            self.workers.pop(name).wait()

    def log(self, name: str) -> str:
        """What a process has printed."""
        return (self.folder / name / "log.txt").read_text()

    def _start(self, name: str, module: str, *options: str, **more: str) -> subprocess.Popen[bytes]:
        own = self.folder / name
        own.mkdir(exist_ok=True)
        with (own / "log.txt").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{module}", *options],
                cwd=own, env=environment(self.source, **more), stdout=log, stderr=log,
            )  # fmt: skip


@contextmanager
def small_cluster(folder: Path, project: Path, *names: str, **more: str) -> Iterator[SmallCluster]:
    """Start a scheduler and workers of these names; they are killed at the end."""
    folder.mkdir()
    cluster = SmallCluster(folder, project / "src")
    try:
        cluster.scheduler = cluster._start(
            "scheduler", "dask_scheduler", "--port", "0", "--host", "127.0.0.1",
            "--no-dashboard", "--scheduler-file", cluster.address, **more,
        )  # fmt: skip
        wait_until(Path(cluster.address).exists)
        for name in names:
            cluster.add(name, **more)
        yield cluster
    finally:
        for process in (*cluster.workers.values(), cluster.scheduler):
            if process is not None:
                process.kill()
                process.wait()
