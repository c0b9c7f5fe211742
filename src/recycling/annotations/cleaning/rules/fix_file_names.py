"""Call images what their files are called."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from recycling.annotations.cleaning.audit import NO_AUDIT, changed
from recycling.annotations.cleaning.registry import Cleaned, RuleSettings, cleaning_rule
from recycling.annotations.core import Annotations
from recycling.names import shown_name

_RULE = "fix_file_names"


class FixFileNames(RuleSettings):
    """Call images what their files are called, where only spelling differs."""


@cleaning_rule(_RULE, FixFileNames, position=5, needs=("checks",))
def fix_file_names(annotations: Annotations, checks: pd.DataFrame) -> Cleaned:
    """Call images what their files are called, where only separators, Unicode form or case differ.

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
    after = before.assign(file_name=before["image_id"].map(names).astype("string"))
    reasons = [f"the file is {shown_name(name)}" for name in after["file_name"]]
    audit = changed(_RULE, "image", before, after, reasons)
    file_names = images["file_name"].where(~rows, after["file_name"])
    return replace(annotations, images=images.assign(file_name=file_names)), audit
