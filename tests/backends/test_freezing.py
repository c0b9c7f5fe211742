"""The setting `freeze`: stages of the backbone that do not learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backends.tiny_trainings import data_of, model_of
from recycling.annotations import LabeledImages
from recycling.backends import BackendError
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.data.training_set import TrainingSet, write_training_set
from recycling.backends.mmengine_backend.resolve import resolve
from recycling.backends.mmengine_backend.settings.freezing import set_freeze

torch = pytest.importorskip("torch")
pytest.importorskip("mmpretrain")
pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

ZOO = Path(__file__).parents[2] / "conf/recipes"

FROZEN = [
    pytest.param("mmpretrain", "resnet18_narrow", 0, ["conv1", "bn1"], ["layer1"]),
    pytest.param("mmpretrain", "resnetv1d18_narrow", 2, ["stem", "layer1", "layer2"], ["layer3"]),
    pytest.param("mmpretrain", "efficientnet_b0", 2, ["layers.0", "layers.2"], ["layers.3"]),
    pytest.param(
        "mmpretrain",
        "convnext_tiny",
        1,
        ["downsample_layers.0", "stages.0"],
        ["downsample_layers.1", "stages.1"],
    ),
    pytest.param("mmpretrain", "swin_tiny", 1, ["patch_embed", "stages.0"], ["stages.1"]),
    pytest.param("mmdet", "retinanet_swin_tiny", 1, ["patch_embed", "stages.0"], ["stages.1"]),
    pytest.param("mmdet", "yolox_narrow", 1, ["stem", "stage1"], ["stage2"]),
    pytest.param("mmdet", "rtmdet_tiny", 1, ["stem", "stage1"], ["stage2"]),
    pytest.param("mmdet", "fcos_r18_narrow", 1, ["conv1", "bn1", "layer1"], ["layer2"]),
    pytest.param("mmseg", "fcn_r18_narrow", 1, ["stem", "layer1"], ["layer2"]),
    pytest.param("mmseg", "ocrnet_hr48", 1, ["conv1", "bn1", "layer1"], ["stage2"]),
]
QUICK = {("mmpretrain", "resnet18_narrow"), ("mmdet", "yolox_narrow"), ("mmseg", "fcn_r18_narrow")}


def marked(case: Any) -> Any:
    """All but a few trainings are slow: these networks are large."""
    slow = () if case.values[:2] in QUICK else (pytest.mark.slow,)
    return pytest.param(*case.values, marks=slow, id=f"{case.values[1]}-{case.values[2]}")


def set_of(pictures: LabeledImages, backend: str, folder: Path) -> TrainingSet:
    task = {"mmpretrain": "cls", "mmdet": "det", "mmseg": "seg"}[backend]
    return write_training_set(task, data_of(pictures), folder / "data")


def config_of(backend: str, recipe: str, freeze: int, data: TrainingSet, folder: Path) -> Any:
    """The config as `resolve` makes it, frozen; inside `session.library`."""
    model = model_of(backend, recipe=recipe, freeze=freeze, optimizer={"learning_rate": 1e-2})
    path = ZOO / backend / f"{recipe}.py"
    config = resolve(model.model_copy(update={"freeze": None}), path, data, folder)
    set_freeze(config, model)
    return config


@pytest.mark.parametrize(
    ("backend", "recipe", "freeze", "still", "moving"), [marked(case) for case in FROZEN]
)
def test_frozen_stages_keep_weights_and_statistics_to_the_bit_and_the_others_learn(
    backend: str,
    recipe: str,
    freeze: int,
    still: list[str],
    moving: list[str],
    pictures: LabeledImages,
    tmp_path: Path,
) -> None:
    from mmengine.runner import IterBasedTrainLoop, Runner

    data = set_of(pictures, backend, tmp_path)
    with session.library(backend), session.silence():
        config = config_of(backend, recipe, freeze, data, tmp_path)
        config.train_cfg = {"type": IterBasedTrainLoop, "max_iters": 2}
        config.train_dataloader.sampler.type = "InfiniteSampler"
        config.param_scheduler = []
        runner = Runner.from_cfg(config)
        runner.model.init_weights()
        runner.model._is_init = True
        before = {name: value.clone() for name, value in runner.model.state_dict().items()}
        runner.train()
        after = runner.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    for part in still:
        names = {name for name in before if name.startswith(f"backbone.{part}.")}
        assert names
        assert not names & changed
    for part in moving:
        names = {name for name, _ in runner.model.named_parameters()}
        names = {name for name in names if name.startswith(f"backbone.{part}.")}
        assert names & changed
        buffers = {name for name in before if name.startswith(f"backbone.{part}.")} - names
        statistics = {name for name in buffers if name.endswith("running_mean")}
        assert statistics <= changed


@pytest.mark.parametrize(
    ("backend", "recipe", "freeze", "message"),
    [
        ("mmpretrain", "densenet121", 1, "'freeze' for backbone 'DenseNet'; remove it"),
        ("mmpretrain", "mobilenet_v2", 1, "backbone 'MobileNetV2'"),
        ("mmpretrain", "squeezenet1_1", 1, "backbone 'TorchvisionFeatures'"),
        ("mmpretrain", "resnet18_narrow", 5, "freeze is 5, but ResNet can freeze 0 to 4"),
        ("mmpretrain", "convnext_tiny", 0, "freeze is 0, but ConvNeXt can freeze 1 to 4"),
        ("mmdet", "ssd512_vgg16", 1, "backbone 'SSDVGG'"),
        ("mmdet", "d_fine_s", 1, "DFine, which has no backbone of its own"),
        ("mmdet", "yolov5_s", 1, "YOLOv5, which has no backbone of its own"),
        ("mmseg", "segformer_b5", 1, "backbone 'MixVisionTransformer'"),
        ("mmseg", "unet", 1, "backbone 'UNet'"),
    ],
)
def test_a_backbone_that_cannot_freeze_so_is_named(
    backend: str, recipe: str, freeze: int, message: str, pictures: LabeledImages, tmp_path: Path
) -> None:
    data = set_of(pictures, backend, tmp_path)
    with session.library(backend), pytest.raises(BackendError, match=message) as caught:
        config_of(backend, recipe, freeze, data, tmp_path)
    assert recipe in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_backbones_side_by_side_freeze_their_own_way(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    data = set_of(pictures, "mmpretrain", tmp_path)
    with session.library("mmpretrain"):
        config = config_of("mmpretrain", "resnet34_efficientnet_b0", 2, data, tmp_path)
    frozen = [one["frozen_stages"] for one in config.model.backbone.backbones]
    assert frozen == [2, 3], "EfficientNet counts its first convolution"
