"""Data: chosen images, or their annotations by size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from recycling.reporting.overlays import counted
from recycling.viewer.controls import choice, field
from recycling.viewer.core import (
    SIZES,
    ImageSet,
    Size,
    ViewerError,
    chosen_annotations,
    chosen_images,
)
from recycling.viewer.drawing import annotation_shapes, close_up, merged
from recycling.viewer.tiles import Tile, grid, some
from recycling.viewer.views import View, image_address

ORDERS = {"largest": "largest first", "smallest": "smallest first"}


def build(view: View) -> None:
    """Put the page on the screen."""
    from nicegui import ui

    images = view.image_set()
    category, size, fold, group, shown, order = _asked(view, images)
    view.title("Data")
    with ui.element("div").classes("controls"):
        choice(view, "set", view.holdings.image_sets, "images", value=images.name, optional=False)
        choice(view, "show", ["images", "annotations"], "show", value=shown, optional=False)
        names = [own.name for own in images.categories.values()]
        chosen = None if category is None else category.name
        choice(view, "category", names, "category", value=chosen)
        choice(view, "size", list(SIZES), "size", value=size)
        if shown == "annotations":
            choice(view, "order", ORDERS, "order", value=order)
        if folds := sorted(set(view.holdings.folds().values())):
            options = [str(number) for number in folds if number >= 0]
            choice(view, "fold", options, "fold", value=None if fold is None else str(fold))
        field(view, "find", "file name or id", view.address.text("find"))
    number = None if category is None else category.category_id
    ids = chosen_images(
        images, category_id=number, size=size, group=group, fold=fold, folds=view.holdings.folds()
    )
    ids = found(images, ids, view.address.text("find"))
    if shown == "images":
        more = some(ids, view.address, "images")
        here = _here(view)
        tiles = [image_tile(images, image_id, here) for image_id in more.items]
        view.html(grid(tiles, more))
        return
    is_limited = len(ids) < len(images.images)
    rows = chosen_annotations(
        images,
        category_id=number,
        size=size,
        image_ids=ids if is_limited else None,
        order=cast(Any, order or "table"),
    )
    found_rows = some(range(len(rows)), view.address, "annotations")
    on_page = rows.iloc[list(found_rows.items)].to_dict("records")
    tiles = [annotation_tile(images, row, _here(view)) for row in on_page]
    view.html(grid(tiles, found_rows, "close"))


def found(images: ImageSet, ids: list[int], text: str | None) -> list[int]:
    """Those images whose file name holds a text, or whose id it is.

    Args:
        images: The set.
        ids: Among these.
        text: What is looked for; None for all.
    """
    if text is None:
        return ids
    looked_for = text.casefold()
    return [
        image_id
        for image_id in ids
        if str(image_id) == text
        or looked_for in str(images.images[image_id]["file_name"]).casefold()
    ]


def image_tile(images: ImageSet, image_id: int, link: Callable[[int, int | None], str]) -> Tile:
    """An image with all that is annotated on it.

    Args:
        images: The set.
        image_id: The image.
        link: Gives the address of an image, and of an annotation on it.
    """
    image, rows = images.image(image_id), images.on(image_id)
    size = (int(image["height"]), int(image["width"]))
    return Tile(
        image_address(images, image_id),
        size[1],
        size[0],
        str(image["file_name"]),
        link(image_id, None),
        merged(annotation_shapes(rows.to_dict("records"), images.categories, size, masks=False)),
        [f"{image_id} · {counted(len(rows), 'annotation')}"],
    )


def annotation_tile(
    images: ImageSet, row: dict[Any, Any], link: Callable[[int, int | None], str]
) -> Tile:
    """One annotation with its surroundings; arguments as for `image_tile`."""
    image_id, number = int(row["image_id"]), int(row["annotation_id"])
    image = images.image(image_id)
    size = (int(image["height"]), int(image["width"]))
    (shape,) = annotation_shapes([row], images.categories, size)
    box = [row[edge] for edge in ("x_min", "y_min", "x_max", "y_max")]
    return Tile(
        image_address(images, image_id, full=True),
        size[1],
        size[0],
        f"{number} · {shape.label}",
        link(image_id, number),
        [shape],
        [str(image["file_name"]), f"{row['area']:,.0f} square pixels"],
        view=close_up([box]),
    )


def _here(view: View) -> Callable[[int, int | None], str]:
    """Links to images that keep what is chosen here, so that the next one is of these."""
    kept = {
        key: view.address.text(key)
        for key in ("set", "category", "size", "fold", "group", "find", "order")
    }

    def link(image_id: int, number: int | None) -> str:
        return view.address.link("/image", **kept, id=image_id, annotation=number)

    return link


def _asked(view: View, images: ImageSet) -> Any:
    """Category, size, fold, group, what is shown and its order, as the address has them."""
    address = view.address
    fold = address.number("fold")
    known = set(view.holdings.folds().values())
    if fold is not None and fold not in known:
        raise ViewerError(f"fold={fold}: there are {', '.join(map(str, sorted(known))) or 'none'}")
    return (
        view.category(images),
        cast(Size | None, address.one_of("size", list(SIZES))),
        fold,
        address.text("group"),
        address.one_of("show", ("images", "annotations"), "images"),
        address.one_of("order", list(ORDERS)),
    )
