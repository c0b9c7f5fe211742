"""What the rules of cleaning do, shown on images: before in orange, after in blue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import BOX, Annotations, ImageFolder, annotation_mask
from recycling.annotations.cleaning.audit import category_names, values_of
from recycling.annotations.cleaning.report import DONE, PLURALS
from recycling.reporting.close_ups import (
    AFTER,
    BEFORE,
    NO_IMAGE,
    draw_box,
    near,
    surroundings,
    window,
    wrapped,
)
from recycling.reporting.grids import read_image
from recycling.reporting.layout import (
    GAP,
    INK,
    Rgb,
    RgbImage,
    image_grid,
    scaled,
    shortened,
    stacked,
    text_band,
)
from recycling.reporting.overlays import counted

_TILE = 210
_QUIET: Rgb = (134, 142, 150)


def cleaning_examples(
    raw: Annotations,
    folder: ImageFolder,
    checks: pd.DataFrame,
    audit: pd.DataFrame,
    would: pd.DataFrame,
    n: int = 5,
) -> RgbImage:
    """Some of what each rule did, and of what each rule that is off would do.

    Args:
        raw: The annotations before cleaning.
        folder: The folder of their images; where one cannot be read, the tile is grey.
        checks: What `check_images` found; schema `recycling.annotations.IMAGE_CHECKS`.
        audit: What the rules did; schema `recycling.annotations.AUDIT`.
        would: What each rule that is off would do; the same schema.
        n: Examples of a rule; every reason has one before any has two.

    Returns:
        (H, W, 3) RGB: a heading and a row of examples for each rule that does something. What is
        dropped has an orange box only, what is changed the new one in blue.
    """
    lookup = _Lookup(raw, folder, checks, pd.concat([audit, would]))
    rows = [
        _row(lookup, str(rule), part, n, enabled=enabled)
        for table, enabled in ((audit, True), (would, False))
        for rule, part in table.groupby("rule", sort=False)
    ]
    if not rows:
        return text_band(
            n * _TILE, [("cleaning changes nothing, and no rule that is off would", INK)]
        )
    return image_grid(rows, 1)


class _Lookup:
    """The raw annotations, looked up by id, and the names of all categories."""

    def __init__(
        self, raw: Annotations, folder: ImageFolder, checks: pd.DataFrame, audit: pd.DataFrame
    ) -> None:
        self.images = {int(row["image_id"]): row for row in raw.images.to_dict("records")}
        self.annotations = raw.annotations
        self.names = category_names(raw, audit)
        made = audit[(audit["subject"] == "annotation") & (audit["action"] == "add")]
        self.added = dict(zip(made["subject_id"], map(values_of, made["after"]), strict=True))
        self.folder = folder
        self.checks = checks
        first_of_group = raw.images.sort_values("image_id").drop_duplicates("group")
        self.of_group = dict(zip(first_of_group["group"], first_of_group["image_id"], strict=True))

    def annotation(self, annotation_id: int) -> dict[str, Any]:
        """Its row, raw or as a rule added it."""
        rows = self.annotations[self.annotations["annotation_id"] == annotation_id]
        row = rows.to_dict("records")[0] if len(rows) else self.added[annotation_id]
        return {str(key): value for key, value in row.items()}

    def image(self, image_id: int) -> RgbImage:
        """The image, or a grey image of its size."""
        image = self.images[image_id]
        try:
            return read_image(self.folder, image["file_name"])
        except (OSError, ValueError):
            return np.full((image["height"], image["width"], 3), NO_IMAGE, dtype=np.uint8)


def _row(lookup: _Lookup, rule: str, part: pd.DataFrame, n: int, *, enabled: bool) -> RgbImage:
    subjects = part["subject"].unique()
    subject = next(name for name in PLURALS if name in subjects)  # the first that it touches
    shown = part[part["subject"] == subject]
    counts = part.groupby(["subject", "action"], sort=False).size().reset_index(name="count")
    changes = ", ".join(
        f"{DONE[action] if enabled else action} {counted(count, name, PLURALS[name])}"
        for name, action, count in counts.itertuples(index=False)
    )
    heading = f"{rule}: {changes}" if enabled else f"{rule} is off; it would {changes}"
    band = text_band(n * (_TILE + GAP) - GAP, [(heading, INK if enabled else _QUIET)])
    if subject == "category":
        return band
    tiles = [
        _tile(lookup, subject, row) for row in _one_of_each_reason(shown, n).to_dict("records")
    ]
    return stacked([band, image_grid(tiles, n, margin=0)])


def _one_of_each_reason(rows: pd.DataFrame, n: int) -> pd.DataFrame:
    """`n` rows; every reason has one before any has two."""
    again = rows.groupby("reason").cumcount()
    return rows.loc[again.sort_values(kind="stable").index[:n]]


def _tile(lookup: _Lookup, subject: str, row: Mapping[Any, Any]) -> RgbImage:
    number = int(row["subject_id"])
    before, after = values_of(row["before"]), values_of(row["after"])
    if subject == "image":
        tile = _image_tile(lookup, number, after)
    else:
        tile = _annotation_tile(lookup, number, before, after)
    lines = [(f"{subject} {number}", INK)]
    named = [
        str(lookup.names[values["category_id"]])
        for values in (before, after)
        if row["action"] == "change" and values.get("category_id") in lookup.names
    ]
    lines += [(shortened(" > ".join(named), _TILE), INK)] if named else []
    words = wrapped(str(row["reason"]), _TILE, 3 - len(lines))
    lines += [(line, _QUIET) for line in words]
    return np.concatenate([tile, text_band(_TILE, lines)])


def _image_tile(lookup: _Lookup, image_id: int, after: Mapping[str, Any]) -> RgbImage:
    """The image, beside the one that it repeats or joins."""
    duplicate = _duplicate_of(lookup, image_id, after)
    shown = [image_id] if duplicate is None else [duplicate, image_id]
    width = (_TILE - 4 * (len(shown) - 1)) // len(shown)
    tile = np.full((_TILE, _TILE, 3), NO_IMAGE, dtype=np.uint8)
    for index, shown_id in enumerate(shown):
        image = lookup.image(shown_id)
        small = scaled(image, min(width / image.shape[1], _TILE / image.shape[0]))
        top = (_TILE - small.shape[0]) // 2
        left = index * (width + 4) + (width - small.shape[1]) // 2
        tile[top : top + small.shape[0], left : left + small.shape[1]] = small
    return tile


def _duplicate_of(lookup: _Lookup, image_id: int, after: Mapping[str, Any]) -> int | None:
    if "group" in after:
        duplicate = lookup.of_group.get(after["group"])
    else:
        same = lookup.checks.loc[lookup.checks["image_id"] == image_id, "duplicate_of"].dropna()
        duplicate = int(same.iloc[0]) if len(same) else None
    return None if duplicate == image_id else duplicate


def _annotation_tile(
    lookup: _Lookup, annotation_id: int, before: dict[str, Any], after: dict[str, Any]
) -> RgbImage:
    """The surroundings of an annotation, with its box, and its mask where that is what changed."""
    # Earlier rules may have changed it, so the audit's values go before the raw ones.
    was = lookup.annotation(annotation_id) | before
    now = was | after if after else {}
    drawn = [(values, colour) for values, colour in ((was, BEFORE), (now, AFTER)) if values]
    if after and annotation_id in lookup.added and not before:
        drawn = drawn[1:]  # it was not there
    image = lookup.image(was["image_id"])
    boxes = near([[values[edge] for edge in BOX] for values, _ in drawn], *image.shape[:2])
    left, top, side = surroundings(boxes)
    scale = _TILE / side
    canvas = window(image, left, top, side)
    if len(drawn) == 2 and "segmentation" in after:
        old, new = (_mask(values, image) for values in (was, now))
        _tint(canvas, window(old & ~new, left, top, side), BEFORE)
        _tint(canvas, window(new, left, top, side), AFTER)
    tile = scaled(canvas, scale)[:_TILE, :_TILE]
    for box, (_, colour) in zip(boxes, drawn, strict=True):
        draw_box(tile, (box - [left, top, left, top]) * scale, colour)
    return tile


def _mask(values: Mapping[str, Any], image: RgbImage) -> NDArray[np.bool_]:
    text = values["segmentation"] if isinstance(values["segmentation"], str) else None
    return annotation_mask(text, [values[edge] for edge in BOX], *image.shape[:2])


def _tint(canvas: RgbImage, mask: NDArray[np.bool_], colour: Rgb) -> None:
    mixed = 0.4 * canvas[mask] + 0.6 * np.array(colour)
    canvas[mask] = mixed.astype(np.uint8)
