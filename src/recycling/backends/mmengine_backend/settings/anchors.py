"""The anchors of a detector: given, or proposed from the boxes that it learns from."""

from __future__ import annotations

import json
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recycling.backends.core import BackendError
from recycling.backends.mmengine_backend.config_tree import mappings_in
from recycling.backends.mmengine_backend.data.training_set import TrainingSet
from recycling.backends.shared.anchor_proposal import anchor_fit, describe, propose_anchors
from recycling.backends.shared.model import Model
from recycling.backends.shared.settings import Anchors

_log = logging.getLogger(__name__)

OF_SQUARES = ("AnchorGenerator", "SSDAnchorGenerator")
"""The generators whose anchors are sizes times ratios."""


def set_anchors(config: Any, model: Model, data: TrainingSet) -> None:
    """Put `anchors` into each generator of a network.

    Args:
        config: The resolved ``mmengine.Config``; changed in place.
        model: The settings.
        data: Where ``proposed`` anchors come from.

    Raises:
        BackendError: The network has no anchors, or they cannot be proposed.
    """
    if model.anchors is None:
        return
    heads = [node for node in mappings_in(config.model) if _can_choose(node)]
    if not heads:
        raise BackendError(
            f"model {model.recipe!r}: cannot honour 'anchors', its network has none; remove it"
        )
    for head in heads:
        before = head["anchor_generator"]
        anchors = _chosen(model, before, data)
        head["anchor_generator"] = _generator(before, anchors)
        _log.info("model %r: %s: anchors of %s", model.recipe, head["type"], describe(anchors))


def _can_choose(node: Any) -> bool:
    """Whether a part of a network is a head that takes several anchors at each cell.

    With one there, as in TOOD or ATSS, an anchor is but a point with the level's scale.
    """
    generator = node.get("anchor_generator")
    if generator is None or generator["type"] not in OF_SQUARES:
        return False
    return bool(max(_build(generator).num_base_priors) > 1)


def _build(generator: Any) -> Any:
    from mmdet.registry import TASK_UTILS

    return TASK_UTILS.build(generator)


def _chosen(model: Model, generator: Any, data: TrainingSet) -> Anchors:
    assert model.anchors is not None
    if model.anchors != "proposed":
        return model.anchors
    n_levels = len(generator["strides"])
    n_sizes, n_ratios = _as_many_as(generator)
    widths, heights = _boxes(data, model.image_size)
    try:
        proposed = propose_anchors(
            widths, heights, n_levels=n_levels, n_sizes=n_sizes, n_ratios=n_ratios
        )
    except BackendError as error:
        raise BackendError(f"model {model.recipe!r}: {error}") from error
    fit = anchor_fit(widths, heights, proposed, n_levels=n_levels)
    _log.info("model %r: proposed anchors fit %d boxes: %s", model.recipe, len(widths), fit)
    return proposed


def _as_many_as(generator: Any) -> tuple[int, int]:
    """How many sizes and ratios a generator has; SSD's differ by level."""
    if generator["type"] == "SSDAnchorGenerator":
        return 2, 3
    sizes = generator.get("scales_per_octave") or len(generator["scales"])
    return int(sizes), len(generator["ratios"])


def _boxes(data: TrainingSet, image_size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Widths and heights of the training's boxes, pixels of the network's input."""
    samples = json.loads(data.file.read_text())["data_list"]
    sides = [
        (
            (instance["bbox"][2] - instance["bbox"][0]) * scale,
            (instance["bbox"][3] - instance["bbox"][1]) * scale,
        )
        for sample in samples
        for scale in (image_size / max(sample["width"], sample["height"]),)
        for instance in sample["instances"]
        if not instance["ignore_flag"]
    ]
    widths, heights = np.array(sides, np.float64).reshape(-1, 2).T
    return widths, heights


def _generator(before: Any, anchors: Anchors) -> dict[str, Any]:
    """The generator of the anchors, at the same places as before."""
    strides = list(before["strides"])
    return {
        "type": "AnchorGenerator",
        "strides": strides,
        # A base of 1, 2, 4, ... pixels, so that the scales are sizes.
        "base_sizes": [2**level for level in range(len(strides))],
        "scales": list(anchors.sizes),
        "ratios": list(anchors.ratios),
        "scale_major": before.get("scale_major", True),
        "centers": [tuple(map(float, centre)) for centre in _centres(before)],
    }


def _centres(generator: Any) -> list[tuple[float, float]]:
    """Where on each level the first anchors' centre is."""
    first = [anchors[0].tolist() for anchors in _build(generator).base_anchors]
    return [((left + right) / 2, (top + bottom) / 2) for left, top, right, bottom in first]
