"""What docs/pseudo_labels.md says can be written so."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from recycling.plan.pseudo_labels import read_rounds
from recycling.pseudo_labels import PseudoLabeling

PAGE = (Path(__file__).parents[2] / "docs/pseudo_labels.md").read_text(encoding="utf-8")


def test_the_rounds_of_the_page_are_rounds():
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    rounds = read_rounds(yaml.safe_load(block), [])
    assert list(rounds) == ["pseudo", "again"]
    assert rounds["again"].teacher == "students"


def test_the_page_speaks_of_every_setting():
    settings = set(PseudoLabeling.model_fields) - {"soft", "mask_area", "near_duplicate_distance"}
    assert not [name for name in settings if name not in PAGE]
