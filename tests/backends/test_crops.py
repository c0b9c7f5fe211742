"""What a classifier sees of a picture: the square around a box."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("mmpretrain")

Box = tuple[float, float, float, float]
Crop = Callable[..., NDArray[np.uint8]]
PLACES: list[Box] = [
    (120.5, 91.2, 480.9, 470.3),  # in the middle, wide margins
    (0, 0, 639, 130),  # along an edge: the square is beyond the picture on three sides
    (400, 300, 641, 483),  # up to the last pixel of an odd width and height
    (3, 5, 641, 483),  # nearly all of the picture
]


@pytest.fixture
def crop(tmp_path: Path) -> Crop:
    """Cuts a box out of a picture."""
    from recycling.backends.mmengine_backend import session

    with session.library("mmpretrain"):
        from recycling.backends.mmengine_backend.data.loading import ReadCrop

    def cut(picture: NDArray[np.uint8], box: Box, size: int) -> NDArray[np.uint8]:
        path = tmp_path / "picture.png"
        cv2.imwrite(str(path), picture)
        results = ReadCrop(size=size, cache_bytes=0)({"img_path": str(path), "box": box})
        assert results["img_shape"] == results["ori_shape"] == (size, size)
        found: NDArray[np.uint8] = results["img"]
        return found

    return cut


def photograph() -> NDArray[np.uint8]:
    """Smooth shades and edges a few pixels wide, 641 x 483 pixels."""
    rng = np.random.default_rng(0)
    picture = np.zeros((483, 641, 3))
    for side in (5, 30):
        noise = rng.uniform(0, 127, (side, side, 3))
        picture += cv2.resize(noise, (641, 483), interpolation=cv2.INTER_LINEAR)
    return picture.astype(np.uint8)


def averaged(picture: NDArray[np.uint8], box: Box, size: int) -> NDArray[Any]:
    """The crop, slowly: the mean of 8 x 8 places in each of its pixels."""
    n = 8
    side = max(box[2] - box[0], box[3] - box[1]) * 1.2
    steps = (np.arange(size * n) + 0.5) / (size * n) * side - side / 2 - 0.5
    x, y = np.meshgrid(steps + (box[0] + box[2]) / 2, steps + (box[1] + box[3]) / 2)
    found = cv2.remap(
        picture.astype(np.float32),
        x.astype(np.float32),
        y.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return found.reshape(size, n, size, n, 3).mean(axis=(1, 3))


@pytest.mark.parametrize("size", [128, 67, 32])
@pytest.mark.parametrize("box", PLACES)
def test_a_crop_that_is_shrunk_shows_the_mean_of_what_each_pixel_covers(
    box: Box, size: int, crop: Crop
) -> None:
    picture = photograph()
    expected = averaged(picture, box, size)
    error = np.abs(crop(picture, box, size) - expected).mean()
    # Half a pixel to the side would be half of what two neighbours differ by.
    assert error < 0.2 * np.abs(np.diff(expected, axis=1)).mean()


@pytest.mark.parametrize("shrink", [2, 2.7, 4, 5.9, 8, 13])
def test_no_pixel_is_skipped_however_small_the_crop(shrink: float, crop: Crop) -> None:
    stripes = np.zeros((480, 480, 3), np.uint8)
    stripes[:, ::2] = 200
    side = 480 / 1.2
    box = (40.0, 40.0, 40 + side, 40 + side)
    found = crop(stripes, box, round(480 / shrink)).astype(float)
    assert np.abs(found - 100).max() <= 1


@pytest.mark.parametrize("size", [200, 64])
def test_a_crop_of_the_mirrored_picture_is_the_crop_mirrored(size: int, crop: Crop) -> None:
    picture = photograph()
    x_min, y_min, x_max, y_max = box = (100.0, 80.0, 520.0, 400.0)
    mirrored = crop(picture[:, ::-1], (641 - x_max, y_min, 641 - x_min, y_max), size)
    error = np.abs(mirrored[:, ::-1].astype(int) - crop(picture, box, size))
    assert error.mean() < 0.5


def test_beyond_the_edge_the_last_pixels_repeat(crop: Crop) -> None:
    picture = np.full((300, 300, 3), 50, np.uint8)
    picture[:16] = 250
    found = crop(picture, (0, 0, 300, 300), 90)
    # A twelfth of the square is above the picture.
    assert (found[:7] == 250).all()
    assert (found[13:] == 50).all()


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (299, 199, 300, 200), (10.2, 20.7, 10.9, 21.1)])
def test_a_box_of_a_pixel_is_enlarged(box: Box, crop: Crop) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    assert crop(picture, box, 32).shape == (32, 32, 3)


@pytest.mark.parametrize("shape", [(1, 900), (900, 1), (1, 1), (5, 3000)])
def test_a_picture_of_few_pixels_has_a_crop(shape: tuple[int, int], crop: Crop) -> None:
    picture = np.full((*shape, 3), 77, np.uint8)
    assert (crop(picture, (0, 0, shape[1], shape[0]), 24) == 77).all()


def read_all(folder: Path, cache_bytes: int) -> list[NDArray[np.uint8]]:
    """Two crops of each of six pictures of 30,000 bytes, as a classifier reads them."""
    from recycling.backends.mmengine_backend.data.loading import ReadCrop

    folder.mkdir(exist_ok=True)
    reader = ReadCrop(size=20, cache_bytes=cache_bytes)
    crops = []
    for number in range(6):
        path = folder / f"{number}.png"
        if not path.exists():
            rng = np.random.default_rng(number)
            cv2.imwrite(str(path), rng.integers(0, 256, (100, 100, 3), dtype=np.uint8))
        for box in ([10, 10, 40, 40], [50, 20, 90, 70]):
            crops.append(reader({"img_path": str(path), "box": box})["img"])
    return crops


@pytest.fixture
def cache() -> Any:
    """That of this process, with nothing in it."""
    from recycling.backends.mmengine_backend.data.image_cache import CACHE

    CACHE.clear()
    return CACHE


def test_a_crop_is_cut_once_where_there_is_room_and_can_be_written_to(
    tmp_path: Path, cache: Any
) -> None:
    first = read_all(tmp_path, 2**20)
    expected = [crop.copy() for crop in first]
    kept = dict(cache.arrays)
    for crop in first:
        crop[:] = 0
    again = read_all(tmp_path, 2**20)
    assert all(cache.arrays[key] is crop for key, crop in kept.items())
    for found, other in zip(again, expected, strict=True):
        np.testing.assert_array_equal(found, other)


@pytest.mark.parametrize("limit", [0, 1000, 14_400, 45_000, 2**20])
def test_crops_keep_to_the_limit(limit: int, tmp_path: Path, cache: Any) -> None:
    for _ in range(3):
        read_all(tmp_path, limit)
        assert cache.n_bytes == min(limit // 1200, 12) * 1200


def test_a_crop_of_a_changed_picture_is_cut_again(tmp_path: Path, cache: Any) -> None:
    assert read_all(tmp_path, 2**20)[0].any()
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((100, 100, 3), np.uint8))
    os.utime(tmp_path / "0.png", (1, 1))
    assert not read_all(tmp_path, 2**20)[0].any()
