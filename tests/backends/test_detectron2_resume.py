"""What a training of detectron2 promises: to go on after a stop, to say what changed."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backends.rectangles import (
    RECIPE,
    RECIPES,
    data_of,
    images_of,
    rectangles,
    settings_of,
    train,
    weights_of,
)
from recycling.annotations import LabeledImages
from recycling.backends import BackendError, Checkpoint, backend_for, is_installed

if not is_installed("detectron2"):
    pytest.skip("detectron2 is not installed", allow_module_level=True)

import torch

# One that every part of the state has a say in: averaged weights, momentum, gradients of an update
# that is still to come, epochs that end in the middle of a batch, the warm-up, a snapshot.
HARD: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 2,
    "accumulate": 2,
    "ema": 0.9,
    "augmentation": [{"HorizontalFlip": {}}, {"RandomBrightnessContrast": {"p": 1.0}}],
    "sampler": {"name": "class_balanced"},
    "snapshots": 3,
    "schedule": {"name": "cosine_restarts", "restarts": 2},
    "optimizer": {"name": "AdamW", "learning_rate": 1e-3, "clip_grad_norm": 5.0},
}


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> LabeledImages:
    return rectangles(tmp_path_factory.mktemp("pictures") / "a", seed=0, n_images=5)


def stopped(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Let the next training stop in the middle of the epoch after the given one."""
    from recycling.backends.detectron2_backend.trainer import Trainer

    run_step = Trainer.run_step

    def step(self: Any) -> None:
        if len(self.speed.epochs) == after and self.speed.iterations + 1 >= 3 * after:
            raise KeyboardInterrupt
        run_step(self)

    monkeypatch.setattr(Trainer, "run_step", step)


@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_a_stopped_training_ends_as_it_would_have_ended(
    part: LabeledImages, tmp_path: Path, workers: int
) -> None:
    whole = train(tmp_path / "whole", data_of(part), **HARD)
    with pytest.MonkeyPatch.context() as patch:
        stopped(patch, after=2)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "parts", data_of(part), **HARD, workers=workers)
    assert (tmp_path / "parts" / "state.pth").exists()
    assert not (tmp_path / "parts" / "checkpoint").exists()
    parts = train(tmp_path / "parts", data_of(part), **HARD, workers=workers)
    one, other = weights_of(whole), weights_of(parts)
    assert all(torch.equal(one[name], other[name]) for name in one)
    for n in (1, 2):
        one, other = (
            torch.load(tmp_path / folder / "checkpoint" / f"snapshot{n}.pth", weights_only=True)
            for folder in ("whole", "parts")
        )
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert not (tmp_path / "parts" / "state.pth").exists()
    for name, key in (("metrics.jsonl", "epoch"), ("metrics.json", "iteration")):
        lines = [
            [json.loads(line) for line in (tmp_path / folder / name).read_text().splitlines()]
            for folder in ("whole", "parts")
        ]
        assert [line[key] for line in lines[0]] == [line[key] for line in lines[1]]
    assert [line["loss"] for line in lines_of(tmp_path / "whole")] == [
        line["loss"] for line in lines_of(tmp_path / "parts")
    ]


def lines_of(work_dir: Path) -> list[dict[str, Any]]:
    text = (work_dir / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["faster_rcnn_r50_narrow", "retinanet_r50"])
def test_a_killed_training_ends_as_it_would_have_ended(
    part: LabeledImages, tmp_path: Path, recipe: str
) -> None:
    small = {"MODEL.DEVICE": "cpu"}
    if recipe == "retinanet_r50":
        small |= {"MODEL.RESNETS.DEPTH": 18, "MODEL.RESNETS.RES2_OUT_CHANNELS": 64}
    changes = {"recipe": recipe, "epochs": 6, "options": small}
    model = settings_of(**changes)
    script = tmp_path / "train.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            from pathlib import Path
            from backends.rectangles import RECIPES, data_of, rectangles
            from recycling.backends import Model, backend_for
            folder = Path(sys.argv[1])
            part = rectangles(folder / "pictures", seed=0, n_images=5)
            model = Model.model_validate_json({model.model_dump_json()!r})
            recipe = RECIPES.find("detectron2", {recipe!r})
            backend_for("detectron2").train(model, recipe, data_of(part), folder / "killed")
            """
        )
    )
    tests = str(Path(__file__).parents[1])
    path = os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=environment)
    history = tmp_path / "killed" / "metrics.jsonl"
    while process.poll() is None and not (history.exists() and len(lines_of(history.parent)) >= 2):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    same = rectangles(tmp_path / "same", seed=0, n_images=5)
    killed, whole = (
        weights_of(
            backend_for("detectron2").train(
                model, RECIPES.find("detectron2", recipe), data_of(same), tmp_path / name
            )
        )
        for name in ("killed", "whole")
    )
    assert all(torch.equal(killed[name], whole[name]) for name in killed)


def test_a_training_that_has_ended_is_not_run_again_and_says_what_has_changed(
    part: LabeledImages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="recycling")
    work_dir = tmp_path / "work"
    first = train(work_dir, data_of(part), epochs=1)
    made = first.weights.stat().st_mtime_ns
    train(work_dir, data_of(part), epochs=1, score_threshold=0.5, workers=1)
    facts = json.loads((first.folder / "checkpoint.json").read_text())
    assert facts["model"]["score_threshold"] == 0.5
    assert len(lines_of(work_dir)) == 1
    assert "trained before, and nothing has changed" in caplog.text
    # Without the GPU that it was trained on, it predicts, and is not trained again.
    assert "recipe.MODEL.DEVICE" not in json.loads((work_dir / "training.json").read_text())
    found = backend_for("detectron2").predict(first, images_of(part))
    assert isinstance(found, pd.DataFrame)
    assert found.empty or found["score"].min() >= 0.5
    optimizer = {"name": "AdamW", "learning_rate": 2e-3, "clip_grad_norm": 5.0}
    train(work_dir, data_of(part), epochs=1, optimizer=optimizer)
    assert "work: trains anew: optimizer.learning_rate: 0.001 -> 0.002" in caplog.text
    assert first.weights.stat().st_mtime_ns != made


def test_what_a_recipe_says_of_predictions_is_followed_without_a_training(
    part: LabeledImages, tmp_path: Path
) -> None:
    recipe = tmp_path / "own.yaml"
    numbers = []
    for overlap in (0.7, 0.0):
        keys = f"_BASE_: {RECIPE}\nMODEL: {{ROI_HEADS: {{NMS_THRESH_TEST: {overlap}}}}}\n"
        recipe.write_text(keys)
        trained = train(tmp_path / "work", data_of(part), recipe, epochs=1, score_threshold=1e-3)
        numbers.append(len(backend_for("detectron2").predict(trained, images_of(part))))
    assert 0 < numbers[1] < numbers[0]
    assert len(lines_of(tmp_path / "work")) == 1, "it is not trained again"


def test_a_checkpoint_says_how_the_training_went(part: LabeledImages, tmp_path: Path) -> None:
    checkpoint = train(tmp_path / "work", data_of(part), epochs=2)
    facts = json.loads((checkpoint.folder / "checkpoint.json").read_text())
    assert facts["minutes_per_epoch"] > 0
    assert facts["images_per_second"] > 0
    assert 0 <= facts["waiting_share"] <= 1
    assert facts["peak_megabytes"] > 10
    assert [line["epoch"] for line in lines_of(tmp_path / "work")] == [1, 2]


def test_the_pictures_of_a_failing_batch_are_named(part: LabeledImages, tmp_path: Path) -> None:
    wild = {"name": "SGD", "learning_rate": 1e30}
    with pytest.raises(BackendError, match="the loss is no number at iteration") as caught:
        train(tmp_path / "work", data_of(part), optimizer=wild, schedule={"warmup": 0.0})
    named = json.loads((tmp_path / "work" / "failed_batch.json").read_text())
    assert len(named) == 2
    assert all(
        Path(name).parent == part.folder.path and name in str(caught.value) for name in named
    )
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_named_and_what_was_there_is_kept(
    part: LabeledImages, tmp_path: Path
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    checkpoint = train(tmp_path / "work", data_of(part), epochs=1)
    before = (checkpoint.folder / "checkpoint.json").read_text()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(BackendError, match=r"state\.pth: could not be written: No space left"):
            train(tmp_path / "work", data_of(part), epochs=2)
        with pytest.raises(BackendError, match="checkpoint: could not be written: No space left"):
            train(tmp_path / "other", data_of(part), epochs=1)
    assert (checkpoint.folder / "checkpoint.json").read_text() == before
    assert not list(tmp_path.glob("*/*unfinished*"))


def test_predicting_needs_the_folder_alone(part: LabeledImages, tmp_path: Path) -> None:
    checkpoint = train(tmp_path / "work", data_of(part), epochs=1)
    expected = backend_for("detectron2").predict(checkpoint, images_of(part))
    moved = Checkpoint((checkpoint.folder).rename(tmp_path / "elsewhere"))
    found = backend_for("detectron2").predict(moved, images_of(part))
    assert isinstance(found, pd.DataFrame)
    assert isinstance(expected, pd.DataFrame)
    pd.testing.assert_frame_equal(found, expected)
    assert np.isfinite(found["score"]).all()
    assert RECIPE.exists()
