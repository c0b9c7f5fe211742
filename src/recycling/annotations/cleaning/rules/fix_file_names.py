"""Call images what their files are called."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from recycling.annotations.cleaning.audit import NO_AUDIT, changed
from recycling.annotations.cleaning.registry import Cleaned, RuleSettings, cleaning_rule
from recycling.annotations.core import Annotations
from recycling.given_names import rename_images
from recycling.names import shown_name

_RULE = "fix_file_names"


class FixFileNames(RuleSettings):
    """Call images what their files are called, where only spelling differs."""


@cleaning_rule(_RULE, FixFileNames, position=5, needs=("checks",))
def fix_file_names(annotations: Annotations, checks: pd.DataFrame) -> Cleaned:
    """Call images what their files are called, where only separators, Unicode form or case differ.

    What the annotations call them stays in `extra`, for a submission.

    Args:
        annotations: The tables.
        checks: What `check_images` found.

    Returns:
        The tables, and the audit.
    """
    renamed = checks[checks["found_as"].notna()]
    names = dict(zip(renamed["image_id"], renamed["found_as"], strict=True))
    images = annotations.images
    rows = images["image_id"].isin(list(names))
    if not rows.any():
        return annotations, NO_AUDIT
    before = images[rows]
    after = rename_images(before, before["image_id"].map(names))
    reasons = [f"the file is {shown_name(name)}" for name in after["file_name"]]
    audit = changed(_RULE, "image", before, after, reasons)
    columns = {name: images[name].where(~rows, after[name]) for name in ("file_name", "extra")}
    return replace(annotations, images=images.assign(**columns)), audit
