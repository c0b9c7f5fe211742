"""Snapshots of a training are models of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from backends.tiny_trainings import draw_pictures, images_of, model_of, train
from disk import full_disk
from recycling.backends import BackendError, Checkpoint, Model, backend_for, take_snapshot
from recycling.backends.shared.checkpoint_folder import Trained, write_checkpoint
from recycling.backends.shared.snapshots import Snapshots

torch = pytest.importorskip("torch")

CYCLES: dict[str, Any] = {
    "snapshots": 2,
    "schedule": {"name": "cosine_restarts", "restarts": 1, "warmup": 0.0},
}


def test_a_snapshot_is_what_a_training_of_one_cycle_would_be(tmp_path: Path) -> None:
    pictures = draw_pictures(tmp_path / "pictures")
    one_cycle = {"epochs": 2, "schedule": {"name": "cosine", "warmup": 0.0}}
    half = train("mmpretrain", pictures, tmp_path / "half", **one_cycle)
    whole = train("mmpretrain", pictures, tmp_path / "whole", epochs=4, **CYCLES)
    snapshot = take_snapshot(whole, snapshot_of(epochs=4), tmp_path / "snapshot")
    ours, theirs = (torch.load(each.weights, weights_only=True) for each in (snapshot, half))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    predictions = [
        backend_for("mmpretrain").predict(each, images_of(pictures)) for each in (snapshot, half)
    ]
    pd.testing.assert_frame_equal(*predictions)
    facts = json.loads((snapshot.folder / "checkpoint.json").read_text())
    assert facts["model"]["snapshot"] == 1


def snapshot_of(**settings: Any) -> Model:
    """The settings of the first snapshot of a tiny training."""
    own = model_of("mmpretrain", **CYCLES, **settings).model_dump()
    return Model.model_validate({**own, "snapshot": 1, "variant_of": "tiny"})


def test_a_snapshot_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    checkpoint = train("mmpretrain", draw_pictures(tmp_path / "pictures"), tmp_path, epochs=1)
    with pytest.raises(BackendError, match=r"snapshot1.pth: there is no such snapshot; train"):
        take_snapshot(checkpoint, snapshot_of(), tmp_path / "snapshot")


@pytest.fixture
def training(tmp_path: Path) -> Checkpoint:
    """What a training of two cycles leaves."""
    trained = Trained(model_of("mmpretrain", **CYCLES), [], {})
    weights = {"weight": torch.zeros(1_000_000)}
    return write_checkpoint(tmp_path / "training", trained, weights, "config.json", "", [weights])


def test_no_room_for_a_snapshot_is_one_line(training: Checkpoint, tmp_path: Path) -> None:
    said = r"snapshot: could not be written: File too large; .*"
    with full_disk(), pytest.raises(BackendError, match=said):
        take_snapshot(training, snapshot_of(), tmp_path / "snapshot")
    assert list(tmp_path.iterdir()) == [training.folder]


def test_cycles_begin_after_the_warm_up() -> None:
    model = model_of("mmpretrain", **{**CYCLES, "schedule": {**CYCLES["schedule"], "warmup": 0.5}})
    assert Snapshots(model, 100).ends == [75]


def test_more_cycles_than_iterations_are_one_line_before_the_first_step(tmp_path: Path) -> None:
    cycles = {"snapshots": 5, "schedule": {"name": "cosine_restarts", "restarts": 4, "warmup": 0.5}}
    with pytest.raises(BackendError, match=r"^model 'small': snapshots is 5, but after the warm-up "
                       "there are 2 iterations; lower snapshots or raise epochs$"):  # fmt: skip
        train("mmpretrain", draw_pictures(tmp_path / "pictures"), tmp_path, batch_size=8, **cycles)
    assert not (tmp_path / "run/metrics.jsonl").exists()
