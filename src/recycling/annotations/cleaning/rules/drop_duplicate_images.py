"""Drop copies of images."""

from __future__ import annotations

from typing import Literal

import pandas as pd
from pydantic import Field

from recycling.annotations.cleaning.audit import NO_AUDIT, combined
from recycling.annotations.cleaning.registry import Cleaned, RuleSettings, cleaning_rule
from recycling.annotations.cleaning.rows import with_rows, without_images
from recycling.annotations.core import AnnotationError, Annotations
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

    A copy stays where the one that it copies is itself gone. Annotations that say the same twice
    are another rule's.

    Args:
        annotations: The tables.
        checks: What `check_images` found; no rows where the images are not at hand.
        labels: What becomes of what is annotated on a copy: "keep" moves it to the image that is
            kept, "drop" drops it, "error" stops.

    Returns:
        The tables without the copies, and the audit.

    Raises:
        AnnotationError: A copy has annotations, and they are an error.
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
            f"{_RULE}: {len(pairs)} images with annotations have the same bytes as others, by id: "
            f"{listed(pairs, 3)}; give each image one image, or set labels: keep or drop"
        )
    moved, audit = annotations, NO_AUDIT
    if labels == "keep":
        moved, audit = with_rows(
            annotations,
            _RULE,
            on_copies,
            {"image_id": [kept[copy] for copy in old]},
            [f"its image {copy} has the same bytes as image {kept[copy]}" for copy in old],
        )
    reasons = {copy: f"the same bytes as image {original}" for copy, original in kept.items()}
    rest, drops = without_images(moved, _RULE, reasons)
    return rest, combined([audit, drops])
