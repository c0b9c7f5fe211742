"""Which samples an epoch holds, and how often."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.loaded_trainings import samples_of, sha256
from backends.tiny_trainings import draw_pictures, train
from recycling.annotations import LabeledImages
from recycling.backends import BackendError
from recycling.backends.mmengine_backend import session

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def rare(tmp_path_factory: pytest.TempPathFactory) -> LabeledImages:
    """Eight pictures with a box each; two of them hold a disc, too; all are there twice."""
    return _without_discs(draw_pictures(tmp_path_factory.mktemp("pictures")), after=2)


def _without_discs(pictures: LabeledImages, after: int) -> LabeledImages:
    tables = pictures.annotations
    rows = tables.annotations
    kept = rows[(rows["category_id"] == 7) | (rows["image_id"] <= after)].reset_index(drop=True)
    return replace(pictures, annotations=replace(tables, annotations=kept))


def _held(data: Any, indices: Any) -> Counter[int]:
    from recycling.backends.mmengine_backend.data.samplers import classes_of

    classes = list(classes_of(data))
    return Counter(index for sample in indices for index in classes[sample])


def test_class_balanced_draws_each_class_as_often(rare: LabeledImages, tmp_path: Path) -> None:
    from recycling.backends.mmengine_backend.data.samplers import ClassBalancedSampler

    config, data = samples_of("mmpretrain", rare, tmp_path, sampler={"name": "class_balanced"})
    assert config.train_dataloader.sampler.type == "ClassBalancedSampler"
    sampler = ClassBalancedSampler(data, seed=0)
    assert len(sampler) == len(data) == 20
    drawn: list[int] = []
    for epoch in range(200):
        sampler.set_epoch(epoch)
        drawn += list(sampler)
    held = _held(data, drawn)
    assert held[0] / held[1] == pytest.approx(1, abs=0.1)
    assert set(drawn) == set(range(20)), "each sample is drawn some time"


def test_processes_share_one_draw(
    rare: LabeledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmengine.dataset import sampler as library

    from recycling.backends.mmengine_backend.data.samplers import ClassBalancedSampler

    _, data = samples_of("mmseg", rare, tmp_path, sampler={"name": "class_balanced"})
    alone = list(ClassBalancedSampler(data, seed=3))
    parts = []
    for rank in range(2):
        monkeypatch.setattr(library, "get_dist_info", lambda rank=rank: (rank, 2))
        parts.append(list(ClassBalancedSampler(data, seed=3)))
    assert [index for pair in zip(*parts, strict=True) for index in pair] == alone


@pytest.mark.parametrize("backend", ["mmpretrain", "mmdet", "mmseg"])
def test_oversampling_makes_a_rare_category_as_frequent(
    backend: str, rare: LabeledImages, tmp_path: Path
) -> None:
    _, data = samples_of(backend, rare, tmp_path, sampler={"name": "oversample"})
    held = _held(data, range(len(data)))
    # Where pictures hold both, copies of the rare category bring the frequent one with them.
    assert held == ({0: 16, 1: 16} if backend == "mmpretrain" else _both(backend))


def _both(backend: str) -> dict[int, int]:
    box, disc = (1, 2) if backend == "mmseg" else (0, 1)
    return {box: 12 + 16, disc: 16}


def test_copies_are_those_asked_for(rare: LabeledImages, tmp_path: Path) -> None:
    sampler = {"name": "oversample", "copies": {"disc": 3}}
    _, data = samples_of("mmdet", rare, tmp_path, sampler=sampler)
    assert len(data) == 12 + 4 * 3


def test_repeat_factors_are_those_of_the_paper(rare: LabeledImages, tmp_path: Path) -> None:
    """A quarter of the images hold a disc: with a threshold of 1 the factor is sqrt(1 / 0.25)."""
    sampler = {"name": "repeat_factor", "threshold": 1.0}
    _, data = samples_of("mmdet", rare, tmp_path, sampler=sampler)
    assert len(data) == 12 + 4 * 2


def test_what_a_repeat_factor_has_behind_the_point_is_drawn(
    rare: LabeledImages, tmp_path: Path
) -> None:
    """With a threshold of 0.36 the factor is 1.2: of the four images with a disc 0.8 more."""
    from mmengine.registry import DATASETS

    sampler = {"name": "repeat_factor", "threshold": 0.36}
    config, data = samples_of("mmdet", rare, tmp_path, sampler=sampler, seed=0)
    dataset = config.train_dataloader.dataset
    with session.library("mmdet"):
        lengths = [len(DATASETS.build({**dataset, "seed": seed})) for seed in range(24)]
    assert lengths[0] == len(data)
    assert min(lengths) >= 16
    assert np.mean(lengths) == pytest.approx(16.8, abs=0.5)


def test_copies_are_mixed_like_any_sample(rare: LabeledImages, tmp_path: Path) -> None:
    sampler = {"name": "oversample", "copies": {"disc": 3}}
    config, data = samples_of("mmdet", rare, tmp_path, sampler=sampler, augmentation=["mosaic"])
    assert len(data) == 12 + 4 * 3
    outer = config.train_dataloader.dataset
    assert (outer.type, outer.dataset.type) == ("MultiImageMixDataset", "Copies")
    assert tuple(data[len(data) - 1]["inputs"].shape) == (3, 64, 64)


@pytest.mark.parametrize(
    ("backend", "sampler", "iterations"),
    [
        pytest.param(
            "mmdet",
            {"name": "oversample", "copies": {"disc": 3}},
            6,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "mmseg",
            {"name": "repeat_factor", "threshold": 1.0},
            5,
            marks=pytest.mark.slow,
        ),
        ("mmpretrain", {"name": "class_balanced"}, 5),
    ],
)
def test_a_training_is_as_long_as_its_epoch_and_the_same_again(
    backend: str, sampler: dict[str, Any], iterations: int, rare: LabeledImages, tmp_path: Path
) -> None:
    import json

    first = train(backend, rare, tmp_path / "first", sampler=sampler)
    again = train(backend, rare, tmp_path / "again", sampler=sampler, workers=0)
    assert sha256(first) == sha256(again)
    facts = json.loads((first.folder / "checkpoint.json").read_text())
    assert facts["iterations"] == iterations
    config = (first.folder / "config.json").read_text()
    assert f'"end": {iterations}' in config, "the schedule ends with the training"


@pytest.mark.parametrize(
    ("sampler", "said"),
    [
        ({"name": "class_balanced"}, "no training sample holds disc"),
        ({"name": "oversample"}, "no training sample holds disc"),
        ({"name": "oversample", "copies": {"disc": 2}}, "no training sample holds disc"),
        ({"name": "oversample", "copies": {"disk": 2}}, "no category 'disk'; did you mean disc?"),
    ],
)
@pytest.mark.parametrize("backend", ["mmpretrain", "mmdet", "mmseg"])
def test_a_category_that_cannot_be_drawn_is_one_line(
    backend: str, sampler: dict[str, Any], said: str, rare: LabeledImages, tmp_path: Path
) -> None:
    none = _without_discs(rare, after=0)
    with pytest.raises(BackendError, match=said) as error:
        samples_of(backend, none, tmp_path, sampler=sampler)
    assert "\n" not in str(error.value)
