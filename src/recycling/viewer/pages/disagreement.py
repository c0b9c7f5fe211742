"""Where two sides disagree most: models, ensembles with what they changed, or any two CSV files."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
from markupsafe import Markup

from recycling.annotations import BOX
from recycling.diagnostics import changes_between, disagreement, paired
from recycling.viewer.confusion import confusion_table
from recycling.viewer.controls import choice, field, part_choice, slider
from recycling.viewer.core import ViewerError
from recycling.viewer.drawing import close_up
from recycling.viewer.later import later
from recycling.viewer.markup import render
from recycling.viewer.predicted import PARTS, Predicted, predicted_by, predicted_shapes
from recycling.viewer.tiles import Tile, grid, paginate
from recycling.viewer.views import View, image_address

OBJECTS = {"cls": "crops", "det": "boxes", "seg": "pixels"}
"""What is compared, by task."""


def build(view: View) -> None:
    """Put the page on the screen."""
    from nicegui import ui

    address, known = view.address, view.holdings.sides
    first, second = _asked(view)
    view.title("Disagreement")
    with ui.element("div").classes("controls"):
        choice(view, "first", known, "first", value=first, optional=False)
        choice(view, "second", known, "second", value=second, optional=False)
        field(view, "first", "or a CSV file", first if first.endswith(".csv") else None)
        field(view, "second", "and another", second if second.endswith(".csv") else None)
    if not first or not second:
        raise ViewerError("choose two that predict the same: two models, or two CSV files")
    predicted = predicted_by(view.holdings, [first, second], address.text("part"))
    task, other_task = (side.task for side in predicted.sides)
    if task != other_task:
        raise ViewerError(f"{first} and {second} predict different things; choose two alike")
    score = address.fraction("score", 0.3)
    with ui.element("div").classes("controls"):
        part_choice(view, predicted)
        if task == "det":
            slider(view, "score", "score", score)
    later(view, partial(_compared, view, predicted, score), "comparing …")


def _asked(view: View) -> tuple[str, str]:
    """The two that an address asks for, or the first two that predict the same; empty if none."""
    known = view.holdings.sides
    first = view.address.text("first") or next(iter(known), "")
    task = first.partition(".")[0]
    alike = (name for name in known if name.startswith(f"{task}.") and name != first)
    return first, view.address.text("second") or next(alike, "")


def _compared(view: View, predicted: Predicted, score: float) -> Markup:
    """How often both differ, by class, and the images or crops on which they differ most."""
    address, (first, second), task = view.address, predicted.names, predicted.sides[0].task
    counts, changes, pairs = _tables(view, predicted, score)
    n_different = counts.loc[counts["first"] != counts["second"], "count"].sum()
    text = (
        f"{first} and {second} differ in {int(n_different):,} of {int(counts['count'].sum()):,} "
        f"{OBJECTS[task]} on {len(predicted.images.images):,} images ({PARTS[predicted.part]})"
    )
    cell = (address.text("said"), address.text("other"))
    html = render("sentence.html", text=text) + confusion_table(
        counts,
        lambda said, other: address.link(said=said, other=other, page=None),
        first=first,
        second=second,
        chosen=cell,
    )
    if cell == (None, None):
        rows = changes[changes["change"] > 0]
    else:
        in_cell = pairs[(pairs["first"] == cell[0]) & (pairs["second"] == cell[1])]
        ids = in_cell["annotation_id" if task == "cls" else "image_id"]
        rows = changes[changes["item_id"].isin(ids)]
        text = f"{first}: {cell[0]}, {second}: {cell[1]}"
        everything = address.link(said=None, other=None, page=None)
        html += render("chosen.html", text=text, link=everything)
    items = list(zip(rows["item_id"].tolist(), rows["change"].tolist(), strict=True))
    page = paginate(items, address, "crops" if task == "cls" else "images")
    tile = _crop_tile if task == "cls" else _image_tile
    return html + grid([tile(view, predicted, *item, score) for item in page.items], page)


def _tables(
    view: View, predicted: Predicted, score: float
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Counts by class, change by image or crop, and the pairs; kept, for each page asks anew."""

    def make() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        truth = predicted.images.annotations
        first, second = predicted.predictions(0), predicted.predictions(1)
        return (
            disagreement(truth, first, second, score_threshold=score),
            changes_between(first, second, score_threshold=score),
            paired(truth, first, second, score_threshold=score),
        )

    key = f"{predicted.part}: {', '.join(predicted.names)}"
    tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame] = view.holdings.keep(
        "disagreement", key, (predicted, score), make
    )
    return tables


def _image_tile(
    view: View, predicted: Predicted, image_id: int, change: float, score: float
) -> Tile:
    """An image with what both say: the first's lines are solid, the second's dashed."""
    height, width = predicted.images.size(image_id)
    first, layers = predicted_shapes(predicted, 0, image_id, score=score)
    second, others = predicted_shapes(predicted, 1, image_id, dash="dashed", score=score)
    return Tile(
        source=image_address(predicted.source, image_id),
        width=width,
        height=height,
        title=f"{change:.0%} differ",
        link=_link(view, predicted, image_id, score),
        shapes=[*first, *second],
        lines=[str(predicted.images.image(image_id)["file_name"])],
        layers=[*layers, *others],
    )


def _crop_tile(
    view: View, predicted: Predicted, annotation_id: int, change: float, score: float
) -> Tile:
    """A crop with what both take it for."""
    table = predicted.images.annotations.annotations
    row: dict[Any, Any] = table[table["annotation_id"] == annotation_id].iloc[0].to_dict()
    image_id = int(row["image_id"])
    height, width = predicted.images.size(image_id)
    shapes = [
        shape
        for index in (0, 1)
        for shape in predicted_shapes(predicted, index, image_id)[0]
        if shape.number == annotation_id
    ]
    return Tile(
        source=image_address(predicted.source, image_id, full=True),
        width=width,
        height=height,
        title=" → ".join(shape.label for shape in shapes),
        link=_link(view, predicted, image_id, score),
        shapes=shapes,
        lines=[str(predicted.images.image(image_id)["file_name"]), f"{change:.0%} differ"],
        view=close_up([[row[edge] for edge in BOX]]),
    )


def _link(view: View, predicted: Predicted, image_id: int, score: float) -> str:
    names = ",".join(predicted.names)
    return view.address.link(
        "/predictions", sides=names, part=predicted.part, id=image_id, score=score
    )
