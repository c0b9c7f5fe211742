"""What is left of annotations where they overlap, painted in the order of their rows.

Where an image has boxes only, areas are exact. Where it has a mask, they are counted in pixels, as
`to_label_map` paints them: a box is the pixels whose centres it holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recycling.annotations.core import BOX, AnnotationError, Annotations
from recycling.annotations.masks import Rle, box_rle, merged_rles, segmentation_rle
from recycling.progress import track

_WORTH_A_LINE = 5_000  # images that take more than a moment


def visible_area(annotations: Annotations) -> NDArray[np.float64]:
    """The area that each annotation has left when all are painted in the order of their rows.

    A later annotation hides what is below it, crowd regions too. What lies outside the image
    does not count.

    Args:
        annotations: The tables; they are not changed.

    Returns:
        (N,) square pixels, in the order of the annotations table. Their sum over an image is the
        area that its annotations cover together.

    Raises:
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
    >>> visible_area(annotations)
    array([3., 3.])
    """
    boxes = _boxes_within(annotations)
    whole = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    visible: NDArray[np.float64] = whole.copy()
    image_id = annotations.annotations["image_id"]
    has_text = annotations.annotations["segmentation"].notna()
    masked = image_id.isin(image_id[has_text]).to_numpy()
    shapes = Shapes(annotations)
    for image in images_with_rows(annotations, masked):
        rles = [shape.rle for shape in shapes.of(image)]
        visible[image.rows] = [area for area, _ in painted(rles)]
    rows = np.flatnonzero(~masked)
    rows = rows[np.argsort(image_id.to_numpy()[rows], kind="stable")]
    ids = image_id.to_numpy()[rows]
    offsets = np.append(0, np.flatnonzero(np.append(ids[1:] != ids[:-1], True)) + 1)
    if len(offsets) <= len(rows):  # some image has several boxes
        from recycling.annotations.overlap_kernels import visible_boxes

        visible_boxes(rows, offsets, boxes, whole, visible)
    return visible


@dataclass(frozen=True)
class ImageRows:
    """An image, and where its annotations are.

    Attributes:
        image_id: The image's number.
        height: Pixels.
        width: Pixels.
        rows: Rows of the annotations table, ascending.
    """

    image_id: int
    height: int
    width: int
    rows: NDArray[np.intp]


@dataclass(frozen=True)
class Shape:
    """The pixels of an annotation.

    Attributes:
        rle: The pixels.
        has_mask: Whether they come from a segmentation; otherwise they are those of the box.
    """

    rle: Rle
    has_mask: bool


def images_with_rows(
    annotations: Annotations, where: NDArray[np.bool_] | None = None
) -> Iterator[ImageRows]:
    """The images that have annotations, each with the rows of these.

    Args:
        annotations: The tables.
        where: (N,), true for the annotations that count; by default all.

    Yields:
        The images in the order of their ids.
    """
    table = annotations.annotations
    rows = np.arange(len(table)) if where is None else np.flatnonzero(where)
    positions = table[["image_id"]].iloc[rows].groupby("image_id").indices
    sizes = annotations.images.set_index("image_id")[["height", "width"]].loc[list(positions)]
    images: Iterable[tuple[Any, list[int]]] = zip(
        positions.items(), sizes.to_numpy().tolist(), strict=True
    )
    if len(positions) >= _WORTH_A_LINE:
        images = track(images, "looking at annotations", total=len(positions))
    for (image_id, on_image), (height, width) in images:
        yield ImageRows(int(image_id), height, width, rows[on_image])


class Shapes:
    """The pixels of annotations, image by image; nothing is drawn before it is asked for."""

    def __init__(self, annotations: Annotations) -> None:
        """Take what is needed out of the annotations table, which is not changed."""
        table = annotations.annotations
        self._ids = table["annotation_id"].to_numpy()
        self._boxes = table[BOX].to_numpy()
        # Rows are taken out of it far more quickly than out of a column of pandas.
        self._texts = pa.array(table["segmentation"], pa.large_string(), from_pandas=True)
        if isinstance(self._texts, pa.ChunkedArray):
            self._texts = self._texts.combine_chunks()

    def texts(self, image: ImageRows) -> list[str | None]:
        """The segmentations of one image as JSON text, in the order of their rows."""
        texts: list[str | None] = self._texts.take(image.rows).to_pylist()
        return texts

    def of(self, image: ImageRows) -> list[Shape]:
        """The pixels of each annotation of one image, in the order of their rows.

        Raises:
            AnnotationError: A segmentation cannot be drawn; the message names the annotation.
        """
        found = []
        for annotation_id, text, box in zip(
            self._ids[image.rows].tolist(),
            self.texts(image),
            self._boxes[image.rows].tolist(),
            strict=True,
        ):
            try:
                rle = segmentation_rle(text, image.height, image.width)
            except AnnotationError as error:
                raise AnnotationError(
                    f"annotation {annotation_id} of image {image.image_id}: {error}"
                ) from error
            found.append(Shape(rle or box_rle(box, image.height, image.width), rle is not None))
        return found


def painted(rles: Sequence[Rle]) -> list[tuple[float, Rle | None]]:
    """What is left of masks of one image when they are painted in their order.

    Args:
        rles: The masks; at least one.

    Returns:
        For each, its pixels that no later one hides, and the union of the later ones (None for
        the last).
    """
    from pycocotools import mask as coco_mask

    found: list[tuple[float, Rle | None]] = []
    above: Rle | None = None
    covered = 0.0
    for rle in reversed(rles):
        union = rle if above is None else merged_rles([rle, above])
        area = float(coco_mask.area(union))
        found.append((area - covered, above))
        above, covered = union, area
    return found[::-1]


def _boxes_within(annotations: Annotations) -> NDArray[np.float64]:
    """The boxes, (N, 4), cut to their images; one that is not inside has no width or height."""
    table = annotations.annotations
    sizes = annotations.images.set_index("image_id")[["width", "height"]].loc[table["image_id"]]
    boxes = np.clip(table[BOX].to_numpy(dtype=np.float64), 0, np.tile(sizes.to_numpy(), 2))
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
    return boxes
