"""From COCO segmentations to masks and label maps, and back.

Source: the RLE and polygon rasteriser of pycocotools, https://github.com/ppwwyyxx/cocoapi
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations.core import BOX, AnnotationError, Annotations

_IGNORE = 255
_BAD_COUNTS = "segmentation is an RLE whose counts do not add up to the picture, correct it"
_MAX_CATEGORIES = 254  # 0 is background, 255 is "ignore"


def label_maps(annotations: Annotations) -> Mapping[int, NDArray[np.uint8]]:
    """The label map of every image, painted when it is asked for.

    Args:
        annotations: The tables.

    Returns:
        A mapping from image id, in the order of the images table, to a map as `to_label_map`
        paints it.

    Raises:
        AnnotationError: There are more categories than a label map has values.
    """
    return _PaintedMaps(annotations)


def to_label_map(annotations: Annotations, image_id: int) -> NDArray[np.uint8]:
    """Paint the annotations of one image, in the order of their rows.

    A later annotation paints over an earlier one. Where one has no segmentation, its box is
    painted.

    Args:
        annotations: The tables.
        image_id: The image.

    Returns:
        (H, W): 0 is background, i + 1 the i-th row of the categories, 255 a crowd region, which
        training and evaluation leave out.

    Raises:
        KeyError: The images table does not have that image.
        AnnotationError: A segmentation cannot be drawn; the message names the annotation.
    """
    return _PaintedMaps(annotations)[image_id]


def annotation_mask(
    segmentation: str | None, box: Sequence[float], height: int, width: int
) -> NDArray[np.bool_]:
    """The mask of one annotation.

    Args:
        segmentation: JSON of polygons (pixels) or of an RLE with listed or compressed counts;
            None, or polygons that all have fewer than three corners, stand for the box.
        box: `x_min, y_min, x_max, y_max`, pixels.
        height: Of the image, pixels.
        width: Of the image, pixels.

    Returns:
        (H, W), true on the object. Of a box: the pixels whose centres it holds.

    Raises:
        AnnotationError: The RLE is damaged or made for another size.

    >>> annotation_mask(None, [1, 0, 3, 1], height=2, width=4).astype(int)
    array([[0, 1, 1, 0],
           [0, 0, 0, 0]])
    """
    from pycocotools import mask as coco_mask

    rle = _rle(segmentation, height, width)
    if rle is None:
        mask = np.zeros((height, width), dtype=np.bool_)
        mask[_box_pixels(box, height, width)] = True
        return mask
    return np.asarray(coco_mask.decode(rle), dtype=np.bool_)


def annotation_area(
    segmentation: str | None, box: Sequence[float], height: int, width: int
) -> float:
    """The area of one annotation's mask, or of its box where it has none.

    Args:
        segmentation: As for `annotation_mask`.
        box: `x_min, y_min, x_max, y_max`, pixels.
        height: Of the image, pixels.
        width: Of the image, pixels.

    Returns:
        Square pixels.

    Raises:
        AnnotationError: The RLE is damaged or made for another size.

    >>> annotation_area(None, [1, 0, 3, 1.5], height=2, width=4)
    3.0
    """
    from pycocotools import mask as coco_mask

    rle = _rle(segmentation, height, width)
    if rle is None:
        x_min, y_min, x_max, y_max = box
        return float(max(x_max - x_min, 0) * max(y_max - y_min, 0))
    return float(coco_mask.area(rle))


def mask_to_segmentation(mask: NDArray[np.bool_]) -> str:
    """The mask as JSON of an RLE with compressed counts, as the segmentation column holds it.

    Args:
        mask: (H, W), true on the object.

    Returns:
        JSON text that `annotation_mask` turns into the same mask.

    >>> mask_to_segmentation(np.array([[False, True], [False, True]]))
    '{"size":[2,2],"counts":"22"}'
    """
    from pycocotools import mask as coco_mask

    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    size = [int(side) for side in rle["size"]]
    return json.dumps(
        {"size": size, "counts": rle["counts"].decode("ascii")}, separators=(",", ":")
    )


class _PaintedMaps(Mapping[int, NDArray[np.uint8]]):
    """Label maps by image, each painted when it is asked for."""

    def __init__(self, annotations: Annotations) -> None:
        categories = annotations.categories["category_id"].tolist()
        if len(categories) > _MAX_CATEGORIES:
            raise AnnotationError(
                f"categories: {len(categories)} of them, but a label map has room for "
                f"{_MAX_CATEGORIES}; merge some with the rule fix_categories"
            )
        images = annotations.images
        self._sizes = dict(
            zip(
                images["image_id"].tolist(),
                zip(images["height"].tolist(), images["width"].tolist(), strict=True),
                strict=True,
            )
        )
        self._table = annotations.annotations
        self._rows: dict[Any, Any] = dict(self._table.groupby("image_id").indices)
        self._values = {category: index + 1 for index, category in enumerate(categories)}

    def __getitem__(self, image_id: int) -> NDArray[np.uint8]:
        height, width = self._sizes[image_id]
        label_map = np.zeros((height, width), dtype=np.uint8)
        rows = self._table.iloc[self._rows.get(image_id, [])]
        texts = [None if pd.isna(text) else text for text in rows["segmentation"]]
        for annotation_id, category_id, crowd, text, box in zip(
            rows["annotation_id"].tolist(),
            rows["category_id"].tolist(),
            rows["iscrowd"].tolist(),
            texts,
            rows[BOX].to_numpy().tolist(),
            strict=True,
        ):
            value = _IGNORE if crowd else self._values[category_id]
            try:
                label_map[annotation_mask(text, box, height, width)] = value
            except AnnotationError as error:
                raise AnnotationError(
                    f"annotation {annotation_id} of image {image_id}: {error}"
                ) from error
        return label_map

    def __iter__(self) -> Iterator[int]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)


def _rle(segmentation: str | None, height: int, width: int) -> dict[str, Any] | None:
    """The segmentation as one compressed RLE; None where there is nothing to draw."""
    from pycocotools import mask as coco_mask

    if segmentation is None:
        return None
    parsed = json.loads(segmentation)
    rle: dict[str, Any]
    if isinstance(parsed, list):
        # pycocotools would take four numbers for a box.
        polygons = [polygon for polygon in parsed if len(polygon) >= 6]
        if not polygons:
            return None
        rle = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
        return rle
    if parsed["size"] != [height, width]:
        raise AnnotationError(
            f"segmentation is an RLE of {parsed['size'][1]} x {parsed['size'][0]} pixels on an "
            f"image of {width} x {height}, correct either"
        )
    if isinstance(parsed["counts"], list):
        counts = parsed["counts"]
        if min(counts, default=0) < 0 or sum(counts) != height * width:
            raise AnnotationError(_BAD_COUNTS)
        rle = coco_mask.frPyObjects(parsed, height, width)
        return rle
    compressed = parsed["counts"].encode("ascii", "replace")
    if _pixels_counted(compressed) != height * width:
        raise AnnotationError(_BAD_COUNTS)
    return {"size": parsed["size"], "counts": compressed}


def _pixels_counted(compressed: bytes) -> int:
    """How many pixels compressed counts cover.

    pycocotools notices counts that cover too many, but decodes ones that cover too few into
    whatever was in memory.

    Source: rleFrString of pycocotools: six bits a character, the lowest five of them digits, the
    sixth "more follows"; from the fourth count on, the difference to the last but one.
    """
    digits = np.frombuffer(compressed, dtype=np.uint8).astype(np.int64) - 48
    if len(digits) == 0 or digits.min() < 0 or digits.max() > 63 or digits[-1] & 32:
        return -1
    ends = np.flatnonzero(digits & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    if (ends - starts).max() > 6:  # seven characters hold any count of 32 bits
        return -1
    place = np.arange(len(digits)) - np.repeat(starts, ends - starts + 1)
    counts = np.add.reduceat((digits & 31) << (5 * place), starts)
    negative = digits[ends] & 16 != 0
    counts[negative] -= 1 << (5 * (ends - starts + 1))[negative]
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return int(counts.sum()) if counts.min() >= 0 else -1


def _box_pixels(box: Sequence[float], height: int, width: int) -> tuple[slice, slice]:
    x_min, y_min, x_max, y_max = box
    columns = slice(_first_centre(x_min, width), _first_centre(x_max, width))
    return slice(_first_centre(y_min, height), _first_centre(y_max, height)), columns


def _first_centre(edge: float, size: int) -> int:
    """The first pixel whose centre is at or after an edge."""
    return min(max(ceil(edge - 0.5), 0), size)
