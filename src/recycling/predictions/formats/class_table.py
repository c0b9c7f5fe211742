"""Reading CSV files of classes: what is most probable, or how probable each class is.

Columns ``annotation_id,category`` with the category's name, or ``annotation_id`` and a column of
probabilities for each category's name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.errors import Faults
from recycling.predictions.core import CLASS_PROBABILITIES, ClassProbabilities, SubmissionError
from recycling.predictions.formats.rows import MissingImages, note_missing

ID, CATEGORY = "annotation_id", "category"


def read_class_probabilities_csv(
    path: str | Path,
    annotations: pd.DataFrame,
    categories: pd.DataFrame,
    *,
    missing_images: MissingImages = "error",
) -> ClassProbabilities:
    """Read class probabilities, or classes as certainties, from a CSV file.

    Args:
        path: The CSV file: `annotation_id` and a column for each category's name, or
            ``annotation_id,category``, which stands for probability 1.
        annotations: The crops to predict, with `annotation_id`.
        categories: The categories, with `name`; they become the columns, in order.
        missing_images: Whether a crop without a row is an error, or has the same probability for
            every class, which tips no mean; then one warning counts them.

    Returns:
        One row a crop, in the order of the annotations, and one float32 column a category.

    Raises:
        SubmissionError: One line that counts all faults of the file by kind and names the first
            crops of each.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> crops = pd.DataFrame({"annotation_id": [7]})
        >>> categories = pd.DataFrame({"name": ["paper", "metal"]})
        >>> classes = pd.DataFrame({"annotation_id": [7], "category": ["metal"]})
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "team.csv")
        ...     classes.to_csv(path, index=False)
        ...     read_class_probabilities_csv(path, crops, categories)
           annotation_id  paper  metal
        0              7    0.0    1.0
    """
    path = Path(path)
    faults = Faults(path, SubmissionError)
    names = [str(name) for name in categories["name"]]
    frame = _read_texts(path)
    by_name = _check_columns(frame, names, path)
    crops = annotations[ID].to_numpy(dtype=np.int64)
    lines, found = _rows_of_crops(frame[ID], crops, faults)
    frame = frame.iloc[lines]
    values = _certainties(frame, names, faults) if by_name else _probabilities(frame, names, faults)
    note_missing("crop", crops.tolist(), found, path, missing_images, faults)
    faults.raise_if_any()
    filled = np.full((len(crops), len(names)), 1 / max(1, len(names)), dtype=np.float32)
    filled[found] = values
    table = pd.DataFrame(filled, columns=names)
    table.insert(0, ID, crops)
    return ClassProbabilities(CLASS_PROBABILITIES.conform(table, where=str(path)))


def checked_probabilities(
    probabilities: ClassProbabilities, where: str
) -> tuple[pd.DataFrame, list[str], NDArray[np.float64]]:
    """The table, the names of its classes, and the probabilities, (crops, classes).

    Raises:
        TableError: The probabilities are not a table of class probabilities.
        SubmissionError: There is no class, or a probability is missing.

    Example:
        >>> table = pd.DataFrame({"annotation_id": [7], "paper": [0.25], "metal": [0.75]})
        >>> _, classes, values = checked_probabilities(table, "team.csv")
        >>> classes, values.tolist()
        (['paper', 'metal'], [[0.25, 0.75]])
    """
    table = CLASS_PROBABILITIES.conform(probabilities, where=where)
    classes = [str(name) for name in table.columns if name != ID]
    if not classes:
        raise SubmissionError(f"{where}: no column of a class beside {ID}")
    values = table[classes].to_numpy(dtype=np.float64)
    bad = np.isnan(values).any(axis=1)
    if bad.any():
        raise SubmissionError(
            f"{where}: crop {table[ID].iloc[bad.argmax()]}: a probability is missing"
        )
    return table, classes, values


def _read_texts(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype="string", keep_default_na=False, encoding="utf-8-sig")
    except pd.errors.EmptyDataError as error:
        raise SubmissionError(f"{path}: the file is empty; it has not even a header") from error
    except (OSError, UnicodeDecodeError, pd.errors.ParserError) as error:
        reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[-1]
        raise SubmissionError(f"{path}: cannot be read: {reason}") from error


def _check_columns(frame: pd.DataFrame, names: list[str], path: Path) -> bool:
    """Whether the classes are given by name.

    Raises:
        SubmissionError: The columns are of neither form.
    """
    columns = [str(column) for column in frame.columns]
    if sorted(columns) == sorted((ID, CATEGORY)):
        return True
    if sorted(columns) == sorted((ID, *names)):
        return False
    lacking = [name for name in (ID, *names) if name not in columns]
    extra = [column for column in columns if column not in (ID, *names)]
    fault = f"no column {lacking[0]!r}" if lacking else f"the column {extra[0]!r} is no class"
    raise SubmissionError(
        f"{path}: {fault}; the file should have the columns {ID} and either {CATEGORY} or "
        f"{', '.join(names)}"
    )


def _rows_of_crops(
    texts: pd.Series, crops: NDArray[np.int64], faults: Faults
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of the file that are good, and the index of each one's crop in `crops`."""
    ids = pd.to_numeric(texts.str.strip(), errors="coerce").to_numpy(np.float64, na_value=np.nan)
    found = pd.Index(crops).get_indexer(pd.Index(ids))
    unknown = np.asarray(found < 0)
    faults.add_where(
        unknown,
        "the crop is not one of those to predict, remove its row",
        lambda row: f"crop {texts.iloc[row]} (line {row + 2})",
    )
    again = pd.Series(found).duplicated().to_numpy() & ~unknown
    faults.add_where(
        again,
        "the crop has a second row, keep one",
        lambda row: f"crop {texts.iloc[row]} (line {row + 2})",
    )
    lines = np.flatnonzero(~unknown & ~again)
    return lines, found[lines]


def _certainties(frame: pd.DataFrame, names: list[str], faults: Faults) -> NDArray[np.float32]:
    chosen = pd.Index(names).get_indexer(pd.Index(frame[CATEGORY]))
    faults.add_where(
        np.asarray(chosen < 0),
        f"no such category, they are {', '.join(names)}",
        lambda row: f"crop {frame[ID].iloc[row]} ({frame[CATEGORY].iloc[row]!r})",
    )
    return np.eye(len(names), dtype=np.float32)[chosen]


def _probabilities(frame: pd.DataFrame, names: list[str], faults: Faults) -> NDArray[np.float32]:
    values = np.empty((len(frame), len(names)), dtype=np.float32)
    for column, name in enumerate(names):
        numbers = pd.to_numeric(frame[name].str.strip(), errors="coerce")
        values[:, column] = numbers.to_numpy(np.float64, na_value=np.nan)

    def described(row: int) -> str:
        column = int((~_is_probability(values[row])).argmax())
        return f"crop {frame[ID].iloc[row]} ({names[column]}: {frame[names[column]].iloc[row]!r})"

    bad = np.asarray(~_is_probability(values).all(axis=1))
    faults.add_where(bad, "a probability is a number from 0 to 1", described)
    return values


def _is_probability(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    return (values >= 0) & (values <= 1)
