"""What is unsure is ignored: nothing is learnt as background in a region marked with `iscrowd`."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backends.heads import (
    RECIPES,
    REGION,
    SIDE,
    built,
    config_of,
    detector,
    losses_of,
    outputs_of,
    samples,
)
from backends.loaded_trainings import samples_of
from backends.tiny_trainings import draw_pictures, train
from recycling.annotations import LabeledImages
from recycling.backends.mmengine_backend import session

pytest.importorskip("mmdet")


@pytest.fixture(scope="module", autouse=True)
def library() -> Iterator[None]:
    with session.library("mmdet"):
        yield


def fire(maps: Any, score: float) -> list[Any]:
    """Scores of all classes, (B, C, H, W) a level, with others in the middle of the region."""
    changed = []
    x_min, y_min, x_max, y_max = REGION
    for level in maps:
        level = level.clone()
        for row in range(level.shape[2]):
            for column in range(level.shape[3]):
                stride = SIDE / level.shape[2]
                inside = (
                    x_min <= column * stride
                    and (column + 0.5) * stride <= x_max
                    and y_min <= row * stride
                    and (row + 0.5) * stride <= y_max
                )
                if inside:
                    level[:, :, row, column] = score
        changed.append(level)
    return changed


@pytest.mark.parametrize(
    ("recipe", "name", "epoch"),
    [
        ("yolox_narrow", "bbox_head", 0),
        ("fcos_r18_narrow", "bbox_head", 0),
        ("retinanet_swin_tiny", "bbox_head", 0),
        ("ssd512_vgg16", "bbox_head", 0),
        ("faster_rcnn_r50", "rpn_head", 0),
        ("rtmdet_tiny", "bbox_head", 0),
        pytest.param("tood_x101", "bbox_head", 0, id="tood-first-epochs"),
        pytest.param("tood_x101", "bbox_head", 9, id="tood-later"),
    ],
)
def test_what_fires_in_an_ignore_region_costs_nothing(recipe: str, name: str, epoch: int) -> None:
    import torch
    from mmengine.logging import MessageHub

    from recycling.backends.mmengine_backend.networks.detectors.ignore_regions import (
        leave_out_ignore_regions,
    )

    torch.manual_seed(1)
    MessageHub.get_current_instance().update_info("epoch", epoch)
    head = built(recipe, name)
    with torch.no_grad():
        plain = outputs_of(head)
        score = 0.9 if recipe.startswith("tood") else 3.0
        fired = [fire(plain[0], score), *plain[1:]]
        if recipe.startswith("yolox"):
            fired[2] = fire(plain[2], score)
        before = [losses_of(head, outputs, samples(marked=True)) for outputs in (plain, fired)]
        assert before[0] != pytest.approx(before[1], rel=1e-3), "mmdet by itself learns it"
        leave_out_ignore_regions(detector(name, head), "det.test")
        assert losses_of(head, plain, samples(marked=True)) == pytest.approx(
            losses_of(head, fired, samples(marked=True)), rel=1e-6
        )
        unmarked = [losses_of(head, outputs, samples(marked=False)) for outputs in (plain, fired)]
    assert unmarked[0] != pytest.approx(unmarked[1], rel=1e-3)
    assert before[0] == pytest.approx(unmarked[0], rel=1e-6), "unmarked, it learns as ever"


@pytest.mark.parametrize("recipe", ["faster_rcnn_r50", "cascade_rcnn_r50"])
def test_proposals_in_an_ignore_region_are_no_background(recipe: str) -> None:
    import torch
    from mmengine.structures import InstanceData

    from recycling.backends.mmengine_backend.networks.detectors.ignore_regions import (
        leave_out_ignore_regions,
    )

    torch.manual_seed(1)
    roi_head = built(recipe, "roi_head")
    features = tuple(
        torch.randn(2, 256, SIDE // stride, SIDE // stride) for stride in (4, 8, 16, 32)
    )
    outside = [[10.0, 10, 42, 44], [60, 4, 90, 30], [4, 70, 40, 120]]
    inside = [[70.0, 60, 100, 90], [66, 60, 126, 124]]

    def loss(proposals: list[Any], *, marked: bool) -> float:
        torch.manual_seed(0)
        given = [InstanceData(bboxes=torch.tensor(proposals)) for _ in range(2)]
        with torch.no_grad():
            losses = roi_head.loss(features, given, samples(marked=marked))
        return float(sum(value.sum() for name, value in losses.items() if "loss" in name))

    leave_out_ignore_regions(detector("roi_head", roi_head), "det.test")
    marked = [loss(boxes, marked=True) for boxes in (outside, [*outside, *inside])]
    assert marked[0] == pytest.approx(marked[1], rel=1e-5)
    unmarked = [loss(boxes, marked=False) for boxes in (outside, [*outside, *inside])]
    assert unmarked[0] != pytest.approx(unmarked[1], rel=1e-3)


def test_each_recipe_of_mmdet_can_or_says_so() -> None:
    from recycling.backends.mmengine_backend.networks.detectors import ignore_regions

    known = {*ignore_regions.BY_ASSIGNER, *ignore_regions.BY_POINTS, "FCOSHead", "YOLOXHead"}
    cannot = set()
    for path in sorted(RECIPES.glob("*.py")):
        if path.stem.startswith("grounding_dino"):
            continue  # by queries, too; its config takes a vocabulary
        config = config_of(path.stem)
        names = [name for name in ("rpn_head", "bbox_head", "roi_head") if config.get(name)]
        types = {config[name]["type"].rpartition(".")[2] for name in names}
        if not types or types - known:
            cannot.add(path.stem)
    # Queries are matched one to one with objects; all others are learnt as no object.
    by_queries = {"d_fine_s", "ddq_r50", "deformable_detr_r50", "dino_r50", "mask2former_r50"}
    assert cannot == {"yolov5_s", "yolov5_x"} | by_queries


def test_a_head_that_cannot_is_said_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    from mmengine.registry import MODELS

    from recycling.backends.mmengine_backend.networks.detectors.ignore_regions import (
        leave_out_ignore_regions,
    )

    head = MODELS.build(
        {"type": "CenterNetHead", "in_channels": 8, "feat_channels": 8, "num_classes": 2}
    )
    with caplog.at_level(logging.WARNING):
        leave_out_ignore_regions(detector("bbox_head", head), "det.center")
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("det.center: CenterNetHead learns what is unmatched in ignore regions")
    assert "YOLOXHead" in line


# The way to the network -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> LabeledImages:
    """Eight pictures, each with a box to learn and a disc's place to ignore."""
    return with_ignored(draw_pictures(tmp_path_factory.mktemp("pictures")))


def with_ignored(pictures: LabeledImages) -> LabeledImages:
    tables = pictures.annotations
    rows = tables.annotations
    rows = rows.assign(iscrowd=rows["category_id"] == 3)
    return replace(pictures, annotations=replace(tables, annotations=rows))


@pytest.mark.parametrize(
    "augmentation",
    [
        ["mosaic"],
        ["mixup"],
        ["copy_paste"],
        ["HorizontalFlip"],
        [{"Affine": {"scale": 0.8, "p": 1}}],
    ],
    ids=lambda entries: str(entries[0]),
)
def test_augmentations_carry_ignore_regions_along(
    augmentation: list[Any], pictures: LabeledImages, tmp_path: Path
) -> None:
    _, data = samples_of("mmdet", pictures, tmp_path, augmentation=augmentation)
    found = [data[number]["data_samples"] for number in range(len(data))]
    objects = sum(len(sample.gt_instances) for sample in found)
    regions = sum(len(sample.ignored_instances) for sample in found)
    # As many as objects, but for those that a crop or an edge has left out.
    assert objects > 12
    assert regions > 12
    assert all((sample.gt_instances.labels == 0).all() for sample in found), "boxes are learnt"
    assert all((sample.ignored_instances.labels == 1).all() for sample in found), "discs are not"


def test_an_ignore_region_is_no_object_for_a_sampler(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    from recycling.backends.mmengine_backend.data.samplers import classes_of

    _, data = samples_of("mmdet", pictures, tmp_path)
    assert set().union(*classes_of(data)) == {0}


def test_a_training_with_ignore_regions_is_another_one_and_says_so(
    pictures: LabeledImages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        checkpoint = train("mmdet", pictures, tmp_path, batch_size=16)
    said = [record.getMessage() for record in caplog.records if "ignore" in record.getMessage()]
    # The pictures are there twice.
    assert said == [
        "run: nothing is learnt as background in 16 ignore regions (crowds, or what is unsure) on "
        "16 images: 1.png, 2.png, 3.png, 4.png, 5.png, 6.png, 7.png, 8.png, 1.png, 2.png, ... "
        "(6 more)"
    ]
    facts = json.loads((checkpoint.folder.parent / "training.json").read_text())
    assert facts["ignore regions"] == "16, left out of the background"
    assert facts["recipe.train_dataloader.dataset.type"] == "BoxesAndIgnoreRegions"


def test_a_segmenter_that_learns_whole_masks_is_named(caplog: pytest.LogCaptureFixture) -> None:
    from types import SimpleNamespace

    from recycling.backends.mmengine_backend.networks.segmenters.ignored_pixels import (
        say_what_cannot_ignore,
    )

    class MaskFormerHead:
        """A head of that name."""

    for head in (object(), MaskFormerHead()):
        say_what_cannot_ignore(SimpleNamespace(decode_head=head), "seg.masks")
    (record,) = caplog.records
    assert record.getMessage().startswith("seg.masks: MaskFormerHead learns that ignored pixels")
