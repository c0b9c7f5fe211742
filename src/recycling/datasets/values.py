"""Kedro datasets for the values that flow through the pipelines."""

from __future__ import annotations

import json
import shutil
from difflib import get_close_matches
from pathlib import Path
from typing import Unpack, cast

import pandas as pd
from kedro.io import DatasetError
from kedro_datasets._typing import TablePreview

# Each of these rooms registers its tables.
import recycling.diagnostics
import recycling.ensembling
import recycling.pseudo_labels
import recycling.splitting  # noqa: F401
from recycling.annotations import Annotations, StoredAnnotations, read_tables, write_tables
from recycling.backends import Checkpoint
from recycling.datasets.core import PathDataset, PathOptions
from recycling.errors import one_line
from recycling.evaluation import EvaluationError, Metrics
from recycling.files import new_folder, write_json
from recycling.predictions import DETECTIONS, LabelMaps, ProbabilityMaps
from recycling.stored_tables import GIVEN_PARTS, StoredTable, TableParts, write_table
from recycling.tables import TABLES


class AnnotationsDataset(PathDataset[Annotations]):
    """Annotations as a folder of Parquet tables.

    A node that is `by_parts` is given `StoredAnnotations`.
    """

    is_folder = True

    def read(self, path: Path) -> Annotations:  # noqa: D102
        return (
            cast(Annotations, StoredAnnotations(path)) if GIVEN_PARTS.get() else read_tables(path)
        )

    def write(self, data: Annotations, path: Path) -> None:  # noqa: D102
        write_tables(data, path)


class TableDataset(PathDataset[pd.DataFrame]):
    """A table with a schema, as Parquet; its form is checked on reading and on writing.

    A node that is `by_parts` is given detections as a `StoredTable`.

    Example::

        folds:
          type: recycling.datasets.TableDataset
          table: folds
          filepath: data/05_model_input/folds.parquet

    Args:
        table: Which one: a name of `recycling.tables.TABLES`.
        filepath: The file.
        common: As for `PathDataset`.

    Attributes:
        value_type: What the annotations of functions call this table.

    Raises:
        DatasetError: There is no such table.
    """

    def __init__(
        self,
        *,
        table: str,
        filepath: str | Path,
        **common: Unpack[PathOptions],
    ) -> None:
        super().__init__(filepath=filepath, **common)
        if table not in TABLES:
            near = get_close_matches(str(table), TABLES)
            known = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(TABLES)}"
            raise DatasetError(f"{filepath}: table: no table is called {table!r}; {known}")
        self.table = table
        self.schema = TABLES[table].schema
        self.value_type = TABLES[table].type

    def read(self, path: Path) -> pd.DataFrame:  # noqa: D102
        if GIVEN_PARTS.get() and self.schema is DETECTIONS:
            return cast(pd.DataFrame, StoredTable(path, self.schema))
        return self.schema.conform(pd.read_parquet(path), where=self.url or str(path))

    def write(self, data: pd.DataFrame, path: Path) -> None:  # noqa: D102
        parts = data if isinstance(data, TableParts) else [data]
        write_table(path, self.schema, parts, where=str(self.url or path))

    def preview(self, nrows: int = 20) -> TablePreview:
        """The first rows, for Kedro-Viz, which knows what to draw by the name of the type."""
        return TablePreview(json.loads(self.load().head(nrows).to_json(orient="split")))


class LabelMapsDataset(PathDataset[LabelMaps]):
    """Label maps as a folder of PNG files, one an image, read when they are asked for."""

    is_folder = True

    def read(self, path: Path) -> LabelMaps:  # noqa: D102
        return LabelMaps.from_folder(path)

    def write(self, data: LabelMaps, path: Path) -> None:  # noqa: D102
        with new_folder(path) as unfinished:
            data.write(unfinished)


class ProbabilityMapsDataset(PathDataset[ProbabilityMaps]):
    """Probability planes as a folder of npz files, one an image, read when they are asked for."""

    is_folder = True

    def read(self, path: Path) -> ProbabilityMaps:  # noqa: D102
        return ProbabilityMaps.from_folder(path)

    def write(self, data: ProbabilityMaps, path: Path) -> None:  # noqa: D102
        with new_folder(path) as unfinished:
            data.write(unfinished)


class CheckpointDataset(PathDataset[Checkpoint]):
    """A trained model as a folder."""

    is_folder = True

    def described(self) -> Checkpoint:
        """The checkpoint, for what it says of itself: of one at a URL the weights stay there."""
        return self._loaded(only="checkpoint.json")

    def read(self, path: Path) -> Checkpoint:  # noqa: D102
        return Checkpoint(path)

    def write(self, data: Checkpoint, path: Path) -> None:  # noqa: D102
        with new_folder(path) as unfinished:
            # With times of its own, not the original's: what follows from it is made after now.
            shutil.copytree(data.folder, unfinished, copy_function=shutil.copy, dirs_exist_ok=True)


class MetricsDataset(PathDataset[Metrics]):
    """The metrics of one set of predictions, as JSON."""

    def read(self, path: Path) -> Metrics:  # noqa: D102
        content = json.loads(path.read_text())
        try:
            return Metrics.from_dict(content)
        except (EvaluationError, AttributeError, TypeError) as error:
            raise EvaluationError(
                f"{path}: not metrics ({one_line(error)}); make it again"
            ) from error

    def write(self, data: Metrics, path: Path) -> None:  # noqa: D102
        write_json(path, data.to_dict())
