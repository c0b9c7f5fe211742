"""Anchors: proposed from boxes, measured, and put into a network."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recycling.annotations import ANNOTATIONS, BOX, CATEGORIES, IMAGES, Annotations
from recycling.backends import Anchors, BackendError, Model
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.data.training_set import TrainingSet
from recycling.backends.mmengine_backend.resolve import resolve
from recycling.backends.mmengine_backend.settings.anchors import set_anchors
from recycling.backends.shared.anchor_proposal import (
    FASTER_RCNN,
    anchor_fit,
    anchor_report,
    propose_anchors,
)

RECIPES = Path(__file__).parents[2] / "conf/recipes/mmdet"


def boxes_of(anchors: Anchors, n_levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes that are just these anchors."""
    shapes = [
        (size * 2**level / ratio**0.5, size * 2**level * ratio**0.5)
        for level in range(n_levels)
        for size in anchors.sizes
        for ratio in anchors.ratios
    ]
    widths, heights = np.repeat(shapes, 20, axis=0).T
    return widths, heights


# Proposing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "anchors",
    [
        Anchors(sizes=(11.0,), ratios=(0.4, 1.0, 2.5)),
        Anchors(sizes=(20.0, 28.0), ratios=(0.5, 2.0)),
    ],
)
def test_anchors_are_found_again_in_boxes_made_of_them(anchors: Anchors) -> None:
    widths, heights = boxes_of(anchors, 4)
    found = propose_anchors(
        widths,
        heights,
        n_levels=4,
        n_sizes=len(anchors.sizes),
        n_ratios=len(anchors.ratios),
    )
    assert anchor_fit(widths, heights, found, n_levels=4).mean_iou > 0.97
    assert found.ratios == pytest.approx(anchors.ratios, rel=0.05)


def test_small_and_long_boxes_get_better_anchors_than_the_default_ones() -> None:
    rng = np.random.default_rng(0)
    sizes, ratios = rng.lognormal(np.log(18), 0.5, 2000), rng.lognormal(0, 0.9, 2000)
    widths, heights = sizes / np.sqrt(ratios), sizes * np.sqrt(ratios)
    proposed = propose_anchors(widths, heights, n_levels=5)
    before = anchor_fit(widths, heights, FASTER_RCNN, n_levels=5)
    after = anchor_fit(widths, heights, proposed, n_levels=5)
    assert after.mean_iou > before.mean_iou + 0.1
    assert after.recall > before.recall + 0.3


def test_the_same_boxes_in_any_order_get_the_same_anchors() -> None:
    rng = np.random.default_rng(1)
    widths, heights = rng.uniform(5, 300, (2, 5500))
    order = rng.permutation(5500)
    first = propose_anchors(widths, heights, n_levels=5)
    assert propose_anchors(widths[order], heights[order], n_levels=5) == first


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(st.floats(0.5, 2000), st.floats(0.5, 2000)),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 5),
    st.integers(1, 3),
)
def test_any_boxes_get_as_many_anchors_as_asked_for(
    boxes: list[tuple[float, float]], n_levels: int, n_sizes: int
) -> None:
    widths, heights = np.array(boxes).T
    anchors = propose_anchors(widths, heights, n_levels=n_levels, n_sizes=n_sizes, n_ratios=2)
    assert (len(anchors.sizes), len(anchors.ratios)) == (n_sizes, 2)
    fit = anchor_fit(widths, heights, anchors, n_levels=n_levels)
    assert 0 < fit.mean_iou <= 1
    assert 0 <= fit.recall <= 1


def test_the_fit_is_the_overlap_of_box_and_anchor_on_one_centre() -> None:
    anchors = Anchors(sizes=(10.0,), ratios=(1.0,))
    # 5 x 10 in 10 x 10 is a half; 40 x 40 is the third level itself; 1 x 1 is no match.
    fit = anchor_fit([5, 40, 1], [10, 40, 1], anchors, n_levels=3)
    assert fit.mean_iou == pytest.approx((0.5 + 1.0 + 0.01) / 3)
    assert fit.recall == pytest.approx(2 / 3)


def test_no_box_is_an_error_that_says_so() -> None:
    with pytest.raises(BackendError, match="no box"):
        propose_anchors([], [], n_levels=5)


# The report -------------------------------------------------------------------------------------


def annotations(boxes: list[tuple[float, float, float, float, int, bool]]) -> Annotations:
    """On one picture of 400 x 200 pixels: boxes, category and whether it is a crowd."""
    image = {"image_id": 1, "file_name": "1.jpg", "width": 400, "height": 200, "group": "1"}
    rows = [
        {
            "annotation_id": number,
            "image_id": 1,
            "category_id": category_id,
            **dict(zip(BOX, box, strict=True)),
            "area": 1.0,
            "segmentation": None,
            "iscrowd": crowd,
            "source": "human",
            "score": 1.0,
            "extra": None,
        }
        for number, (*box, category_id, crowd) in enumerate(boxes)
    ]
    categories = {
        "category_id": [7, 3],
        "name": ["can", "bag"],
        "supercategory": "waste",
        "extra": None,
    }
    return Annotations(
        IMAGES.conform(pd.DataFrame([{**image, "extra": None}]), where="images"),
        ANNOTATIONS.conform(pd.DataFrame(rows), where="annotations"),
        CATEGORIES.conform(pd.DataFrame(categories), where="categories"),
    )


def test_the_report_measures_each_category_as_the_network_sees_its_boxes() -> None:
    report = anchor_report(
        annotations(
            [
                (0, 0, 20, 20, 7, False),
                (0, 0, 40, 40, 7, False),
                (0, 0, 100, 50, 3, False),
                (0, 0, 400, 200, 3, True),
            ]
        ),
        image_size=800,
    )
    table = report.table.set_index("category")
    assert table["boxes"].to_dict() == {"all": 3, "can": 2, "bag": 1}
    # At 800 pixels the picture is twice as large: cans of 40 and 80, a bag of 200 x 100.
    assert table.loc["can", "size_50"] == pytest.approx(60)
    assert table.loc["bag", "ratio_50"] == pytest.approx(0.5)
    assert table.loc["can", "default_mean_iou"] == pytest.approx(
        (32**2 / 40**2 + 64**2 / 80**2) / 2
    )
    assert table.loc["all", "proposed_mean_iou"] > table.loc["all", "default_mean_iou"]
    assert len(report.proposed.sizes) == 1


# In a network -----------------------------------------------------------------------------------


def training_set(folder: Path, boxes: list[list[float]] | None = None) -> TrainingSet:
    """One picture of 400 x 200 pixels."""
    if boxes is None:
        boxes = [[0, 0, 10, 20], [50, 50, 90, 70], [100, 20, 180, 100], [0, 0, 12, 12]]
    instances = [{"bbox": box, "bbox_label": 0, "ignore_flag": 0} for box in boxes]
    instances.append({"bbox": [0, 0, 400, 200], "bbox_label": 0, "ignore_flag": 1})
    sample = {"img_path": "1.jpg", "width": 400, "height": 200, "instances": instances}
    file = folder / "train.json"
    file.write_text(json.dumps({"metainfo": {"classes": ["can"]}, "data_list": [sample]}))
    return TrainingSet(file, ["can"], 1, "")


def with_anchors(recipe: str, anchors: Any, folder: Path, **boxes: Any) -> Any:
    pytest.importorskip("mmdet")
    model = Model(
        task="det",
        backend="mmdet",
        recipe=recipe,
        image_size=128,
        epochs=1,
        batch_size=1,
        optimizer={"learning_rate": 1e-4},
    )
    data = training_set(folder, **boxes)
    with session.library("mmdet"):
        config = resolve(model, RECIPES / f"{recipe}.py", data, folder)
        set_anchors(config, Model(**{**model.model_dump(), "anchors": anchors}), data)
    return config


def shapes(config: Any, head: str) -> list[list[tuple[float, float]]]:
    """Width and height of each anchor of each level."""
    from mmdet.registry import TASK_UTILS

    with session.library("mmdet"):
        generator = TASK_UTILS.build(config.model[head].anchor_generator)
    return [
        [(right - left, bottom - top) for left, top, right, bottom in level.tolist()]
        for level in generator.base_anchors
    ]


@pytest.mark.parametrize(
    ("recipe", "head", "n_levels"),
    [
        ("faster_rcnn_r50", "rpn_head", 5),
        ("cascade_rcnn_swin_tiny", "rpn_head", 5),
        ("retinanet_swin_tiny", "bbox_head", 5),
        ("ssd512_vgg16", "bbox_head", 7),
    ],
)
def test_given_sizes_are_those_of_the_finest_level_and_double_from_there(
    recipe: str, head: str, n_levels: int, tmp_path: Path
) -> None:
    config = with_anchors(recipe, {"sizes": [12, 16], "ratios": [1, 4]}, tmp_path)
    levels = shapes(config, head)
    assert len(levels) == n_levels
    for level, found in enumerate(levels):
        factor = 2**level
        expected = [(12, 12), (16, 16), (6, 24), (8, 32)]
        scaled = sorted((width * factor, height * factor) for width, height in expected)
        assert np.allclose(sorted(found), scaled)


@pytest.mark.parametrize("recipe", ["faster_rcnn_r50", "retinanet_swin_tiny", "ssd512_vgg16"])
def test_anchors_stay_at_the_places_where_the_network_looks(recipe: str, tmp_path: Path) -> None:
    from mmdet.registry import TASK_UTILS

    head = "rpn_head" if recipe == "faster_rcnn_r50" else "bbox_head"
    centres = []
    for anchors in (None, {"sizes": [12], "ratios": [1]}):
        config = with_anchors(recipe, anchors, tmp_path)
        with session.library("mmdet"):
            generator = TASK_UTILS.build(config.model[head].anchor_generator)
        maps = [(2, 3)] * generator.num_levels
        boxes = generator.grid_priors(maps, device="cpu")
        counts = generator.num_base_priors
        centres.append(
            [
                ((level[::count, :2] + level[::count, 2:]) / 2).tolist()
                for level, count in zip(boxes, counts, strict=True)
            ]
        )
    for before, after in zip(*centres, strict=True):
        assert np.allclose(before, after)


def test_proposed_anchors_fit_the_boxes_that_are_trained_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "recycling"):
        config = with_anchors("faster_rcnn_r50", "proposed", tmp_path)
    generator = config.model.rpn_head.anchor_generator
    anchors = Anchors(sizes=generator["scales"], ratios=generator["ratios"])
    assert (len(anchors.sizes), len(anchors.ratios)) == (1, 3)
    # As the network sees them: 400 pixels are 128.
    widths, heights = np.array([[10, 20], [40, 20], [80, 80], [12, 12]]).T * 128 / 400
    assert anchor_fit(widths, heights, anchors, n_levels=5).recall == 1
    assert anchor_fit(widths, heights, FASTER_RCNN, n_levels=5).recall < 0.6
    assert "RPNHead: anchors of sizes" in caplog.text


def test_a_network_with_other_anchors_is_built_and_learns_a_box(tmp_path: Path) -> None:
    import torch
    from mmdet.registry import MODELS
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    config = with_anchors("retinanet_swin_tiny", {"sizes": [12, 20], "ratios": [0.5, 1]}, tmp_path)
    with session.library("mmdet"), session.silence():
        network = MODELS.build(config.model)
        sample = DetDataSample(
            metainfo={"img_shape": (64, 64), "pad_shape": (64, 64), "batch_input_shape": (64, 64)}
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor([[10.0, 10, 30, 30]]), labels=torch.tensor([0])
        )
        losses = network.loss(torch.zeros(1, 3, 64, 64), [sample])
    assert network.bbox_head.num_base_priors == 4
    assert all(torch.isfinite(loss).all() for level in losses.values() for loss in level)


@pytest.mark.parametrize("recipe", ["yolox_narrow", "fcos_r18_narrow", "tood_x101"])
def test_a_network_without_anchors_says_that_it_has_none(recipe: str, tmp_path: Path) -> None:
    with pytest.raises(
        BackendError, match=f"{recipe}.*cannot honour 'anchors'.*remove it"
    ) as error:
        with_anchors(recipe, "proposed", tmp_path)
    assert "\n" not in str(error.value)


def test_anchors_cannot_be_proposed_from_no_box(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="faster_rcnn_r50.*no box"):
        with_anchors("faster_rcnn_r50", "proposed", tmp_path, boxes=[])


def test_without_the_setting_a_recipe_keeps_its_anchors(tmp_path: Path) -> None:
    config = with_anchors("faster_rcnn_r50", None, tmp_path)
    assert config.model.rpn_head.anchor_generator["scales"] == [8]
