"""Predictions drawn beside the truth, one image at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from recycling.annotations import BOX, Annotations
from recycling.annotations.masks import of_size
from recycling.predictions import IGNORE, Detections, LabelMap
from recycling.reporting.layout import (
    INK,
    RIGHT,
    WHITE,
    WRONG,
    Rgb,
    RgbImage,
    category_colours,
    display_scale,
    font,
    legend,
    readable_on,
    scaled,
    shortened,
    side_by_side,
    stacked,
    text_band,
    titled,
)

Corners: TypeAlias = tuple[float, float, float, float]

_BACKGROUND = 0
_IGNORED: Rgb = (128, 128, 128)
_OPACITY = 0.6
_CROP_SIDE = 160
_LABEL_SIZE, _PADDING = 11, 2  # pixels


def overlay_detections(
    image: RgbImage,
    truth: Annotations,
    detections: Detections,
    categories: pd.DataFrame,
    *,
    min_score: float = 0.3,
) -> RgbImage:
    """The true boxes of an image beside the detected ones.

    Args:
        image: (H, W, 3) RGB.
        truth: The annotations of this image alone.
        detections: The detections of this image alone.
        categories: Schema `CATEGORIES`; its order gives the colours.
        min_score: Detections of a lower score are left out, and the title says so.

    Returns:
        Two panels, truth and prediction; their longer sides are from 384 to 640 pixels.

    Raises:
        ValueError: A box has a category that is not among `categories`.
    """
    shown = detections[detections["score"] >= min_score].sort_values(
        "score", ascending=False, kind="stable"
    )
    found = f"{counted(len(shown), 'box', 'boxes')} of score {min_score:.2f} and up"
    return side_by_side(
        [
            truth_panel(image, truth.annotations, categories),
            detections_panel(image, shown, categories, f"prediction: {found}"),
        ]
    )


def truth_panel(image: RgbImage, annotations: pd.DataFrame, categories: pd.DataFrame) -> RgbImage:
    """An image with its true boxes, under how many objects there are; crowd regions are none.

    Args:
        image: (H, W, 3) RGB.
        annotations: Those of this image; columns `category_id`, `iscrowd` and the box.
        categories: Schema `CATEGORIES`; its order gives the colours.
    """
    names = _category_names(annotations, categories)
    n_objects = int((~annotations["iscrowd"]).sum())
    title = f"truth: {counted(n_objects, 'object')}"
    return titled(with_boxes(image, annotations, names, categories), title)


def detections_panel(
    image: RgbImage, detections: pd.DataFrame, categories: pd.DataFrame, title: str
) -> RgbImage:
    """An image with detected boxes and their scores, under a title.

    Args:
        image: (H, W, 3) RGB.
        detections: Those of this image; schema `DETECTIONS`.
        categories: Schema `CATEGORIES`; its order gives the colours.
        title: The title.
    """
    labels = [
        f"{name} {score:.2f}"
        for name, score in zip(
            _category_names(detections, categories), detections["score"], strict=True
        )
    ]
    return titled(with_boxes(image, detections, labels, categories), title)


def overlay_label_maps(
    image: RgbImage, truth: LabelMap, prediction: LabelMap, categories: pd.DataFrame
) -> RgbImage:
    """The true label map of an image beside the predicted one, over a legend.

    Args:
        image: (H, W, 3) RGB.
        truth: Label map, of the image's proportions; 0 background, 255 "ignore".
        prediction: Label map, of the image's proportions.
        categories: Schema `CATEGORIES`; its order gives the colours.

    Returns:
        Two panels with their legend.
    """
    pair = label_map_panels(image, truth, prediction, categories)
    present = set(np.unique(truth)) | set(np.unique(prediction))
    return stacked([pair, label_legend(pair.shape[1], present, categories)])


def label_map_panels(
    image: RgbImage, truth: LabelMap, prediction: LabelMap, categories: pd.DataFrame
) -> RgbImage:
    """The two panels of `overlay_label_maps`, without the legend."""
    agreed = f"prediction: {pixel_agreement(truth, prediction):.0%} of the pixels agree"
    return side_by_side(
        [
            label_map_panel(image, truth, categories, "truth"),
            label_map_panel(image, prediction, categories, agreed),
        ]
    )


def label_map_panel(
    image: RgbImage, label_map: LabelMap, categories: pd.DataFrame, title: str
) -> RgbImage:
    """An image with a label map over it, under a title.

    Args:
        image: (H, W, 3) RGB.
        label_map: Of the image's proportions.
        categories: Schema `CATEGORIES`; its order gives the colours.
        title: The title.
    """
    return titled(with_labels(image, label_map, categories), title)


def with_boxes(
    image: RgbImage,
    boxes: pd.DataFrame,
    labels: Sequence[str],
    categories: pd.DataFrame,
    scale: float | None = None,
) -> RgbImage:
    """An image with boxes.

    Args:
        image: (H, W, 3) RGB.
        boxes: Those of this image; columns `category_id` and the box.
        labels: What is written on each.
        categories: Schema `CATEGORIES`; its order gives the colours.
        scale: Of the drawn image; None makes its longer side 384 to 640 pixels long.
    """
    from PIL import Image, ImageDraw

    scale = scale or display_scale(*image.shape[:2])
    canvas = Image.fromarray(scaled(image, scale))
    draw = ImageDraw.Draw(canvas)
    colours = dict(zip(categories["category_id"], category_colours(len(categories)), strict=True))
    own = [colours[category_id] for category_id in boxes["category_id"]]
    corners = (boxes[BOX].to_numpy(dtype=np.float64) * scale).tolist()
    for box, colour in zip(corners, own, strict=True):
        draw.rectangle(box, outline=colour, width=2)
    taken: list[Corners] = []
    for box, colour, label in zip(corners, own, labels, strict=True):
        place = _place_of_label(box, font(_LABEL_SIZE).getlength(label), canvas.size, taken)
        draw.rectangle(place, fill=colour)
        middle = (place[0] + _PADDING, (place[1] + place[3]) / 2)
        draw.text(middle, label, fill=readable_on(colour), font=font(_LABEL_SIZE), anchor="lm")
        taken.append(place)
    return np.array(canvas)


def _place_of_label(
    box: Sequence[float], width: float, size: tuple[int, int], taken: Sequence[Corners]
) -> Corners:
    """Where the label of a box is: above, in or below it, and best where no other label is.

    Args:
        box: Corners, pixels.
        width: Of the label's text.
        size: Width and height of the image, which labels do not leave.
        taken: Where other labels are.
    """
    wide, high = width + 2 * _PADDING, _LABEL_SIZE + 2 * _PADDING
    left = max(0.0, min(box[0], size[0] - wide))
    tops = [max(0.0, min(top, size[1] - high)) for top in (box[1] - high, box[1], box[3])]
    places = [(left, top, left + wide, top + high) for top in tops]
    return next(
        (each for each in places if not any(_meet(each, other) for other in taken)), places[0]
    )


def _meet(a: Corners, b: Corners) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def with_labels(
    image: RgbImage, label_map: LabelMap, categories: pd.DataFrame, scale: float | None = None
) -> RgbImage:
    """An image with a label map over it.

    Args:
        image: (H, W, 3) RGB.
        label_map: Of the image's proportions.
        categories: Schema `CATEGORIES`; its order gives the colours.
        scale: As of `with_boxes`.
    """
    import cv2

    scene = scaled(image, scale or display_scale(*image.shape[:2]))
    labels = of_size(label_map, scene.shape[:2])
    colours = category_colours(len(categories))
    for value in np.unique(labels[labels != _BACKGROUND]).tolist():
        colour = _IGNORED if value == IGNORE else colours[value - 1]
        mask = labels == value
        scene[mask] = (1 - _OPACITY) * scene[mask] + _OPACITY * np.array(colour)
        edges, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(scene, edges, -1, colour)
    return scene


def label_legend(width: int, values: Iterable[int], categories: pd.DataFrame) -> RgbImage:
    """The legend of the values that occur in label maps; the background has no colour.

    Args:
        width: Pixels.
        values: Values of label maps.
        categories: Schema `CATEGORIES`.
    """
    colours = category_colours(len(categories))
    names = list(categories["name"])
    present = sorted(int(value) for value in values if value != _BACKGROUND)
    entries = [
        ("ignored", _IGNORED) if value == IGNORE else (names[value - 1], colours[value - 1])
        for value in present
    ]
    return legend(width, entries or [("background only", WHITE)])


def crop_tile(crop: RgbImage, truth: str, predictions: Sequence[tuple[str, float]]) -> RgbImage:
    """A crop over what it is, and what one or more models take it for.

    Args:
        crop: (H, W, 3) RGB, of any size.
        truth: Its true category, or "" where that is not known.
        predictions: What each model predicts, and with which probability.

    Returns:
        (H, 160, 3) RGB; a prediction is green where it is right and red where it is wrong, and so
        is the frame by the last one.

    >>> crop_tile(np.zeros((40, 60, 3), np.uint8), "Metal", [("Glass", 0.7)]).shape
    (202, 160, 3)
    """
    lines = [(shortened(f"is {truth}" if truth else "not labelled", _CROP_SIDE), INK)]
    for prediction, probability in predictions:
        text = f"{shortened(prediction, _CROP_SIDE - 40)} {probability:.2f}"
        colour = RIGHT if prediction == truth else WRONG
        lines.append((text, colour if truth else INK))
    return np.concatenate([_framed(crop, lines[-1][1]), text_band(_CROP_SIDE, lines)])


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """A number of things in words.

    >>> counted(1, "box", "boxes"), counted(2000, "object")
    ('1 box', '2,000 objects')
    """
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def _category_names(table: pd.DataFrame, categories: pd.DataFrame) -> list[str]:
    names = table["category_id"].map(categories.set_index("category_id")["name"])
    if names.isna().any():
        unknown = table["category_id"][names.isna()].iloc[0]
        raise ValueError(f"no category {unknown} among {', '.join(categories['name'])}")
    return list(names)


def pixel_agreement(truth: LabelMap, prediction: LabelMap) -> float:
    """The share of the pixels that are right, of those that are not to be ignored; 1 of none.

    Args:
        truth: (H, W) label map.
        prediction: A label map of the same proportions.

    >>> truth = np.array([[0, 1], [1, 255]], np.uint8)
    >>> round(pixel_agreement(truth, np.array([[0, 1], [0, 1]], np.uint8)), 2)
    0.67
    """
    same_size = of_size(prediction, truth.shape)
    is_known = truth != IGNORE
    return float((same_size == truth)[is_known].mean()) if is_known.any() else 1.0


def _framed(crop: RgbImage, colour: Rgb) -> RgbImage:
    frame = 4
    inside = _CROP_SIDE - 2 * frame
    fitted = scaled(crop, inside / max(crop.shape[:2]))
    height, width = fitted.shape[:2]
    tile = np.full((_CROP_SIDE, _CROP_SIDE, 3), colour, dtype=np.uint8)
    tile[frame:-frame, frame:-frame] = 238
    top, left = frame + (inside - height) // 2, frame + (inside - width) // 2
    tile[top : top + height, left : left + width] = fitted
    return tile
