"""Near-duplicates: images that are of one group, which no fold separates."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from recycling.viewer.controls import image_set_choice
from recycling.viewer.core import ImageSet
from recycling.viewer.markup import render
from recycling.viewer.pages.data import image_tile, link_within
from recycling.viewer.tiles import grid, paginate
from recycling.viewer.views import View

GROUPS, IMAGES = 12, 48
"""Most groups on a page, and images of a group; the page of data shows the others."""


def build(view: View) -> None:
    """Put the page on the screen."""
    from nicegui import ui

    images = view.image_set()
    view.title("Near-duplicates")
    with ui.element("div").classes("controls"):
        image_set_choice(view, images)
    table = images.annotations.images
    by_group = table.groupby("group", sort=False)["image_id"]
    sizes = by_group.size().sort_values(ascending=False, kind="stable")
    several = sizes[sizes > 1]
    view.say(
        f"{len(several):,} groups of two images or more, {several.sum():,} of {len(table):,} "
        "images; the largest first"
    )
    page = paginate([str(name) for name in several.index], view.address, "groups", GROUPS)
    if page.pages > 1:
        view.html(render("pager.html", paginated=page))
    folds = view.holdings.folds() if images.name.startswith("train.") else {}
    for name in page.items:
        ids = [int(image_id) for image_id in by_group.get_group(name)]
        view.html(_group(view, images, name, ids, folds))


def _group(
    view: View, images: ImageSet, name: str, ids: list[int], folds: Mapping[int, int]
) -> Markup:
    """The images of a group, the first of many, under their number and fold."""
    held_out_in = sorted({folds[image_id] for image_id in ids if image_id in folds})
    where = f", fold {', '.join(map(str, held_out_in))}" if held_out_in else ""
    text = f"group {name}: {len(ids)} images{where}"
    more = {}
    if len(ids) > IMAGES:
        text += f", the first {IMAGES} of them"
        more = {"more": view.address.link("/", set=images.name, group=name)}
    link = link_within(view, images)
    tiles = [image_tile(images, image_id, link) for image_id in ids[:IMAGES]]
    return render("heading.html", text=text, **more) + grid(tiles)
