"""Groups at random."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recycling.splitting.contents import Contents
from recycling.splitting.scikit_learn import fold_of_row, group_of_image
from recycling.splitting.settings import KFolds, splitting_method


class Random(KFolds):
    """Groups at random."""

    method: Literal["random"] = "random"


@splitting_method("random", Random)
def random(contents: Contents, settings: Random) -> NDArray[np.int64]:
    """Groups at random: scikit-learn's `GroupKFold`, shuffled. It balances nothing."""
    from sklearn.model_selection import GroupKFold

    groups = group_of_image(contents)
    splitter = GroupKFold(settings.n_splits, shuffle=True, random_state=settings.seed)
    return fold_of_row(splitter.split(groups, groups=groups), len(groups))
