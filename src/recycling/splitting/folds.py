"""From annotations and a few settings to folds."""

from __future__ import annotations

import logging

import pandas as pd

import recycling.splitting.methods  # noqa: F401  # so that they are in the registry
from recycling.annotations import Annotations
from recycling.splitting.core import FOLDS, Folds, SplitError
from recycling.splitting.settings import METHODS, KFolds, Splitting

logger = logging.getLogger(__name__)


def make_folds(annotations: Annotations, settings: Splitting) -> Folds:
    """Split the images into folds that never share a group.

    The folds depend on the images, their groups and the settings, not on the order of the rows.

    Args:
        annotations: The images and what is on them.
        settings: The method, and what it takes.

    Returns:
        The fold of every image, ordered by image. Those that models can be validated on are
        `settings.validation_folds`.

    Raises:
        SplitError: There are fewer groups than folds, the method cannot keep the groups whole, an
            axis is not there, or what is to be held out is not.
    """
    _check_categories(annotations)
    _check_groups(annotations, settings)
    annotations = Annotations(
        images=annotations.images.sort_values("image_id", ignore_index=True),
        annotations=annotations.annotations.sort_values("annotation_id", ignore_index=True),
        categories=annotations.categories.sort_values("category_id", ignore_index=True),
    )
    fold = METHODS[settings.method].thing.split(annotations, settings)
    table = pd.DataFrame({"image_id": annotations.images["image_id"], "fold": fold})
    return Folds(FOLDS.conform(table, where="folds"))


def _check_categories(annotations: Annotations) -> None:
    categories = annotations.categories
    used = categories["category_id"].isin(annotations.annotations["category_id"])
    if not used.all():
        logger.warning(
            "categories without any annotation: %s; nothing can be learned of them",
            ", ".join(categories["name"][~used]),
        )


def _check_groups(annotations: Annotations, settings: Splitting) -> None:
    sizes = annotations.images["group"].value_counts()
    if len(sizes) < settings.n_parts:
        asked = (
            f"n_splits is {settings.n_splits}"
            if isinstance(settings, KFolds)
            else f"method {settings.method!r} makes {settings.n_parts} parts"
        )
        raise SplitError(
            f"{asked}, but the {len(annotations.images)} images form {len(sizes)} groups, which "
            f"stay whole; ask for {len(sizes)} folds or fewer"
        )
    if not METHODS[settings.method].thing.keeps_groups and sizes.iloc[0] > 1:
        others = [name for name, method in METHODS.items() if method.thing.keeps_groups]
        raise SplitError(
            f"method {settings.method!r} breaks groups, and group {sizes.index[0]!r} has "
            f"{sizes.iloc[0]} images; use a method that keeps them whole: {', '.join(others)}"
        )
