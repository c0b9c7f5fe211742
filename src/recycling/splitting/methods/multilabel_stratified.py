"""iterative-stratification's folds, by all axes."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recycling.splitting.axes import columns_of
from recycling.splitting.contents import Contents
from recycling.splitting.scikit_learn import fold_of_row
from recycling.splitting.settings import KFolds, splitting_method


class MultilabelStratified(KFolds):
    """By all axes, for images without groups: iterative-stratification's."""

    method: Literal["multilabel_stratified"] = "multilabel_stratified"


@splitting_method("multilabel_stratified", MultilabelStratified, keeps_groups=False)
def multilabel_stratified(contents: Contents, settings: MultilabelStratified) -> NDArray[np.int64]:
    """iterative-stratification's, by indicators of all axes. Groups are broken."""
    from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

    indicators = columns_of(contents, settings.axes).to_numpy() > 0
    splitter = MultilabelStratifiedKFold(
        n_splits=settings.n_splits, shuffle=True, random_state=settings.seed
    )
    return fold_of_row(splitter.split(indicators, indicators), len(indicators))
