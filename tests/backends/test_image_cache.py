"""Decoded pictures in memory, and pictures that cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from backends.loaded_trainings import samples_of
from backends.tiny_trainings import draw_pictures, train
from recycling.annotations import LabeledImages
from recycling.backends import BackendError

pytest.importorskip("torch")

SIDE = 16
N_BYTES = SIDE * SIDE * 3


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """Forty pictures of `N_BYTES` when decoded."""
    rng = np.random.default_rng(0)
    for number in range(40):
        picture = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    return [str(tmp_path / f"{number}.png") for number in range(40)]


def read(cache: Any, path: str, limit: int) -> Any:
    from recycling.backends.mmengine_backend.data.image_cache import decoded

    return cache.of_file(path, (), limit, lambda: decoded(path))


@pytest.fixture
def cache() -> Any:
    from recycling.backends.shared.image_cache import ImageCache

    return ImageCache()


def test_a_picture_is_decoded_once_where_there_is_room(cache: Any, paths: list[str]) -> None:
    first = [read(cache, path, 40 * N_BYTES) for path in paths]
    again = [read(cache, path, 40 * N_BYTES) for path in paths]
    assert all(image is other for image, other in zip(first, again, strict=True))


@pytest.mark.parametrize("n_images", [0, 3, 25])
def test_the_limit_holds_and_what_is_kept_is_found(
    cache: Any, paths: list[str], n_images: int
) -> None:
    rng = np.random.default_rng(1)
    for _ in range(3):
        for path in rng.permutation(paths):
            image = read(cache, path, n_images * N_BYTES + 1)
            np.testing.assert_array_equal(image, cv2.imread(path))
        assert len(cache.arrays) == n_images
        assert cache.n_bytes == n_images * N_BYTES


def test_a_changed_file_is_read_again(cache: Any, paths: list[str]) -> None:
    import os

    before = read(cache, paths[0], 40 * N_BYTES)
    cv2.imwrite(paths[0], np.zeros((SIDE, SIDE, 3), np.uint8))
    os.utime(paths[0], (1, 1))
    assert before.any()
    assert not read(cache, paths[0], 40 * N_BYTES).any()


def test_a_training_leaves_no_picture_in_memory(tmp_path: Path) -> None:
    from recycling.backends.mmengine_backend.data.image_cache import CACHE

    train("mmpretrain", draw_pictures(tmp_path / "pictures"), tmp_path / "run")
    assert not CACHE.arrays


@pytest.mark.parametrize(
    ("settings", "training", "testing"),
    [
        ({}, 512, 512),
        ({"cache_megabytes": 0}, 0, 0),
        ({"cache_megabytes": 90, "workers": 3}, 30, 90),
        ({"cache_megabytes": 90, "workers": 2, "early_stopping": {"patience": 1}}, 30, 30),
        ({"cache_megabytes": 96, "workers": 2, "devices": 2}, 24, 96),
    ],
)
def test_the_setting_is_divided_among_the_processes_that_read(
    settings: dict[str, object], training: int, testing: int, tmp_path: Path
) -> None:
    pictures = draw_pictures(tmp_path / "pictures")
    mixed = {"augmentation": ["mosaic"]}
    for number, more in enumerate(({}, mixed)):
        config, _ = samples_of("mmdet", pictures, tmp_path / str(number), **settings, **more)
        dataset = config.train_dataloader.dataset
        inner = dataset.get("dataset", dataset)
        assert inner.pipeline[0].cache_bytes == training * 2**20
        assert config.test_pipeline[0].cache_bytes == testing * 2**20


@pytest.mark.parametrize(("workers", "fault"), [(0, "gone"), (2, "gone"), (2, "no picture")])
def test_a_picture_that_cannot_be_read_is_named_in_one_line(
    workers: int, fault: str, tmp_path: Path
) -> None:
    pictures: LabeledImages = draw_pictures(tmp_path / "pictures")
    bad = tmp_path / "pictures" / "5.png"
    if fault == "gone":
        bad.unlink()
    else:
        bad.write_bytes(b"not a picture")
    with pytest.raises(BackendError) as error:
        train("mmpretrain", pictures, tmp_path / "run", workers=workers)
    said = {
        "gone": "No such file or directory; check the image folder",
        "no picture": "cannot be read as an image: not an image of a known format; "
        "run data_cleaning",
    }
    assert str(error.value) == f"{bad}: {said[fault]}"
