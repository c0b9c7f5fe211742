"""How the tables hold what a COCO file says.

What no column holds goes to a row's `extra` (JSON text) or to `Annotations.extra` (top level), and
comes back when the file is written. A key that a column does hold is kept in `extra` too where the
column alone could not give back what the file said: a box whose width `box_sizes` does not find
again, a group written as a number, a `segmentation` that was null. It is used on writing as long as
the column still says the same. Keys that the file left out and that were derived are listed under
`ABSENT`.

Source: https://cocodataset.org/#format-data
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, Raw, Struct, UnsetType
from numpy.typing import NDArray

from recycling.names import is_text

ABSENT = "__absent__"
"""Key of `extra` that lists the keys which the file did not have and which were derived."""

OWN_GROUP = "__own_group__"
"""Key of `extra` with the group of an image that has none, where its id is another group's name."""


class ImageEntry(Struct, forbid_unknown_fields=True, gc=False):
    """What an entry of "images" says in the keys that have a column."""

    id: Any = UNSET
    file_name: Any = UNSET
    width: Any = UNSET
    height: Any = UNSET
    group: Any = UNSET


class AnnotationEntry(Struct, forbid_unknown_fields=True, gc=False):
    """What an entry of "annotations" says in the keys that have a column."""

    id: Any = UNSET
    image_id: Any = UNSET
    category_id: Any = UNSET
    bbox: tuple[float, float, float, float] | UnsetType = UNSET
    area: Any = UNSET
    segmentation: Raw | UnsetType = UNSET  # parsed only where it looks odd: most of a file is this
    iscrowd: Any = UNSET
    source: Any = UNSET
    score: Any = UNSET


class CategoryEntry(Struct, forbid_unknown_fields=True, gc=False):
    """What an entry of "categories" says in the keys that have a column."""

    id: Any = UNSET
    name: Any = UNSET
    supercategory: Any = UNSET


ENTRIES: dict[str, type[Struct]] = {
    "images": ImageEntry,
    "annotations": AnnotationEntry,
    "categories": CategoryEntry,
}
"""The lists that every COCO file has, and what their entries are."""

COLUMN_KEYS = {name: frozenset(entry.__struct_fields__) for name, entry in ENTRIES.items()}
"""The keys of each section's entries that have a column."""

json_text = json.JSONEncoder(separators=(",", ":")).encode
"""A value as the JSON text that the tables hold."""

_MAX_DECIMALS = 6
_lines = msgspec.json.Encoder().encode_lines
# Numbers that Python writes with an exponent, and msgspec in another way.
_LARGE = re.compile(rb"e-?\d+[,\]}]")
_SMALL = re.compile(rb"0\.0000\d*[,\]}]")


def json_texts(values: Sequence[dict[str, Any]]) -> list[str]:
    """What `json_text` says of each of many objects that msgspec parsed, faster.

    Args:
        values: The objects. They hold no NaN, which msgspec neither reads nor writes.
    """
    lines = _lines(values)
    escaped = b"\\" in lines or not lines.isascii()  # msgspec escapes less
    if escaped or _LARGE.search(lines) or _SMALL.search(lines):
        return [json_text(value) for value in values]
    return lines.decode().split("\n")[:-1]


def box_corners(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners from `x, y, width, height`.

    Args:
        boxes: (N, 4), pixels.

    Returns:
        (N, 4): `x_min, y_min, x_max, y_max`, pixels; infinite where that is out of range.

    >>> box_corners(np.array([[1.0, 2.0, 3.0, 4.0]])).tolist()
    [[1.0, 2.0, 4.0, 6.0]]
    """
    corners = boxes.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        corners[:, 2:] += boxes[:, :2]
    return corners


def box_sizes(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Width and height from corners.

    In floating point `x + w - x` is rarely `w`. Of the sizes that lead to the same corners, the one
    with the fewest decimals is taken: what the file most likely said, and what reads best.

    Args:
        corners: (N, 4): `x_min, y_min, x_max, y_max`, pixels.

    Returns:
        (N, 2): width and height, pixels.

    >>> box_sizes(np.array([[197.6, 0.1, 197.6 + 547.8, 0.1 + 0.7]])).tolist()
    [[547.8, 0.7]]
    """
    low, high = corners[:, :2].ravel(), corners[:, 2:].ravel()
    with np.errstate(over="ignore", invalid="ignore"):
        sizes = high - low
        left = np.arange(len(sizes))
        for decimals in range(_MAX_DECIMALS + 1):
            rounded = np.round(high[left] - low[left], decimals)
            fits = low[left] + rounded == high[left]
            sizes[left[fits]] = rounded[fits]
            left = left[~fits]
    return sizes.reshape(-1, 2)


def group_text(group: Any, default: str) -> str | None:
    """A group as the column holds it; None where it is not one.

    Args:
        group: What the file says.
        default: The group of an image that says null, or an empty text.

    >>> group_text(7, "12"), group_text(None, "12"), group_text([], "12")
    ('7', '12', None)
    """
    if is_no_group(group):
        return default
    return str(group) if type(group) is int or is_text(group) else None


def is_no_group(group: Any) -> bool:
    """Whether what a file says of a group is that there is none."""
    return group is None or (type(group) is str and not group.strip())


def source_text(source: Any) -> str:
    """Who made an annotation, as the column holds it, from what the file says."""
    return "pseudo" if source == "pseudo" else "human"
