"""The certificate of a round of pseudo-labels as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from recycling.annotations import BOX, Annotations, ImageFolder
from recycling.reporting.grids import crop, read_image
from recycling.reporting.layout import RgbImage, image_grid
from recycling.reporting.overlays import crop_tile
from recycling.reporting.pages import render_image, render_list, render_page, render_table

_SHOWN = {
    "category": "category",
    "threshold": "from score",
    "precision": "promised",
    "confidence": "with a chance of",
    "reason": "why",
    "units": "held-out images",
    "held_out": "right there",
    "predicted": "predicted",
    "kept": "kept",
    "ignored": "ignored",
    "refused": "refused",
    "attained": "right by the truth",
    "recall": "of all that is there",
    "iou": "IoU",
}
_FORMATS = dict.fromkeys(
    ("from score", "promised", "with a chance of", "right there", "right by the truth",
     "of all that is there", "IoU"),
    ".2f",
)  # fmt: skip


def certificate_page(
    title: str,
    certificate: pd.DataFrame,
    sentences: Sequence[str],
    examples: Sequence[tuple[str, RgbImage]],
) -> str:
    """The certificate of a round of pseudo-labels.

    Args:
        title: What was labelled, like ``Pseudo-labels of boxes: pseudo, fold 0``.
        certificate: Schema `recycling.pseudo_labels.CERTIFICATE`.
        sentences: What the promise covers, and what it does not.
        examples: Headings and images: the surest, the least sure, the refused.

    Returns:
        A page of HTML in UTF-8 that loads nothing.
    """
    table = certificate.rename(columns=_SHOWN).dropna(axis="columns", how="all")
    formats = {name: form for name, form in _FORMATS.items() if name in table}
    panels = [
        ("What is promised, and what was kept",
         [render_list(sentences), render_table(table, formats)]),
        *((heading, [render_image(image, heading)]) for heading, image in examples),
    ]  # fmt: skip
    return render_page(title, panels)


def example_images(
    examples: pd.DataFrame,
    images: pd.DataFrame,
    folder: ImageFolder,
    categories: pd.DataFrame,
    truth: Annotations | None = None,
    iou: float = 0.5,
) -> list[tuple[str, RgbImage]]:
    """Some predictions, kind by kind: what is in their boxes, under category and score.

    Args:
        examples: Schema `recycling.pseudo_labels.EXAMPLES`.
        images: Those that they are on.
        folder: Where these are.
        categories: By which they are called.
        truth: What is on the images; None where nobody knows. Its categories are `categories`.
        iou: From which on a prediction shows an object of the truth.
    """
    files = images.set_index("image_id")["file_name"]
    names = categories.set_index("category_id")["name"]
    drawn = []
    for kind, rows in examples.groupby("kind", sort=False):
        tiles = [
            crop_tile(
                crop(read_image(folder, files[row["image_id"]]), [row[side] for side in BOX]),
                _shown_object(row, truth, iou, names) if truth is not None else "",
                [(names[row["category_id"]], row["score"])],
            )
            for row in rows.to_dict("records")
        ]
        drawn.append((str(kind).capitalize(), image_grid(tiles, 6)))
    return drawn


def _shown_object(
    row: Mapping[Any, Any], truth: Annotations, iou: float, names: pd.Series[str]
) -> str:
    """The category of the object that a box shows, or that it shows none."""
    import supervision as sv

    objects = truth.annotations[truth.annotations["image_id"] == row["image_id"]]
    box = np.array([[row[side] for side in BOX]])
    overlaps = sv.box_iou_batch(box, objects[BOX].to_numpy(dtype=np.float64))[0]
    if not len(overlaps) or overlaps.max() < iou:
        return "no object"
    return str(names[objects["category_id"].iloc[overlaps.argmax()]])
