"""The table of folds, and the error where images cannot be split."""

from __future__ import annotations

from typing import NewType

import pandas as pd

from recycling.tables import Column, Schema, register_table

Folds = NewType("Folds", pd.DataFrame)
"""One row an image: the fold whose validation part holds it; schema `FOLDS`."""

FOLDS = Schema(
    "folds",
    (
        Column("image_id", "int64", "the image's number", unique=True),
        Column("fold", "int64", "the fold whose validation part holds the image", minimum=0),
    ),
)
register_table("folds", FOLDS, Folds)


class SplitError(ValueError):
    """Images cannot be split as asked, or were not: one line, what is wrong, what to do."""


def fold_of_image(images: pd.DataFrame, folds: Folds) -> pd.Series[int]:
    """The fold of each image.

    Args:
        images: The images.
        folds: The fold of every image; there may be further ones.

    Returns:
        Indexed by `image_id`, in the order of the images.

    Raises:
        SplitError: An image is in no fold.

    >>> images = pd.DataFrame({"image_id": [2, 1]})
    >>> folds = Folds(pd.DataFrame({"image_id": [1, 2], "fold": [0, 1]}))
    >>> fold_of_image(images, folds).to_dict()
    {2: 1, 1: 0}
    """
    image_ids = images["image_id"]
    outside = image_ids[~image_ids.isin(folds["image_id"])]
    if len(outside):
        raise SplitError(
            f"folds: image {', '.join(map(str, outside[:5]))} in no fold; {len(outside)} of "
            f"{len(image_ids)} images are like that; make the folds again from these annotations"
        )
    return folds.set_index("image_id")["fold"].loc[image_ids]
