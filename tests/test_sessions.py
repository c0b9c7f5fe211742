"""A name that does not exist is one line, before anything is done."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from clone import copy_project

SCRIPT = """
import json, sys
from pathlib import Path
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project
bootstrap_project(Path.cwd())
from recycling.cli import run
found = {}
for line in json.load(sys.stdin):
    result = CliRunner().invoke(run, line.split())
    exception = result.exception
    raised = exception is not None and not isinstance(exception, SystemExit)
    found[line] = [result.exit_code, result.output + (repr(exception) if raised else "")]
Path("found.json").write_text(json.dumps(found))
"""

ENSEMBLING = "--pipelines ensembling "
REFUSED = {
    "--namespaces det.yolx.fold0": (
        "--namespaces: no namespace 'det.yolx.fold0'; did you mean 'det.yolox.fold0'?"
    ),
    "--nodes det.yolox.fold0.trainn": (
        "--nodes: no node 'det.yolox.fold0.trainn'; did you mean 'det.yolox.fold0.train'?"
    ),
    ENSEMBLING + "--from-nodes det.final.fuse_test_prediction": (
        "--from-nodes: no node 'det.final.fuse_test_prediction' in the pipeline ensembling; "
        "did you mean 'det.final.fuse_test_predictions'?"
    ),
    ENSEMBLING + "--to-nodes det.yolox.fold0.train": (
        "--to-nodes: no node 'det.yolox.fold0.train' in the pipeline ensembling; "
        "it is in training_det: --pipelines training_det"
    ),
    "--from-inputs trainn.annotations": (
        "--from-inputs: no dataset 'trainn.annotations'; did you mean 'train.annotations'?"
    ),
    ENSEMBLING + "--to-outputs det.final.submision": (
        "--to-outputs: no dataset 'det.final.submision' in the pipeline ensembling; "
        "did you mean 'det.final.submission'?"
    ),
    "--tags nope": "--tags: no tag 'nope'; known: none",
    "--pipelines ensembling,ensembing": (
        "--pipelines: no pipeline 'ensembing'; did you mean 'ensembling'?"
    ),
    "--env tacoo": "--env: no environment 'tacoo' in conf; did you mean 'taco'?",
    "--runner ThreadRuner": "--runner: no runner 'ThreadRuner'; did you mean 'ThreadRunner'?",
    "--runner ParallelRunner": (
        "--runner: ParallelRunner cannot run this project: its nodes are made of models.yml "
        "within this process, and cannot be sent to others; use ThreadRunner, or start one run for "
        "each of several --namespaces"
    ),
    "--runner nowhere.Runner": "--runner: nowhere.Runner: No module named 'nowhere'; "
    "write MODULE.CLASS",
    "--params splittin.n_splits=3": "--params: no parameter 'splittin'; did you mean 'splitting'?",
    "--params splitting.n_splits=two": (
        "--params: splitting.n_splits: Input should be a valid integer, unable to parse string as "
        "an integer (got 'two')"
    ),
    "--params ensembling.dett.method=nms": (
        "conf/base/parameters_ensembling.yml with --params: no parameter 'ensembling.dett'; "
        "did you mean 'det'?"
    ),
    "--namespaces cls.resnet18.fold0": (
        "data/01_raw/sample/images: not there (dataset 'test.images', nor are "
        "test.raw_annotations, train.images, train.raw_annotations); put it there (the sample "
        "data: make sample), or change its catalog entry; then make folds, test.annotations, "
        "train.annotations with: kedro run --to-outputs folds,test.annotations,train.annotations "
        "--only-missing-outputs"
    ),
    "--nodes cls.resnet18.fold0.train": (
        "cls.resnet18.fold0.training_part: only in memory while a run makes it (dataset "
        "'cls.resnet18.fold0.training_part'); let the same run make it: add "
        "cls.resnet18.fold0.select_fold to --nodes, or run --namespaces cls.resnet18.fold0"
    ),
    "--env mine": (
        "conf/mine/parameters.yml: no parameter 'cleaning.test'; add it: 'cleaning' there replaces "
        "that of conf/base whole"
    ),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """Exit code and output of each run, all in one process."""
    project = copy_project(tmp_path_factory.mktemp("project") / "recycling")
    (project / "conf/mine").mkdir()
    (project / "conf/mine/parameters.yml").write_text("cleaning: {train: {}, pool: {}}")
    subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=project,
        input=json.dumps(list(REFUSED)),
        text=True,
        timeout=300,
        check=True,
        capture_output=True,
    )
    assert not list(project.glob("data/0*"))
    found: dict[str, tuple[int, str]] = json.loads((project / "found.json").read_text())
    return found


@pytest.mark.parametrize("arguments", REFUSED)
def test_a_name_that_does_not_exist_is_one_line_with_the_nearest(outcomes, arguments):
    code, output = outcomes[arguments]
    assert code == 1
    assert output.splitlines()[-1].removeprefix("Error: ") == REFUSED[arguments]
    assert "Traceback" not in output
