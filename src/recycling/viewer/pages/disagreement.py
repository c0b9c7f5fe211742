"""Where two sides disagree most: models, ensembles with what they changed, or any two CSV files."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
from markupsafe import Markup

from recycling.diagnostics import changes_between, disagreement, paired
from recycling.viewer.confusion import confusion_table
from recycling.viewer.controls import choice, field, slider
from recycling.viewer.core import ViewerError
from recycling.viewer.drawing import close_up
from recycling.viewer.later import later
from recycling.viewer.markup import render
from recycling.viewer.pages.predictions import PARTS
from recycling.viewer.predicted import Sides, said, sides_of
from recycling.viewer.tiles import Tile, grid, some
from recycling.viewer.views import View, image_address

WHAT = {"cls": "crops", "det": "boxes", "seg": "pixels"}


def build(view: View) -> None:
    """Put the page on the screen."""
    from nicegui import ui

    address = view.address
    known = view.holdings.sides
    first = address.text("first") or (known[0] if known else "")
    task = first.partition(".")[0]
    alike = [name for name in known if name.startswith(f"{task}.") and name != first]
    second = address.text("second") or (alike[0] if alike else "")
    score = address.fraction("score", 0.3)
    view.title("Disagreement")
    with ui.element("div").classes("controls"):
        choice(view, "first", known, "first", value=first, optional=False)
        choice(view, "second", known, "second", value=second, optional=False)
        field(view, "first", "or a CSV file", first if first.endswith(".csv") else None)
        field(view, "second", "and another", second if second.endswith(".csv") else None)
        if task == "det":
            slider(view, "score", "score", score)
    if not first or not second:
        raise ViewerError("choose two that predict the same: two models, or two CSV files")
    of = sides_of(view.holdings, [first, second], address.one_of("part", list(PARTS)))
    if of.sides[0].task != of.sides[1].task:
        raise ViewerError(f"{first} and {second} predict different things; choose two alike")
    later(view, partial(_found, view, of, score), "comparing …")


def _found(view: View, of: Sides, score: float) -> Markup:
    """How often both differ, by class, and the images on which they differ most."""
    address, (first, second), task = view.address, of.names, of.sides[0].task
    counts, changes, pairs = _compared(view, of, score)
    differ = counts.loc[counts["first"] != counts["second"], "count"].sum()
    text = (
        f"{first} and {second} differ in {int(differ):,} of {int(counts['count'].sum()):,} "
        f"{WHAT[task]} on {len(of.images.images):,} images ({PARTS[of.part]})"
    )
    wanted = (address.text("said"), address.text("other"))
    html = render("sentence.html", text=text) + confusion_table(
        counts,
        lambda own, other: address.link(said=own, other=other, page=None),
        first=first,
        second=second,
        chosen=wanted,
    )
    items = [
        (int(number), float(change))
        for number, change in zip(changes["item_id"], changes["change"], strict=True)
    ]
    if wanted != (None, None):
        items = _of_cell(items, pairs, wanted, task)
        chosen = f"{first}: {wanted[0]}, {second}: {wanted[1]}"
        everything = address.link(said=None, other=None, page=None)
        html += render("chosen.html", text=chosen, link=everything)
    else:
        items = [item for item in items if item[1] > 0]
    more = some(items, address, WHAT["cls"] if task == "cls" else "images")
    return html + grid([_tile(view, of, *item, score) for item in more.items], more)


def _compared(view: View, of: Sides, score: float) -> tuple[pd.DataFrame, Any, pd.DataFrame]:
    """Counts by class, change by image or crop, and the pairs; kept, for each page asks."""

    def make() -> tuple[pd.DataFrame, Any, pd.DataFrame]:
        truth, first, second = of.images.annotations, of.predictions(0), of.predictions(1)
        return (
            disagreement(truth, first, second, score_threshold=score),
            changes_between(first, second, score_threshold=score),
            paired(truth, first, second, score_threshold=score),
        )

    key = f"{of.part}: {', '.join(of.names)}: {score}"
    found: tuple[pd.DataFrame, Any, pd.DataFrame] = view.holdings.keep(
        "disagreement", key, id(of), make
    )
    return found


def _of_cell(
    items: list[tuple[int, float]], pairs: pd.DataFrame, wanted: tuple[Any, Any], task: str
) -> list[tuple[int, float]]:
    """Those items on which the first says one thing and the second another."""
    keep = (pairs["first"] == wanted[0]) & (pairs["second"] == wanted[1])
    of_cell = set(pairs.loc[keep, "annotation_id" if task == "cls" else "image_id"])
    return [item for item in items if item[0] in of_cell]


def _tile(view: View, of: Sides, item: int, change: float, score: float) -> Tile:
    """An image, or a crop, with what both say."""
    box = None
    image_id = item
    if of.sides[0].task == "cls":
        table = of.images.annotations.annotations
        row = table[table["annotation_id"] == item].iloc[0]
        image_id = int(row["image_id"])
        box = [row["x_min"], row["y_min"], row["x_max"], row["y_max"]]
    image = of.images.image(image_id)
    first, maps = said(of, 0, image_id, score=score)
    second, others = said(of, 1, image_id, dash="dashed", score=score)
    if box is not None:
        first, second = ([own for own in side if own.number == item] for side in (first, second))
    titles = " → ".join(own.label for own in (*first, *second)) if box is not None else None
    link = view.address.link(
        "/predictions", sides=",".join(of.names), part=of.part, id=image_id, score=score
    )
    return Tile(
        image_address(of.source, image_id, full=box is not None),
        int(image["width"]), int(image["height"]), titles or f"{change:.0%} differ", link,
        [*first, *second], [str(image["file_name"])], maps=[*maps, *others],
        view=None if box is None else close_up([box]),
    )  # fmt: skip
