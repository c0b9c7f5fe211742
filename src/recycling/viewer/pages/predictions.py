"""Predictions: any models, ensembles and files on one image, side by side or over one another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from recycling.reporting.overlays import counted
from recycling.viewer.chosen_image import chosen_image, neighbour_links
from recycling.viewer.controls import choice, choices, field, part_choice, slider, switch
from recycling.viewer.core import Category
from recycling.viewer.drawing import DASHES, Dash, Layer, Shape
from recycling.viewer.markup import render
from recycling.viewer.pages.why import why_link
from recycling.viewer.predicted import Predicted, predicted_by, predicted_shapes, true_shapes
from recycling.viewer.views import View

LAYOUTS = {"beside": "side by side", "over": "over one another"}


@dataclass(frozen=True)
class Panel:
    """The image once, with what lies over it.

    Attributes:
        name: What is written above it.
        shapes: Boxes, masks and regions.
        layers: Label maps.
    """

    name: str
    shapes: Sequence[Shape]
    layers: Sequence[Layer] = ()


def build(view: View) -> None:
    """Put the page on the screen."""
    from nicegui import ui

    address, known = view.address, view.holdings.sides
    names = address.several("sides") or known[:1]
    layout = address.one_of("layout", list(LAYOUTS), "beside")
    truth, score = address.on("truth", True), address.fraction("score", 0.3)
    masks, labels = address.on("masks", True), address.on("labels", True)
    heading = ui.element("div")
    # Each control is there before what it may lead out of is looked up.
    with ui.element("div").classes("controls"):
        choices(view, "sides", known, "models and ensembles", names)
        predicted = predicted_by(view.holdings, names, address.text("part"))
        part_choice(view, predicted)
        choice(view, "layout", LAYOUTS, "layout", value=layout, optional=False)
        switch(view, "truth", "truth", truth)
        switch(view, "masks", "masks", masks)
        switch(view, "labels", "names", labels)
        if any(side.task != "seg" for side in predicted.sides):
            slider(view, "score", "score", score)
        field(view, "find", "file name or id", address.text("find"))
    image = chosen_image(view, predicted)
    with heading:
        view.title(f"Predictions · {image.file_name}")
    dashes = _dashes(len(names), over=layout == "over")
    panels = [
        Panel(
            name,
            *predicted_shapes(
                predicted, index, image.image_id, dash=dash, score=score, masks=masks,
                link=why_link(view, name, predicted.part, image.image_id),
            ),
        )
        for index, (name, dash) in enumerate(zip(names, dashes, strict=True))
    ]  # fmt: skip
    if truth:
        shapes = true_shapes(predicted, image.image_id, masks=masks)
        panels.insert(0, Panel(truth_title(predicted, image.image_id), shapes))
    categories = _in_legend(predicted, panels)
    if layout == "over":
        panels = [_over_one_another(panels)]
    view.html(
        render(
            "predictions.html",
            source=image.source,
            width=image.width,
            height=image.height,
            panels=panels,
            text=image.width / (44 if len(panels) == 1 else 34) if labels else None,
            categories=categories,
            lines=list(zip(names, dashes, strict=True)) if layout == "over" else [],
            changed=[link for name in names if (link := changed_link(view, name))],
            **neighbour_links(view, image),
        )
    )


def _dashes(count: int, *, over: bool) -> list[Dash]:
    """The lines of each side: where all lie over one another, the solid one is the truth's."""
    return [DASHES[(1 + index) % len(DASHES)] if over else "solid" for index in range(count)]


def _over_one_another(panels: Sequence[Panel]) -> Panel:
    """All panels as one."""
    return Panel(
        " and ".join(panel.name for panel in panels),
        list(chain.from_iterable(panel.shapes for panel in panels)),
        list(chain.from_iterable(panel.layers for panel in panels)),
    )


def _in_legend(predicted: Predicted, panels: Iterable[Panel]) -> list[Category]:
    """All categories, where there are label maps, else those on the image."""
    categories = list(predicted.images.categories.values())
    if any(panel.layers for panel in panels):
        return categories
    shapes = chain.from_iterable(panel.shapes for panel in panels)
    colours = {shape.colour for shape in shapes if shape.kind != "below"}
    return [category for category in categories if category.colour in colours]


def truth_title(predicted: Predicted, image_id: int) -> str:
    """How many objects are on an image; crowd regions are none."""
    n_objects = int((~predicted.images.on(image_id)["iscrowd"]).sum())
    return f"truth: {counted(n_objects, 'object')}"


def changed_link(view: View, name: str) -> dict[str, str] | None:
    """Where it is shown what an ensemble changed against its best member; None of no ensemble."""
    best = view.holdings.best_member(name)
    if best is None:
        return None
    link = view.address.link("/disagreement", first=best, second=name)
    return {"link": link, "text": f"what {name} changed against {best}, its best member"}
