"""What W&B is given can be read back from its offline folder."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from recycling.tracking import TrackingError, read_tracking
from tracking.entries import training
from tracking.wandb_log import logged


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_MODE")
    for name in ("WANDB_DATA_DIR", "WANDB_SILENT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)  # what tracking sets goes with the test


def test_all_of_a_training_is_in_the_offline_folder(offline, tmp_path):
    entry = training(tmp_path / "files")
    again = replace(entry, name=entry.name.replace("731Z", "732Z"), failed=True)
    settings = read_tracking("wandb")
    settings.picked([entry, again], settings, tmp_path)
    found = logged(tmp_path / "wandb")
    assert set(found) == {entry.name, again.name}
    first = found[entry.name]
    assert (first.run.run_id, first.run.run_group) == (entry.name, "losses")
    assert (list(first.run.tags), first.run.job_type) == (["det", "mmdet"], "training")
    assert first.config["parameters"] == entry.parameters
    assert first.config["fingerprints"] == entry.fingerprints
    assert entry.scores.items() <= first.summary.items()
    assert [(line["epoch"], line["training/loss"]) for line in first.curve] == [(1, 2), (2, 1)]
    table = first.gives[f"run-{entry.name}-predictions"]
    files = {file.path: Path(file.local_path) for file in table.manifest.contents}
    assert all(path.is_relative_to(tmp_path / "wandb") for path in files.values())
    rows = json.loads(files["predictions.table.json"].read_text())
    assert rows["columns"] == ["predictions", "image", "objects", "overlay"]
    (*names, overlay) = rows["data"][0]
    assert names == ["test", "a.jpg", 3]
    assert Image.open(files[overlay["path"]]).size == (30, 20)
    report = next((tmp_path / "wandb").glob("*731Z/files/media/html/report*.html"))
    assert "a report" in report.read_text()


def test_how_a_run_ended_is_told(offline, tmp_path):
    entry = training(tmp_path / "files")
    ends = {"ended": {}, "failed": {"failed": True}, "stopped": {"stopped": True}}
    entries = [replace(entry, name=name, **end) for name, end in ends.items()]
    settings = read_tracking("wandb")
    settings.picked(entries, settings, tmp_path)
    codes = {name: own.exit_code for name, own in logged(tmp_path / "wandb").items()}
    assert codes == {"ended": 0, "failed": 1, "stopped": 255}


def test_artifacts_say_what_they_were_made_of_and_the_same_content_is_one_version(
    offline, tmp_path
):
    entry = training(tmp_path / "files")
    learner = replace(entry, name="other", takes=entry.gives, gives={})
    settings = read_tracking({"to": "wandb", "images": 1})
    settings.picked([entry, learner], settings, tmp_path)
    found = logged(tmp_path / "wandb")
    assert set(found[entry.name].takes) == {"folds"}
    made = found[entry.name].gives["det.yolox.fold0.checkpoint"]
    assert made.type == "checkpoint"
    assert json.loads(made.metadata) == {"content": "sha256 cd"}
    (file,) = made.manifest.contents
    assert file.path == "weights.pth"
    assert file.local_path == str(tmp_path / "files/checkpoint/weights.pth")  # no second copy
    assert found["other"].takes["det.yolox.fold0.checkpoint"].digest == made.digest


def test_nothing_is_written_where_it_is_disabled(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    settings = read_tracking("wandb")
    settings.picked([training(tmp_path / "files")], settings, tmp_path)
    assert not (tmp_path / "wandb").exists()


def test_a_tracker_that_cannot_begin_is_one_line(offline, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wandb", None)  # what an import of what is not there gives
    settings = read_tracking("wandb")
    with pytest.raises(
        TrackingError, match=r"W&B cannot keep the run: .*wandb.*; mend it"
    ) as caught:
        settings.picked([training(tmp_path / "files")], settings, tmp_path)
    assert "\n" not in str(caught.value)


def test_no_tracker_is_imported_before_it_is_used():
    code = (
        "import sys, recycling.settings, recycling.tracking as t; t.read_tracking('wandb');"
        "t.read_tracking('mlflow'); s = t.read_tracking('none'); s.picked([], s, None);"
        "sys.exit(bool({'wandb', 'mlflow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("wandbb", "no tracker is called 'wandbb'; did you mean 'wandb'"),
        ({"to": "wandb", "address": "x"}, "'wandb' takes no 'address' .*a setting of mlflow"),
        ({"to": "wandb", "mode": "on"}, "'offline', 'online' or 'disabled'"),
    ],
)
def test_what_is_no_tracker_or_setting_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        read_tracking(given)
