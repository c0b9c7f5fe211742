"""Drop copies of annotations."""

from __future__ import annotations

import numpy as np

from recycling.annotations.cleaning.registry import Cleaned, RuleSettings, cleaning_rule
from recycling.annotations.cleaning.rows import without_rows
from recycling.annotations.core import BOX, Annotations

_COMPARED = ["image_id", "category_id", *BOX, "iscrowd"]


class DropDuplicateAnnotations(RuleSettings):
    """Of annotations that say the same of the same image keep the one of the lowest id."""


@cleaning_rule("drop_duplicate_annotations", DropDuplicateAnnotations, position=50)
def drop_duplicate_annotations(annotations: Annotations) -> Cleaned:
    """Drop annotations that say of an image what one of a lower id says.

    They say the same where image, category, box, segmentation and crowd flag are equal.

    Args:
        annotations: The tables.

    Returns:
        The tables without the copies, and the audit.
    """
    table = annotations.annotations
    # Segmentations are long texts: they are looked at only where all the rest is equal.
    rows = np.flatnonzero(table.duplicated(_COMPARED, keep=False).to_numpy())
    alike = table.iloc[rows]
    first = alike.groupby([*_COMPARED, "segmentation"], dropna=False)["annotation_id"].transform(
        "min"
    )
    is_copy = (first != alike["annotation_id"]).to_numpy()
    bad = np.zeros(len(table), dtype=np.bool_)
    bad[rows[is_copy]] = True
    reasons = [f"the same as annotation {original}" for original in first[is_copy]]
    return without_rows(annotations, "drop_duplicate_annotations", bad, reasons)
