"""What a training that was stopped goes on from: written whole after each epoch, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recycling.backends.core import TrainingData
from recycling.backends.shared.checkpoint_folder import no_room
from recycling.backends.shared.model import Model
from recycling.backends.shared.resume import (
    STATE,
    Identity,
    facts_of_data,
    flat,
    identity_of,
    new_state,
    share,
)

NOT_OF_CONFIG = (
    "DATALOADER.NUM_WORKERS",
    "INPUT.MAX_SIZE_TEST",
    "INPUT.MIN_SIZE_TEST",
    "MODEL.DEVICE",
    "MODEL.RETINANET.NMS_THRESH_TEST",
    "MODEL.RETINANET.SCORE_THRESH_TEST",
    "MODEL.RETINANET.TOPK_CANDIDATES_TEST",
    "MODEL.ROI_HEADS.NMS_THRESH_TEST",
    "MODEL.ROI_HEADS.SCORE_THRESH_TEST",
    "MODEL.RPN.POST_NMS_TOPK_TEST",
    "MODEL.RPN.PRE_NMS_TOPK_TEST",
    "MODEL.WEIGHTS",
    "OUTPUT_DIR",
    "TEST.",
)
"""What the keys start with that say where things are, how images are loaded, how to predict."""


def identity(
    model: Model,
    config: Any,
    data: TrainingData,
    training_sha256: str,
    versions: Mapping[str, str],
    start: Path | None,
) -> Identity:
    """What a training depends on: two with the same facts give the same weights.

    Args:
        model: The settings.
        config: The resolved ``CfgNode``.
        data: What is trained on, and the held-out fold.
        training_sha256: Of what is trained on.
        versions: Of the libraries, by name.
        start: The file of the weights that it starts from.
    """
    return identity_of(
        model,
        ((key, value) for key, value in flat(config) if not key.startswith(NOT_OF_CONFIG)),
        versions,
        training_data=training_sha256,
        start=start,
        left_out=("workers",),
        besides=facts_of_data(data, model),
    )


def write_state(work_dir: Path, state: Mapping[str, Any], identity: Identity) -> None:
    """Put the state in the place of the one before, in one move.

    Args:
        work_dir: The run's folder.
        state: Tensors, numbers, strings, lists and dicts.
        identity: What the training depends on.

    Raises:
        BackendError: There is no room for it; the one before is kept.
    """
    import torch

    try:
        # Given a path, torch would hide why it could not write.
        with new_state(work_dir, identity) as unfinished, unfinished.open("wb") as file:
            torch.save(dict(state), file)
    except OSError as error:
        raise no_room(work_dir / STATE, error) from error
    share(work_dir)


def read_state(path: Path) -> dict[str, Any]:
    """What `write_state` wrote; no code in it is run."""
    import torch

    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
