"""Several models, one for each attribute, as one classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from recycling.annotations.formats.class_labels import attributes_of
from recycling.predictions import CLASS_PROBABILITIES, ClassProbabilities


def compose_probabilities(
    members: Mapping[str, ClassProbabilities], classes: Sequence[str]
) -> ClassProbabilities:
    """Multiply what separately trained models say of each attribute.

    The probability of ``wear/male/young`` is that of ``wear`` times that of ``male`` times that of
    ``young``, as if the attributes were independent, and then made to sum to 1 over the classes
    that there are.

    Args:
        members: A table of probabilities for each attribute, in the order in which the classes'
            names hold them; all of the same crops, in any order.
        classes: The names of the classes, such as ``wear/male/young``.

    Returns:
        One row a crop, in the order of the first member, and one float32 column a class.

    Raises:
        AnnotationError: A class is not named after as many values as there are members.
        TableError: A member is not a table of class probabilities.
        ValueError: A member lacks a value or a crop, or says of a crop nothing but 0; one line.

    >>> mask = pd.DataFrame({"annotation_id": [1], "worn": [0.8], "none": [0.2]})
    >>> age = pd.DataFrame({"annotation_id": [1], "young": [0.5], "old": [0.5]})
    >>> classes = ["worn/young", "worn/old", "none/young", "none/old"]
    >>> compose_probabilities({"mask": mask, "age": age}, classes)
       annotation_id  worn/young  worn/old  none/young  none/old
    0              1         0.4       0.4         0.1       0.1
    """
    if not members:
        raise ValueError("no member to compose; give a table of probabilities for each attribute")
    attributes = attributes_of(classes, list(members))
    tables = {
        name: CLASS_PROBABILITIES.conform(table, where=name) for name, table in members.items()
    }
    crops = next(iter(tables.values()))["annotation_id"]
    product = np.ones((len(crops), len(classes)))
    for name, table in tables.items():
        product *= _probabilities(name, table, crops, attributes[name].tolist())
    sums = product.sum(axis=1, keepdims=True)
    impossible = ~(sums[:, 0] > 0)
    if impossible.any():
        raise ValueError(
            f"crop {crops[impossible].iloc[0]}: no class is possible, because the members' "
            f"probabilities are 0 or missing; {int(impossible.sum())} of {len(crops)} are like that"
        )
    composed = pd.DataFrame((product / sums).astype(np.float32), columns=list(classes))
    composed.insert(0, "annotation_id", crops)
    return ClassProbabilities(CLASS_PROBABILITIES.conform(composed, where="composed classes"))


def _probabilities(
    name: str, table: pd.DataFrame, crops: pd.Series, values: list[str]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """A member's probability of each class's value, (crops, classes), in the order of `crops`."""
    missing = [value for value in values if value not in table.columns]
    if missing:
        known = ", ".join(str(column) for column in table.columns[1:])
        raise ValueError(
            f"member {name!r} has no column {missing[0]!r}, which a class is named after; "
            f"it has {known or 'none'}"
        )
    by_crop = table.set_index("annotation_id")
    if odd := sorted(set(crops) ^ set(by_crop.index)):
        raise ValueError(
            f"member {name!r}: crop {odd[0]} is in one of the members and not in another; let all "
            "predict the same images"
        )
    return by_crop.loc[crops, values].to_numpy(dtype=np.float64)
