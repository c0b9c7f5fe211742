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
    effect = comparer("cls", "again", [[("a", "b")]], [0])(
        train=annotations,
        folds=folds,
        metric=ClassMetric.model_validate({"metric": "accuracy"}),
        a=right,
        b=wrong,
    )
    assert effect["difference"] == pytest.approx(1.0)
    assert effect["images"] == 2  # nothing is annotated on the third


def test_each_seed_is_a_pair_and_its_folds_are_taken_together(annotations):
    folds = Folds(pd.DataFrame({"image_id": [1, 2], "fold": [0, 1]}))
    right = pd.DataFrame(
        {"annotation_id": [1, 2, 3], "Paper": [0.9, 0.9, 0.1], "Metal": [0.1, 0.1, 0.9]}
    ).astype({"Paper": np.float32, "Metal": np.float32})
    wrong = right.assign(Paper=right["Metal"], Metal=right["Paper"])
    image_of = annotations.annotations.set_index("annotation_id")["image_id"]
    first, second = (right["annotation_id"].map(image_of) == image for image in (1, 2))
    # The first seed is right throughout; the second no better than its twin.
    effect = comparer("cls", "again", [[("a0", "b0"), ("a1", "b1")], [("c0", "d0"), ("c1", "d1")]],
                      [0, 1])(
        train=annotations,
        folds=folds,
        metric=ClassMetric.model_validate({"metric": "accuracy"}),
        a0=right[first], a1=right[second], b0=wrong[first], b1=wrong[second],
        c0=wrong[first], c1=wrong[second], d0=wrong[first], d1=wrong[second],
    )  # fmt: skip
    assert effect["seeds"] == 2
    assert effect["difference"] == pytest.approx(0.5)
    assert effect["sentence"].endswith("2 seeds: cannot be told from chance")
