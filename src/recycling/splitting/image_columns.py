"""Values of each image: columns of the images table, and keys of its `extra` JSON."""

from __future__ import annotations

import json
from math import isnan
from typing import Any

import pandas as pd

from recycling.splitting.core import SplitError


def image_column(images: pd.DataFrame, name: str, *, where: str) -> pd.Series[Any]:
    """One value an image.

    COCO files carry keys of their own on their images (a date, a place, a camera); they are kept
    as JSON in the column `extra`, and are found by their names like any other column.

    Args:
        images: The images; schema `IMAGES`.
        name: A column of the table, or else a key of `extra`.
        where: What to call the asking setting in a message.

    Returns:
        (images,) objects; None where an image has no such value.

    Raises:
        SplitError: No image has it; the message lists what there is.

    >>> images = pd.DataFrame({"image_id": [1, 2], "extra": ['{"camera": "left"}', None]})
    >>> image_column(images, "camera", where="axes").tolist()
    ['left', None]
    """
    columns = [column for column in images.columns if column != "extra"]
    if name in columns:
        values = images[name].astype(object).tolist()
    else:
        extra = [json.loads(text) if pd.notna(text) else {} for text in images["extra"]]
        keys = sorted({key for keys in extra for key in keys})
        if name not in keys:
            raise SplitError(
                f"{where}: the images have no column {name!r}; "
                f"they have {', '.join([*columns, *keys])}"
            )
        values = [keys_of_image.get(name) for keys_of_image in extra]
    present = [None if _is_missing(value) else value for value in values]
    return pd.Series(present, dtype=object, index=images.index)


def as_label(value: Any) -> str | None:
    """A value as text that equal values share: 3 and 3.0 are "3"; None stays None.

    >>> as_label(3.0), as_label("kitchen"), as_label(True), as_label(None)
    ('3', 'kitchen', 'true', None)
    """
    if _is_missing(value):
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True)


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and isnan(value))
