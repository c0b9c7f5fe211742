"""What cleaning changed, by rule: before in orange, after in blue."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pandas as pd
from markupsafe import Markup

from recycling.annotations import BOX, IMAGE_CHECKS
from recycling.annotations.cleaning.audit import category_names, values_of
from recycling.annotations.cleaning.history import History
from recycling.annotations.cleaning.report import DONE
from recycling.reporting.close_ups import near
from recycling.viewer.controls import choice
from recycling.viewer.core import ImageSet, ViewerError
from recycling.viewer.drawing import Dash, Shape, box_path, close_up, outline_path
from recycling.viewer.markup import render
from recycling.viewer.pages.data import image_tile, link_within
from recycling.viewer.tiles import Tile, grid, paginate
from recycling.viewer.views import View, image_address

BEFORE, AFTER = "#d9774a", "#1864ab"
_UNKNOWN = (100, 100)  # height and width of an image that only the audit knows


def build(view: View) -> None:
    """Put the page on the screen."""
    from nicegui import ui

    audits = view.holdings.there(r"\w+\.cleaning_audit")
    parts = [part for name in audits if view.holdings.is_there(_raw(part := name.split(".")[0]))]
    if not parts:
        raise ViewerError("nothing is cleaned yet; kedro run --pipelines data_cleaning")
    first = "train" if "train" in parts else parts[0]
    part = view.address.one_of("part", parts, first) or first
    audit: pd.DataFrame = view.holdings.load(f"{part}.cleaning_audit")
    rules = list(dict.fromkeys(audit["rule"]))
    rule = view.address.one_of("rule", rules)
    view.title("What cleaning changed")
    with ui.element("div").classes("controls"):
        choice(view, "part", parts, "part", value=part, optional=False, resets=("rule",))
        choice(view, "rule", rules, "rule", value=rule)
    view.html(_counts(view, audit))
    rows = audit if rule is None else audit[audit["rule"] == rule]
    page = paginate(range(len(rows)), view.address, "changes")
    changes = _Changes(view, part, audit)
    on_page = rows.iloc[list(page.items)]
    tiles = map(changes.tile, on_page.index, on_page.to_dict("records"))
    view.html(grid(list(tiles), page, "close"))


def _raw(part: str) -> str:
    return f"{part}.raw_annotations"


def _counts(view: View, audit: pd.DataFrame) -> Markup:
    """How often each rule changed something; a rule leads to its changes."""
    counts = audit.groupby(["rule", "subject", "action"], sort=False).size().reset_index(name="n")
    rows: list[list[Any]] = [
        [{"text": rule, "link": view.address.link(rule=rule, page=None)}, subject, DONE[action], n]
        for rule, subject, action, n in counts.itertuples(index=False)
    ]
    heads = ("rule", "what", "done", "how many")
    return render("table.html", heads=heads, rows=rows, caption="changes by rule")


class _Changes:
    """The changes of a part, with the annotations that they were made to.

    Args:
        view: The page.
        part: Of the data.
        audit: One row a change; schema `recycling.annotations.AUDIT`, its index 0, 1, ...
    """

    def __init__(self, view: View, part: str, audit: pd.DataFrame) -> None:
        self.images: ImageSet = view.holdings.image_set(_raw(part))
        self.link = link_within(view, self.images)
        self.here = view.address.link()
        self.names = category_names(self.images.annotations, audit)
        checks = f"{part}.image_checks"
        self.checks: pd.DataFrame = (
            view.holdings.load(checks) if view.holdings.is_there(checks) else IMAGE_CHECKS.empty()
        )
        self.history = History(self.images.annotations, self.checks, audit)

    def tile(self, index: int, row: Mapping[Any, Any]) -> Tile:
        """A change, with what it is of."""
        number, subject = int(row["subject_id"]), str(row["subject"])
        before, after = values_of(row["before"]), values_of(row["after"])
        lines = [f"{row['rule']}: {DONE[row['action']]}", str(row["reason"])]
        if subject == "image" and number in self.images.images:
            return self._image(number, after, lines)
        if subject == "annotation":
            return self._annotation(index, row, lines)
        title = f"{subject} {number}: {self.names.get(number, '?')}"
        height, width = _UNKNOWN
        return Tile("", width, height, title, self.here, lines=[*lines, _changed(before, after)])

    def _image(self, image_id: int, after: Mapping[str, Any], lines: list[str]) -> Tile:
        like = self._like(image_id, after)
        if like is not None:
            lines = [*lines, f"like image {like}"]
        rows = self.history.raw_on(self.images.on(image_id))
        tile = image_tile(self.images, image_id, self.link, rows, self._size(image_id))
        return replace(tile, title=f"image {image_id}", lines=[tile.title, *lines])

    def _size(self, image_id: int) -> tuple[int, int]:
        """Height and width of an image as it is shown, pixels."""
        if image_id not in self.images.images:
            return _UNKNOWN
        return self.history.size(image_id, self.images.size(image_id))

    def _annotation(self, index: int, row: Mapping[Any, Any], lines: list[str]) -> Tile:
        was, now = self.history.around(index)
        image_id = int((was or now)["image_id"])
        height, width = size = self._size(image_id)
        shapes = [_shape(was, size, BEFORE, "dashed", self.names)] if was else []
        shapes += [_shape(now, size, AFTER, "solid", self.names)] if now else []
        if was and now and was["category_id"] != now["category_id"]:
            names = (self.names.get(each["category_id"], "?") for each in (was, now))
            lines = [" → ".join(names), *lines]
        return Tile(
            source=image_address(self.images, image_id, full=True),
            width=width,
            height=height,
            title=f"annotation {row['subject_id']}",
            link=self.link(image_id, None),
            shapes=shapes,
            lines=lines,
            view=close_up(near([shape.box for shape in shapes], height, width).tolist()),
        )

    def _like(self, image_id: int, after: Mapping[str, Any]) -> int | None:
        """The image that one repeats, or whose group it joins."""
        same = self.checks.loc[self.checks["image_id"] == image_id, "duplicate_of"].dropna()
        if len(same):
            return int(same.iloc[0])
        table = self.images.annotations.images
        of_group = table.loc[table["group"] == after.get("group"), "image_id"]
        return int(of_group.min()) if len(of_group) else None


def _shape(
    values: Mapping[str, Any],
    size: tuple[int, int],
    colour: str,
    dash: Dash,
    names: Mapping[int, str],
) -> Shape:
    box = [float(values[edge]) for edge in BOX]
    outline = None
    with suppress(ValueError):  # what cleaning dropped may be damaged
        outline = outline_path(values.get("segmentation"), box, *size)
    label = names.get(values.get("category_id", -1), "?")
    return Shape(outline or box_path(box), box, label, colour, dash=dash)


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    keys = [key for key in after if before.get(key) != after[key]] if before else list(after)
    return ", ".join(f"{key}: {before.get(key, '')} → {after[key]}" for key in keys)
