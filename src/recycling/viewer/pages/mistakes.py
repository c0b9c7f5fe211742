"""Mistakes of one side: which is taken for which, of which kind, and the worst of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import pandas as pd
from markupsafe import Markup

from recycling.annotations import BOX
from recycling.diagnostics import confusion_counts, image_overlaps, mistakes
from recycling.diagnostics.disagreement import NOTHING
from recycling.diagnostics.mistakes import KINDS
from recycling.evaluation import SIZES, is_of_size
from recycling.pipelines.tasks import is_labelled
from recycling.viewer.addresses import Address
from recycling.viewer.confusion import confusion_table
from recycling.viewer.controls import choice, part_choice, slider
from recycling.viewer.core import ViewerError
from recycling.viewer.drawing import annotation_shapes, close_up
from recycling.viewer.later import later
from recycling.viewer.markup import render
from recycling.viewer.predicted import Predicted, predicted_by, predicted_shapes, true_shapes
from recycling.viewer.tiles import Tile, grid, paginate
from recycling.viewer.views import View, image_address

ORDERS = {"loss": "by loss", "iou": "images by IoU"}

TITLES = {
    "miss": "{true}: missed",
    "false positive": "{said}: nothing there",
    "bad place": "{true}: elsewhere",
    "wrong class": "{true} → {said}",
}
"""What is written below a mistake, by its kind."""


def build(view: View) -> None:
    """Put the page on the screen."""
    from nicegui import ui

    address, known = view.address, view.holdings.sides
    name = address.text("side") or (known[0] if known else "")
    score = address.fraction("score", 0.3)
    order = address.one_of("order", list(ORDERS), "loss")
    view.title(f"Mistakes of {name}")
    with ui.element("div").classes("controls"):
        label, resets = "model or ensemble", ("kind",)  # a classifier has no kinds to choose from
        choice(view, "side", known, label, value=name, optional=False, resets=resets)
        predicted = predicted_by(view.holdings, [name] if name else [], address.text("part"))
        task = predicted.sides[0].task
        part_choice(view, predicted)
        if task != "cls":  # a crop is of one class or another, wholly
            choice(view, "kind", KINDS, "kind", value=address.one_of("kind", KINDS))
            choice(view, "order", ORDERS, "order", value=order, optional=False)
        choice(view, "size", SIZES, "size", value=address.one_of("size", SIZES))
        if task == "det":
            slider(view, "score", "score", score)
    if not is_labelled(predicted.images.annotations):
        raise ViewerError(
            f"part={predicted.part}: these images have no labels, so nothing is a mistake"
        )
    found = _by_overlap if order == "iou" and task != "cls" else _by_loss
    later(view, partial(found, view, predicted, score), "looking for mistakes …")


def _by_loss(view: View, predicted: Predicted, score: float) -> Markup:
    """What is taken for what, and the mistakes that are asked for, the worst first."""
    shown, html = _judged(view, predicted, score)
    page = paginate(range(len(shown)), view.address, "mistakes")
    on_page = shown.iloc[list(page.items)].to_dict("records")
    tiles = [_tile(view, predicted, row, score) for row in on_page]
    return html + grid(tiles, page, "" if predicted.sides[0].task == "seg" else "close")


def _by_overlap(view: View, predicted: Predicted, score: float) -> Markup:
    """What is taken for what, and the images, those of the least overlap first.

    Where mistakes are chosen, it is the images that have one of them.
    """
    shown, html = _judged(view, predicted, score)
    key = f"{predicted.part}: {predicted.names[0]}"

    def make() -> pd.Series[float]:
        truth, predictions = predicted.images.annotations, predicted.predictions()
        return image_overlaps(truth, predictions, score_threshold=score)

    kept = view.holdings.keep("overlaps", key, (predicted, score), make)
    overlaps = cast("pd.Series[float]", kept)
    if any(view.address.text(key) for key in ("kind", "size", "true", "said")):
        overlaps = overlaps[overlaps.index.isin(shown["image_id"])]
    page = paginate([int(image_id) for image_id in overlaps.index], view.address, "images")
    tiles = []
    for image_id in page.items:
        height, width = predicted.images.size(image_id)
        shapes, layers = predicted_shapes(predicted, 0, image_id, dash="dashed", score=score)
        tiles.append(
            Tile(
                source=image_address(predicted.source, image_id),
                width=width,
                height=height,
                title=f"IoU {overlaps[image_id]:.2f}",
                link=_image_link(view, predicted, image_id, score),
                shapes=[*true_shapes(predicted, image_id), *shapes],
                lines=[str(predicted.images.image(image_id)["file_name"])],
                layers=layers,
            )
        )
    return html + grid(tiles, page)


def _judged(view: View, predicted: Predicted, score: float) -> tuple[pd.DataFrame, Markup]:
    """The mistakes that are asked for, and what stands above them.

    They are kept, for each page of them asks anew.
    """
    address, key = view.address, f"{predicted.part}: {predicted.names[0]}"

    def make() -> tuple[pd.DataFrame, pd.DataFrame]:
        truth, predictions = predicted.images.annotations, predicted.predictions()
        return (
            mistakes(truth, predictions, score_threshold=score),
            confusion_counts(truth, predictions, score_threshold=score),
        )

    every, counts = view.holdings.keep("mistakes", key, (predicted, score), make)
    rows = _of_size(every, predicted, address.text("size"))
    cell = (address.text("true"), address.text("said"))
    html = _kinds(address, rows) + confusion_table(
        counts,
        partial(_cell_link, address, predicted),
        first="what is there",
        second="what is said",
        chosen=cell,
    )
    if cell != (None, None):
        text = " taken for ".join(name or "anything" for name in cell)
        html += render("chosen.html", text=text, link=address.link(true=None, said=None, page=None))
    return _of_cell(_of_kind(rows, address), address), html


def _kinds(address: Address, rows: pd.DataFrame) -> Markup:
    """How many mistakes of each kind there are; of masks, how many pixels.

    A link leads to what it counts: to mistakes, of every cell.
    """
    counts = rows.groupby("kind")["count"].sum()
    every = {"true": None, "said": None, "page": None, "order": "loss"}
    kinds = [
        {"text": f"{kind}: {int(counts[kind]):,}", "link": address.link(kind=kind, **every)}
        for kind in KINDS
        if kind in counts
    ]
    return render("kinds.html", kinds=kinds)


def _cell_link(address: Address, predicted: Predicted, true: str, said: str) -> str:
    """Where a cell leads: to all mistakes that it counts, or where it is right to the images."""
    if true == said:
        return address.link("/predictions", sides=predicted.names[0], part=predicted.part)
    return address.link(true=true, said=said, kind=None, size=None, page=None, order="loss")


def _image_link(view: View, predicted: Predicted, image_id: int, score: float) -> str:
    return view.address.link(
        "/predictions", sides=predicted.names[0], part=predicted.part, id=image_id, score=score
    )


def _of_size(rows: pd.DataFrame, predicted: Predicted, size: str | None) -> pd.DataFrame:
    """Mistakes about objects of a size: true ones, or where nothing is those that are said.

    Of masks, it is the size of the mistake: how many pixels of an image are wrong.
    """
    if size is None:
        return rows
    areas = rows["count"]
    if predicted.sides[0].task != "seg":
        truth = predicted.images.annotations.annotations.set_index("annotation_id")["area"]
        areas = rows["annotation_id"].map(truth)
    if predicted.sides[0].task == "det":
        boxes = predicted.predictions()
        area = (boxes["x_max"] - boxes["x_min"]) * (boxes["y_max"] - boxes["y_min"])
        areas = areas.fillna(rows["row"].map(area))
    return rows[is_of_size(areas.astype("float64"), size)]


def _of_kind(rows: pd.DataFrame, address: Address) -> pd.DataFrame:
    """Mistakes of the kind that is asked for."""
    kind = address.text("kind")
    return rows if kind is None else rows[rows["kind"] == kind]


def _of_cell(rows: pd.DataFrame, address: Address) -> pd.DataFrame:
    """Mistakes of the cell of the matrix that is asked for.

    A badly placed box is in two cells: of what is missed, and of what is said of nothing.
    """
    is_badly_placed = rows["kind"] == "bad place"
    keep = pd.Series(True, index=rows.index)
    for column in ("true", "said"):
        name = address.text(column)
        if name is not None:
            keep &= (rows[column] == name) | (is_badly_placed & (name == NOTHING))
    return rows[keep]


def _tile(view: View, predicted: Predicted, row: Mapping[Any, Any], score: float) -> Tile:
    """A mistake: what is there as a solid line, what is said as a dashed one."""
    if predicted.sides[0].task == "seg":
        return _tile_of_masks(view, predicted, row, score)
    image_id, images = int(row["image_id"]), predicted.images
    height, width = images.size(image_id)
    on_image = images.on(image_id)
    true = on_image[on_image["annotation_id"] == row["annotation_id"]].to_dict("records")
    said: list[dict[Any, Any]] = []
    if not pd.isna(row["row"]):
        said = predicted.predictions().loc[[row["row"]]].to_dict("records")
    lines = [str(images.image(image_id)["file_name"]), f"loss {row['loss']:.2f}"]
    if true and said:
        lines.insert(1, f"IoU {row['iou']:.2f}")
    shapes = [
        *annotation_shapes(true, images.categories, (height, width), masks=False, kind="truth"),
        *annotation_shapes(said, images.categories, (height, width), masks=False, dash="dashed"),
    ]
    return Tile(
        source=image_address(predicted.source, image_id, full=True),
        width=width,
        height=height,
        title=TITLES[row["kind"]].format(**row),
        link=_image_link(view, predicted, image_id, score),
        shapes=shapes,
        lines=lines,
        view=close_up([[each[edge] for edge in BOX] for each in (*true, *said)]),
    )


def _tile_of_masks(view: View, predicted: Predicted, row: Mapping[Any, Any], score: float) -> Tile:
    """An image on which pixels of one class are taken for another."""
    image_id, images = int(row["image_id"]), predicted.images
    height, width = images.size(image_id)
    shapes, layers = predicted_shapes(predicted, 0, image_id)
    return Tile(
        source=image_address(predicted.source, image_id),
        width=width,
        height=height,
        title=f"{row['true']} → {row['said']}",
        link=_image_link(view, predicted, image_id, score),
        shapes=[*true_shapes(predicted, image_id), *shapes],
        lines=[
            str(images.image(image_id)["file_name"]),
            f"{row['count']:,} pixels, IoU of the image {row['iou']:.2f}",
        ],
        layers=layers,
    )
