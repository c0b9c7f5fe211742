"""Unlabelled images that are left out because they are like ones that a student is scored on."""

from __future__ import annotations

from typing import NewType

import pandas as pd

from recycling.annotations import IMAGES
from recycling.annotations.images.near_duplicates import near_duplicate_groups
from recycling.tables import Column, Schema, register_table

LeftOut = NewType("LeftOut", pd.DataFrame)
"""One row an image that is left out; schema `LEFT_OUT`."""

LEFT_OUT = Schema(
    "left out",
    (
        Column("image_id", "int64", "the unlabelled image", unique=True),
        Column("file_name", "string", "its file"),
        Column("like", "string", "the file that it looks like, or shares a group with"),
    ),
)
register_table("pseudo_label_left_out", LEFT_OUT, LeftOut)


def with_given_groups(checks: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Checks of images beside the groups that somebody gave to these.

    A group that is called after the id of an image in it says nothing of another part of the data,
    whose ids may be the same.

    Args:
        checks: Schema `IMAGE_CHECKS`.
        images: Schema `IMAGES`.

    Returns:
        The checks with `group`, missing where none was given.

    >>> images = pd.DataFrame({"image_id": [1, 2], "group": ["1", "kitchen"]})
    >>> with_given_groups(images[["image_id"]], images)["group"].tolist()
    [nan, 'kitchen']
    """
    groups = images.set_index("image_id")["group"]
    own = groups.index.astype("string")
    by_id = groups[(groups == own) | (groups == "image " + own)]
    return checks.assign(group=checks["image_id"].map(groups.mask(groups.isin(by_id))))


def images_alike(
    unlabeled: pd.DataFrame, scored: pd.DataFrame, max_distance: int | None
) -> LeftOut:
    """The unlabelled images that are like an image that a student is scored on.

    Like are images of the same bytes, of one group, and those that a chain of near-duplicates and
    groups leads to. A group's name means the same in both.

    Args:
        unlabeled: What a check of the unlabelled images found, `with_given_groups`.
        scored: The same of the images that the student is scored on.
        max_distance: Bits, of 64, in which the perceptual hashes of near-duplicates may differ;
            None where only the bytes count.
    """
    both = pd.concat([unlabeled, scored], ignore_index=True)
    both = both.assign(image_id=range(len(both)))
    is_scored = both.index >= len(unlabeled)
    if max_distance is None:
        both["phash"] = None
    numbers = both["image_id"].astype("string")
    images = pd.DataFrame(
        {
            "image_id": both["image_id"],
            "file_name": numbers,  # files of two parts may be called alike
            "width": 1,
            "height": 1,
            "group": ("group " + both["group"].astype("string")).fillna(numbers),
            "extra": None,
        }
    )
    images = IMAGES.conform(images, where="images")
    group = near_duplicate_groups(images, both, max_distance=max_distance or 0)["group"]
    like = both["file_name"][is_scored].groupby(group[is_scored]).first()
    found = unlabeled.reset_index(drop=True).assign(like=group[~is_scored].map(like))
    left_out = found.dropna(subset="like")[LEFT_OUT.names].reset_index(drop=True)
    return LeftOut(LEFT_OUT.conform(left_out, where="left out"))
