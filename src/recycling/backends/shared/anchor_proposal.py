"""Anchors that fit the boxes of a data set, and how well anchors fit.

A detector's anchors are a grid: sizes, each doubled from one level to the next, times ratios. They
are looked for as YOLOv5 does: first by k-means whose distance is the overlap of box and anchor laid
on one centre (YOLOv2, Redmon and Farhadi, 2017), then by a search that starts there. Here the grid
is kept: what moves are its sizes and its ratios.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from recycling.annotations import Annotations
from recycling.backends.core import BackendError
from recycling.backends.shared.settings import Anchors

FASTER_RCNN = Anchors(sizes=(32.0,), ratios=(0.5, 1.0, 2.0))
"""The libraries' own for two-stage detectors with a pyramid (Lin et al., 2017), on five levels."""

N_LEVELS = 5
"""Levels of their pyramid, P2 to P6."""

MATCH = 0.5
"""From this overlap on, one-stage detectors learn a box from an anchor."""

MAX_STEPS = 30
"""Of k-means; it only gives a place to search from."""

N_SEARCHES = 3
"""From the fittest of so many starts."""


class Grid(NamedTuple):
    """The base-2 logarithms of the sizes of the finest level and of the ratios."""

    sizes: NDArray[np.float64]
    ratios: NDArray[np.float64]


QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

MAX_BOXES = 5_000
"""More boxes than these say nothing new; evenly spread ones are looked at."""


@dataclass(frozen=True)
class AnchorFit:
    """How well anchors fit boxes.

    Attributes:
        mean_iou: Mean over the boxes of the overlap with the best anchor, both on one centre.
        recall: Share of the boxes whose best anchor overlaps by `MATCH` and more.
    """

    mean_iou: float
    recall: float

    def __str__(self) -> str:
        return f"mean IoU {self.mean_iou:.3f}, {self.recall:.1%} of boxes at IoU {MATCH}"


@dataclass(frozen=True)
class AnchorReport:
    """What anchors a data set asks for.

    Attributes:
        proposed: The anchors that fit its boxes.
        table: One row a category and one for ``all``: `category`, `boxes`, quantiles of size
            (`size_05` to `size_95`, square root of the area, pixels of the network's input) and of
            ratio (`ratio_05` to `ratio_95`, height by width), `default_mean_iou`,
            `default_recall`, `proposed_mean_iou`, `proposed_recall`.
    """

    proposed: Anchors
    table: pd.DataFrame


def propose_anchors(
    widths: ArrayLike, heights: ArrayLike, *, n_levels: int, n_sizes: int = 1, n_ratios: int = 3
) -> Anchors:
    """Anchors that fit boxes.

    Args:
        widths: (N,) pixels of the network's input.
        heights: (N,) the same.
        n_levels: Levels of the pyramid; each doubles the sizes of the one before.
        n_sizes: How many sizes a level has.
        n_ratios: How many ratios.

    Raises:
        BackendError: There is no box of an area.

    Examples:
        >>> propose_anchors([10, 20, 40], [20, 40, 80], n_levels=3, n_ratios=1)
        Anchors(sizes=(14.1,), ratios=(2.0,))
    """
    boxes = _logs(widths, heights)
    if len(boxes) > MAX_BOXES:
        evenly = np.linspace(0, len(boxes) - 1, MAX_BOXES).round().astype(int)
        boxes = boxes[np.lexsort(boxes.T)][evenly]
    shares = (np.arange(n_ratios) + 0.5) / n_ratios
    ratios = np.asarray(np.quantile(boxes[:, 1], shares), np.float64)
    middle = float(ratios.mean())
    wider = np.asarray(middle + 1.5 * (ratios - middle), np.float64)
    # The overlap has more than one valley; each start has its finest size half an octave on.
    lowest, highest = np.quantile(boxes[:, 0], (0.01, 0.99)).tolist()
    starts = [
        Grid(first + np.arange(n_sizes) / n_sizes, spread)
        for first in np.arange(lowest, max(highest - n_levels + 1, lowest) + 1, 0.5)
        for spread in (ratios, wider)
    ]
    starts += [_k_means(boxes, start, n_levels) for start in starts]
    starts.sort(key=lambda grid: _fitness(boxes, grid, n_levels))
    found = [_search(boxes, start, n_levels) for start in starts[-N_SEARCHES:]]
    best = max(found, key=lambda grid: _fitness(boxes, grid, n_levels))
    return Anchors(sizes=_values(best.sizes), ratios=_values(best.ratios))


def anchor_fit(
    widths: ArrayLike, heights: ArrayLike, anchors: Anchors, *, n_levels: int
) -> AnchorFit:
    """How well anchors fit boxes.

    Args:
        widths: (N,) pixels of the network's input.
        heights: (N,) the same.
        anchors: What to measure.
        n_levels: Levels of the pyramid.

    Raises:
        BackendError: There is no box of an area.

    >>> anchor_fit([32, 64], [32, 32], Anchors(sizes=(32,), ratios=(1,)), n_levels=2)
    AnchorFit(mean_iou=0.75, recall=1.0)
    """
    best = _best_overlaps(_logs(widths, heights), anchors, n_levels)
    return AnchorFit(float(best.mean()), float((best >= MATCH).mean()))


def anchor_report(
    annotations: Annotations,
    image_size: int,
    *,
    default: Anchors = FASTER_RCNN,
    n_levels: int = N_LEVELS,
) -> AnchorReport:
    """What anchors a data set asks for, and how well they and the default ones fit.

    Args:
        annotations: The boxes; crowds are left out.
        image_size: Longer side of an image as the network sees it, pixels.
        default: The anchors to compare with; as many sizes and ratios are proposed.
        n_levels: Levels of the pyramid.

    Raises:
        BackendError: There is no box of an area.
    """
    boxes = input_boxes(annotations, image_size)
    size = (boxes["width"], boxes["height"])
    proposed = propose_anchors(
        *size,
        n_levels=n_levels,
        n_sizes=len(default.sizes),
        n_ratios=len(default.ratios),
    )
    logs = _logs(*size)
    boxes["size"], boxes["ratio"] = np.exp2(logs).T
    boxes["default"] = _best_overlaps(logs, default, n_levels)
    boxes["proposed"] = _best_overlaps(logs, proposed, n_levels)
    groups: list[tuple[str, pd.DataFrame]] = [("all", boxes)]
    groups += [(str(name), group) for name, group in boxes.groupby("category", sort=False)]
    return AnchorReport(proposed, pd.DataFrame([_row(name, group) for name, group in groups]))


# Fitting ----------------------------------------------------------------------------------------


def _logs(widths: ArrayLike, heights: ArrayLike) -> NDArray[np.float64]:
    """(N, 2): the base-2 logarithms of each box's size and ratio, height by width."""
    width, height = np.asarray(widths, np.float64), np.asarray(heights, np.float64)
    has_area = (width > 0) & (height > 0)
    if not has_area.any():
        raise BackendError("anchors: there is no box with an area to propose them from")
    width, height = np.log2(width[has_area]), np.log2(height[has_area])
    return np.stack([(width + height) / 2, height - width], axis=1)


def _values(logs: NDArray[np.float64]) -> tuple[float, ...]:
    """In rising order, to three digits."""
    return tuple(float(f"{value:.3g}") for value in np.sort(np.exp2(logs)))


def _k_means(boxes: NDArray[np.float64], grid: Grid, n_levels: int) -> Grid:
    """Where k-means leads from a first grid."""
    shape = (n_levels, len(grid.sizes), len(grid.ratios))
    nearest = np.full(len(boxes), -1)
    for _ in range(MAX_STEPS):
        before, nearest = nearest, _overlaps(boxes, _shapes(grid, n_levels)).argmax(axis=1)
        if (nearest == before).all():
            break
        level, size, ratio = np.unravel_index(nearest, shape)
        # The median, since the overlap falls with the distance itself, not with its square.
        grid = Grid(
            _medians(boxes[:, 0] - level, size, grid.sizes),
            _medians(boxes[:, 1], ratio, grid.ratios),
        )
    return grid


def _search(boxes: NDArray[np.float64], grid: Grid, n_levels: int) -> Grid:
    """The fittest grid near a first one."""
    from scipy.optimize import minimize

    def read(values: NDArray[np.float64]) -> Grid:
        return Grid(values[: len(grid.sizes)], values[len(grid.sizes) :])

    first = np.concatenate(grid)
    # scipy's own first steps are shares of the values, and a square's logarithm is 0.
    simplex = np.vstack([first, first + 0.25 * np.eye(len(first))])
    found = minimize(
        lambda values: -_fitness(boxes, read(values), n_levels),
        first,
        method="Nelder-Mead",
        options={"initial_simplex": simplex, "xatol": 0.005, "fatol": 1e-5, "maxfev": 300},
    )
    return read(found.x)


def _fitness(boxes: NDArray[np.float64], grid: Grid, n_levels: int) -> float:
    """Mean overlap with the best anchor, where one that is no match counts nothing (YOLOv5's)."""
    best = _overlaps(boxes, _shapes(grid, n_levels)).max(axis=1)
    return float((best * (best >= MATCH)).mean())


def _medians(
    values: NDArray[np.float64], groups: NDArray[np.int_], before: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.array(
        [
            np.median(values[groups == group]) if (groups == group).any() else old
            for group, old in enumerate(before)
        ]
    )


def _shapes(grid: Grid, n_levels: int) -> NDArray[np.float64]:
    """(levels * sizes * ratios, 2): the logarithms of each anchor's size and ratio."""
    level, size, ratio = np.meshgrid(np.arange(n_levels), *grid, indexing="ij")
    return np.stack([(level + size).ravel(), ratio.ravel()], axis=1)


def _overlaps(boxes: NDArray[np.float64], anchors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, M): intersection over union of each box with each anchor on its centre."""
    intersection = np.ones((len(boxes), len(anchors)))
    for half in (-0.5, 0.5):
        side = np.exp2(boxes[:, 0] + half * boxes[:, 1])[:, None]
        other = np.exp2(anchors[:, 0] + half * anchors[:, 1])[None]
        intersection *= np.minimum(side, other)
    areas = np.exp2(2 * boxes[:, :1]) + np.exp2(2 * anchors[:, 0])[None]
    overlaps: NDArray[np.float64] = intersection / (areas - intersection)
    return overlaps


def _best_overlaps(
    boxes: NDArray[np.float64], anchors: Anchors, n_levels: int
) -> NDArray[np.float64]:
    grid = Grid(np.log2(anchors.sizes), np.log2(anchors.ratios))
    best: NDArray[np.float64] = _overlaps(boxes, _shapes(grid, n_levels)).max(axis=1)
    return best


# The report -------------------------------------------------------------------------------------


def input_boxes(annotations: Annotations, image_size: int) -> pd.DataFrame:
    """Each box's `category`, `width` and `height` in pixels of the network's input.

    Args:
        annotations: The boxes; crowds and boxes without an area are left out.
        image_size: Longer side of an image as the network sees it, pixels.
    """
    table = annotations.annotations
    table = table[~table["iscrowd"].astype(bool)]
    images = annotations.images.set_index("image_id")
    scales = image_size / images[["width", "height"]].max(axis=1)
    scale = table["image_id"].map(scales).to_numpy(np.float64)
    names = annotations.categories.set_index("category_id")["name"]
    return pd.DataFrame(
        {
            "category": table["category_id"].map(names).to_numpy(),
            "width": (table["x_max"] - table["x_min"]).to_numpy(np.float64) * scale,
            "height": (table["y_max"] - table["y_min"]).to_numpy(np.float64) * scale,
        }
    ).query("width > 0 and height > 0", engine="python")


def _row(name: str, boxes: pd.DataFrame) -> dict[str, Any]:
    row: dict[str, Any] = {"category": name, "boxes": len(boxes)}
    for column, digits in (("size", 1), ("ratio", 2)):
        for share in QUANTILES:
            value = float(boxes[column].quantile(share))
            row[f"{column}_{round(100 * share):02d}"] = round(value, digits)
    for anchors in ("default", "proposed"):
        row[f"{anchors}_mean_iou"] = round(float(boxes[anchors].mean()), 4)
        row[f"{anchors}_recall"] = round(float((boxes[anchors] >= MATCH).mean()), 4)
    return row


def describe(anchors: Anchors) -> str:
    """Anchors in a few words, for a log.

    >>> describe(Anchors(sizes=(32,)))
    'sizes 32 and ratios 0.5, 1, 2'
    """

    def listed(values: Sequence[float]) -> str:
        return ", ".join(f"{value:g}" for value in values)

    return f"sizes {listed(anchors.sizes)} and ratios {listed(anchors.ratios)}"
