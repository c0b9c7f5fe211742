"""From the bytes of a COCO file straight to tables, a chunk of entries at a time.

msgspec checks the types of a chunk while it parses it, and numpy, pyarrow and a regular expression
check the rest of it at once. What they do not take for good, `coco_documents` looks at: entries
with keys or forms out of the ordinary chunk by chunk, anything that may be a fault as a whole.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET, Raw, Struct, UnsetType
from numpy.typing import NDArray

from recycling.annotations.core import (
    ANNOTATIONS,
    BOX,
    CATEGORIES,
    IMAGES,
    AnnotationError,
)
from recycling.annotations.formats.coco.documents import (
    Notes,
    Section,
    Tables,
    annotation_columns,
    category_columns,
    image_columns,
)
from recycling.annotations.formats.coco.layout import (
    ABSENT,
    box_corners,
    box_sizes,
    json_texts,
    source_text,
)
from recycling.errors import Faults
from recycling.tables import Schema

CHUNK = 2_048
"""Entries that are taken from a file at a time; so many stay in the processor's cache."""

_BOM = b"\xef\xbb\xbf"
_WHITESPACE = b" \t\n\r"
_TEXT = pa.large_string()

# What a segmentation looks like that is known to be JSON: lists of an even number of numbers, none
# with an exponent or so long that it could be infinite; an RLE of whole numbers below 10^18, or of
# the characters that pycocotools compresses counts to.
_PAIR = r"\s*[-0-9.]{1,40}\s*,\s*[-0-9.]{1,40}\s*"
_POLYGON = rf"\s*\[(?:{_PAIR}(?:,{_PAIR})*|\s*)\]\s*"
_WHOLE = r"\s*-?[0-9]{1,18}\s*"
_SIZE = rf'\s*"size"\s*:\s*\[{_WHOLE},{_WHOLE}\]\s*'
_COUNTS = rf'\s*"counts"\s*:\s*(?:"(?:[0-\[\]-o]|\\\\)*"|\[(?:{_WHOLE}(?:,{_WHOLE})*|\s*)\])\s*'
_SEGMENTATION = (
    rf"^(?:\[{_POLYGON}(?:,{_POLYGON})*\]|\{{(?:{_SIZE},{_COUNTS}|{_COUNTS},{_SIZE})\}})$"
)
_MAY_LEAVE_FOLDER = r"^$|^[/\\]|^.:|\.\."


_Box: TypeAlias = tuple[float, float, float, float]


class _Entry(Struct, forbid_unknown_fields=True, gc=False):
    """An annotation as nearly every file has it."""

    id: int
    image_id: int
    category_id: int
    bbox: _Box
    area: float | UnsetType = UNSET
    segmentation: Raw | UnsetType = UNSET
    iscrowd: int | UnsetType = UNSET
    source: str | UnsetType = UNSET
    score: int | float | UnsetType = UNSET


class _Given(NamedTuple):
    """What some entries hold, key by key."""

    id: list[int]
    image_id: list[int]
    category_id: list[int]
    bbox: list[_Box]
    area: list[float | UnsetType]
    segmentation: list[Raw | UnsetType]
    iscrowd: list[int | UnsetType]
    source: list[str | UnsetType]
    score: list[float | UnsetType]


_DOCUMENT = msgspec.json.Decoder(
    dict[str, list[Raw] | dict[str, Raw] | str | int | float | bool | None]
)
_ENTRIES = msgspec.json.Decoder(list[_Entry])
_DICTS = msgspec.json.Decoder(list[dict[str, Any]])
_OBJECTS = msgspec.json.Decoder(list[Any])
_OBJECT = msgspec.json.Decoder()


class _RefusedError(Exception):
    """This is for `coco_documents`."""


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Parsing makes millions of objects and no circles, so that looking for these is in vain."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_no_garbage_collection()
def straight_to_tables(content: bytes, *, source: Literal["human", "pseudo"]) -> Tables | None:
    """Read what is in good order; None where something may not be.

    Args:
        content: What the file holds, unpacked.
        source: Who made the annotations that do not say so themselves.

    Returns:
        What `from_coco` makes of the parsed content, before it is `completed`. Only the spelling
        of a number in a segmentation may differ (``1.50``, ``15e-1``): here it stays as the file
        has it.
    """
    try:
        document = _parsed(_DOCUMENT, content.removeprefix(_BOM))
        images = _table(document.pop("images", None), _image_columns, IMAGES)
        annotations = _table(
            document.pop("annotations", None),
            lambda raws: _annotation_columns(raws, source),
            ANNOTATIONS,
        )
        categories = _table(document.pop("categories", None), _category_columns, CATEGORIES)
        _check(images, annotations, categories)
        return Tables(
            images, annotations, categories, {key: _plain(value) for key, value in document.items()}
        )
    except _RefusedError:
        return None


def in_one_piece(tables: Tables) -> Tables:
    """Put the chunks of every text column together.

    pandas takes rows out of a column in pieces ten times more slowly. It is a step of its own, so
    that the file's content can be let go of before.

    Args:
        tables: What `straight_to_tables` gave; their columns are replaced.
    """
    for table in tables[:3]:
        for name in table.columns[table.dtypes == "string"]:
            array = pa.array(table[name])
            if isinstance(array, pa.ChunkedArray):
                table[name] = _text_column(array.combine_chunks())
    return tables


def _table(
    section: Any, columns_of: Callable[[list[Raw]], dict[str, Any]], schema: Schema
) -> pd.DataFrame:
    """The table of one list of the document."""
    if type(section) is not list:
        raise _RefusedError
    columns: dict[str, Any] = {
        column.name: [] if column.dtype == "string" else np.empty(len(section), column.dtype)
        for column in schema.columns
    }
    for start in range(0, len(section), CHUNK):
        chunk = columns_of(section[start : start + CHUNK])
        for column in schema.columns:
            values = chunk[column.name]
            if column.dtype == "string":
                columns[column.name].append(pa.array(values, _TEXT))
            else:
                columns[column.name][start : start + CHUNK] = values
    for column in schema.columns:
        if column.dtype == "string":
            columns[column.name] = _text_column(pa.chunked_array(columns[column.name], _TEXT))
    return pd.DataFrame(columns, copy=False)


def _text_column(array: Any) -> Any:
    return pd.array(array, dtype="string[pyarrow]")


def _image_columns(raws: list[Raw]) -> dict[str, Any]:
    try:
        return _ordinary_images(raws)
    except _RefusedError:
        return _carefully("images", raws, image_columns)


def _category_columns(raws: list[Raw]) -> dict[str, Any]:
    return _carefully("categories", raws, category_columns)


def _annotation_columns(raws: list[Raw], source: str) -> dict[str, Any]:
    try:
        return _ordinary_annotations(raws, source)
    except _RefusedError:
        return _carefully("annotations", raws, lambda entries: annotation_columns(entries, source))


def _carefully(
    name: str, raws: list[Raw], columns_of: Callable[[Section], dict[str, Any]]
) -> dict[str, Any]:
    """Columns by `coco_documents`; no faults, or else the whole document is looked at again."""
    faults = Faults(name, AnnotationError)
    section = Section(name, _parsed(_OBJECTS, _listed(raws)), faults, from_msgspec=True)
    columns = columns_of(section)
    try:
        faults.raise_if_any()
    except AnnotationError:
        raise _RefusedError from None
    return columns


def _ordinary_images(raws: list[Raw]) -> dict[str, Any]:
    """The columns of images that have no group of their own, and names that stay in the folder."""
    entries = _parsed(_DICTS, _listed(raws))
    if any("group" in entry or ABSENT in entry for entry in entries):
        raise _RefusedError
    try:
        ids, widths, heights, names = (
            [entry.pop(key) for entry in entries] for key in ("id", "width", "height", "file_name")
        )
    except KeyError:
        raise _RefusedError from None
    if {int} != set(map(type, chain(ids, widths, heights))) or {str} != set(map(type, names)):
        raise _RefusedError
    columns: dict[str, Any] = {
        "image_id": _integers(ids),
        "file_name": pa.array(names, _TEXT),
        "width": _integers(widths),
        "height": _integers(heights),
        "group": pa.array(map(str, ids), _TEXT),
    }
    may_leave = pc.any(pc.match_substring_regex(columns["file_name"], _MAY_LEAVE_FOLDER)).as_py()
    if may_leave or min(widths) <= 0 or min(heights) <= 0:
        raise _RefusedError
    # What is left of an entry is what no column holds.
    texts = json_texts(entries)
    columns["extra"] = texts if all(entries) else [None if one == "{}" else one for one in texts]
    return columns


def _ordinary_annotations(raws: list[Raw], source: str) -> dict[str, Any]:
    """The columns of annotations that have no key or form out of the ordinary."""
    entries = _parsed(_ENTRIES, _listed(raws))
    given = _Given(*[list(map(attrgetter(key), entries)) for key in _Given._fields])
    notes = Notes()
    columns: dict[str, Any] = {
        "annotation_id": _integers(given.id),
        "image_id": _integers(given.image_id),
        "category_id": _integers(given.category_id),
        **dict(zip(BOX, _corners(given.bbox, raws, notes).T, strict=True)),
        "area": _areas(given.area, notes),
        "segmentation": _segmentations(given.segmentation, notes),
        "iscrowd": _crowds(given.iscrowd, notes),
        "source": _sources(given.source, source, notes),
        "score": _scores(given.score, notes),
    }
    columns["extra"] = notes.texts(len(entries), from_msgspec=True)
    return columns


def _integers(values: Sequence[int]) -> NDArray[np.int64]:
    try:
        return np.fromiter(values, np.int64, len(values))
    except OverflowError:
        raise _RefusedError from None


def _corners(given: Sequence[_Box], raws: list[Raw], notes: Notes) -> NDArray[np.float64]:
    """Corners, (N, 4), from `x, y, w, h`."""
    numbers = chain.from_iterable(given)
    boxes = np.fromiter(numbers, np.float64, 4 * len(given)).reshape(-1, 4)
    corners = box_corners(boxes)
    if not np.isfinite(corners).all():
        raise _RefusedError
    for row in np.flatnonzero((box_sizes(corners) != boxes[:, 2:]).any(axis=1)).tolist():
        # Parsed again, to tell 1 from 1.0.
        notes.note(row, "bbox", _parsed(_OBJECT, raws[row])["bbox"])
    return corners


def _areas(given: Sequence[float | UnsetType], notes: Notes) -> NDArray[np.float64]:
    """Square pixels; NaN where the file has none."""
    try:
        return np.fromiter(given, np.float64, len(given))
    except TypeError:  # one is not set
        areas = list(given)
    for row, area in enumerate(areas):
        if area is UNSET:
            notes.note_absent(row, "area")
            areas[row] = np.nan
    return np.array(areas, dtype=np.float64)


def _segmentations(given: Sequence[Raw | UnsetType], notes: Notes) -> pa.Array:
    """Their text as in the file, without white space."""
    if set(map(type, given)) == {UnsetType}:
        return pa.nulls(len(given), _TEXT)
    # No JSON text holds the character 0.
    joined = b"\0".join([b"" if raw is UNSET else raw for raw in given])
    bare = joined.translate(None, _WHITESPACE)
    texts = bare.split(b"\0")
    for row, text in enumerate(texts):
        if text == b"[]":
            notes.note(row, "segmentation", [])
    array = _text_array(texts)
    # The counts of an RLE may be a string, in which white space counts.
    checked = _text_array(joined.split(b"\0")) if b'"' in joined else array
    if not pc.all(pc.match_substring_regex(checked, _SEGMENTATION)).as_py():
        raise _RefusedError
    return array


def _text_array(texts: list[bytes]) -> pa.Array:
    try:
        return pa.array([None if text in (b"", b"[]") else text for text in texts], _TEXT)
    except pa.ArrowInvalid:  # not UTF-8
        raise _RefusedError from None


def _crowds(given: Sequence[int | UnsetType], notes: Notes) -> NDArray[np.bool_]:
    kinds = set(given)
    if not kinds <= {0, 1, UNSET}:
        raise _RefusedError
    if UNSET not in kinds:
        return np.fromiter(given, np.bool_, len(given))
    for row, crowd in enumerate(given):
        if crowd is UNSET:
            notes.note_absent(row, "iscrowd")
    return np.array([crowd == 1 for crowd in given], dtype=np.bool_)


def _sources(given: Sequence[str | UnsetType], default: str, notes: Notes) -> list[str] | pa.Array:
    if set(given) == {UNSET}:
        return pa.repeat(pa.scalar(default, _TEXT), len(given))
    for row, source in enumerate(given):
        if source is not UNSET and source != "pseudo":
            notes.note(row, "source", source)
    return [default if source is UNSET else source_text(source) for source in given]


def _scores(given: Sequence[float | UnsetType], notes: Notes) -> NDArray[np.float64]:
    if set(given) == {UNSET}:
        return np.ones(len(given))
    scores = [1.0 if score is UNSET else score for score in given]
    if not all(0 <= score <= 1 for score in scores):
        raise _RefusedError
    for row, score in enumerate(given):
        if score == 1:
            notes.note(row, "score", score)
    return np.array(scores, dtype=np.float64)


def _check(images: pd.DataFrame, annotations: pd.DataFrame, categories: pd.DataFrame) -> None:
    """Ids are each used once, and every annotation is of an image and a category that is there."""
    in_order = (
        images["image_id"].is_unique
        and annotations["annotation_id"].is_unique
        and categories["category_id"].is_unique
        and annotations["image_id"].isin(images["image_id"]).all()
        and annotations["category_id"].isin(categories["category_id"]).all()
    )
    if not in_order:
        raise _RefusedError


def _plain(value: Any) -> Any:
    """A value of the document's top level that is no section."""
    if type(value) is list:
        return _parsed(_OBJECTS, _listed(value))
    if type(value) is dict:
        return {key: _parsed(_OBJECT, raw) for key, raw in value.items()}
    return value


def _listed(raws: list[Raw]) -> bytes:
    """The entries as one JSON list, copied once."""
    pieces: list[Any] = [*raws] or [b""]
    pieces[0] = b"[" + bytes(pieces[0])
    pieces[-1] = bytes(pieces[-1]) + b"]"
    return b",".join(pieces)


def _parsed(decoder: msgspec.json.Decoder[Any], content: Any) -> Any:
    try:
        return decoder.decode(content)
    except (ValueError, RecursionError):  # all that msgspec raises, and Python of too long a number
        raise _RefusedError from None
