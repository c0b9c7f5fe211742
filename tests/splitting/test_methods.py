"""Methods by name: what each takes from the configuration, and a method of one's own."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from recycling.splitting import Splitting, make_folds
from recycling.splitting.settings import METHODS, KFolds, splitting_method
from splitting.annotated_images import annotated_images

CONFIGURATION = Path(__file__).parents[2] / "conf/base/parameters_splitting.yml"


@pytest.fixture
def base():
    """What the configuration says unless a user says otherwise."""
    return yaml.safe_load(CONFIGURATION.read_text())["splitting"]


@pytest.mark.parametrize("method", METHODS)
def test_any_method_can_be_chosen_without_touching_another_line_of_the_configuration(base, method):
    changed = {**base, "method": method}
    if method == "hold_out":
        changed["hold_out"] = {"share": 0.2}
    settings = Splitting.model_validate(changed)
    assert settings.method == method
    folds = make_folds(annotated_images(group_size=1), settings)
    assert set(folds["fold"]) == set(range(settings.n_parts))
    assert set(settings.validation_folds) <= set(folds["fold"])


def test_a_method_of_ones_own_is_used_through_yaml(base, monkeypatch):
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))

    class ByRow(KFolds):
        """Every n-th image, from the first that is asked for."""

        method: Literal["by_row"] = "by_row"
        first: int = 0

    @splitting_method("by_row", ByRow, keeps_groups=False)
    def by_row(annotations, settings):
        return (np.arange(len(annotations.images)) + settings.first) % settings.n_splits

    settings = Splitting.model_validate({**base, **yaml.safe_load("{method: by_row, n_splits: 3}")})
    folds = make_folds(annotated_images(n_images=7, group_size=1), settings)
    assert folds["fold"].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert Splitting(method="by_row", first=2).first == 2
    with pytest.raises(
        ValidationError, match=r"'random' takes no 'first' \(it is a setting of by_"
    ):
        Splitting(method="random", first=2)


def test_a_method_that_there_is_not_is_refused_with_those_that_there_are():
    with pytest.raises(ValidationError, match="no splitting method is called 'kfold'; there are"):
        Splitting(method="kfold")
    with pytest.raises(ValidationError, match="did you mean 'stratified'"):
        Splitting.model_validate({"method": "stratifed"})
