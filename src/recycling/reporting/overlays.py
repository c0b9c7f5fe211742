"""Predictions drawn beside the truth, one image at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import BOX, Annotations
from recycling.predictions import IGNORE, Detections, LabelMap
from recycling.reporting.layout import (
    INK,
    PAPER,
    RIGHT,
    WRONG,
    Picture,
    Rgb,
    category_colours,
    contact_sheet,
    display_scale,
    fitting,
    font_path,
    legend,
    readable_on,
    scaled,
    side_by_side,
    stacked,
    text_band,
    titled,
)

if TYPE_CHECKING:
    import supervision as sv

_BACKGROUND = 0
_IGNORED: Rgb = (128, 128, 128)
_OPACITY = 0.6
_CROP_SIDE = 160


def overlay_detections(
    image: Picture,
    truth: Annotations,
    detections: Detections,
    categories: pd.DataFrame,
    *,
    min_score: float = 0.3,
) -> Picture:
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


def truth_panel(image: Picture, annotations: pd.DataFrame, categories: pd.DataFrame) -> Picture:
    """An image with its true boxes, under how many there are.

    Args:
        image: (H, W, 3) RGB.
        annotations: Those of this image; columns `category_id` and the box.
        categories: Schema `CATEGORIES`; its order gives the colours.
    """
    names = _category_names(annotations, categories)
    title = f"truth: {counted(len(annotations), 'object')}"
    return titled(_with_boxes(image, annotations, names, categories), title)


def detections_panel(
    image: Picture, detections: pd.DataFrame, categories: pd.DataFrame, title: str
) -> Picture:
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
    return titled(_with_boxes(image, detections, labels, categories), title)


def overlay_label_maps(
    image: Picture, truth: LabelMap, prediction: LabelMap, categories: pd.DataFrame
) -> Picture:
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
    image: Picture, truth: LabelMap, prediction: LabelMap, categories: pd.DataFrame
) -> Picture:
    """The two panels of `overlay_label_maps`, without the legend."""
    agreed = f"prediction: {pixel_agreement(truth, prediction):.0%} of the pixels agree"
    return side_by_side(
        [
            label_map_panel(image, truth, categories, "truth"),
            label_map_panel(image, prediction, categories, agreed),
        ]
    )


def label_map_panel(
    image: Picture, label_map: LabelMap, categories: pd.DataFrame, title: str
) -> Picture:
    """An image with a label map over it, under a title.

    Args:
        image: (H, W, 3) RGB.
        label_map: Of the image's proportions.
        categories: Schema `CATEGORIES`; its order gives the colours.
        title: The title.
    """
    return titled(_with_labels(image, label_map, categories), title)


def label_legend(width: int, values: Iterable[int], categories: pd.DataFrame) -> Picture:
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
    return legend(width, entries or [("background only", PAPER)])


def overlay_crops(
    crops: Sequence[Picture],
    truths: Sequence[str],
    predictions: Sequence[str],
    probabilities: Sequence[float],
    *,
    columns: int = 8,
) -> Picture:
    """Classified crops in a grid: green frames are right, red ones wrong.

    Args:
        crops: Each (H, W, 3) RGB, of any size.
        truths: The true category of each.
        predictions: The predicted category of each.
        probabilities: The probability that the model gave to its prediction.
        columns: How many crops there are in a row.

    Returns:
        The grid; under each crop its truth and its prediction.
    """
    rows = zip(crops, truths, predictions, probabilities, strict=True)
    tiles = [crop_tile(crop, truth, [(said, score)]) for crop, truth, said, score in rows]
    return contact_sheet(tiles, columns)


def crop_tile(crop: Picture, truth: str, predictions: Sequence[tuple[str, float]]) -> Picture:
    """A crop over what it is, and what one or more models take it for.

    Args:
        crop: (H, W, 3) RGB, of any size.
        truth: Its true category, or "" where that is not known.
        predictions: What each model predicts, and with which probability.

    Returns:
        (H, 160, 3) RGB; a prediction is green where it is right and red where it is wrong, and so
        is the frame by the last one.
    """
    lines = [(fitting(f"is {truth}" if truth else "not labelled", _CROP_SIDE), INK)]
    for prediction, probability in predictions:
        said = f"{fitting(prediction, _CROP_SIDE - 40)} {probability:.2f}"
        colour = RIGHT if prediction == truth else WRONG
        lines.append((said, colour if truth else INK))
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


def _with_boxes(
    image: Picture, boxes: pd.DataFrame, labels: Sequence[str], categories: pd.DataFrame
) -> Picture:
    import supervision as sv

    scale = display_scale(*image.shape[:2])
    scene = scaled(image, scale)
    if not len(boxes):
        return scene
    index_of = pd.Series(range(len(categories)), index=categories["category_id"])
    found = sv.Detections(
        xyxy=boxes[BOX].to_numpy(dtype=np.float64) * scale,
        class_id=boxes["category_id"].map(index_of).to_numpy(dtype=np.int64),
    )
    colours = category_colours(len(categories))
    palette = _palette(colours)
    boxed = sv.BoxAnnotator(color=palette, thickness=2).annotate(_swapped(scene), found)
    annotator = sv.RichLabelAnnotator(
        color=palette,
        text_color=_palette([readable_on(colour) for colour in colours]),
        font_path=str(font_path()),
        font_size=11,
        text_padding=2,
        smart_position=True,
    )
    return _swapped(annotator.annotate(boxed, found, labels=list(labels)))


def _palette(colours: Sequence[Rgb]) -> sv.ColorPalette:
    import supervision as sv

    return sv.ColorPalette([sv.Color(*colour) for colour in colours])


def _with_labels(image: Picture, label_map: LabelMap, categories: pd.DataFrame) -> Picture:
    import cv2
    import supervision as sv

    scene = scaled(image, display_scale(*image.shape[:2]))
    height, width = scene.shape[:2]
    labels = cv2.resize(label_map, (width, height), interpolation=cv2.INTER_NEAREST)
    values = [int(value) for value in np.unique(labels) if value != _BACKGROUND]
    if not values:
        return scene
    masks: NDArray[np.bool_] = np.stack([labels == value for value in values])
    found = sv.Detections(
        xyxy=sv.mask_to_xyxy(masks),
        mask=masks,
        class_id=np.array([len(categories) if value == IGNORE else value - 1 for value in values]),
    )
    palette = _palette([*category_colours(len(categories)), _IGNORED])
    filled = sv.MaskAnnotator(color=palette, opacity=_OPACITY).annotate(_swapped(scene), found)
    return _swapped(sv.PolygonAnnotator(color=palette, thickness=1).annotate(filled, found))


def _swapped(image: Picture) -> Picture:
    """RGB to BGR or back: supervision draws on BGR, as OpenCV does."""
    return np.ascontiguousarray(image[..., ::-1])


def pixel_agreement(truth: LabelMap, prediction: LabelMap) -> float:
    """The share of the pixels that are right, of those that are not to be ignored; 1 of none.

    Args:
        truth: (H, W) label map.
        prediction: A label map of the same proportions.
    """
    import cv2

    height, width = truth.shape
    same_size = cv2.resize(prediction, (width, height), interpolation=cv2.INTER_NEAREST)
    counted = truth != IGNORE
    return float((same_size == truth)[counted].mean()) if counted.any() else 1.0


def _framed(crop: Picture, colour: Rgb) -> Picture:
    frame = 4
    inside = _CROP_SIDE - 2 * frame
    fitted = scaled(crop, inside / max(crop.shape[:2]))
    height, width = fitted.shape[:2]
    tile = np.full((_CROP_SIDE, _CROP_SIDE, 3), colour, dtype=np.uint8)
    tile[frame:-frame, frame:-frame] = 238
    top, left = frame + (inside - height) // 2, frame + (inside - width) // 2
    tile[top : top + height, left : left + width] = fitted
    return tile
