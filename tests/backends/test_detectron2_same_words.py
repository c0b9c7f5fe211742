"""A setting means the same to detectron2 as to the libraries of mmengine."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backends.rectangles import (
    RECIPE,
    RECIPES,
    data_of,
    images_of,
    rectangles,
    settings_of,
    train,
    weights_of,
)
from recycling.annotations import LabeledImages
from recycling.backends import BackendError, backend_for, is_installed

if not (is_installed("detectron2") and is_installed("mmdet")):
    pytest.skip("detectron2 or mmdet is not installed", allow_module_level=True)

import torch


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> LabeledImages:
    return rectangles(tmp_path_factory.mktemp("pictures") / "a", seed=0)


def config_of(recipe: Path = RECIPE, **changes: Any) -> Any:
    from recycling.backends.detectron2_backend import session
    from recycling.backends.detectron2_backend.resolve import resolve

    with session.library():
        return resolve(settings_of(**changes), recipe, n_classes=2)


# Freezing


@pytest.mark.parametrize("n", [0, 1, 4])
def test_freezing_takes_the_same_stages(n: int) -> None:
    from detectron2.modeling import build_backbone
    from mmdet.models import ResNet

    ours = build_backbone(config_of(freeze=n)).bottom_up
    theirs = ResNet(50, frozen_stages=n, norm_eval=False)
    stages = [("stem", ("conv1", "bn1"))] + [(f"res{k + 1}", (f"layer{k}",)) for k in (1, 2, 3, 4)]
    for number, (stage, parts) in enumerate(stages):
        learning = [weights.requires_grad for weights in getattr(ours, stage).parameters()]
        others = [
            weights.requires_grad
            for name in parts
            for weights in getattr(theirs, name).parameters()
        ]
        assert all(learning) == all(others) == (number > n)
        assert any(learning) == any(others) == (number > n)


@pytest.mark.parametrize(("pretrained", "frozen"), [("none", 0), ("a.pth", 0), ("default", 2)])
def test_what_a_recipe_freezes_is_for_its_own_weights(pretrained: str, frozen: int) -> None:
    recipe = RECIPES.find("detectron2", "faster_rcnn_r50")
    config = config_of(recipe, pretrained=pretrained)
    norm = "FrozenBN" if frozen else "BN"
    found = (config.MODEL.BACKBONE.FREEZE_AT, config.MODEL.RESNETS.NORM)
    assert found == (frozen, norm)
    # What the user says goes before it, whatever the weights.
    assert config_of(recipe, pretrained=pretrained, freeze=3).MODEL.BACKBONE.FREEZE_AT == 4


# Weights of classes


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"Metal": 2.0}, "no weight for 'Paper'; give each class one"),
        ({"Metal": 2.0, "Paper": -1.0}, "-1.0 of 'Paper'; give 0 or more"),
        ({"Metal": 2.0, "Paper": float("inf")}, "inf of 'Paper'; give 0 or more"),
    ],
)
def test_each_class_has_a_weight_from_0(
    part: LabeledImages, tmp_path: Path, weights: dict[str, float], message: str
) -> None:
    loss = {"name": "cross_entropy", "class_weights": weights}
    with pytest.raises(BackendError, match=message) as caught:
        train(tmp_path / "work", data_of(part), loss=loss)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "work" / "metrics.json").exists()


@pytest.mark.parametrize(
    "sampler",
    [
        {"name": "oversample"},
        {"name": "oversample", "copies": {"Metal": 2}},
        {"name": "class_balanced"},
    ],
)
def test_what_is_to_be_copied_must_be_there(
    part: LabeledImages, tmp_path: Path, sampler: dict[str, Any]
) -> None:
    from dataclasses import replace

    table = part.annotations.annotations
    paper = table[table["category_id"] == 5].reset_index(drop=True)
    only = replace(part, annotations=replace(part.annotations, annotations=paper))
    with pytest.raises(BackendError, match="no training image holds Metal; choose other folds"):
        train(tmp_path / "work", data_of(only), sampler=sampler)


# The learning rate


@pytest.mark.parametrize(
    "schedule",
    [
        {"name": "constant"},
        {"name": "cosine", "lowest": 0.1},
        {"name": "cosine_restarts", "restarts": 2},
        {"name": "poly", "power": 2.0},
        {"name": "step", "milestones": [0.4, 0.8]},
    ],
)
@pytest.mark.parametrize("warmup", [0.0, 0.1])
def test_the_learning_rate_takes_the_same_course(schedule: dict[str, Any], warmup: float) -> None:
    from detectron2.solver import LRMultiplier
    from mmengine.optim import OptimWrapper
    from mmengine.registry import PARAM_SCHEDULERS

    from recycling.backends.detectron2_backend.schedule import build_curve
    from recycling.backends.mmengine_backend.resolve import _schedulers

    n_iterations, rate = 2000, 0.5
    asked = settings_of(schedule={**schedule, "warmup": warmup}).schedule

    def optimizer() -> Any:
        return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)

    ours, theirs = optimizer(), OptimWrapper(optimizer())
    course = LRMultiplier(ours, build_curve(asked, config_of()), n_iterations)
    steps = [
        PARAM_SCHEDULERS.build({**one, "optimizer": theirs})
        for one in _schedulers(asked, n_iterations)
    ]
    rates = []
    for _ in range(n_iterations):
        rates.append((ours.param_groups[0]["lr"], theirs.param_groups[0]["lr"]))
        ours.step()
        theirs.step()
        course.step()
        for step in steps:
            step.step()
    one, other = np.array(rates).T / rate
    assert one[0] == pytest.approx(other[0])
    assert one[0] == (0.01 if warmup else 1.0)
    # The libraries count the last step of a warm-up, and of a milestone, differently by one.
    nearest = np.minimum(np.abs(one[1:-1] - other[1:-1]), np.abs(one[1:-1] - other[2:]))
    nearest = np.minimum(nearest, np.abs(one[1:-1] - other[:-2]))
    assert nearest.max() < 0.006


def test_a_warmup_counts_steps_and_not_updates(part: LabeledImages, tmp_path: Path) -> None:
    lines = []
    for accumulate in (1, 2):
        work_dir = tmp_path / str(accumulate)
        train(work_dir, data_of(part), accumulate=accumulate, schedule={"warmup": 0.75})
        text = (work_dir / "metrics.jsonl").read_text()
        lines.append([json.loads(line)["learning_rate"] for line in text.splitlines()])
    assert lines[0] == pytest.approx(lines[1])
    # Two of three steps of the warm-up have passed after the first of two epochs.
    assert lines[0][0] == pytest.approx(1e-3 * (0.01 + 0.99 * 2 / 3))


def test_the_learning_rate_that_is_logged_is_not_the_backbones(
    part: LabeledImages, tmp_path: Path
) -> None:
    """Without a pyramid the backbone is what the optimiser begins with."""
    last = {"IN_FEATURES": ["res5"]}
    plain = {
        "BACKBONE": {"NAME": "build_resnet_backbone"},
        "RESNETS": {"OUT_FEATURES": ["res5"]},
        "ANCHOR_GENERATOR": {"SIZES": [[24, 40, 64]]},
        "RPN": last,
        "ROI_HEADS": last,
    }
    recipe = tmp_path / "own.yaml"
    recipe.write_text(json.dumps({"_BASE_": str(RECIPE), "MODEL": plain}))
    optimizer = {"name": "AdamW", "learning_rate": 1e-3, "backbone_rate": 0.1}
    still = {"name": "constant", "warmup": 0.0}
    train(tmp_path, data_of(part), recipe, epochs=1, optimizer=optimizer, schedule=still)
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["learning_rate"] == 1e-3


def test_clipping_bounds_the_norm_of_all_gradients_together() -> None:
    from mmengine.optim import OptimWrapper

    from recycling.backends.detectron2_backend.schedule import build_optimizer

    optimizer = {
        "name": "SGD",
        "learning_rate": 1.0,
        "momentum": 0.0,
        "weight_decay": 0.0,
        "clip_grad_norm": 0.5,
    }
    changed = []
    for library in ("detectron2", "mmengine"):
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
        before = torch.nn.utils.parameters_to_vector(network.parameters()).detach().clone()
        losses = [network(torch.full((2, 3), size)).square().sum() for size in (1.0, 5.0)]
        if library == "detectron2":
            steps = build_optimizer(settings_of(optimizer=optimizer), config_of(), network)
            for loss in losses:
                (loss / 2).backward()
            steps.step()
        else:
            plain = torch.optim.SGD(network.parameters(), lr=1.0)
            wrapper = OptimWrapper(plain, accumulative_counts=2, clip_grad={"max_norm": 0.5})
            for loss in losses:
                wrapper.update_params(loss)
        after = torch.nn.utils.parameters_to_vector(network.parameters()).detach()
        changed.append(after - before)
    torch.testing.assert_close(*changed)
    assert float(changed[0].norm()) == pytest.approx(0.5, rel=1e-4)


# Prediction


def test_boxes_below_the_score_threshold_are_dropped_and_no_others(
    part: LabeledImages, tmp_path: Path
) -> None:
    def found(threshold: float) -> pd.DataFrame:
        checkpoint = train(tmp_path / "work", data_of(part), epochs=1, score_threshold=threshold)
        boxes = backend_for("detectron2").predict(checkpoint, images_of(part))
        assert isinstance(boxes, pd.DataFrame)
        return boxes

    every = found(0.0)
    middle = float(every["score"].quantile(0.5, interpolation="lower")) + 1e-9
    assert 0 < (every["score"] >= middle).sum() < len(every)
    for threshold in (middle, 1.0):
        kept = every[every["score"] >= threshold].reset_index(drop=True)
        pd.testing.assert_frame_equal(found(threshold), kept)


# Augmentation


def test_each_look_at_a_picture_throws_its_own_coin(part: LabeledImages) -> None:
    from recycling.backends.detectron2_backend import session
    from recycling.backends.detectron2_backend.records import training_records
    from recycling.backends.detectron2_backend.samples import build_loader, stream_of

    # Copies, too: each of the 4 pictures is seen 3 times an epoch.
    changes: dict[str, Any] = {
        "augmentation": [{"HorizontalFlip": {"p": 0.5}}, {"VerticalFlip": {"p": 0.5}}],
        "sampler": {"name": "oversample", "copies": {"Paper": 3}},
        "batch_size": 4,
    }
    model, config = settings_of(**changes), config_of(**changes)
    with session.library():
        records = training_records(data_of(part), config, "x")
        stream = stream_of(model, records, ["Paper", "Metal"])
        loader = build_loader(model, config, stream, 0)
        looks = [sample for batch in itertools.islice(loader, 30) for sample in batch]
    first = {record["file_name"]: None for record in records}
    turns: dict[str, list[tuple[bool, bool]]] = {name: [] for name in first}
    for look in looks:
        name, picture = look["file_name"], look["image"]
        plain = plain_picture(name, config)
        turn = next(
            (left, up)
            for left, up in itertools.product((False, True), repeat=2)
            if torch.equal(turned(plain, left, up), picture)
        )
        turns[name].append(turn)
    every = [turn for one in turns.values() for turn in one]
    assert len(every) == 120
    for left, up in itertools.product((False, True), repeat=2):
        assert every.count((left, up)) / 120 == pytest.approx(0.25, abs=0.12)
    # A picture's three copies of an epoch are not turned alike.
    assert all(len(set(one)) == 4 for one in turns.values())


def plain_picture(name: str, config: Any) -> Any:
    from detectron2.data import detection_utils
    from detectron2.data import transforms as T

    picture = detection_utils.read_image(name, format=config.INPUT.FORMAT)
    picture = T.ResizeShortestEdge(64, 64).get_transform(picture).apply_image(picture)
    return torch.as_tensor(picture.transpose(2, 0, 1))


def turned(picture: Any, left: bool, up: bool) -> Any:
    dims = [-1] * left + [-2] * up
    return picture.flip(dims) if dims else picture


# Early stopping


def test_early_stopping_scores_one_look_at_each_picture(
    part: LabeledImages, tmp_path: Path
) -> None:
    from dataclasses import replace

    seen: list[pd.DataFrame] = []

    def score(found: Any) -> float:
        seen.append(found)
        return 0.5

    data, stop = replace(data_of(part), score=score), {"patience": 1}
    views = {"scales": [1.0, 1.5], "flip": True}
    for name, asked in (("plain", None), ("views", views)):
        train(
            tmp_path / name,
            data,
            epochs=1,
            early_stopping=stop,
            score_threshold=0.0,
            test_time_augmentation=asked,
        )
    pd.testing.assert_frame_equal(*seen)
    one, other = (
        weights_of(train(tmp_path / name, data, epochs=1, early_stopping=stop))
        for name in ("plain", "views")
    )
    assert all(torch.equal(one[key], other[key]) for key in one)
