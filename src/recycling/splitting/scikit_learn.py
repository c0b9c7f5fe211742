"""What splitting methods share that use a splitter of scikit-learn, or one like it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.splitting.contents import Contents
from recycling.splitting.core import SplitError
from recycling.splitting.settings import KFolds


def group_of_image(contents: Contents) -> NDArray[np.object_]:
    """(images,) the group of each image."""
    return contents.images["group"].to_numpy(dtype=object)


def fold_of_row(
    splits: Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]], n_rows: int
) -> NDArray[np.int64]:
    """The fold of each row, from what a splitter yields.

    Args:
        splits: Row numbers of the train and of the test part of each fold.
        n_rows: Number of rows.

    Returns:
        (rows,) the fold whose test part has the row.

    >>> from sklearn.model_selection import KFold
    >>> fold_of_row(KFold(3).split(np.zeros(6)), 6)
    array([0, 0, 1, 1, 2, 2])
    """
    fold = np.empty(n_rows, dtype=np.int64)
    for k, (_, held_out) in enumerate(splits):
        fold[held_out] = k
    return fold


def stratify_samples(
    contents: Contents, samples: pd.DataFrame, settings: KFolds
) -> NDArray[np.int64]:
    """Split samples of images so that an image, and a group, stays whole.

    Args:
        contents: The images.
        samples: `image_id`, and the columns that together are the label. An image without a
            sample is one sample of its own kind.
        settings: Of the method. Its seed decides in which order groups that are alike are assigned.

    Returns:
        (images,) the fold of each image.

    Raises:
        SplitError: scikit-learn refuses to split them.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    images = contents.images
    label = samples.groupby(samples.columns.drop("image_id").tolist()).ngroup().to_numpy()
    bare = images["image_id"][~images["image_id"].isin(samples["image_id"])]
    label = np.concatenate([label, np.full(len(bare), -1)])
    row = pd.Index(images["image_id"]).get_indexer(pd.concat([samples["image_id"], bare]))
    splitter = StratifiedGroupKFold(settings.n_splits, shuffle=True, random_state=settings.seed)
    fold = np.empty(len(images), dtype=np.int64)
    with refusals_of(settings):
        splits = splitter.split(label, label, group_of_image(contents)[row])
        fold[row] = fold_of_row(splits, len(row))
    return fold


@contextmanager
def refusals_of(settings: KFolds) -> Iterator[None]:
    """Raise scikit-learn's refusals as ours, under the method's name."""
    with warnings.catch_warnings():
        # A category rarer than the folds is no fault here; the balance table shows it.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        try:
            yield
        except ValueError as error:
            raise SplitError(f"method {settings.method!r}: {error}") from error
