"""What models, ensembles and files predict on one image, ready to be drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias, cast

import numpy as np
import pandas as pd

from recycling.annotations import BOX
from recycling.annotations.masks import of_size
from recycling.predictions import LabelMap
from recycling.sides import OUT_OF_FOLD, TEST, Side, common_images, only_on, shared_part
from recycling.viewer.core import Category, ImageSet, ViewerError
from recycling.viewer.drawing import (
    IGNORED,
    Dash,
    Layer,
    Shape,
    annotation_shapes,
    box_path,
    label_map_png,
    mask_path,
)
from recycling.viewer.holdings import Holdings

PARTS = {OUT_OF_FOLD: "out of fold", TEST: "test"}
"""What is predicted on, as it is called on a page."""

SMALLEST = 16
"""Pixels of a region that has an outline."""

SHOWN = 300
"""Most detections of an image that are drawn, the surest; more would hide it. Of regions, the
largest of each class."""

Link: TypeAlias = Callable[[Mapping[Any, Any]], str]
"""Gives the address that a click on a prediction leads to, from its box and `category_id`."""

_SOURCES = {OUT_OF_FOLD: "train.annotations", TEST: "test.annotations"}


@dataclass(frozen=True, eq=False)
class Predicted:
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
        return replace(self.images, name=_SOURCES[self.part])

    @property
    def parts(self) -> dict[str, str]:
        """The parts that all sides have predicted on, each with what it is called."""
        return {
            part: title
            for part, title in PARTS.items()
            if all(part in side.predictions for side in self.sides)
        }

    def predictions(self, index: int = 0) -> Any:
        """What a side says of all images that all have, the first seed."""
        return only_on(self.images.annotations, self.sides[index].predictions[self.part][0])


def predicted_by(holdings: Holdings, names: Sequence[str], part: str | None = None) -> Predicted:
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
    sides = tuple(holdings.side(name) for name in names)
    where = part or shared_part(sides)
    for side in sides:
        if where not in side.predictions:
            raise ViewerError(
                f"part={where}: {side.label} has not predicted there; it has on "
                f"{' and '.join(side.predictions)}"
            )
    make = partial(_on_common_images, holdings, tuple(names), sides, where)
    key = f"{where}: {','.join(names)}"
    return cast(Predicted, holdings.keep("predicted", key, sides, make))


def _on_common_images(
    holdings: Holdings, names: tuple[str, ...], sides: tuple[Side, ...], part: str
) -> Predicted:
    truth = common_images(sides, part)
    folder = holdings.folder("test" if part == TEST else "train")
    return Predicted(names, sides, part, ImageSet(",".join(names), truth, folder))


def predicted_shapes(
    predicted: Predicted,
    index: int,
    image_id: int,
    *,
    dash: Dash = "solid",
    score: float = 0.0,
    masks: bool = True,
    link: Link | None = None,
) -> tuple[list[Shape], list[Layer]]:
    """What a side predicts on an image: shapes, and of a segmenter its label map.

    Args:
        predicted: The sides.
        index: Which of them.
        image_id: The image.
        dash: Of its lines.
        score: What scores less is hidden, and there for the slider.
        masks: Whether instance masks are drawn where there are some.
        link: Gives the address that a click leads to.
    """
    side, images = predicted.sides[index], predicted.images
    predictions = side.predictions[predicted.part][0]
    categories = images.categories
    if side.task == "seg":
        label_map = predictions[image_id]
        regions = _regions(categories, label_map, images.size(image_id), dash, link)
        return list(regions), [Layer(label_map_png(label_map, categories), dash)]
    if side.task == "cls":
        shapes = list(_crops(images, predictions, image_id, dash, link))
    else:
        rows = predictions[predictions["image_id"] == image_id]
        rows = rows.sort_values("score", ascending=False, kind="stable").head(SHOWN)
        shapes = annotation_shapes(
            rows.to_dict("records"), categories, images.size(image_id),
            dash=dash, masks=masks, link=link,
        )  # fmt: skip
    return [
        replace(shape, kind="below") if (shape.score or 0.0) < score else shape for shape in shapes
    ], []


def _regions(
    categories: Mapping[int, Category],
    label_map: LabelMap,
    size: tuple[int, int],
    dash: Dash,
    link: Link | None,
) -> Iterator[Shape]:
    """The connected pixels of each class, so that they have an outline and can be clicked on."""
    import cv2

    whole = of_size(label_map, size)
    for value, category in enumerate(categories.values(), 1):
        of_class = (whole == value).astype(np.uint8)
        if not of_class.any():
            continue
        _, labels, stats, _ = cast(Any, cv2).connectedComponentsWithStats(of_class)
        # 0 is what is not of the class.
        largest = 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")[:SHOWN]
        for number in sorted(largest.tolist()):
            left, top, box_width, box_height, area = stats[number].tolist()
            if area < SMALLEST:
                continue
            box = [float(edge) for edge in (left, top, left + box_width, top + box_height)]
            own = labels[top : top + box_height, left : left + box_width] == number
            row = {"category_id": category.category_id, **dict(zip(BOX, box, strict=True))}
            yield Shape(
                mask_path(own, left, top) or box_path(box), box, category.name, category.colour,
                dash=dash, link=None if link is None else link(row), kind="region",
            )  # fmt: skip


def _crops(
    images: ImageSet,
    probabilities: pd.DataFrame,
    image_id: int,
    dash: Dash,
    link: Link | None,
) -> Iterator[Shape]:
    """The crops of an image, called what they are taken for."""
    rows = images.on(image_id)
    table = probabilities.set_index("annotation_id")
    by_name = {category.name: category for category in images.categories.values()}
    for row in rows[rows["annotation_id"].isin(table.index)].to_dict("records"):
        of_crop = table.loc[row["annotation_id"]]
        name, score = str(of_crop.idxmax()), float(of_crop.max())
        box = [float(row[edge]) for edge in BOX]
        category = by_name.get(name, Category(-1, name, IGNORED))
        predicted = {**row, "category_id": category.category_id}
        yield Shape(
            box_path(box), box, f"{name} {score:.2f}", category.colour,
            number=int(row["annotation_id"]), score=score, dash=dash,
            link=None if link is None else link(predicted),
        )  # fmt: skip


def true_shapes(predicted: Predicted, image_id: int, *, masks: bool = True) -> list[Shape]:
    """What is annotated on an image.

    Args:
        predicted: The sides, whose images have the truth.
        image_id: The image.
        masks: Whether instance masks are drawn where there are some.
    """
    images = predicted.images
    rows = images.on(image_id).to_dict("records")
    return annotation_shapes(
        rows, images.categories, images.size(image_id), masks=masks, kind="truth"
    )
