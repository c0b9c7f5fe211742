"""How many images an epoch takes, and pseudo-labels in the first part of a training."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backends.loaded_trainings import sha256
from backends.tiny_trainings import draw_pictures, model_of, write_recipe
from recycling.annotations import LabeledImages
from recycling.backends import BackendError, Checkpoint, TrainingData, backend_for
from recycling.backends.mmengine_backend import session

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def labeled(tmp_path_factory: pytest.TempPathFactory) -> LabeledImages:
    return draw_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def pseudo(labeled: LabeledImages) -> LabeledImages:
    """Four of the pictures, as if models had labelled them."""
    whole = labeled.annotations.of_images([1, 2, 3, 4])
    return replace(
        labeled, annotations=replace(whole, annotations=whole.annotations.assign(source="pseudo"))
    )


def data_of(*parts: LabeledImages, images_an_epoch: int | None = None) -> TrainingData:
    return TrainingData(
        parts, parts[0], parts[0].annotations.categories, images_an_epoch=images_an_epoch
    )


def train(
    backend: str, data: TrainingData, folder: Path, run: str = "run", **settings: Any
) -> Checkpoint:
    folder.mkdir(parents=True, exist_ok=True)
    model, recipe = model_of(backend, **settings), write_recipe(folder, backend)
    return backend_for(backend).train(model, recipe, data, folder / run)


def epochs_of(backend: str, data: TrainingData, folder: Path, **settings: Any) -> Any:
    """The data set whose epochs a training takes, below what mixes images."""
    from mmengine.registry import DATASETS

    from recycling.backends.mmengine_backend.data.training_set import write_training_set
    from recycling.backends.mmengine_backend.resolve import resolve

    folder.mkdir(exist_ok=True)
    model = model_of(backend, **settings)
    with session.library(backend):
        training_set = write_training_set(model.task, data, folder / "data")
        config = resolve(model, write_recipe(folder, backend), training_set, folder)
        dataset = config.train_dataloader.dataset
        while dataset.type != "SamplesByEpoch":
            dataset = dataset.dataset
        return DATASETS.build(dataset)


@pytest.mark.parametrize("n", [5, 12, 27])
def test_images_are_gone_through_again_and_again(
    n: int, labeled: LabeledImages, tmp_path: Path
) -> None:
    data = epochs_of("mmdet", data_of(labeled, images_an_epoch=n), tmp_path, epochs=8)
    assert len(data) == n
    stream = [sample for epoch in range(8) for sample in data.samples(epoch).tolist()]
    for first in range(0, len(stream) - 8, 8):
        assert sorted(stream[first : first + 8]) == list(range(8)), "each once in a round"
    assert stream[:8] != stream[8:16], "in another order each time"
    again = epochs_of("mmdet", data_of(labeled, images_an_epoch=n), tmp_path / "b", epochs=8)
    assert again.samples(7).tolist() == stream[7 * n : 8 * n], "whatever was drawn before"


@pytest.mark.parametrize("backend", ["mmpretrain", "mmdet", "mmseg"])
def test_pseudo_labels_have_a_part_in_the_first_epochs_only(
    backend: str, labeled: LabeledImages, pseudo: LabeledImages, tmp_path: Path
) -> None:
    data = epochs_of(backend, data_of(pseudo, labeled), tmp_path, epochs=5, pseudo_until=0.5)
    n = 24 if backend == "mmpretrain" else 12
    n_pseudo = n // 3
    assert len(data) == n, "an epoch is as long as ever"
    for epoch in range(3):
        assert sorted(data.samples(epoch).tolist()) == list(range(n))
    late = [sample for epoch in (3, 4) for sample in data.samples(epoch).tolist()]
    assert min(late) == n_pseudo
    assert set(Counter(late).values()) == {3}, "labelled images are seen alike"


@pytest.mark.parametrize(
    "sampler",
    [
        {"name": "class_balanced"},
        {"name": "oversample", "copies": {"disc": 3}},
        {"name": "repeat_factor", "threshold": 1.0},
    ],
    ids=lambda sampler: str(sampler["name"]),
)
@pytest.mark.parametrize("augmentation", [None, ["mosaic"]], ids=["plain", "mosaic"])
def test_samplers_go_on_working(
    sampler: dict[str, Any],
    augmentation: list[str] | None,
    labeled: LabeledImages,
    pseudo: LabeledImages,
    tmp_path: Path,
) -> None:
    """Of the labelled pictures only the first two hold a disc; so do all pseudo-labelled ones."""
    rows = labeled.annotations.annotations
    rows = rows[(rows["category_id"] == 7) | (rows["image_id"] <= 2)].reset_index(drop=True)
    few = replace(labeled, annotations=replace(labeled.annotations, annotations=rows))
    data = epochs_of(
        "mmdet",
        data_of(few, pseudo),
        tmp_path,
        epochs=400,
        pseudo_until=0.5,
        sampler=sampler,
        augmentation=augmentation,
    )
    originals = getattr(data.dataset, "repeat_indices", range(12))
    late = [originals[sample] for epoch in range(200, 400) for sample in data.samples(epoch)]
    assert set(late) == set(range(8))
    seen = Counter(late)
    often = (seen[0] + seen[1]) / 2 / (sum(seen[number] for number in range(2, 8)) / 6)
    # Half of the draws are of discs, on two pictures, half of boxes, on all eight; three copies;
    # a factor of sqrt(1 / 0.5), with which one of the two pictures is drawn a second time.
    expected = {"class_balanced": 5, "oversample": 3, "repeat_factor": 1.5}[sampler["name"]]
    assert often == pytest.approx(expected, rel=0.15)
    early = [originals[sample] for sample in data.samples(0)]
    assert any(sample >= 8 for sample in early)


def test_without_a_labelled_image_there_is_no_last_part(
    pseudo: LabeledImages, tmp_path: Path
) -> None:
    with pytest.raises(BackendError, match=r"pseudo_until is 0.5, but there is no labelled image"):
        epochs_of("mmdet", data_of(pseudo), tmp_path, epochs=2, pseudo_until=0.5)


def test_no_image_an_epoch_is_refused(labeled: LabeledImages) -> None:
    with pytest.raises(BackendError, match="images_an_epoch is 0; give 1 or more"):
        data_of(labeled, images_an_epoch=0)


def test_the_samples_of_both_parts_are_counted(
    labeled: LabeledImages, pseudo: LabeledImages
) -> None:
    data = data_of(labeled, pseudo)
    assert [data.n_samples(task) for task in ("cls", "det", "seg")] == [24, 12, 12]
    rows = pseudo.annotations.annotations
    rows = rows.assign(iscrowd=rows["image_id"] == 1)
    some_ignored = replace(pseudo, annotations=replace(pseudo.annotations, annotations=rows))
    assert data_of(labeled, some_ignored).n_samples("cls") == 22


def rates(checkpoint: Checkpoint) -> list[float]:
    lines = (checkpoint.folder.parent / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["learning_rate"] for line in lines]


def iterations(checkpoint: Checkpoint) -> int:
    return int(json.loads((checkpoint.folder / "checkpoint.json").read_text())["iterations"])


def test_a_twin_has_the_same_steps_and_learning_rates(
    labeled: LabeledImages, pseudo: LabeledImages, tmp_path: Path
) -> None:
    student = train("mmdet", data_of(labeled, pseudo), tmp_path, "student", epochs=3)
    twin = train("mmdet", data_of(labeled, images_an_epoch=12), tmp_path, "twin", epochs=3)
    alone = train("mmdet", data_of(labeled), tmp_path, "alone", epochs=3)
    assert iterations(student) == iterations(twin) == 9
    assert rates(student) == rates(twin)
    assert iterations(alone) == 6


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_stopped_training_goes_on_with_the_images_that_were_next(
    workers: int,
    labeled: LabeledImages,
    pseudo: LabeledImages,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from mmengine.runner import EpochBasedTrainLoop

    data = data_of(labeled, pseudo, images_an_epoch=10)
    settings: dict[str, Any] = {"epochs": 4, "pseudo_until": 0.5, "workers": workers}
    whole = train("mmdet", data, tmp_path, "whole", **settings)
    run_epoch = EpochBasedTrainLoop.run_epoch

    def stop_in_the_third(loop: Any) -> None:
        if loop.epoch == 2:
            raise KeyboardInterrupt
        run_epoch(loop)

    with monkeypatch.context() as patch:
        patch.setattr(EpochBasedTrainLoop, "run_epoch", stop_in_the_third)
        with pytest.raises(KeyboardInterrupt):
            train("mmdet", data, tmp_path, "parts", **settings)
    assert sha256(train("mmdet", data, tmp_path, "parts", **settings)) == sha256(whole)
    with caplog.at_level("WARNING"):
        train("mmdet", replace(data, images_an_epoch=8), tmp_path, "parts", **settings)
    assert "parts: trains anew: images_an_epoch: 10 -> 8" in caplog.text
