"""Drop copies of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from recycling.annotations.cleaning.audit import NO_AUDIT, changed, combined
from recycling.annotations.cleaning.registry import Cleaned, RuleSettings, cleaning_rule
from recycling.annotations.cleaning.rows import with_rows, without_images
from recycling.annotations.core import AnnotationError, Annotations
from recycling.annotations.images.near_duplicates import joined_groups
from recycling.annotations.images.same_files import first_of_same
from recycling.errors import listed

_RULE = "drop_duplicate_images"


class DropDuplicateImages(RuleSettings):
    """Of images with the same bytes keep the one of the lowest id, with the labels of all."""

    labels: Literal["keep", "drop", "error"] = Field(
        default="keep",
        description="what is annotated on a copy: moved to the image that is kept, dropped, or an "
        "error",
    )


@cleaning_rule(_RULE, DropDuplicateImages, position=40, needs=("checks",))
def drop_duplicate_images(
    annotations: Annotations,
    checks: pd.DataFrame,
    *,
    labels: Literal["keep", "drop", "error"] = "keep",
) -> Cleaned:
    """Drop images with the same bytes as one of a lower id, or of the same file.

    A copy stays where the one that it copies is itself gone. The groups of a copy and of the image
    that is kept become one, so that no fold separates what the copy held together. Annotations
    that say the same twice are another rule's.

    Args:
        annotations: The tables.
        checks: What `check_images` found; no rows where the images are not at hand.
        labels: What becomes of what is annotated on a copy: "keep" moves it to the image that is
            kept, "drop" drops it, "error" stops.

    Returns:
        The tables without the copies, and the audit.

    Raises:
        AnnotationError: A copy has annotations, and they are an error; or they are to be kept,
            and its entry says another size than that of the image that is kept.
    """
    first = first_of_same(annotations.images, checks)
    images = annotations.images
    is_copy = (first != images["image_id"]).to_numpy()
    if not is_copy.any():
        return annotations, NO_AUDIT
    kept = dict(zip(images["image_id"][is_copy].tolist(), first[is_copy].tolist(), strict=True))
    on_copies = annotations.annotations["image_id"].isin(list(kept)).to_numpy()
    old = annotations.annotations["image_id"][on_copies].tolist()
    if labels == "error" and old:
        pairs = [f"{copy} and {kept[copy]}" for copy in dict.fromkeys(old)]
        raise AnnotationError(
            f"{_RULE}: {len(pairs)} images with annotations are copies of others, by id: "
            f"{listed(pairs, 3)}; give each file one image, or set labels: keep or drop"
        )
    has_bytes = set(checks.loc[checks["sha256"].notna(), "image_id"])
    same = {copy: "the same bytes as" if copy in has_bytes else "the same file as" for copy in kept}
    moved, audit = annotations, NO_AUDIT
    if labels == "keep":
        _check_sizes(annotations, {copy: kept[copy] for copy in old})
        moved, audit = with_rows(
            annotations,
            _RULE,
            on_copies,
            {"image_id": [kept[copy] for copy in old]},
            [f"its image {copy}: {same[copy]} image {kept[copy]}" for copy in old],
        )
    grouped, groups = _with_joined_groups(moved, first)
    reasons = {copy: f"{same[copy]} image {original}" for copy, original in kept.items()}
    rest, drops = without_images(grouped, _RULE, reasons)
    return rest, combined([audit, groups, drops])


def _check_sizes(annotations: Annotations, kept: Mapping[int, int]) -> None:
    """Stop where boxes of a copy, whose entry has another size, would be elsewhere on the image."""
    columns = annotations.images[["image_id", "width", "height"]].to_numpy().tolist()
    size = {own: f"{width} x {height}" for own, width, height in columns}
    pairs = [
        f"{copy} ({size[copy]}) and {original} ({size[original]})"
        for copy, original in kept.items()
        if size[copy] != size[original]
    ]
    if pairs:
        raise AnnotationError(
            f"{_RULE}: {len(pairs)} images with annotations have another size than the one that "
            f"they are a copy of, by id: {listed(pairs, 3)}; correct their entries and boxes, or "
            "set labels: drop"
        )


def _with_joined_groups(annotations: Annotations, first: pd.Series[int]) -> Cleaned:
    """The groups of each image and of the one that it copies made one, on images that stay."""
    before = annotations.images.reset_index(drop=True)
    original = pd.Index(before["image_id"]).get_indexer(first)
    group = joined_groups(before, original, np.arange(len(before)))
    stays = original == np.arange(len(before))
    moved = stays & (group != before["group"]).to_numpy(dtype=bool)
    after = before.assign(group=group.where(moved, before["group"]))
    reasons = ["a copy of one of its images was in that group"] * int(moved.sum())
    audit = changed(_RULE, "image", before[moved], after[moved], reasons)
    return replace(annotations, images=after), audit
