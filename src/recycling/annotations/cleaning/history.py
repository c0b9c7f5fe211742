"""Annotations before and after each change of cleaning, where their images show them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from recycling.annotations.cleaning.audit import values_of
from recycling.annotations.cleaning.rules.image_size import RULE, placements
from recycling.annotations.core import BOX, Annotations


class History:
    """What each row of an audit found and made.

    Args:
        raw: The annotations before cleaning.
        checks: What `check_images` found; an image that it does not know is as its entry says.
        audit: One row a change, in the order of the rules; its index is 0, 1, ...
    """

    def __init__(self, raw: Annotations, checks: pd.DataFrame, audit: pd.DataFrame) -> None:
        self._raw = raw.annotations
        self._placements = placements(raw, checks)
        self._changes = audit[audit["subject"] == "annotation"]
        resized = audit[
            (audit["rule"] == RULE) & (audit["subject"] == "image") & (audit["action"] == "change")
        ]
        self._resized = dict(zip(resized["subject_id"], resized.index, strict=True))

    def around(self, index: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """An annotation before and after a row of the audit, nothing where it is not there."""
        row = self._changes.loc[index]
        was = next(iter(_rows(self._raw[self._raw["annotation_id"] == row["subject_id"]])), {})
        own = self._changes[self._changes["subject_id"] == row["subject_id"]]
        for earlier in own.loc[own.index < index, "after"]:
            was |= values_of(earlier)
        was |= values_of(row["before"])
        after = values_of(row["after"])
        now = {**was, **after} if after else {}
        # From `image_size` on, boxes are given in the pixels of the image as it is shown.
        is_rescale = str(row["rule"]) == RULE
        is_shown = self._resized.get((was or now)["image_id"], index) < index
        return self._shown(was, is_shown and not is_rescale), self._shown(now, is_shown)

    def size(self, image_id: int, entry: tuple[int, int]) -> tuple[int, int]:
        """Height and width of an image as it is shown; `entry`'s where only that is known."""
        placement = self._placements.get(image_id)
        return entry if placement is None else placement.shown[::-1]

    def raw_on(self, rows: pd.DataFrame) -> list[dict[str, Any]]:
        """Raw annotations where their images show them."""
        return [self._shown(row, False) for row in _rows(rows)]

    def _shown(self, values: dict[str, Any], is_shown: bool) -> dict[str, Any]:
        placement = self._placements.get(values.get("image_id", -1))
        if placement is None or is_shown:
            return values
        box = placement.box(np.array([values[edge] for edge in BOX], dtype=np.float64))
        text = values["segmentation"]
        try:
            moved = placement.segmentation(text if isinstance(text, str) else None)
        except ValueError:  # what cleaning dropped may be damaged
            moved = None
        return {**values, **dict(zip(BOX, box.tolist(), strict=True)), "segmentation": moved}


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
