"""From annotations and a few settings to folds."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import recycling.splitting.methods  # noqa: F401  # so that they are in the registry
from recycling.annotations import Annotations, StoredAnnotations
from recycling.errors import listed
from recycling.names import shown_name
from recycling.splitting.contents import Contents, contents_of
from recycling.splitting.core import FOLDS, Folds, SplitError
from recycling.splitting.settings import METHODS, KFolds, Splitting

logger = logging.getLogger(__name__)

LARGE_GROUP = 1 / 5
"""Share of the images from which a group is warned of: with five folds it fills more than one."""


def make_folds(annotations: Annotations | StoredAnnotations, settings: Splitting) -> Folds:
    """Split the images into folds that never share a group.

    The folds depend on the images, their groups and the settings, not on the order of the rows.
    Crowd regions are no objects: they count for nothing.

    Args:
        annotations: The images and what is on them.
        settings: The method, and what it takes.

    Returns:
        The fold of every image, ordered by image. Those that models can be validated on are
        `settings.validation_folds`.

    Raises:
        SplitError: There are fewer groups than folds, a fold stays empty, the method cannot keep
            the groups whole, an axis is not there, or what is to be held out is not.
    """
    contents = contents_of(annotations)
    _check_groups(contents.images, settings)
    contents = contents.ordered()
    _check_categories(contents)
    fold = METHODS[settings.method].thing.split(contents, settings)
    _check_no_fold_is_empty(contents.images, fold, settings)
    table = pd.DataFrame({"image_id": contents.images["image_id"], "fold": fold})
    return Folds(FOLDS.conform(table, where="folds"))


def _check_categories(contents: Contents) -> None:
    used = contents.counts.sum(axis=0) > 0
    if not used.all():
        logger.warning(
            "%d of %d categories have no annotation (crowd regions do not count), nothing can be "
            "learned of them: %s",
            (~used).sum(),
            len(used),
            listed(map(shown_name, contents.categories["name"][~used])),
        )


def _check_groups(images: pd.DataFrame, settings: Splitting) -> None:
    sizes = images["group"].value_counts()
    if len(sizes) < settings.n_parts:
        asked = (
            f"n_splits is {settings.n_splits}"
            if isinstance(settings, KFolds)
            else f"method {settings.method!r} makes {settings.n_parts} parts"
        )
        todo = (
            f"set splitting.n_splits to {len(sizes)} or fewer"
            if isinstance(settings, KFolds) and len(sizes) > 1
            else "add images of other groups"
        )
        groups = f"{len(sizes)} groups, which stay" if len(sizes) > 1 else "1 group, which stays"
        raise SplitError(f"{asked}, but the {len(images)} images form {groups} whole; {todo}")
    large = sizes[(sizes > 1) & (sizes > len(images) * LARGE_GROUP)]
    if len(large):
        logger.warning(
            "%d groups hold more than a fifth of the %d images each, and stay whole: %s; folds "
            "cannot be even",
            len(large),
            len(images),
            listed(f"{shown_name(str(group))} ({size} images)" for group, size in large.items()),
        )
    if not METHODS[settings.method].thing.keeps_groups and sizes.iloc[0] > 1:
        others = [name for name, method in METHODS.items() if method.thing.keeps_groups]
        raise SplitError(
            f"method {settings.method!r} breaks groups, and group {sizes.index[0]!r} has "
            f"{sizes.iloc[0]} images; use a method that keeps them whole: {', '.join(others)}"
        )


def _check_no_fold_is_empty(
    images: pd.DataFrame, fold: NDArray[np.int64], settings: Splitting
) -> None:
    empty = sorted(set(range(settings.n_parts)) - set(fold.tolist()))
    if empty:
        sizes = images["group"].value_counts()
        raise SplitError(
            f"method {settings.method!r} leaves fold {', '.join(map(str, empty))} of "
            f"{settings.n_parts} empty: {len(images)} images form {len(sizes)} groups, "
            f"the largest of {sizes.iloc[0]}; ask for fewer folds or use another method, such as "
            "multilabel_stratified_group"
        )
