"""CSV files of the most likely class of each crop: ``annotation_id,category``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from recycling.predictions.core import ClassProbabilities
from recycling.predictions.formats.class_table import (
    CATEGORY,
    ID,
    checked_probabilities,
    crops_in,
    read_class_probabilities_csv,
)
from recycling.predictions.formats.rows import write_csv
from recycling.predictions.submission import CLASS_FORMATS, ClassFormat, Format


class Classes(ClassFormat):
    """A row a crop: ``annotation_id`` and the name of its most likely ``category``."""

    format: Literal["classes"] = "classes"


def write_classes_csv(probabilities: ClassProbabilities, path: str | Path) -> None:
    """Write the most likely class of each crop to a CSV file, which appears whole or not at all.

    Args:
        probabilities: One row a crop, one column a class; among equals the first class counts.
        path: The CSV file.

    Raises:
        TableError: The probabilities are not a table of class probabilities.
        SubmissionError: There is no class, or a probability is missing.
    """
    write_csv(class_probabilities_to_submission(probabilities, where=str(path)), path)


def class_probabilities_to_submission(
    probabilities: ClassProbabilities, *, where: str = "class probabilities"
) -> pd.DataFrame:
    """Write the most likely class of each crop, as a table.

    Args:
        probabilities: One row a crop, one column a class; among equals the first class counts.
        where: What to call the probabilities in a message.

    Returns:
        ``annotation_id, category``, the category by name.

    Raises:
        TableError: The probabilities are not a table of class probabilities.
        SubmissionError: There is no class, or a probability is missing.

    Example:
        >>> table = pd.DataFrame({"annotation_id": [7], "Paper": [0.2], "Metal": [0.8]})
        >>> print(class_probabilities_to_submission(table).to_csv(index=False).strip())
        annotation_id,category
        7,Metal
    """
    table, classes, values = checked_probabilities(probabilities, where)
    return pd.DataFrame(
        {
            ID: table[ID],
            CATEGORY: pd.Series(np.array(classes)[values.argmax(axis=1)], dtype="string"),
        }
    )


def _write(
    probabilities: ClassProbabilities, crops: pd.DataFrame, categories: pd.DataFrame
) -> pd.DataFrame:
    return class_probabilities_to_submission(probabilities)


CLASS_FORMATS.register("classes", Classes)(Format(_write, read_class_probabilities_csv, crops_in))
