"""Trainings so small that tests can run them: pictures, recipes and settings.

``python tiny_trainings.py FOLDER BACKEND SETTINGS`` runs one in a process of its own, to be killed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
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
from recycling.backends import Checkpoint, Images, Model, TrainingData, backend_for
from recycling.predictions import Predictions

RECIPES = {
    "mmpretrain": """
_base_ = "mmpretrain::resnet/resnet18_8xb32_in1k.py"
model = dict(backbone=dict(base_channels=8, stem_channels=8), head=dict(in_channels=64))
""",
    "mmdet": """
_base_ = "mmdet::yolox/yolox_nano_8xb8-300e_coco.py"
""",
    "mmseg": """
_base_ = "mmseg::fastscnn/fast_scnn_8xb4-160k_cityscapes-512x1024.py"
""",
}
WITHOUT_BATCH_STATISTICS = """
_base_ = "mmpretrain::convnext/convnext-tiny_32xb128_in1k.py"
model = dict(
    train_cfg=dict(_delete_=True),
    backbone=dict(
        arch=dict(_delete_=True, depths=[1, 1, 1, 1], channels=[8, 16, 32, 64]), drop_path_rate=0.0
    ),
    head=dict(in_channels=64, loss=dict(_delete_=True, type="CrossEntropyLoss", loss_weight=1.0)),
)
custom_hooks = []
augmentation = []
"""
"""A classifier whose pictures do not look at the others of their batch."""

CONSTANT = {"name": "constant", "warmup": 0.0}

TASKS = {"mmpretrain": "cls", "mmdet": "det", "mmseg": "seg"}


WORDS = Path(__file__).parent / "few_words.txt"
"""A vocabulary for networks that read the names of classes."""


def words_for(recipe: str) -> dict[str, Any]:
    """The `options` that a recipe cannot do without."""
    if recipe.startswith("grounding_dino"):
        return {"model.language_model.vocabulary": str(WORDS)}
    return {}


def draw_pictures(folder: Path) -> LabeledImages:
    """Eight pictures of 80 x 64 pixels, each with a box and a disc."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id in range(1, 9):
        picture = rng.integers(60, 120, (64, 80, 3), dtype=np.uint8)
        for category_id, x in ((7, 4), (3, 44)):
            side = int(rng.integers(18, 30))
            y = int(rng.integers(2, 30))
            if category_id == 7:
                cv2.rectangle(picture, (x, y), (x + side, y + side), (250, 40, 40), -1)
            else:
                middle = (x + side // 2, y + side // 2)
                cv2.circle(picture, middle, side // 2, (40, 250, 250), -1)
            annotations.append(
                {
                    "annotation_id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": category_id,
                    **dict(zip(BOX, (x, y, x + side, y + side), strict=True)),
                    "area": side * side,
                    "segmentation": json.dumps(
                        [[x, y, x + side, y, x + side, y + side, x, y + side]]
                    ),
                    "iscrowd": False,
                    "source": "human",
                    "score": 1.0,
                    "extra": None,
                }
            )
        cv2.imwrite(str(folder / f"{image_id}.png"), picture)
        images.append(
            {
                "image_id": image_id,
                "file_name": f"{image_id}.png",
                "width": 80,
                "height": 64,
                "group": str(image_id),
                "extra": None,
            }
        )
    categories = pd.DataFrame(
        {"category_id": [7, 3], "name": ["box", "disc"], "supercategory": "shape", "extra": None}
    )
    return LabeledImages(
        Annotations(
            IMAGES.conform(pd.DataFrame(images), where="images"),
            ANNOTATIONS.conform(pd.DataFrame(annotations), where="annotations"),
            CATEGORIES.conform(categories, where="categories"),
        ),
        ImageFolder(folder),
    )


def draw_bright_squares(folder: Path) -> LabeledImages:
    """Two pictures of 144 x 112 pixels, each with a bright square."""
    rng = np.random.default_rng(0)
    square = (30, 20, 90, 80)
    images, annotations = [], []
    for image_id in (1, 2):
        picture = rng.integers(60, 120, (112, 144, 3), dtype=np.uint8)
        cv2.rectangle(picture, square[:2], square[2:], (250, 40, 40), -1)
        cv2.imwrite(str(folder / f"{image_id}.png"), picture)
        image = {"image_id": image_id, "file_name": f"{image_id}.png", "width": 144, "height": 112}
        images.append({**image, "group": str(image_id), "extra": None})
        left, top, right, bottom = square
        annotations.append(
            {
                "annotation_id": image_id,
                "image_id": image_id,
                "category_id": 7,
                **dict(zip(BOX, square, strict=True)),
                "area": 3600,
                "segmentation": json.dumps([[left, top, right, top, right, bottom, left, bottom]]),
                "iscrowd": False,
                "source": "human",
                "score": 1.0,
                "extra": None,
            }
        )
    categories = {"category_id": [7], "name": ["box"], "supercategory": "shape", "extra": None}
    return LabeledImages(
        Annotations(
            IMAGES.conform(pd.DataFrame(images), where="images"),
            ANNOTATIONS.conform(pd.DataFrame(annotations), where="annotations"),
            CATEGORIES.conform(pd.DataFrame(categories), where="categories"),
        ),
        ImageFolder(folder),
    )


def data_of(pictures: LabeledImages) -> TrainingData:
    # The same pictures twice: ids repeat across the parts of a training.
    return TrainingData([pictures, pictures], pictures, pictures.annotations.categories)


def images_of(pictures: LabeledImages) -> Images:
    tables = pictures.annotations
    return Images(
        tables.images, pictures.folder, tables.annotations[["annotation_id", "image_id", *BOX]]
    )


def model_of(backend: str, **settings: Any) -> Model:
    return Model(
        **{
            "task": TASKS[backend],
            "backend": backend,
            "recipe": "small",
            "image_size": 64,
            "epochs": 1,
            "batch_size": 4,
            "optimizer": {"learning_rate": 1e-3},
            **({"score_threshold": 1e-4} if backend == "mmdet" else {}),
            **settings,
        }
    )


def write_recipe(folder: Path, backend: str) -> Path:
    path = folder / f"{backend}.py"
    path.write_text(RECIPES[backend])
    return path


def train(
    backend: str,
    pictures: LabeledImages,
    work_dir: Path,
    recipe: Path | None = None,
    score: Callable[[Predictions], float] | None = None,
    **settings: Any,
) -> Checkpoint:
    work_dir.mkdir(parents=True, exist_ok=True)
    recipe = recipe or write_recipe(work_dir, backend)
    return backend_for(backend).train(
        model_of(backend, **settings),
        recipe,
        replace(data_of(pictures), score=score),
        work_dir / "run",
    )


def plain(folder: Path, pictures: LabeledImages, **settings: Any) -> Checkpoint:
    """Train the classifier in which a batch's pictures do not look at one another."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "plain.py"
    recipe.write_text(WITHOUT_BATCH_STATISTICS)
    sgd = {"name": "SGD", "learning_rate": 0.01, "weight_decay": 0.0}
    settings = {"optimizer": sgd, "schedule": CONSTANT, "epochs": 2, **settings}
    return train("mmpretrain", pictures, folder, recipe=recipe, **settings)


def facts_of(checkpoint: Checkpoint) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((checkpoint.folder / "checkpoint.json").read_text())
    return content


def weights_of(checkpoint: Checkpoint) -> dict[str, Any]:
    import torch

    return dict(torch.load(checkpoint.weights, weights_only=True))


def epochs_of(folder: Path) -> list[dict[str, float]]:
    """What is logged for each epoch, but for its time, which no two trainings share."""
    lines = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
    return [{name: line[name] for name in line if name != "minutes"} for line in lines]


if __name__ == "__main__":
    here = Path(sys.argv[1])
    train(sys.argv[2], draw_pictures(here / "pictures"), here, **json.loads(sys.argv[3]))
