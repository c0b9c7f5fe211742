"""Promises that take minutes to keep: `make test-slow`."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from recycling.sample import generate_sample
from test_chain import copy_project, kedro

pytestmark = pytest.mark.slow


def outputs(project: Path, data: str = "data") -> dict[str, str]:
    """The sha256 of every table, metric and label map of a run."""
    root = project / data
    kinds = {".parquet", ".json", ".png", ".csv"}
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for layer in ("02_intermediate", "03_primary", "05_model_input", "07_model_output",
                      "08_reporting/summary.json")
        for path in ([root / layer] if (root / layer).is_file() else (root / layer).rglob("*"))
        if path.suffix in kinds
    }  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The demo, twice, each in a clone of its own."""
    projects = []
    for name in ("one", "two"):
        project = copy_project(tmp_path_factory.mktemp(name) / "recycling")
        generate_sample(project / "data/01_raw/sample")
        result = kedro(project, "run")
        assert result.returncode == 0, result.stdout + result.stderr
        projects.append(project)
    return projects


def test_the_same_seed_gives_the_same_bytes(runs):
    first, second = (outputs(project) for project in runs)
    assert len(first) > 100
    assert first == second


def test_every_task_learns_and_no_ensemble_falls_behind_its_best_member(runs):
    summary = json.loads((runs[0] / "data/08_reporting/summary.json").read_text())
    for task, target in {"cls": 0.70, "det": 0.30, "seg": 0.40}.items():
        best = max(summary[task]["members"].values())
        assert best >= target, task
        if task != "cls":
            assert summary[task]["ensemble"] >= best - 0.005, task


@pytest.mark.skipif("TACO_ROOT" not in os.environ, reason="TACO_ROOT is not set")
def test_taco_goes_through_the_whole_chain(tmp_path):
    project = copy_project(tmp_path / "recycling")
    root = str(Path(os.environ["TACO_ROOT"]).resolve())
    result = kedro(project, "run", "--env", "taco", TACO_ROOT=root)
    assert result.returncode == 0, result.stdout + result.stderr
    summary = json.loads((project / "data/taco/08_reporting/summary.json").read_text())
    assert set(summary) == {"cls", "det", "seg"}


@pytest.mark.skipif("AISTAGES_ROOT" not in os.environ, reason="AISTAGES_ROOT is not set")
def test_annotations_without_images_are_cleaned_and_split(tmp_path):
    project = copy_project(tmp_path / "recycling")
    root = str(Path(os.environ["AISTAGES_ROOT"]).resolve())
    result = kedro(project, "run", "--env", "aistages", AISTAGES_ROOT=root)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (result.stdout + result.stderr).count("no such image folder") == 1
    assert (project / "data/aistages/05_model_input/folds.parquet").exists()
