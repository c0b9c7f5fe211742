"""A step that fails inside a library is one line, with the batch and the account beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backends import rectangles
from backends.tiny_trainings import train
from disk import full_disk
from recycling.annotations import LabeledImages
from recycling.backends import BackendError
from recycling.backends.shared.failing_step import Step, enough_memory, explained_step
from recycling.backends.shared.training_log import add_line, failing_loss

torch = pytest.importorskip("torch")
CONSTANT = {"name": "constant", "warmup": 0}


@pytest.mark.parametrize(
    ("backend", "settings", "message"),
    [
        (
            "mmseg",
            {"batch_size": 1},
            r"run: the training fails at iteration 1 of 16: batch normalisation has one value a "
            r"channel in a batch of 1 image; set batch_size to 2 or more .* the batch is \S+\.png ",
        ),
        (
            "mmdet",
            {"optimizer": {"name": "AdamW", "learning_rate": 1e9}, "schedule": CONSTANT},
            r"run: the training fails at iteration 3 of 4: the weights are no longer numbers; "
            r"lower optimizer\.learning_rate or set optimizer\.clip_grad_norm; the batch is \S+, ",
        ),
    ],
    ids=["a batch of one", "no number in an assignment"],
)
def test_a_failing_step_is_one_line_that_names_cause_and_batch(
    backend: str,
    settings: dict[str, Any],
    message: str,
    pictures: LabeledImages,
    tmp_path: Path,
) -> None:
    with pytest.raises(BackendError, match=message) as caught:
        train(backend, pictures, tmp_path, **settings)
    assert "\n" not in str(caught.value)
    batch = json.loads((tmp_path / "run/failed_batch.json").read_text())
    assert len(batch) == settings.get("batch_size", 4)
    assert all(image in str(caught.value) for image in batch)
    assert "Traceback" in (tmp_path / "run/failed_step.txt").read_text()
    assert not (tmp_path / "run/checkpoint").exists()


def test_a_failing_step_of_detectron2_is_one_line_too(tmp_path: Path) -> None:
    pytest.importorskip("detectron2")
    part = rectangles.rectangles(tmp_path / "pictures", seed=0, n_images=2)
    message = r"work: the training fails at iteration 1 of \d+: batch normalisation has one value"
    with pytest.raises(BackendError, match=message) as caught:
        rectangles.train(tmp_path / "work", rectangles.data_of(part), batch_size=1, image_size=32)
    assert "\n" not in str(caught.value)
    assert len(json.loads((tmp_path / "work/failed_batch.json").read_text())) == 1


def test_a_prediction_without_enough_memory_is_one_line_with_the_remedy() -> None:
    with (
        pytest.raises(BackendError, match=r"^yolox: out of memory while predicting \(") as caught,
        enough_memory(Path("yolox")),
    ):
        torch.empty(2**58)
    assert "\n" not in str(caught.value)
    assert "CUDA_VISIBLE_DEVICES= " in str(caught.value)
    assert "batch_size" in str(caught.value)


def test_what_is_not_for_want_of_memory_stays_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"), enough_memory(Path("yolox")):
        raise RuntimeError("size mismatch")


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
              RuntimeError("CUDA error: out of memory")]
)  # fmt: skip
def test_a_training_without_enough_memory_is_one_line_with_the_remedy(
    error: Exception, tmp_path: Path
) -> None:
    with pytest.raises(BackendError) as caught, explained_step(Step(tmp_path / "yolox")):
        raise error
    assert "out of memory; lower batch_size (and raise accumulate by as much)" in str(caught.value)
    assert "precision: bf16" in str(caught.value)


def test_a_full_disk_is_one_line_that_names_no_file_that_is_not_there(tmp_path: Path) -> None:
    step = Step(tmp_path)
    step.images = ["1.png"]
    with full_disk(), pytest.raises(BackendError) as caught, explained_step(step):
        add_line(tmp_path / "metrics.jsonl", {"epoch": 1})
    message = str(caught.value)
    assert "File too large; make room and start again: it goes on after its last" in message
    assert message.endswith("the batch is 1.png")
    with full_disk():
        failed = failing_loss(tmp_path, "nan", 1, 4, ["1.png"])
    assert str(failed).endswith("the last batch is 1.png")


def test_weights_that_cannot_be_looked_at_do_not_hide_what_failed(tmp_path: Path) -> None:
    step = Step(tmp_path)
    # As on a GPU after a failing kernel, nothing can be read.
    step.network = torch.nn.Linear(2, 2, device="meta")
    with pytest.raises(BackendError, match="device-side assert triggered"), explained_step(step):
        raise RuntimeError("CUDA error: device-side assert triggered")
