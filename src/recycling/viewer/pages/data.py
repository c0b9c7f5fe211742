"""Data: chosen images, or their annotations by size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from markupsafe import Markup

from recycling.annotations import BOX
from recycling.evaluation import SIZES
from recycling.reporting.overlays import counted
from recycling.viewer.controls import category_choice, choice, field, image_set_choice, switch
from recycling.viewer.core import (
    ImageSet,
    ViewerError,
    chosen_annotations,
    chosen_images,
    search_images,
)
from recycling.viewer.drawing import annotation_shapes, close_up, merged
from recycling.viewer.holdings import part_of
from recycling.viewer.tiles import Tile, grid, paginate
from recycling.viewer.views import View, image_address

ORDERS = {"largest": "largest first", "smallest": "smallest first"}

FILTERS = (
    "set", "category", "size", "fold", "group", "find", "show", "order", "crowds", "page"
)  # fmt: skip
"""What an address chooses images by; the page of one image keeps it, for the next one and the list.
"""

Link: TypeAlias = Callable[[int, int | None], str]
"""Gives the address of an image by its id, and of an annotation on it."""


def build(view: View) -> None:
    """Put the page on the screen."""
    from nicegui import ui

    address, images = view.address, view.image_set()
    shown = address.one_of("show", ("images", "annotations"), "images")
    view.title("Data")
    with ui.element("div").classes("controls"):
        image_set_choice(view, images)
        choice(view, "show", ["images", "annotations"], "show", value=shown, optional=False)
        category_choice(view, images)
        choice(view, "size", SIZES, "size", value=address.text("size"))
        if shown == "annotations":
            choice(view, "order", ORDERS, "order", value=address.one_of("order", list(ORDERS)))
            switch(view, "crowds", "crowd regions", address.on("crowds", True))
        if folds := sorted({fold for fold in _folds(view, images).values() if fold >= 0}):
            choice(view, "fold", [str(fold) for fold in folds], "fold", value=address.text("fold"))
        field(view, "find", "file name or id", address.text("find"))
    ids = filtered_images(view, images)
    view.html(_images(view, images, ids) if shown == "images" else _annotations(view, images, ids))


def _images(view: View, images: ImageSet, ids: list[int]) -> Markup:
    page = paginate(ids, view.address, "images")
    link = _link_that_keeps_filters(view)
    return grid([image_tile(images, image_id, link) for image_id in page.items], page)


def _annotations(view: View, images: ImageSet, ids: list[int]) -> Markup:
    category = view.category(images)
    rows = chosen_annotations(
        images,
        category_id=None if category is None else category.category_id,
        size=view.address.text("size"),
        image_ids=ids if len(ids) < len(images.images) else None,
        crowds=view.address.on("crowds", True),
        order=cast(Any, view.address.text("order") or "table"),
    )
    page = paginate(range(len(rows)), view.address, "annotations")
    link = _link_that_keeps_filters(view)
    on_page = rows.iloc[list(page.items)].to_dict("records")
    return grid([annotation_tile(images, row, link) for row in on_page], page, "close")


def filtered_images(view: View, images: ImageSet) -> list[int]:
    """The ids of the images that an address asks for, in the order of the table.

    Raises:
        ViewerError: It asks for a category, a size or a fold that there is not.
    """
    address, folds = view.address, _folds(view, images)
    category, fold = view.category(images), address.number("fold")
    if fold is not None and fold not in folds.values():
        known = ", ".join(map(str, sorted(set(folds.values())))) or "none"
        raise ViewerError(f"fold={fold}: there are {known}")
    ids = chosen_images(
        images,
        category_id=None if category is None else category.category_id,
        size=address.one_of("size", SIZES),
        group=address.text("group"),
        fold=fold,
        folds=folds,
    )
    return search_images(images, ids, address.text("find"))


def _folds(view: View, images: ImageSet) -> dict[int, int]:
    """The fold of each image, where they are those that were dealt out: other parts count anew."""
    return view.holdings.folds() if part_of(images.name) == "train" else {}


def image_tile(
    images: ImageSet,
    image_id: int,
    link: Link,
    rows: Sequence[Mapping[Any, Any]] | None = None,
    size: tuple[int, int] | None = None,
) -> Tile:
    """An image with all that is annotated on it.

    Args:
        images: The set.
        image_id: The image.
        link: Where a click leads.
        rows: What is annotated; None for what the set says.
        size: Height and width, pixels; None for what the set says.
    """
    rows = images.on(image_id).to_dict("records") if rows is None else rows
    height, width = size or images.size(image_id)
    shapes = annotation_shapes(rows, images.categories, (height, width), masks=False)
    return Tile(
        source=image_address(images, image_id),
        width=width,
        height=height,
        title=str(images.image(image_id)["file_name"]),
        link=link(image_id, None),
        shapes=merged(shapes),
        lines=[f"{image_id} · {counted(len(rows), 'annotation')}"],
    )


def annotation_tile(images: ImageSet, row: Mapping[Any, Any], link: Link) -> Tile:
    """An annotation with its surroundings.

    Args:
        images: The set.
        row: Of the table of annotations; a pseudo-label's score is written below it.
        link: Where a click leads.
    """
    image_id, number = int(row["image_id"]), int(row["annotation_id"])
    height, width = images.size(image_id)
    (shape,) = annotation_shapes([row], images.categories, (height, width))
    score = [f"score {row['score']:.2f}"] if row["source"] == "pseudo" else []
    file_name = str(images.image(image_id)["file_name"])
    return Tile(
        source=image_address(images, image_id, full=True),
        width=width,
        height=height,
        title=f"{number} · {shape.label}",
        link=link(image_id, number),
        shapes=[shape],
        lines=[*score, file_name, f"{row['area']:,.0f} square pixels"],
        view=close_up([[row[edge] for edge in BOX]]),
    )


def link_within(view: View, images: ImageSet) -> Link:
    """Links to the images of a set, with nothing chosen."""
    return lambda image_id, number: view.address.link(
        "/image", set=images.name, id=image_id, annotation=number
    )


def _link_that_keeps_filters(view: View) -> Link:
    kept = {key: view.address.text(key) for key in FILTERS}
    return lambda image_id, number: view.address.link(
        "/image", **kept, id=image_id, annotation=number
    )
