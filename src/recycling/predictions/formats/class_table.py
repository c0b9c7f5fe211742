"""Reading CSV files of classes: what is most probable, or how probable each class is.

Columns ``annotation_id,category`` with the category's name, or ``annotation_id`` and a column of
probabilities for each category's name.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.errors import Faults, listed, visible
from recycling.limits import TooLargeError, check_table
from recycling.names import KnownNames, shown_name
from recycling.predictions.core import CLASS_PROBABILITIES, ClassProbabilities, SubmissionError
from recycling.predictions.formats.rows import MissingImages, note_missing

ID, CATEGORY = "annotation_id", "category"
SUM_TOLERANCE = 0.01
"""How far the probabilities of a crop may be from 1 together: files are rounded."""

_EXACT = 2**53  # below it a float holds every whole number


def read_class_probabilities_csv(
    path: str | Path,
    annotations: pd.DataFrame,
    categories: pd.DataFrame,
    *,
    missing_images: MissingImages = "error",
) -> ClassProbabilities:
    """Read class probabilities, or classes as certainties, from a CSV file.

    Names of categories are compared as `KnownNames` does. The probabilities of a crop sum to 1
    within `SUM_TOLERANCE`.

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
    frame = read_texts(path)
    by_name, frame = _columns(frame, names, path)
    crops = annotations[ID].to_numpy(dtype=np.int64)
    lines, found = _rows_of_crops(frame[ID], crops, faults)
    frame = frame.iloc[lines]
    if by_name:
        values = _certainties(frame, names, path, faults)
    else:
        values = _probabilities(frame, names, faults)
    note_missing("crop", crops.tolist(), found, path, missing_images, faults)
    faults.raise_if_any()
    filled = np.full((len(crops), len(names)), 1 / max(1, len(names)), dtype=np.float32)
    filled[found] = values
    table = pd.DataFrame(filled, columns=names)
    table.insert(0, ID, crops)
    return ClassProbabilities(CLASS_PROBABILITIES.conform(table, where=str(path)))


def crops_in(path: str | Path, annotations: pd.DataFrame) -> NDArray[np.int64]:
    """Which crops a file has rows of.

    Args:
        path: The CSV file.
        annotations: The crops, with `annotation_id`.

    Returns:
        Their rows in the table, ascending.

    Raises:
        SubmissionError: The file cannot be read, or has no column of crops.
    """
    path = Path(path)
    frame = read_texts(path)
    if ID not in frame.columns:
        raise SubmissionError(f"{path}: no column {ID!r}")
    crops = annotations[ID].to_numpy(dtype=np.int64)
    _, found = _rows_of_crops(frame[ID], crops, Faults(path, SubmissionError))
    return np.sort(found)


def checked_probabilities(
    probabilities: ClassProbabilities,
) -> tuple[pd.DataFrame, list[str], NDArray[np.float64]]:
    """The table, the names of its classes, and the probabilities, (crops, classes).

    Raises:
        TableError: The probabilities are not a table of class probabilities.
        SubmissionError: There is no class, or a probability is missing.

    Example:
        >>> table = pd.DataFrame({"annotation_id": [7], "paper": [0.25], "metal": [0.75]})
        >>> _, classes, values = checked_probabilities(table)
        >>> classes, values.tolist()
        (['paper', 'metal'], [[0.25, 0.75]])
    """
    table = CLASS_PROBABILITIES.conform(probabilities, where="class probabilities")
    classes = [str(name) for name in table.columns if name != ID]
    if not classes:
        raise SubmissionError(f"class probabilities: no column of a class beside {ID}")
    values = table[classes].to_numpy(dtype=np.float64)
    bad = np.isnan(values).any(axis=1)
    if bad.any():
        raise SubmissionError(
            f"class probabilities: crop {table[ID].iloc[bad.argmax()]}: a probability is missing"
        )
    return table, classes, values


def read_texts(path: Path) -> pd.DataFrame:
    """A CSV file as texts.

    Raises:
        SubmissionError: There is no such file, or it is empty or no CSV file.
    """
    try:
        check_table(path)
        return pd.read_csv(
            path, dtype="string", keep_default_na=False, encoding="utf-8-sig", compression=None
        )
    except pd.errors.EmptyDataError as error:
        raise SubmissionError(f"{path}: the file is empty; it has not even a header") from error
    except (OSError, UnicodeDecodeError, TooLargeError, pd.errors.ParserError) as error:
        reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[-1]
        raise SubmissionError(f"{path}: cannot be read: {reason}") from error


def _columns(frame: pd.DataFrame, names: list[str], path: Path) -> tuple[bool, pd.DataFrame]:
    """Whether the classes are given by name, and the table with columns as the categories' names.

    Raises:
        SubmissionError: The columns are of neither form.
    """
    columns = [str(column) for column in frame.columns]
    if sorted(columns) == sorted((ID, CATEGORY)):
        return True, frame
    expected = [ID, *names]
    known = KnownNames(expected)
    found = [known.find(column) for column in columns]
    lacking = [name for row, name in enumerate(expected) if row not in found]
    extra = [column for column, row in zip(columns, found, strict=True) if row is None]
    twice = len({row for row in found if row is not None}) + len(extra) < len(columns)
    if not lacking and not extra and not twice:
        known.say_rewritten(path, "classes")
        return False, frame.set_axis([expected[row or 0] for row in found], axis=1)
    if lacking:
        fault = f"no column {visible(lacking[0])}"
        fault += f" (there is {listed(map(visible, extra), 3)})" if extra else ""
    elif extra:
        fault = f"the column {visible(extra[0])} is no class"
    else:
        fault = "two columns have the name of one class"
    raise SubmissionError(
        f"{path}: {fault}; the file should have the columns {ID} and either {CATEGORY} or "
        f"{listed(names)}"
    )


def _rows_of_crops(
    texts: pd.Series, crops: NDArray[np.int64], faults: Faults
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of the file that are good, and the index of each one's crop in `crops`."""
    ids = [_id_of(text) for text in texts]
    row_of = {crop: row for row, crop in enumerate(crops.tolist())}
    found = np.array([row_of.get(crop, -1) for crop in ids], dtype=np.int64)

    def place(row: int) -> str:
        return f"crop {shown_name(texts.iloc[row])} (line {row + 2})"

    rounded = np.array([crop == "rounded" for crop in ids], dtype=np.bool_)
    faults.add_where(
        rounded,
        "the id is above 2^53 and written as a decimal number, so its last digits may be lost; "
        "write it as a whole number",
        place,
    )
    unknown = found < 0
    faults.add_where(
        unknown & ~rounded, "the crop is not one of those to predict, remove its row", place
    )
    again = pd.Series(found).duplicated().to_numpy() & ~unknown
    faults.add_where(again, "the crop has a second row, keep one", place)
    lines = np.flatnonzero(~unknown & ~again)
    return lines, found[lines]


def _id_of(text: str) -> int | str | None:
    """The id that a text gives; "rounded" where it cannot be told, None where it gives none.

    >>> _id_of(" 7 "), _id_of("7.0"), _id_of("9007199254740993"), _id_of("7.5")
    (7, 7, 9007199254740993, None)
    >>> _id_of("9007199254740993.0"), _id_of("9.0072e15")
    ('rounded', 'rounded')
    """
    if re.fullmatch(r"\s*[+-]?[0-9]{1,999}\s*", text):  # of more digits no float is, either
        return int(text)
    try:
        number = float(text)
    except ValueError:
        return None
    if not number.is_integer():  # nor are infinity and NaN
        return None
    return int(number) if abs(number) < _EXACT else "rounded"


def _certainties(
    frame: pd.DataFrame, names: list[str], path: Path, faults: Faults
) -> NDArray[np.float32]:
    known = KnownNames(names)
    found = {name: known.find(name) for name in frame[CATEGORY].unique()}
    known.say_rewritten(path, "classes")
    chosen = np.array([-1 if (row := found[name]) is None else row for name in frame[CATEGORY]])
    faults.add_where(
        chosen < 0,
        f"no such category, they are {listed(names)}",
        lambda row: f"crop {frame[ID].iloc[row]} ({visible(frame[CATEGORY].iloc[row])})",
    )
    return np.eye(len(names), dtype=np.float32)[chosen.astype(np.int64)]


def _probabilities(frame: pd.DataFrame, names: list[str], faults: Faults) -> NDArray[np.float32]:
    values = np.empty((len(frame), len(names)), dtype=np.float32)
    for column, name in enumerate(names):
        numbers = pd.to_numeric(frame[name].str.strip(), errors="coerce")
        values[:, column] = numbers.to_numpy(np.float64, na_value=np.nan)
    sums = values.sum(axis=1, dtype=np.float64)

    def described(row: int) -> str:
        column = int((~_is_probability(values[row])).argmax())
        text = visible(frame[names[column]].iloc[row])
        return f"crop {frame[ID].iloc[row]} ({names[column]}: {text})"

    finite = np.isfinite(values).all(axis=1)
    in_range = np.asarray(_is_probability(values).all(axis=1))
    faults.add_where(~in_range, _kind_of_numbers(values[finite]), described)
    nothing = in_range & (sums == 0)
    faults.add_where(
        nothing,
        "all probabilities of a crop are 0, predict it again",
        lambda row: f"crop {frame[ID].iloc[row]}",
    )
    faults.add_where(
        in_range & ~nothing & np.asarray(np.abs(sums - 1) > SUM_TOLERANCE),
        f"the probabilities of a crop sum to 1 within {SUM_TOLERANCE}, divide them by their sum "
        "(scores of one class against the rest, a sigmoid each, need a softmax instead)",
        lambda row: f"crop {frame[ID].iloc[row]} (sum {sums[row]:.6g})",
    )
    return values


def _kind_of_numbers(values: NDArray[np.float32]) -> str:
    """What to say of numbers that are not from 0 to 1, with the likely cause where there is one.

    >>> _kind_of_numbers(np.array([[80.0, 20.0]], np.float32))
    'a probability is a number from 0 to 1, these look like percentages: divide them by 100'
    >>> _kind_of_numbers(np.array([[-1.5, 3.0]], np.float32))
    'a probability is a number from 0 to 1, these look like logits: apply a softmax'
    """
    should = "a probability is a number from 0 to 1"
    wrong = values[~_is_probability(values).all(axis=1)].astype(np.float64)
    if not len(wrong):
        return should
    if (wrong >= 0).all() and (np.abs(wrong.sum(axis=1) - 100) <= 100 * SUM_TOLERANCE).all():
        return f"{should}, these look like percentages: divide them by 100"
    if (wrong <= 0).all() and (np.abs(np.exp(wrong).sum(axis=1) - 1) <= SUM_TOLERANCE).all():
        return f"{should}, these look like logarithms of probabilities: apply exp"
    return f"{should}, these look like logits: apply a softmax"


def _is_probability(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    return (values >= 0) & (values <= 1)
