"""Decoded pictures in memory, and pictures that cannot be read."""

from __future__ import annotations

from pathlib import Path

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


def test_a_picture_is_decoded_once_where_there_is_room(paths: list[str]) -> None:
    from recycling.backends.mmengine_backend.data.image_cache import ImageCache

    cache = ImageCache()
    first = [cache.read(path, 40 * N_BYTES) for path in paths]
    again = [cache.read(path, 40 * N_BYTES) for path in paths]
    assert all(one is other for one, other in zip(first, again, strict=True))
    assert (cache.n_reads, cache.n_hits) == (80, 40)


def test_the_limit_holds_and_what_is_counted_is_what_is_kept(paths: list[str]) -> None:
    from recycling.backends.mmengine_backend.data.image_cache import ImageCache

    cache = ImageCache()
    rng = np.random.default_rng(1)
    for limit in (10 * N_BYTES, 25 * N_BYTES, 3 * N_BYTES, 0, 7 * N_BYTES + 1):
        for path in rng.choice(paths, 100):
            cache.read(path, limit)
            assert cache.n_bytes <= limit
            assert cache.n_bytes == sum(picture.nbytes for picture, _ in cache.images.values())


def test_zero_keeps_nothing(paths: list[str]) -> None:
    from recycling.backends.mmengine_backend.data.image_cache import ImageCache

    cache = ImageCache()
    for _ in range(2):
        for path in paths:
            np.testing.assert_array_equal(cache.read(path, 0), cv2.imread(path))
    assert (cache.n_hits, len(cache.images), cache.n_bytes) == (0, 0, 0)


def test_a_cache_for_half_of_the_pictures_finds_half_of_them(paths: list[str]) -> None:
    from recycling.backends.mmengine_backend.data.image_cache import ImageCache

    cache = ImageCache()
    rng = np.random.default_rng(0)
    for _ in range(30):
        for path in rng.permutation(paths):
            cache.read(path, 20 * N_BYTES)
    assert cache.n_hits == 29 * 20


def test_pictures_that_are_no_longer_asked_for_make_room(paths: list[str]) -> None:
    from recycling.backends.mmengine_backend.data.image_cache import ImageCache

    cache = ImageCache()
    for path in paths[:20]:
        cache.read(path, 20 * N_BYTES)
    for _ in range(12):
        for path in paths[20:]:
            cache.read(path, 20 * N_BYTES)
    assert set(paths[20:]) == {path for path, _ in cache.images}


def test_a_changed_file_is_read_again(paths: list[str]) -> None:
    import os

    from recycling.backends.mmengine_backend.data.image_cache import ImageCache

    cache = ImageCache()
    before = cache.read(paths[0], 40 * N_BYTES)
    cv2.imwrite(paths[0], np.zeros((SIDE, SIDE, 3), np.uint8))
    os.utime(paths[0], (1, 1))
    assert before.any()
    assert not cache.read(paths[0], 40 * N_BYTES).any()


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
    said = {"gone": "No such file or directory; check the image folder"}.get(
        fault, "not an image that can be read; run data_cleaning"
    )
    assert str(error.value) == f"{bad}: {said}"
