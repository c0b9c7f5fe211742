"""What others call the weights of a network: prefixes, names of torchvision, timm and authors."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError
from recycling.errors import listed

logger = logging.getLogger(__name__)

NAMED = 3
"""Most weights of a kind that a message names."""

Rename = tuple[str, str]
"""A regular expression that the whole name matches, and what takes its place."""

_END = r"(weight|bias)"


@dataclass(frozen=True)
class Layout:
    """How a library calls the weights of a kind of network.

    Attributes:
        name: Whose names they are.
        renames: To the names of the libraries here; names that none matches stay.
        unfolds: A part of the name of weights whose inputs are four pixels a channel, which those
            libraries count pixel by pixel and these here channel by channel.
    """

    name: str
    renames: tuple[Rename, ...] = ()
    unfolds: str | None = None

    def renamed(self, name: str) -> str:
        """What a weight is called here.

        >>> LAYOUTS["timm's ResNet-D"].renamed("bn1.weight")
        'stem.2.bn.weight'
        """
        for pattern, replacement in self.renames:
            if match := re.fullmatch(pattern, name):
                return match.expand(replacement)
        return name


_SWIN: tuple[Rename, ...] = (
    (r"patch_embed\.proj\.(.+)", r"patch_embed.projection.\1"),
    (r"layers\.(\d+)\.blocks\.(\d+)\.attn\.(.+)", r"stages.\1.blocks.\2.attn.w_msa.\3"),
    (r"layers\.(.+)\.mlp\.fc1\.(.+)", r"stages.\1.ffn.layers.0.0.\2"),
    (r"layers\.(.+)\.mlp\.fc2\.(.+)", r"stages.\1.ffn.layers.1.\2"),
    (r"layers\.(.+)", r"stages.\1"),
    (r"norm\.(.+)", r"norm3.\1"),
)

_SEMANTIC_LAYERS: tuple[Rename, ...] = (
    (r"layers\.(\d+)\.semantic_layer\.norm1\.(.+)", r"semantic_layers.\1.norm.\2"),
    *(
        (
            rf"layers\.(\d+)\.semantic_layer\.class_injection\.0\.{theirs}(.*)",
            rf"semantic_layers.\1.{ours}\2",
        )
        for theirs, ours in (
            ("mlp_cls_q", "query"),
            ("mlp_cls_k", "key"),
            ("mlp_v", "value"),
            ("mlp_res", "out"),
            ("gamma", "gate"),
        )
    ),
)

_LAWIN_HEAD: tuple[Rename, ...] = (
    *(
        (rf"{theirs}\.(.+)", rf"attentions.{number}.{ours}.\1")
        for number, ratio in enumerate((8, 4, 2))
        for theirs, ours in (
            (rf"ds_{ratio}\.norm", "norm"),
            (rf"lawin_{ratio}\.position_mixing", "mix"),
            (rf"lawin_{ratio}\.theta\.conv", "query"),
            (rf"lawin_{ratio}\.phi\.conv", "key"),
            (rf"lawin_{ratio}\.g\.conv", "value"),
            (rf"lawin_{ratio}\.conv_out", "out"),
        )
    ),
    *((rf"linear_c{n + 1}\.proj\.(.+)", rf"embeddings.{n}.\1") for n in range(4)),
    (r"linear_fuse\.(.+)", r"fuse.\1"),
    (r"cat\.(.+)", r"join.\1"),
    (r"low_level_fuse\.(.+)", r"add_detail.\1"),
)

_FIRST_BLOCK = (
    ("_depthwise_conv", "conv_dw"),
    ("_bn1", "bn1"),
    ("_se_reduce", "se.conv_reduce"),
    ("_se_expand", "se.conv_expand"),
    ("_project_conv", "conv_pw"),
    ("_bn2", "bn2"),
)
_INVERTED_BLOCK = (
    ("_expand_conv", "conv_pw"),
    ("_bn0", "bn1"),
    ("_depthwise_conv", "conv_dw"),
    ("_bn1", "bn2"),
    ("_se_reduce", "se.conv_reduce"),
    ("_se_expand", "se.conv_expand"),
    ("_project_conv", "conv_pwl"),
    ("_bn2", "bn3"),
)

_EFFICIENTNET_BLOCKS = [
    (stage, block) for stage, n in enumerate((1, 2, 2, 3, 3, 4, 1)) for block in range(n)
]
"""Of B0 and Lite0, which efficientnet_pytorch counts through."""

_UNET_NODES = (
    (r"(?P<block>\d)", r"blocks.\g<block>"),
    # Of UNet++ x_D_L, which counts L from the coarsest level and D from the last column.
    *((f"x_{d}_{level}", f"nodes.{3 - level}_{level - d + 1}") for level in range(4)
      for d in range(level + 1)),
    ("x_0_4", "blocks.0"),
)  # fmt: skip


def _inside(part: str, renames: tuple[Rename, ...]) -> tuple[Rename, ...]:
    """The renames of a network's part, for whole networks."""
    return tuple((rf"{part}\.{theirs}", f"{part}.{ours}") for theirs, ours in renames)


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("the network's own"),
        Layout(
            "torchvision's ResNet, for detectron2",
            (
                (r"conv1\.(.+)", r"stem.conv1.\1"),
                (r"bn1\.(.+)", r"stem.conv1.norm.\1"),
                *(
                    (rf"layer{n}\.(\d+)\.{theirs}\.(?P<of>.+)", rf"res{n + 1}.\1.{ours}.\g<of>")
                    for n in range(1, 5)
                    for theirs, ours in (
                        (r"conv(\d)", r"conv\2"),
                        (r"bn(\d)", r"conv\2.norm"),
                        ("downsample.0", "shortcut"),
                        ("downsample.1", "shortcut.norm"),
                    )
                ),
            ),
        ),
        Layout(
            "timm's ResNet-D",
            (
                (r"conv1\.0\.(.+)", r"stem.0.conv.\1"),
                (r"conv1\.1\.(.+)", r"stem.0.bn.\1"),
                (r"conv1\.3\.(.+)", r"stem.1.conv.\1"),
                (r"conv1\.4\.(.+)", r"stem.1.bn.\1"),
                (r"conv1\.6\.(.+)", r"stem.2.conv.\1"),
                (r"bn1\.(.+)", r"stem.2.bn.\1"),
            ),
        ),
        Layout(
            "timm's ResNet-D, for mmdet and mmseg",
            ((r"conv1\.(\d)\.(.+)", r"stem.\1.\2"), (r"bn1\.(.+)", r"stem.7.\1")),
        ),
        Layout(
            "timm's ConvNeXt",
            (
                (r"stem\.(.+)", r"downsample_layers.0.\1"),
                (r"stages\.(\d+)\.downsample\.(.+)", r"downsample_layers.\1.\2"),
                (r"stages\.(\d+)\.blocks\.(\d+)\.conv_dw\.(.+)", r"stages.\1.\2.depthwise_conv.\3"),
                (
                    r"stages\.(\d+)\.blocks\.(\d+)\.mlp\.fc(\d)\.(.+)",
                    r"stages.\1.\2.pointwise_conv\3.\4",
                ),
                (r"stages\.(\d+)\.blocks\.(\d+)\.(.+)", r"stages.\1.\2.\3"),
                (r"(?:head\.)?norm\.(.+)", r"norm3.\1"),
            ),
        ),
        Layout(
            "torchvision's ConvNeXt",
            (
                (r"features\.0\.(.+)", r"downsample_layers.0.\1"),
                *((rf"features\.{2 * n}\.(.+)", rf"downsample_layers.{n}.\1") for n in range(1, 4)),
                *(
                    (rf"features\.{2 * n + 1}\.(\d+)\.{theirs}", rf"stages.{n}.\1.{ours}")
                    for n in range(4)
                    for theirs, ours in (
                        (r"layer_scale", r"gamma"),
                        (rf"block\.0\.{_END}", r"depthwise_conv.\2"),
                        (rf"block\.2\.{_END}", r"norm.\2"),
                        (rf"block\.3\.{_END}", r"pointwise_conv1.\2"),
                        (rf"block\.5\.{_END}", r"pointwise_conv2.\2"),
                    )
                ),
                (r"classifier\.0\.(.+)", r"norm3.\1"),
            ),
        ),
        Layout(
            "timm's Swin",
            (
                # Each stage begins with what here ends the one before.
                *(
                    (rf"layers\.{n}\.downsample\.(.+)", rf"stages.{n - 1}.downsample.\1")
                    for n in range(1, 4)
                ),
                *_SWIN,
            ),
            unfolds="downsample.",
        ),
        Layout(
            "torchvision's Swin",
            (
                (r"features\.0\.0\.(.+)", r"patch_embed.projection.\1"),
                (r"features\.0\.2\.(.+)", r"patch_embed.norm.\1"),
                *(
                    (rf"features\.{2 * n}\.(.+)", rf"stages.{n - 1}.downsample.\1")
                    for n in range(1, 4)
                ),
                *(
                    (rf"features\.{2 * n + 1}\.(\d+)\.{theirs}", rf"stages.{n}.blocks.\1.{ours}")
                    for n in range(4)
                    for theirs, ours in (
                        (r"attn\.(.+)", r"attn.w_msa.\2"),
                        (r"mlp\.0\.(.+)", r"ffn.layers.0.0.\2"),
                        (r"mlp\.3\.(.+)", r"ffn.layers.1.\2"),
                        (r"(norm\d\..+)", r"\2"),
                    )
                ),
                (r"norm\.(.+)", r"norm3.\1"),
            ),
            unfolds="downsample.",
        ),
        Layout("the official Swin", _SWIN, unfolds="downsample."),
        Layout(
            "the authors' SeMask",
            _inside("backbone", (*_SEMANTIC_LAYERS, *_SWIN)),
            unfolds="downsample.",
        ),
        Layout("the authors' Lawin", _inside("decode_head", _LAWIN_HEAD)),
        Layout(
            "the authors' Lawin on the official Swin",
            (*_inside("decode_head", _LAWIN_HEAD), *_inside("backbone", _SWIN)),
            unfolds="downsample.",
        ),
        Layout(
            "efficientnet_pytorch's B0 or Lite0, for timm",
            (
                (r"_conv_(stem|head)\.(.+)", r"conv_\1.\2"),
                (r"_bn0\.(.+)", r"bn1.\1"),
                (r"_bn1\.(.+)", r"bn2.\1"),
                *(
                    (rf"_blocks\.{n}\.{theirs}\.(.+)", rf"blocks.{stage}.{block}.{ours}.\1")
                    for n, (stage, block) in enumerate(_EFFICIENTNET_BLOCKS)
                    for theirs, ours in (_INVERTED_BLOCK if n else _FIRST_BLOCK)
                ),
            ),
        ),
        Layout(
            "segmentation_models_pytorch's U-Net",
            (
                (r"encoder\.(.+)", r"backbone.\1"),
                (r"segmentation_head\.0\.(.+)", r"decode_head.conv_seg.\1"),
                *(
                    (
                        rf"decoder\.blocks\.{theirs}\.conv{n + 1}\.{layer}\.(?P<of>.+)",
                        rf"decode_head.{ours}.{n}.{name}.\g<of>",
                    )
                    for theirs, ours in _UNET_NODES
                    for n in range(2)
                    for layer, name in enumerate(("conv", "bn"))
                ),
            ),
        ),
    )
}
"""The networks' own names first, so that they are taken where others fit no better."""


@dataclass(frozen=True)
class Fit:
    """Which of a file's weights belong where in a network.

    Attributes:
        weights: The weights that fit, by the network's names.
        how: What was done to the names, ``without 'module.'``; empty where nothing was.
        missing: The network's weights that are not in the file.
        other_shape: Those that are, in another shape, with both shapes.
        unused: The file's weights that the network does not have.
        n_own: How many weights the network has.
    """

    weights: Mapping[str, Any]
    how: str
    missing: tuple[str, ...]
    other_shape: tuple[str, ...]
    unused: tuple[str, ...]
    n_own: int

    def belongs(self, backbone: str) -> bool:
        """Whether half of the network's weights fit, or its whole backbone's.

        Args:
            backbone: How the names of the backbone's weights begin.
        """
        n_fitting = self.n_own - len(self.missing) - len(self.other_shape)
        in_backbone = any(name.startswith(backbone) for name in self.weights)
        return 2 * n_fitting >= self.n_own or (in_backbone and not self.lacking(backbone))

    def lacking(self, backbone: str) -> list[str]:
        """The backbone's weights that do not fit, by the network's names.

        Args:
            backbone: How they begin.
        """
        lacking = [*self.missing, *(name.split(" ")[0] for name in self.other_shape)]
        return [name for name in lacking if name.startswith(backbone)]

    def counts(self) -> str:
        """How many were loaded, and which were not, on one line."""
        lacking = len(self.missing) + len(self.other_shape)
        parts = [f"{self.n_own - lacking} of the network's {self.n_own} weights are in it"]
        parts += [
            f"{what}: {len(names)} ({_first(names)})"
            for what, names in (
                ("missing", self.missing),
                ("of another shape", self.other_shape),
                ("not the network's", self.unused),
            )
            if names
        ]
        return (f"read {self.how}, " if self.how else "") + "; ".join(parts)


def fit(own: Mapping[str, Any], found: Mapping[str, Any]) -> Fit:
    """Find the network's weights among those of a file, whoever named them.

    Of all prefixes to take off, layouts to translate and prefixes to put on, that one is taken
    with which most of the network's weights fit in name and shape.

    Args:
        own: The state dict of the network.
        found: That of the file.

    Example:
        >>> import torch
        >>> own = {"backbone.conv1.weight": torch.zeros(2, 2), "head.fc.weight": torch.zeros(3, 2)}
        >>> fit(own, {"module.conv1.weight": torch.ones(2, 2)}).how
        "without 'module.', with 'backbone.'"
    """
    own = {name: tensor for name, tensor in own.items() if _counts(name)}
    found = {name: tensor for name, tensor in found.items() if _counts(name)}
    shapes = {name: _shape(tensor) for name, tensor in own.items()}
    best: tuple[int, str, Layout, str] = (-1, "", LAYOUTS["the network's own"], "")
    for strip in ("", *_prefixes(found)):
        inner = [(name.removeprefix(strip), _shape(tensor))
                 for name, tensor in found.items() if name.startswith(strip)]  # fmt: skip
        for layout in LAYOUTS.values():
            renamed = [(layout.renamed(name), shape) for name, shape in inner]
            for add in ("", *_prefixes(own)):
                n = sum(shapes.get(add + name) == shape for name, shape in renamed)
                if n > best[0]:
                    best = (n, strip, layout, add)
                if n == len(shapes):
                    return _fitted(own, found, strip, layout, add)
    return _fitted(own, found, *best[1:])


def fit_of_library(
    own: Mapping[str, Any],
    missing: Sequence[str],
    other_shape: Sequence[str],
    unused: Sequence[str],
) -> Fit:
    """What a library loaded by itself, which says what it did not find.

    Args:
        own: The network's state dict, loaded.
        missing: The network's weights that the file does not hold.
        other_shape: Those that it holds in another shape.
        unused: The file's weights that the network does not have.
    """
    own = {name: tensor for name, tensor in own.items() if _counts(name)}
    left_out, not_there, not_ours = (
        tuple(filter(_counts, names)) for names in (other_shape, missing, unused)
    )
    lacking = {*not_there, *(name.split(" ")[0] for name in left_out)}
    weights = {name: tensor for name, tensor in own.items() if name not in lacking}
    return Fit(weights, "", not_there, left_out, not_ours, len(own))


def check_fit(fitted: Fit, path: Path, name: str, backbone: str) -> None:
    """Refuse the weights of another model.

    Args:
        fitted: Which of them fit.
        path: Their file.
        name: What the model is called in a message.
        backbone: How the names of the backbone's weights begin.

    Raises:
        BackendError: Too few of them fit.
    """
    if not fitted.belongs(backbone):
        raise BackendError(
            f"{name}: pretrained {path}: it belongs to another model: {fitted.counts()}; give "
            "weights of this one, or choose the recipe that they are of"
        )


def say_fit(fitted: Fit, path: Path, where: str, name: str, backbone: str) -> None:
    """Say on one line what of a file was loaded, on another what the backbone lacks.

    Args:
        fitted: Which weights fit.
        path: Their file.
        where: In which part of it they lay; empty where it has no parts.
        name: What the model is called.
        backbone: How the names of the backbone's weights begin.
    """
    part = f" ({where})" if where else ""
    logger.info("%s: pretrained %s%s: %s", name, path, part, fitted.counts())
    if lacking := fitted.lacking(backbone):
        logger.warning(
            "%s: pretrained %s: %d weights of the backbone are not in it and start anew: %s",
            name, path, len(lacking), listed(lacking),
        )  # fmt: skip


def _fitted(
    own: Mapping[str, Any], found: Mapping[str, Any], strip: str, layout: Layout, add: str
) -> Fit:
    weights, other_shape, unused = {}, [], []
    for theirs, tensor in found.items():
        name = add + layout.renamed(theirs.removeprefix(strip))
        if not theirs.startswith(strip) or name not in own:
            unused.append(theirs)
        elif _shape(own[name]) != _shape(tensor):
            shapes = " for ".join(str(tuple(t.shape)) for t in (tensor, own[name]))
            other_shape.append(f"{name} {shapes}")
        else:
            if layout.unfolds is not None and layout.unfolds in name:
                tensor = _channel_by_channel(tensor)
            weights[name] = tensor.reshape(own[name].shape)
    there = {*weights, *(name.split(" ")[0] for name in other_shape)}
    own_name = layout.name == "the network's own"
    how = [
        f"without {strip!r}" if strip else "",
        "" if own_name else f"as {layout.name}",
        f"with {add!r}" if add else "",
    ]
    return Fit(
        weights,
        ", ".join(part for part in how if part),
        tuple(name for name in own if name not in there),
        tuple(other_shape),
        tuple(unused),
        len(own),
    )


def _counts(name: str) -> bool:
    """Whether a weight says whose it is: counters and tables of positions are computed."""
    return not name.endswith(("num_batches_tracked", "relative_position_index", "attn_mask"))


def _shape(tensor: Any) -> tuple[int, ...]:
    """Without sides of one: a convolution of one pixel is a matrix, a scale is a vector."""
    return tuple(side for side in tensor.shape if side != 1)


def _prefixes(names: Iterable[str]) -> list[str]:
    """Beginnings that at least a quarter of the names share, whole words."""
    counted: Counter[str] = Counter()
    names = list(names)
    for name in names:
        words = name.split(".")
        counted.update(".".join(words[:depth]) + "." for depth in range(1, min(4, len(words))))
    return [prefix for prefix, n in counted.items() if 4 * n >= len(names)]


def _channel_by_channel(tensor: Any) -> Any:
    """Reorder inputs of (above, below) x (left, right) x channel to channel x row x column.

    As the converters of mmdet do with the official weights.

    Args:
        tensor: (out, 4 C) of a matrix, or (4 C,) of a norm.
    """
    *out, inputs = tensor.shape
    pixels = tensor.reshape(*out, 4, inputs // 4)[..., [0, 2, 1, 3], :]
    return pixels.transpose(-1, -2).reshape(tensor.shape)


def _first(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(name[:80] for name in names[:NAMED]) + more
