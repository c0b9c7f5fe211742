"""Pseudo-labels that count by their score in the loss of the classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backends.heads import SIDE, built, detector, outputs_of, samples
from backends.loaded_trainings import samples_of
from backends.tiny_trainings import draw_pictures, train
from recycling.annotations import LabeledImages
from recycling.backends import BackendError
from recycling.backends.mmengine_backend import session

pytest.importorskip("mmdet")


@pytest.fixture(scope="module", autouse=True)
def library() -> Iterator[None]:
    with session.library("mmdet"):
        yield


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> LabeledImages:
    """Eight pictures whose discs models have found, with a score of 0.625."""
    drawn = draw_pictures(tmp_path_factory.mktemp("pictures"))
    rows = drawn.annotations.annotations.copy()
    rows.loc[rows["category_id"] == 3, ["source", "score"]] = ["pseudo", 0.625]
    return replace(drawn, annotations=replace(drawn.annotations, annotations=rows))


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        ("yolox_narrow", "bbox_head"),
        ("retinanet_swin_tiny", "bbox_head"),
        ("ssd512_vgg16", "bbox_head"),
        ("faster_rcnn_r50", "roi_head"),
    ],
)
def test_the_loss_of_an_object_is_multiplied_with_its_weight(recipe: str, name: str) -> None:
    import torch
    from mmengine.structures import InstanceData

    from recycling.backends.mmengine_backend.networks.detectors.score_weights import weigh_by_score

    torch.manual_seed(1)
    head = built(recipe, name)

    def losses(weight: float) -> dict[str, float]:
        torch.manual_seed(0)
        batch = samples(marked=False, weight=weight)
        if name == "roi_head":
            boxes = torch.tensor([[10.0, 10, 42, 44], [60, 4, 90, 30]])
            given = [InstanceData(bboxes=boxes.clone()) for _ in range(2)]
            found = head.loss(features, given, batch)
        else:
            found = head.loss_by_feat(
                *outputs,
                [sample.gt_instances for sample in batch],
                [sample.metainfo for sample in batch],
            )
        return {
            key: float(sum(value)) if isinstance(value, list) else float(value)
            for key, value in found.items()
            if "loss" in key
        }

    with torch.no_grad():
        if name == "roi_head":
            sides = [SIDE // stride for stride in (4, 8, 16, 32)]
            features = tuple(torch.randn(2, 256, side, side) for side in sides)
        else:
            outputs = outputs_of(head)
        unweighted = losses(1.0)
        weigh_by_score(detector(name, head))
        of = {weight: losses(weight) for weight in (0.25, 0.625, 1.0)}
    assert of[1.0] == pytest.approx(unweighted, rel=1e-6)
    least, middle, most = (of[weight]["loss_cls"] for weight in (0.25, 0.625, 1.0))
    assert least < middle < most
    assert middle == pytest.approx((least + most) / 2, rel=1e-5)
    others = {key for key in unweighted if key != "loss_cls"}
    assert {key: of[0.25][key] for key in others} == {key: unweighted[key] for key in others}


@pytest.mark.parametrize(
    "augmentation", [[], ["mosaic"], [{"HorizontalFlip": {"p": 1.0}}]], ids=str
)
def test_each_object_carries_its_score(
    augmentation: list[Any], pictures: LabeledImages, tmp_path: Path
) -> None:
    _, data = samples_of("mmdet", pictures, tmp_path, augmentation=augmentation, score_weights=True)
    weights: dict[int, set[float]] = {0: set(), 1: set()}
    for number in range(len(data)):
        objects = data[number]["data_samples"].gt_instances
        for label, weight in zip(objects.labels.tolist(), objects.weights.tolist(), strict=True):
            weights[label].add(weight)
    assert weights == {0: {1.0}, 1: {0.625}}


def test_a_training_with_weights_is_another_one(pictures: LabeledImages, tmp_path: Path) -> None:
    import json

    losses = []
    for number, weights in enumerate((False, True)):
        checkpoint = train(
            "mmdet", pictures, tmp_path / str(number), score_weights=weights, batch_size=16
        )
        losses.append(json.loads((checkpoint.folder / "checkpoint.json").read_text())["last_loss"])
    assert losses[1] < losses[0]


def test_a_recipe_that_takes_no_weights_is_one_line(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    recipe = tmp_path / "fcos.py"
    recipe.write_text('_base_ = "mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py"\n')
    with pytest.raises(BackendError, match="FCOSHead cannot honour score_weights") as error:
        train("mmdet", pictures, tmp_path, recipe=recipe, score_weights=True)
    assert "YOLOX" in str(error.value)
    assert "\n" not in str(error.value)
