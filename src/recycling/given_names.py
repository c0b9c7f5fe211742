"""The names that a file gives to images which cleaning calls as their files are called."""

from __future__ import annotations

import json

import pandas as pd

_KEY = "given_file_name"


def rename_images(images: pd.DataFrame, names: pd.Series[str]) -> pd.DataFrame:
    """Images with other names, whose given ones stay in `extra`.

    Args:
        images: Schema `IMAGES`.
        names: Of each, in the same order.
    """
    extras = [
        json.dumps({**(json.loads(extra) if isinstance(extra, str) else {}), _KEY: given})
        for extra, given in zip(images["extra"], images["file_name"], strict=True)
    ]
    extra = pd.Series(extras, index=images.index, dtype="string")
    return images.assign(file_name=names.astype("string"), extra=extra)


def with_given_names(images: pd.DataFrame) -> pd.DataFrame:
    r"""Images as their file has called them, such as a competition that wants its own names back.

    Args:
        images: With `file_name` and, where there are given names, `extra`.

    Example:
        >>> images = pd.DataFrame({"file_name": ["test\\A.JPG"], "extra": [None]})
        >>> found = rename_images(images, pd.Series(["test/a.jpg"]))
        >>> found["file_name"].tolist(), with_given_names(found)["file_name"].tolist()
        (['test/a.jpg'], ['test\\A.JPG'])
    """
    if "extra" not in images:
        return images
    may_have = images["extra"].astype("string").str.contains(f'"{_KEY}"', regex=False).fillna(False)
    if not may_have.any():
        return images
    names = images["file_name"].copy()
    given = [json.loads(extra).get(_KEY) for extra in images.loc[may_have, "extra"]]
    # A file may have a key of that name, too, with anything in it.
    names[may_have] = [
        own if isinstance(own, str) else name
        for own, name in zip(given, names[may_have], strict=True)
    ]
    return images.assign(file_name=names)
