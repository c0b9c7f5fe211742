"""From annotations and a few settings to folds."""

from __future__ import annotations

import logging
import warnings
from typing import Literal, NewType

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from recycling.annotations import Annotations
from recycling.splitting.axes import Axis, balance_columns
from recycling.tables import Column, Schema

logger = logging.getLogger(__name__)

Folds = NewType("Folds", pd.DataFrame)
"""One row an image: the fold whose validation part holds it; schema `FOLDS`."""

FOLDS = Schema(
    "folds",
    (
        Column("image_id", "int64", "the image's number", unique=True),
        Column("fold", "int64", "the fold whose validation part holds the image", minimum=0),
    ),
)

Method = Literal[
    "random", "stratified_group", "multilabel_stratified", "multilabel_stratified_group"
]


class SplitError(ValueError):
    """Images cannot be split as asked, or were not: one line, what is wrong, what to do."""


class Splitting(BaseModel):
    """How images are split into folds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Method = Field(
        default="multilabel_stratified_group",
        description=(
            "random: groups at random; stratified_group: scikit-learn's, by category; "
            "multilabel_stratified: iterative-stratification's, by all axes, for images without "
            "groups; multilabel_stratified_group: ours, by all axes, groups whole"
        ),
    )
    n_splits: int = Field(default=5, ge=2, description="number of folds")
    seed: int = Field(default=0, ge=0)
    axes: tuple[Axis, ...] = Field(
        default=("category_counts", "category_presence", "area_tercile", "number_of_categories"),
        min_length=1,
        description="what the multilabel methods balance",
    )


def make_folds(annotations: Annotations, settings: Splitting) -> Folds:
    """Split the images into folds that never share a group.

    The folds depend on the images, their groups and the settings, not on the order of the rows.

    Args:
        annotations: The images and what is on them.
        settings: Method, number of folds, seed and axes.

    Returns:
        The fold of every image, ordered by image.

    Raises:
        SplitError: There are fewer groups than folds, or the method cannot keep the groups whole.
    """
    _check(annotations, settings)
    annotations = Annotations(
        images=annotations.images.sort_values("image_id", ignore_index=True),
        annotations=annotations.annotations.sort_values("annotation_id", ignore_index=True),
        categories=annotations.categories,
    )
    if settings.method == "random":
        fold = _random(annotations, settings)
    elif settings.method == "stratified_group":
        fold = _stratified_group(annotations, settings)
    elif settings.method == "multilabel_stratified":
        fold = _multilabel_stratified(annotations, settings)
    else:
        fold = _multilabel_stratified_group(annotations, settings)
    table = pd.DataFrame({"image_id": annotations.images["image_id"], "fold": fold})
    return Folds(FOLDS.conform(table, where="folds"))


def _check(annotations: Annotations, settings: Splitting) -> None:
    categories = annotations.categories
    used = categories["category_id"].isin(annotations.annotations["category_id"])
    if not used.all():
        logger.warning(
            "categories without any annotation: %s; nothing can be learned of them",
            ", ".join(categories["name"][~used]),
        )
    sizes = annotations.images["group"].value_counts()
    if len(sizes) < settings.n_splits:
        raise SplitError(
            f"n_splits is {settings.n_splits}, but the {len(annotations.images)} images form "
            f"{len(sizes)} groups, which stay whole; ask for {len(sizes)} folds or fewer"
        )
    if settings.method == "multilabel_stratified" and sizes.iloc[0] > 1:
        raise SplitError(
            f"method 'multilabel_stratified' breaks groups, and group {sizes.index[0]!r} has "
            f"{sizes.iloc[0]} images; use 'multilabel_stratified_group'"
        )


def _random(annotations: Annotations, settings: Splitting) -> NDArray[np.int64]:
    from sklearn.model_selection import GroupKFold

    groups = annotations.images["group"].to_numpy(dtype=object)
    splitter = GroupKFold(settings.n_splits, shuffle=True, random_state=settings.seed)
    fold = np.empty(len(groups), dtype=np.int64)
    for k, (_, held_out) in enumerate(splitter.split(groups, groups=groups)):
        fold[held_out] = k
    return fold


def _stratified_group(annotations: Annotations, settings: Splitting) -> NDArray[np.int64]:
    """Every annotation is a sample of its category; a bare image is one sample of its own kind."""
    from sklearn.model_selection import StratifiedGroupKFold

    images = annotations.images
    labels = annotations.annotations[["image_id", "category_id"]]
    bare = images.loc[~images["image_id"].isin(labels["image_id"]), ["image_id"]]
    category_index = pd.Index(annotations.categories["category_id"])
    image = pd.concat([labels["image_id"], bare["image_id"]]).to_numpy()
    label = np.concatenate(
        [category_index.get_indexer(labels["category_id"]), np.full(len(bare), -1)]
    )
    row = pd.Index(images["image_id"]).get_indexer(image)
    groups = images["group"].to_numpy(dtype=object)
    splitter = StratifiedGroupKFold(settings.n_splits, shuffle=True, random_state=settings.seed)
    fold = np.empty(len(images), dtype=np.int64)
    with warnings.catch_warnings():
        # A category rarer than the folds is no fault here; the balance table shows it.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        try:
            splits = list(splitter.split(label, label, groups[row]))
        except ValueError as error:
            raise SplitError(f"method 'stratified_group': {error}") from error
    for k, (_, held_out) in enumerate(splits):
        fold[row[held_out]] = k
    return fold


def _multilabel_stratified(annotations: Annotations, settings: Splitting) -> NDArray[np.int64]:
    from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

    indicators = balance_columns(annotations, settings.axes).to_numpy() > 0
    splitter = MultilabelStratifiedKFold(
        n_splits=settings.n_splits, shuffle=True, random_state=settings.seed
    )
    fold = np.empty(len(indicators), dtype=np.int64)
    for k, (_, held_out) in enumerate(splitter.split(indicators, indicators)):
        fold[held_out] = k
    return fold


def _multilabel_stratified_group(
    annotations: Annotations, settings: Splitting
) -> NDArray[np.int64]:
    from recycling.splitting.group_kfold import MultilabelStratifiedGroupKFold

    columns = balance_columns(annotations, settings.axes)
    groups = annotations.images["group"].to_numpy(dtype=object)
    splitter = MultilabelStratifiedGroupKFold(settings.n_splits, random_state=settings.seed)
    fold = np.empty(len(groups), dtype=np.int64)
    for k, (_, held_out) in enumerate(splitter.split(groups, columns.to_numpy(), groups)):
        fold[held_out] = k
    return fold
