"""MLflow keeps runs, metrics and artifacts; it has an environment of its own, made here."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]

TRACK = """
import sys
from dataclasses import replace
from pathlib import Path
from recycling.tracking import read_tracking
from tracking.entries import training

folder = Path(sys.argv[1])
settings = read_tracking("mlflow")
settings.picked([training(folder / "files")], settings, folder)
stopped = replace(training(folder / "files", "another"), stopped=True)
settings.picked([stopped], settings, folder)
"""

READ = """
import json, sys
from mlflow import MlflowClient

client = MlflowClient(sys.argv[2])
experiment = client.get_experiment_by_name("recycling")
runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
run = runs["det.yolox.fold0-2026-11-29T07.31.00.731Z"]
identity = run.info.run_id
def files(path=None):
    for each in client.list_artifacts(identity, path):
        yield from files(each.path) if each.is_dir else [each.path]
curve = client.get_metric_history(identity, "training/loss")
print(json.dumps({
    "ends": {name: each.info.status for name, each in runs.items()}, "tags": run.data.tags,
    "parameters": run.data.params, "metrics": run.data.metrics,
    "curve": [[each.step, each.value] for each in curve], "files": sorted(files()),
}))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with MLflow, and behind it the libraries of this one."""
    folder = tmp_path_factory.mktemp("mlflow") / "environment"
    venv.create(folder, with_pip=True, symlinks=True)
    install = ["install", "--quiet", "--constraint", ROOT / "constraints-mlflow.txt"]
    subprocess.run([folder / "bin/python", "-m", "pip", *install, *EXTRAS["mlflow"]], check=True)
    installed = next((folder / "lib").glob("*/site-packages"))
    (installed / "libraries.pth").write_text("\n".join(site.getsitepackages()))
    return folder / "bin/python"


def run(python: Path, code: str, *arguments: str | Path) -> str:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    ran = subprocess.run(
        [python, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.slow
def test_runs_metrics_and_artifacts_are_read_back(python, tmp_path):
    run(python, TRACK, tmp_path)
    found = json.loads(run(python, READ, tmp_path, f"sqlite:///{tmp_path / 'mlflow/mlflow.db'}"))
    assert found["ends"] == {
        "another": "KILLED", "det.yolox.fold0-2026-11-29T07.31.00.731Z": "FINISHED"
    }  # fmt: skip
    assert found["tags"]["group"] == "losses"
    assert found["parameters"]["optimizer.learning_rate"] == "0.1"
    assert found["parameters"]["fingerprint.folds"] == "sha256 ab"
    assert found["metrics"]["out_of_fold/low"] == 0.4
    assert found["curve"] == [[1, 2.0], [2, 1.0]]
    assert found["files"] == [
        "artifacts/det.yolox.fold0.checkpoint/checkpoint/weights.pth",
        "pages/report.html",
        "predictions/test/a.jpg.png",
    ]


def test_it_is_not_here():
    """What asks for other versions than constraints.txt has is no part of this environment."""
    code = "import importlib.util as u, sys; sys.exit(u.find_spec('mlflow') is not None)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_constraints_differ_where_they_have_to():
    def pinned(name: str) -> dict[str, str]:
        lines = (ROOT / name).read_text().splitlines()
        return dict(line.split("==") for line in lines if "==" in line)

    usual, own = pinned("constraints.txt"), pinned("constraints-mlflow.txt")
    differ = {name for name in set(usual) & set(own) if usual[name] != own[name]}
    assert differ == {"importlib_metadata", "certifi"}
