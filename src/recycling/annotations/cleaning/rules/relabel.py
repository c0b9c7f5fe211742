"""Give listed annotations another category."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd
from pydantic import Field

from recycling.annotations.cleaning.audit import combined
from recycling.annotations.cleaning.category_names import id_of_category
from recycling.annotations.cleaning.registry import Cleaned, RuleSettings, cleaning_rule
from recycling.annotations.cleaning.rows import with_rows
from recycling.annotations.core import AnnotationError, Annotations
from recycling.registry import Settings

_RULE = "relabel"


class RelabelList(Settings):
    """Annotations that get another category for one reason."""

    reason: str = Field(min_length=1, description="for the audit")
    annotation_ids: tuple[int, ...] = Field(description="their ids in the raw file")
    category: str = Field(description="the right category's name")
    enabled: bool = Field(default=True, description="whether the list is applied")


class Relabel(RuleSettings):
    """Give listed annotations another category.

    Attributes:
        lists: One for each reason; where they overlap, the later one decides.
    """

    lists: tuple[RelabelList, ...] = ()


@cleaning_rule(_RULE, Relabel, position=20, needs=("known_ids",))
def relabel(
    annotations: Annotations,
    *,
    lists: Sequence[RelabelList],
    known_ids: Collection[int] = (),
) -> Cleaned:
    """Give listed annotations another category, for a written reason.

    Args:
        annotations: The tables.
        lists: Reasons with annotation ids and the right category's name; those that are not
            enabled are passed over. Where lists overlap, the later one decides.
        known_ids: Further ids that may be listed, because an earlier rule dropped them.

    Returns:
        The tables, and the audit.

    Raises:
        AnnotationError: An id or a category does not exist; the message names the reason.
    """
    existing = pd.Index(annotations.annotations["annotation_id"]).union(pd.Index(known_ids))
    audits = []
    for entry in lists:
        if not entry.enabled:
            continue
        where = f"{_RULE} {entry.reason!r}"
        unknown = [number for number in entry.annotation_ids if number not in existing]
        if unknown:
            raise AnnotationError(
                f"{where}: no annotation {unknown[0]} ({len(unknown)} of "
                f"{len(entry.annotation_ids)} ids do not exist); remove it from the list or "
                "correct it"
            )
        category_id = id_of_category(annotations, entry.category, where)
        listed = annotations.annotations["annotation_id"].isin(entry.annotation_ids).to_numpy()
        annotations, audit = with_rows(
            annotations,
            _RULE,
            listed,
            {"category_id": category_id},
            [entry.reason] * int(listed.sum()),
        )
        audits.append(audit)
    return annotations, combined(audits)
