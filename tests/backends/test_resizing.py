"""Labels lie where the image shows them, whatever resizes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from backends.loaded_trainings import samples_of
from backends.tiny_trainings import draw_bright_squares, model_of
from recycling.annotations import LabeledImages
from recycling.annotations.masks import mask_to_segmentation
from recycling.backends.mmengine_backend import session

pytest.importorskip("torch")

DISC = cv2.circle(np.zeros((800, 800), np.uint8), (301, 401), 150, 255, -1)


def centre(values: Any) -> Any:
    """The centre of mass, (2,)."""
    weights = np.asarray(values, np.float64)
    places = np.indices(weights.shape)
    return (weights * places).sum(axis=(1, 2)) / weights.sum()


def one_disc(folder: Path) -> LabeledImages:
    """A white disc on black, 800 x 800 pixels, with its mask."""
    folder.mkdir()
    part = draw_bright_squares(folder)
    tables = part.annotations.of_images([1])
    assert cv2.imwrite(str(folder / "1.png"), cv2.merge([DISC] * 3))
    row = tables.annotations.assign(
        segmentation=mask_to_segmentation(DISC > 0),
        **dict(
            zip(("x_min", "y_min", "x_max", "y_max"), (151.0, 251.0, 452.0, 552.0), strict=True)
        ),
    )
    images = tables.images.assign(width=800, height=800)
    return replace(part, annotations=replace(tables, images=images, annotations=row))


@pytest.mark.parametrize(
    ("listed", "of_recipe"),
    [
        ([], []),
        ([{"RandomScale": {"scale_limit": [-0.4, -0.4], "p": 1.0}}], []),
        (None, [{"type": "Resize", "scale": (21, 21), "keep_ratio": True}]),
        (None, [{"type": "RandomChoiceResize", "scales": [(21, 21)]}]),
        (
            None,
            [
                {
                    "type": "RandomResize",
                    "scale": (21, 21),
                    "ratio_range": (1.0, 1.0),
                    "keep_ratio": True,
                }
            ],
        ),
    ],
    ids=["read", "listed", "fixed", "chosen", "random"],
)
def test_label_maps_lie_where_the_image_shows_them(
    listed: Any, of_recipe: Any, tmp_path: Path
) -> None:
    """By the pixel up and left of the centre they were up to half a pixel off."""
    lines = f"augmentation = {of_recipe!r}" if of_recipe else ""
    part = one_disc(tmp_path / "pictures")
    _, data = samples_of("mmseg", part, tmp_path / "run", lines, augmentation=listed)
    with session.library("mmseg"):
        sample = data[0]
    label_map = sample["data_samples"].gt_sem_seg.data.numpy()[0]
    np.testing.assert_allclose(centre(label_map == 1), centre(sample["inputs"][0]), atol=0.1)


def test_masks_of_boxes_lie_there_too() -> None:
    with session.library("mmdet"):
        from mmcv.transforms import Compose
        from mmdet.structures.mask import BitmapMasks
        from mmengine.config import ConfigDict

        from recycling.backends.mmengine_backend.settings.resizing import set_resizing

        load = {"type": "LoadAnnotations", "with_mask": True}
        resize = {"type": "Resize", "scale": (47, 47), "keep_ratio": True}
        config = ConfigDict(train_dataloader={"dataset": {"pipeline": [load, resize]}})
        set_resizing(config, model_of("mmdet"))
        masks = BitmapMasks((DISC[None] > 0).astype(np.uint8), 800, 800)
        made = Compose(config.train_dataloader.dataset.pipeline[1:])(
            {"img": cv2.merge([DISC] * 3), "img_shape": (800, 800), "gt_masks": masks}
        )
    np.testing.assert_allclose(
        centre(made["gt_masks"].masks[0]), centre(made["img"][..., 0]), atol=0.1
    )
