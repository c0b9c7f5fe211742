"""scikit-learn's stratified folds of groups, by category."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recycling.annotations import Annotations
from recycling.splitting.scikit_learn import stratify_samples
from recycling.splitting.settings import KFolds, splitting_method


class StratifiedGroup(KFolds):
    """By category, groups whole: scikit-learn's."""

    method: Literal["stratified_group"] = "stratified_group"


@splitting_method("stratified_group", StratifiedGroup)
def stratified_group(annotations: Annotations, settings: StratifiedGroup) -> NDArray[np.int64]:
    """scikit-learn's `StratifiedGroupKFold`: a sample an annotation, its category the label.

    An image without annotations is one sample of its own kind.
    """
    samples = annotations.annotations[["image_id", "category_id"]]
    return stratify_samples(annotations, samples, settings)
