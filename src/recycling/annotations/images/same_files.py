"""Images that are one file, or files of the same bytes."""

from __future__ import annotations

import pandas as pd

from recycling.names import composed


def first_of_same(images: pd.DataFrame, checks: pd.DataFrame | None = None) -> pd.Series[int]:
    r"""The lowest id among the images with the same bytes, or of the same file, as each image.

    Bytes are known where the images were at hand; two entries that name one file are about the
    same image in any case.

    Args:
        images: The images; schema `IMAGES`.
        checks: What `check_images` found, maybe of other images too; None goes by names alone.

    Returns:
        An id for each row of `images`, int64.

    >>> images = pd.DataFrame({"image_id": [5, 2, 9], "file_name": ["a/b.jpg", "a\\b.jpg", "c"]})
    >>> first_of_same(images).tolist()
    [2, 2, 9]
    """
    sha256: dict[int, str] = {}
    if checks is not None:
        known = checks[checks["sha256"].notna()]
        sha256 = dict(zip(known["image_id"], known["sha256"], strict=True))
    files = [composed(name).replace("\\", "/") for name in images["file_name"]]
    content = [sha256.get(own, name) for own, name in zip(images["image_id"], files, strict=True)]
    return images["image_id"].groupby(pd.factorize(pd.Series(content))[0]).transform("min")
