"""scikit-learn's stratified folds, by each image's rarest category."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recycling.splitting.contents import Contents
from recycling.splitting.scikit_learn import fold_of_row, refusals_of
from recycling.splitting.settings import KFolds, splitting_method


class Stratified(KFolds):
    """By each image's rarest category, for images without groups."""

    method: Literal["stratified"] = "stratified"


@splitting_method("stratified", Stratified, keeps_groups=False)
def stratified(contents: Contents, settings: Stratified) -> NDArray[np.int64]:
    """scikit-learn's `StratifiedKFold`, by the rarest category on each image.

    The rarest, and not the most frequent, since chance alone spreads what is common evenly. An
    image without annotations has a label of its own. Groups are broken.
    """
    from sklearn.model_selection import StratifiedKFold

    counts = contents.counts
    label = np.where(counts > 0, counts.sum(axis=0), np.inf).argmin(axis=1)
    label[~counts.any(axis=1)] = counts.shape[1]
    splitter = StratifiedKFold(settings.n_splits, shuffle=True, random_state=settings.seed)
    with refusals_of(settings):
        return fold_of_row(splitter.split(label, label), len(label))
