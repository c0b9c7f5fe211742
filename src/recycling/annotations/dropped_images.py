"""The images of a part that cleaning dropped, which a competition asks for all the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from recycling.annotations.core import IMAGES, Annotations

_KEY = "dropped_by_cleaning"


def with_dropped_images(cleaned: Annotations, raw: Annotations) -> Annotations:
    """Keep with a cleaned part what its images were that are gone.

    Args:
        cleaned: The part.
        raw: As it was before.

    Returns:
        The part, with these images in `extra`; as it was if all images are there.
    """
    left, images = cleaned.images, raw.images
    there = images["image_id"].isin(left["image_id"]) | images["file_name"].isin(left["file_name"])
    if there.all():
        return cleaned
    rows = json.loads(images[~there].drop_duplicates("file_name").to_json(orient="records"))
    return replace(cleaned, extra={**cleaned.extra, _KEY: rows})


def dropped_images(extra: Mapping[str, Any]) -> pd.DataFrame:
    """The images that `with_dropped_images` has kept.

    Args:
        extra: Of the annotations of the part.

    Returns:
        Schema `recycling.annotations.IMAGES`.

    >>> dropped_images({}).empty
    True
    """
    rows = pd.DataFrame(extra.get(_KEY, []), columns=IMAGES.names)
    return IMAGES.conform(rows, where=_KEY)
