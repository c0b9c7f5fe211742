"""The training's loaders beside the libraries' own way to read a picture, and how a step waits."""

from __future__ import annotations

import copy
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from bench.comparison import Row, show
from bench.drawn_members import annotations_of
from bench.image_checks import draw_images
from recycling.annotations import ImageFolder, LabeledImages
from recycling.backends import Model, TrainingData, backend_for

ROOT = Path(__file__).parents[1]
RECIPES = {
    "cls": ("mmpretrain", "resnet18_narrow"),
    "det": ("mmdet", "yolox_narrow"),
    "seg": ("mmseg", "fcn_r18_narrow"),
}
SIZE = 256
ALIKE = 8
"""Most that the pixels of a sample may differ by on average, of 255."""

EPOCHS = 4
"""Of the loaders: the first finds nothing in memory, the last what fits."""


def run(*, quick: bool) -> list[Row]:
    n_images, side = (12, 256) if quick else (96, 1024)
    rows, waits = [], []
    with tempfile.TemporaryDirectory() as place:
        pictures = labeled(Path(place) / "images", n_images, side)
        for task in RECIPES:
            for workers in (0,) if quick else (0, 2):
                folder = Path(place) / f"{task}-{workers}"
                rows += compare(task, pictures, folder, workers)
                waits.append((task, workers, *waiting(task, pictures, folder / "run", workers)))
    show(
        f"an epoch of {n_images} JPEGs of {side} x {side}; the same transforms on both sides", rows
    )
    table = Table("training", "workers", "the step waited", "images a second")
    for task, workers, share, rate in waits:
        table.add_row(RECIPES[task][1], str(workers), f"{share:.1%}", f"{rate:.1f}")
    Console(width=110).print(table)
    return rows


def compare(task: str, pictures: LabeledImages, folder: Path, workers: int) -> list[Row]:
    """Time epochs of both loaders by turns, so that both find the same machine."""
    from recycling.backends.mmengine_backend import session

    with session.library(RECIPES[task][0]):
        ours = loader_config(task, pictures, folder, workers)
        peer = with_library_reading(task, ours)
        if task != "cls":  # a crop is not cut by the library
            check_alike(ours.dataset, peer.dataset)
        forget_pictures()
        seconds = list(zip(epochs(ours), epochs(peer), strict=True))
    what = f"{task}, {workers} workers"
    return [
        Row(f"{what}, nothing in memory", "LoadImageFromFile", seconds[0][1], seconds[0][0]),
        Row(f"{what}, epoch {EPOCHS}", "LoadImageFromFile", seconds[-1][1], seconds[-1][0]),
    ]


def loader_config(task: str, pictures: LabeledImages, folder: Path, workers: int) -> Any:
    from recycling.backends.mmengine_backend.data.training_set import write_training_set
    from recycling.backends.mmengine_backend.resolve import resolve

    backend, recipe = RECIPES[task]
    data = write_training_set(task, training_data(pictures), folder)  # type: ignore[arg-type]
    path = ROOT / "conf" / "recipes" / backend / f"{recipe}.py"
    return resolve(model(task, workers), path, data, folder).train_dataloader


def with_library_reading(task: str, ours: Any) -> Any:
    """The same loader, whose pictures the library reads."""
    peer = copy.deepcopy(ours)
    steps = peer.dataset.pipeline
    resize: dict[str, Any] = {"type": "Resize", "scale": (SIZE, SIZE)}
    if task == "cls":
        # The library cuts no box out of a picture; each box here is all of it.
        rest = [{**resize, "interpolation": "area"}, *steps[1:]]
    else:
        # Ours comes at this size, and `ScaleLabels` sees to the rest.
        whole = {**resize, "keep_ratio": True}
        rest = [whole if step["type"] == "ScaleLabels" else step for step in steps[1:]]
    peer.dataset.pipeline = [{"type": "LoadImageFromFile"}, *rest]
    return peer


def epochs(config: Any) -> Iterator[float]:
    """The seconds of each epoch of a loader."""
    from mmengine.runner import Runner

    loader = Runner.build_dataloader(copy.deepcopy(config), seed=0)
    for epoch in range(EPOCHS):
        loader.sampler.set_epoch(epoch)
        start = time.perf_counter()
        for _ in loader:
            pass
        yield time.perf_counter() - start
    if loader._iterator is not None:
        loader._iterator._shutdown_workers()


def check_alike(ours: Any, peer: Any) -> None:
    """Refuse a comparison of unlike samples; the library skips pixels where it shrinks."""
    from mmengine.registry import DATASETS

    samples = []
    for config in (ours, peer):
        np.random.seed(0)
        samples.append(DATASETS.build(copy.deepcopy(config))[0]["inputs"].numpy().astype(int))
    one, other = samples
    assert one.shape == other.shape
    assert np.abs(one - other).mean() < ALIKE


def waiting(task: str, pictures: LabeledImages, folder: Path, workers: int) -> tuple[float, float]:
    """The share of a training's time that its steps waited, and its pictures a second."""
    backend, recipe = RECIPES[task]
    path = ROOT / "conf" / "recipes" / backend / f"{recipe}.py"
    forget_pictures()
    trained = backend_for(backend).train(
        model(task, workers), path, training_data(pictures), folder
    )
    facts = json.loads((trained.folder / "checkpoint.json").read_text())
    return facts["waiting_share"], facts["images_per_second"]


def forget_pictures() -> None:
    """Let loaders of this process, or started from it, find nothing in memory."""
    from recycling.backends.mmengine_backend.data.image_cache import CACHE

    CACHE.clear()


def model(task: str, workers: int) -> Model:
    backend, recipe = RECIPES[task]
    return Model(
        task=task,  # type: ignore[arg-type]
        backend=backend,  # type: ignore[arg-type]
        recipe=recipe,
        image_size=SIZE,
        epochs=2,
        batch_size=4,
        optimizer={"learning_rate": 1e-4},  # type: ignore[arg-type]
        workers=workers,
    )


def training_data(pictures: LabeledImages) -> TrainingData:
    return TrainingData([pictures], pictures, pictures.annotations.categories)


def labeled(folder: Path, n_images: int, side: int) -> LabeledImages:
    """Clouds as JPEG files, with one object that fills each picture."""
    draw_images(folder, n_images, side)
    objects = pd.DataFrame(
        {"x_min": 0.0, "y_min": 0.0, "x_max": side, "y_max": side}, index=range(n_images)
    ).assign(
        image_id=range(n_images),
        category_id=[1 + number % 2 for number in range(n_images)],
        segmentation=json.dumps([[0, 0, side, 0, side, side, 0, side]]),
    )
    annotations = annotations_of(objects, n_images, side, {1: "a", 2: "b"})
    return LabeledImages(annotations, ImageFolder(folder))
