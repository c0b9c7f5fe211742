"""Promises that take minutes to keep: `make test-slow`."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from clone import copy_project, kedro, models_of, project_with_images, set_models, set_parameters
from recycling.backends import Model
from recycling.experiments import Tuning, open_study
from recycling.experiments.tuning import _distribution
from recycling.sample import generate_sample

pytestmark = pytest.mark.slow

FEW = {"base": "yolox", "trials": 3, "space": {"epochs": [1, 2, 3]}}
"""A search of three trainings."""


def content(path: Path, project: Path) -> bytes:
    """The bytes of a file; of what is known of images, without where and when they were written."""
    if path.name != "image_cache.parquet":
        return path.read_bytes()
    known = pd.read_parquet(path).drop(columns="modified")
    below = [str(Path(each).relative_to(project.resolve())) for each in known["path"]]
    return known.assign(path=below).sort_values("path").to_csv(index=False).encode()


def outputs(project: Path, data: str = "data") -> dict[str, str]:
    """The sha256 of every table, metric and label map of a run."""
    root = project / data
    kinds = {".parquet", ".json", ".png", ".csv"}
    return {
        str(path.relative_to(root)): hashlib.sha256(content(path, project)).hexdigest()
        for layer in ("02_intermediate", "03_primary", "05_model_input", "07_model_output",
                      "08_reporting/summary.json")
        for path in ([root / layer] if (root / layer).is_file() else (root / layer).rglob("*"))
        if path.suffix in kinds
    }  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The demo by either runner, each in a clone of its own."""
    projects = []
    for name, runner in {"one": "SequentialRunner", "two": "DaskRunner"}.items():
        project = copy_project(tmp_path_factory.mktemp(name) / "recycling")
        generate_sample(project / "data/01_raw/sample")
        result = kedro(project, "run", "--runner", runner)
        assert result.returncode == 0, result.stdout + result.stderr
        projects.append(project)
    return projects


def test_the_same_seed_gives_the_same_bytes_with_either_runner(runs):
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


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with images and nothing that a run has made, and a study and a search of YOLOX."""
    project = project_with_images(tmp_path_factory.mktemp("fresh") / "recycling")
    yolox = {**models_of(project)["yolox"], "epochs": 3, "batch_size": 4}
    set_models(project, {"yolox": yolox}, ensembles={})
    described = {
        "studies": {
            "rates": {
                "base": "yolox", "seeds": [0, 1],
                "changes": {"slow": {"optimizer.learning_rate": 0.0001}},
            },
        },
        "tuning": {"few": FEW},
    }  # fmt: skip
    set_parameters(project, described)
    return project


def test_a_study_makes_what_it_lacks_and_ends_in_sentences(fresh):
    result = kedro(fresh, "study", "rates")
    assert result.returncode == 0, result.stdout + result.stderr
    (sentence,) = (line for line in result.stdout.splitlines() if line.startswith("slow: "))
    assert "mAP50" in sentence
    assert "2 seeds" in sentence
    effects = fresh / "data/08_reporting/studies/rates"
    assert {path.name for path in effects.iterdir()} >= {"effects.png", "summary.json"}
    again = kedro(fresh, "study", "rates")
    assert not re.search(r"\.fold\w+\.train\b", again.stdout)
    assert sentence in again.stdout.splitlines()


def test_a_search_ends_in_an_entry_for_a_model(fresh):
    result = kedro(fresh, "tune", "few")
    assert result.returncode == 0, result.stdout + result.stderr
    entry = yaml.safe_load(result.stdout.partition("as an entry for models.yml:")[2])
    assert list(entry) == ["yolox_tuned"]
    Model.model_validate(entry["yolox_tuned"])
    trials = json.loads((fresh / "data/08_reporting/tuning/few/result.json").read_text())
    assert trials["trials"] == 3
    sweep = yaml.safe_load(kedro(fresh, "tune", "few", "--sweep").stdout)
    assert sweep["parameters"] == {"epochs": {"values": [1, 2, 3]}}
    # As an agent leaves it that is killed while it trains with other settings.
    search = Tuning.model_validate(FEW)
    study = open_study(fresh / "data/06_models/runs/tuning/few/trials.journal", search)
    study.enqueue_trial({"epochs": 0})
    study.ask({name: _distribution(values) for name, values in search.space.items()})
    result = kedro(fresh, "tune", "few", "--settings", '{"epochs": 2}')
    assert result.returncode == 0, result.stdout + result.stderr
    table = pd.read_parquet(fresh / "data/08_reporting/tuning/few/trials.parquet")
    assert table["settings"].iloc[-1] == '{"epochs": 2}'
    assert len(table) == 4
