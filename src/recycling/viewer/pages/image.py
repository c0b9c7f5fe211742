"""One image with its annotations, one of which may be chosen; its id can be copied."""

from __future__ import annotations

from typing import Any, cast

from recycling.reporting.overlays import counted
from recycling.viewer.controls import switch
from recycling.viewer.core import SIZES, Size, ViewerError, chosen_images
from recycling.viewer.drawing import annotation_shapes
from recycling.viewer.markup import render
from recycling.viewer.pages.data import found
from recycling.viewer.views import View, around, image_address, link_to


def build(view: View) -> None:
    """Put the page on the screen."""
    from nicegui import ui

    images, address = view.image_set(), view.address
    image_id = address.number("id")
    if image_id is None:
        image_id = next(iter(images.images), None)
    if image_id is None:
        raise ViewerError(f"{images.name}: no images")
    image, rows = images.image(image_id), images.on(image_id).to_dict("records")
    number = address.number("annotation")
    known = [int(row["annotation_id"]) for row in rows]
    if number is not None and number not in known:
        raise ViewerError(f"annotation={number}: not on image {image_id} of {images.name}")
    masks, labels = address.on("masks", True), address.on("labels", True)
    size = (int(image["height"]), int(image["width"]))
    shapes = annotation_shapes(
        rows,
        images.categories,
        size,
        masks=masks,
        link=lambda row: address.link(annotation=int(row["annotation_id"])),
    )
    view.title(str(image["file_name"]))
    fold = view.holdings.folds().get(image_id)
    facts = [
        f"{images.name}, image {image_id}, {size[1]} x {size[0]} pixels",
        f"group {image['group']}",
        *([f"fold {fold}"] if fold is not None and images.name.startswith("train.") else []),
        counted(len(rows), "annotation"),
    ]
    view.say(", ".join(facts))
    path = images.file(image_id)
    if not path.is_file():
        view.html(
            render("message.html", text=f"{path}: not there; only what is annotated is shown")
        )
    with ui.element("div").classes("controls"):
        switch(view, "masks", "masks", masks)
        switch(view, "labels", "names", labels)
    view.html(
        render(
            "image.html",
            source=image_address(images, image_id, full=True),
            width=size[1],
            height=size[0],
            name=image["file_name"],
            shapes=shapes,
            labels=labels,
            number=number,
            rows=[_line(view, images.categories, row) for row in rows],
            image_id=image_id,
            **_neighbours(view, images, image_id, known, number),
        )
    )


def _line(view: View, categories: Any, row: dict[Any, Any]) -> dict[str, Any]:
    """An annotation in the list beside the image."""
    category = categories.get(int(row["category_id"]))
    number = int(row["annotation_id"])
    return {
        "number": number,
        "name": "?" if category is None else category.name,
        "colour": "#808080" if category is None else category.colour,
        "facts": f"{row['area']:,.0f} square pixels"
        + (", crowd" if row["iscrowd"] else "")
        + (f", pseudo {row['score']:.2f}" if row["source"] == "pseudo" else ""),
        "link": view.address.link(annotation=number),
    }


def _neighbours(
    view: View, images: Any, image_id: int, known: list[int], number: int | None
) -> dict[str, Any]:
    """The addresses of the images and annotations before and after."""
    address = view.address
    category = view.category(images)
    ids = chosen_images(
        images,
        category_id=None if category is None else category.category_id,
        size=cast(Size | None, address.one_of("size", list(SIZES))),
        group=address.text("group"),
        fold=address.number("fold"),
        folds=view.holdings.folds(),
    )
    before, after = around(found(images, ids, address.text("find")), image_id)
    own_before, own_after = around(known, number) if number is not None else (None, None)
    if number is None and known:
        own_after = known[0]
    keep = {
        key: address.text(key)
        for key in ("set", "category", "size", "fold", "group", "find", "order")
    }
    return {
        "prefetched": [
            image_address(images, each, full=True) for each in (after, before) if each is not None
        ],
        "before": link_to(address, "id", before, annotation=None),
        "after": link_to(address, "id", after, annotation=None),
        "own_before": link_to(address, "annotation", own_before),
        "own_after": link_to(address, "annotation", own_after),
        "back": address.link("/", **keep),
    }
