"""From a parsed COCO document to tables, with all that is wrong with it told in one line."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from math import isfinite
from pathlib import PureWindowsPath
from typing import Any, Literal, NamedTuple

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
from recycling.annotations.formats.coco.layout import (
    ABSENT,
    COLUMN_KEYS,
    SECTIONS,
    box_corners,
    box_sizes,
    group_text,
    is_text,
    json_text,
    json_texts,
    source_text,
)
from recycling.annotations.masks import annotation_area
from recycling.errors import Faults
from recycling.tables import TableError

_log = logging.getLogger(__name__)

_SHOWN = 3  # new ids named in the warning
_MISSING = object()


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
            f"object with the keys {', '.join(SECTIONS)}"
        )
    faults = Faults(where, AnnotationError)
    sections = {name: _section(document, name, faults) for name in SECTIONS}
    images = pd.DataFrame(image_columns(sections["images"]))
    categories = pd.DataFrame(category_columns(sections["categories"]))
    if duplicate_ids == "renumber":
        _renumber(sections["annotations"], where)
    annotations = pd.DataFrame(annotation_columns(sections["annotations"], source))
    for name, key, table in (
        ("images", "image_id", images),
        ("categories", "category_id", categories),
    ):
        if isinstance(document.get(name), list):
            _check_references(sections["annotations"], name, key, table)
    faults.raise_if_any()
    extra = {key: value for key, value in document.items() if key not in SECTIONS}
    return completed(Tables(images, annotations, categories, extra), where=where)


class Tables(NamedTuple):
    """What a document says, before it is `completed`.

    Attributes:
        images: The columns of `IMAGES`.
        annotations: The columns of `ANNOTATIONS`; an area that the file left out is NaN.
        categories: The columns of `CATEGORIES`.
        extra: What else the document holds.
    """

    images: pd.DataFrame
    annotations: pd.DataFrame
    categories: pd.DataFrame
    extra: dict[str, Any]


def completed(tables: Tables, *, where: str) -> Annotations:
    """Derive the areas that the file left out, and check the tables against their schemas.

    Args:
        tables: What the document says.
        where: What to call it in messages.

    Raises:
        AnnotationError: A mask does not fit its image, or a value is out of range.
    """
    images, annotations, categories, extra = tables
    if annotations["area"].hasnans:
        areas = _derived_areas(annotations, images, where)
        annotations = annotations.assign(area=areas)
    try:
        return Annotations(
            images=IMAGES.conform(images, where=f"{where}, images"),
            annotations=ANNOTATIONS.conform(annotations, where=f"{where}, annotations"),
            categories=CATEGORIES.conform(categories, where=f"{where}, categories"),
            extra=extra,
        )
    except TableError as error:
        raise AnnotationError(f"{error}; correct it in the file") from error


class Section:
    """The entries of one list of a document, taken apart key by key.

    Args:
        name: The list's key.
        entries: What it holds.
        faults: Where to put what is wrong.
        from_msgspec: Whether msgspec parsed the entries, so that no NaN is among them.
    """

    def __init__(
        self, name: str, entries: list[Any], faults: Faults, *, from_msgspec: bool = False
    ) -> None:
        self.name = name
        self.faults = faults
        self.from_msgspec = from_msgspec
        self.index = [row for row, entry in enumerate(entries) if type(entry) is dict]
        self.rows = entries
        if len(self.index) < len(entries):
            for row, entry in enumerate(entries):
                if type(entry) is not dict:
                    faults.add("entry is not an object, remove it", f"{name}[{row}]")
            self.rows = [entries[row] for row in self.index]
        self.bad: dict[str, set[int]] = {}
        self.notes = Notes()

    def place(self, row: int, value: Any = _MISSING) -> str:
        """How to name a row in a message, and its value where that tells more."""
        text = f"{self.name}[{self.index[row]}]"
        own_id = self.rows[row].get("id", _MISSING)
        if own_id is not _MISSING:
            text += f" (id {_short(own_id)})"
        return text if value is _MISSING else f"{text} has {_short(value)}"

    def fault(self, row: int, key: str, kind: str, value: Any = _MISSING) -> None:
        """Note that the value of a key is wrong."""
        self.bad.setdefault(key, set()).add(row)
        self.faults.add(kind, self.place(row, value))

    def values(self, key: str) -> list[Any]:
        """The values of a key; `_MISSING` where an entry does not have it."""
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
        """The whole numbers that every entry must have under a key."""
        kind = f"{key} is not a whole number, make it one"
        values = self.required(key, _is_int64, _are_int64, kind, 1)
        return np.array(values, dtype=np.int64)

    def unique_ids(self) -> NDArray[np.int64]:
        """The ids, each used once."""
        ids = self.integers("id")
        for row in np.flatnonzero(pd.Series(ids).duplicated().to_numpy()).tolist():
            if row not in self.bad.get("id", ()):
                self.fault(row, "id", "id used twice, give each its own")
        return ids

    def texts(self, key: str) -> list[str]:
        """The text that every entry must have under a key."""
        return self.required(key, is_text, _are_texts, f"{key} is not text, make it so", "-")

    def extras(self) -> list[str | None]:
        """What no column holds, as JSON text, and the notes."""
        known = COLUMN_KEYS[self.name]
        for row, entry in enumerate(self.rows):
            if known.issuperset(entry):
                continue
            if ABSENT in entry:
                self.fault(row, ABSENT, f"the key {ABSENT!r} is reserved, rename it")
            rest = {key: value for key, value in entry.items() if key not in known}
            self.notes.put_before(row, rest)
        return self.notes.texts(len(self.rows), from_msgspec=self.from_msgspec)


class Notes:
    """What the file said and the columns alone do not give back, by row."""

    def __init__(self) -> None:
        self._notes: dict[int, dict[str, Any]] = {}

    def note(self, row: int, key: str, value: Any) -> None:
        """Keep what the file said under a key."""
        self._notes.setdefault(row, {})[key] = value

    def note_absent(self, row: int, key: str) -> None:
        """Keep that the file did not have a key."""
        self._notes.setdefault(row, {}).setdefault(ABSENT, []).append(key)

    def put_before(self, row: int, rest: dict[str, Any]) -> None:
        """Keep what no column holds, before the notes on the columns."""
        self._notes[row] = rest | self._notes.get(row, {})

    def texts(self, n_rows: int, *, from_msgspec: bool) -> list[str | None]:
        """The `extra` of every row."""
        texts: list[str | None] = [None] * n_rows
        notes = list(self._notes.values())
        written = json_texts(notes) if from_msgspec else map(json_text, notes)
        for row, text in zip(self._notes, written, strict=True):
            texts[row] = text
        return texts


def image_columns(section: Section) -> dict[str, Any]:
    """The columns of `IMAGES`."""
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
        text = group_text(group, groups[row])
        if text is None:
            section.fault(row, "group", "group is neither text nor a whole number", group)
            continue
        if text != group or text == groups[row]:
            section.notes.note(row, "group", group)
        groups[row] = text
    extras = section.extras()
    return {"image_id": ids, "file_name": names, **sizes, "group": groups, "extra": extras}


def category_columns(section: Section) -> dict[str, Any]:
    """The columns of `CATEGORIES`."""
    ids = section.unique_ids()
    names = section.texts("name")
    families: list[str] = []
    for row, family in enumerate(section.values("supercategory")):
        if family is _MISSING:
            families.append("")
            continue
        if family is not None and not is_text(family):
            section.fault(row, "supercategory", "supercategory is not text, make it so", family)
            family = None
        if not family:
            section.notes.note(row, "supercategory", family)
        families.append(family or "")
    extras = section.extras()
    return {"category_id": ids, "name": names, "supercategory": families, "extra": extras}


def annotation_columns(section: Section, source: str) -> dict[str, Any]:
    """The columns of `ANNOTATIONS`; the area is NaN where the file has none."""
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
    return columns


def _section(document: Mapping[str, Any], name: str, faults: Faults) -> Section:
    entries: list[Any] = []
    if name not in document:
        faults.add("section missing, add it (an empty list will do)", repr(name))
    elif not isinstance(document[name], list):
        faults.add("section is not a list, make it one", repr(name))
    else:
        entries = document[name]
    return Section(name, entries, faults)


def _renumber(section: Section, where: str) -> None:
    """Give annotations whose id is taken a new one."""
    ids = [entry.get("id") for entry in section.rows]
    next_id = max((one for one in ids if _is_int64(one)), default=0) + 1
    seen: set[int] = set()
    rows = list(section.rows)  # the document itself stays as it is
    renumbered = []
    for row, one in enumerate(ids):
        if _is_int64(one) and one in seen:
            rows[row] = {**rows[row], "id": next_id, "original_id": one}
            renumbered.append(f"{one} -> {next_id}")
            next_id += 1
        elif _is_int64(one):
            seen.add(one)
    if renumbered:
        section.rows = rows
        shown = ", ".join(renumbered[:_SHOWN]) + (", ..." if len(renumbered) > _SHOWN else "")
        _log.warning(
            "%s: %d annotations had an id that was taken and got a new one: %s",
            where,
            len(renumbered),
            shown,
        )


def _boxes(section: Section) -> NDArray[np.float64]:
    """Corners, (N, 4), from `x, y, w, h`."""
    kind = "bbox is not four finite numbers, write [x, y, width, height]"
    values = section.required("bbox", _is_box, _are_boxes, kind, [0.0, 0.0, 0.0, 0.0])
    boxes = np.array(values, dtype=np.float64).reshape(-1, 4)
    corners = box_corners(boxes)
    for row in np.flatnonzero(~np.isfinite(corners).all(axis=1)).tolist():
        section.fault(row, "bbox", kind, values[row])
    for row in np.flatnonzero((box_sizes(corners) != boxes[:, 2:]).any(axis=1)).tolist():
        section.notes.note(row, "bbox", values[row])
    return corners


def _areas(section: Section) -> NDArray[np.float64]:
    """Areas in square pixels; NaN where the file has none."""
    areas = np.full(len(section.rows), np.nan)
    for row, area in enumerate(section.values("area")):
        if area is _MISSING:
            section.notes.note_absent(row, "area")
        elif area is None:
            section.notes.note(row, "area", None)
        elif _is_number(area):
            areas[row] = area
        else:
            section.fault(row, "area", "area is not a finite number, correct or remove it", area)
    return areas


def _segmentations(section: Section) -> list[str | None]:
    texts: list[str | None] = []
    for row, segmentation in enumerate(section.values("segmentation")):
        if segmentation is _MISSING:
            texts.append(None)
        elif segmentation is None or segmentation == []:
            section.notes.note(row, "segmentation", segmentation)
            texts.append(None)
        elif _is_polygons(segmentation) or _is_rle(segmentation):
            texts.append(json_text(segmentation))
        else:
            kind = "segmentation is neither a list of polygons nor an RLE, correct or remove it"
            section.fault(row, "segmentation", kind)
            texts.append(None)
    return texts


def _crowds(section: Section) -> list[bool]:
    crowds = section.values("iscrowd")
    for row, crowd in enumerate(crowds):
        if crowd is _MISSING:
            section.notes.note_absent(row, "iscrowd")
        elif crowd is None or type(crowd) is bool:
            section.notes.note(row, "iscrowd", crowd)
        elif crowd not in (0, 1):
            section.fault(row, "iscrowd", "iscrowd is neither 0 nor 1, correct it", crowd)
    return [crowd is not _MISSING and bool(crowd) for crowd in crowds]


def _sources(section: Section, default: str) -> list[str]:
    sources = section.values("source")
    for row, source in enumerate(sources):
        if source is _MISSING:
            sources[row] = default
            continue
        # The default is left out on writing, and other files have a "source" of their own.
        if source != "pseudo":
            section.notes.note(row, "source", source)
        sources[row] = source_text(source)
    return sources


def _scores(section: Section) -> list[float]:
    scores = section.values("score")
    for row, score in enumerate(scores):
        if score is _MISSING:
            scores[row] = 1.0
        elif not _is_number(score) or not 0 <= score <= 1:
            section.fault(row, "score", "score is not a number from 0 to 1, correct it", score)
        elif score == 1:
            section.notes.note(row, "score", score)
    return scores


def _check_references(annotations: Section, name: str, key: str, table: pd.DataFrame) -> None:
    known = set(table[key].tolist())
    what = key.removesuffix("_id")
    for row, value in enumerate(annotations.values(key)):
        if row not in annotations.bad.get(key, ()) and value not in known:
            kind = f"unknown {key}, add the {what} to {name!r} or remove the annotation"
            annotations.fault(row, key, kind, value)


def _derived_areas(
    annotations: pd.DataFrame, images: pd.DataFrame, where: str
) -> NDArray[np.float64]:
    areas = annotations["area"].to_numpy(dtype=np.float64, copy=True)
    missing = np.isnan(areas)
    masked = annotations["segmentation"].notna().to_numpy()
    boxes = annotations.loc[missing & ~masked, BOX].to_numpy(dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
        areas[missing & ~masked] = sides[:, 0] * sides[:, 1]
    faults = Faults(where, AnnotationError)
    rows = np.flatnonzero(missing & masked)
    if len(rows):
        sizes = images.set_index("image_id")[["height", "width"]]
        some = annotations.iloc[rows]
        for row, annotation_id, text, box, (height, width) in zip(
            rows.tolist(),
            some["annotation_id"].tolist(),
            some["segmentation"].tolist(),
            some[BOX].to_numpy().tolist(),
            sizes.loc[some["image_id"]].to_numpy().tolist(),
            strict=True,
        ):
            try:
                areas[row] = annotation_area(text, box, height, width)
            except AnnotationError as error:
                faults.add(str(error), f"annotation id {annotation_id}")
    faults.raise_if_any()
    return areas


# Checks of values


def _are_int64(values: list[Any]) -> bool:
    return not values or (
        set(map(type, values)) == {int} and min(values) >= -(2**63) and max(values) < 2**63
    )


def _are_texts(values: list[Any]) -> bool:
    try:
        "".join(values).encode()
    except (TypeError, UnicodeEncodeError):
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


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
