"""The likeliest errors of labels: what is said in orange, what models see in blue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from recycling.annotations import BOX, Annotations, ImageFolder
from recycling.diagnostics.label_errors import LabelErrors, proposed
from recycling.diagnostics.label_errors.core import NEW_BOX
from recycling.reporting.close_ups import AFTER, BEFORE, close_up, wrapped
from recycling.reporting.grids import read_image
from recycling.reporting.layout import INK, Rgb, RgbImage, image_grid, shortened, text_band

_TILE = 230
_COLUMNS = 5
_LINES = 3  # for what the models say
_QUIET: Rgb = (134, 142, 150)
_SAID = {
    "wrong_class": "{category}, or {new_category}?",
    "missed": "no label, or {new_category}?",
    "badly_placed": "{category}: here, or there?",
    "spurious": "{category}, or nothing?",
}


def label_errors_grid(
    truth: Annotations, folder: ImageFolder, errors: LabelErrors, n: int = 30
) -> RgbImage:
    """Close-ups of the first candidates, with what is said and what models say.

    Args:
        truth: The images and their labels.
        folder: The folder that they are in.
        errors: The candidates; schema `recycling.diagnostics.LABEL_ERRORS`.
        n: How many; those that less speaks against than for are left out.

    Returns:
        (H, W, 3) RGB, numbered as the proposed corrections are. The label's box is orange; the one
        that models see, where it is another, blue.

    Raises:
        FileNotFoundError: An image is not there.
        ValueError: An image cannot be read.
    """
    shown = proposed(errors, n)
    if shown.empty:
        return text_band(640, [("the models have nothing to say against any label", INK)])
    tiles = [
        _tile(truth, folder, number, row) for number, row in enumerate(shown.to_dict("records"), 1)
    ]
    return image_grid(tiles, _COLUMNS)


def said_of(row: Mapping[Any, Any]) -> str:
    """What a candidate asks.

    >>> said_of({"kind": "wrong_class", "category": "Paper", "new_category": "Glass"})
    'Paper, or Glass?'
    """
    return _SAID[row["kind"]].format(**row)


def _tile(truth: Annotations, folder: ImageFolder, number: int, row: dict[Any, Any]) -> RgbImage:
    image = read_image(folder, row["file_name"])
    said = (np.array([row[edge] for edge in BOX], dtype=np.float64), BEFORE)
    boxes = [said]
    if row["kind"] == "missed":
        boxes = [(said[0], AFTER)]
    elif not pd.isna(row[NEW_BOX[0]]):
        boxes.append((np.array([row[edge] for edge in NEW_BOX], dtype=np.float64), AFTER))
    lines = [
        (shortened(f"{number}  {said_of(row)}", _TILE), INK),
        (shortened(f"{row['file_name']}", _TILE), _QUIET),
    ]
    words = wrapped(str(row["models"]), _TILE, _LINES)
    words += [""] * (_LINES - len(words))
    lines += [(line, _QUIET) for line in words]
    return np.concatenate([close_up(image, boxes, _TILE), text_band(_TILE, lines)])
