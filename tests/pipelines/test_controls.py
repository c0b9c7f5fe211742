"""What pseudo-labels do is measured on the images that are scored."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recycling.evaluation import ClassMetric
from recycling.pipelines.controls import comparer
from recycling.splitting import Folds


def test_images_without_crops_are_no_images_of_a_classifier(annotations):
    folds = Folds(pd.DataFrame({"image_id": [1, 2, 3], "fold": [0, 0, 0]}))
    right = pd.DataFrame(
        {"annotation_id": [1, 2, 3], "Paper": [0.9, 0.9, 0.1], "Metal": [0.1, 0.1, 0.9]}
    ).astype({"Paper": np.float32, "Metal": np.float32})
    wrong = right.assign(Paper=right["Metal"], Metal=right["Paper"])
    effect = comparer("cls", "again", [("a", "b")], [0])(
        train=annotations,
        folds=folds,
        metric=ClassMetric.model_validate({"metric": "accuracy"}),
        a=right,
        b=wrong,
    )
    assert effect["difference"] == pytest.approx(1.0)
    assert effect["images"] == 2  # nothing is annotated on the third
