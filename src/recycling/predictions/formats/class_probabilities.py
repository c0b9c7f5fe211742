"""CSV files of class probabilities: ``annotation_id`` and a column for each category's name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from recycling.predictions.core import ClassProbabilities
from recycling.predictions.formats.class_table import (
    checked_probabilities,
    crops_in,
    read_class_probabilities_csv,
)
from recycling.predictions.formats.rows import write_csv
from recycling.predictions.submission import CLASS_FORMATS, ClassFormat, Format


class Probabilities(ClassFormat):
    """A row a crop: ``annotation_id`` and its probability for each category, by name."""

    format: Literal["class_probabilities"] = "class_probabilities"


def write_class_probabilities_csv(probabilities: ClassProbabilities, path: str | Path) -> None:
    """Write class probabilities to a CSV file, which appears whole or not at all.

    Args:
        probabilities: One row a crop, one column a class; reading gives the same numbers.
        path: The CSV file.

    Raises:
        TableError: The probabilities are not a table of class probabilities.
        SubmissionError: There is no class, or a probability is missing.
    """
    write_csv(_as_text(probabilities, str(path)), path)


def _as_text(probabilities: ClassProbabilities, where: str) -> pd.DataFrame:
    """Each probability as the shortest text that reads back as the same float32."""
    table, classes, _ = checked_probabilities(probabilities, where)
    columns = {name: table[name].to_numpy(dtype=np.float32).astype(str) for name in classes}
    return table.assign(**columns)


def _write(
    probabilities: ClassProbabilities, crops: pd.DataFrame, categories: pd.DataFrame
) -> pd.DataFrame:
    return _as_text(probabilities, "class probabilities")


CLASS_FORMATS.register("class_probabilities", Probabilities)(
    Format(_write, read_class_probabilities_csv, crops_in)
)
