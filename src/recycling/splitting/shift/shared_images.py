"""Test images that are in the train part as well: they make a score look better than it is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from recycling.annotations.images.near_duplicates import near_pairs


class SharedImages(NamedTuple):
    """Test images that are in the train part, too.

    Attributes:
        searched: How many test images were looked for; none if the files of a part were not read.
        exact: How many have the same bytes as a train image.
        near: How many others look like one.
        pairs: The train and the test image of each; those of the same bytes first.
    """

    searched: int
    exact: int
    near: int
    pairs: list[tuple[int, int]]


def shared_images(
    train: pd.DataFrame, test: pd.DataFrame, *, max_distance: int | None
) -> SharedImages:
    """Look for the test images among the train images.

    Args:
        train: Columns `image_id, sha256, phash`; hashes may be missing, they match none.
        test: The same of the test images. Ids may be the same as in `train`.
        max_distance: Largest number of differing bits, of 64, between the perceptual hashes of
            images that look alike; None: only images of the same bytes count.

    Returns:
        Their numbers and the pairs; a test image is paired with the train image of the lowest id.

    >>> train = pd.DataFrame({"image_id": [1, 2], "sha256": ["a", "b"], "phash": ["0f", "3c"]})
    >>> test = pd.DataFrame({"image_id": [1, 2], "sha256": ["b", "c"], "phash": ["3c", "ff"]})
    >>> shared_images(train, test, max_distance=None)
    SharedImages(searched=2, exact=1, near=0, pairs=[(2, 1)])
    """
    train, test = train.sort_values("image_id"), test.sort_values("image_id")
    files = train.dropna(subset="sha256").drop_duplicates("sha256")
    # Int64: a test image without a partner would make floats of the ids.
    partner = test["sha256"].map(files.set_index("sha256")["image_id"].astype("Int64"))
    exact = partner.notna()
    if max_distance is not None:
        partner = partner.fillna(test["phash"].map(_first_match(train, test, max_distance)))
    near = partner.notna() & ~exact
    pairs = [
        (int(train_id), int(test_id))
        for found in (exact, near)
        for train_id, test_id in zip(partner[found], test.loc[found, "image_id"], strict=True)
    ]
    searched = int(test["sha256"].notna().sum()) if len(files) else 0
    return SharedImages(searched, int(exact.sum()), int(near.sum()), pairs)


def _first_match(train: pd.DataFrame, test: pd.DataFrame, max_distance: int) -> pd.Series[int]:
    """By perceptual hash, the lowest id of the train images that look like it, where one does."""
    lowest = train.dropna(subset="phash").groupby("phash")["image_id"].min().astype("Int64")
    lowest = lowest.sort_values()
    # Those of train images come first, by id, so that the lowest row is that of the lowest id.
    hashes = pd.Series([*dict.fromkeys([*lowest.index, *test["phash"].dropna()])], dtype="string")
    best = np.arange(len(hashes))
    for one, other in near_pairs(hashes, max_distance):
        np.minimum.at(best, one, other)
        np.minimum.at(best, other, one)
    found = best < len(lowest)
    return pd.Series(lowest.array[best[found]], index=hashes[found])
