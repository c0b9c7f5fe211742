"""CSV files of class probabilities: ``annotation_id`` and a column for each category's name."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from recycling.predictions.core import ClassProbabilities
from recycling.predictions.formats.class_table import (
    checked_probabilities,
    crops_in,
    read_class_probabilities_csv,
)
from recycling.predictions.submission import CLASS_FORMATS, ClassFormat, Format


class Probabilities(ClassFormat):
    """A row a crop: ``annotation_id`` and its probability for each category, by name."""

    format: Literal["class_probabilities"] = "class_probabilities"


def class_probabilities_to_submission(
    probabilities: ClassProbabilities, crops: pd.DataFrame, categories: pd.DataFrame
) -> pd.DataFrame:
    """Write the probabilities of each crop, as a table.

    Each number is the shortest text that reads back as the same float32.

    Args:
        probabilities: One row a crop, one column a class.
        crops: Not looked at, as `probabilities` has their ids.
        categories: Not looked at, as `probabilities` has their names.

    Raises:
        TableError: The probabilities are not a table of class probabilities.
        SubmissionError: There is no class, or a probability is missing.
    """
    table, classes, _ = checked_probabilities(probabilities)
    columns = {name: table[name].to_numpy(dtype=np.float32).astype(str) for name in classes}
    return table.assign(**columns)


CLASS_FORMATS.register("class_probabilities", Probabilities)(
    Format(class_probabilities_to_submission, read_class_probabilities_csv, crops_in)
)
