"""What the runner on a cluster costs a node, and what a second core gains: both on this machine.

A node that does next to nothing is run by the default runner and by `DaskRunner` with one worker,
each in a run of its own with few and with many nodes: what the many take longer is the nodes'. The
first trainings of the demo are then run by one worker and by two, each with one thread.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from bench.comparison import Row, show
from recycling.sample import SampleSettings, generate_sample

ROOT = Path(__file__).parents[1]
MOST_SECONDS = 0.020
"""Of the runner itself, for a node."""
TARGET = 1.6
"""Times as fast with two cores."""

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
from recycling.sessions import NamedSession

DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry", "kedro-viz")
SESSION_CLASS, CONFIG_LOADER_CLASS = NamedSession, ConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "base",
    "config_patterns": {"parameters": ["parameters*"], "catalog": ["catalog*"]},
}
""",
    "src/small/cli.py": "from recycling.cli import cli, run",
    "src/small/pipeline_registry.py": """
import os
from kedro.pipeline import Pipeline, node

def copied(text):
    return text

def register_pipelines():
    n = int(os.environ["NODES"])
    return {"__default__": Pipeline(
        [node(copied, "raw", f"{number}.text", name=f"node{number}") for number in range(n)]
    )}
""",
    "conf/base/globals.yml": "data: data",
    "conf/base/catalog.yml": """
raw: {type: recycling.datasets.TextDataset, filepath: data/raw.txt}
"{number}.text": {type: recycling.datasets.TextDataset, filepath: "data/made/{number}.txt"}
""",
    "data/raw.txt": "raw",
}


def run(*, quick: bool) -> list[Row]:
    few, many = (5, 25) if quick else (20, 520)
    with TemporaryDirectory() as folder:
        project = Path(folder, "small")
        for name, text in FILES.items():
            path = project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        default, ours = (
            _of_a_node(project, few, many, *arguments)
            for arguments in ((), ("--runner", "DaskRunner"))
        )
        trainings = _trainings(Path(folder, "demo"), quick=quick)
        one, two = (_seconds_of(trainings, workers) for workers in (1, 2))
    rows = [
        Row(f"a node that copies a line, of {many}", "default runner", default, ours),
        Row("the demo's first trainings", "1 worker", one, two, TARGET),
    ]
    show(
        f"cluster: {1000 * (ours - default):.1f} ms a node are the runner's, at most "
        f"{1000 * MOST_SECONDS:.0f} are aimed at;\ntrainings on two workers beside one",
        rows,
    )
    return rows


def _of_a_node(project: Path, few: int, many: int, *arguments: str) -> float:
    (project / "conf/base/parameters.yml").write_text("dask: {workers: 1}")
    took = []
    for nodes in (few, many):
        shutil.rmtree(project / "data/made", ignore_errors=True)
        took.append(_timed(project, *arguments, NODES=str(nodes)))
    return (took[1] - took[0]) / (many - few)


def _trainings(project: Path, *, quick: bool) -> Path:
    """The demo with its data divided, whose first round of trainings is still to come."""
    project.mkdir()
    for name in ("conf", "sample"):
        shutil.copytree(ROOT / name, project / name)
    shutil.copy(ROOT / "pyproject.toml", project)
    (project / "src").mkdir()
    small = SampleSettings(image_size=128, train_images=100, pool_images=12, test_images=12)
    generate_sample(project / "data/01_raw/sample", small if quick else SampleSettings())
    path = project / "conf/base/models.yml"
    models = {
        name: {**model, "epochs": 1} if quick else model
        for name, model in yaml.safe_load(path.read_text())["models"].items()
        if model.get("train_on") is None and model["backend"] != "detectron2"
    }
    if quick:
        models = {name: models[name] for name in ("resnet18", "resnetv1d18")}
    path.write_text(yaml.safe_dump({"models": models, "ensembles": {}}))
    _timed(project, "--pipelines", "data_cleaning,splitting")
    return project


def _seconds_of(project: Path, workers: int) -> float:
    """Seconds from the beginning of the first training to the end of the last."""
    for made in ("06_models", "08_reporting/runs"):
        shutil.rmtree(project / "data" / made, ignore_errors=True)
    own = project / "conf/local/parameters_dask.yml"
    own.parent.mkdir(exist_ok=True)
    own.write_text(f"dask: {{workers: {workers}}}")
    models = yaml.safe_load((project / "conf/base/models.yml").read_text())["models"]
    checkpoints = [f"{model['task']}.{name}.fold0.checkpoint" for name, model in models.items()]
    outputs = ("--from-inputs", "train.annotations,folds", "--to-outputs", ",".join(checkpoints))
    return _timed(project, "--runner", "DaskRunner", *outputs)


def _timed(project: Path, *arguments: str, **more: str) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "kedro", "run", *arguments],
        cwd=project,
        env={**os.environ, "OMP_NUM_THREADS": "1", "DO_NOT_TRACK": "1", **more},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"kedro run {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return time.perf_counter() - began
