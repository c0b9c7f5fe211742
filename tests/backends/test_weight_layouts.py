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


# Segmenters, as their authors call them ---------------------------------------------------------


def _numbered(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Weights of these shapes, all of another number each."""
    return {
        name: torch.full(shape, float(number))
        for number, (name, shape) in enumerate(shapes.items())
    }


def _segmenter(backbone: Any, head: Any) -> dict[str, Any]:
    parts = {"backbone": backbone, "decode_head": head}
    return {
        f"{part}.{name}": tensor
        for part, module in parts.items()
        for name, tensor in module.state_dict().items()
    }


def _linear(name: str, out: int, inputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, inputs), f"{name}.bias": (out,)}


def _norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}


def _batch_norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    running = {f"{name}.running_mean": (channels,), f"{name}.running_var": (channels,)}
    return _norm(name, channels) | running


def _conv_module(name: str, out: int, inputs: int, side: int = 1) -> dict[str, tuple[int, ...]]:
    return {f"{name}.conv.weight": (out, inputs, side, side)} | _batch_norm(f"{name}.bn", out)


def _official_swin() -> dict[str, tuple[int, ...]]:
    """A Swin with a block a stage, windows of 4, 16 channels, as Microsoft's code names it."""
    shapes = {"patch_embed.proj.weight": (16, 3, 4, 4), "patch_embed.proj.bias": (16,)}
    shapes |= _norm("patch_embed.norm", 16)
    for stage, (n, heads) in enumerate(((16, 1), (32, 2), (64, 2), (128, 2))):
        block = f"layers.{stage}.blocks.0"
        shapes |= _norm(f"{block}.norm1", n) | _norm(f"{block}.norm2", n)
        shapes |= _linear(f"{block}.attn.qkv", 3 * n, n) | _linear(f"{block}.attn.proj", n, n)
        shapes[f"{block}.attn.relative_position_bias_table"] = (49, heads)
        shapes |= _linear(f"{block}.mlp.fc1", 4 * n, n) | _linear(f"{block}.mlp.fc2", n, 4 * n)
        shapes |= _norm(f"norm{stage}", n)
        if stage < 3:
            merging = f"layers.{stage}.downsample"
            shapes |= _norm(f"{merging}.norm", 4 * n)
            shapes[f"{merging}.reduction.weight"] = (2 * n, 4 * n)
    return {f"backbone.{name}": shape for name, shape in shapes.items()}


SWIN: dict[str, Any] = {
    "embed_dims": 16,
    "depths": (1, 1, 1, 1),
    "num_heads": (1, 2, 2, 2),
    "window_size": 4,
}


def test_the_authors_semask_fits_whole() -> None:
    pytest.importorskip("mmseg")
    with session.library("mmseg"):
        from mmseg.models.decode_heads import FPNHead

        from recycling.backends.mmengine_backend.networks.segmenters import SeMaskSwin

        head = FPNHead(
            feature_strides=[4, 8, 16, 32],
            in_channels=[16, 32, 64, 128],
            in_index=[0, 1, 2, 3],
            channels=8,
            num_classes=5,
            norm_cfg={"type": "BN"},
        )
        own = _segmenter(SeMaskSwin(num_classes=5, **SWIN), head)
    theirs = _official_swin()
    for stage, n in enumerate((16, 32, 64, 128)):
        layer = f"backbone.layers.{stage}.semantic_layer"
        attention = f"{layer}.class_injection.0"
        theirs |= _norm(f"{layer}.norm1", n) | {f"{attention}.gamma": (1,)}
        theirs |= _linear(f"{attention}.mlp_cls_q", 5, n) | _linear(f"{attention}.mlp_cls_k", 5, n)
        theirs |= _linear(f"{attention}.mlp_v", n, n) | _linear(f"{attention}.mlp_res", n, n)
    for stage, (n, length) in enumerate(((16, 1), (32, 1), (64, 2), (128, 3))):
        for step in range(length):
            inputs, place = (8, 2 * step) if step else (n, 0)
            name = f"decode_head.scale_heads.{stage}.{place}"
            theirs |= _conv_module(name, 8, inputs, side=3)
    theirs |= {"decode_head.conv_seg.weight": (5, 8, 1, 1), "decode_head.conv_seg.bias": (5,)}
    numbered = _numbered(theirs)
    fitted = fit(own, {f"module.{name}": tensor for name, tensor in numbered.items()})
    assert fitted.how == "without 'module.', as the authors' SeMask"
    assert (fitted.missing, fitted.other_shape, fitted.unused) == ((), (), ())
    pairs = {
        "semantic_layers.2.query.bias": "layers.2.semantic_layer.class_injection.0.mlp_cls_q.bias",
        "semantic_layers.0.key.bias": "layers.0.semantic_layer.class_injection.0.mlp_cls_k.bias",
        "semantic_layers.1.value.bias": "layers.1.semantic_layer.class_injection.0.mlp_v.bias",
        "semantic_layers.1.out.bias": "layers.1.semantic_layer.class_injection.0.mlp_res.bias",
        "semantic_layers.3.norm.weight": "layers.3.semantic_layer.norm1.weight",
        "semantic_layers.3.gate": "layers.3.semantic_layer.class_injection.0.gamma",
        "stages.1.blocks.0.attn.w_msa.qkv.weight": "layers.1.blocks.0.attn.qkv.weight",
    }
    for here, there in pairs.items():
        same = (fitted.weights[f"backbone.{here}"], numbered[f"backbone.{there}"])
        torch.testing.assert_close(*same)


@pytest.mark.parametrize("swin", ["the official Swin", "mmseg's Swin"])
def test_the_authors_lawin_fits_whole(swin: str) -> None:
    pytest.importorskip("mmseg")
    with session.library("mmseg"):
        from mmseg.models.backbones import SwinTransformer

        from recycling.backends.mmengine_backend.networks.segmenters import LawinHead

        backbone = SwinTransformer(**SWIN)
        head = LawinHead([16, 32, 64, 128], num_classes=5, in_index=[0, 1, 2, 3],
                         norm_cfg={"type": "BN"})  # fmt: skip
    own = _segmenter(backbone, head)
    named_here = {name: tuple(tensor.shape) for name, tensor in _segmenter(backbone, head).items()
                  if name.startswith("backbone.") and "_index" not in name}  # fmt: skip
    theirs = _official_swin() if swin == "the official Swin" else named_here
    decoder = _linear("linear_c1.proj", 48, 16)
    for stage, n in ((2, 32), (3, 64), (4, 128)):
        decoder |= _linear(f"linear_c{stage}.proj", 768, n)
    for ratio in (8, 4, 2):
        layer = f"lawin_{ratio}"
        decoder |= _norm(f"ds_{ratio}.norm", 512)
        for name in ("g", "theta", "phi"):
            decoder |= {f"{layer}.{name}.conv.weight": (256, 512, 1, 1)}
            decoder |= {f"{layer}.{name}.conv.bias": (256,)}
        decoder |= _conv_module(f"{layer}.conv_out", 512, 256)
        for number in range(ratio**2):
            decoder |= _linear(f"{layer}.position_mixing.{number}", 64, 64)
    decoder |= _conv_module("linear_fuse", 512, 3 * 768) | _conv_module("short_path", 512, 512)
    decoder |= _conv_module("image_pool.1", 512, 512) | _conv_module("cat", 512, 5 * 512)
    decoder |= _conv_module("low_level_fuse", 512, 512 + 48)
    decoder |= {"conv_seg.weight": (5, 512, 1, 1), "conv_seg.bias": (5,)}
    numbered = _numbered(theirs | {f"decode_head.{name}": one for name, one in decoder.items()})
    fitted = fit(own, numbered)
    on = " on the official Swin" if swin == "the official Swin" else ""
    assert fitted.how == f"as the authors' Lawin{on}"
    assert (fitted.missing, fitted.other_shape, fitted.unused) == ((), (), ())
    pairs = {
        "embeddings.0.bias": "linear_c1.proj.bias",
        "embeddings.3.bias": "linear_c4.proj.bias",
        "attentions.1.query.bias": "lawin_4.theta.conv.bias",
        "attentions.1.key.bias": "lawin_4.phi.conv.bias",
        "attentions.1.value.bias": "lawin_4.g.conv.bias",
        "attentions.0.mix.63.bias": "lawin_8.position_mixing.63.bias",
        "attentions.2.norm.bias": "ds_2.norm.bias",
        "attentions.2.out.bn.bias": "lawin_2.conv_out.bn.bias",
        "join.bn.bias": "cat.bn.bias",
        "add_detail.bn.bias": "low_level_fuse.bn.bias",
    }
    for here, there in pairs.items():
        same = (fitted.weights[f"decode_head.{here}"], numbered[f"decode_head.{there}"])
        torch.testing.assert_close(*same)


@pytest.mark.parametrize("kind", ["UNetHead", "UNetPlusPlusHead"])
def test_a_unet_of_segmentation_models_pytorch_fits_whole(kind: str) -> None:
    pytest.importorskip("mmseg")
    with session.library("mmseg"):
        from recycling.backends.mmengine_backend.networks import segmenters

        backbone = segmenters.TorchvisionEncoder("resnet18")
        head = getattr(segmenters, kind)(
            in_channels=backbone.channels, num_classes=5, norm_cfg={"type": "BN"}
        )
    theirs = {f"encoder.{name}": tuple(tensor.shape)
              for name, tensor in backbone.state_dict().items()}  # fmt: skip
    blocks = {"0": (512 + 256, 256), "1": (256 + 128, 128), "2": (128 + 64, 64),
              "3": (64 + 64, 32), "4": (32, 16)}  # fmt: skip
    if kind == "UNetPlusPlusHead":
        blocks = {
            "x_0_0": (512 + 256, 256),
            "x_0_1": (256 + 2 * 128, 128),
            "x_1_1": (256 + 128, 128),
            "x_0_2": (128 + 3 * 64, 64),
            "x_1_2": (128 + 2 * 64, 64),
            "x_2_2": (128 + 64, 64),
            "x_0_3": (64 + 4 * 64, 32),
            "x_1_3": (64 + 3 * 64, 64),
            "x_2_3": (64 + 2 * 64, 64),
            "x_3_3": (64 + 64, 64),
            "x_0_4": (32, 16),
        }
    for name, (inputs, out) in blocks.items():
        for number, channels in ((1, inputs), (2, out)):
            conv = f"decoder.blocks.{name}.conv{number}"
            theirs[f"{conv}.0.weight"] = (out, channels, 3, 3)
            theirs |= _batch_norm(f"{conv}.1", out)
    theirs |= {"segmentation_head.0.weight": (5, 16, 3, 3), "segmentation_head.0.bias": (5,)}
    numbered = _numbered(theirs)
    fitted = fit(_segmenter(backbone, head), numbered)
    assert fitted.how == "as segmentation_models_pytorch's U-Net"
    assert (fitted.missing, fitted.other_shape, fitted.unused) == ((), (), ())
    here, there = ("blocks.3.1.bn.bias", "3") if kind == "UNetHead" else ("nodes.2_2.1.bn.bias",
                                                                          "x_0_1")  # fmt: skip
    torch.testing.assert_close(
        fitted.weights[f"decode_head.{here}"], numbered[f"decoder.blocks.{there}.conv2.1.bias"]
    )


@pytest.mark.parametrize("encoder", ["resnet18", "efficientnet_b0", "convnext_tiny"])
def test_a_classifier_of_torchvision_is_put_into_the_encoder_of_a_unet(encoder: str) -> None:
    pytest.importorskip("mmseg")
    with session.library("mmseg"):
        from recycling.backends.mmengine_backend.networks import segmenters

        backbone = segmenters.TorchvisionEncoder(encoder)
        head = segmenters.UNetHead(backbone.channels, num_classes=5, norm_cfg={"type": "BN"})
    theirs = pytest.importorskip("torchvision").models.get_model(encoder).state_dict()
    fitted = fit(_segmenter(backbone, head), theirs)
    assert fitted.how == "with 'backbone.'"
    assert fitted.belongs("backbone.")
    assert fitted.other_shape == ()
    assert all(name.startswith("decode_head.") for name in fitted.missing)
    last = f"features.{len(backbone.features)}." if encoder == "efficientnet_b0" else "fc."
    assert all(name.startswith((last, "classifier.")) for name in fitted.unused)
