"""One image with its annotations, one of which may be chosen; its id can be copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recycling.reporting.overlays import counted
from recycling.viewer.controls import switch
from recycling.viewer.core import ImageSet, ViewerError
from recycling.viewer.drawing import IGNORED, annotation_shapes
from recycling.viewer.markup import render
from recycling.viewer.pages.data import FILTERS, filtered_images
from recycling.viewer.views import View, image_address, link_to, neighbours


def build(view: View) -> None:
    """Put the page on the screen."""
    from nicegui import ui

    images, address = view.image_set(), view.address
    image_id = address.number("id")
    if image_id is None:
        image_id = next(iter(images.images), None)
    if image_id is None:
        raise ViewerError(f"{images.name}: no images")
    rows = images.on(image_id).to_dict("records")
    masks, labels = address.on("masks", True), address.on("labels", True)
    height, width = images.size(image_id)
    shapes = annotation_shapes(
        rows,
        images.categories,
        (height, width),
        masks=masks,
        link=lambda row: address.link(annotation=int(row["annotation_id"])),
    )
    links = _links(view, images, image_id, [int(row["annotation_id"]) for row in rows])
    view.title(str(images.image(image_id)["file_name"]))
    view.say(_facts(view, images, image_id))
    path = images.file(image_id)
    if not path.is_file():
        text = f"{path}: not there; only what is annotated is shown"
        view.html(render("message.html", text=text))
    with ui.element("div").classes("controls"):
        switch(view, "masks", "masks", masks)
        switch(view, "labels", "names", labels)
    view.html(
        render(
            "image.html",
            source=image_address(images, image_id, full=True),
            width=width,
            height=height,
            name=path.name,
            shapes=shapes,
            text=width / 44 if labels else None,
            number=address.number("annotation"),
            rows=[_line(view, images, row) for row in rows],
            image_id=image_id,
            **links,
        )
    )


def _facts(view: View, images: ImageSet, image_id: int) -> str:
    height, width = images.size(image_id)
    facts = [
        f"{images.name}, image {image_id}, {width} x {height} pixels",
        f"group {images.image(image_id)['group']}",
    ]
    fold = view.holdings.folds().get(image_id)
    if fold is not None and images.name.startswith("train."):
        facts.append(f"fold {fold}")
    return ", ".join([*facts, counted(len(images.on(image_id)), "annotation")])


def _line(view: View, images: ImageSet, row: Mapping[Any, Any]) -> dict[str, Any]:
    """An annotation in the list beside the image."""
    category = images.categories.get(int(row["category_id"]))
    number = int(row["annotation_id"])
    return {
        "number": number,
        "name": "?" if category is None else category.name,
        "colour": IGNORED if category is None else category.colour,
        "facts": f"{row['area']:,.0f} square pixels"
        + (", crowd" if row["iscrowd"] else "")
        + (f", pseudo {row['score']:.2f}" if row["source"] == "pseudo" else ""),
        "link": view.address.link(annotation=number),
    }


def _links(
    view: View, images: ImageSet, image_id: int, annotation_ids: list[int]
) -> dict[str, Any]:
    """The addresses of the images and annotations before and after, and of the list.

    Raises:
        ViewerError: The annotation that is asked for is not on the image.
    """
    address = view.address
    previous, following = neighbours(filtered_images(view, images), image_id)
    number = address.number("annotation")
    if number is not None and number not in annotation_ids:
        raise ViewerError(f"annotation={number}: not on image {image_id} of {images.name}")
    if number is None:
        before, after = None, next(iter(annotation_ids), None)
    else:
        before, after = neighbours(annotation_ids, number)
    return {
        "prefetched": [
            image_address(images, each, full=True)
            for each in (following, previous)
            if each is not None
        ],
        "previous": link_to(address, "id", previous, annotation=None),
        "next": link_to(address, "id", following, annotation=None),
        "previous_annotation": link_to(address, "annotation", before),
        "next_annotation": link_to(address, "annotation", after),
        "back": address.link("/", **{key: address.text(key) for key in FILTERS}),
    }
