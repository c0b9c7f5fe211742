"""Pictures of rectangles, and tiny trainings of detectron2 on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from recycling.annotations import (
    ANNOTATIONS,
    BOX,
    CATEGORIES,
    IMAGES,
    Annotations,
    ImageFolder,
    LabeledImages,
)
from recycling.backends import (
    Checkpoint,
    Images,
    Model,
    Recipes,
    TrainingData,
    backend_for,
)

RECIPES = Recipes(Path(__file__).parents[2] / "conf" / "recipes")
RECIPE = RECIPES.find("detectron2", "faster_rcnn_r50_narrow")
WIDTH, HEIGHT = 96, 64


def settings_of(**changes: Any) -> Model:
    settings = {
        "task": "det",
        "backend": "detectron2",
        "recipe": RECIPE.stem,
        "image_size": 64,
        "epochs": 2,
        "batch_size": 2,
        "optimizer": {"name": "AdamW", "learning_rate": 1e-3, "clip_grad_norm": 5.0},
        "options": {"MODEL.DEVICE": "cpu"},
        **changes,
    }
    return Model.model_validate(settings)


def rectangles(folder: Path, seed: int, n_images: int = 4, first_id: int = 1) -> LabeledImages:
    """Rectangles on noise: dark ones are Paper (id 5), light ones Metal (id 7)."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    rows = []
    for image_id in range(first_id, first_id + n_images):
        picture = rng.integers(100, 150, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        for category_id, grey in ((5, 20), (7, 235)):
            x, y = (int(value) for value in rng.integers(0, (WIDTH - 30, HEIGHT - 30)))
            picture[y : y + 24, x : x + 28] = grey
            polygon = [x, y, x + 28, y, x + 28, y + 24, x, y + 24]
            rows.append((image_id, category_id, x, y, x + 28, y + 24, json.dumps([polygon])))
        cv2.imwrite(str(folder / f"{image_id}.png"), picture)
    boxes = pd.DataFrame(rows, columns=["image_id", "category_id", *BOX, "segmentation"])
    boxes = boxes.assign(
        annotation_id=range(1, len(rows) + 1),
        area=28.0 * 24,
        iscrowd=False,
        source="human",
        score=1.0,
        extra=None,
    )
    images = pd.DataFrame({"image_id": range(first_id, first_id + n_images)}).assign(
        file_name=lambda table: table["image_id"].astype(str) + ".png",
        width=WIDTH,
        height=HEIGHT,
        group="g",
        extra=None,
    )
    categories = pd.DataFrame(
        {"category_id": [5, 7], "name": ["Paper", "Metal"], "supercategory": "", "extra": None}
    )
    return LabeledImages(
        Annotations(
            IMAGES.conform(images, where="images"),
            ANNOTATIONS.conform(boxes, where="annotations"),
            CATEGORIES.conform(categories, where="categories"),
        ),
        ImageFolder(folder),
    )


def data_of(*parts: LabeledImages) -> TrainingData:
    return TrainingData(parts, parts[0], parts[0].annotations.categories)


def images_of(part: LabeledImages) -> Images:
    return Images(part.annotations.images, part.folder)


def changed(part: LabeledImages, **columns: Any) -> LabeledImages:
    """The part, with other values in the first annotation's columns."""
    table = part.annotations.annotations.copy()
    for name, value in columns.items():
        table.loc[0, name] = value
    whole = part.annotations
    return LabeledImages(Annotations(whole.images, table, whole.categories), part.folder)


def train(work_dir: Path, data: TrainingData, recipe: Path = RECIPE, **changes: Any) -> Checkpoint:
    return backend_for("detectron2").train(settings_of(**changes), recipe, data, work_dir)


def weights_of(checkpoint: Checkpoint) -> dict[str, Any]:
    import torch

    state: dict[str, Any] = torch.load(checkpoint.folder / "weights.pth", weights_only=True)
    return state
