"""What is on each image, in numbers: all that folds are made of, balanced and measured by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import Annotations, StoredAnnotations
from recycling.stored_tables import bounds_of


@dataclass(frozen=True)
class Contents:
    """The images, and how much of what is on each. Crowd regions are no objects.

    What is asked for is counted then, of tables on disk some images at a time.

    Attributes:
        images: One row an image; schema `IMAGES`.
        categories: One row a category; schema `CATEGORIES`.
        parts: Gives what is on the images, run of images by run; without masks where they are on
            disk.
        shapes: The same, with masks.

    Example:
        >>> annotations = Annotations(
        ...     images=pd.DataFrame({"image_id": [1, 2]}),
        ...     annotations=pd.DataFrame(
        ...         {"image_id": [1, 1, 2], "category_id": [7, 7, 8], "iscrowd": False}
        ...     ),
        ...     categories=pd.DataFrame({"category_id": [7, 8], "name": ["Metal", "Glass"]}),
        ... )
        >>> contents_of(annotations).counts
        array([[2, 0],
               [0, 1]])
    """

    images: pd.DataFrame
    categories: pd.DataFrame
    parts: Callable[[], Iterator[Annotations]]
    shapes: Callable[[], Iterator[Annotations]]

    def ordered(self) -> Contents:
        """The same, images and categories in the order of their ids."""
        return replace(
            self,
            images=self.images.sort_values("image_id", ignore_index=True),
            categories=self.categories.sort_values("category_id", ignore_index=True),
        )

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(images, categories) how many objects of each category an image has."""
        image_index = pd.Index(self.images["image_id"])
        category_index = pd.Index(self.categories["category_id"])
        counts = np.zeros((len(image_index), len(category_index)), np.int64)
        for part in self.parts():
            table = part.objects().annotations
            image = image_index.get_indexer(pd.Index(table["image_id"]))
            category = category_index.get_indexer(pd.Index(table["category_id"]))
            known = (image >= 0) & (category >= 0)
            np.add.at(counts, (image[known], category[known]), 1)
        return counts

    @cached_property
    def covered(self) -> NDArray[np.float64]:
        """(images,) square pixels that masks, or else boxes, cover together, overlaps once."""
        from recycling.annotations.overlaps import visible_area

        # Who covers whom does not matter to the sum.
        return self._summed(visible_area)

    @cached_property
    def box_areas(self) -> NDArray[np.float64]:
        """(images,) square pixels of all boxes, added up."""
        return self._summed(_box_area)

    def _summed(self, area_of: Callable[[Annotations], NDArray[np.float64]]) -> NDArray[np.float64]:
        image_index = pd.Index(self.images["image_id"])
        sums = np.zeros(len(image_index))
        for part in self.shapes():
            objects = part.objects()
            # One order gives one rounding.
            table = objects.annotations.sort_values("annotation_id", ignore_index=True)
            area = area_of(replace(objects, annotations=table))
            of_image = pd.Series(area).groupby(table["image_id"].to_numpy()).sum()
            image = image_index.get_indexer(of_image.index)
            sums[image[image >= 0]] = of_image[image >= 0]
        return sums


def contents_of(annotations: Annotations | StoredAnnotations) -> Contents:
    """What is on the images, these and the categories in the order of their tables."""
    if isinstance(annotations, StoredAnnotations):
        bounds = bounds_of([annotations.objects])
        parts, shapes = partial(annotations.parts, bounds), partial(annotations.shapes, bounds)
        return Contents(annotations.images.whole(), annotations.categories, parts, shapes)
    once = partial(iter, [annotations])
    return Contents(annotations.images, annotations.categories, once, once)


def _box_area(annotations: Annotations) -> NDArray[np.float64]:
    table = annotations.annotations
    area = (table["x_max"] - table["x_min"]) * (table["y_max"] - table["y_min"])
    return area.to_numpy()
