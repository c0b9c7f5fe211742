"""Our folds, by all axes, groups whole."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recycling.splitting.axes import columns_of
from recycling.splitting.contents import Contents
from recycling.splitting.scikit_learn import fold_of_row, group_of_image
from recycling.splitting.settings import KFolds, splitting_method


class MultilabelStratifiedGroup(KFolds):
    """By all axes, groups whole: ours."""

    method: Literal["multilabel_stratified_group"] = "multilabel_stratified_group"


@splitting_method("multilabel_stratified_group", MultilabelStratifiedGroup)
def multilabel_stratified_group(
    contents: Contents, settings: MultilabelStratifiedGroup
) -> NDArray[np.int64]:
    """Ours: by all axes, groups whole; see `MultilabelStratifiedGroupKFold`."""
    from recycling.splitting.group_kfold import MultilabelStratifiedGroupKFold

    columns = columns_of(contents, settings.axes).to_numpy()
    splitter = MultilabelStratifiedGroupKFold(
        settings.n_splits, shuffle=True, random_state=settings.seed
    )
    return fold_of_row(splitter.split(columns, columns, group_of_image(contents)), len(columns))
