"""Each of mmseg's recipes: its size, its weights, and, slowly, a step and a prediction."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from backends.on_meta import network_of, on_meta
from backends.tiny_trainings import draw_bright_squares
from recycling.annotations import (
    LabeledImages,
)
from recycling.backends import BackendError, Images, Model, TrainingData, backend_for
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.data.training_set import TrainingSet
from recycling.backends.mmengine_backend.resolve import resolve
from recycling.predictions import LabelMaps

torch = pytest.importorskip("torch")
pytest.importorskip("mmseg")
pytestmark = pytest.mark.usefixtures("index_read_once")
pytest.importorskip("mmdet")
pytest.importorskip("mmpretrain")

RECIPES = Path(__file__).parents[2] / "conf/recipes/mmseg"

CLASSES = [str(number) for number in range(11)]
"""As many as the competition has: ten and the background."""

PARAMETERS = {
    "deeplabv3_r101": 87_098_998,
    "deeplabv3plus_r101": 62_575_846,
    "fcn_r101": 68_483_702,
    "fcn_r18_narrow": 2_860_603,
    "fpn_timm": 3_398_219,
    "knet_r50": 79_620_982,
    "knet_swin_large": 246_864_810,
    "lawin_swin_large": 204_292_858,
    "mask2former_swin_large": 215_453_056,
    "ocrnet_hr48": 70_361_574,
    "segformer_b5": 81_972_683,
    "semask_fpn_swin_large": 209_954_459,
    "unet": 29_061_846,
    "unet_imagenet": 32_522_555,
    "unet_plus_plus": 9_047_244,
    "unet_plus_plus_imagenet": 48_987_195,
    "upernet_beit_base": 163_265_366,
    "upernet_beit_large": 441_092_886,
    "upernet_convnext_large": 234_887_766,
    "upernet_swin_large": 233_855_946,
}
"""Of each recipe's network with eleven classes, auxiliary heads and all."""

HOSTS = ("https://mmassets.onedl.ai/", "https://download.pytorch.org/", "open-mmlab://")


def model(recipe: str, **settings: Any) -> Model:
    return Model(
        **{
            "task": "seg",
            "backend": "mmseg",
            "recipe": recipe,
            "image_size": 128,
            "epochs": 1,
            "batch_size": 2,
            "optimizer": {"learning_rate": 1e-4},
            **settings,
        }
    )


UNPUBLISHED = ("unet_plus_plus", "fcn_r18_narrow")
"""Nobody has published weights of these."""


@cache
def resolved(recipe: str, pretrained: str = "none", encoder: str | None = None) -> Any:
    data = TrainingSet(Path("train.json"), CLASSES, n_samples=2, sha256="")
    settings = model(recipe, pretrained=pretrained, encoder=encoder)
    with session.library("mmseg"):
        return resolve(settings, RECIPES / f"{recipe}.py", data, Path("run"))


def sources(node: Any) -> Iterator[str]:
    """Where a config takes weights from."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("checkpoint", "pretrained", "load_from") and isinstance(value, str):
                yield value
            else:
                yield from sources(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from sources(value)


def test_each_recipe_is_in_the_table() -> None:
    assert sorted(PARAMETERS) == sorted(path.stem for path in RECIPES.glob("[!_]*.py"))


@pytest.mark.parametrize("recipe", PARAMETERS)
def test_a_recipe_has_the_size_in_the_table(recipe: str) -> None:
    network = network_of(resolved(recipe), "mmseg")
    assert sum(weights.numel() for weights in network.parameters()) == PARAMETERS[recipe]


@pytest.mark.parametrize("recipe", [name for name in PARAMETERS if name != "fpn_timm"])
def test_official_weights_are_taken_when_asked_for_and_only_then(recipe: str) -> None:
    assert not list(sources(resolved(recipe).to_dict()))
    if recipe in UNPUBLISHED:
        with pytest.raises(BackendError, match="names no official weights; set pretrained: none"):
            resolved(recipe, pretrained="default")
        return
    (source,) = sources(resolved(recipe, pretrained="default").to_dict())
    assert source.startswith(HOSTS)


def test_semask_learns_from_the_hardest_pixels_and_its_priors_from_all() -> None:
    """As its authors train SeMask-L on ADE20K."""
    network = resolved("semask_fpn_swin_large").model
    assert network.decode_head.sampler == {"type": "OHEMPixelSampler", "min_kept": 100_000}
    assert "sampler" not in network.auxiliary_head
    assert network.auxiliary_head.loss_decode.loss_weight == 0.4


def test_lawin_has_the_width_of_its_authors_code() -> None:
    from recycling.backends.mmengine_backend.networks.segmenters import LawinHead

    settings = resolved("lawin_swin_large").model.decode_head.to_dict()
    assert settings.pop("type").endswith(".LawinHead")
    with on_meta():
        head = LawinHead(**settings)
    assert [layer.out_channels for layer in head.embeddings] == [48, 768, 768, 768]


def test_a_segmenter_that_learns_from_masks_reads_none_with_its_boxes() -> None:
    """mmseg's Mask2Former takes them out of the label map; its `LoadAnnotations` has no masks."""
    from mmengine.registry import TRANSFORMS

    with session.library("mmseg"):
        pipeline = resolved("mask2former_swin_large").train_dataloader.dataset.pipeline
        assert {"type": "LoadAnnotations"} in pipeline
        for step in pipeline:
            TRANSFORMS.build(step)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> LabeledImages:
    return draw_bright_squares(tmp_path_factory.mktemp("pictures"))


@pytest.mark.slow
@pytest.mark.parametrize("recipe", PARAMETERS)
def test_a_recipe_takes_a_step_and_predicts(
    recipe: str, pictures: LabeledImages, tmp_path: Path
) -> None:
    data = TrainingData([pictures], pictures, pictures.annotations.categories)
    backend = backend_for("mmseg")
    try:
        checkpoint = backend.train(model(recipe), RECIPES / f"{recipe}.py", data, tmp_path / "run")
        facts = json.loads((checkpoint.folder / "checkpoint.json").read_text())
        assert facts["iterations"] == 1
        assert np.isfinite(facts["last_loss"])
        maps = backend.predict(checkpoint, Images(pictures.annotations.images, pictures.folder))
        assert isinstance(maps, LabelMaps)
        assert [label_map.shape for label_map in maps.values()] == [(112, 144)] * 2
        assert max(int(label_map.max()) for label_map in maps.values()) <= 1
    finally:
        # The largest leave 1.8 GB.
        shutil.rmtree(tmp_path / "run", ignore_errors=True)


# The encoder of a U-Net --------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ["unet_imagenet", "unet_plus_plus_imagenet"])
@pytest.mark.parametrize(
    ("encoder", "file", "channels"),
    [
        ("resnet34", "resnet34-b627a593.pth", [64, 64, 128, 256, 512]),
        ("efficientnet_b0", "efficientnet_b0_rwightman-7f5810bc.pth", [16, 24, 40, 112, 320]),
        ("convnext_tiny", "convnext_tiny-983f1562.pth", [96, 192, 384, 768]),
    ],
)
def test_an_encoder_brings_its_channels_and_its_weights(
    recipe: str, encoder: str, file: str, channels: list[int]
) -> None:
    network = resolved(recipe, "default", encoder).model
    assert network.backbone.encoder == encoder
    assert network.decode_head.in_channels == channels
    (source,) = sources(network.to_dict())
    assert source == f"https://download.pytorch.org/models/{file}"
    assert not list(sources(resolved(recipe, "none", encoder).to_dict()))


def test_an_encoder_sees_colours_as_its_weights_have_seen_them() -> None:
    for encoder in (None, "resnet34", "efficientnet_v2_s"):
        preprocessor = resolved("unet_imagenet", encoder=encoder).model.data_preprocessor
        assert preprocessor.mean == [123.675, 116.28, 103.53]
        assert preprocessor.std == [58.395, 57.12, 57.375]
    preprocessor = resolved("unet_imagenet", encoder="efficientnet_v2_l").model.data_preprocessor
    assert preprocessor.mean == preprocessor.std == [127.5] * 3


@pytest.mark.parametrize("recipe", ["unet", "unet_plus_plus", "upernet_swin_large"])
def test_a_recipe_without_an_encoder_to_choose_refuses_one(recipe: str) -> None:
    message = f"^model '{recipe}': cannot honour 'encoder': it has none to choose; remove it, or"
    with pytest.raises(BackendError, match=message):
        resolved(recipe, encoder="resnet34")


def test_encoders_that_there_are_not_are_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValidationError, match="'resnet18', 'resnet34'"):
        model("unet_imagenet", encoder="resnet35")
    with pytest.raises(ValidationError, match=r"encoder is of U-Nets for masks; task 'det' has"):
        model("yolox_s", encoder="resnet34", task="det", backend="mmdet")


@pytest.mark.parametrize("recipe", ["unet_imagenet", "unet_plus_plus_imagenet"])
def test_torchvision_s_weights_start_the_encoder(
    recipe: str, pictures: LabeledImages, tmp_path: Path
) -> None:
    from torchvision.models import get_model

    torch.manual_seed(1)
    expected = get_model("resnet18").state_dict()
    torch.save(expected, tmp_path / "weights.pth")
    here = tmp_path / "here.py"
    here.write_text(
        f'_base_ = "{RECIPES}/{recipe}.py"\n'
        'model = dict(backbone=dict(encoder="resnet18", init_cfg=dict('
        f'checkpoint="{tmp_path}/weights.pth")),\n'
        "    decode_head=dict(in_channels=[64, 64, 128, 256, 512]))\n"
    )
    still = {"name": "SGD", "learning_rate": 1e-12, "weight_decay": 0.0}
    settings = model("here", pretrained="default", optimizer=still, image_size=64)
    data = TrainingData([pictures], pictures, pictures.annotations.categories)
    checkpoint = backend_for("mmseg").train(settings, here, data, tmp_path / "run")
    weights = torch.load(checkpoint.weights, weights_only=True)
    kernels = [name for name, tensor in expected.items() if tensor.ndim == 4]
    assert len(kernels) == 20
    for name in kernels:
        torch.testing.assert_close(weights[f"backbone.{name}"], expected[name])
