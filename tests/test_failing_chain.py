"""A model that diverges and a checkpoint that is broken stop no other chain: the real run."""

from __future__ import annotations

from pathlib import Path

import pytest

from clone import kedro, models_of, project_with_images, set_models
from recycling.experiments import Runs

pytestmark = pytest.mark.slow

SMALL = {"epochs": 1, "batch_size": 4}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A project whose detector diverges: its folder, and what its run printed."""
    project = project_with_images(tmp_path_factory.mktemp("failing") / "recycling")
    models = {name: {**models_of(project)[name], **SMALL} for name in ("resnet18", "yolox", "fcn")}
    models["yolox"]["optimizer"] = {"name": "AdamW", "learning_rate": 1e9}
    models["yolox"]["schedule"] = {"name": "constant", "warmup": 0}
    set_models(project, models, ensembles={"final": "all"})
    result = kedro(project, "run")
    assert result.returncode == 1, result.stdout + result.stderr
    return project, result.stdout, result.stderr


def test_a_model_that_diverges_stops_no_other(failed):
    project, printed, said = failed
    (error,) = (line for line in said.splitlines() if line.startswith("Error: "))
    assert "det.yolox.fold0.train failed" in error
    for task in ("cls", "seg"):
        assert (project / f"data/07_model_output/{task}/final/submission.csv").is_file()
    assert not (project / "data/07_model_output/det/final/submission.csv").exists()
    _, _, listed = printed.partition("Failed:")
    assert "  det.yolox.fold0.train: " in listed
    assert "  det.yolox.fold0: " in listed.partition("Skipped, as it needs what failed:")[2]
    assert printed.rstrip().splitlines()[-1] == "Report: data/08_reporting/report.html"


def test_the_manifest_lists_what_failed_and_what_was_skipped_for_it(failed):
    project, _, _ = failed
    run = Runs(project / "data/08_reporting/runs").find("latest")
    assert run.state == "failed"
    assert set(run.failed) == {"det.yolox.fold0.train"}
    assert all(name.startswith("det.") for name in run.skipped[:3])


def test_a_broken_checkpoint_stops_no_other_and_the_next_run_trains_it_again(failed):
    project, _, _ = failed
    weights = project / "data/06_models/seg/fcn/fold0/checkpoint/weights.pth"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    result = kedro(project, "run", "--nodes", "seg.fcn.fold0.predict_test_images")
    assert result.returncode == 1
    assert "fcn/fold0/checkpoint: its weights are not those of its config" in result.stderr
    result = kedro(project, "run", "--pipelines", "training_seg", "--only-missing-outputs")
    assert result.returncode == 0, result.stdout + result.stderr
    assert weights.read_bytes() == whole
