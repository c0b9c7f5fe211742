"""The methods that deal images to folds, by the names they have in the configuration.

Each takes annotations whose rows are ordered by their ids, and returns the fold of each image.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import Annotations
from recycling.splitting.axes import (
    area_tercile,
    balance_columns,
    category_counts,
    number_of_categories,
)
from recycling.splitting.core import SplitError

Method = Callable[[Annotations, int, int, Sequence[str]], NDArray[np.int64]]
"""From annotations, number of folds, seed and axes to the (images,) folds."""

BREAKS_GROUPS = {
    "stratified": "stratified_group",
    "multilabel_stratified": "multilabel_stratified_group",
}
"""Methods for images without groups, and what to use where there are groups."""


def random(
    annotations: Annotations, n_splits: int, seed: int, axes: Sequence[str]
) -> NDArray[np.int64]:
    """Groups at random: scikit-learn's `GroupKFold`, shuffled. It balances nothing."""
    from sklearn.model_selection import GroupKFold

    groups = _groups(annotations)
    splitter = GroupKFold(n_splits, shuffle=True, random_state=seed)
    return _folds(splitter.split(groups, groups=groups), len(groups))


def stratified(
    annotations: Annotations, n_splits: int, seed: int, axes: Sequence[str]
) -> NDArray[np.int64]:
    """scikit-learn's `StratifiedKFold`, by the rarest category on each image.

    The rarest, and not the most frequent, since chance alone spreads what is common evenly. An
    image without annotations has a label of its own. Groups are broken.
    """
    from sklearn.model_selection import StratifiedKFold

    counts = category_counts(annotations).to_numpy()
    label = np.where(counts > 0, counts.sum(axis=0), np.inf).argmin(axis=1)
    label[~counts.any(axis=1)] = counts.shape[1]
    splitter = StratifiedKFold(n_splits, shuffle=True, random_state=seed)
    with _refusals_of("stratified"):
        return _folds(splitter.split(label, label), len(label))


def stratified_group(
    annotations: Annotations, n_splits: int, seed: int, axes: Sequence[str]
) -> NDArray[np.int64]:
    """scikit-learn's `StratifiedGroupKFold`: a sample an annotation, its category the label.

    An image without annotations is one sample of its own kind.
    """
    samples = annotations.annotations[["image_id", "category_id"]]
    return _stratify_samples(annotations, samples, n_splits, seed, "stratified_group")


def joint_labels(
    annotations: Annotations, n_splits: int, seed: int, axes: Sequence[str]
) -> NDArray[np.int64]:
    """Report B's recipe: one label for category, area tercile and number of categories together.

    A sample is a category on an image; its label joins that category, the tercile of the area
    that the image's annotations cover, and the number of the image's categories: for ten
    categories, and 0 to 7 on an image, 240 labels. scikit-learn's `StratifiedGroupKFold` splits
    the samples. An image without annotations is one sample of its own kind.

    The report does not say what a sample is, nor whose area counts. Of the readings tried, only
    this one, with areas of boxes, gives deviations like those measured for the recipe on the
    competition's annotations: with a sample an annotation, categories come out four times as
    even; with terciles of each category's area, areas come out five times as uneven.
    """
    image_id = annotations.images["image_id"]
    of_image = pd.DataFrame(
        {
            "tercile": area_tercile(annotations).to_numpy().argmax(axis=1),
            "number": number_of_categories(annotations).to_numpy().argmax(axis=1),
        },
        index=image_id.to_numpy(),
    )
    samples = annotations.annotations[["image_id", "category_id"]].drop_duplicates()
    labels = samples.join(of_image, on="image_id")
    return _stratify_samples(annotations, labels, n_splits, seed, "joint_labels")


def multilabel_stratified(
    annotations: Annotations, n_splits: int, seed: int, axes: Sequence[str]
) -> NDArray[np.int64]:
    """iterative-stratification's, by indicators of all axes. Groups are broken."""
    from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

    indicators = balance_columns(annotations, axes).to_numpy() > 0
    splitter = MultilabelStratifiedKFold(n_splits=n_splits, shuffle=True, random_state=seed)
    return _folds(splitter.split(indicators, indicators), len(indicators))


def multilabel_stratified_group(
    annotations: Annotations, n_splits: int, seed: int, axes: Sequence[str]
) -> NDArray[np.int64]:
    """Ours: by all axes, groups whole; see `MultilabelStratifiedGroupKFold`."""
    from recycling.splitting.group_kfold import MultilabelStratifiedGroupKFold

    columns = balance_columns(annotations, axes).to_numpy()
    splitter = MultilabelStratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
    return _folds(splitter.split(columns, columns, _groups(annotations)), len(columns))


METHODS: dict[str, Method] = {
    "random": random,
    "stratified": stratified,
    "stratified_group": stratified_group,
    "joint_labels": joint_labels,
    "multilabel_stratified": multilabel_stratified,
    "multilabel_stratified_group": multilabel_stratified_group,
}


def _stratify_samples(
    annotations: Annotations, samples: pd.DataFrame, n_splits: int, seed: int, method: str
) -> NDArray[np.int64]:
    """Split samples of images so that an image, and a group, stays whole.

    Args:
        annotations: The images.
        samples: `image_id`, and the columns that together are the label.
        n_splits: Number of folds.
        seed: Of the order in which groups that are alike are dealt.
        method: What to call the method in a message.

    Returns:
        (images,) the fold of each image.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    images = annotations.images
    label = samples.groupby(samples.columns.drop("image_id").tolist()).ngroup().to_numpy()
    bare = images["image_id"][~images["image_id"].isin(samples["image_id"])]
    label = np.concatenate([label, np.full(len(bare), -1)])
    row = pd.Index(images["image_id"]).get_indexer(pd.concat([samples["image_id"], bare]))
    splitter = StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
    fold = np.empty(len(images), dtype=np.int64)
    with _refusals_of(method):
        fold[row] = _folds(splitter.split(label, label, _groups(annotations)[row]), len(row))
    return fold


def _folds(
    splits: Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]], n_rows: int
) -> NDArray[np.int64]:
    """(rows,) the fold of each row, from a splitter's train and test parts."""
    fold = np.empty(n_rows, dtype=np.int64)
    for k, (_, held_out) in enumerate(splits):
        fold[held_out] = k
    return fold


@contextmanager
def _refusals_of(method: str) -> Iterator[None]:
    """scikit-learn's refusals become ours."""
    with warnings.catch_warnings():
        # A category rarer than the folds is no fault here; the balance table shows it.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        try:
            yield
        except ValueError as error:
            raise SplitError(f"method {method!r}: {error}") from error


def _groups(annotations: Annotations) -> NDArray[np.object_]:
    return annotations.images["group"].to_numpy(dtype=object)
