"""Averaging class probabilities."""

import numpy as np
import pandas as pd
import pytest

from recycling.ensembling import EnsemblingError, average_probabilities
from recycling.predictions import CLASS_PROBABILITIES
from recycling.tables import TableError


def member(ids, paper, metal):
    frame = pd.DataFrame({"annotation_id": ids, "Paper": paper, "Metal": metal})
    return CLASS_PROBABILITIES.conform(
        frame.astype({"Paper": "float32", "Metal": "float32"}), where="test"
    )


FIRST = member([3, 1], [0.2, 1.0], [0.8, 0.0])
SECOND = member([1, 3], [0.5, 0.6], [0.5, 0.4])


def test_mean_is_taken_crop_by_crop_whatever_the_order_of_rows_and_columns():
    for second in (SECOND, SECOND[["Metal", "annotation_id", "Paper"]]):
        mean = average_probabilities([FIRST, second])
        assert mean.columns.tolist() == ["annotation_id", "Paper", "Metal"]
        assert mean["annotation_id"].tolist() == [3, 1]
        np.testing.assert_allclose(mean[["Paper", "Metal"]], [[0.4, 0.6], [0.75, 0.25]], rtol=1e-6)
        assert [str(dtype) for dtype in mean.dtypes] == ["int64", "float32", "float32"]


def test_weights_count_by_their_ratio():
    mean = average_probabilities([FIRST, SECOND], weights=[3, 1])
    np.testing.assert_allclose(mean["Paper"], [0.3, 0.875], rtol=1e-6)
    pd.testing.assert_frame_equal(
        mean, average_probabilities([FIRST, SECOND], weights=[0.75, 0.25])
    )


def test_one_member_is_its_own_mean():
    pd.testing.assert_frame_equal(average_probabilities([FIRST]), FIRST)


def test_a_member_with_other_crops_is_named_with_the_first_of_them():
    names = ["resnet", "mobilenet"]
    with pytest.raises(EnsemblingError, match="^mobilenet: no crop 3, which resnet has"):
        average_probabilities([FIRST, SECOND.iloc[:1]], names=names)
    with pytest.raises(EnsemblingError, match="^resnet: no crop 3, which mobilenet has"):
        average_probabilities([FIRST.iloc[1:], SECOND], names=names)


def test_a_member_with_other_classes_is_named_with_the_first_of_them():
    with pytest.raises(EnsemblingError, match="^member 1: no class 'Metal', which member 0 has"):
        average_probabilities([FIRST, SECOND.rename(columns={"Metal": "Glass"})])


def test_a_crop_that_occurs_twice_or_has_no_number_is_refused():
    with pytest.raises(TableError, match="^member 1: row 1: annotation_id occurs a second time"):
        average_probabilities([FIRST, pd.concat([SECOND.iloc[:1], SECOND])])
    with pytest.raises(EnsemblingError, match="^member 0: crop 3: a probability is not a finite"):
        average_probabilities([FIRST.assign(Paper=np.float32("nan")), SECOND])
