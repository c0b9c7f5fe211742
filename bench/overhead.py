"""A training through our backend beside the library's own route, what ``tools/train.py`` does.

Both train one config on the same images in one process, in turn: mmengine's
``Runner.from_cfg(config).train()`` with its own checkpoint after each epoch, and
`MMEngineBackend.train`, which checks its input, watches the loss, keeps a state after each epoch
and writes the checkpoint. Both read the recipe and write the annotation file.

Then what `fold_norms`, `channels_last` and memory that is kept from step to step give: a step,
forward and backward, of a detector whose backbone keeps its statistics.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from bench.comparison import Row, by_turns, show
from bench.drawn_members import annotations_of
from recycling.annotations import BOX, ImageFolder, LabeledImages
from recycling.backends import Model, TrainingData, backend_for

RECIPE = Path("conf/recipes/mmpretrain/resnet18_narrow.py")
DETECTOR = Path("conf/recipes/mmdet/fcos_timm.py")
N_STEPS = 4
"""Of the detector; the first has all pages cleared."""
TARGET = 1 / 1.03
"""Ours may take 3 % longer."""


def run(*, quick: bool) -> list[Row]:
    return [*trainings(quick=quick), *steps(quick=quick)]


def trainings(*, quick: bool) -> list[Row]:
    n_images, epochs, turns = (16, 2, 1) if quick else (400, 2, 80)
    with TemporaryDirectory() as folder:
        data = noise(Path(folder, "images"), n_images)
        model = Model(
            task="cls", backend="mmpretrain", recipe=RECIPE.stem, image_size=64,
            epochs=epochs, batch_size=16, optimizer={"learning_rate": 1e-3},
        )  # fmt: skip
        runs = (Path(folder, str(number)) for number in count())
        routes = {"library": with_library, "ours": with_backend}
        for route in routes.values():  # imports, and the first look at each image
            route(model, data, next(runs))
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in routes}
        for turn in range(turns):
            # Who is first in a turn changes, lest that be what tells them apart.
            for name in sorted(routes, reverse=bool(turn % 2)):
                times[name].append(timed(partial(routes[name], model, data, next(runs))))
    clock, processors = (
        {name: np.array([both[which] for both in times[name]]) for name in routes}
        for which in (0, 1)
    )
    # Trainings of one route differ by a tenth among themselves: the ratio is only so sure.
    ratios = np.log(clock["library"] / clock["ours"])
    error = ratios.std() / np.sqrt(turns)
    what = f"{epochs} epochs of {n_images} images"
    rows = [
        Row(f"{what}, {seconds}", "Runner.train", *(float(taken[name].mean()) for name in routes))
        for seconds, taken in (("on the clock", clock), ("of the processors", processors))
    ]
    rows[0] = replace(rows[0], target=TARGET)
    show(
        f"overhead: a whole training, from recipe to checkpoint; the mean of {turns},\n"
        f"with a standard error of {error:.3f} in the ratio",
        rows,
    )
    return rows


def steps(*, quick: bool) -> list[Row]:
    import torch

    size, batch_size, turns = (64, 2, 1) if quick else (512, 4, 3)
    usual = "norms, channels first"
    calls = {
        usual: detector_steps(size, batch_size, fold=False, channels_last=False),
        "norms, channels last": detector_steps(size, batch_size, fold=False, channels_last=True),
        "folded, channels first": detector_steps(size, batch_size, fold=True, channels_last=False),
        "folded, channels last": detector_steps(size, batch_size, fold=True, channels_last=True),
        "the same, freed memory kept": detector_steps(
            size, batch_size, fold=True, channels_last=True, keep=True
        ),
    }
    for call in calls.values():
        call()
    took = {name: seconds for name, (seconds, _) in by_turns(turns, calls).items()}
    rows = [Row(name, usual, took[usual], took[name]) for name in calls if name != usual]
    show(
        f"overhead: {N_STEPS} steps of FCOS on EfficientNet-Lite0 with frozen norms,\n"
        f"{batch_size} images of {size} pixels, {torch.get_num_threads()} threads",
        rows,
    )
    return rows


def detector_steps(
    size: int, batch_size: int, *, fold: bool, channels_last: bool, keep: bool = False
) -> Callable[[], None]:
    import torch
    from mmdet.structures import DetDataSample
    from mmengine.registry import MODELS
    from mmengine.structures import InstanceData

    from recycling.backends.mmengine_backend import session
    from recycling.backends.mmengine_backend.data.training_set import TrainingSet
    from recycling.backends.mmengine_backend.folded_norms import fold_norms
    from recycling.backends.mmengine_backend.memory_format import set_memory_format
    from recycling.backends.mmengine_backend.resolve import resolve
    from recycling.backends.shared.freed_memory import freed_memory_kept

    model = Model(
        task="det", backend="mmdet", recipe=DETECTOR.stem, image_size=size, epochs=1,
        batch_size=batch_size, optimizer={"learning_rate": 1e-3},
    )  # fmt: skip
    data = TrainingSet(Path("train.json"), ["litter"], n_samples=batch_size, sha256="")
    with session.library("mmdet"), session.silence():
        network = MODELS.build(resolve(model, DETECTOR, data, Path("run")).model).train()
    network.backbone.eval()
    if fold:
        fold_norms(network, "bench")
    set_memory_format(network, channels_last=channels_last)
    images = torch.randn(batch_size, 3, size, size, generator=torch.manual_seed(0))
    boxes = torch.tensor([[0.1, 0.1, 0.3, 0.4], [0.5, 0.4, 0.8, 0.7]]) * size
    objects = InstanceData(bboxes=boxes, labels=torch.zeros(2, dtype=torch.long))
    shape = (size, size)
    meta = {"img_shape": shape, "pad_shape": shape, "batch_input_shape": shape}
    samples = [DetDataSample(metainfo=meta, gt_instances=objects) for _ in range(batch_size)]

    def steps() -> None:
        with session.library("mmdet"), freed_memory_kept() if keep else nullcontext():
            for _ in range(N_STEPS):
                losses, _ = network.parse_losses(network.loss(images, samples))
                losses.backward()
                network.zero_grad()

    return steps


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Seconds on the clock, and of all processors."""
    start, used = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start, time.process_time() - used


def with_backend(model: Model, data: TrainingData, work_dir: Path) -> None:
    backend_for(model.backend).train(model, RECIPE, data, work_dir)


def with_library(model: Model, data: TrainingData, work_dir: Path) -> None:
    from mmengine.runner import Runner

    from recycling.backends.mmengine_backend import session
    from recycling.backends.mmengine_backend.data.training_set import write_training_set
    from recycling.backends.mmengine_backend.memory_format import set_memory_format
    from recycling.backends.mmengine_backend.resolve import resolve

    work_dir.mkdir()
    training_set = write_training_set(model.task, data, work_dir / "data")
    with session.library(model.backend):
        config = resolve(model, RECIPE, training_set, work_dir)
        config.default_hooks.checkpoint = {"type": "CheckpointHook", "interval": 1}
        with session.silence():
            runner = Runner.from_cfg(config)
            set_memory_format(runner.model, channels_last=None)  # the same kernels
            runner.train()


def noise(folder: Path, n_images: int) -> TrainingData:
    import cv2

    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(n_images):
        image = rng.integers(0, 256, (96, 96, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), image)
    objects = pd.DataFrame(dict(zip(BOX, (8.0, 8.0, 88.0, 88.0), strict=True)), range(n_images))
    objects = objects.assign(image_id=objects.index, category_id=1 + objects.index % 2)
    annotations = annotations_of(objects, n_images, 96, {1: "a", 2: "b"}, suffix=".png")
    labeled = LabeledImages(annotations, ImageFolder(folder))
    return TrainingData([labeled], labeled, labeled.annotations.categories)
