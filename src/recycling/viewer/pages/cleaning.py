"""What cleaning changed, by rule: before in orange, after in blue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import pandas as pd

from recycling.annotations import BOX
from recycling.viewer.controls import choice
from recycling.viewer.core import ImageSet, ViewerError
from recycling.viewer.drawing import Shape, box_path, close_up, outline_path
from recycling.viewer.markup import render
from recycling.viewer.pages.data import image_tile
from recycling.viewer.tiles import Tile, grid, some
from recycling.viewer.views import View, image_address

BEFORE, AFTER = "#d9774a", "#1864ab"
DONE = {"add": "added", "change": "changed", "drop": "dropped"}


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
        choice(view, "part", parts, "part", value=part, optional=False)
        choice(view, "rule", rules, "rule", value=rule)
    counts = audit.groupby(["rule", "subject", "action"], sort=False).size().reset_index(name="n")
    lines: list[list[Any]] = [
        [{"text": own, "link": view.address.link(rule=own, page=None)}, subject, DONE[action], n]
        for own, subject, action, n in counts.itertuples(index=False)
    ]
    heads = ("rule", "what", "done", "how many")
    view.html(render("table.html", heads=heads, rows=lines, caption="changes by rule"))
    rows = audit if rule is None else audit[audit["rule"] == rule]
    more = some(range(len(rows)), view.address, "changes")
    images = view.holdings.image_set(_raw(part))
    lookup = _Lookup(view, images, audit, part)
    on_page = rows.iloc[list(more.items)].to_dict("records")
    view.html(grid([lookup.tile(row) for row in on_page], more, "close"))


def _raw(part: str) -> str:
    return f"{part}.raw_annotations"


class _Lookup:
    """What the rows of an audit are about."""

    def __init__(self, view: View, images: ImageSet, audit: pd.DataFrame, part: str) -> None:
        self.view, self.images = view, images
        table = images.annotations.annotations
        make = lambda: {  # noqa: E731
            int(number): row for row, number in enumerate(table["annotation_id"])
        }
        keep = view.holdings.keep
        self.row_of = cast(dict[int, int], keep("rows", images.name, id(images), make))
        self.names = {own.category_id: own.name for own in images.categories.values()}
        added = audit[audit["action"] == "add"]
        for subject, number, after in zip(
            added["subject"], added["subject_id"], added["after"], strict=True
        ):
            if subject == "category":
                self.names.setdefault(int(number), _parsed(after).get("name", "?"))
        self.checks: pd.DataFrame | None = None
        if view.holdings.is_there(f"{part}.image_checks"):
            self.checks = view.holdings.load(f"{part}.image_checks")

    def tile(self, row: Mapping[Any, Any]) -> Tile:
        """A change, with what it is of."""
        number, subject = int(row["subject_id"]), str(row["subject"])
        before, after = _parsed(row["before"]), _parsed(row["after"])
        lines = [f"{row['rule']}: {DONE[row['action']]}", str(row["reason"])]
        if subject == "image" and number in self.images.images:
            like = self._like(number, after)
            if like is not None:
                lines.append(f"like image {like}")
            link = lambda image_id, _: self._link(image_id)  # noqa: E731
            found = image_tile(self.images, number, link)
            return Tile(found.source, found.width, found.height, f"image {number}",
                        found.link, found.shapes, [found.title, *lines])  # fmt: skip
        if subject == "annotation":
            return self._annotation(number, before, after, lines)
        name = self.names.get(number, "?")
        title = f"{subject} {number}: {name}"
        return Tile(
            "", 100, 100, title, self.view.address.link(), (), [*lines, _changed(before, after)]
        )

    def _annotation(
        self, number: int, before: dict[str, Any], after: dict[str, Any], lines: list[str]
    ) -> Tile:
        place = self.row_of.get(number)
        table = self.images.annotations.annotations
        raw = {} if place is None else {str(k): v for k, v in table.iloc[place].items()}
        was = {**raw, **before} if raw or before else {}
        now = {**was, **after} if after else {}
        image_id = int((was or now)["image_id"])
        image = self.images.images.get(image_id)
        if image is None:
            image = {"width": 100, "height": 100, "file_name": "?"}
        size = (int(image["height"]), int(image["width"]))
        shapes = [
            _shape(values, size, colour, dash, self.names)
            for values, colour, dash in ((was, BEFORE, "dashed"), (now, AFTER, "solid"))
            if values
        ]
        boxes = [[float(values[edge]) for edge in BOX] for values in (was, now) if values]
        names = [
            self.names.get(values["category_id"], "?")
            for values in (before, after)
            if "category_id" in values and after
        ]
        if len(names) == 2:
            lines = [" → ".join(names), *lines]
        source = image_address(self.images, image_id, full=True)
        return Tile(source, size[1], size[0], f"annotation {number}", self._link(image_id), shapes,
                    lines, view=close_up(_near(boxes, size)))  # fmt: skip

    def _like(self, image_id: int, after: Mapping[str, Any]) -> int | None:
        """The image that one repeats, or whose group it joins."""
        if self.checks is not None:
            same = self.checks.loc[self.checks["image_id"] == image_id, "duplicate_of"].dropna()
            if len(same):
                return int(same.iloc[0])
        table = self.images.annotations.images
        first = table.loc[table["group"] == after.get("group"), "image_id"]
        return int(first.min()) if len(first) else None

    def _link(self, image_id: int) -> str:
        return self.view.address.link("/image", set=self.images.name, id=image_id)


def _shape(
    values: Mapping[str, Any], size: tuple[int, int], colour: str, dash: Any, names: Any
) -> Shape:
    box = [float(values[edge]) for edge in BOX]
    segmentation = values.get("segmentation")
    outline = None
    if isinstance(segmentation, str):
        try:
            outline = outline_path(segmentation, box, *size)
        except ValueError:
            outline = None  # what cleaning dropped may be damaged
    label = names.get(values.get("category_id"), "?")
    return Shape(outline or box_path(box), box[0], box[1], label, colour, dash=dash)


def _near(boxes: list[list[float]], size: tuple[int, int]) -> list[list[float]]:
    """Boxes no further from the image than it is large: a box may be of any size."""
    height, width = size
    limits = (width, height, width, height)
    return [
        [min(max(edge, -limit), 2 * limit) for edge, limit in zip(box, limits, strict=True)]
        for box in boxes
    ]


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    keys = [key for key in after if before.get(key) != after[key]] if before else list(after)
    return ", ".join(f"{key}: {before.get(key, '')} → {after[key]}" for key in keys)


def _parsed(text: Any) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(text) if isinstance(text, str) else {}
    return values
