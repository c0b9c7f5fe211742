"""What sides say of one image, ready to be drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd

from recycling.annotations import BOX
from recycling.predictions import LabelMap
from recycling.sides import OUT_OF_FOLD, TEST, Side, common_images, only_on, shared_part
from recycling.viewer.core import Category, Holdings, ImageSet, ViewerError
from recycling.viewer.drawing import (
    Dash,
    Shape,
    annotation_shapes,
    box_path,
    label_map_png,
    mask_path,
)
from recycling.viewer.tiles import Map

SOURCES = {OUT_OF_FOLD: "train.annotations", TEST: "test.annotations"}
"""By part, the set whose images it is about."""

SMALLEST = 16
"""Pixels of a region that has an outline."""

SHOWN = 300
"""Most detections of an image that are drawn, the surest; more would hide it."""


@dataclass(frozen=True)
class Sides:
    """Several sides on the images that all of them have predicted on.

    Attributes:
        names: As they were asked for.
        sides: The sides.
        part: `out_of_fold` or `test`.
        images: The images, with the truth.
    """

    names: tuple[str, ...]
    sides: tuple[Side, ...]
    part: str
    images: ImageSet

    @property
    def source(self) -> ImageSet:
        """The images under the name that the server knows them by."""
        return replace(self.images, name=SOURCES[self.part])

    def predictions(self, place: int) -> Any:
        """What a side says of all images that all have, the first seed."""
        return only_on(self.images.annotations, self.sides[place].predictions[self.part][0])


def sides_of(holdings: Holdings, names: Sequence[str], part: str | None = None) -> Sides:
    """Look sides up.

    Args:
        holdings: What there is.
        names: Of models, ensembles or CSV files.
        part: Where they are to be looked at; None for out of fold if all are there, else test.

    Raises:
        ViewerError: One has not predicted there.
        ExperimentError: There is no such side, or they have no image in common.
    """
    if not names:
        raise ViewerError("nothing has predicted yet; kedro run trains models, which predict")
    sides = [holdings.side(name) for name in names]
    where = part or shared_part(sides)
    for side in sides:
        if where not in side.predictions:
            raise ViewerError(
                f"part={where}: {side.label} has not predicted there; it has on "
                f"{' and '.join(side.predictions)}"
            )
    make = lambda: _together(holdings, tuple(names), sides, where)  # noqa: E731
    key = f"{where}: {','.join(names)}"
    return cast(Sides, holdings.keep("sides", key, tuple(map(id, sides)), make))


def _together(
    holdings: Holdings, names: tuple[str, ...], sides: Sequence[Side], part: str
) -> Sides:
    truth = common_images(sides, part)
    folder = holdings.folder("test" if part == TEST else "train")
    return Sides(names, tuple(sides), part, ImageSet(f"{','.join(names)}", truth, folder))


def said(
    of: Sides,
    place: int,
    image_id: int,
    *,
    dash: Dash = "solid",
    score: float = 0.0,
    masks: bool = True,
    link: Callable[[dict[str, Any]], str] | None = None,
) -> tuple[list[Shape], list[Map]]:
    """What a side says of an image.

    Args:
        of: The sides.
        place: Which of them.
        image_id: The image.
        dash: Of its lines.
        score: What scores less is hidden, and there for the slider.
        masks: Whether instance masks are drawn where there are some.
        link: Gives the address that a click leads to, from the box and its category.
    """
    side, images = of.sides[place], of.images
    predictions = side.predictions[of.part][0]
    categories = images.categories
    image = images.image(image_id)
    size = (int(image["height"]), int(image["width"]))
    if side.task == "seg":
        label_map = predictions[image_id]
        return _regions(categories, label_map, size, dash, link), [
            Map(label_map_png(label_map, categories), dash)
        ]
    if side.task == "cls":
        shapes = _crops(images, predictions, image_id, dash, link)
    else:
        own = predictions[predictions["image_id"] == image_id]
        own = own.sort_values("score", ascending=False, kind="stable").head(SHOWN)
        rows = [{**row, "row": label} for label, row in own.to_dict("index").items()]
        shapes = annotation_shapes(rows, categories, size, dash=dash, masks=masks, link=link)
    return [
        replace(own, kind="below") if own.score is not None and own.score < score else own
        for own in shapes
    ], []


def _regions(
    categories: Mapping[int, Category],
    label_map: LabelMap,
    size: tuple[int, int],
    dash: Dash,
    link: Any,
) -> list[Shape]:
    """The connected pixels of each class, so that they have an outline and can be clicked on."""
    import cv2

    height, width = size
    whole = cv2.resize(label_map, (width, height), interpolation=cv2.INTER_NEAREST)
    shapes = []
    for value, category in enumerate(categories.values(), 1):
        own = (whole == value).astype(np.uint8)
        if not own.any():
            continue
        count, labels, stats, _ = cast(Any, cv2).connectedComponentsWithStats(own)
        for number in range(1, count):
            x, y, wide, high, area = stats[number].tolist()
            if area < SMALLEST:
                continue
            box = [float(x), float(y), float(x + wide), float(y + high)]
            row = {"category_id": category.category_id, **dict(zip(BOX, box, strict=True))}
            outline = mask_path(labels == number) or box_path(box)
            shapes.append(
                Shape(
                    outline, box[0], box[1], category.name, category.colour, dash=dash,
                    link=None if link is None else link(row), kind="region",
                )
            )  # fmt: skip
    return shapes


def _crops(
    images: ImageSet, probabilities: pd.DataFrame, image_id: int, dash: Dash, link: Any
) -> list[Shape]:
    """The crops of an image, called what they are taken for."""
    rows = images.on(image_id)
    table = probabilities.set_index("annotation_id")
    names = {category.name: category for category in images.categories.values()}
    shapes = []
    for row in rows[rows["annotation_id"].isin(table.index)].to_dict("records"):
        own = table.loc[row["annotation_id"]]
        name, score = str(own.idxmax()), float(own.max())
        box = [float(row[edge]) for edge in BOX]
        category = names.get(name, Category(-1, name, "#808080"))
        asked = {**row, "category_id": category.category_id}
        shapes.append(
            Shape(
                box_path(box), box[0], box[1], f"{name} {score:.2f}", category.colour,
                number=int(row["annotation_id"]), score=score, dash=dash,
                link=None if link is None else link(asked),
            )
        )  # fmt: skip
    return shapes


def true_shapes(
    of: Sides, image_id: int, *, masks: bool = True, kind: str = "truth"
) -> list[Shape]:
    """What is on an image."""
    image = of.images.image(image_id)
    size = (int(image["height"]), int(image["width"]))
    rows = of.images.on(image_id).to_dict("records")
    return annotation_shapes(rows, of.images.categories, size, masks=masks, kind=kind)
