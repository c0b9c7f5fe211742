"""From tables to a COCO document, or to the bytes of its file, a chunk of rows at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, TypeAlias

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET, Raw, Struct

from recycling.annotations.core import BOX, AnnotationError, Annotations
from recycling.annotations.formats.coco.layout import (
    ABSENT,
    COLUMN_KEYS,
    ENTRIES,
    OWN_GROUP,
    AnnotationEntry,
    CategoryEntry,
    ImageEntry,
    box_sizes,
    group_text,
    is_no_group,
    json_text,
    source_text,
)
from recycling.annotations.masks import annotation_area
from recycling.tables import TableError

CHUNK = 8_192
"""Entries that are put into a file at a time."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_RAWS = msgspec.json.Decoder(list[Raw])
_WithExtra: TypeAlias = Callable[[int, dict[str, Any]], dict[str, Any]]
_Entries: TypeAlias = tuple[Sequence[Struct], _WithExtra]
"""Entries of what the columns say; and what makes an entry, by row, that says its `extra` too."""


def to_coco(annotations: Annotations) -> dict[str, Any]:
    """Turn tables into a COCO document: `from_coco` backwards.

    Args:
        annotations: The tables.

    Returns:
        The document, ready for `json.dumps`.

    Raises:
        AnnotationError: As for `coco_pieces`.
        TypeError: Likewise.

    >>> from recycling.annotations import from_coco
    >>> document = {"images": [], "annotations": [], "categories": [{"id": 0, "name": "Glass"}]}
    >>> to_coco(from_coco(document, where="example")) == document
    True
    """
    document: dict[str, Any] = json.loads(b"".join(coco_pieces(annotations)))
    return document


def coco_pieces(annotations: Annotations) -> Iterator[bytes]:
    """The content of a COCO file, piece by piece; equal tables give equal pieces.

    Args:
        annotations: The tables.

    Yields:
        UTF-8 text, at most some thousand entries of a section at once.

    Raises:
        AnnotationError: A table is not of its schema, or a segmentation is not JSON.
        TypeError: Something in `Annotations.extra` has no form in JSON.
    """
    checked = _checked(annotations)
    rest = {key: value for key, value in annotations.extra.items() if key not in ENTRIES}
    before = json_text(rest)[:-1] + ("," if rest else "")
    images = checked.images.set_index("image_id")[["height", "width"]]
    sizes = dict(zip(images.index.tolist(), images.to_numpy().tolist(), strict=True))
    groups = checked.images["group"]
    shared = set(groups[groups.duplicated()])
    sections: dict[str, Callable[[pd.DataFrame], _Entries]] = {
        "images": lambda table: _image_entries(table, shared),
        "annotations": lambda table: _annotation_entries(table, sizes),
        "categories": _category_entries,
    }
    for name, entries_of in sections.items():
        table = getattr(checked, name)
        yield f'{before}"{name}":['.encode()
        for start in range(0, len(table), CHUNK):
            if start:
                yield b","
            chunk = table.iloc[start : start + CHUNK]
            yield _chunk_text(name, chunk, *entries_of(chunk))
        before = "],"
    yield b"]}"


class _Box(Struct, array_like=True, gc=False):
    """A "bbox"; cheaper than a list of four."""

    x: float
    y: float
    width: float
    height: float


def _image_entries(table: pd.DataFrame, shared: Collection[str]) -> _Entries:
    """The images; a group that others are in is always said, else it would be theirs alone."""
    ids, groups = table["image_id"].tolist(), table["group"].tolist()
    shown = [
        UNSET if group == str(own) and group not in shared else group
        for own, group in zip(ids, groups, strict=True)
    ]
    columns = [ids, *(table[name].tolist() for name in ("file_name", "width", "height")), shown]
    entries = list(map(ImageEntry, *columns))

    def with_extra(row: int, kept: dict[str, Any]) -> dict[str, Any]:
        entry = _object(entries[row])
        if groups[row] in shared and is_no_group(kept.get("group")):
            return _with_rest(entry, kept, "images")  # it has since been put into a group
        if "group" in kept:
            default = kept.get(OWN_GROUP, str(ids[row]))
            if group_text(kept["group"], default) == groups[row]:
                entry["group"] = kept["group"]
        elif kept.get(OWN_GROUP) == groups[row]:
            del entry["group"]
        return _with_rest(entry, kept, "images")

    return entries, with_extra


def _category_entries(table: pd.DataFrame) -> _Entries:
    families = [family or UNSET for family in table["supercategory"].tolist()]
    entries = list(
        map(CategoryEntry, table["category_id"].tolist(), table["name"].tolist(), families)
    )

    def with_extra(row: int, kept: dict[str, Any]) -> dict[str, Any]:
        entry = _object(entries[row])
        if "supercategory" in kept:
            entry.setdefault("supercategory", kept["supercategory"])
        return _with_rest(entry, kept, "categories")

    return entries, with_extra


def _annotation_entries(
    table: pd.DataFrame, image_sizes: Mapping[int, tuple[int, int]]
) -> _Entries:
    corners = np.column_stack([table[side].to_numpy() for side in BOX])
    box = (*corners.T[:2], *box_sizes(corners).T)
    texts = _texts(table["segmentation"])
    crowds, sources, scores = (table[name].tolist() for name in ("iscrowd", "source", "score"))
    columns: list[Iterable[Any]] = [
        *(table[name].tolist() for name in ("annotation_id", "image_id", "category_id")),
        map(_Box, *(side.tolist() for side in box)),
        table["area"].tolist(),
        [UNSET if text is None else Raw(text) for text in texts],
        table["iscrowd"].to_numpy(dtype=np.int64).tolist(),
        _unless(table["source"], "human"),
        _unless(table["score"], 1),
    ]
    entries = list(map(AnnotationEntry, *columns))

    def with_extra(row: int, kept: dict[str, Any]) -> dict[str, Any]:
        entry = _object(entries[row])
        absent = kept.get(ABSENT, ())
        corner = corners[row].tolist()
        if "bbox" in kept and _same_box(corner, kept["bbox"]):
            entry["bbox"] = kept["bbox"]
        if "area" in absent or "area" in kept:
            image_size = image_sizes[entry["image_id"]]
            if entry["area"] == annotation_area(texts[row], corner, *image_size):
                del entry["area"]
                if "area" in kept:
                    entry["area"] = kept["area"]
        if "segmentation" in kept:
            entry.setdefault("segmentation", kept["segmentation"])
        if "iscrowd" in kept and bool(kept["iscrowd"]) == crowds[row]:
            entry["iscrowd"] = kept["iscrowd"]
        elif "iscrowd" in absent and not crowds[row]:
            del entry["iscrowd"]
        if "source" in kept and source_text(kept["source"]) == sources[row]:
            entry["source"] = kept["source"]
        if "score" in kept and kept["score"] == scores[row]:
            entry["score"] = kept["score"]
        return _with_rest(entry, kept, "annotations")

    return entries, with_extra


def _unless(column: pd.Series, default: Any) -> Iterable[Any]:
    """The values, without those that are the default."""
    if (column == default).all():
        return repeat(UNSET, len(column))
    return [UNSET if value == default else value for value in column.tolist()]


def _same_box(corners: list[float], kept: list[float]) -> bool:
    x, y, width, height = map(float, kept)  # added as in reading: whole numbers would not round
    return corners == [x, y, x + width, y + height]


def _with_rest(entry: dict[str, Any], kept: dict[str, Any], section: str) -> dict[str, Any]:
    known = {*COLUMN_KEYS[section], ABSENT, OWN_GROUP}
    return entry | {key: value for key, value in kept.items() if key not in known}


def _object(entry: Struct) -> dict[str, Any]:
    values = zip(entry.__struct_fields__, msgspec.structs.astuple(entry), strict=True)
    return {
        key: list(msgspec.structs.astuple(value)) if type(value) is _Box else value
        for key, value in values
        if value is not UNSET
    }


def _texts(column: pd.Series) -> list[str | None]:
    texts: list[str | None] = _array(column).to_pylist()
    return texts


def _array(column: pd.Series) -> Any:
    return pa.array(column, pa.large_string(), from_pandas=True)


# Entries to text


def _chunk_text(
    name: str, table: pd.DataFrame, entries: Sequence[Struct], with_extra: _WithExtra
) -> bytes:
    """The entries of some rows, with commas between them."""
    extras = _array(table["extra"])
    if extras.null_count == len(extras):
        return _encode(entries)[1:-1]
    texts = extras.to_pylist()
    are_rest = _are_rest(name, extras, texts)
    lines = [
        _encode(entry)
        if extra is None
        else _encode(entry)[:-1] + b"," + extra[1:].encode()
        if is_rest
        else _object_text(with_extra, row, extra)
        for row, (entry, extra, is_rest) in enumerate(zip(entries, texts, are_rest, strict=True))
    ]
    return b",".join(lines)


def _are_rest(name: str, extras: Any, texts: list[str | None]) -> list[bool | None]:
    """Whether each `extra` can go into an entry's text as it is.

    It can where all its keys are of no column. A key could be disguised by escaped letters.
    """
    if not _are_json([text for text in texts if text is not None]):
        return [False] * len(texts)
    keys = "|".join(sorted({ABSENT, OWN_GROUP, *COLUMN_KEYS[name]}))
    mentioned = pc.match_substring_regex(extras, rf'^[^{{]|^\{{\s*\}}|"(?:{keys})"|\\u00[2-7]')
    are_rest: list[bool | None] = pc.invert(mentioned).to_pylist()
    return are_rest


def _object_text(with_extra: _WithExtra, row: int, extra: str) -> bytes:
    try:
        return _encode(with_extra(row, _kept(extra, _decode)))
    except (ValueError, RecursionError):  # NaN and half surrogate pairs, which Python's json takes
        entry = with_extra(row, _kept(extra, json.loads))
    if isinstance(entry.get("segmentation"), Raw):
        entry["segmentation"] = json.loads(bytes(entry["segmentation"]))
    return json_text(entry).encode()


def _kept(extra: str, parse: Callable[[str], Any]) -> dict[str, Any]:
    try:
        kept = parse(extra)
    except ValueError:
        kept = None
    if not isinstance(kept, dict):
        raise AnnotationError(f"extra is no JSON object, correct the table: {extra[:60]!r}")
    return kept


def _checked(annotations: Annotations) -> Annotations:
    try:
        checked = annotations.conform()
    except TableError as error:
        raise AnnotationError(f"{error}; correct the table") from error
    for start in range(0, len(checked.annotations), CHUNK):
        _check_segmentations(checked.annotations.iloc[start : start + CHUNK])
    return checked


def _check_segmentations(table: pd.DataFrame) -> None:
    """They go to the file as they are, so they have to be JSON."""
    texts = [text for text in _texts(table["segmentation"]) if text is not None]
    if _are_json(texts):
        return
    ids = table.loc[table["segmentation"].notna(), "annotation_id"].tolist()
    bad = next(own for own, text in zip(ids, texts, strict=True) if not _are_json([text]))
    raise AnnotationError(f"annotation {bad}: segmentation is not JSON, correct the table")


def _are_json(texts: list[str]) -> bool:
    try:
        return len(_RAWS.decode(f"[{','.join(texts)}]")) == len(texts)
    except (msgspec.DecodeError, RecursionError):
        return False
