"""Tables on disk that are read and written by parts: runs of whole images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.files import new_file
from recycling.tables import Schema, TableError

if TYPE_CHECKING:
    import pyarrow as pa

Function = TypeVar("Function", bound=Callable[..., Any])

Ids = NDArray[np.int64]

ROWS_AT_A_TIME = 200_000
"""About how many rows a part has, those of all tables that are read together."""

GIVEN_PARTS: ContextVar[bool] = ContextVar("given_parts", default=False)
"""Whether who loads a table now takes a `StoredTable` for it."""

_BATCH = 65_536  # rows that are read of a file at a time
_SAMPLED = 1000  # rows a part, from which the bounds of parts are taken


@dataclass(frozen=True)
class StoredTable:
    """A Parquet file of rows with an `image_id`, read some images at a time.

    Attributes:
        path: The file.
        schema: Its form; other columns are not read.

    Example:
        >>> from recycling.predictions import DETECTIONS
        >>> path = getfixture("tmp_path") / "boxes.parquet"
        >>> rows = [[image_id, 1, 0.5, 0.0, 0.0, 9.0, 9.0] for image_id in (3, 4, 4, 8)]
        >>> pd.DataFrame(rows, columns=DETECTIONS.names).to_parquet(path)
        >>> table = StoredTable(path, DETECTIONS)
        >>> len(table), [len(part) for part in table.parts(np.array([4, 8]))]
        (4, [1, 2, 1])
    """

    path: Path
    schema: Schema

    def __len__(self) -> int:
        with self._opened() as file:
            return int(file.metadata.num_rows)

    def whole(self) -> pd.DataFrame:
        """All rows.

        Raises:
            TableError: They are not what the schema says.
        """
        return next(self.parts(np.empty(0, np.int64)))

    def parts(self, bounds: Ids) -> Iterator[pd.DataFrame]:
        """The rows of the images below the first bound, from there below the second, and so on.

        Where the file is not in the order of its images, its rows are first dealt into temporary
        files, one a part.

        Args:
            bounds: (parts - 1,) ids of images, ascending.

        Yields:
            A table a part, also where it has no rows; in the order of images where the file is, or
            where there are several parts.

        Raises:
            TableError: The rows are not what the schema says, or the file is damaged.
        """
        if len(bounds) == 0 or self.is_ascending:
            yield from self._runs(bounds)
            return
        import pyarrow as pa

        with TemporaryDirectory(prefix="recycling-") as folder:
            files = [Path(folder, str(number)) for number in range(len(bounds) + 1)]
            with ExitStack() as opened:
                writers: dict[int, Any] = {}
                for batch in self._batches():
                    part = np.searchsorted(bounds, _ids(batch), side="right")
                    for number in np.unique(part).tolist():
                        if number not in writers:
                            stream = pa.ipc.new_stream(str(files[number]), batch.schema)
                            writers[number] = opened.enter_context(stream)
                        writers[number].write(batch.take(pa.array(np.flatnonzero(part == number))))
            for number, file in enumerate(files):
                batches: list[Any] = []
                if number in writers:
                    with pa.OSFile(str(file)) as source, pa.ipc.open_stream(source) as stream:
                        batches = [*stream]
                    file.unlink()
                rows = self._frame(batches)
                yield rows.sort_values("image_id", kind="stable", ignore_index=True)

    def some_columns(self, *names: str) -> Iterator[pd.DataFrame]:
        """Some of its columns, some rows at a time, in the order of the file."""
        for batch in self._batches(*names):
            yield batch.to_pandas()

    def sample(self, every: int) -> Ids:
        """The images of some rows: one of every so many."""
        found = [_ids(batch)[::every] for batch in self._batches("image_id")]
        return np.concatenate([np.empty(0, np.int64), *found])

    def _runs(self, bounds: Ids) -> Iterator[pd.DataFrame]:
        """The parts of a file that is in the order of its images."""
        left, held = bounds.tolist(), list[Any]()
        for batch in self._batches():
            start, ids = 0, _ids(batch)
            # A part is whole once an image beyond it has been seen.
            while left and (stop := int(np.searchsorted(ids, left[0]))) < len(ids):
                held.append(batch.slice(start, stop - start))
                yield self._frame(held)
                start, held = stop, []
                left.pop(0)
            held.append(batch.slice(start))
        for _ in range(len(left) + 1):
            yield self._frame(held)
            held = []

    def _frame(self, batches: Sequence[pa.RecordBatch]) -> pd.DataFrame:
        import pyarrow as pa

        with self._opened() as file:
            form = pa.schema([file.schema_arrow.field(name) for name in self._columns(file)])
        table = pa.Table.from_batches(batches, schema=form)
        frame = table.to_pandas(split_blocks=True)
        return self.schema.conform(frame, where=f"{self.path}: {_span(frame)}")

    def _batches(self, *columns: str) -> Iterator[pa.RecordBatch]:
        with self._opened() as file:
            names = [*columns] or self._columns(file)
            try:
                # One by one: what is read of a row group is held till the iterator ends.
                for group in range(file.num_row_groups):
                    yield from file.iter_batches(_BATCH, row_groups=[group], columns=names)
            except (OSError, ValueError) as error:
                raise self._damaged(error) from error

    def _columns(self, file: Any) -> list[str]:
        optional = [column.name for column in self.schema.optional]
        return [*self.schema.names, *(name for name in optional if name in file.schema_arrow.names)]

    def _opened(self) -> Any:
        import pyarrow.parquet as pq

        try:
            file = pq.ParquetFile(self.path)
        except FileNotFoundError:
            raise TableError(f"{self.path}: no such file; make it again") from None
        except (OSError, ValueError) as error:
            raise self._damaged(error) from error
        if not set(self.schema.names) <= {*file.schema_arrow.names}:
            self.schema.conform(file.schema_arrow.empty_table().to_pandas(), where=str(self.path))
        return file

    def _damaged(self, error: Exception) -> TableError:
        reason = str(error).splitlines()[0]
        return TableError(f"{self.path}: damaged Parquet ({reason}); make it again")

    @cached_property
    def is_ascending(self) -> bool:
        """Whether its rows are in the order of their images."""
        last = np.iinfo(np.int64).min
        for batch in self._batches("image_id"):
            ids = _ids(batch)
            if len(ids) and (ids[0] < last or (np.diff(ids) < 0).any()):
                return False
            last = ids[-1] if len(ids) else last
        return True


@dataclass(frozen=True)
class TableParts:
    """A table that is computed part by part, as often as it is iterated over.

    Attributes:
        make: Gives the parts, in the order of their rows.

    Example:
        >>> folds = TableParts(lambda: iter([pd.DataFrame({"fold": [n]}) for n in (0, 1)]))
        >>> folds.whole()["fold"].tolist()
        [0, 1]
    """

    make: Callable[[], Iterator[pd.DataFrame]]

    def __iter__(self) -> Iterator[pd.DataFrame]:
        return self.make()

    def whole(self) -> pd.DataFrame:
        """All rows."""
        return pd.concat(list(self), ignore_index=True)


def by_parts(function: Function) -> Function:
    """Say of a node function that it takes tables on disk as `StoredTable`, and reads parts.

    >>> is_by_parts(by_parts(lambda table: len(table))), is_by_parts(len)
    (True, False)
    """
    vars(function)["by_parts"] = True
    return function


def is_by_parts(function: Callable[..., Any]) -> bool:
    """Whether `by_parts` was said of a node function."""
    return bool(getattr(function, "by_parts", False))


def whole(value: Any) -> Any:
    """A value, read whole where it is read by parts.

    >>> whole(3)
    3
    """
    return value.whole() if hasattr(value, "whole") else value


def bounds_of(tables: Iterable[StoredTable]) -> Ids:
    """Where to part tables that are read together.

    Args:
        tables: The tables.

    Returns:
        (parts - 1,) ids of images, ascending; see `StoredTable.parts`. A part has about
        `ROWS_AT_A_TIME` rows, and whole images.
    """
    rows = ROWS_AT_A_TIME
    every = max(1, rows // _SAMPLED)
    sample = np.sort(np.concatenate([table.sample(every) for table in tables]))
    bounds: Ids = np.unique(sample[rows // every :: max(1, rows // every)])
    return bounds


def in_parts(function: Callable[[dict[str, Any]], pd.DataFrame], tables: Mapping[str, Any]) -> Any:
    """What a function makes of tables, part by part where they are on disk.

    Args:
        function: Takes the tables by name; what it makes of some images does not depend on others.
        tables: Tables, or `StoredTable` all of them.

    Returns:
        What the function gives; `TableParts` of that for tables on disk of more than one part.
    """
    stored = {name: own for name, own in tables.items() if isinstance(own, StoredTable)}
    if len(stored) < len(tables) or not stored:
        return function({name: whole(own) for name, own in tables.items()})

    bounds = bounds_of(stored.values())
    if len(bounds) == 0:
        return function({name: own.whole() for name, own in stored.items()})

    def make() -> Iterator[pd.DataFrame]:
        parts = (own.parts(bounds) for own in stored.values())
        firsts = ["the first image", *(f"image {image_id}" for image_id in bounds.tolist())]
        for first, *some in zip(firsts, *parts, strict=True):
            try:
                made = function(dict(zip(stored, some, strict=True)))
            except ValueError as error:
                # Its rows are counted from there.
                error.args = (f"from {first} on: {error}",)
                raise
            yield made

    return TableParts(make)


def write_table(path: Path, schema: Schema, parts: Iterable[pd.DataFrame], *, where: str) -> None:
    """Write a table to a Parquet file that appears whole or not at all.

    Args:
        path: The file.
        schema: Its form.
        parts: Its rows, a part after the other; one at least.
        where: What to call it in a message.

    Raises:
        TableError: The rows are not what the schema says.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with new_file(path) as unfinished, ExitStack() as opened:
        writer = None
        for part in parts:
            rows = pa.Table.from_pandas(schema.conform(part, where=where), preserve_index=False)
            if writer is None:
                writer = opened.enter_context(pq.ParquetWriter(unfinished, rows.schema))
                writer.write_table(rows)
            elif len(rows):
                writer.write_table(rows)


def _ids(batch: pa.RecordBatch) -> Ids:
    return np.asarray(batch.column("image_id").to_numpy(zero_copy_only=False), dtype=np.int64)


def _span(frame: pd.DataFrame) -> str:
    if frame.empty:
        return "no rows"
    return f"images {frame['image_id'].iloc[0]} to {frame['image_id'].iloc[-1]}"
