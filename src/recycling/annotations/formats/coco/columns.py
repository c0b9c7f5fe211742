"""From the entries of a COCO document to the columns of the tables.

A chunk of entries is taken apart key by key. The values of a key are checked all at once; only
where that fails are they looked at one by one, to name what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, compress
from math import isfinite
from operator import not_
from types import NoneType
from typing import Any, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET, Raw, UnsetType
from numpy.typing import NDArray

from recycling.annotations.core import BOX
from recycling.annotations.formats.coco.layout import (
    ABSENT,
    ENTRIES,
    OWN_GROUP,
    box_corners,
    box_sizes,
    group_text,
    json_text,
    json_texts,
    source_text,
)
from recycling.errors import Faults
from recycling.names import leaves_folder

CHUNK = 2_048
"""Entries that are taken apart at a time; so many stay in the processor's cache."""

NO_ID = -(2**63)
"""Stands in for an id that is at fault."""

TEXT = pa.large_string()

_Column = TypeVar("_Column")
_DECODERS = {name: msgspec.json.Decoder(list[entry]) for name, entry in ENTRIES.items()}  # type: ignore[valid-type]
_OBJECTS = msgspec.json.Decoder(list[Any])
_OBJECT = msgspec.json.Decoder()
_WHITESPACE = b" \t\n\r"

# A segmentation of this form is right, and need not be parsed: lists of an even number of numbers,
# none with an exponent or so long that it could be infinite; an RLE of whole numbers below 10^18,
# or of the characters that pycocotools compresses counts to.
_PAIR = r"\s*[-0-9.]{1,40}\s*,\s*[-0-9.]{1,40}\s*"
_POLYGON = rf"\s*\[{_PAIR}(?:,{_PAIR})*\]\s*"
_WHOLE = r"\s*-?[0-9]{1,18}\s*"
_SIZE = rf'\s*"size"\s*:\s*\[{_WHOLE},{_WHOLE}\]\s*'
_COUNTS = rf'\s*"counts"\s*:\s*(?:"(?:[0-\[\]-o]|\\\\)*"|\[{_WHOLE}(?:,{_WHOLE})*\])\s*'
_SEGMENTATION = (
    rf"^(?:\[{_POLYGON}(?:,{_POLYGON})*\]|\{{(?:{_SIZE},{_COUNTS}|{_COUNTS},{_SIZE})\}})$"
)


class Chunk:
    """Some entries of one list of a document, taken apart key by key.

    Args:
        name: The list's key.
        entries: Its entries, each parsed or (all of them) `Raw`.
        start: The index of the first of them in the list.
        faults: Where to put what is wrong.

    Attributes:
        numbers: The indices in the list of the entries that are objects; the others are faults.
        values: The values of each key that has a column, a row an object; `UNSET` where it does
            not have that key.

    Raises:
        msgspec.DecodeError: An entry is JSON that only Python reads, such as NaN.
    """

    def __init__(self, name: str, entries: Sequence[Any], start: int, faults: Faults) -> None:
        self.name = name
        self.numbers: Sequence[int] = range(start, start + len(entries))
        self._faults = faults
        self._rest: list[dict[str, Any]] = []
        self._notes: dict[int, dict[str, Any]] = {}
        self._raws = entries if entries and type(entries[0]) is Raw else None
        keys = ENTRIES[name].__struct_fields__
        self._are_typed = False
        if self._raws is not None:
            content = b"[" + b",".join(entries) + b"]"
            try:
                structs = _DECODERS[name].decode(content)
            except msgspec.ValidationError:  # other keys or types, which may be right
                entries = _OBJECTS.decode(content)
            else:
                columns = zip(*map(msgspec.structs.astuple, structs), strict=True)
                self.values: dict[str, Sequence[Any]] = dict(zip(keys, columns, strict=True))
                self._are_typed = True
                return
        are_objects = [type(entry) is dict for entry in entries]
        if not all(are_objects):
            for number in compress(self.numbers, map(not_, are_objects)):
                faults.add("entry is not an object, remove it", f"{name}[{number}]")
            self.numbers = list(compress(self.numbers, are_objects))
        self._rest = list(map(dict, compress(entries, are_objects)))
        self.values = {key: [entry.pop(key, UNSET) for entry in self._rest] for key in keys}

    def fault(self, row: int, kind: str, value: Any = UNSET) -> None:
        """Note that something is wrong with an entry; `value` is shown where it tells more."""
        name = entry_name(self.name, self.numbers[row], self.values["id"][row], value)
        self._faults.add(kind, name)

    def written(self, row: int, key: str) -> Any:
        """A value as the file has it: 1 is not 1.0."""
        if self._are_typed and self._raws is not None:
            return _OBJECT.decode(self._raws[row])[key]
        return self.values[key][row]

    def note(self, row: int, key: str, value: Any) -> None:
        """Keep what the file said and the column alone does not give back."""
        self._notes.setdefault(row, {})[key] = value

    def column(
        self,
        key: str,
        convert: Callable[[Sequence[Any]], _Column | None],
        kind: str,
        stand_in: Any,
        values: Sequence[Any] | None = None,
    ) -> _Column:
        """A column of the values of a key.

        Args:
            key: The key.
            convert: Makes a column of values; None where not all are right.
            kind: What is wrong with a value that is not, and what to do.
            stand_in: Takes its place.
            values: What to take for the values, where it is not those of the entries.
        """
        values = self.values[key] if values is None else values
        column = convert(values)
        if column is not None:
            return column
        right = list(values)
        for row, value in enumerate(values):
            if value is UNSET:
                self.fault(row, f"no key {key!r}, add it")
            elif convert([value]) is None:
                self.fault(row, kind, self.written(row, key))
            else:
                continue
            right[row] = stand_in
        column = convert(right)
        assert column is not None
        return column

    def integers(self, key: str, stand_in: int = NO_ID) -> NDArray[np.int64]:
        """The whole numbers that every entry must have under a key."""
        return self.column(key, _int64, f"{key} is not a whole number, make it one", stand_in)

    def texts(self, key: str) -> pa.Array:
        """The text that every entry must have under a key."""
        return self.column(key, _text, f"{key} is not text, make it so", "-")

    def filled(self, key: str, default: Any) -> tuple[Sequence[Any], list[int]]:
        """The values of a key that may be null or left out, which is noted.

        Returns:
            The values, with the default where there is none; and the rows where there is none.
        """
        values = self.values[key]
        if {UnsetType, NoneType}.isdisjoint(map(type, values)):
            return values, []
        values, missing = list(values), []
        for row, value in enumerate(values):
            if value is UNSET:
                self._notes.setdefault(row, {}).setdefault(ABSENT, []).append(key)
            elif value is None:
                self.note(row, key, None)
            else:
                continue
            missing.append(row)
            values[row] = default
        return values, missing

    def extra(self) -> pa.Array:
        """What no column holds, as JSON text, and the notes."""
        for row, rest in enumerate(self._rest):
            for key in {ABSENT, OWN_GROUP} & rest.keys():
                self.fault(row, f"the key {key!r} is reserved, rename it")
        kept = {row: rest for row, rest in enumerate(self._rest) if rest}
        for row, notes in self._notes.items():
            kept[row] = kept.get(row, {}) | notes
        texts: list[str | None] = [None] * len(self.numbers)
        objects = list(kept.values())
        # msgspec parses no NaN, and would write it as null.
        written = json_texts(objects) if self._raws is not None else map(json_text, objects)
        for row, text in zip(kept, written, strict=True):
            texts[row] = text
        return pa.array(texts, TEXT)


def entry_name(name: str, number: int, own_id: Any, value: Any = UNSET) -> str:
    """How to name an entry in a message, and its value where that tells more.

    >>> entry_name("images", 4, 12, "x.jpg")
    "images[4] (id 12) has 'x.jpg'"
    """
    text = f"{name}[{number}]"
    if own_id is not UNSET and own_id != NO_ID:
        text += f" (id {_short(own_id)})"
    return text if value is UNSET else f"{text} has {_short(value)}"


def image_columns(chunk: Chunk) -> dict[str, Any]:
    """The columns of `IMAGES`."""
    columns: dict[str, Any] = {
        "image_id": chunk.integers("id"),
        "file_name": chunk.texts("file_name"),
    }
    for row, name in enumerate(columns["file_name"].to_pylist()):
        if leaves_folder(name):
            kind = (
                "file_name is empty, absolute or leaves the image folder, make it a path below it"
            )
            chunk.fault(row, kind, name)
    for key in ("width", "height"):
        columns[key] = chunk.integers(key, stand_in=1)
        for row in np.flatnonzero(columns[key] <= 0).tolist():
            chunk.fault(row, f"{key} is not positive, correct it", int(columns[key][row]))
    columns["group"] = _groups(chunk, list(map(str, columns["image_id"].tolist())))
    columns["extra"] = chunk.extra()
    return columns


def category_columns(chunk: Chunk) -> dict[str, Any]:
    """The columns of `CATEGORIES`."""
    columns: dict[str, Any] = {"category_id": chunk.integers("id"), "name": chunk.texts("name")}
    families = chunk.values["supercategory"]
    for row, family in enumerate(families):
        if family is None or family == "":
            chunk.note(row, "supercategory", family)
    families = [family or "" if family in (UNSET, None) else family for family in families]
    kind = "supercategory is not text, make it so"
    columns["supercategory"] = chunk.column("supercategory", _text, kind, "", families)
    columns["extra"] = chunk.extra()
    return columns


def annotation_columns(chunk: Chunk, source: str) -> dict[str, Any]:
    """The columns of `ANNOTATIONS`; the area is NaN where the file has none."""
    return {
        "annotation_id": chunk.integers("id"),
        "image_id": chunk.integers("image_id"),
        "category_id": chunk.integers("category_id"),
        **dict(zip(BOX, _corners(chunk).T, strict=True)),
        "area": _areas(chunk),
        "segmentation": _segmentations(chunk),
        "iscrowd": _crowds(chunk),
        "source": _sources(chunk, source),
        "score": _scores(chunk),
        "extra": chunk.extra(),
    }


def _groups(chunk: Chunk, image_ids: list[str]) -> pa.Array:
    groups = list(image_ids)
    if not _are_unset(chunk.values["group"]):
        for row, group in enumerate(chunk.values["group"]):
            if group is UNSET:
                continue
            text = group_text(group, image_ids[row])
            if text is None:
                chunk.fault(row, "group is neither text nor a whole number", group)
                continue
            if text != group or text == image_ids[row]:
                chunk.note(row, "group", group)
            groups[row] = text
    return pa.array(groups, TEXT)


def _corners(chunk: Chunk) -> NDArray[np.float64]:
    """Corners, (N, 4), from `x, y, w, h`."""
    kind = "bbox is not four finite numbers, write [x, y, width, height]"
    boxes = chunk.column("bbox", _box, kind, [0.0, 0.0, 0.0, 0.0])
    corners = box_corners(boxes)
    for row in np.flatnonzero((box_sizes(corners) != boxes[:, 2:]).any(axis=1)).tolist():
        chunk.note(row, "bbox", chunk.written(row, "bbox"))
    return corners


def _areas(chunk: Chunk) -> NDArray[np.float64]:
    """Square pixels; NaN where the file has none."""
    values, missing = chunk.filled("area", 0.0)
    kind = "area is not a finite number, correct or remove it"
    areas = chunk.column("area", _float64, kind, 0.0, values)
    areas[missing] = np.nan
    return areas


def _segmentations(chunk: Chunk) -> pa.Array:
    """Their text as in the file, without white space."""
    values = chunk.values["segmentation"]
    if _are_unset(values):
        return pa.nulls(len(values), TEXT)
    texts: list[str | None]
    if Raw in set(map(type, values)):
        # No JSON text holds the character 0.
        joined = b"\0".join([b"" if value is UNSET else value for value in values])
        array = pa.array(joined.decode().split("\0"), TEXT)
        are_right = pc.match_substring_regex(array, _SEGMENTATION)
        texts = [*joined.translate(None, _WHITESPACE).decode().split("\0")]
        odd = np.flatnonzero(~are_right.to_numpy(zero_copy_only=False)).tolist()
    else:
        texts, odd = [None] * len(values), range(len(values))
    for row in odd:
        texts[row] = None if values[row] is UNSET else _segmentation(chunk, row, values[row])
    return pa.array(texts, TEXT)


def _segmentation(chunk: Chunk, row: int, value: Any) -> str | None:
    """The text of a segmentation that had to be parsed."""
    if type(value) is Raw:
        value = _OBJECT.decode(value)
    if value is None or value == []:
        chunk.note(row, "segmentation", value)
    elif _is_polygons(value) or _is_rle(value):
        return json_text(value)
    else:
        kind = "segmentation is neither a list of polygons nor an RLE, correct or remove it"
        chunk.fault(row, kind)
    return None


def _crowds(chunk: Chunk) -> NDArray[np.bool_]:
    values, _ = chunk.filled("iscrowd", 0)
    crowds = chunk.column("iscrowd", _flag, "iscrowd is neither 0 nor 1, correct it", 0, values)
    if bool in set(map(type, values)):
        for row, value in enumerate(values):
            if type(value) is bool:
                chunk.note(row, "iscrowd", value)
    return crowds


def _sources(chunk: Chunk, default: str) -> pa.Array:
    values = chunk.values["source"]
    if _are_unset(values):
        return pa.repeat(pa.scalar(default, TEXT), len(values))
    for row, value in enumerate(values):
        # The default is left out on writing, and other files have a "source" of their own.
        if value is not UNSET and value != "pseudo":
            chunk.note(row, "source", value)
    texts = [default if value is UNSET else source_text(value) for value in values]
    return pa.array(texts, TEXT)


def _scores(chunk: Chunk) -> NDArray[np.float64]:
    given = chunk.values["score"]
    if _are_unset(given):
        return np.ones(len(given))
    values = [1.0 if value is UNSET else value for value in given]
    scores = chunk.column(
        "score", _share, "score is not a number from 0 to 1, correct it", 1.0, values
    )
    for row in np.flatnonzero(scores == 1).tolist():
        if given[row] is not UNSET:
            chunk.note(row, "score", given[row])
    return scores


# Values to columns; None where not all of them are right


def _int64(values: Sequence[Any]) -> NDArray[np.int64] | None:
    if set(map(type, values)) <= {int}:
        try:
            return np.fromiter(values, np.int64, len(values))
        except OverflowError:
            pass
    return None


def _float64(values: Sequence[Any]) -> NDArray[np.float64] | None:
    if set(map(type, values)) <= {int, float}:
        try:
            numbers = np.fromiter(values, np.float64, len(values))
        except OverflowError:
            return None
        return numbers if np.isfinite(numbers).all() else None
    return None


def _share(values: Sequence[Any]) -> NDArray[np.float64] | None:
    shares = _float64(values)
    return shares if shares is not None and ((shares >= 0) & (shares <= 1)).all() else None


def _box(values: Sequence[Any]) -> NDArray[np.float64] | None:
    """Boxes, (N, 4), whose corners are finite too."""
    types = set(map(type, values))
    numbers: NDArray[np.float64] | None
    if types <= {tuple}:  # by msgspec: four floats
        numbers = np.fromiter(chain.from_iterable(values), np.float64, 4 * len(values))
    elif types <= {list, tuple} and set(map(len, values)) <= {4}:
        numbers = _float64(list(chain.from_iterable(values)))
    else:
        return None
    if numbers is None:
        return None
    boxes = numbers.reshape(-1, 4)
    return boxes if np.isfinite(box_corners(boxes)).all() else None


def _flag(values: Sequence[Any]) -> NDArray[np.bool_] | None:
    if set(map(type, values)) <= {int, float, bool} and set(values) <= {0, 1}:
        return np.fromiter(values, np.bool_, len(values))
    return None


def _text(values: Sequence[Any]) -> pa.Array | None:
    if set(map(type, values)) <= {str}:
        try:
            return pa.array(values, TEXT)
        except UnicodeEncodeError:  # half a surrogate pair
            pass
    return None


# Checks of single values


def _are_unset(values: Sequence[Any]) -> bool:
    return set(map(type, values)) <= {UnsetType}


def _is_polygons(value: Any) -> bool:
    return type(value) is list and all(
        type(polygon) is list and len(polygon) % 2 == 0 and _are_finite(polygon)
        for polygon in value
    )


def _are_finite(values: Sequence[Any]) -> bool:
    try:
        return all(map(isfinite, values))
    except (TypeError, OverflowError):
        return False


def _is_rle(value: Any) -> bool:
    if type(value) is not dict:
        return False
    size, counts = value.get("size"), value.get("counts")
    if type(size) is not list or len(size) != 2 or _int64(size) is None:
        return False
    return type(counts) is str or (type(counts) is list and _int64(counts) is not None)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
