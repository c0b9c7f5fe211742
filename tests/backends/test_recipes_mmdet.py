"""Each of mmdet's recipes: its size, its weights, and, slowly, a step and a prediction."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backends.on_meta import network_of, on_meta
from backends.tiny_trainings import draw_bright_squares, words_for
from recycling.annotations import (
    Annotations,
    LabeledImages,
)
from recycling.backends import BackendError, Images, Model, TrainingData, backend_for
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.data.training_set import TrainingSet
from recycling.backends.mmengine_backend.resolve import resolve

pytest.importorskip("torch")
pytest.importorskip("mmdet")
pytestmark = pytest.mark.usefixtures("index_read_once")

RECIPES = Path(__file__).parents[2] / "conf/recipes/mmdet"

PARAMETERS = {
    "cascade_rcnn_r50": 69_179_516,
    "cascade_rcnn_swin_base": 132_060_340,
    "cascade_rcnn_swin_large": 240_626_928,
    "cascade_rcnn_swin_small": 93_895_686,
    "cascade_rcnn_swin_tiny": 72_577_782,
    "d_fine_s": 10_231_997,
    "ddq_r50": 48_340_228,
    "deformable_detr_r50": 41_087_906,
    "detectors_cascade_rcnn_r50": 123_675_775,
    "dino_r50": 47_558_562,
    "efficientdet_d0": 3_833_267,
    "efficientdet_d4": 20_561_675,
    "faster_rcnn_r50": 41_394_306,
    "fcos_r18_narrow": 984_290,
    "fcos_timm": 3_682_515,
    "grounding_dino_swin_tiny": 172_914_717,
    "htc_r50": 77_186_970,
    "mask2former_r50": 44_005_387,
    "retinanet_r18_narrow": 1_047_822,
    "retinanet_swin_tiny": 37_006_456,
    "rtmdet_ins_s": 10_156_221,
    "rtmdet_l": 52_261_834,
    "rtmdet_s": 8_859_834,
    "rtmdet_tiny": 4_875_798,
    "soft_teacher_faster_rcnn_r50": 41_394_306,
    "ssd512_vgg16": 25_713_756,
    "tood_r50_narrow": 620_038,
    "tood_r50_narrow_dconv": 838_225,
    "tood_x101": 89_937_384,
    "tood_x101_dconv": 97_652_094,
    "yolov5_s": 9_126_062,
    "yolov5_x": 97_209_038,
    "yolox_narrow": 2_243_405,
    "yolox_s": 8_941_165,
    "yolox_x": 99_004_045,
}
"""Of each recipe's network with ten classes."""

NEEDS = {
    "d_fine": "transformers",
    "efficientdet": "effdet",
    "grounding_dino": "transformers",
    "yolov5": "ultralytics",
}
"""The optional libraries, by how the names of their recipes begin."""

PUBLISHED = {
    # Tan et al. 2020, table 2: 3.9 and 21 million, for the ninety ids of COCO.
    "efficientdet_d0": 3.9e6,
    "efficientdet_d4": 20.7e6,
    # mmdet's table of RTMDet.
    "rtmdet_l": 52.3e6,
    "rtmdet_s": 8.89e6,
    # torchvision's fasterrcnn_resnet50_fpn, 41,755,286: it has no weights of batch normalisation
    # (53,120), ten classes more (51,250), and regresses the background's box too (4,100).
    "faster_rcnn_r50": 41_755_286 + 53_120 - 51_250 - 4_100,
    # ultralytics' table of YOLOv5u: 9.1 and 97.2 million.
    "yolov5_s": 9.1e6,
    "yolov5_x": 97.2e6,
    # Ge et al. 2021, table 3: 9.0 and 99.1 million.
    "yolox_s": 9.0e6,
    "yolox_x": 99.1e6,
}
"""With the eighty classes of COCO."""

EMPTY_AT_FIRST = ("detectors_cascade_rcnn_r50", "mask2former_r50")

EVERY_QUERY = (
    "ddq_r50", "deformable_detr_r50", "dino_r50", "grounding_dino_swin_tiny", "mask2former_r50",
)  # fmt: skip
"""Their networks give the boxes of all queries; the project's prediction leaves out the unsure."""

SWIN = "https://github.com/SwinTransformer/storage/releases/download/v1.0.0"
EFFDET = "https://github.com/rwightman/efficientdet-pytorch/releases/download/v0.1"
ZOO = "https://download.openmmlab.com/mmdetection/v2.0"
ZOO3 = "https://download.openmmlab.com/mmdetection/v3.0"
WEIGHTS = {
    "cascade_rcnn_r50": f"{ZOO}/cascade_rcnn/",
    "cascade_rcnn_swin_base": f"{SWIN}/swin_base_patch4_window12_384_22k.pth",
    "cascade_rcnn_swin_large": f"{SWIN}/swin_large_patch4_window12_384_22k.pth",
    "cascade_rcnn_swin_small": f"{SWIN}/swin_small_patch4_window7_224.pth",
    "cascade_rcnn_swin_tiny": f"{SWIN}/swin_tiny_patch4_window7_224.pth",
    "d_fine_s": "https://huggingface.co/ustc-community/dfine-small-coco/",
    "ddq_r50": f"{ZOO3}/ddq/ddq-detr-4scale_r50_",
    "deformable_detr_r50": f"{ZOO3}/deformable_detr/deformable-detr-refine-twostage_r50_",
    "detectors_cascade_rcnn_r50": f"{ZOO}/detectors/",
    "dino_r50": f"{ZOO3}/dino/dino-4scale_r50_improved_",
    "efficientdet_d0": f"{EFFDET}/tf_efficientdet_d0_34-f153e0cf.pth",
    "efficientdet_d4": f"{EFFDET}/tf_efficientdet_d4_49-f56376d9.pth",
    "faster_rcnn_r50": f"{ZOO}/faster_rcnn/",
    "grounding_dino_swin_tiny": f"{ZOO3}/grounding_dino/groundingdino_swint_ogc_",
    "htc_r50": f"{ZOO}/htc/",
    "mask2former_r50": f"{ZOO3}/mask2former/mask2former_r50_",
    "retinanet_swin_tiny": f"{SWIN}/swin_tiny_patch4_window7_224.pth",
    "rtmdet_ins_s": f"{ZOO3}/rtmdet/rtmdet-ins_s_",
    "rtmdet_l": f"{ZOO3}/rtmdet/rtmdet_l_",
    "rtmdet_s": f"{ZOO3}/rtmdet/rtmdet_s_",
    "rtmdet_tiny": f"{ZOO3}/rtmdet/rtmdet_tiny_",
    "soft_teacher_faster_rcnn_r50": "open-mmlab://detectron2/resnet50_caffe",
    "ssd512_vgg16": f"{ZOO}/ssd/",
    "tood_x101": f"{ZOO}/tood/",
    "tood_x101_dconv": f"{ZOO}/tood/",
    "yolox_s": f"{ZOO}/yolox/yolox_s_",
    "yolox_x": f"{ZOO}/yolox/yolox_x_",
}
"""How the address of a recipe's own weights begins; the narrow ones and YOLOv5 have none.

timm's are in `test_timm`.
"""


def model(recipe: str, **settings: Any) -> Model:
    return Model(
        **{
            "task": "det",
            "backend": "mmdet",
            "recipe": recipe,
            "image_size": 128,
            "epochs": 1,
            "batch_size": 2,
            "optimizer": {"learning_rate": 1e-4},
            "options": words_for(recipe),
            **settings,
        }
    )


@cache
def resolved(recipe: str, n_classes: int = 10, pretrained: str = "none") -> Any:
    classes = [str(number) for number in range(n_classes)]
    data = TrainingSet(Path("train.json"), classes, n_samples=2, sha256="")
    settings = model(recipe, pretrained=pretrained, score_threshold=0.02)
    with session.library("mmdet"):
        return resolve(settings, RECIPES / f"{recipe}.py", data, Path("run"))


def need_library(recipe: str) -> None:
    for begins, library in NEEDS.items():
        if recipe.startswith(begins):
            pytest.importorskip(library, reason=f"{library} is optional and not installed")


def size(recipe: str, n_classes: int) -> int:
    need_library(recipe)
    network = network_of(resolved(recipe, n_classes), "mmdet")
    return sum(weights.numel() for weights in network.parameters())


def parts(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for value in node:
            yield from parts(value)


def sources(config: Any) -> list[str]:
    """Where a config takes weights from."""
    keys = ("checkpoint", "pretrained", "load_from")
    found = [part[key] for part in parts(config.to_dict()) for key in keys if key in part]
    return [source for source in found if isinstance(source, str)]


def test_each_recipe_is_in_the_table() -> None:
    assert sorted(PARAMETERS) == sorted(path.stem for path in RECIPES.glob("[!_]*.py"))


@pytest.mark.parametrize("recipe", PARAMETERS)
def test_a_recipe_has_the_size_in_the_table(recipe: str) -> None:
    assert size(recipe, 10) == PARAMETERS[recipe]


@pytest.mark.parametrize("recipe", PUBLISHED)
def test_with_the_classes_of_coco_a_recipe_has_its_published_size(recipe: str) -> None:
    assert size(recipe, 80) == pytest.approx(PUBLISHED[recipe], rel=0.01)


@pytest.mark.parametrize("recipe", WEIGHTS)
def test_official_weights_are_taken_when_asked_for_and_only_then(recipe: str) -> None:
    need_library(recipe)
    assert not sources(resolved(recipe))
    (source,) = set(sources(resolved(recipe, pretrained="default")))
    assert source.startswith(WEIGHTS[recipe])


def test_deformable_tood_has_all_weights_of_tood() -> None:
    """What is new are the offsets of 26 layers of the backbone and 2 of the head."""
    from mmengine.registry import MODELS

    from recycling.backends.shared.weight_layouts import fit

    need_library("tood_x101_dconv")
    own = {}
    for recipe, n_classes in (("tood_x101_dconv", 10), ("tood_x101", 80)):
        config = resolved(recipe, n_classes)
        with session.library("mmdet"), session.silence(), on_meta():
            own[recipe] = MODELS.build(config.model).state_dict()
    fitted = fit(own["tood_x101_dconv"], own["tood_x101"])
    assert (fitted.how, fitted.unused) == ("", ())
    assert len(fitted.missing) == 2 * (23 + 3 + 2)
    assert all("conv_offset" in name for name in fitted.missing)
    assert [name.split(" ")[0] for name in fitted.other_shape] == [
        "bbox_head.tood_cls.weight", "bbox_head.tood_cls.bias"
    ]  # fmt: skip


@pytest.mark.parametrize("recipe", PARAMETERS)
def test_every_head_has_the_classes_and_the_threshold_of_the_model(recipe: str) -> None:
    need_library(recipe)
    network = list(parts(resolved(recipe).model.to_dict()))
    counts = ("num_classes", "num_things_classes")  # the second of mmdet's Mask2Former
    assert {part[key] for part in network for key in counts if key in part} == {10}
    thresholds = {part["score_thr"] for part in network if "score_thr" in part}
    assert thresholds == (set() if recipe in EVERY_QUERY else {0.02})
    assert {part["frozen_stages"] for part in network if "frozen_stages" in part} <= {-1}
    assert {part["requires_grad"] for part in network if "requires_grad" in part} <= {True}
    assert not [part for part in network if part.get("type") == "SyncBN"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> LabeledImages:
    return draw_bright_squares(tmp_path_factory.mktemp("pictures"))


def labelled_by_models(pictures: LabeledImages) -> LabeledImages:
    tables = pictures.annotations
    pseudo = tables.annotations.assign(source="pseudo", score=0.9)
    return LabeledImages(Annotations(tables.images, pseudo, tables.categories), pictures.folder)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", PARAMETERS)
def test_a_recipe_takes_a_step_and_predicts(
    recipe: str, pictures: LabeledImages, tmp_path: Path
) -> None:
    need_library(recipe)
    parts = [pictures]
    if recipe.startswith("soft_teacher"):
        parts.append(labelled_by_models(pictures))
    data = TrainingData(parts, pictures, pictures.annotations.categories)
    backend = backend_for("mmdet")
    # Boxes of any score, so that a network after one step gives some.
    settings = model(recipe, score_threshold=0.0)
    try:
        checkpoint = backend.train(settings, RECIPES / f"{recipe}.py", data, tmp_path / "run")
        facts = json.loads((checkpoint.folder / "checkpoint.json").read_text())
        assert facts["iterations"] == 1
        assert np.isfinite(facts["last_loss"])
        found = backend.predict(checkpoint, Images(pictures.annotations.images, pictures.folder))
        assert isinstance(found, pd.DataFrame)
        assert len(found) <= 200
        # DetectoRS standardises its weights; without official ones its boxes are endless at first.
        # Mask2Former's masks are empty.
        assert (recipe in EMPTY_AT_FIRST) == found.empty
        assert set(found["category_id"]) <= {7}
    finally:
        # The largest leave 1 GB.
        shutil.rmtree(tmp_path / "run", ignore_errors=True)


def test_a_network_of_masks_does_not_learn_from_boxes_alone(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    tables = pictures.annotations
    boxes = tables.annotations.copy()
    boxes.loc[boxes.index[0], "segmentation"] = None
    without = LabeledImages(Annotations(tables.images, boxes, tables.categories), pictures.folder)
    data = TrainingData([without], without, tables.categories)
    for recipe in ("htc_r50", "mask2former_r50", "rtmdet_ins_s"):
        with pytest.raises(BackendError, match=rf"{recipe}.*1 of the training boxes have none"):
            backend_for("mmdet").train(
                model(recipe), RECIPES / f"{recipe}.py", data, tmp_path / recipe
            )
