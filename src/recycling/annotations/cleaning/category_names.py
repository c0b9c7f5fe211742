"""Categories by their names."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import pandas as pd

from recycling.annotations.core import AnnotationError, Annotations
from recycling.errors import listed, visible
from recycling.names import composed


def id_of_category(annotations: Annotations, name: str, where: str) -> int:
    """The id of the first category of a name.

    Args:
        annotations: The tables.
        name: The category's name.
        where: Who names it, for the message.

    Raises:
        AnnotationError: There is no category of that name; the message suggests the nearest.
    """
    check_names([name], annotations.categories["name"], where)
    matching = annotations.categories["name"].map(composed) == composed(name)
    return int(annotations.categories.loc[matching, "category_id"].iloc[0])


def check_names(wanted: Sequence[str], names: pd.Series, where: str) -> None:
    """Refuse names that no category has.

    Args:
        wanted: The names.
        names: The categories' names.
        where: Who names them, for the message.

    Raises:
        AnnotationError: A category does not exist; the message suggests the nearest.

    >>> check_names(["Paper", "Glas"], pd.Series(["Glass", "Paper"]), "relabel")
    Traceback (most recent call last):
    ...
    recycling.annotations.core.AnnotationError: relabel: no category 'Glas'; did you mean 'Glass'?
    """
    known = list(map(composed, names))
    for name in map(composed, wanted):
        if name not in known:
            near = listed(map(visible, get_close_matches(name, known) or known))
            hint = f"did you mean {near}?" if known else "there are none"
            raise AnnotationError(f"{where}: no category {visible(name)}; {hint}")
