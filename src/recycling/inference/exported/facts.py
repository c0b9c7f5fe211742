"""What an exported file says about itself: all that predicting with it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from recycling.backends.shared.crops import MARGIN
from recycling.backends.shared.model import Task
from recycling.inference.core import InferenceError
from recycling.registry import Strict

FORMAT = 1
"""Of what a file says about itself."""


class Category(Strict):
    """A category, at the place of its class index.

    Attributes:
        category_id: Its number.
        name: Its name.
    """

    category_id: int
    name: str


class Exported(Strict):
    """The metadata of an ONNX file: each attribute is an entry, in JSON.

    Attributes:
        format: Of this description.
        name: What was exported, such as ``det.yolox.fold0``.
        task: What it predicts.
        categories: In the order of class indices.
        image_size: The longer side of an image as the network sees it, pixels; of a crop each side.
        pad_to: An image is padded at the right and below until its sides are multiples of it.
        pad_value: The value of padding, after normalisation.
        channels: The order in which the network takes colours.
        mean: Subtracted from each channel, of 0 to 255.
        std: What each channel is divided by then.
        margin: Context around a box in a crop, as a share of its longer side.
        score_threshold: Boxes with a lower score are left out.
        pixels_are: What a segmenter's numbers are: logits, or sums of the scores of masks.
        batch_size: Images that are predicted together.
        source: What it was made of: recipe, library, versions, and hashes of weights and data.
    """

    format: Literal[1] = 1
    name: str
    task: Task
    categories: tuple[Category, ...] = Field(min_length=1)
    image_size: int = Field(ge=1, le=1 << 14)
    pad_to: int = Field(default=1, ge=1, le=1 << 14)
    pad_value: float = 0.0
    channels: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    margin: float = Field(default=MARGIN, ge=0)
    score_threshold: float = Field(default=0.0, ge=0, le=1)
    pixels_are: Literal["logits", "sums"] = "logits"
    batch_size: int = Field(default=8, ge=1)
    source: dict[str, Any] = Field(default_factory=dict)

    def entries(self) -> dict[str, str]:
        """As a file holds them: texts by name."""
        return {key: json.dumps(value) for key, value in self.model_dump(mode="json").items()}


def read_exported(entries: Mapping[str, str], where: str) -> Exported:
    """What a file says about itself.

    Args:
        entries: Its metadata.
        where: The file, for messages.

    Raises:
        InferenceError: It was not exported by this project, or by another version of it.
    """
    try:
        return Exported.model_validate({key: json.loads(text) for key, text in entries.items()})
    except (ValidationError, ValueError, RecursionError) as error:
        raise InferenceError(
            f"{where}: not exported by this version of the project, which reads format {FORMAT}; "
            "export it again: kedro export NAME"
        ) from error
