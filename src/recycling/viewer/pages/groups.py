"""Near-duplicates: images that are of one group, which no fold separates."""

from __future__ import annotations

from recycling.viewer.controls import choice
from recycling.viewer.markup import render
from recycling.viewer.pages.data import image_tile
from recycling.viewer.tiles import Some, grid, some
from recycling.viewer.views import View

AT_A_TIME = 12
"""Groups on a page."""


def build(view: View) -> None:
    """Put the page on the screen."""
    from nicegui import ui

    images = view.image_set()
    view.title("Near-duplicates")
    with ui.element("div").classes("controls"):
        choice(view, "set", view.holdings.image_sets, "images", value=images.name, optional=False)
    table = images.annotations.images
    by_group = table.groupby("group", sort=False)["image_id"]
    sizes = by_group.size().sort_values(ascending=False, kind="stable")
    several = sizes[sizes > 1]
    shared = int(several.sum())
    view.say(
        f"{len(several):,} groups of two images or more, {shared:,} of {len(table):,} images; "
        "the largest first"
    )
    more = some([str(name) for name in several.index], view.address, "groups", AT_A_TIME)
    if more.pages > 1:
        view.html(render("pager.html", more=more))
    folds = view.holdings.folds() if images.name.startswith("train.") else {}
    link = lambda image_id, _: view.address.link(  # noqa: E731
        "/image", set=images.name, id=image_id
    )
    for name in more.items:
        ids = [int(own) for own in by_group.get_group(name)]
        own = sorted({folds[number] for number in ids if number in folds})
        where = f", fold {', '.join(map(str, own))}" if own else ""
        view.html(render("heading.html", text=f"group {name}: {len(ids)} images{where}"))
        tiles = [image_tile(images, number, link) for number in ids[:48]]
        view.html(grid(tiles, Some(ids, 1, 0, len(ids), "images", str)))
