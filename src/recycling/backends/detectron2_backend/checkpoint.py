"""A checkpoint of detectron2: its config, a network ready to predict, what it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from recycling.backends.core import BackendError, Checkpoint
from recycling.backends.shared.checkpoint_folder import (
    WEIGHTS,
    Trained,
    read_facts,
    with_prediction_settings,
)
from recycling.backends.shared.devices import checked_device
from recycling.backends.shared.failing_step import is_out_of_memory
from recycling.backends.shared.threads import set_threads
from recycling.errors import one_line

CONFIG = "config.yaml"

MOST_VALUES = 100_000
"""Keys and values of a config, what aliases stand for included; a usual one has 2000."""


@dataclass(frozen=True)
class Network:
    """A network that predicts.

    Attributes:
        module: The network.
        config: The resolved ``CfgNode``.
        trained: What its checkpoint says about it.
    """

    module: Any
    config: Any
    trained: Trained


def load_trained(
    checkpoint: Checkpoint, device: str | None = None, settings: Mapping[str, Any] | None = None
) -> Network:
    """The network of a checkpoint.

    Args:
        checkpoint: Its folder.
        device: What torch computes on; None for the one that the model names, or the GPU where
            there is one.
        settings: Those of the model that say how it predicts, instead of its own.

    Raises:
        BackendError: The folder is no checkpoint, is not whole, or there is no such device.
    """
    import torch
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    trained = with_prediction_settings(read_facts(checkpoint, CONFIG), settings or {})
    asked = device and checked_device(device)
    try:
        check_config((checkpoint.folder / CONFIG).read_text(encoding="utf-8"))
        config = get_cfg()
        config.merge_from_file(str(checkpoint.folder / CONFIG), allow_unsafe=False)
        config.MODEL.DEVICE = asked or trained.model.options.get("MODEL.DEVICE", checked_device())
        module = build_model(config)
        weights = torch.load(checkpoint.folder / WEIGHTS, map_location="cpu", weights_only=True)
        module.load_state_dict(weights)
        set_threads(module, trained.model)
    except Exception as error:  # YAML's, yacs's, torch's and pickle's have nothing in common
        if is_out_of_memory(error):
            raise
        raise BackendError(
            f"{checkpoint.folder}: cannot be used: {one_line(error)}; train the model again"
        ) from error
    return Network(module.eval(), config, trained)


def check_config(text: str) -> None:
    """Refuse a config that is not whole, or whose aliases stand for a billion keys in forty lines.

    detectron2 itself writes aliases, for settings that are alike.

    Args:
        text: The YAML.

    Raises:
        ValueError: It is one.
        yaml.YAMLError: It is none.
    """
    nodes, n_values = [yaml.compose(text, Loader=yaml.SafeLoader)], 0
    while nodes:
        node = nodes.pop()
        below = node.value if isinstance(node, yaml.CollectionNode) else []
        if isinstance(node, yaml.MappingNode):
            below = [each for pair in below for each in pair]
        nodes += below
        n_values += len(below)
        if n_values > MOST_VALUES:
            raise ValueError(f"its config stands for more than {MOST_VALUES:,} values")
    if "_BASE_" in yaml.safe_load(text):
        raise ValueError("its config names another file (_BASE_), and a checkpoint is whole")
