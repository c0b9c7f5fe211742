"""scikit-learn's stratified folds of groups, by category."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.splitting.contents import Contents
from recycling.splitting.scikit_learn import stratify_samples
from recycling.splitting.settings import KFolds, splitting_method


class StratifiedGroup(KFolds):
    """By category, groups whole: scikit-learn's."""

    method: Literal["stratified_group"] = "stratified_group"


@splitting_method("stratified_group", StratifiedGroup)
def stratified_group(contents: Contents, settings: StratifiedGroup) -> NDArray[np.int64]:
    """scikit-learn's `StratifiedGroupKFold`: a sample an annotation, its category the label.

    An image without annotations is one sample of its own kind.
    """
    row, category = np.nonzero(contents.counts)
    n_objects = contents.counts[row, category]
    image_id = contents.images["image_id"].to_numpy()[row]
    samples = pd.DataFrame({"image_id": image_id, "category": category})
    samples = samples.loc[samples.index.repeat(n_objects)]
    return stratify_samples(contents, samples, settings)
