"""From annotations and a few settings to folds."""

from __future__ import annotations

import logging

import pandas as pd

from recycling.annotations import Annotations
from recycling.splitting.core import FOLDS, Folds, SplitError
from recycling.splitting.hold_out import hold_out
from recycling.splitting.methods import BREAKS_GROUPS, METHODS
from recycling.splitting.settings import Splitting

logger = logging.getLogger(__name__)


def make_folds(annotations: Annotations, settings: Splitting) -> Folds:
    """Split the images into folds that never share a group.

    The folds depend on the images, their groups and the settings, not on the order of the rows.

    Args:
        annotations: The images and what is on them.
        settings: Method, number of folds, seed and axes.

    Returns:
        The fold of every image, ordered by image. With the method `hold_out`, fold 0 is held out
        and fold 1 is the rest.

    Raises:
        SplitError: There are fewer groups than folds, the method cannot keep the groups whole, an
            axis is not there, or what is to be held out is not.
    """
    n_splits = 2 if settings.hold_out else settings.n_splits
    _check_categories(annotations)
    _check_groups(annotations, settings.method, n_splits)
    annotations = Annotations(
        images=annotations.images.sort_values("image_id", ignore_index=True),
        annotations=annotations.annotations.sort_values("annotation_id", ignore_index=True),
        categories=annotations.categories.sort_values("category_id", ignore_index=True),
    )
    if settings.hold_out:
        fold = hold_out(annotations, settings.hold_out, axes=settings.axes, seed=settings.seed)
    else:
        fold = METHODS[settings.method](annotations, n_splits, settings.seed, settings.axes)
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


def _check_groups(annotations: Annotations, method: str, n_splits: int) -> None:
    sizes = annotations.images["group"].value_counts()
    if len(sizes) < n_splits:
        asked = (
            "method 'hold_out' makes 2 parts" if method == "hold_out" else f"n_splits is {n_splits}"
        )
        raise SplitError(
            f"{asked}, but the {len(annotations.images)} images form {len(sizes)} groups, which "
            f"stay whole; ask for {len(sizes)} folds or fewer"
        )
    if method in BREAKS_GROUPS and sizes.iloc[0] > 1:
        raise SplitError(
            f"method {method!r} breaks groups, and group {sizes.index[0]!r} has "
            f"{sizes.iloc[0]} images; use {BREAKS_GROUPS[method]!r}"
        )
