"""Pseudo-labels: what of the teachers' predictions is kept, ignored and refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup

from recycling.annotations import BOX
from recycling.viewer.controls import category_choice, choice
from recycling.viewer.core import ImageSet, ViewerError
from recycling.viewer.drawing import annotation_shapes, close_up
from recycling.viewer.holdings import part_of
from recycling.viewer.markup import render
from recycling.viewer.pages.data import annotation_tile, link_within
from recycling.viewer.tiles import Tile, grid, paginate
from recycling.viewer.views import View, image_address

FATES = ("kept", "ignored", "refused")
_ROUND = r"(?:cls|det|seg)\.\w+\.fold(?:\d+|_all)\.(?:pool|test)"


def build(view: View) -> None:
    """Put the page on the screen."""
    from nicegui import ui

    names = view.holdings.there(rf"{_ROUND}_annotations")
    if not names:
        raise ViewerError("no pseudo-labels yet; kedro run makes them where models ask for them")
    rounds = [name.removesuffix("_annotations") for name in names]
    chosen = view.address.one_of("round", rounds, rounds[0]) or rounds[0]
    fate = view.address.one_of("fate", FATES, "kept")
    images = view.holdings.image_set(f"{chosen}_annotations")
    view.title("Pseudo-labels")
    with ui.element("div").classes("controls"):
        choice(view, "round", rounds, "round", value=chosen, optional=False)
        choice(view, "fate", FATES, "outcome", value=fate, optional=False)
        category_choice(view, images)
    if view.holdings.is_there(f"{chosen}_audit"):
        audit = view.holdings.load(f"{chosen}_audit")
        columns = ["category", "predicted", *FATES, "mean_score"]
        rows = [[_cell(value) for value in row] for row in audit[columns].to_numpy().tolist()]
        view.html(render("table.html", heads=columns, rows=rows, caption="by category"))
    if fate == "refused":
        view.say("of what is refused, a run keeps the surest")
        view.html(_refused(view, images, chosen))
    else:
        view.html(_labels(view, images, str(fate)))


def _labels(view: View, images: ImageSet, fate: str) -> Markup:
    """What is kept, and what is ignored: neither learnt as an object nor as background."""
    table = _of_category(view, images, images.annotations.annotations)
    table = table[table["iscrowd"] == (fate == "ignored")]
    table = table.sort_values("score", ascending=False, kind="stable")
    page = paginate(range(len(table)), view.address, f"predictions {fate}, the surest first")
    link = link_within(view, images)
    on_page = table.iloc[list(page.items)].to_dict("records")
    return grid([annotation_tile(images, row, link) for row in on_page], page, "close")


def _refused(view: View, images: ImageSet, chosen: str) -> Markup:
    """The surest of what became nothing."""
    examples: pd.DataFrame = view.holdings.load(f"{chosen}_examples")
    rows = _of_category(view, images, examples[examples["kind"] == "refused"])
    page = paginate(rows.to_dict("records"), view.address, "predictions refused")
    # An image of which nothing is kept is not among those of the round.
    whole = view.holdings.image_set(f"{part_of(chosen)}.annotations")
    return grid([_refused_tile(view, whole, images, row) for row in page.items], page, "close")


def _refused_tile(view: View, whole: ImageSet, images: ImageSet, row: Mapping[Any, Any]) -> Tile:
    image_id = int(row["image_id"])
    height, width = whole.size(image_id)
    shapes = annotation_shapes([row], images.categories, (height, width), dash="dashed")
    return Tile(
        source=image_address(whole, image_id, full=True),
        width=width,
        height=height,
        title=shapes[0].label,
        link=link_within(view, whole)(image_id, None),
        shapes=shapes,
        lines=[str(whole.image(image_id)["file_name"])],
        view=close_up([[row[edge] for edge in BOX]]),
    )


def _of_category(view: View, images: ImageSet, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the category that is asked for."""
    category = view.category(images)
    return rows if category is None else rows[rows["category_id"] == category.category_id]


def _cell(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
