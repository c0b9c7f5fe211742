"""Heads of the detectors of `conf/recipes`, by themselves, and two images to learn from."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from recycling.backends import Model
from recycling.backends.mmengine_backend.data.training_set import TrainingSet
from recycling.backends.mmengine_backend.resolve import resolve

RECIPES = Path(__file__).parents[2] / "conf/recipes/mmdet"
OBJECT = [8.0, 8.0, 40.0, 44.0]
REGION = [62.0, 54.0, 122.0, 122.0]
SIDE = 128


@cache
def config_of(recipe: str) -> Any:
    model = Model(
        task="det",
        backend="mmdet",
        recipe=recipe,
        image_size=SIDE,
        epochs=1,
        batch_size=2,
        optimizer={"learning_rate": 1e-4},
    )
    data = TrainingSet(Path("train.json"), ["box", "disc"], n_samples=2, sha256="")
    return resolve(model, RECIPES / f"{recipe}.py", data, Path("run")).model


def built(recipe: str, name: str) -> Any:
    """A head of a recipe, as its detector builds it."""
    from mmengine.registry import MODELS

    config = config_of(recipe)
    train = config.get("train_cfg")  # FCOS has none
    if name == "rpn_head":
        train = train.rpn
    elif name == "roi_head":
        train = train.rcnn
    head = {**config[name], "train_cfg": train, "test_cfg": None}
    if name == "rpn_head":
        head["num_classes"] = 1
    return MODELS.build(head)


def samples(*, marked: bool, weight: float = 1.0) -> list[Any]:
    """Two images: one with an object, one without; a region in both, or in none.

    Args:
        marked: Whether the regions are to be ignored.
        weight: Of the object.
    """
    import torch
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    made = []
    for boxes, labels in (([OBJECT], [1]), ([], [])):
        size = (SIDE, SIDE)
        sample = DetDataSample(
            metainfo={"img_shape": size, "pad_shape": size, "batch_input_shape": size}
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor(boxes).reshape(-1, 4), labels=torch.tensor(labels).long()
        )
        sample.gt_instances.weights = torch.full((len(boxes),), weight)
        regions = [REGION] if marked else []
        sample.ignored_instances = InstanceData(
            bboxes=torch.tensor(regions).reshape(-1, 4), labels=torch.zeros(len(regions)).long()
        )
        made.append(sample)
    return made


def outputs_of(head: Any) -> list[Any]:
    """What a dense head says of random features of the two images."""
    import torch

    channels, strides = head.in_channels, head.prior_generator.strides
    if not isinstance(channels, (list, tuple)):
        channels = [channels] * len(strides)
    steps = [stride[0] if isinstance(stride, tuple) else stride for stride in strides]
    sides = [max(1, SIDE // step) for step in steps]
    features = [torch.randn(2, n, side, side) for n, side in zip(channels, sides, strict=True)]
    return list(head(tuple(features)))


def losses_of(head: Any, outputs: Any, batch: list[Any]) -> float:
    """All losses together, with the same random numbers each time."""
    import torch

    torch.manual_seed(0)
    losses = head.loss_by_feat(
        *outputs,
        [sample.gt_instances for sample in batch],
        [sample.metainfo for sample in batch],
        [sample.ignored_instances for sample in batch],
    )
    levels = [loss if isinstance(loss, list) else [loss] for loss in losses.values()]
    return float(sum(level.sum() for loss in levels for level in loss))


def detector(name: str, head: Any) -> Any:
    """A detector that is its head, as far as what changes heads can tell."""
    return SimpleNamespace(**{name: head})
