"""Read and write COCO annotation files, losing nothing on the way.

What no column holds goes to a row's `extra` (JSON text) or to `Annotations.extra` (top level), and
comes back when the file is written. A key that a column does hold is kept in `extra` too where the
column alone could not give back what the file said: a box whose `x + w - x` is not `w` in floating
point, a group written as a number, a `segmentation` that was null. It is used on writing as long as
the column still says the same. Keys that the file left out and that were derived are listed under
`ABSENT`.

Source: https://cocodataset.org/#format-data
"""

from __future__ import annotations

import gzip
import json
import logging
import os
import posixpath
import zlib
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from math import isfinite
from pathlib import Path, PureWindowsPath
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations.core import (
    ANNOTATIONS,
    BOX,
    CATEGORIES,
    IMAGES,
    AnnotationError,
    Annotations,
)
from recycling.annotations.masks import annotation_area
from recycling.tables import TableError

_log = logging.getLogger(__name__)

ABSENT = "__absent__"
"""Key of `extra` that lists the keys which the file did not have and which were derived."""

_json = json.JSONEncoder(separators=(",", ":")).encode
_SHOWN = 3  # places named for each kind of fault
_SECTIONS = ("images", "annotations", "categories")
_KEYS = {
    "images": {"id", "file_name", "width", "height", "group"},
    "annotations": {
        "id",
        "image_id",
        "category_id",
        "bbox",
        "area",
        "segmentation",
        "iscrowd",
        "source",
        "score",
    },
    "categories": {"id", "name", "supercategory"},
}
_MISSING = object()


def read_coco(
    path: str | Path,
    *,
    source: Literal["human", "pseudo"] = "human",
    duplicate_ids: Literal["error", "renumber"] = "error",
) -> Annotations:
    """Read a COCO file, plain or gzip.

    Args:
        path: The file.
        source: Who made the annotations that do not say so themselves under the key "source".
        duplicate_ids: What to do with a second annotation of the same id (TACO's whole file has
            two): "renumber" gives it a new id after the highest, keeps the old one in its `extra`
            under "original_id" and warns once.

    Returns:
        Its images, annotations, categories and everything else.

    Raises:
        AnnotationError: The file is missing or malformed. One line that counts the faults by kind
            and names the first few of each.
    """
    path = Path(path)
    document = _parsed(_content(path), path)
    return from_coco(document, where=str(path), source=source, duplicate_ids=duplicate_ids)


def write_coco(annotations: Annotations, path: str | Path) -> None:
    """Write a COCO file, gzip where the name ends in ``.gz``.

    The same annotations always give the same bytes, and the file appears whole or not at all.

    Args:
        annotations: What to write.
        path: The file; its folder is made where there is none.
    """
    path = Path(path)
    content = _json(to_coco(annotations)).encode()
    if path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def from_coco(
    document: Any,
    *,
    where: str,
    source: Literal["human", "pseudo"] = "human",
    duplicate_ids: Literal["error", "renumber"] = "error",
) -> Annotations:
    """Turn a parsed COCO document into tables.

    Boxes of no area and boxes outside the picture are no faults here: cleaning deals with them.

    Args:
        document: What the JSON file holds.
        where: What to call it in messages: the file's or the dataset's name.
        source: Who made the annotations that do not say so themselves.
        duplicate_ids: What to do with a second annotation of the same id, as for `read_coco`.

    Returns:
        The tables.

    Raises:
        AnnotationError: The document is malformed. One line with all faults, counted by kind.
    """
    if not isinstance(document, dict):
        raise AnnotationError(
            f"{where}: holds a {type(document).__name__}, not a JSON object; a COCO file is an "
            f"object with the keys {', '.join(_SECTIONS)}"
        )
    faults = _Faults(where)
    sections = {name: _Section(document, name, faults) for name in _SECTIONS}
    images = _images(sections["images"])
    categories = _categories(sections["categories"])
    if duplicate_ids == "renumber":
        _renumber(sections["annotations"], where)
    annotations = _annotations(sections["annotations"], source)
    _check_references(sections["annotations"], sections["images"], "image_id", images)
    _check_references(sections["annotations"], sections["categories"], "category_id", categories)
    faults.raise_if_any()
    annotations["area"] = _derived_areas(annotations, images, faults)
    faults.raise_if_any()
    try:
        return Annotations(
            images=IMAGES.conform(images, where=f"{where}, images"),
            annotations=ANNOTATIONS.conform(annotations, where=f"{where}, annotations"),
            categories=CATEGORIES.conform(categories, where=f"{where}, categories"),
            extra={key: value for key, value in document.items() if key not in _SECTIONS},
        )
    except TableError as error:
        raise AnnotationError(f"{error}; correct it in the file") from error


def to_coco(annotations: Annotations) -> dict[str, Any]:
    """Turn tables into a COCO document: `from_coco` backwards.

    Args:
        annotations: The tables.

    Returns:
        The document, ready for `json.dumps`.
    """
    return {
        **annotations.extra,
        "images": _image_entries(annotations.images),
        "annotations": _annotation_entries(annotations.annotations, annotations.images),
        "categories": _category_entries(annotations.categories),
    }


# Reading: bytes to document


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise AnnotationError(f"{path}: no such file; check the path in the catalog") from None
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read: {error.strerror}") from error
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise AnnotationError(f"{path}: damaged gzip file ({error}); fetch it again") from error
    if not content.strip():
        raise AnnotationError(f"{path}: the file is empty; fetch or write it again")
    return content


def _parsed(content: bytes, path: Path) -> Any:
    try:
        return json.loads(content)
    except RecursionError:
        raise AnnotationError(f"{path}: not COCO: nested too deeply; check the file") from None
    except ValueError as error:
        raise AnnotationError(
            f"{path}: not JSON: {error}; a COCO annotation file is JSON, plain or gzip"
        ) from error


# Reading: document to tables


class _Faults:
    """All that is wrong with a document, by kind."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._places: dict[str, list[str]] = {}

    def add(self, kind: str, place: str) -> None:
        self._places.setdefault(kind, []).append(place)

    def raise_if_any(self) -> None:
        if not self._places:
            return
        total = sum(map(len, self._places.values()))
        parts = [
            f"{len(places)} x {kind}: {', '.join(places[:_SHOWN])}"
            + (", ..." if len(places) > _SHOWN else "")
            for kind, places in self._places.items()
        ]
        raise AnnotationError(
            f"{self._where}: {total} fault{'s' if total > 1 else ''}: {'; '.join(parts)}"
        )


class _Section:
    """One list of a document, taken apart key by key."""

    def __init__(self, document: Mapping[str, Any], name: str, faults: _Faults) -> None:
        self.name = name
        self.faults = faults
        self.present = isinstance(document.get(name), list)
        entries: list[Any] = []
        if name not in document:
            faults.add("section missing, add it (an empty list will do)", repr(name))
        elif not self.present:
            faults.add("section is not a list, make it one", repr(name))
        else:
            entries = list(document[name])
        self.index = [row for row, entry in enumerate(entries) if type(entry) is dict]
        self.rows = entries
        if len(self.index) < len(entries):
            for row, entry in enumerate(entries):
                if type(entry) is not dict:
                    faults.add("entry is not an object, remove it", f"{name}[{row}]")
            self.rows = [entries[row] for row in self.index]
        self.bad: dict[str, set[int]] = {}
        self.notes: dict[int, dict[str, Any]] = {}

    def place(self, row: int, value: Any = _MISSING) -> str:
        text = f"{self.name}[{self.index[row]}]"
        own_id = self.rows[row].get("id", _MISSING)
        if own_id is not _MISSING:
            text += f" (id {_short(own_id)})"
        return text if value is _MISSING else f"{text} has {_short(value)}"

    def fault(self, row: int, key: str, kind: str, value: Any = _MISSING) -> None:
        self.bad.setdefault(key, set()).add(row)
        self.faults.add(kind, self.place(row, value))

    def note(self, row: int, key: str, value: Any) -> None:
        """Keep what the file said, because the column alone does not give it back."""
        self.notes.setdefault(row, {})[key] = value

    def note_absent(self, row: int, key: str) -> None:
        self.notes.setdefault(row, {}).setdefault(ABSENT, []).append(key)

    def values(self, key: str) -> list[Any]:
        return [entry.get(key, _MISSING) for entry in self.rows]

    def required(
        self,
        key: str,
        is_good: Callable[[Any], bool],
        all_good: Callable[[list[Any]], bool],
        kind: str,
        stand_in: Any,
    ) -> list[Any]:
        """The values of a key that every entry must have; faulty ones become `stand_in`.

        `all_good` says the same as `is_good` of a whole column, quickly.
        """
        values = self.values(key)
        if all_good(values):
            return values
        for row, value in enumerate(values):
            if value is _MISSING:
                self.fault(row, key, f"no key {key!r}, add it")
            elif not is_good(value):
                self.fault(row, key, kind, value)
            else:
                continue
            values[row] = stand_in
        return values

    def integers(self, key: str) -> NDArray[np.int64]:
        kind = f"{key} is not a whole number, make it one"
        values = self.required(key, _is_int64, _are_int64, kind, 1)
        return np.array(values, dtype=np.int64)

    def unique_ids(self) -> NDArray[np.int64]:
        ids = self.integers("id")
        for row in np.flatnonzero(pd.Series(ids).duplicated().to_numpy()).tolist():
            if row not in self.bad.get("id", ()):
                self.fault(row, "id", "id used twice, give each its own")
        return ids

    def texts(self, key: str) -> list[str]:
        return self.required(key, _is_text, _are_texts, f"{key} is not text, make it so", "-")

    def extras(self) -> list[str | None]:
        """What no column holds, as JSON text, and the notes."""
        known = _KEYS[self.name]
        texts: list[str | None] = []
        for row, entry in enumerate(self.rows):
            rest = self.notes.get(row, {})
            if not known.issuperset(entry):
                if ABSENT in entry:
                    self.fault(row, ABSENT, f"the key {ABSENT!r} is reserved, rename it")
                rest = {key: value for key, value in entry.items() if key not in known} | rest
            texts.append(_json(rest) if rest else None)
        return texts


def _images(section: _Section) -> pd.DataFrame:
    ids = section.unique_ids()
    names = section.texts("file_name")
    for row, name in enumerate(names):
        if _leaves_folder(name):
            section.fault(
                row,
                "file_name",
                "file_name is empty, absolute or leaves the image folder, make it a path below it",
                name,
            )
    sizes = {}
    for key in ("width", "height"):
        sizes[key] = section.integers(key)
        for row in np.flatnonzero(sizes[key] <= 0).tolist():
            section.fault(row, key, f"{key} is not positive, correct it", int(sizes[key][row]))
    groups = [str(image_id) for image_id in ids.tolist()]
    for row, group in enumerate(section.values("group")):
        if group is _MISSING:
            continue
        text = _group_text(group, groups[row])
        if text is None:
            section.fault(row, "group", "group is neither text nor a whole number", group)
            continue
        if text != group or text == groups[row]:
            section.note(row, "group", group)
        groups[row] = text
    return pd.DataFrame(
        {"image_id": ids, "file_name": names, **sizes, "group": groups, "extra": section.extras()}
    )


def _categories(section: _Section) -> pd.DataFrame:
    ids = section.unique_ids()
    names = section.texts("name")
    families: list[str] = []
    for row, family in enumerate(section.values("supercategory")):
        if family is _MISSING:
            families.append("")
            continue
        if family is not None and not _is_text(family):
            section.fault(row, "supercategory", "supercategory is not text, make it so", family)
            family = None
        if not family:
            section.note(row, "supercategory", family)
        families.append(family or "")
    return pd.DataFrame(
        {"category_id": ids, "name": names, "supercategory": families, "extra": section.extras()}
    )


def _renumber(section: _Section, where: str) -> None:
    """Give annotations whose id is taken a new one."""
    ids = [entry.get("id") for entry in section.rows]
    next_id = max((one for one in ids if _is_int64(one)), default=0) + 1
    seen: set[int] = set()
    renumbered = []
    for row, one in enumerate(ids):
        if _is_int64(one) and one in seen:
            section.rows[row] = {**section.rows[row], "id": next_id, "original_id": one}
            renumbered.append(f"{one} -> {next_id}")
            next_id += 1
        elif _is_int64(one):
            seen.add(one)
    if renumbered:
        shown = ", ".join(renumbered[:_SHOWN]) + (", ..." if len(renumbered) > _SHOWN else "")
        _log.warning(
            "%s: %d annotations had an id that was taken and got a new one: %s",
            where,
            len(renumbered),
            shown,
        )


def _annotations(section: _Section, source: str) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "annotation_id": section.unique_ids(),
        "image_id": section.integers("image_id"),
        "category_id": section.integers("category_id"),
    }
    columns |= dict(zip(BOX, _boxes(section).T, strict=True))
    columns["area"] = _areas(section)
    columns["segmentation"] = _segmentations(section)
    columns["iscrowd"] = _crowds(section)
    columns["source"] = _sources(section, source)
    columns["score"] = _scores(section)
    columns["extra"] = section.extras()
    return pd.DataFrame(columns)


def _boxes(section: _Section) -> NDArray[np.float64]:
    """Corners, (N, 4), from `x, y, w, h`."""
    kind = "bbox is not four finite numbers, write [x, y, width, height]"
    values = section.required("bbox", _is_box, _are_boxes, kind, [0.0, 0.0, 0.0, 0.0])
    sizes = np.array(values, dtype=np.float64).reshape(-1, 4)
    corners = sizes.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        corners[:, 2:] += sizes[:, :2]
        inexact = (corners[:, 2:] - corners[:, :2] != sizes[:, 2:]).any(axis=1)
    for row in np.flatnonzero(~np.isfinite(corners).all(axis=1)).tolist():
        section.fault(row, "bbox", kind, values[row])
    for row in np.flatnonzero(inexact).tolist():
        section.note(row, "bbox", values[row])
    return corners


def _areas(section: _Section) -> NDArray[np.float64]:
    """Areas in square pixels; NaN where the file has none."""
    areas = np.full(len(section.rows), np.nan)
    for row, area in enumerate(section.values("area")):
        if area is _MISSING:
            section.note_absent(row, "area")
        elif area is None:
            section.note(row, "area", None)
        elif _is_number(area):
            areas[row] = area
        else:
            section.fault(row, "area", "area is not a finite number, correct or remove it", area)
    return areas


def _segmentations(section: _Section) -> list[str | None]:
    texts: list[str | None] = []
    for row, segmentation in enumerate(section.values("segmentation")):
        if segmentation is _MISSING:
            texts.append(None)
        elif segmentation is None or segmentation == []:
            section.note(row, "segmentation", segmentation)
            texts.append(None)
        elif _is_polygons(segmentation) or _is_rle(segmentation):
            texts.append(_json(segmentation))
        else:
            kind = "segmentation is neither a list of polygons nor an RLE, correct or remove it"
            section.fault(row, "segmentation", kind)
            texts.append(None)
    return texts


def _crowds(section: _Section) -> list[bool]:
    crowds = section.values("iscrowd")
    for row, crowd in enumerate(crowds):
        if crowd is _MISSING:
            section.note_absent(row, "iscrowd")
        elif crowd is None or type(crowd) is bool:
            section.note(row, "iscrowd", crowd)
        elif crowd not in (0, 1):
            section.fault(row, "iscrowd", "iscrowd is neither 0 nor 1, correct it", crowd)
    return [crowd is not _MISSING and bool(crowd) for crowd in crowds]


def _sources(section: _Section, default: str) -> list[str]:
    sources = section.values("source")
    for row, source in enumerate(sources):
        if source is _MISSING:
            sources[row] = default
            continue
        # The default is left out on writing, and other files have a "source" of their own.
        if source != "pseudo":
            section.note(row, "source", source)
        sources[row] = _source_text(source)
    return sources


def _scores(section: _Section) -> list[float]:
    scores = section.values("score")
    for row, score in enumerate(scores):
        if score is _MISSING:
            scores[row] = 1.0
        elif not _is_number(score) or not 0 <= score <= 1:
            section.fault(row, "score", "score is not a number from 0 to 1, correct it", score)
        elif score == 1:
            section.note(row, "score", score)
    return scores


def _check_references(
    annotations: _Section, other: _Section, key: str, table: pd.DataFrame
) -> None:
    if not other.present:
        return
    known = set(table[key].tolist())
    what = key.removesuffix("_id")
    for row, value in enumerate(annotations.values(key)):
        if row not in annotations.bad.get(key, ()) and value not in known:
            kind = f"unknown {key}, add the {what} to {other.name!r} or remove the annotation"
            annotations.fault(row, key, kind, value)


def _derived_areas(
    annotations: pd.DataFrame, images: pd.DataFrame, faults: _Faults
) -> NDArray[np.float64]:
    areas = annotations["area"].to_numpy(dtype=np.float64, copy=True)
    missing = np.flatnonzero(np.isnan(areas))
    sizes = {row[0]: row[1:] for row in _rows(images, ["image_id", "height", "width"])}
    columns = ["annotation_id", "image_id", "segmentation", *BOX]
    for row, entry in zip(missing, _rows(annotations.iloc[missing], columns), strict=True):
        annotation_id, image_id, segmentation, *box = entry
        try:
            areas[row] = annotation_area(segmentation, box, *sizes[image_id])
        except AnnotationError as error:
            faults.add(str(error), f"annotation id {annotation_id}")
    return areas


# Checks of values


def _are_int64(values: list[Any]) -> bool:
    return not values or (
        set(map(type, values)) == {int} and min(values) >= -(2**63) and max(values) < 2**63
    )


def _are_texts(values: list[Any]) -> bool:
    try:
        "".join(values).encode()
    except (TypeError, UnicodeEncodeError):  # half a surrogate pair fits no table
        return False
    return True


def _are_boxes(values: list[Any]) -> bool:
    return (
        {list}.issuperset(map(type, values))
        and {4}.issuperset(map(len, values))
        and {int, float}.issuperset(map(type, chain.from_iterable(values)))
        and _all_finite(chain.from_iterable(values))
    )


def _is_int64(value: Any) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


def _is_text(value: Any) -> bool:
    return type(value) is str and _are_texts([value])


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and _all_finite((value,))


def _is_box(value: Any) -> bool:
    return (
        type(value) is list
        and len(value) == 4
        and {int, float}.issuperset(map(type, value))
        and _all_finite(value)
    )


def _is_polygons(value: Any) -> bool:
    return type(value) is list and all(
        type(polygon) is list and len(polygon) % 2 == 0 and _all_finite(polygon)
        for polygon in value
    )


def _is_rle(value: Any) -> bool:
    if type(value) is not dict:
        return False
    size, counts = value.get("size"), value.get("counts")
    whole_size = type(size) is list and len(size) == 2 and all(map(_is_int64, size))
    return whole_size and (
        type(counts) is str or (type(counts) is list and all(map(_is_int64, counts)))
    )


def _all_finite(values: Iterable[Any]) -> bool:
    try:
        return all(map(isfinite, values))
    except (TypeError, OverflowError):
        return False


def _leaves_folder(name: str) -> bool:
    if not name:
        return True
    if name[0] not in "/\\" and ".." not in name and name[1:2] != ":":
        return False
    slashed = name.replace("\\", "/")
    return (
        slashed.startswith("/")
        or PureWindowsPath(name).is_absolute()
        or posixpath.normpath(slashed).split("/")[0] == ".."
    )


def _group_text(group: Any, default: str) -> str | None:
    """The group as the column holds it; None where it is not one."""
    if group is None:
        return default
    return str(group) if type(group) is int or _is_text(group) else None


def _source_text(source: Any) -> str:
    return "pseudo" if source == "pseudo" else "human"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# Writing: tables to document


def _image_entries(images: pd.DataFrame) -> list[dict[str, Any]]:
    entries = []
    for image_id, file_name, width, height, group, extra in _rows(images, IMAGES.names):
        kept = _kept(extra)
        entry = {"id": image_id, "file_name": file_name, "width": width, "height": height}
        if "group" in kept and _group_text(kept["group"], str(image_id)) == group:
            entry["group"] = kept["group"]
        elif group != str(image_id):
            entry["group"] = group
        entries.append(_with_rest(entry, kept, "images"))
    return entries


def _category_entries(categories: pd.DataFrame) -> list[dict[str, Any]]:
    entries = []
    for category_id, name, family, extra in _rows(categories, CATEGORIES.names):
        kept = _kept(extra)
        entry = {"id": category_id, "name": name}
        if family:
            entry["supercategory"] = family
        elif "supercategory" in kept:
            entry["supercategory"] = kept["supercategory"]
        entries.append(_with_rest(entry, kept, "categories"))
    return entries


def _annotation_entries(annotations: pd.DataFrame, images: pd.DataFrame) -> list[dict[str, Any]]:
    sizes = {row[0]: row[1:] for row in _rows(images, ["image_id", "height", "width"])}
    entries = []
    for row in _rows(annotations, ANNOTATIONS.names):
        annotation_id, image_id, category_id, *box, area, text, crowd, source, score, extra = row
        kept = _kept(extra)
        absent = kept.get(ABSENT, ())
        entry = {"id": annotation_id, "image_id": image_id, "category_id": category_id}
        entry["bbox"] = _box_entry(box, kept.get("bbox"))
        if "area" in absent or "area" in kept:
            if area != annotation_area(text, box, *sizes[image_id]):
                entry["area"] = area
            elif "area" in kept:
                entry["area"] = kept["area"]
        else:
            entry["area"] = area
        if text is not None:
            entry["segmentation"] = json.loads(text)
        elif "segmentation" in kept:
            entry["segmentation"] = kept["segmentation"]
        if "iscrowd" in kept and bool(kept["iscrowd"]) == crowd:
            entry["iscrowd"] = kept["iscrowd"]
        elif crowd or "iscrowd" not in absent:
            entry["iscrowd"] = int(crowd)
        if "source" in kept and _source_text(kept["source"]) == source:
            entry["source"] = kept["source"]
        elif source != "human":
            entry["source"] = source
        if score != 1 or "score" in kept:
            entry["score"] = score
        entries.append(_with_rest(entry, kept, "annotations"))
    return entries


def _box_entry(corners: list[float], kept: list[float] | None) -> list[float]:
    """`x, y, w, h`: as the file had it if the box is still the same."""
    x_min, y_min, x_max, y_max = corners
    if kept is not None and corners == [*kept[:2], kept[0] + kept[2], kept[1] + kept[3]]:
        return kept
    return [x_min, y_min, x_max - x_min, y_max - y_min]


def _rows(table: pd.DataFrame, columns: list[str]) -> Iterable[tuple[Any, ...]]:
    """Rows as tuples of Python values, None where one is missing."""
    lists = []
    for name in columns:
        column = table[name]
        values = column.tolist()
        if column.hasnans:
            values = [
                None if gone else value
                for gone, value in zip(column.isna().tolist(), values, strict=True)
            ]
        lists.append(values)
    return zip(*lists, strict=True)


def _kept(extra: str | None) -> dict[str, Any]:
    kept: dict[str, Any] = {} if extra is None else json.loads(extra)
    return kept


def _with_rest(entry: dict[str, Any], kept: dict[str, Any], section: str) -> dict[str, Any]:
    if not kept:
        return entry
    known = _KEYS[section]
    return entry | {k: v for k, v in kept.items() if k not in known and k != ABSENT}
