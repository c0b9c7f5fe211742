"""Weights that others made start a training: read, counted, or refused for the true reason."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recycling.backends import BackendError

torch = pytest.importorskip("torch")
pytest.importorskip("mmpretrain")

from recycling.backends.mmengine_backend import session  # noqa: E402
from recycling.backends.mmengine_backend.checkpoint import load_pretrained  # noqa: E402
from recycling.backends.shared.weight_files import read_state  # noqa: E402
from recycling.backends.shared.weight_layouts import fit  # noqa: E402

SIZES = (8, 16, 32, 64)


@cache
def _built(kind: str) -> Any:
    """A classifier of mmpretrain, tiny."""
    backbones = {
        "resnet": {"type": "ResNet", "depth": 18},
        "resnet_d": {"type": "ResNetV1d", "depth": 18},
        "convnext": {"type": "ConvNeXt", "arch": {"depths": [1] * 4, "channels": list(SIZES)}},
        "swin": {
            "type": "SwinTransformer",
            "arch": {"embed_dims": 12, "depths": [2] * 4, "num_heads": [1, 1, 2, 2]},
            "img_size": 128,
            "window_size": 4,
        },
    }
    with session.library("mmpretrain"), session.silence():
        from mmpretrain.registry import MODELS

        return MODELS.build(
            {
                "type": "ImageClassifier",
                "backbone": backbones[kind],
                "head": {"type": "LinearClsHead", "num_classes": 3, "in_channels": 24},
            }
        ).eval()


def _torchvision_resnet() -> Any:
    return pytest.importorskip("torchvision").models.resnet18(num_classes=10)


def _torchvision_convnext() -> Any:
    convnext = pytest.importorskip("torchvision.models.convnext")
    following = (*SIZES[1:], None)
    stages = [convnext.CNBlockConfig(n, m, 1) for n, m in zip(SIZES, following, strict=True)]
    return convnext.ConvNeXt(stages, num_classes=10, layer_scale=1.0)


def _timm_resnet_d() -> Any:
    return pytest.importorskip("timm").create_model("resnet18d", num_classes=10)


def _timm_convnext() -> Any:
    convnext = pytest.importorskip("timm.models.convnext")
    return convnext.ConvNeXt(depths=(1,) * 4, dims=SIZES, num_classes=10, ls_init_value=1.0)


def _features(network: Any, images: Any) -> Any:
    """What the backbone sees, before pooling: (N, C, H, W)."""
    if hasattr(network, "backbone"):
        return network.backbone(images)[-1]
    if hasattr(network, "forward_features"):  # timm's
        return network.forward_features(images)
    if hasattr(network, "features"):
        return network.features(images)
    for layer in list(network.children())[:-2]:
        images = layer(images)
    return images


@pytest.mark.parametrize(
    ("kind", "make", "layout"),
    [
        ("resnet", _torchvision_resnet, ""),
        ("resnet_d", _timm_resnet_d, "as timm's ResNet-D, "),
        ("convnext", _torchvision_convnext, "as torchvision's ConvNeXt, "),
        ("convnext", _timm_convnext, "as timm's ConvNeXt, "),
    ],
    ids=["torchvision resnet", "timm resnet-d", "torchvision convnext", "timm convnext"],
)
def test_weights_of_others_see_what_they_saw_there(
    kind: str,
    make: Callable[[], Any],
    layout: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    theirs = _trained(make())
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    network = _built(kind)
    with session.library("mmpretrain"), caplog.at_level(logging.INFO):
        load_pretrained(network, tmp_path / "theirs.pth", "cls.mine.fold0")
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        seen, expected = _features(network, images), _features(theirs, images)
    if kind == "convnext":  # mmpretrain pools, and norms what is left
        expected = expected.mean((-2, -1))
        head = theirs.head.norm if hasattr(theirs, "head") else theirs.classifier[0]
        expected = head(expected[..., None, None]).flatten(1)
    torch.testing.assert_close(seen, expected, rtol=1e-3, atol=1e-4)
    (line,) = caplog.messages
    assert line.startswith(
        f"cls.mine.fold0: pretrained {tmp_path / 'theirs.pth'}: read {layout}with"
    )
    n = sum("num_batches" not in name for name in network.backbone.state_dict())
    assert f"{n} of the network's {n + 2} weights are in it; missing: 2 (head.fc.weight," in line
    assert "not the network's: " in line


def _trained(network: Any) -> Any:
    """With numbers that no initialisation gives, so that a layer left out is seen."""
    torch.manual_seed(1)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.0) if "var" in name else tensor.normal_(0, 0.2)
    return network.eval()


def test_the_pixels_that_swin_merges_are_counted_as_they_are_here(tmp_path: Path) -> None:
    swin = pytest.importorskip("torchvision").models.SwinTransformer
    theirs = _trained(swin([4, 4], 12, [2] * 4, [1, 1, 2, 2], [4, 4], num_classes=10))
    network = _built("swin")
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    with session.library("mmpretrain"):
        load_pretrained(network, tmp_path / "theirs.pth", "cls.mine.fold0")
    images = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        expected = theirs.norm(theirs.features(images)).permute(0, 3, 1, 2)
        torch.testing.assert_close(network.backbone(images)[-1], expected, rtol=1e-3, atol=1e-4)


def test_timms_swin_merges_at_the_beginning_of_a_stage() -> None:
    ours = {name: torch.zeros(tensor.shape) for name, tensor in _built("swin").state_dict().items()}
    timms = pytest.importorskip("timm.models.swin_transformer").SwinTransformer(
        img_size=128, window_size=4, embed_dim=12, depths=(2,) * 4, num_heads=(1, 1, 2, 2)
    )
    fitted = fit(ours, timms.state_dict())
    assert fitted.how == "as timm's Swin, with 'backbone.'"
    assert fitted.missing == ("head.fc.weight", "head.fc.bias")
    merged = "backbone.stages.0.downsample.reduction.weight"
    theirs = timms.state_dict()["layers.1.downsample.reduction.weight"]
    # The second input here is the first channel of the pixel to the right, there pixel 2 of 4.
    torch.testing.assert_close(fitted.weights[merged][:, 1], theirs[:, 2 * 12])


OWN = {"backbone.conv1.weight": (4, 3), "backbone.bn1.bias": (4,), "head.fc.weight": (3, 4)}


def _state(prefix: str = "", names: tuple[str, ...] = tuple(OWN)) -> dict[str, Any]:
    return {
        f"{prefix}{name}": torch.full(OWN[name], float(i)) for i, name in enumerate(names, start=1)
    }


@pytest.mark.parametrize(
    ("content", "how", "where"),
    [
        (_state("module."), "without 'module.'", ""),
        ({"state_dict": _state("model."), "epoch": 3}, "without 'model.'", "state_dict"),
        ({"state_dict": _state("model.module.")}, "without 'model.module.'", "state_dict"),
        ({"ema_state_dict": {**_state("module."), "steps": torch.tensor(4)}},
         "without 'module.'", "ema_state_dict"),
        ({"model": None, "model_ema": _state()}, "", "model_ema"),
        (_state("_orig_mod."), "without '_orig_mod.'", ""),
        ({"model": {"state_dict": _state()}}, "", "model.state_dict"),
    ],
    ids=["DataParallel", "Lightning", "both", "average", "average of others", "compiled", "nested"],
)  # fmt: skip
def test_prefixes_and_parts_of_a_file_are_seen_through(
    content: dict[str, Any], how: str, where: str, tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "weights.pth")
    found, part = read_state(tmp_path / "weights.pth")
    fitted = fit({name: torch.zeros(shape) for name, shape in OWN.items()}, found)
    assert (fitted.how, part) == (how, where)
    assert {name: float(tensor.max()) for name, tensor in fitted.weights.items()} == {
        "backbone.conv1.weight": 1.0,
        "backbone.bn1.bias": 2.0,
        "head.fc.weight": 3.0,
    }


def test_a_backbone_alone_is_put_where_the_network_has_it() -> None:
    own = {name: torch.zeros(shape) for name, shape in OWN.items()}
    fitted = fit(own, {"conv1.weight": torch.ones(4, 3), "bn1.bias": torch.ones(4)})
    assert fitted.belongs("backbone.")
    assert fitted.missing == ("head.fc.weight",)
    assert "2 of the network's 3 weights are in it; missing: 1 (head.fc.weight)" in fitted.counts()


def test_torchvisions_resnet_is_read_as_detectron2_calls_it() -> None:
    names = {
        "conv1.weight": "stem.conv1.weight",
        "bn1.running_var": "stem.conv1.norm.running_var",
        "layer2.0.conv3.weight": "res3.0.conv3.weight",
        "layer2.0.bn3.bias": "res3.0.conv3.norm.bias",
        "layer4.0.downsample.0.weight": "res5.0.shortcut.weight",
        "layer4.0.downsample.1.weight": "res5.0.shortcut.norm.weight",
    }
    own = {f"backbone.bottom_up.{name}": torch.zeros(i) for i, name in enumerate(names.values(), 2)}
    fitted = fit(own, {name: torch.full((i,), float(i)) for i, name in enumerate(names, 2)})
    assert (fitted.missing, fitted.unused) == ((), ())
    assert fitted.belongs("backbone.bottom_up.")
    assert [float(fitted.weights[name][0]) for name in own] == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS; .*git lfs pull"),
        (b"<!DOCTYPE html><html>", "a page of HTML or XML; download the file itself"),
        (b"", "it is empty"),
        (b"PK\x03\x04 and then nothing", "cut off or damaged"),
        ({"state_dict": _state(), "hyper_parameters": SimpleNamespace(a=1)},
         r"an object of types\.SimpleNamespace, which only code can make"),
        ({"epoch": 3, "optimizer": {"lr": 0.1}}, "no state dict .*: it holds epoch, optimizer"),
        ([1, 2], "no state dict of tensors in it: it holds a list"),
    ],
    ids=["pointer", "page", "empty", "cut off", "object", "no weights", "list"],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_refused_for_the_true_reason(
    content: Any, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(BackendError, match=message) as caught:
        read_state(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


def test_weights_of_a_wider_network_are_refused_with_both_shapes(tmp_path: Path) -> None:
    torch.save({name: torch.ones(2, 7) for name in _built("resnet").state_dict()}, tmp_path / "w")
    with (
        session.library("mmpretrain"),
        pytest.raises(
            BackendError, match=r"mine: pretrained \S+: it belongs to another model: 0 of"
        ) as caught,
    ):
        load_pretrained(_built("resnet"), tmp_path / "w", "mine")
    assert "of another shape: 102 (backbone.conv1.weight (2, 7) for (64, 3, 7, 7), " in str(
        caught.value
    )
    assert len(str(caught.value)) < 700
