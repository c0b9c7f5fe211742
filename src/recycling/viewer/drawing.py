"""Boxes and outlines as SVG, label maps as PNG: what lies over an image on a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recycling.annotations import BOX, annotation_mask
from recycling.annotations.masks import mask_outlines
from recycling.predictions import IGNORE, LabelMap
from recycling.viewer.core import Category, data_address

Dash: TypeAlias = Literal["solid", "dashed", "dotted", "long"]

Box: TypeAlias = Sequence[float]
"""`x_min, y_min, x_max, y_max`, pixels of the image."""

DASHES: tuple[Dash, ...] = ("solid", "dashed", "dotted", "long")
"""Lines of the first, second, third and fourth that lie over one another."""

IGNORED = "#808080"
_SURROUNDINGS, _LEAST = 0.6, 24  # of a box's longer side on each side; pixels
_LETTER = 0.6  # of the height of a text is the width of a letter


@dataclass(frozen=True)
class Shape:
    """Something that is drawn on an image.

    Attributes:
        path: As SVG has it, pixels of the image.
        box: Around it.
        label: What is written beside it.
        colour: Of its category.
        number: The annotation's id, or the detection's row; None of neither.
        score: Of a detection.
        link: Where a click leads.
        dash: Of its line.
        filled: Whether its inside is tinted.
        kind: Words for the style sheet, such as `truth`.
    """

    path: str
    box: Box
    label: str
    colour: str
    number: int | None = None
    score: float | None = None
    link: str | None = None
    dash: Dash = "solid"
    filled: bool = False
    kind: str = ""


@dataclass(frozen=True)
class PlacedShape:
    """A shape, and where its label is written.

    Attributes:
        shape: The shape.
        x: Left edge of the label, pixels.
        y: Its lower edge, pixels.
        is_clear: Whether it covers no other label; if not, it is seen while the shape is pointed
            at.
    """

    shape: Shape
    x: float
    y: float
    is_clear: bool


@dataclass(frozen=True)
class Layer:
    """A label map that lies over an image.

    Attributes:
        source: Its address.
        kind: A word for the style sheet.
    """

    source: str
    kind: str = ""


def box_path(box: Box) -> str:
    """A box as the path of SVG.

    >>> box_path([1, 2, 30.25, 4])
    'M1 2H30.2V4H1Z'
    """
    x_min, y_min, x_max, y_max = (_short(edge) for edge in box)
    return f"M{x_min} {y_min}H{x_max}V{y_max}H{x_min}Z"


def outline_path(segmentation: str | None, box: Box, height: int, width: int) -> str | None:
    """The outline of a mask as the path of SVG; None where there is only a box.

    Args:
        segmentation: JSON of polygons or of an RLE, as the annotations' column holds it.
        box: Around it.
        height: Of the image, pixels.
        width: Of the image, pixels.

    >>> outline_path("[[0, 0, 4, 0, 4, 2]]", [0, 0, 4, 2], 2, 4)
    'M0 0L4 0L4 2Z'
    """
    if not isinstance(segmentation, str):
        return None
    parsed = json.loads(segmentation)
    if isinstance(parsed, list):
        polygons = [np.reshape(flat, (-1, 2)) for flat in parsed if len(flat) >= 6]
        return "".join(map(_polygon, polygons)) or None
    return mask_path(annotation_mask(segmentation, box, height, width))


def mask_path(mask: NDArray[np.bool_], left: int = 0, top: int = 0) -> str | None:
    """The outlines of a mask (H, W) as the path of SVG, holes included; None of an empty one.

    Args:
        mask: Of the image, or of a box in it.
        left: Where the box begins, pixels.
        top: Likewise.

    >>> mask_path(np.ones((2, 3), np.bool_)), mask_path(np.ones((2, 3), np.bool_), 5, 4)
    ('M0 0L0 2L3 2L3 0Z', 'M5 4L5 6L8 6L8 4Z')
    """
    every = (each for outline, holes in mask_outlines(mask) for each in (outline, *holes))
    return "".join(_polygon(np.add(corners, (left, top))) for corners in every) or None


def annotation_shapes(
    rows: Iterable[Mapping[Any, Any]],
    categories: Mapping[int, Category],
    size: tuple[int, int],
    *,
    masks: bool = True,
    link: Callable[[Mapping[Any, Any]], str] | None = None,
    dash: Dash = "solid",
    kind: str = "",
) -> list[Shape]:
    """Annotations, or detections, as shapes.

    Args:
        rows: With `category_id`, the box, and `annotation_id`, `score`, `segmentation`, `iscrowd`
            where they have them.
        categories: By id.
        size: Height and width of the image, pixels.
        masks: Whether outlines are drawn where there are some, instead of boxes.
        link: Gives the address that a click on a row leads to.
        dash: Of the lines.
        kind: A word for the style sheet.

    >>> row = {"category_id": 7, "score": 0.5, "x_min": 1, "y_min": 2, "x_max": 3, "y_max": 4}
    >>> annotation_shapes([row], {7: Category(7, "Glass", "#0072b2")}, (8, 8))[0].label
    'Glass 0.50'
    """
    shapes = []
    for row in rows:
        box = [float(row[edge]) for edge in BOX]
        category = categories.get(int(row["category_id"]))
        name, colour = ("?", IGNORED) if category is None else (category.name, category.colour)
        text = row.get("segmentation") if masks else None
        outline = outline_path(text, box, *size) if isinstance(text, str) else None
        score = None if "annotation_id" in row else row.get("score")
        shapes.append(
            Shape(
                path=outline or box_path(box),
                box=box,
                label=name if score is None else f"{name} {score:.2f}",
                colour=IGNORED if row.get("iscrowd") else colour,
                number=None if row.get("annotation_id") is None else int(row["annotation_id"]),
                score=None if score is None else float(score),
                link=None if link is None else link(row),
                dash=dash,
                filled=outline is not None,
                kind=f"{kind} crowd".strip() if row.get("iscrowd") else kind,
            )
        )
    return shapes


def merged(shapes: Iterable[Shape]) -> list[Shape]:
    """Shapes that look alike as one each: what a thumbnail needs, at a fraction of the size.

    >>> box = Shape(box_path([0, 0, 1, 1]), [0, 0, 1, 1], "Glass", "#0072b2", number=5)
    >>> [(each.path, each.number) for each in merged([box, box])]
    [('M0 0H1V1H0ZM0 0H1V1H0Z', None)]
    """
    alike: dict[tuple[str, ...], list[Shape]] = {}
    for shape in shapes:
        alike.setdefault((shape.label, shape.colour, shape.dash, shape.kind), []).append(shape)
    return [
        replace(same[0], path="".join(each.path for each in same), number=None, link=None)
        for same in alike.values()
    ]


def placed(shapes: Iterable[Shape], width: float, text_height: float) -> list[PlacedShape]:
    """Shapes with their labels, the largest first, so that each can be pointed at.

    Args:
        shapes: Detections come with the surest first, whose labels stay in sight.
        width: Of the image, pixels.
        text_height: Of the labels, pixels of the image.

    >>> glass = Shape("", [0, 4, 5, 9], "Glass 0.90", "#0072b2")
    >>> metal = Shape("", [1, 5, 9, 15], "Metal 0.20", "#e69f00")
    >>> [(each.shape.label, each.is_clear) for each in placed([glass, metal], 40, 3)]
    [('Metal 0.20', False), ('Glass 0.90', True)]
    """
    clear: list[PlacedShape] = []
    covering: list[PlacedShape] = []
    for shape in shapes:
        length = _LETTER * text_height * len(shape.label)
        x, y = max(0.0, min(shape.box[0], width - length)), max(shape.box[1], text_height)
        is_clear = not any(
            x < other.x + _LETTER * text_height * len(other.shape.label)
            and other.x < x + length
            and abs(y - other.y) < text_height
            for other in clear
        )
        (clear if is_clear else covering).append(PlacedShape(shape, x, y, is_clear))
    return sorted([*clear, *covering], key=lambda each: -_area(each.shape.box))


def label_map_png(label_map: LabelMap, categories: Mapping[int, Category]) -> str:
    """A label map as a PNG of the categories' colours, in the address of an image.

    Args:
        label_map: (H, W): 0 is background and clear, 255 grey.
        categories: In the order of classes.

    >>> label_map_png(np.zeros((2, 2), np.uint8), {})[:22]
    'data:image/png;base64,'
    """
    from io import BytesIO

    from PIL import Image

    colours = [category.colour for category in categories.values()]
    palette = bytearray(3 * 256)
    for value, colour in [*enumerate(colours, 1), (IGNORE, IGNORED)]:
        palette[3 * value : 3 * value + 3] = bytes.fromhex(colour[1:])
    image = Image.fromarray(np.ascontiguousarray(label_map))
    image.putpalette(palette)
    buffer = BytesIO()
    image.save(buffer, "PNG", transparency=0)
    return data_address("png", buffer.getvalue())


def close_up(boxes: Sequence[Box]) -> str:
    """The view box of SVG of a square around boxes.

    >>> close_up([[10, 20, 60, 40]])
    '-20 -25 110 110'
    """
    corners = np.asarray(boxes, dtype=np.float64)
    low, high = corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)
    longer = float((high - low).max())
    side = longer + 2 * max(_SURROUNDINGS * longer, _LEAST)
    left, top = ((low + high - side) / 2).tolist()
    return f"{_short(left)} {_short(top)} {_short(side)} {_short(side)}"


def _area(box: Box) -> float:
    x_min, y_min, x_max, y_max = box
    return (x_max - x_min) * (y_max - y_min)


def _polygon(corners: NDArray[Any]) -> str:
    points = [f"{_short(x)} {_short(y)}" for x, y in corners.tolist()]
    return f"M{'L'.join(points)}Z"


def _short(value: float) -> str:
    return f"{round(float(value), 1):g}" if abs(value) < 1e5 else str(round(value))
