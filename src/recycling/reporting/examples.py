"""What the rules of cleaning do, shown on images: before in orange, after in blue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import BOX, Annotations, ImageFolder, annotation_mask
from recycling.annotations.cleaning.audit import category_names, combined, values_of
from recycling.annotations.cleaning.history import History
from recycling.annotations.cleaning.registry import default_order
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
    lookup = _Lookup(raw, folder, checks, audit)
    rows = [
        _row(lookup, str(rule), part, n, enabled=True)
        for rule, part in lookup.audit.groupby("rule", sort=False)
    ]
    place = {rule: number for number, rule in enumerate(default_order())}
    for rule, part in would.groupby("rule", sort=False):
        before = audit[audit["rule"].map(place) < place[str(rule)]]
        lookup = _Lookup(raw, folder, checks, combined([before, part]))
        rows.append(_row(lookup, str(rule), lookup.audit[len(before) :], n, enabled=False))
    if not rows:
        return text_band(
            n * _TILE, [("cleaning changes nothing, and no rule that is off would", INK)]
        )
    return image_grid(rows, 1)


class _Lookup:
    """What an audit is about: images, annotations as they were, the names of all categories."""

    def __init__(
        self, raw: Annotations, folder: ImageFolder, checks: pd.DataFrame, audit: pd.DataFrame
    ) -> None:
        self.images = {int(row["image_id"]): row for row in raw.images.to_dict("records")}
        self.audit = audit.reset_index(drop=True)
        self.history = History(raw, checks, self.audit)
        self.names = category_names(raw, audit)
        self.folder = folder
        self.checks = checks
        first_of_group = raw.images.sort_values("image_id").drop_duplicates("group")
        self.of_group = dict(zip(first_of_group["group"], first_of_group["image_id"], strict=True))

    def image(self, image_id: int) -> RgbImage:
        """The image, or a grey image of its size."""
        image = self.images[image_id]
        try:
            return read_image(self.folder, image["file_name"])
        except (OSError, ValueError):
            size = self.history.size(image_id, (image["height"], image["width"]))
            return np.full((*size, 3), NO_IMAGE, dtype=np.uint8)


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
    examples = _one_of_each_reason(shown, n)
    tiles = [
        _tile(lookup, subject, index, row)
        for index, row in zip(examples.index, examples.to_dict("records"), strict=True)
    ]
    return stacked([band, image_grid(tiles, n, margin=0)])


def _one_of_each_reason(rows: pd.DataFrame, n: int) -> pd.DataFrame:
    """`n` rows; every reason has one before any has two."""
    again = rows.groupby("reason").cumcount()
    return rows.loc[again.sort_values(kind="stable").index[:n]]


def _tile(lookup: _Lookup, subject: str, index: int, row: Mapping[Any, Any]) -> RgbImage:
    number = int(row["subject_id"])
    before, after = values_of(row["before"]), values_of(row["after"])
    if subject == "image":
        tile = _image_tile(lookup, number, after)
    else:
        tile = _annotation_tile(lookup, index, is_cut="segmentation" in after)
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


def _annotation_tile(lookup: _Lookup, index: int, *, is_cut: bool) -> RgbImage:
    """The surroundings of an annotation, with its box, and its mask where that is what changed."""
    was, now = lookup.history.around(index)
    drawn = [(values, colour) for values, colour in ((was, BEFORE), (now, AFTER)) if values]
    image = lookup.image((was or now)["image_id"])
    boxes = near([[values[edge] for edge in BOX] for values, _ in drawn], *image.shape[:2])
    left, top, side = surroundings(boxes)
    scale = _TILE / side
    canvas = window(image, left, top, side)
    if len(drawn) == 2 and is_cut:
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
