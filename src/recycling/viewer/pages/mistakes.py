"""Mistakes of one side: which is taken for which, of which kind, and the worst of them."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import pandas as pd
from markupsafe import Markup

from recycling.annotations import BOX
from recycling.diagnostics import as_predictions, disagreement, image_overlaps, mistakes
from recycling.diagnostics.mistakes import KINDS
from recycling.pipelines.tasks import is_labelled
from recycling.viewer.addresses import Address
from recycling.viewer.confusion import confusion_table
from recycling.viewer.controls import choice, slider
from recycling.viewer.core import ViewerError
from recycling.viewer.drawing import annotation_shapes, close_up
from recycling.viewer.later import later
from recycling.viewer.markup import render
from recycling.viewer.pages.predictions import PARTS
from recycling.viewer.predicted import Sides, said, sides_of, true_shapes
from recycling.viewer.tiles import Tile, grid, some
from recycling.viewer.views import View, image_address

ORDERS = {"loss": "by loss", "iou": "images by IoU"}


def build(view: View) -> None:
    """Put the page on the screen."""
    from nicegui import ui

    address = view.address
    known = view.holdings.sides
    name = address.text("side") or (known[0] if known else "")
    of = sides_of(view.holdings, [name] if name else [], address.one_of("part", list(PARTS)))
    (side,) = of.sides
    score = address.fraction("score", 0.3)
    order = address.one_of("order", list(ORDERS), "loss")
    view.title(f"Mistakes of {name}")
    with ui.element("div").classes("controls"):
        choice(view, "side", known, "model or ensemble", value=name, optional=False)
        both = {key: PARTS[key] for key in PARTS if key in side.predictions}
        choice(view, "part", both, "images", value=of.part, optional=False)
        choice(view, "kind", list(KINDS), "kind", value=address.one_of("kind", KINDS))
        if side.task != "cls":
            choice(view, "order", ORDERS, "order", value=order, optional=False)
        if side.task == "det":
            slider(view, "score", "score", score)
    if not is_labelled(of.images.annotations):
        raise ViewerError(f"part={of.part}: these images have no labels, so nothing is a mistake")
    by_overlap = order == "iou" and side.task != "cls"
    later(view, partial(_found, view, of, score, by_overlap=by_overlap), "looking for mistakes …")


def _found(view: View, of: Sides, score: float, *, by_overlap: bool) -> Markup:
    """What is taken for what, and the mistakes or images that are asked for."""
    address, name = view.address, of.names[0]
    rows, counts = _judged(view, of, score)
    wanted = (address.text("true"), address.text("said"))
    html = _kinds(address, rows) + confusion_table(
        counts,
        lambda true, own: _cell(address, name, of.part, true, own),
        first="what is there",
        second="what is said",
        chosen=wanted,
    )
    if wanted != (None, None):
        text = " taken for ".join(own or "anything" for own in wanted)
        everything = address.link(true=None, said=None, page=None)
        html += render("chosen.html", text=text, link=everything)
    if by_overlap:
        return html + _by_overlap(view, of, score)
    shown = _chosen(rows, address)
    more = some(range(len(shown)), address, "mistakes")
    on_page = shown.iloc[list(more.items)].to_dict("records")
    return html + grid([_tile(view, of, row, score) for row in on_page], more, "close")


def _judged(view: View, of: Sides, score: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The mistakes, and what is taken for what; kept, for each page asks for them."""

    def make() -> tuple[pd.DataFrame, pd.DataFrame]:
        truth, own = of.images.annotations, of.predictions(0)
        expected = as_predictions(truth, own)
        return (
            mistakes(truth, own, score_threshold=score),
            disagreement(truth, expected, own, score_threshold=score),
        )

    key = f"{of.part}: {of.names[0]}: {score}"
    found: tuple[pd.DataFrame, pd.DataFrame] = view.holdings.keep("mistakes", key, id(of), make)
    return found


def _kinds(address: Address, rows: pd.DataFrame) -> Markup:
    """How many mistakes of each kind there are."""
    counts = rows.groupby("kind")["count"].sum()
    kinds = [
        {"text": f"{kind}: {int(counts[kind]):,}", "link": address.link(kind=kind, page=None)}
        for kind in KINDS
        if kind in counts
    ]
    return render("kinds.html", kinds=kinds)


def _cell(address: Address, name: str, part: str, true: str, own: str) -> str:
    """Where a cell leads: to its mistakes, or where it is right to the data."""
    if true == own:
        return address.link("/predictions", sides=name, part=part)
    return address.link(true=true, said=own, kind=None, page=None, order="loss")


def _chosen(rows: pd.DataFrame, address: Address) -> pd.DataFrame:
    """Those mistakes of the kind, and of the cell, that are asked for.

    A badly placed box is in the cells of what is missed and of what is said of nothing.
    """
    kind, true, own = (address.text(key) for key in ("kind", "true", "said"))
    if kind is not None:
        rows = rows[rows["kind"] == kind]
    placed = rows["kind"] == "bad place"
    if true is not None:
        rows = rows[(rows["true"] == true) | (placed & (true == "nothing"))]
        placed = placed.loc[rows.index]
    if own is not None:
        rows = rows[(rows["said"] == own) | (placed & (own == "nothing"))]
    return rows


def _tile(view: View, of: Sides, row: dict[Any, Any], score: float) -> Tile:
    """A mistake: what is there as a solid line, what is said as a dashed one."""
    image_id = int(row["image_id"])
    image = of.images.image(image_id)
    size = (int(image["height"]), int(image["width"]))
    side = of.sides[0]
    link = view.address.link(
        "/predictions", sides=of.names[0], part=of.part, id=image_id, score=score
    )
    lines = [str(image["file_name"])]
    if side.task == "seg":
        shapes, maps = said(of, 0, image_id)
        lines.append(f"{row['count']:,} pixels, IoU of the image {row['iou']:.2f}")
        title = f"{row['true']} → {row['said']}"
        return Tile(image_address(of.source, image_id), size[1], size[0], title, link,
                    [*true_shapes(of, image_id), *shapes], lines, maps=maps)  # fmt: skip
    own = of.images.on(image_id)
    true = own[own["annotation_id"] == row["annotation_id"]].to_dict("records")
    shapes = annotation_shapes(true, of.images.categories, size, masks=False, kind="truth")
    boxes = [[each[edge] for edge in BOX] for each in true]
    if not pd.isna(row["row"]):
        found = of.predictions(0).loc[[row["row"]]].to_dict("records")
        shapes += annotation_shapes(found, of.images.categories, size, dash="dashed", masks=False)
        boxes += [[each[edge] for edge in BOX] for each in found]
    what = {"miss": "{true}: missed", "false positive": "{said}: nothing there",
            "bad place": "{true}: elsewhere"}.get(row["kind"], "{true} → {said}")  # fmt: skip
    if side.task == "det" and row["kind"] in ("bad place", "wrong class"):
        lines.append(f"IoU {row['iou']:.2f}")
    lines.append(f"loss {row['loss']:.2f}")
    return Tile(image_address(of.source, image_id, full=True), size[1], size[0],
                what.format(**row), link, shapes, lines, view=close_up(boxes))  # fmt: skip


def _by_overlap(view: View, of: Sides, score: float) -> Markup:
    """The images, those first on which truth and predictions overlap least."""
    key = f"{of.part}: {of.names[0]}: {score}"
    make = lambda: image_overlaps(  # noqa: E731
        of.images.annotations, of.predictions(0), score_threshold=score
    )
    overlaps = cast("pd.Series[float]", view.holdings.keep("overlaps", key, id(of), make))
    more = some([int(own) for own in overlaps.index], view.address, "images")
    tiles = []
    for image_id in more.items:
        image = of.images.image(image_id)
        shapes, maps = said(of, 0, image_id, dash="dashed", score=score)
        link = view.address.link(
            "/predictions", sides=of.names[0], part=of.part, id=image_id, score=score
        )
        tiles.append(
            Tile(
                image_address(of.source, image_id), int(image["width"]), int(image["height"]),
                f"IoU {overlaps[image_id]:.2f}", link, [*true_shapes(of, image_id), *shapes],
                [str(image["file_name"])], maps=maps,
            )
        )  # fmt: skip
    return grid(tiles, more)
