"""The categories of one part of the data as another part has them, by their names."""

from __future__ import annotations

import logging
from dataclasses import replace
from difflib import get_close_matches

from recycling.annotations.core import AnnotationError, Annotations
from recycling.errors import listed
from recycling.names import composed

logger = logging.getLogger(__name__)

_SHOWN = 5  # categories that a line names


def with_categories_of(train: Annotations, annotations: Annotations, part: str) -> Annotations:
    """Number the categories of a part as those of the training part, by name.

    Category ids and their order decide what a model's class is called: a test part that lists the
    same names in another order would be scored, and submitted, against the wrong ones. A part
    without categories and without annotations, such as a folder of images, has those of train.

    Args:
        train: What models learn from.
        annotations: Of the other part.
        part: What it is called: ``test``, ``pool``.

    Returns:
        The annotations with the table of categories of `train`, and the ids in it.

    Raises:
        AnnotationError: The part has a category that `train` lacks.

    Example:
        >>> import pandas as pd
        >>> def named(names):
        ...     table = pd.DataFrame({"category_id": range(len(names)), "name": names})
        ...     return Annotations(pd.DataFrame(), pd.DataFrame({"category_id": [0]}), table)
        >>> with_categories_of(named(["Paper"]), named(["Shoe"]), "test")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        recycling.annotations.core.AnnotationError: test: 'Shoe': not among the categories of ...
    """
    own, wanted = annotations.categories, train.categories
    if own.empty and annotations.annotations.empty:
        return replace(annotations, categories=wanted)
    if own.empty or own[["category_id", "name"]].equals(wanted[["category_id", "name"]]):
        return annotations
    id_of = dict(zip(map(_plain, wanted["name"]), wanted["category_id"], strict=True))
    unknown = [str(name) for name in own["name"] if _plain(name) not in id_of]
    if unknown:
        beside = [_beside(name, list(id_of)) for name in unknown]
        raise AnnotationError(
            f"{part}: {listed(beside, _SHOWN)}: not among the categories of train "
            f"({listed(id_of, _SHOWN)}), so no model will know it; map or drop it in "
            f"cleaning.{part}.fix_categories, or the other way round in cleaning.train"
        )
    new = {
        int(own_id): int(id_of[_plain(name)])
        for own_id, name in zip(own["category_id"], own["name"], strict=True)
    }
    ids = annotations.annotations["category_id"]
    numbered = ids.map(new).astype(ids.dtype)
    names = own.set_index("category_id")["name"]
    changed = [
        f"{names[before]} {before} -> {after}" for before, after in new.items() if before != after
    ]
    if changed:
        what = f"{len(changed)} with another id ({listed(changed, _SHOWN)})"
    else:
        what = "in another order" if len(own) == len(wanted) else f"{len(own)} of {len(wanted)}"
    logger.warning(
        "%s: its categories are those of train, %s: mapped by name, %d annotations renumbered",
        part, what, int((numbered != ids).sum()),
    )  # fmt: skip
    table = annotations.annotations.assign(category_id=numbered)
    return replace(annotations, annotations=table, categories=wanted)


def _plain(name: object) -> str:
    """Two names that look alike are alike."""
    return composed(str(name)).strip()


def _beside(name: str, known: list[str]) -> str:
    near = get_close_matches(_plain(name), known, n=1)
    return f"{name!r} (near {near[0]!r})" if near else repr(name)
