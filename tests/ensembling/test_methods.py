"""A fusion method takes what its settings say, by the same names and with the same defaults."""

from __future__ import annotations

import inspect

import pytest

from recycling.ensembling.methods import BOX_METHODS, MASK_METHODS, Method
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
