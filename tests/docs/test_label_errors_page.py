"""What docs/label_errors.md says can be written so."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from recycling.annotations import Cleaning
from recycling.annotations.cleaning.rules.correct_annotations import Correction

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/label_errors.md").read_text(encoding="utf-8")


def test_the_entries_of_the_page_are_entries_of_the_rule_and_use_every_setting():
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    rules = Cleaning.model_validate(yaml.safe_load(block)["cleaning"]["train"])
    corrections = rules.correct_annotations.corrections
    used = {name for entry in corrections for name in entry.model_fields_set}
    assert used == set(Correction.model_fields)


def test_the_entries_of_the_parameters_file_are_those_of_the_page():
    text = (ROOT / "conf/base/parameters_cleaning.yml").read_text(encoding="utf-8")
    entries = re.findall(r"^#   (- \{.*\})$", text, re.MULTILINE)
    assert entries == re.findall(r"^ +(- \{.*\})$", PAGE, re.MULTILINE)


def test_the_files_of_the_page_are_those_of_the_catalog():
    catalog = (ROOT / "conf/base/catalog_reporting.yml").read_text(encoding="utf-8")
    for name in re.findall(r"`((?:det/)?label_errors\.\w+)`", PAGE):
        assert f"08_reporting/{name.replace('det/', '{task}/')}" in catalog
