"""What boxes leave of one another, image by image; compiled by numba."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recycling.compiled import njit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@njit(cache=True, nogil=True)
def visible_boxes(rows: Ints, offsets: Ints, boxes: Floats, whole: Floats, visible: Floats) -> None:
    """What is left of the boxes of each image when they are painted in their order.

    The edges of the boxes cut an image into cells, each of which belongs to one box.

    Args:
        rows: (rows,), the rows of the boxes, image by image.
        offsets: (images + 1,), where each image begins in `rows`.
        boxes: (N, 4), `x_min, y_min, x_max, y_max`, pixels.
        whole: (N,), their areas.
        visible: (N,), filled in for these rows, square pixels.
    """
    for image in range(len(offsets) - 1):
        own = rows[offsets[image] : offsets[image + 1]]
        n = len(own)
        if n == 1:
            visible[own[0]] = whole[own[0]]
            continue
        # Plain loops: there are as many steps to paint the cells, and they compile in a moment.
        edges = np.empty((2, 2 * n))  # of x and of y, ascending
        for axis in range(2):
            for edge in range(2 * n):
                value = boxes[own[edge // 2], axis + 2 * (edge % 2)]
                place = edge
                while place > 0 and edges[axis, place - 1] > value:
                    edges[axis, place] = edges[axis, place - 1]
                    place -= 1
                edges[axis, place] = value
        owner = np.full((2 * n - 1, 2 * n - 1), -1)
        cells, seen = np.empty(n, np.int64), np.zeros(n, np.int64)
        first = np.zeros(4, np.int64)  # the edge of each side of a box
        for number in range(n):
            for side in range(4):
                first[side] = 0
                while edges[side % 2, first[side]] < boxes[own[number], side]:
                    first[side] += 1
            for row in range(first[1], first[3]):
                for column in range(first[0], first[2]):
                    owner[row, column] = number
            cells[number] = (first[2] - first[0]) * (first[3] - first[1])
        left_over = np.zeros(n)
        for row in range(2 * n - 1):
            height = edges[1, row + 1] - edges[1, row]
            for column in range(2 * n - 1):
                number = owner[row, column]
                if number >= 0:
                    seen[number] += 1
                    left_over[number] += height * (edges[0, column + 1] - edges[0, column])
        for number in range(n):
            # What nothing hides has its area to the last digit, not the sum of its cells.
            hidden = seen[number] < cells[number]
            visible[own[number]] = left_over[number] if hidden else whole[own[number]]
