"""From COCO segmentations to masks and label maps, and back.

Source: the RLE and polygon rasteriser of pycocotools, https://github.com/ppwwyyxx/cocoapi
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations.core import BOX, AnnotationError, Annotations
from recycling.kept_arrays import KeptArrays

Rle: TypeAlias = dict[str, Any]
"""A compressed RLE as pycocotools takes and gives it: `size` (height, width) and `counts`."""

_IGNORE = 255
_BAD_COUNTS = "segmentation is an RLE whose counts do not add up to the image, correct it"
_KEPT_BYTES = 64 << 20
_MAX_CATEGORIES = 254  # 0 is background, 255 is "ignore"
_SIX_LETTERS = 1 << 24  # a count, or a difference of counts, that has as many in a text
_SEVEN_LETTERS = 1 << 29
_TEXT_MAY_FILL = 3 * _SIX_LETTERS
"""Pixels of an image where a mask's text may be too long for pycocotools.

It has room for six letters a count, and writes a zero behind the last, beyond it where all counts
have six. The first three of more than three counts are then as large as `_SIX_LETTERS`.
"""


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
    # Scoring asks for them once for each of hundreds of ensembles.
    if annotations not in _PAINTED:
        _PAINTED[annotations] = _PaintedMaps(annotations)
    return _PAINTED[annotations]


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

    >>> from recycling.annotations import from_coco
    >>> images = [{"id": 1, "file_name": "a.jpg", "width": 4, "height": 2}]
    >>> glass, paper = {"id": 0, "name": "Glass"}, {"id": 1, "name": "Paper"}
    >>> boxes = [
    ...     {"id": 5, "image_id": 1, "category_id": 0, "bbox": [0, 0, 2, 2]},
    ...     {"id": 6, "image_id": 1, "category_id": 1, "bbox": [1, 0, 3, 1]},
    ... ]
    >>> document = {"images": images, "annotations": boxes, "categories": [glass, paper]}
    >>> annotations = from_coco(document, where="example")
    >>> to_label_map(annotations, image_id=1)
    array([[1, 2, 2, 2],
           [1, 1, 0, 0]], dtype=uint8)
    """
    return label_maps(annotations)[image_id]


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
    rle = segmentation_rle(segmentation, height, width)
    if rle is None:
        mask = np.zeros((height, width), dtype=np.bool_)
        mask[_box_pixels(box, height, width)] = True
        return mask
    return rle_mask(rle)


def rle_mask(rle: Rle) -> NDArray[np.bool_]:
    """The mask that a compressed RLE stands for; (H, W).

    pycocotools' own warns of numpy at each call, which a run in several threads would show.

    >>> rle_mask(box_rle([1, 0, 3, 1], height=2, width=4)).astype(int)
    array([[0, 1, 1, 0],
           [0, 0, 0, 0]])
    """
    height, width = rle["size"]
    counts = _decompressed(rle["counts"])
    is_on = np.arange(len(counts)) % 2 == 1
    return np.repeat(is_on, counts).reshape(width, height).T


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

    rle = segmentation_rle(segmentation, height, width)
    if rle is None:
        x_min, y_min, x_max, y_max = box
        return float(max(x_max - x_min, 0) * max(y_max - y_min, 0))
    return float(coco_mask.area(rle))


def annotation_areas(annotations: pd.DataFrame, images: pd.DataFrame) -> NDArray[np.float64]:
    """The areas of annotations, as `annotation_area` gives them; (annotations,), square pixels.

    Args:
        annotations: Schema `ANNOTATIONS`.
        images: Schema `IMAGES`; every image that an annotation is on.

    Raises:
        AnnotationError: An RLE is damaged or made for another size.
    """
    import pyarrow as pa

    sizes = images.set_index("image_id")[["height", "width"]]
    areas = [
        annotation_area(text, box, height, width)
        for text, box, (height, width) in zip(
            pa.array(annotations["segmentation"]).to_pylist(),
            annotations[BOX].to_numpy().tolist(),
            sizes.loc[annotations["image_id"]].to_numpy().tolist(),
            strict=True,
        )
    ]
    return np.array(areas, dtype=np.float64)


def of_size(label_map: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A label map or mask of another size, taking the pixel under the centre of each.

    Args:
        label_map: (H, W).
        shape: Height and width of the result, pixels.

    >>> of_size(np.array([[1, 2]], np.uint8), (1, 4)).tolist()
    [[1, 1, 2, 2]]
    >>> of_size(np.arange(6, dtype=np.uint8).reshape(1, 6), (1, 2)).tolist()
    [[1, 4]]
    """
    if label_map.shape == shape:
        return label_map
    import cv2

    # INTER_NEAREST takes the pixel up and left of the centre, as the libraries' own resizing does.
    resized = cv2.resize(label_map, shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, dtype=np.uint8)


def mask_polygons(mask: NDArray[np.bool_]) -> list[Corners]:
    """The outlines of a mask, along the edges of its pixels.

    Args:
        mask: (H, W), true on the object.

    Returns:
        Polygons, each (N, 2), pixels; together they are the same mask where pycocotools draws them.
        A hole is joined to its outline by a seam of no area.

    >>> [polygon.tolist() for polygon in mask_polygons(np.array([[False, True, True]]))]
    [[[1, 0], [1, 1], [3, 1], [3, 0]]]
    """
    outlines = [_with_holes(outline, holes) for outline, holes in mask_outlines(mask)]
    return [each[(each != np.roll(each, 1, axis=0)).any(axis=1)] for each in outlines]


Corners: TypeAlias = NDArray[np.int64]
"""Of a polygon, (N, 2), pixels."""


def mask_outlines(mask: NDArray[np.bool_]) -> list[tuple[Corners, list[Corners]]]:
    """The outline of each part of a mask that hangs together, with those of its holes.

    Outlines run along the edges of pixels.

    Args:
        mask: (H, W), true on the object.

    >>> ring = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.bool_)
    >>> [(len(outline), len(holes)) for outline, holes in mask_outlines(ring)]
    [(4, 1)]
    """
    import cv2

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.uint8)
    # Twice the size: contours run along the centres of pixels, outlines along their edges.
    doubled = np.repeat(np.repeat(part, 2, 0), 2, 1)
    contours, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    start = (columns[0], rows[0])
    corners = [(contour[:, 0].astype(np.int64) + 1) // 2 + start for contour in contours]
    parents = hierarchy[0, :, 3].tolist()
    found: dict[int, tuple[Corners, list[Corners]]] = {
        number: (corners[number], []) for number, parent in enumerate(parents) if parent < 0
    }
    for number, parent in enumerate(parents):
        if parent >= 0:
            found[parent][1].append(corners[number])
    return list(found.values())


def _with_holes(outline: Corners, holes: Sequence[Corners]) -> Corners:
    """One polygon, (N, 2), of an outline and its holes: each seam is walked there and back."""
    places = [int(np.abs(outline - hole[0]).sum(axis=1).argmin()) for hole in holes]
    pieces, walked = [], 0
    for number in np.argsort(places, kind="stable").tolist():
        place, hole = places[number], holes[number]
        pieces += [outline[walked : place + 1], hole, hole[:1], outline[place : place + 1]]
        walked = place + 1
    return np.concatenate([*pieces, outline[walked:]])


def mask_to_segmentation(mask: NDArray[np.bool_]) -> str:
    """The mask as JSON of an RLE with compressed counts, as the segmentation column holds it.

    Args:
        mask: (H, W), true on the object.

    Returns:
        JSON text that `annotation_mask` turns into the same mask.

    >>> mask_to_segmentation(np.array([[False, True], [False, True]]))
    '{"size":[2,2],"counts":"22"}'
    """
    return part_to_segmentation(mask, 0, 0, *mask.shape)


def part_to_segmentation(
    part: NDArray[np.bool_], left: int, top: int, height: int, width: int
) -> str:
    """As `mask_to_segmentation` of an image's mask, of which a box alone is given.

    Args:
        part: (h, w), the mask inside of the box; it is empty outside.
        left: Where the box begins, pixels.
        top: Likewise.
        height: Of the image, pixels.
        width: Likewise.

    >>> part_to_segmentation(np.array([[True], [True]]), 1, 0, height=2, width=2)
    '{"size":[2,2],"counts":"22"}'
    """
    high, wide = part.shape
    if high < height:  # a row below ends the run of each column
        part = np.concatenate([part, np.zeros((1, wide), np.bool_)])
    edges = np.flatnonzero(np.diff(part.ravel("F"), prepend=False, append=False))
    columns, rows = np.divmod(edges, len(part))
    edges = (left + columns) * height + top + rows
    counts = np.diff(edges, prepend=0, append=height * width)
    return rle_to_segmentation(_rle(counts if counts[-1] else counts[:-1], height, width))


def rle_to_segmentation(rle: Rle) -> str:
    """A compressed RLE as JSON text, as the segmentation column holds it.

    >>> rle_to_segmentation(box_rle([0, 0, 4, 2], height=2, width=4))
    '{"size":[2,4],"counts":"08"}'
    """
    size = [int(side) for side in rle["size"]]
    return json.dumps(
        {"size": size, "counts": rle["counts"].decode("ascii")}, separators=(",", ":")
    )


def marks_no_area(segmentation: str) -> bool:
    """Whether a segmentation is polygons that all have fewer than three corners.

    Args:
        segmentation: JSON of polygons or of an RLE.

    >>> marks_no_area("[[1, 2, 3, 4]]"), marks_no_area("[[1, 2, 3, 4, 5, 6]]")
    (True, False)
    """
    # Three corners and more are the rule, and need not be parsed to be known.
    if not segmentation.startswith("[") or segmentation.partition("]")[0].count(",") >= 5:
        return False
    return all(len(polygon) < 6 for polygon in json.loads(segmentation))


def segmentation_rle(segmentation: str | None, height: int, width: int) -> Rle | None:
    """A segmentation as a compressed RLE, with which pycocotools counts without drawing.

    Args:
        segmentation: As for `annotation_mask`.
        height: Of the image, pixels.
        width: Of the image, pixels.

    Returns:
        The RLE, without runs of no pixels but for the first; None where there is nothing to draw.

    Raises:
        AnnotationError: The RLE is damaged or made for another size.

    >>> segmentation_rle("[[0, 0, 4, 0, 4, 2, 0, 2]]", height=2, width=4)
    {'size': [2, 4], 'counts': b'08'}
    """
    from pycocotools import mask as coco_mask

    if segmentation is None:
        return None
    parsed = json.loads(segmentation)
    rle: Rle
    if isinstance(parsed, list):
        # pycocotools would take four numbers for a box.
        polygons = [polygon for polygon in parsed if len(polygon) >= 6]
        if not polygons:
            return None
        if height * width < _TEXT_MAY_FILL:
            rle = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
            return rle
        return _drawn_on_large(polygons, height, width)
    if parsed["size"] != [height, width]:
        raise AnnotationError(
            f"segmentation is an RLE of {parsed['size'][1]} x {parsed['size'][0]} pixels on an "
            f"image of {width} x {height}, correct either"
        )
    if isinstance(parsed["counts"], list):
        counts = np.array(parsed["counts"], dtype=np.int64)
    else:
        counts = _decompressed(parsed["counts"].encode("ascii", "replace"))
    n_pixels = height * width  # looked at first, as sums of larger counts may be any number
    if counts.min(initial=0) < 0 or counts.max(initial=0) > n_pixels or counts.sum() != n_pixels:
        raise AnnotationError(_BAD_COUNTS)
    return _rle(_without_empty_runs(counts), height, width)


def segmentation_box(segmentation: str, rle: Rle) -> tuple[float, float, float, float]:
    """The box around a mask: of the corners of its polygons, or of the pixels of its RLE.

    Corners are exact, and files have their boxes from them. Pixels are not: a thin tip is not
    drawn.

    Args:
        segmentation: JSON of polygons or of an RLE.
        rle: What `segmentation_rle` makes of it.

    Returns:
        `x_min, y_min, x_max, y_max`, pixels, within the image.

    >>> text = "[[0.5, 0, 3, 0, 3, 1.5]]"
    >>> segmentation_box(text, segmentation_rle(text, height=2, width=4))
    (0.5, 0.0, 3.0, 1.5)
    """
    parsed = json.loads(segmentation)
    if isinstance(parsed, dict):
        return rle_box(rle)
    corners = np.concatenate([np.reshape(flat, (-1, 2)) for flat in parsed if len(flat) >= 6])
    height, width = rle["size"]
    within = np.clip(corners, 0, [width, height])
    (x_min, y_min), (x_max, y_max) = within.min(axis=0).tolist(), within.max(axis=0).tolist()
    return x_min, y_min, x_max, y_max


def rle_box(rle: Rle) -> tuple[float, float, float, float]:
    """The smallest box around the pixels of an RLE: `x_min, y_min, x_max, y_max`, pixels.

    >>> rle_box(box_rle([1, 0, 3, 1], height=2, width=4))
    (1.0, 0.0, 3.0, 1.0)
    """
    from pycocotools import mask as coco_mask

    x_min, y_min, width, height = coco_mask.toBbox(rle).tolist()
    return x_min, y_min, x_min + width, y_min + height


def box_rle(box: Sequence[float], height: int, width: int) -> Rle:
    """The pixels whose centres a box holds, as a compressed RLE.

    Args:
        box: `x_min, y_min, x_max, y_max`, pixels.
        height: Of the image, pixels.
        width: Of the image, pixels.

    Returns:
        The RLE of what `annotation_mask` draws for the box.
    """
    rows, columns = _box_pixels(box, height, width)
    high, wide = max(rows.stop - rows.start, 0), max(columns.stop - columns.start, 0)
    if not high or not wide:
        return _rle(np.array([height * width]), height, width)
    runs = np.tile([high, height - high], wide)
    runs[-1] = (width - columns.stop) * height + height - rows.stop
    lead = columns.start * height + rows.start
    return _rle(_without_empty_runs(np.concatenate([[lead], runs])), height, width)


def merged_rles(rles: Sequence[Rle], *, intersect: bool = False) -> Rle:
    """The RLE of all pixels of masks of one size.

    Args:
        rles: The masks; at least one.
        intersect: Only the pixels that all of them have.

    >>> rle_box(merged_rles([box_rle([0, 0, 2, 2], 3, 4), box_rle([1, 1, 3, 3], 3, 4)]))
    (0.0, 0.0, 3.0, 3.0)
    """
    from pycocotools import mask as coco_mask

    height, width = rles[0]["size"]
    if height * width < _TEXT_MAY_FILL:
        rle: Rle = coco_mask.merge(list(rles), intersect)
        return rle
    ends = [np.cumsum(_decompressed(each["counts"])) for each in rles]
    starts = np.concatenate([own[: len(own) // 2 * 2 : 2] for own in ends])
    places = np.concatenate([starts, *(own[1::2] for own in ends)])
    order = np.argsort(places, kind="stable")  # masks that touch begin before they end
    depth = np.cumsum(np.where(order < len(starts), 1, -1))
    is_on = depth >= (len(rles) if intersect else 1)
    edges = places[order][np.diff(is_on, prepend=False)]
    counts = np.diff(edges, prepend=0, append=height * width)
    return _rle(_without_empty_runs(counts), height, width)


def outside(rle: Rle) -> Rle:
    """The RLE of all pixels that another one leaves out.

    >>> rle_box(outside(box_rle([0, 0, 4, 1], height=2, width=4)))
    (0.0, 1.0, 4.0, 2.0)
    """
    counts = _decompressed(rle["counts"])
    return _rle(counts[1:] if counts[0] == 0 else np.concatenate([[0], counts]), *rle["size"])


class _PaintedMaps(Mapping[int, NDArray[np.uint8]]):
    """Label maps by image, each painted when it is asked for; the first 64 MB of them are kept."""

    def __init__(self, annotations: Annotations) -> None:
        self._kept = KeptArrays()
        categories = annotations.categories["category_id"].tolist()
        if len(categories) > _MAX_CATEGORIES:
            raise AnnotationError(
                f"categories: {len(categories)} of them, but a label map has room for "
                f"{_MAX_CATEGORIES}; merge some: `categories` of the cleaning rules does"
            )
        images = annotations.images
        self._sizes = dict(
            zip(
                images["image_id"].tolist(),
                zip(images["height"].tolist(), images["width"].tolist(), strict=True),
                strict=True,
            )
        )
        self._values = {category: index + 1 for index, category in enumerate(categories)}
        # As lists: taking rows out of a table for each image takes longer than painting them.
        table = annotations.annotations
        self._rows: dict[Any, Any] = dict(table.groupby("image_id").indices)
        self._ids = table["annotation_id"].tolist()
        self._painted = [
            _IGNORE if crowd else self._values[category_id]
            for category_id, crowd in zip(
                table["category_id"].tolist(), table["iscrowd"].tolist(), strict=True
            )
        ]
        segmentation = table["segmentation"]
        self._texts = segmentation.astype(object).where(segmentation.notna(), None).tolist()
        self._boxes = table[BOX].to_numpy().tolist()

    def __getitem__(self, image_id: int) -> NDArray[np.uint8]:
        return self._kept.get(image_id, _KEPT_BYTES, lambda: self._paint(image_id))

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._sizes

    def _paint(self, image_id: int) -> NDArray[np.uint8]:
        height, width = self._sizes[image_id]
        label_map = np.zeros((height, width), dtype=np.uint8)
        for row in self._rows.get(image_id, ()):
            try:
                mask = annotation_mask(self._texts[row], self._boxes[row], height, width)
            except AnnotationError as error:
                raise AnnotationError(
                    f"annotation {self._ids[row]} of image {image_id}: {error}"
                ) from error
            label_map[mask] = self._painted[row]
        label_map.flags.writeable = False
        return label_map

    def __iter__(self) -> Iterator[int]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)


_PAINTED: WeakKeyDictionary[Annotations, _PaintedMaps] = WeakKeyDictionary()
"""Of the annotations that are in use."""


def _drawn_on_large(polygons: Sequence[Sequence[float]], height: int, width: int) -> Rle:
    """The RLE of polygons on an image of `_TEXT_MAY_FILL` pixels or more.

    They are drawn on one so high that no column is full, and cut: every other count is short then.
    """
    from pycocotools import mask as coco_mask

    tall = 2 * height + 1  # no polygon reaches further
    if tall > _SIX_LETTERS or tall * width > _SEVEN_LETTERS:
        raise AnnotationError(
            f"segmentation is polygons on an image of {width} x {height} pixels, which is too "
            "large for them, give an RLE"
        )
    rles = []
    for rle in coco_mask.frPyObjects(polygons, tall, width):
        columns, rows = np.divmod(np.cumsum(_decompressed(rle["counts"])), tall)
        edges = columns * height + np.minimum(rows, height)
        rles.append(_rle(_without_empty_runs(np.diff(edges, prepend=0)), height, width))
    return merged_rles(rles)


def _rle(counts: NDArray[np.int64], height: int, width: int) -> Rle:
    from recycling.annotations.outline_kernels import write_counts

    letters = np.empty(7 * len(counts), dtype=np.uint8)
    n_letters = write_counts(np.ascontiguousarray(counts, dtype=np.int64), letters)
    return {"size": [height, width], "counts": letters[:n_letters].tobytes()}


def _decompressed(compressed: bytes) -> NDArray[np.int64]:
    """The counts that a text of counts stands for; [-1] where it is none.

    pycocotools notices counts that cover too many pixels, but decodes ones that cover too few into
    whatever was in memory.

    Source: rleFrString of pycocotools: six bits a character, the lowest five of them digits, the
    sixth "more follows"; from the fourth count on, the difference to the last but one.
    """
    no_counts = np.array([-1])
    digits = np.frombuffer(compressed, dtype=np.uint8).astype(np.int64) - 48
    if len(digits) == 0 or digits.min() < 0 or digits.max() > 63 or digits[-1] & 32:
        return no_counts
    ends = np.flatnonzero(digits & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    if (ends - starts).max() > 6:  # seven characters hold any count of 32 bits
        return no_counts
    position = np.arange(len(digits)) - np.repeat(starts, ends - starts + 1)
    counts = np.asarray(np.add.reduceat((digits & 31) << (5 * position), starts))
    negative = digits[ends] & 16 != 0
    counts[negative] -= 1 << (5 * (ends - starts + 1))[negative]
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return counts


def _without_empty_runs(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same mask with every run but the first longer than 0.

    pycocotools stops merging where two masks have an empty run at the same place, and takes one
    for an edge of the box.
    """
    if (counts[1:] > 0).all():
        return counts
    kept = np.flatnonzero(counts > 0)
    on = kept % 2
    starts = np.flatnonzero(np.concatenate([[True], on[1:] != on[:-1]]))
    merged = np.add.reduceat(counts[kept], starts)
    return np.concatenate([[0], merged]) if on[0] else merged


def _box_pixels(box: Sequence[float], height: int, width: int) -> tuple[slice, slice]:
    x_min, y_min, x_max, y_max = box
    columns = slice(_first_centre(x_min, width), _first_centre(x_max, width))
    return slice(_first_centre(y_min, height), _first_centre(y_max, height)), columns


def _first_centre(edge: float, size: int) -> int:
    """The first pixel whose centre is at or after an edge."""
    return min(max(ceil(edge - 0.5), 0), size)
