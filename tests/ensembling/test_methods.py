"""A fusion method takes what its settings say, by the same names and with the same defaults."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest

from recycling.ensembling import fuse
from recycling.ensembling.methods import (
    BOX_METHODS,
    CLASS_METHODS,
    MASK_METHODS,
    ClassFusion,
    Method,
)
from recycling.registry import Entry

ENTRIES = [*BOX_METHODS.values(), *MASK_METHODS.values()]
OF_THE_MEMBERS = {"members", "names", "weights", "ranks", "sizes"}
"""What a function is told of the members, and is no setting of the method."""


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_keywords_and_settings_have_the_same_names_and_defaults(entry: Entry[Method]) -> None:
    keywords = inspect.signature(entry.thing.fuse).parameters
    settings = dict(entry.settings.model_fields)
    assert settings.pop("method").default == entry.name
    assert ("weights" in keywords) == (settings.pop("weights", None) is not None)
    settings.pop("calibrate", None)  # done before, whatever the method
    assert ("ranks" in keywords) == (entry.thing.learns == "ranks")
    own = {name: one.default for name, one in keywords.items() if name not in OF_THE_MEMBERS}
    assert own == {name: field.default for name, field in settings.items()}


@pytest.mark.parametrize(
    "name", [name for name, entry in CLASS_METHODS.items() if entry.thing.learns != "labels"]
)
def test_a_method_says_whether_a_crop_depends_on_the_others(name):
    rng = np.random.default_rng(0)
    tables = {
        member: pd.DataFrame(rng.dirichlet([1, 1, 1], 6), columns=["paper", "metal", "glass"])
        for member in "ab"
    }
    for table in tables.values():
        table.insert(0, "annotation_id", range(6))
    settings, ranks = ClassFusion.model_validate({"method": name}), {"a": 0, "b": 1}
    at_once = fuse(settings, tables, ranks=ranks)
    one_by_one = [
        fuse(settings, {own: t.iloc[[row]] for own, t in tables.items()}, ranks=ranks)
        for row in range(6)
    ]
    is_same = np.allclose(at_once.to_numpy(), pd.concat(one_by_one).to_numpy(), atol=1e-6)
    assert is_same != CLASS_METHODS[name].thing.depends_on_others
