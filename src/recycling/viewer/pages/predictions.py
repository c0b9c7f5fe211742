"""Predictions: any models, ensembles and files on one image, side by side or over one another."""

from __future__ import annotations

from typing import Any

from recycling.reporting.overlays import counted
from recycling.sides import OUT_OF_FOLD, TEST
from recycling.viewer.controls import choice, choices, field, slider, switch
from recycling.viewer.core import ViewerError
from recycling.viewer.drawing import DASHES
from recycling.viewer.markup import render
from recycling.viewer.pages.data import found
from recycling.viewer.predicted import Sides, said, sides_of, true_shapes
from recycling.viewer.views import View, around, image_address, link_to

PARTS = {OUT_OF_FOLD: "out of fold", TEST: "test"}
LAYOUTS = {"beside": "side by side", "over": "over one another"}


def build(view: View) -> None:
    """Put the page on the screen."""
    from nicegui import ui

    address = view.address
    known = view.holdings.sides
    names = address.several("sides") or known[:1]
    of = sides_of(view.holdings, names, address.one_of("part", list(PARTS)))
    layout = address.one_of("layout", list(LAYOUTS), "beside")
    truth, score = address.on("truth", True), address.fraction("score", 0.3)
    masks, labels = address.on("masks", True), address.on("labels", True)
    ids = found(of.images, list(of.images.images), address.text("find"))
    image_id = image_of(address.number("id"), of, ids)
    image = of.images.image(image_id)
    view.title(f"Predictions · {image['file_name']}")
    with ui.element("div").classes("controls"):
        choices(view, "sides", known, "models and ensembles", names)
        both = {key: PARTS[key] for key in PARTS if all(key in s.predictions for s in of.sides)}
        choice(view, "part", both, "images", value=of.part, optional=False)
        choice(view, "layout", LAYOUTS, "layout", value=layout, optional=False)
        switch(view, "truth", "truth", truth)
        switch(view, "masks", "masks", masks)
        switch(view, "labels", "names", labels)
        slider(view, "score", "score", score)
        field(view, "find", "file name or id", address.text("find"))
    drawn = []
    for place, name in enumerate(names):
        over = layout == "over"
        dash = DASHES[(place + over) % len(DASHES)] if over else "solid"
        shapes, maps = said(
            of, place, image_id, dash=dash, score=score, masks=masks,
            link=why_link(view, name, of.part, image_id),
        )  # fmt: skip
        drawn.append({"name": name, "dash": dash, "shapes": shapes, "maps": maps})
    true = true_shapes(of, image_id, masks=masks) if truth else []
    if layout == "over":
        panels = [_over(drawn, true, truth=truth)]
    else:
        own = {"name": f"truth: {counted(len(true), 'object')}", "shapes": true, "maps": []}
        panels = [own, *drawn] if truth else drawn
    before, after = around(ids, image_id)
    view.html(
        render(
            "predictions.html",
            source=image_address(of.source, image_id, full=True),
            width=int(image["width"]),
            height=int(image["height"]),
            panels=panels,
            labels=labels,
            categories=_shown(of, true, drawn),
            lines=[(own["name"], own["dash"]) for own in drawn] if layout == "over" else [],
            before=link_to(address, "id", before),
            after=link_to(address, "id", after),
            changed=[link for name in names if (link := changed_link(view, name))],
        )
    )


def image_of(asked: int | None, of: Sides, ids: list[int]) -> int:
    """The image that is asked for, or the first of those that are found."""
    if asked is not None and asked in of.images.images:
        return asked if asked in ids or not ids else ids[0]
    if asked is not None:
        raise ViewerError(f"id={asked}: not an image that {' and '.join(of.names)} predicted on")
    if not ids:
        raise ViewerError("no image is called so; look for another name, or for its id")
    return ids[0]


def _over(drawn: list[dict[str, Any]], true: list[Any], *, truth: bool) -> dict[str, Any]:
    """All sides as one panel."""
    names = [own["name"] for own in drawn]
    return {
        "name": " and ".join([*names, "truth"] if truth else names),
        "shapes": [*true, *(shape for own in drawn for shape in own["shapes"])],
        "maps": [layer for own in drawn for layer in own["maps"]],
    }


def _shown(of: Sides, true: list[Any], drawn: list[dict[str, Any]]) -> list[Any]:
    """The categories for the legend: all, where there are label maps, else those on the image."""
    every = list(of.images.categories.values())
    if any(own["maps"] for own in drawn):
        return every
    shapes = [*true, *(shape for own in drawn for shape in own["shapes"])]
    colours = {shape.colour for shape in shapes if shape.kind != "below"}
    return [category for category in every if category.colour in colours]


def why_link(view: View, name: str, part: str, image_id: int) -> Any:
    """Gives, for a prediction, the address of what the model looked at; None without a model."""
    if name.endswith(".csv") or not view.holdings.checkpoints(name):
        return None

    def link(row: dict[str, Any]) -> str:
        box = ",".join(f"{float(row[edge]):.1f}" for edge in ("x_min", "y_min", "x_max", "y_max"))
        return view.address.link(
            "/why", side=name, part=part, id=image_id, box=box, category=int(row["category_id"])
        )

    return link


def changed_link(view: View, name: str) -> dict[str, str] | None:
    """Where it is shown what an ensemble changed against its best member."""
    best = view.holdings.best_member(name)
    if best is None:
        return None
    link = view.address.link("/disagreement", first=best, second=name)
    return {"link": link, "text": f"what {name} changed against {best}, its best member"}
