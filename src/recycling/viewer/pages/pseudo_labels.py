"""Pseudo-labels: what of the teachers' predictions is kept, ignored and refused."""

from __future__ import annotations

from typing import Any

import pandas as pd

from recycling.annotations import BOX
from recycling.viewer.controls import choice
from recycling.viewer.core import ImageSet, ViewerError, part_of
from recycling.viewer.drawing import annotation_shapes, close_up
from recycling.viewer.markup import render
from recycling.viewer.pages.data import annotation_tile
from recycling.viewer.tiles import Tile, grid, some
from recycling.viewer.views import View, image_address

FATES = ("kept", "ignored", "refused")
_ROUND = r"(?:cls|det|seg)\.\w+\.fold(?:\d+|_all)\.(?:pool|test)"


def build(view: View) -> None:
    """Put the page on the screen."""
    from nicegui import ui

    found = view.holdings.there(rf"{_ROUND}_annotations")
    if not found:
        raise ViewerError("no pseudo-labels yet; kedro run makes them where models ask for them")
    rounds = [name.removesuffix("_annotations") for name in found]
    asked = view.address.one_of("round", rounds, rounds[0]) or rounds[0]
    fate = view.address.one_of("fate", FATES, "kept")
    images = view.holdings.image_set(f"{asked}_annotations")
    category = view.category(images)
    view.title("Pseudo-labels")
    with ui.element("div").classes("controls"):
        choice(view, "round", rounds, "round", value=asked, optional=False)
        choice(view, "fate", FATES, "what became of them", value=fate, optional=False)
        names = [own.name for own in images.categories.values()]
        chosen = None if category is None else category.name
        choice(view, "category", names, "category", value=chosen)
    if view.holdings.is_there(f"{asked}_audit"):
        audit = view.holdings.load(f"{asked}_audit")
        columns = ["category", "predicted", *FATES, "mean_score"]
        rows = [[_cell(value) for value in row] for row in audit[columns].to_numpy().tolist()]
        view.html(render("table.html", heads=columns, rows=rows, caption="by category"))
    if fate == "refused":
        _refused(view, images, asked, None if category is None else category.category_id)
        return
    table = images.annotations.annotations
    table = table[table["iscrowd"] == (fate == "ignored")]
    if category is not None:
        table = table[table["category_id"] == category.category_id]
    table = table.sort_values("score", ascending=False, kind="stable")
    more = some(range(len(table)), view.address, f"predictions {fate}, the surest first")
    link = lambda image_id, number: view.address.link(  # noqa: E731
        "/image", set=images.name, id=image_id, annotation=number
    )
    on_page = table.iloc[list(more.items)].to_dict("records")
    tiles = [_with_score(annotation_tile(images, row, link), row) for row in on_page]
    view.html(grid(tiles, more, "close"))


def _refused(view: View, images: ImageSet, asked: str, category_id: int | None) -> None:
    """The surest of what became nothing: the run keeps a few of these."""
    examples: pd.DataFrame = view.holdings.load(f"{asked}_examples")
    rows = examples[examples["kind"] == "refused"]
    if category_id is not None:
        rows = rows[rows["category_id"] == category_id]
    part = part_of(asked)
    whole = view.holdings.image_set(f"{part}.annotations")
    view.say("of what is refused, a run keeps the surest")
    more = some(rows.to_dict("records"), view.address, "predictions refused")
    tiles = []
    for row in more.items:
        image_id = int(row["image_id"])
        image = whole.image(image_id)
        size = (int(image["height"]), int(image["width"]))
        shapes = annotation_shapes([row], images.categories, size, dash="dashed")
        tiles.append(
            Tile(
                image_address(whole, image_id, full=True), size[1], size[0], shapes[0].label,
                view.address.link("/image", set=whole.name, id=image_id), shapes,
                [str(image["file_name"])], view=close_up([[row[edge] for edge in BOX]]),
            )
        )  # fmt: skip
    view.html(grid(tiles, more, "close"))


def _with_score(tile: Tile, row: dict[Any, Any]) -> Tile:
    return Tile(
        tile.source, tile.width, tile.height, tile.title, tile.link, tile.shapes,
        [f"score {row['score']:.2f}", *tile.lines], tile.view,
    )  # fmt: skip


def _cell(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
