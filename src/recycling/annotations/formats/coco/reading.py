"""From a COCO document to tables, with all that is wrong with it told in one line.

msgspec cuts a file into its entries without parsing them; `columns` parses a chunk of them at a
time. A document that is parsed already goes the same way.
"""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
from msgspec import UNSET, Raw
from numpy.typing import NDArray

from recycling.annotations.core import (
    SCHEMAS,
    AnnotationError,
    Annotations,
    free_ids,
    own_group,
)
from recycling.annotations.formats.coco.columns import (
    CHUNK,
    NO_ID,
    TEXT,
    Chunk,
    annotation_columns,
    category_columns,
    entry_name,
    image_columns,
)
from recycling.annotations.formats.coco.layout import ENTRIES, OWN_GROUP, is_no_group, json_text
from recycling.annotations.masks import annotation_areas
from recycling.annotations.outlines import check_segmentations
from recycling.errors import Faults, listed
from recycling.limits import LARGEST_ENTRY
from recycling.tables import TableError

Source = Literal["human", "pseudo"]
DuplicateIds = Literal["error", "renumber"]

_log = logging.getLogger(__name__)

_SHOWN = 3  # new ids named in the warning
_BOM = b"\xef\xbb\xbf"
_DOCUMENT = msgspec.json.Decoder(
    dict[str, list[Raw] | dict[str, Raw] | str | int | float | bool | None]
)
_VALUE = msgspec.json.Decoder()


def from_coco(
    document: Any,
    *,
    where: str,
    source: Source = "human",
    duplicate_ids: DuplicateIds = "error",
) -> Annotations:
    """Turn a parsed COCO document into tables.

    Boxes of no area and boxes outside the image are no faults here: cleaning deals with them.

    Args:
        document: What the JSON file holds; it is not changed.
        where: What to call it in messages: the file's or the dataset's name.
        source: Who made the annotations that do not say so themselves.
        duplicate_ids: What to do with a second annotation of the same id, as for `read_coco`.

    Returns:
        The tables.

    Raises:
        AnnotationError: The document is malformed. One line with all faults, counted by kind.

    >>> document = {
    ...     "images": [{"id": 1, "file_name": "a.jpg", "width": 4, "height": 3}],
    ...     "annotations": [{"id": 5, "image_id": 1, "category_id": 0, "bbox": [1, 1, 2, 1]}],
    ...     "categories": [{"id": 0, "name": "Glass"}],
    ... }
    >>> from_coco(document, where="example").annotations[["x_min", "y_min", "x_max", "y_max"]]
       x_min  y_min  x_max  y_max
    0    1.0    1.0    3.0    2.0
    """
    return completed(tables_of(document, where, source, duplicate_ids), where=where)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Parsing makes millions of objects and no circles, so that looking for these is in vain.

    With the search, reading 150,000 annotations takes 1.15 to 1.5 times as long.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_no_garbage_collection()
def tables_of_content(
    content: bytes, where: str, source: Source, duplicate_ids: DuplicateIds
) -> Annotations:
    """What a file says, before it is `completed`.

    Args:
        content: What it holds, unpacked.
        where: What to call it in messages.
        source: Who made the annotations that do not say so themselves.
        duplicate_ids: What to do with a second annotation of the same id.

    Raises:
        AnnotationError: It is malformed. One line with all faults, counted by kind.
    """
    try:
        document = {
            key: value if key in ENTRIES else _plain(value)
            for key, value in _DOCUMENT.decode(content.removeprefix(_BOM)).items()
        }
        return tables_of(document, where, source, duplicate_ids)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Python's json reads more (NaN, UTF-16), and says where a file is no JSON.
        return tables_of(_parsed(content, where), where, source, duplicate_ids)


def tables_of(
    document: Any, where: str, source: Source, duplicate_ids: DuplicateIds
) -> Annotations:
    """What a document says whose sections hold entries that are parsed, or all `Raw`.

    An area that it left out is NaN, until the tables are `completed`.

    Raises:
        AnnotationError: It is malformed. One line with all faults, counted by kind.
        msgspec.DecodeError: An entry is JSON that only Python reads, such as NaN.
    """
    if not isinstance(document, dict):
        raise AnnotationError(
            f"{where}: holds a {type(document).__name__}, not a JSON object; a COCO file is an "
            f"object with the keys {', '.join(ENTRIES)}"
        )
    faults = Faults(where, AnnotationError)
    images = _section(document, "images", image_columns, faults)
    categories = _section(document, "categories", category_columns, faults)
    annotations = _section(
        document, "annotations", lambda chunk: annotation_columns(chunk, source), faults
    )
    if duplicate_ids == "renumber":
        _renumber(annotations.table, where)
    for section in (images, categories, annotations):
        ids = section.ids
        bad = ids.duplicated().to_numpy() & (ids != NO_ID).to_numpy()
        kind = "id used twice, give each its own"
        if section is annotations:
            kind += ", or set duplicate_ids: renumber (in the catalog entry) to give new ones"
        section.add_faults(bad, kind, faults)
    for name, other in (("image", images), ("category", categories)):
        if other.is_there and not (other.ids == NO_ID).any():  # else all of them are unknown
            values = annotations.table[f"{name}_id"]
            bad = ~values.isin(other.ids).to_numpy() & (values != NO_ID).to_numpy()
            kind = f"unknown {name}_id, add the {name} to {other.name!r} or remove the annotation"
            annotations.add_faults(bad, kind, faults, values)
    faults.raise_if_any()
    _give_own_groups(images.table)
    extra = {key: value for key, value in document.items() if key not in ENTRIES}
    return Annotations(images.table, annotations.table, categories.table, extra)


def completed(tables: Annotations, *, where: str) -> Annotations:
    """Derive the areas that the file left out, and check the tables against their schemas.

    Args:
        tables: What the document says.
        where: What to call it in messages.

    Raises:
        AnnotationError: A mask does not fit its image, or a value is out of range.
    """
    images, annotations, categories = map(
        _in_one_piece, (tables.images, tables.annotations, tables.categories)
    )
    faults = Faults(where, AnnotationError)
    check_segmentations(
        annotations,
        images,
        faults,
        lambda row: f"annotation id {annotations['annotation_id'].iloc[row]}",
    )
    faults.raise_if_any()
    without = annotations["area"].isna().to_numpy()
    if without.any():
        areas = annotations["area"].to_numpy(dtype=np.float64, copy=True)
        areas[without] = annotation_areas(annotations[without], images)
        annotations = annotations.assign(area=areas)
    try:
        return Annotations(images, annotations, categories, tables.extra).conform(f"{where}, ")
    except TableError as error:
        raise AnnotationError(f"{error}; correct it in the file") from error


@dataclass(frozen=True)
class _Section:
    """One list of a document.

    Attributes:
        name: The list's key.
        table: Its table.
        numbers: The index in the list of each row, chunk by chunk.
        is_there: Whether the document has that list.
    """

    name: str
    table: pd.DataFrame
    numbers: list[Sequence[int]]
    is_there: bool

    @property
    def ids(self) -> pd.Series:
        """The entries' own ids."""
        return self.table.iloc[:, 0]

    def add_faults(
        self, bad: NDArray[np.bool_], kind: str, faults: Faults, values: pd.Series | None = None
    ) -> None:
        """Note a fault of some rows."""
        if not bad.any():
            return
        numbers = list(chain.from_iterable(self.numbers))
        faults.add_where(
            bad,
            kind,
            lambda row: entry_name(
                self.name,
                numbers[row],
                int(self.ids.iloc[row]),
                UNSET if values is None else int(values.iloc[row]),
            ),
        )


def _section(
    document: Mapping[str, Any],
    name: str,
    columns_of: Callable[[Chunk], dict[str, Any]],
    faults: Faults,
) -> _Section:
    given = document.get(name)
    is_there = isinstance(given, list)
    entries: list[Any] = given if isinstance(given, list) else []
    if not is_there:
        kind = "section is not a list, make it one"
        if name not in document:
            kind = "section missing, add it (an empty list will do)"
        faults.add(kind, repr(name))
    _check_sizes(name, entries, faults)
    columns: dict[str, Any] = {
        column.name: [] if column.dtype == "string" else np.empty(len(entries), column.dtype)
        for column in SCHEMAS[name].columns
    }
    numbers: list[Sequence[int]] = []
    n_rows = 0
    for start in range(0, max(len(entries), 1), CHUNK):
        chunk = Chunk(name, entries[start : start + CHUNK], start, faults)
        for column, values in columns_of(chunk).items():
            if isinstance(columns[column], list):
                columns[column].append(values)
            else:
                columns[column][n_rows : n_rows + len(values)] = values
        numbers.append(chunk.numbers)
        n_rows += len(chunk.numbers)
    columns = {
        column: _text_column(pa.chunked_array(values, TEXT))
        if isinstance(values, list)
        else values[:n_rows]
        for column, values in columns.items()
    }
    return _Section(name, pd.DataFrame(columns, copy=False), numbers, is_there)


def _check_sizes(name: str, entries: Sequence[Any], faults: Faults) -> None:
    """Stop before an entry is taken apart that would fill the memory."""
    if not entries or type(entries[0]) is not Raw:
        return
    sizes = [len(memoryview(entry)) for entry in entries]
    if max(sizes) > LARGEST_ENTRY:
        kind = f"more than {LARGEST_ENTRY >> 20} MB, remove it or simplify its polygons"
        faults.add(kind, f"{name}[{sizes.index(max(sizes))}]")
        faults.raise_if_any()


def _plain(value: Any) -> Any:
    """A value of the document's top level, with what it holds parsed."""
    if isinstance(value, list):
        return [_VALUE.decode(raw) for raw in value]
    if isinstance(value, dict):
        return {key: _VALUE.decode(raw) for key, raw in value.items()}
    return value


def _parsed(content: bytes, where: str) -> Any:
    try:
        return json.loads(content)
    except RecursionError:
        raise AnnotationError(f"{where}: not COCO: nested too deeply; check the file") from None
    except ValueError as error:
        raise AnnotationError(
            f"{where}: not JSON: {error}; a COCO annotation file is JSON, plain or gzip"
        ) from error


def _renumber(table: pd.DataFrame, where: str) -> None:
    """Give annotations whose id is taken a new one, in place."""
    ids = table["annotation_id"]
    rows = np.flatnonzero((ids.duplicated() & (ids != NO_ID)).to_numpy())
    if not len(rows):
        return
    renumbered = []
    new, extra = ids.tolist(), table["extra"].tolist()
    free = free_ids(set(new), len(rows))
    for new_id, row in zip(free, rows.tolist(), strict=True):
        renumbered.append(f"{new[row]} -> {new_id}")
        kept = {} if pd.isna(extra[row]) else json.loads(extra[row])
        extra[row] = json_text(kept | {"original_id": new[row]})
        new[row] = new_id
    table["annotation_id"] = np.array(new, dtype=np.int64)
    table["extra"] = _text_column(pa.array(extra, TEXT, from_pandas=True))
    _log.warning(
        "%s: %d annotations had an id that was taken and got a new one: %s",
        where,
        len(renumbered),
        listed(renumbered, _SHOWN),
    )


def _give_own_groups(images: pd.DataFrame) -> None:
    """Give images without a group another one than their id where that names a group, in place."""
    ids = images["image_id"].astype("string")
    of_own = (images["group"] == ids).to_numpy(dtype=bool)
    taken = set(images["group"][~of_own])
    groups, extra = images["group"].tolist(), images["extra"].tolist()
    rows = np.flatnonzero(of_own & ids.isin(taken).to_numpy(dtype=bool)).tolist()
    for row in rows:
        kept = {} if pd.isna(extra[row]) else json.loads(extra[row])
        if not is_no_group(kept.get("group")):
            continue  # it says that it is in the group of that name
        groups[row] = own_group(images["image_id"].iloc[row], taken)
        extra[row] = json_text(kept | {OWN_GROUP: groups[row]})
    if rows:
        images["group"] = _text_column(pa.array(groups, TEXT))
        images["extra"] = _text_column(pa.array(extra, TEXT, from_pandas=True))


def _in_one_piece(table: pd.DataFrame) -> pd.DataFrame:
    """The table with every text column in one piece, not a piece a chunk.

    pandas takes rows out of a column in pieces ten times more slowly.
    """
    for name in table.columns[table.dtypes == "string"]:
        array = pa.array(table[name])
        if isinstance(array, pa.ChunkedArray):
            table[name] = _text_column(array.combine_chunks())
    return table


def _text_column(array: pa.Array | pa.ChunkedArray) -> Any:
    return pd.array(array, dtype="string[pyarrow]")
