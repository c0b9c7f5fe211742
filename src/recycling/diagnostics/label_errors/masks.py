"""Errors of masks, by region: what models see in each label, and beside all of them.

A region is what is seen of one label on its label map, or connected pixels that no label has and
models hold for objects. Scores of single pixels are averaged over it, so that edges, where models
and people always differ by a pixel or two, do not count for much.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import BOX, Annotations, annotation_mask
from recycling.annotations.masks import of_size
from recycling.diagnostics.label_errors.core import (
    NEW_BOX,
    LabelErrors,
    candidates,
    usual,
)
from recycling.evaluation.masks import check_label_maps
from recycling.predictions import LabelMaps, ProbabilityMaps

Planes: TypeAlias = NDArray[np.float32]
"""(categories + 1, H, W), how probable each label is; plane 0 is the background."""

_RIM = 2  # pixels: what is seen beside labels is looked at without rims of twice this width


def mask_label_errors(
    truth: Annotations,
    members: Sequence[LabelMaps],
    probabilities: Sequence[ProbabilityMaps | None] | None = None,
    *,
    min_area: int = 30,
) -> LabelErrors:
    """Rank the masks of images, and regions that have none, by what segmenters say of them.

    Args:
        truth: The images and their labels. Crowd regions are not judged, and nothing is missing in
            them. A label without a mask is its box.
        members: The label maps of models that have not seen these labels.
        probabilities: For each, the probabilities that its maps come from; None where it has none:
            then each pixel has one vote.
        min_area: Square pixels; smaller regions without a label are left out, and so is what is
            narrower than 5 pixels, as rims of labels are.

    Returns:
        A row for each label and kind of error but ``missed``, and one for each region that may be
        missing; schema `recycling.diagnostics.LABEL_ERRORS`. Labels that later ones wholly hide
        have none.

    Raises:
        EvaluationError: An image has no label map.
    """
    for label_maps in members:
        check_label_maps(truth, label_maps)
    soft = probabilities or [None] * len(members)
    images = [
        _image(truth, image_id, rows, shape, _mean_planes(members, soft, image_id, shape, truth),
               min_area)
        for image_id, rows, shape in _labelled(truth)
    ]  # fmt: skip
    names = truth.categories["name"].to_numpy(dtype=object)
    labels = [label for image in images for label in image.labels]
    category = np.array([label.category for label in labels], dtype=np.intp)
    area = np.array([label.area for label in labels], dtype=np.float64)
    of_support, of_iou = (
        usual(np.array(values, dtype=np.float64), category, area, len(names)).tolist()
        for values in ([label.support for label in labels], [label.iou for label in labels])
    )
    usual_area = float(np.median(area)) if labels else 1.0
    parts = []
    for label, support, overlap in zip(labels, of_support, of_iou, strict=True):
        parts += label.rows(names, support, overlap)
    for image in images:
        parts += [place.row(names, usual_area) for place in image.missed]
    # Objects: in a column of floats with gaps, large ids would lose their last digits.
    return candidates(truth, pd.DataFrame(parts, dtype=object) if parts else {})


@dataclass(frozen=True)
class _Label:
    """What models see in the region of one label.

    Attributes:
        image_id: The image.
        annotation_id: The label.
        box: Its box, pixels.
        category: The row of its category.
        scores: (categories,), the mean probability of each in the region.
        iou: Of the region with what is seen at its place.
        seen: The box around what is seen there; None where nothing is.
        certain: The mean probability that what is seen there is an object.
        area: Of its region, square pixels.
    """

    image_id: int
    annotation_id: int
    box: list[float]
    category: int
    scores: NDArray[np.float64]
    iou: float
    seen: list[float] | None
    certain: float
    area: int

    @property
    def support(self) -> float:
        """That anything is there."""
        return float(min(self.scores.sum(), 1))

    def rows(
        self, names: NDArray[Any], usual_support: float, usual_iou: float
    ) -> list[dict[str, Any]]:
        """Its candidates; usual is what such labels have."""
        others = self.scores.copy()
        others[self.category] = -1
        new, own = int(others.argmax()), float(self.scores[self.category])
        base = {
            "image_id": self.image_id,
            "annotation_id": self.annotation_id,
            "category": names[self.category],
            **dict(zip(BOX, self.box, strict=True)),
        }
        found = [
            {
                **base,
                "kind": "wrong_class",
                "quality": 1 - max(float(others[new]) - own, 0),
                "new_category": names[new],
                "models": f"seg: {names[new]} {others[new]:.2f}, {own:.2f} as labelled",
            },
            {
                **base,
                "kind": "spurious",
                "quality": 1 - max(usual_support - self.support, 0),
                "models": f"seg: something {self.support:.2f}, usually {usual_support:.2f}",
            },
        ]
        if self.seen is not None:
            found.append(
                {
                    **base,
                    "kind": "badly_placed",
                    "quality": 1 - self.certain * max(usual_iou - self.iou, 0),
                    **dict(zip(NEW_BOX, self.seen, strict=True)),
                    "models": f"seg: overlap {self.iou:.2f}, usually {usual_iou:.2f}",
                }
            )
        return found


@dataclass(frozen=True)
class _Place:
    """A region without a label in which models see something."""

    image_id: int
    box: list[float]
    category: int
    certain: float
    area: int

    def row(self, names: NDArray[Any], usual_area: float) -> dict[str, Any]:
        """Its candidate; one much smaller than labels usually are is likely to be none."""
        return {
            "image_id": self.image_id,
            "annotation_id": None,
            "kind": "missed",
            "quality": 1 - self.certain * min(self.area / usual_area, 1),
            **dict(zip(BOX, self.box, strict=True)),
            "new_category": names[self.category],
            "models": f"seg: {names[self.category]} {self.certain:.2f}",
        }


@dataclass(frozen=True)
class _Judged:
    """One image's labels, and the places without one."""

    labels: list[_Label] = field(default_factory=list)
    missed: list[_Place] = field(default_factory=list)


def _labelled(truth: Annotations) -> Iterator[tuple[int, pd.DataFrame, tuple[int, int]]]:
    """Each image with its labels and its height and width."""
    of_image = dict(iter(truth.annotations.groupby("image_id")))
    for image_id, height, width in (
        truth.images[["image_id", "height", "width"]].to_numpy().tolist()
    ):
        yield image_id, of_image.get(image_id, truth.annotations.iloc[:0]), (height, width)


def _mean_planes(
    members: Sequence[LabelMaps],
    probabilities: Sequence[ProbabilityMaps | None],
    image_id: int,
    shape: tuple[int, int],
    truth: Annotations,
) -> Planes:
    """The mean over models: of probabilities, and of votes of those that have none."""
    n_labels = len(truth.categories) + 1
    planes = np.zeros((n_labels, *shape), np.float32)
    for label_maps, soft in zip(members, probabilities, strict=True):
        if soft is None:
            voted = of_size(label_maps[image_id], shape)
            planes += voted == np.arange(n_labels, dtype=np.uint8)[:, None, None]
        else:
            planes += _resized(soft[image_id], shape)
    planes /= len(members)
    return planes


def _resized(planes: NDArray[np.uint8], shape: tuple[int, int]) -> Planes:
    """Probabilities from 0 to 1, in the size of the image."""
    import cv2

    if planes.shape[1:] != shape:
        size = shape[::-1]
        planes = np.stack([cv2.resize(plane, size) for plane in planes])
    return planes.astype(np.float32) / np.float32(255)


def _image(
    truth: Annotations,
    image_id: int,
    rows: pd.DataFrame,
    shape: tuple[int, int],
    planes: Planes,
    min_area: int,
) -> _Judged:
    """What models see in and beside the labels of one image."""
    import cv2

    something = 1 - planes[0]
    is_seen = planes.argmax(axis=0) > 0
    owner = _owners(rows, shape)
    judged = _Judged()
    is_crowd = rows["iscrowd"].to_numpy(dtype=bool)
    categories = pd.Index(truth.categories["category_id"]).get_indexer(rows["category_id"])
    for i, (annotation_id, box) in enumerate(
        zip(rows["annotation_id"].tolist(), rows[BOX].to_numpy().tolist(), strict=True)
    ):
        region = owner == i
        if is_crowd[i] or not region.any():
            continue
        # What is seen in the region, and what hangs together with it but is no other label's.
        free = is_seen & (region | (owner < 0))
        parts = _connected(free)
        here = np.isin(parts, np.unique(parts[region & is_seen])) & (parts > 0)
        judged.labels.append(
            _Label(
                image_id,
                annotation_id,
                box,
                int(categories[i]),
                planes[1:, region].mean(axis=1, dtype=np.float64),
                float((here & region).sum() / (here | region).sum()),
                _box(here) if here.any() else None,
                float(something[here].mean()) if here.any() else 0.0,
                int(region.sum()),
            )
        )
    # Without rims, by which models and people always differ.
    beside = (is_seen & (owner < 0)).astype(np.uint8)
    rim = np.ones((2 * _RIM + 1,) * 2, np.uint8)
    missed = _connected(cv2.morphologyEx(beside, cv2.MORPH_OPEN, rim) > 0)
    for number in range(1, int(missed.max(initial=0)) + 1):
        region = missed == number
        if region.sum() >= min_area:
            category = int(planes[1:, region].mean(axis=1).argmax())
            certain = float(something[region].mean())
            judged.missed.append(
                _Place(image_id, _box(region), category, certain, int(region.sum()))
            )
    return judged


def _owners(rows: pd.DataFrame, shape: tuple[int, int]) -> NDArray[np.int32]:
    """(H, W), the row of the label that is seen at each pixel, painted in their order; -1: none."""
    owner = np.full(shape, -1, np.int32)
    segmentation = rows["segmentation"].astype(object).where(rows["segmentation"].notna(), None)
    for i, (text, box) in enumerate(
        zip(segmentation.tolist(), rows[BOX].to_numpy().tolist(), strict=True)
    ):
        owner[annotation_mask(text, box, *shape)] = i
    return owner


def _connected(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """(H, W), the number of the region of each pixel, from 1; 0 outside."""
    import cv2

    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return np.asarray(labels, dtype=np.int32)


def _box(mask: NDArray[np.bool_]) -> list[float]:
    """The box around the pixels of a mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)]
