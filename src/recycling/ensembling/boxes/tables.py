"""Tables of boxes on their way into the compiled loops, and out of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.ensembling.boxes.instance_masks import SEGMENTATION, fused_segmentations
from recycling.ensembling.loading import first_call_of, no_garbage_looked_for
from recycling.ensembling.members import EnsemblingError, member_names, member_weights
from recycling.predictions import DETECTIONS, Detections

if TYPE_CHECKING:
    from recycling.ensembling.boxes._kernels import Output, Tables

Weights: TypeAlias = Sequence[float] | Mapping[int, Sequence[float]]
"""One weight a member; or that for each category, by its id."""

SEVERAL_THREADS_FROM = 20_000
"""Boxes from which on several threads pay: some 2 ms of work, 0.2 ms to start them."""

STRETCH = 32_768
"""Most boxes that a kernel is given at a time, unless an image has more: the room for its result is
used again for the next, and so stays in the processor's cache."""

Kernel: TypeAlias = Callable[..., tuple[int, int, int]]
"""Writes to an output how a stretch of images ends; returns counts, as `_kernels.fuse`."""

Columns: TypeAlias = list[NDArray[Any]]
"""Of boxes, in the order of the schema."""

CLOSE_TOGETHER = 1000
"""Category ids within such a range are numbered by their distance from the lowest."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BoxTables:
    """The tables of the members, ready for the kernels; nothing is copied.

    Attributes:
        tables: One a member, with the types of the schema.
        names: What the members are called.
        columns: What the addresses in `kernel` point to, and so must not be let go: for each
            member, the columns of categories, scores and edges.
        kernel: Where they lie in memory, and which rows are on which image.
    """

    tables: list[pd.DataFrame]
    names: list[str]
    columns: list[list[NDArray[Any]]]
    kernel: Tables

    @property
    def n_rows(self) -> int:
        """How many boxes all members have."""
        return int(self.kernel.box_pointer[-1])


def box_tables(
    members: Sequence[Detections], weights: Weights | None, names: Sequence[str] | None
) -> BoxTables:
    """Find where the members' columns lie, and which rows are on which image.

    Args:
        members: One table of detections a member.
        weights: How much each member counts; None where all count the same.
        names: What to call the members in messages.

    Raises:
        EnsemblingError: No members, or weights that do not fit.
        TableError: A member is not a table of detections.
    """
    with no_garbage_looked_for():
        from recycling.ensembling.boxes._kernels import Tables

    called = member_names(names, len(members))
    tables, columns, image_ids = [], [], []
    for member, name in zip(members, called, strict=True):
        table, values = _typed(member, name)
        tables.append(table)
        columns.append(values[1:])
        image_ids.append(values[0])
    lowest, category_ids, numbers = _numbered([values[0] for values in columns])
    columns = [[number, *values[1:]] for number, values in zip(numbers, columns, strict=True)]
    sizes = [len(ids) for ids in image_ids]
    matrix = _weight_matrix(weights, called, category_ids, lowest, columns)
    return BoxTables(
        tables=tables,
        names=called,
        columns=columns,
        kernel=Tables(
            address=np.array([[one.ctypes.data for one in values] for values in columns]),
            stride=np.array([[one.strides[0] for one in values] for values in columns]),
            category_ids=category_ids,
            lowest_category=lowest,
            weights=matrix,
            scale=1 / matrix.max(),
            **image_runs(image_ids),
            member_start=np.cumsum([0, *sizes[:-1]]),
        ),
    )


def run_kernel(boxes: BoxTables, kernel: Kernel, *settings: object) -> Detections:
    """Run a kernel over the images, on several threads if that pays.

    Args:
        boxes: The members' tables.
        kernel: One of `_fusion_kernels`.
        settings: What it takes beside the tables, the images and the output.

    Returns:
        What the kernel leaves, by image and then by score, highest first.

    Raises:
        EnsemblingError: A box has its sides the wrong way round, or masks cannot be fused.
        TableError: A member holds a value that is not allowed.
    """
    from numba import get_num_threads

    masked = any(SEGMENTATION in table.columns for table in boxes.tables)
    place = np.full(boxes.n_rows if masked else 0, -1)
    threads = get_num_threads() if boxes.n_rows >= SEVERAL_THREADS_FROM else 1
    box_pointer = boxes.kernel.box_pointer
    # Two for each thread at least, as one may be slower than another.
    first_image = _stretches(box_pointer, min(STRETCH, -(-boxes.n_rows // (2 * threads))))
    start = box_pointer[first_image]
    most, n_most = (int(np.diff(pointer).max(initial=0)) for pointer in (start, box_pointer))
    parts: list[Columns] = [[]] * (len(first_image) - 1)
    counts = np.zeros((len(parts), 3), np.int64)
    todo = iter(list(enumerate(pairwise(first_image.tolist()))))

    def work() -> None:
        room = _room(most, place)
        for number, stretch in todo:  # the threads take turns
            counts[number] = kernel(boxes.kernel, *stretch, n_most, *settings, room)
            parts[number] = [column[: counts[number, 0]].copy() for column in room[:7]]

    with first_call_of(kernel), ThreadPoolExecutor(max(threads - 1, 1)) as pool:
        others = [pool.submit(work) for _ in range(threads - 1)]
        work()
        for other in others:
            other.result()
    kept, n_flat, n_bad = counts[:, 0], counts[:, 1].sum(), counts[:, 2].sum()
    if n_bad:
        raise_fault(boxes.tables, boxes.names)
    if n_flat:
        _logger.warning("%d boxes of no area were left out of the fusion", n_flat)
    table = pd.DataFrame(dict(zip(DETECTIONS.names, _joined(parts), strict=True)), copy=False)
    if masked:
        table[SEGMENTATION] = fused_segmentations(table, _moved(place, start[:-1], kept), boxes)
    return Detections(table)


def _typed(member: pd.DataFrame, name: str) -> tuple[pd.DataFrame, list[NDArray[Any]]]:
    """A member's table and columns in the types of the schema; as it is where it has them."""
    wanted = DETECTIONS.columns
    if all(one.name in member.columns for one in wanted):
        series = [member[one.name] for one in wanted]
        if all(s.dtype == one.dtype for s, one in zip(series, wanted, strict=True)):
            return member, [one.to_numpy() for one in series]
    table = DETECTIONS.conform(member, where=name)
    return table, [table[one.name].to_numpy() for one in wanted]


def raise_fault(tables: Sequence[pd.DataFrame], names: Sequence[str]) -> None:
    """Say which member has a bad row, if one has."""
    for table, name in zip(tables, names, strict=True):
        checked = DETECTIONS.conform(table, where=name)
        for low, high in (("x_min", "x_max"), ("y_min", "y_max")):
            bad = (checked[low] > checked[high]).to_numpy()
            if bad.any():
                row = int(bad.argmax())
                raise EnsemblingError(
                    f"{name}: row {row}, image {checked['image_id'][row]}: {low} "
                    f"{checked[low][row]:g} is above {high} {checked[high][row]:g}; boxes are "
                    "x_min, y_min, x_max, y_max"
                )


def image_runs(image_ids: Sequence[NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """Find each image's rows.

    Tables mostly hold one image after the other, so it is cheaper to sort the runs of rows that
    are on one image than the rows.

    Args:
        image_ids: That column of each member.

    Returns:
        `run_start`, `run_stop`, `run_member`, `run_pointer`, `box_pointer` and `image_ids`, as
        `_kernels.Tables` has them.
    """
    starts = [_run_starts(ids) for ids in image_ids]
    start = np.concatenate(starts)
    stop = np.concatenate(
        [
            np.append(own, len(ids))[1:] if len(own) else own
            for own, ids in zip(starts, image_ids, strict=True)
        ]
    )
    member = np.repeat(np.arange(len(starts)), [len(own) for own in starts])
    on_image = np.concatenate([ids[own] for own, ids in zip(starts, image_ids, strict=True)])
    unique, number = np.unique(on_image, return_inverse=True)
    by_image = np.argsort(number, kind="stable")
    start, stop = start[by_image], stop[by_image]
    run_pointer = np.searchsorted(number[by_image], np.arange(len(unique) + 1))
    return {
        "run_start": start,
        "run_stop": stop,
        "run_member": member[by_image],
        "run_pointer": run_pointer,
        "box_pointer": np.concatenate([[0], np.cumsum(stop - start)])[run_pointer],
        "image_ids": unique,
    }


def _run_starts(image_id: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows whose image is not that of the row before."""
    if len(image_id) == 0:
        return np.empty(0, np.int64)
    return np.concatenate([[0], np.flatnonzero(image_id[1:] != image_id[:-1]) + 1])


def _numbered(
    columns: list[NDArray[np.int64]],
) -> tuple[int, NDArray[np.int64], list[NDArray[np.int64]]]:
    """Number the categories.

    Args:
        columns: The category ids of each member.

    Returns:
        What is to be taken off a value of a column to make it a number, the ids that the numbers
        stand for, and the columns: of ids as they are where these are close together, as nearly
        always, and of numbers else.
    """
    filled = [column for column in columns if len(column)]
    if not filled:
        return 0, np.zeros(1, np.int64), columns
    low = min(int(column.min()) for column in filled)
    high = max(int(column.max()) for column in filled)
    if high - low < CLOSE_TOGETHER:
        return low, np.arange(low, high + 1), columns
    category_ids = np.unique(np.concatenate([pd.unique(column) for column in filled]))
    return 0, category_ids, [np.searchsorted(category_ids, column) for column in columns]


def _weight_matrix(
    weights: Weights | None,
    names: Sequence[str],
    category_ids: NDArray[np.int64],
    lowest: int,
    columns: list[list[NDArray[Any]]],
) -> NDArray[np.float64]:
    """(categories, members) weights; of categories that no box has, 1.

    Raises:
        EnsemblingError: The weights do not fit, or a category that occurs has none.
    """
    if not isinstance(weights, Mapping):
        return np.tile(member_weights(weights, names), (len(category_ids), 1))
    matrix = np.ones((len(category_ids), len(names)))
    occur: set[int] = set().union(*(pd.unique(values[0]) - lowest for values in columns))
    for number in sorted(occur):
        category_id = int(category_ids[number])
        if category_id not in weights:
            raise EnsemblingError(
                f"category {category_id} has no weights; give it one weight a member"
            )
        try:
            matrix[number] = member_weights(weights[category_id], names)
        except EnsemblingError as error:
            raise EnsemblingError(f"category {category_id}: {error}") from error
    return matrix


def _stretches(box_pointer: NDArray[np.int64], n_boxes: int) -> NDArray[np.int64]:
    """Stretches of images of about so many boxes: (stretches + 1,) first images."""
    even = np.arange(n_boxes, box_pointer[-1], max(n_boxes, 1))
    first = np.searchsorted(box_pointer, even)
    return np.asarray(np.unique([0, *first, len(box_pointer) - 1]))


def _room(n_rows: int, place: NDArray[np.int64]) -> Output:
    """Room for so many boxes; what is not written to takes no memory."""
    from recycling.ensembling.boxes._kernels import Output

    image_id, category_id = np.empty(n_rows, np.int64), np.empty(n_rows, np.int64)
    score, x_min, y_min, x_max, y_max = (np.empty(n_rows, np.float64) for _ in range(5))
    return Output(image_id, category_id, score, x_min, y_min, x_max, y_max, place)


def _joined(parts: list[Columns]) -> Iterator[NDArray[Any]]:
    """The columns of all parts; those of the parts are let go one by one, to save memory."""
    empty = _room(0, np.empty(0, np.int64))
    for number in range(7):
        yield np.concatenate([empty[number], *(part[number] for part in parts)])
        for part in parts:
            part[number] = empty[number]


def _moved(
    place: NDArray[np.int64], start: NDArray[np.int64], kept: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Where boxes are once the stretches are put together.

    Args:
        place: Where each is if none were fused in the stretches before its own, or -1.
        start: (stretches,), where the boxes of each begin if none were fused.
        kept: (stretches,), how many they are.
    """
    stretch = np.searchsorted(start, place, side="right") - 1
    gap = start - np.concatenate([[0], np.cumsum(kept)[:-1]])
    return np.where(place < 0, -1, place - gap[stretch])
