"""CSV files of the most likely class of each crop: ``annotation_id,category``."""

from __future__ import annotations

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
from recycling.predictions.submission import CLASS_FORMATS, ClassFormat, Format


class Classes(ClassFormat):
    """A row a crop: ``annotation_id`` and the name of its most likely ``category``."""

    format: Literal["classes"] = "classes"


def classes_to_submission(
    probabilities: ClassProbabilities, crops: pd.DataFrame, categories: pd.DataFrame
) -> pd.DataFrame:
    """Write the most likely class of each crop, as a table.

    Args:
        probabilities: One row a crop, one column a class; among equals the first class counts.
        crops: Not looked at, as `probabilities` has their ids.
        categories: Not looked at, as `probabilities` has their names.

    Returns:
        ``annotation_id, category``, the category by name.

    Raises:
        TableError: The probabilities are not a table of class probabilities.
        SubmissionError: There is no class, or a probability is missing.

    Example:
        >>> table = pd.DataFrame({"annotation_id": [7], "Paper": [0.2], "Metal": [0.8]})
        >>> crops = pd.DataFrame({"annotation_id": [7]})
        >>> categories = pd.DataFrame({"name": ["Paper", "Metal"]})
        >>> submission = classes_to_submission(table, crops, categories)
        >>> print(submission.to_csv(index=False).strip())
        annotation_id,category
        7,Metal
    """
    table, classes, values = checked_probabilities(probabilities)
    return pd.DataFrame(
        {
            ID: table[ID],
            CATEGORY: pd.Series(np.array(classes)[values.argmax(axis=1)], dtype="string"),
        }
    )


CLASS_FORMATS.register("classes", Classes)(
    Format(classes_to_submission, read_class_probabilities_csv, crops_in)
)
