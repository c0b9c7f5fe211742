"""The anchors of a detector: given, or proposed from the boxes that it learns from."""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd

from recycling.backends.core import TrainingData
from recycling.backends.shared.anchor_proposal import describe, input_boxes, propose_anchors
from recycling.backends.shared.model import Model
from recycling.backends.shared.settings import Anchors

_log = logging.getLogger(__name__)


def set_anchors(config: Any, model: Model, data: TrainingData) -> None:
    """Put `anchors` into a config: the sizes of the finest level, doubled at each coarser one.

    Args:
        config: The ``CfgNode``; changed in place.
        model: The settings.
        data: Where ``proposed`` anchors come from.

    Raises:
        BackendError: They cannot be proposed.
    """
    if model.anchors is None:
        return
    generator = config.MODEL.ANCHOR_GENERATOR
    one_stage = config.MODEL.META_ARCHITECTURE == "RetinaNet"
    n_levels = len((config.MODEL.RETINANET if one_stage else config.MODEL.RPN).IN_FEATURES)
    anchors = model.anchors if model.anchors != "proposed" else _proposed(config, data, n_levels)
    generator.SIZES = [[size * 2**level for size in anchors.sizes] for level in range(n_levels)]
    generator.ASPECT_RATIOS = [list(anchors.ratios)]
    _log.info("model %r: anchors of %s", model.recipe, describe(anchors))


def _proposed(config: Any, data: TrainingData, n_levels: int) -> Anchors:
    """As many sizes and ratios as the recipe has."""
    generator = config.MODEL.ANCHOR_GENERATOR
    side = config.INPUT.MAX_SIZE_TRAIN
    boxes = pd.concat([input_boxes(labeled.annotations, side) for labeled in data.train])
    return propose_anchors(
        boxes["width"],
        boxes["height"],
        n_levels=n_levels,
        n_sizes=len(generator.SIZES[0]),
        n_ratios=len(generator.ASPECT_RATIOS[0]),
    )
