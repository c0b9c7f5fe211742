"""The segmenters that mmseg does not have: their shapes, their sizes, how they begin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.on_meta import on_meta
from recycling.backends.mmengine_backend import session
from recycling.backends.shared.settings import Encoder

torch = pytest.importorskip("torch")
pytest.importorskip("mmseg")

NORM = {"type": "BN"}
LOSS = {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0}


@pytest.fixture(scope="module", autouse=True)
def library() -> Iterator[None]:
    with session.library("mmseg"):
        torch.manual_seed(0)
        yield


def n_parameters(*modules: Any) -> int:
    return sum(weights.numel() for module in modules for weights in module.parameters())


def randomise(module: Any) -> None:
    """Weights that no initialisation makes special, so that nothing cancels out."""
    with torch.no_grad():
        for weights in module.parameters():
            weights.copy_(torch.randn_like(weights) * 0.1)


# SeMask -----------------------------------------------------------------------------------------

TINY_SWIN: dict[str, Any] = {
    "embed_dims": 16,
    "depths": (2, 1, 1, 1),
    "num_heads": (1, 2, 2, 2),
    "window_size": 4,
}


def semask(**changes: Any) -> Any:
    from recycling.backends.mmengine_backend.networks.segmenters import SeMaskSwin

    settings = {**TINY_SWIN, "num_classes": 5, "semantic_window_size": 4, **changes}
    network = SeMaskSwin(**settings)
    network.init_weights()
    network.eval()
    return network


def test_semask_begins_as_the_swin_transformer_whose_weights_it_loads() -> None:
    """One that norms what each stage hands on, as the authors' does."""
    from mmseg.models.backbones import SwinTransformer

    swin = SwinTransformer(**TINY_SWIN)
    swin.eval()
    randomise(swin)
    network = semask()
    missing, unexpected = network.load_state_dict(swin.state_dict(), strict=False)
    assert not unexpected
    assert all(name.startswith("semantic_layers.") for name in missing)
    pictures = torch.randn(2, 3, 72, 48)
    x, size = swin.patch_embed(pictures)
    for number, (stage, own) in enumerate(zip(swin.stages, network(pictures), strict=False)):
        for block in stage.blocks:
            x = block(x, size)
        x = torch.nn.functional.layer_norm(x, x.shape[-1:])
        expected = getattr(swin, f"norm{number}")(x).transpose(1, 2).unflatten(2, size)
        torch.testing.assert_close(own, expected)
        if stage.downsample:
            x, size = stage.downsample(x, size)


def test_what_semask_adds_can_be_learnt_from_the_first_step_on() -> None:
    """With weights of ``out`` at zero as well, neither they nor the gate would ever move."""
    network = semask()
    network(torch.randn(1, 3, 64, 64))[0].square().sum().backward()
    layer = network.semantic_layers[0]
    assert layer.gate.item() == 0
    assert layer.gate.grad.abs().item() > 0
    assert layer.out.weight.std().item() == pytest.approx(0.02, rel=0.3)


@pytest.mark.parametrize(
    ("embed_dims", "num_classes", "sides"),
    [(96, 20, [7, 7, None, None]), (96, 19, [7] * 4), (128, 150, [7] * 4)],
)
def test_with_many_classes_the_smallest_and_the_largest_attend_to_whole_maps(
    embed_dims: int, num_classes: int, sides: list[int | None]
) -> None:
    with on_meta():
        network = semask(
            embed_dims=embed_dims,
            num_classes=num_classes,
            semantic_window_size=7,
            num_heads=[4] * 4,
        )
    assert [layer.window_size for layer in network.semantic_layers] == sides


@pytest.mark.parametrize("window_size", [4, None])
def test_a_semantic_layer_adds_what_places_of_like_class_scores_hold(
    window_size: int | None,
) -> None:
    """Against the paper's equations, on a map of one window."""
    from recycling.backends.mmengine_backend.networks.segmenters.semask import SemanticAttention

    layer = SemanticAttention(8, 3, window_size).eval()
    randomise(layer)
    x = torch.randn(1, 16, 8)
    normed = layer.norm(x)
    scores = layer.query(normed)
    shares = (scores @ layer.key(normed).transpose(1, 2)).softmax(dim=-1)
    expected = normed + layer.gate * layer.out(shares @ layer.value(normed))
    found, prior = layer(x, (4, 4))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(prior, scores)


def test_semask_gives_a_prior_for_each_stage() -> None:
    outputs = semask()(torch.randn(2, 3, 70, 50))
    stages, priors = outputs[:4], outputs[4:]
    assert [tuple(stage.shape[1:]) for stage in stages] == [
        (16, 18, 13), (32, 9, 7), (64, 5, 4), (128, 3, 2)
    ]  # fmt: skip
    assert [tuple(prior.shape) for prior in priors] == [
        (2, 5, *stage.shape[2:]) for stage in stages
    ]


def test_what_semask_guesses_changes_its_features_once_it_has_learnt_to() -> None:
    network = semask()
    pictures = torch.randn(1, 3, 64, 64)
    before = network(pictures)[3]
    network.semantic_layers[0].gate.data.fill_(1.0)
    assert not torch.allclose(network(pictures)[3], before)


def test_semask_refuses_to_leave_stages_out() -> None:
    with pytest.raises(ValueError, match="out_indices: SeMask gives all 4 stages"):
        semask(out_indices=(1, 2, 3))


def test_places_attend_to_places_of_their_window_only() -> None:
    from recycling.backends.mmengine_backend.networks.segmenters.semask import SemanticAttention

    layer = SemanticAttention(8, 3, window_size=4).eval()
    randomise(layer)
    x = torch.randn(1, 8 * 8, 8)
    changed = x.clone()
    changed[0, 63, 0] += 1.0  # the corner of the last window
    touched = (layer(x, (8, 8))[0] - layer(changed, (8, 8))[0]).abs().sum(-1).view(8, 8) > 0
    assert touched[4:, 4:].all()
    assert not touched[:4].any()
    assert not touched[:, :4].any()


@given(height=st.integers(1, 13), width=st.integers(1, 13), side=st.integers(1, 6))
@settings(max_examples=50)
def test_windows_put_together_are_the_map_that_was_cut(height: int, width: int, side: int) -> None:
    from recycling.backends.mmengine_backend.networks.segmenters.semask import (
        _from_windows,
        _to_windows,
    )

    x = torch.randn(2, height * width, 3)
    windows = _to_windows(x, (height, width), side)
    assert windows.shape[1:] == (side**2, 3)
    torch.testing.assert_close(_from_windows(windows, (height, width), side), x)


@pytest.mark.parametrize(
    ("published", "embed_dims", "depths", "window"),
    [
        (34_655_748, 96, (2, 2, 6, 2), 7),
        (55_973_652, 96, (2, 2, 18, 2), 7),
        (96_485_826, 128, (2, 2, 18, 2), 12),
        (210_791_934, 192, (2, 2, 18, 2), 12),
    ],
)
def test_semask_fpn_is_as_large_as_its_authors_say(
    published: int, embed_dims: int, depths: tuple[int, ...], window: int
) -> None:
    """SeMask-T, S, B, L with FPN, counted in their code; 35, 56, 96, 211 M in their README."""
    from mmseg.models.decode_heads import FPNHead

    from recycling.backends.mmengine_backend.networks.segmenters import (
        SemanticPriorHead,
        SeMaskSwin,
    )

    with on_meta():
        network = SeMaskSwin(
            num_classes=150,
            semantic_window_size=window,
            embed_dims=embed_dims,
            depths=depths,
            num_heads=[embed_dims // 32 * 2**stage for stage in range(4)],
            window_size=window,
        )
        head = FPNHead(
            feature_strides=[4, 8, 16, 32],
            in_channels=[embed_dims * 2**stage for stage in range(4)],
            in_index=[0, 1, 2, 3],
            channels=256,
            num_classes=150,
            norm_cfg=NORM,
        )
        priors = SemanticPriorHead(150, in_index=[4, 5, 6, 7])
    assert n_parameters(priors) == 0
    assert n_parameters(network, head) == published


def test_the_semantic_decoder_adds_up_the_enlarged_priors() -> None:
    from recycling.backends.mmengine_backend.networks.segmenters import SemanticPriorHead

    head = SemanticPriorHead(3, in_index=[1, 2, 3], align_corners=False, loss_decode=LOSS)
    fine, coarse, coarsest = (torch.randn(2, 3, side, side) for side in (8, 4, 2))
    twice = torch.nn.Upsample(scale_factor=2, mode="bilinear")
    expected = fine + twice(coarse) + twice(twice(coarsest))
    torch.testing.assert_close(head((torch.zeros(1), fine, coarse, coarsest)), expected)


# Lawin ------------------------------------------------------------------------------------------


def attention(ratio: int, *, channels: int = 128) -> Any:
    from recycling.backends.mmengine_backend.networks.segmenters.lawin import LargeWindowAttention

    return LargeWindowAttention(channels, ratio, NORM).eval()


@pytest.mark.parametrize("ratio", [2, 4, 8])
def test_large_window_attention_begins_as_the_identity(ratio: int) -> None:
    features = torch.randn(2, 128, 13, 24)
    torch.testing.assert_close(attention(ratio)(features), features)


@pytest.mark.parametrize("ratio", [2, 4, 8])
def test_contexts_are_the_pooled_surroundings_of_each_window(ratio: int) -> None:
    layer = attention(ratio)
    features = torch.randn(2, 128, 24, 16)
    margin = (ratio - 1) * 4
    padded = torch.nn.functional.pad(features, [margin] * 4)
    pool = torch.nn.functional
    slow = [
        0.5 * (pool.max_pool2d(context, ratio) + pool.avg_pool2d(context, ratio))
        for y in range(0, 24, 8)
        for x in range(0, 16, 8)
        for context in [padded[:, :, y : y + 8 * ratio, x : x + 8 * ratio]]
    ]
    expected = layer.norm(torch.stack(slow, dim=1).flatten(3).flatten(0, 1).transpose(1, 2))
    torch.testing.assert_close(layer._contexts(features), expected)


def test_a_context_is_pooled_half_by_its_maximum_and_half_by_its_mean() -> None:
    layer = attention(2)
    layer.norm = torch.nn.Identity()
    features = torch.zeros(1, 128, 8, 8)
    features[0, 0, 2, 4] = 4.0
    # The window's context begins four cells above and to the left of it.
    context = layer._contexts(features)[0, :, 0].reshape(8, 8)
    expected = torch.zeros(8, 8)
    expected[(4 + 2) // 2, (4 + 4) // 2] = 0.5 * (4.0 + 4.0 / 4)
    torch.testing.assert_close(context, expected)


@pytest.mark.parametrize("ratio", [2, 4])
def test_a_window_sees_its_context_and_no_further(ratio: int) -> None:
    layer = attention(ratio)
    randomise(layer)
    size = 8 * 7
    features = torch.randn(1, 128, size, size)
    for distance, sees in (((ratio - 1) * 4 - 1, True), ((ratio - 1) * 4, False)):
        changed = features.clone()
        # Beside the window in the middle, whose cells are 24 to 31.
        changed[0, :, 28, 32 + distance] += 10.0
        moved = (layer(changed) - layer(features))[0, :, 24:32, 24:32].abs().max()
        assert (moved > 0) == sees


def test_attention_is_that_of_each_head_by_itself() -> None:
    """Against the paper's steps, one head and one window at a time."""
    layer = attention(2)
    randomise(layer)
    features = torch.randn(1, 128, 8, 16)
    contexts, queries = layer._contexts(features), layer.query(features)
    found = torch.zeros(1, 64, 8, 16)
    for number in range(2):
        context = contexts[number]
        mixed = torch.cat(
            [part + layer.mix[head](part) for head, part in enumerate(context.T.split(32))]
        ).T
        key, value = layer.key(mixed), layer.value(mixed)
        query = queries[0, :, :, 8 * number : 8 * number + 8].flatten(1).T
        for head in range(4):
            own = slice(16 * head, 16 * head + 16)
            weights = (query[:, own] @ key[:, own].T / 4).softmax(dim=1)
            cells = (weights @ value[:, own]).T.reshape(16, 8, 8)
            found[0, own, :, 8 * number : 8 * number + 8] = cells
    torch.testing.assert_close(layer(features), features + layer.out(found))


@pytest.mark.parametrize("size", [(16, 24), (9, 5)])
def test_lawin_scores_each_cell_of_the_finest_stage(size: tuple[int, int]) -> None:
    head = lawin([8, 16, 24, 32], channels=128, num_classes=7)
    height, width = size
    stages = [
        torch.randn(2, width_, -(-height // 2**level), -(-width // 2**level))
        for level, width_ in enumerate([8, 16, 24, 32])
    ]
    assert head(stages).shape == (2, 7, height, width)


def test_lawin_fuses_the_coarsest_stage_first() -> None:
    """So that the weights of the authors' checkpoints meet the stages that they were trained on."""
    head = lawin([8, 16, 24, 32], channels=128, embed_channels=4, num_classes=7).eval()
    seen: list[Any] = []
    head.fuse.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    stages = [torch.randn(1, width, 16, 16) for width in (8, 16, 24, 32)]
    head(stages)
    expected = [head.embeddings[stage](stages[stage]) for stage in (3, 2, 1)]
    torch.testing.assert_close(seen[0], torch.cat(expected, dim=1))


def lawin(in_channels: list[int], **settings: Any) -> Any:
    from recycling.backends.mmengine_backend.networks.segmenters import LawinHead

    return LawinHead(
        in_channels=in_channels,
        in_index=[0, 1, 2, 3],
        norm_cfg=NORM,
        align_corners=False,
        loss_decode=LOSS,
        **settings,
    )


@pytest.mark.parametrize("embed", [768, 512])
def test_lawin_with_swin_l_has_the_parameters_that_its_parts_add_up_to(embed: int) -> None:
    """And the authors' code, in which they were counted."""
    with on_meta():
        head = lawin([192, 384, 768, 1536], num_classes=150, embed_channels=embed)
    embeddings = (192 + 1) * 48 + (384 + 1 + 768 + 1 + 1536 + 1) * embed
    convolutions = 3 * embed * 512 + (1 + 1 + 5) * 512 * 512 + (512 + 48) * 512 + 5 * 2 * 512
    mixing = (64 + 16 + 4) * (64 * 64 + 64)
    attention = 3 * (3 * (512 + 1) * 256 + 256 * 512 + 2 * 512 + 2 * 512)
    classes = (512 + 1) * 150
    assert n_parameters(head) == embeddings + convolutions + mixing + attention + classes
    assert n_parameters(head) == {768: 7_390_150, 512: 6_308_038}[embed]


# UNet++ -----------------------------------------------------------------------------------------


def unet_plus_plus(**settings: Any) -> Any:
    from recycling.backends.mmengine_backend.networks.segmenters import UNetPlusPlus

    return UNetPlusPlus(**settings).eval()


def test_unet_plus_plus_is_as_large_as_its_authors_say() -> None:
    """9.04 M in the paper; by hand 9,042,177 with the last convolution, of one class."""
    with on_meta():
        network = unet_plus_plus()
    last = 32 + 1
    assert n_parameters(network) + last == 9_042_177


@given(height=st.integers(1, 40), width=st.integers(1, 40))
@settings(max_examples=20)
def test_unet_plus_plus_takes_pictures_of_any_size(height: int, width: int) -> None:
    maps = unet_plus_plus(base_channels=2, num_stages=4)(torch.randn(1, 3, height, width))
    assert [tuple(map_.shape) for map_ in maps] == [(1, 2, height, width)] * 3


def test_a_node_can_be_used_without_the_levels_below_its_column() -> None:
    """The paper's pruning: node (0, j) needs levels 0 to j."""
    network = unet_plus_plus(base_channels=4, num_stages=4)
    pictures = torch.randn(1, 3, 16, 16)
    before = network(pictures)
    randomise(network.nodes["2_0"])
    after = network(pictures)
    torch.testing.assert_close(after[0], before[0])
    assert not torch.allclose(after[1], before[1])


def test_a_node_sees_all_nodes_before_it_on_its_level() -> None:
    network = unet_plus_plus(base_channels=4, num_stages=4)
    widths = {name: node[0].conv.in_channels for name, node in network.nodes.items()}
    assert widths["0_0"] == 3
    assert [widths[f"0_{column}"] for column in (1, 2, 3)] == [8, 12, 16]
    assert [widths[f"1_{column}"] for column in (1, 2)] == [16, 24]


# U-Nets on an encoder --------------------------------------------------------------------------


def encoder(name: str) -> Any:
    from recycling.backends.mmengine_backend.networks.segmenters import TorchvisionEncoder

    return TorchvisionEncoder(name)


def unet_head(kind: str, in_channels: list[int], **settings: Any) -> Any:
    from recycling.backends.mmengine_backend.networks import segmenters

    settings = {"dropout_ratio": 0, "norm_cfg": NORM, "align_corners": False, **settings}
    return getattr(segmenters, kind)(in_channels=in_channels, **settings)


QUICK = {"resnet18", "efficientnet_b0", "convnext_tiny", "mobilenet_v2", "mobilenet_v3_small"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in get_args(Encoder)
    ],
)
def test_each_encoder_gives_maps_that_halve_in_size(name: str) -> None:
    with on_meta():
        network = encoder(name)
        maps = network(torch.zeros(1, 3, 128, 192))
    strides = [4, 8, 16, 32] if name.startswith("convnext") else [2, 4, 8, 16, 32]
    assert [tuple(map_.shape) for map_ in maps] == [
        (1, channels, 128 // stride, 192 // stride)
        for channels, stride in zip(network.channels, strides, strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet34", [64, 64, 128, 256, 512]),
        ("resnet50", [64, 256, 512, 1024, 2048]),
        ("efficientnet_b0", [16, 24, 40, 112, 320]),
        ("convnext_tiny", [96, 192, 384, 768]),
    ],
)
def test_the_channels_of_encoders_are_those_of_their_papers(name: str, channels: list[int]) -> None:
    with on_meta():
        assert encoder(name).channels == channels


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_the_last_map_is_what_torchvision_s_classifier_sees(name: str) -> None:
    from torchvision.models import get_model

    theirs, network = get_model(name).eval(), encoder(name).eval()
    missing, unexpected = network.load_state_dict(theirs.state_dict(), strict=False)
    assert not missing
    assert all(key.startswith(("fc.", "classifier.", "features.12.")) for key in unexpected)
    pictures = torch.randn(1, 3, 64, 96)
    body = list(theirs.children())[:-2] if name == "resnet18" else theirs.features[:-1]
    expected = torch.nn.Sequential(*body)(pictures)
    torch.testing.assert_close(network(pictures)[-1], expected)


@pytest.mark.parametrize(
    ("kind", "published"), [("UNetHead", 24_436_369), ("UNetPlusPlusHead", 26_078_609)]
)
def test_a_unet_is_as_large_as_that_of_segmentation_models_pytorch(
    kind: str, published: int
) -> None:
    """Theirs, counted: with a ResNet-34 and one class."""
    with on_meta():
        network = encoder("resnet34")
        head = unet_head(kind, network.channels, num_classes=2, out_channels=1, threshold=0.5)
    assert n_parameters(network, head) == published


@pytest.mark.parametrize("kind", ["UNetHead", "UNetPlusPlusHead"])
@pytest.mark.parametrize("channels", [[4, 6, 8, 10, 12], [6, 8, 10, 12]])
def test_a_unet_scores_each_pixel(kind: str, channels: list[int]) -> None:
    head = unet_head(kind, channels, num_classes=7, widths=(10, 8, 6, 5, 4)).eval()
    strides = [2**level for level in range(6 - len(channels), 6)]
    maps = [
        torch.randn(2, width, 64 // stride, 96 // stride)
        for width, stride in zip(channels, strides, strict=True)
    ]
    assert head(maps).shape == (2, 7, 64, 96)


def test_a_node_of_a_unet_plus_plus_on_an_encoder_sees_its_level_and_the_one_below() -> None:
    head = unet_head("UNetPlusPlusHead", [3, 5, 7], num_classes=2, widths=(11, 13, 17))
    widths = {name: node[0].conv.in_channels for name, node in head.nodes.items()}
    assert widths == {"0_1": 5 + 3, "1_1": 7 + 5, "0_2": 11 + 3 + 3}
    assert [block[0].conv.in_channels for block in head.blocks] == [13]


# BEiT -------------------------------------------------------------------------------------------

TINY_BEIT: dict[str, Any] = {
    "img_size": (64, 64),
    "embed_dims": 16,
    "num_layers": 2,
    "num_heads": 2,
    "out_indices": (0, 1),
}


def beit() -> tuple[Any, Any]:
    """The project's and the library's, with the same random weights."""
    from mmseg.models.backbones import BEiT

    from recycling.backends.mmengine_backend.networks.segmenters import BEiTAnySize

    own, library = BEiTAnySize(**TINY_BEIT), BEiT(**TINY_BEIT)
    own.eval()
    library.eval()
    randomise(library)
    own.load_state_dict(library.state_dict())
    return own, library


def test_beit_is_the_library_s_on_pictures_of_the_pretrained_size() -> None:
    own, library = beit()
    pictures = torch.randn(2, 3, 64, 64)
    for one, other in zip(own(pictures), library(pictures), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("size", [(32, 32), (96, 48), (16, 160)])
def test_beit_takes_pictures_of_other_sizes(size: tuple[int, int]) -> None:
    own, _ = beit()
    maps = own(torch.randn(1, 3, *size))
    assert [tuple(map_.shape) for map_ in maps] == [(1, 16, size[0] // 16, size[1] // 16)] * 2


def test_beit_keeps_the_bias_of_a_patch_to_itself_and_to_the_class_token() -> None:
    from recycling.backends.mmengine_backend.networks.beit_attention import position_bias

    own, _ = beit()
    table = own.layers[0].attn.relative_position_bias_table
    before = position_bias(table, (4, 4), (4, 4))
    after = position_bias(table, (4, 4), (7, 3))
    assert after.shape == (2, 22, 22)
    torch.testing.assert_close(after[:, 5, 5], before[:, 5, 5])  # no distance
    for pair in ((0, 0), (0, 5), (5, 0)):  # the class token's
        torch.testing.assert_close(after[:, pair[0], pair[1]], before[:, pair[0], pair[1]])


# Mask2Former ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 11, 150])
def test_mask2former_weighs_each_class_and_no_object(n_classes: int) -> None:
    pytest.importorskip("mmdet")
    from mmengine.config import Config

    from recycling.backends.mmengine_backend.networks.segmenters import Mask2FormerAnyClassesHead

    base = "mmseg::mask2former/mask2former_swin-l-in22k-384x384-pre_8xb2-160k_ade20k-640x640.py"
    with session.silence(), on_meta():
        network = Config.fromfile(_config(base)).model.decode_head
        network.pop("type")
        network.update(num_classes=n_classes)
        head = Mask2FormerAnyClassesHead(**network)
    assert head.class_weight == [1.0] * n_classes + [0.1]
    assert head.loss_cls.class_weight == head.class_weight
    assert head.cls_embed.out_features == n_classes + 1


def _config(name: str) -> str:
    from mmengine.config import Config

    return str(Config._get_cfg_path(name, "")[0])


# Precision --------------------------------------------------------------------------------------


def test_all_of_them_compute_and_learn_in_bf16() -> None:
    networks: list[tuple[Any, Any]] = [
        (semask(), torch.randn(1, 3, 32, 32)),
        (unet_plus_plus(base_channels=4), torch.randn(1, 3, 32, 32)),
        (beit()[0], torch.randn(1, 3, 32, 48)),
        (
            lawin([8] * 4, channels=128, num_classes=3),
            [torch.randn(2, 8, 32 // 2**level, 32 // 2**level) for level in range(4)],
        ),
    ]
    for network, inputs in networks:
        randomise(network)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = network(inputs)
        sum(output.float().square().sum() for output in outputs).backward()
        learnt = [weights.grad for weights in network.parameters()]
        used = [gradient for gradient in learnt if gradient is not None]
        assert len(used) >= 0.8 * len(learnt)
        assert all(gradient.isfinite().all() for gradient in used)
