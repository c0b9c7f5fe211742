"""Images reach a network at its size, decoded whole or at a smaller scale; so do their labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from recycling.annotations.images.decoding import halved, read_image
from recycling.backends.mmengine_backend import session
from recycling.backends.shared.fitting import fitted, seen_size

SIZES = [(480, 640), (481, 643), (1023, 515), (2049, 300), (100, 90), (65, 9)]
"""Height and width: whole multiples, and not; smaller than the network's size; thin."""


def clouds(height: int, width: int) -> np.ndarray:
    """(H, W, 3) RGB: soft shapes, as of a photograph."""
    rng = np.random.default_rng(height * width)
    noise = rng.uniform(0, 255, (8, 8, 3)).astype(np.float32)
    large = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return large.clip(0, 255).astype(np.uint8)


def write(path: Path, image: np.ndarray, turn: int | None = None) -> Path:
    exif = Image.Exif()
    if turn is not None:
        exif[0x0112] = turn
    Image.fromarray(image).save(path, exif=exif, quality=95)
    return path


def read(path: Path, **settings: Any) -> dict[str, Any]:
    with session.library("mmdet"):
        from recycling.backends.mmengine_backend.data.loading import ReadImage

        return ReadImage(cache_bytes=0, **settings)({"img_path": str(path)})


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("turn", [None, 6])
def test_a_jpeg_decoded_at_a_smaller_scale_is_the_same_image(tmp_path, size, turn):
    path = write(tmp_path / "a.jpg", clouds(*size), turn)
    whole, smaller = read(path, side=96), read(path, side=96, smaller=True)
    shape = size if turn is None else size[::-1]
    assert whole["ori_shape"] == smaller["ori_shape"] == shape
    assert whole["img"].shape[:2] == smaller["img"].shape[:2] == seen_size(*shape, 96)
    assert whole["scale_factor"] == smaller["scale_factor"]
    assert np.abs(whole["img"].astype(int) - smaller["img"]).mean() < 1


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_an_image_in_memory_is_seen_as_its_file(tmp_path, ending):
    path = write(tmp_path / f"a.{ending}", clouds(481, 643))
    pixels = read_image(path)
    with session.library("mmdet"):
        from recycling.backends.mmengine_backend.data.loading import ReadImage

        seen = ReadImage(side=96)({"img_path": str(path), "pixels": pixels})
    of_file = read(path, side=96)
    np.testing.assert_array_equal(seen["img"], of_file["img"])
    assert seen["ori_shape"] == of_file["ori_shape"] == (481, 643)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("smaller", [False, True])
def test_what_an_image_shows_stays_where_its_box_is(tmp_path, size, smaller):
    height, width = size
    image = np.zeros((height, width, 3), np.uint8)
    top, left, low, right = height // 2, width // 2, int(height * 0.9), int(width * 0.9)
    image[top:low, left:right] = 255
    path = write(tmp_path / "a.jpg", image)
    seen = read(path, side=96, smaller=smaller)
    weight = seen["img"][..., 0].astype(float) / 255
    rows, columns = np.indices(weight.shape) + 0.5
    scale_x, scale_y = seen["scale_factor"]
    # The middle of the square, and its area, by its pixels and by its box.
    assert (rows * weight).sum() / weight.sum() == pytest.approx((top + low) / 2 * scale_y, abs=0.3)
    assert (columns * weight).sum() / weight.sum() == pytest.approx(
        (left + right) / 2 * scale_x, abs=0.3
    )
    area = (low - top) * (right - left) * scale_x * scale_y
    assert weight.sum() == pytest.approx(area, rel=0.12)


def test_every_pixel_counts_where_an_image_becomes_much_smaller():
    image = np.zeros((512, 512, 3), np.uint8)
    image[::2] = 255  # rows that interpolation of the nearest pixels would all take, or all skip
    assert fitted(image, 64).std() < 2
    assert fitted(image, 64).mean() == pytest.approx(127.5, abs=1)


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1)])
def test_a_very_thin_image_is_seen_a_pixel_thin(size):
    seen = fitted(np.full((*size, 3), 200, np.uint8), 512)
    assert max(seen.shape[:2]) == 512
    assert min(seen.shape[:2]) == 1
    assert np.unique(seen).tolist() == [200]


def test_an_image_that_is_not_twice_as_large_is_interpolated_as_ever():
    image = clouds(150, 180)
    expected = cv2.resize(image, (96, 80), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(fitted(image, 96), expected)


def test_halves_of_a_png_are_those_of_its_pixels(tmp_path):
    image = clouds(50, 61)
    path = write(tmp_path / "a.png", image)
    np.testing.assert_array_equal(read_image(path, halvings=2), halved(image, 2))


def test_boxes_follow_as_those_of_the_library_do_and_masks_by_the_pixels_centres():
    with session.library("mmdet"):
        from mmdet.datasets.transforms import Resize
        from mmdet.structures.bbox import HorizontalBoxes
        from mmdet.structures.mask import BitmapMasks

        from recycling.backends.mmengine_backend.data.loading import ScaleLabels

        image = clouds(150, 181)
        mask = (image[..., 0] > 127).astype(np.uint8)
        boxes = torch.tensor([[10.0, 20, 50, 60], [100, 100, 200, 160]])

        def labels() -> dict[str, Any]:
            return {
                "gt_bboxes": HorizontalBoxes(boxes.clone()),
                "gt_masks": BitmapMasks([mask], *mask.shape),
                "gt_seg_map": mask,
            }

        theirs = Resize(scale=(96, 96), keep_ratio=True)({"img": image, **labels()})
        shape = theirs["img"].shape[:2]
        scale = (shape[1] / 181, shape[0] / 150)
        ours = ScaleLabels()({"img_shape": shape, "scale_factor": scale, **labels()})
    assert torch.allclose(ours["gt_bboxes"].tensor, theirs["gt_bboxes"].tensor)
    centred = cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    np.testing.assert_array_equal(ours["gt_masks"].masks, [centred])
    np.testing.assert_array_equal(ours["gt_seg_map"], centred)


def test_a_crop_of_an_image_decoded_at_a_smaller_scale_is_the_same(tmp_path):
    path = write(tmp_path / "a.jpg", clouds(1024, 901))
    with session.library("mmpretrain"):
        from recycling.backends.mmengine_backend.data.loading import ReadCrop

        for box in ((100, 200, 700, 900), (0, 0, 901, 1024), (800, 5, 890, 60)):
            asked = {"img_path": str(path), "box": box}
            whole, smaller = (
                ReadCrop(size=64, smaller=smaller, cache_bytes=0)(dict(asked))["img"]
                for smaller in (False, True)
            )
            assert np.abs(whole.astype(int) - smaller).mean() < 1
