"""What is decided on label errors, and what cleaning makes of it."""

from __future__ import annotations

import pytest
from kedro.io import DataCatalog

from recycling.annotations import AnnotationError, Cleaning, clean
from recycling.annotations.cleaning.corrections import read_corrections, with_corrections
from recycling.annotations.cleaning.rules.correct_annotations import Correction
from recycling.annotations.images.checks import IMAGE_CHECKS
from recycling.datasets import CorrectionsDataset
from recycling.viewer.decisions import Decisions


def entry(**changes: object) -> Correction:
    own = {"file_name": "1.png", "category": "Paper", "box": [2, 2, 12, 12], **changes}
    return Correction.model_validate(own)


@pytest.fixture
def catalog(tmp_path) -> DataCatalog:
    return DataCatalog(
        {
            name: CorrectionsDataset(filepath=tmp_path / f"{name}.yml")
            for name in ("train.corrections", "train.rejected_corrections")
        }
    )


def test_what_is_accepted_is_what_cleaning_corrects(annotations, catalog, tmp_path):
    decisions = Decisions(catalog)
    decisions.decide(entry(new_category="Metal"), "accepted")
    decisions.decide(entry(drop=True), "rejected")
    stored = read_corrections(tmp_path / "train.corrections.yml")
    rules = with_corrections(Cleaning(), stored)
    cleaned, audit = clean(annotations, IMAGE_CHECKS.empty(), rules)
    assert cleaned.annotations["category_id"].tolist() == [7, 5, 7]
    assert audit["reason"].tolist() == ["is Metal, not Paper"]


def test_a_decision_can_be_changed_and_taken_back(catalog):
    decisions = Decisions(catalog)
    own = entry(drop=True)
    assert decisions.all() == {}
    decisions.decide(own, "accepted")
    decisions.decide(own, "rejected")
    assert decisions.all() == {own: "rejected"}
    decisions.decide(own, None)
    assert decisions.all() == {}


def test_accepted_entries_come_after_those_of_the_configuration(catalog):
    first, second = entry(new_category="Metal"), entry(category="Metal", drop=True)
    rules = Cleaning.model_validate({"correct_annotations": {"corrections": [first]}})
    Decisions(catalog).decide(second, "accepted")
    both = with_corrections(rules, catalog.load("train.corrections"))
    assert both.correct_annotations.corrections == (first, second)


BOX = [4.0, 4.0, 14.0, 14.0]


@pytest.mark.parametrize(
    ("changes", "joined"),
    [
        ([{"new_category": "Metal"}, {"new_box": BOX}],
         [{"new_category": "Metal", "new_box": BOX}]),
        ([{"new_category": "Metal"}, {"drop": True}], [{"drop": True}]),
        ([{"drop": True}, {"new_box": BOX}], [{"new_box": BOX}]),
    ],
)  # fmt: skip
def test_two_decisions_on_one_annotation_are_one_correction(annotations, catalog, changes, joined):
    """One table doubts its category, another one its place; both stay as they were decided."""
    decisions = Decisions(catalog)
    entries = [entry(**own) for own in changes]
    for own in entries:
        decisions.decide(own, "accepted")
    assert decisions.all() == dict.fromkeys(entries, "accepted")
    rules = with_corrections(Cleaning(), catalog.load("train.corrections"))
    assert rules.correct_annotations.corrections == tuple(entry(**own) for own in joined)
    clean(annotations, IMAGE_CHECKS.empty(), rules)


@pytest.mark.parametrize(
    "changes",
    [
        [{"new_category": "Metal"}, {"category": "Metal", "new_category": "Paper"},
         {"new_box": BOX}],
        [{"add": True, "box": BOX}, {"box": BOX, "new_category": "Metal"}],
    ],
)  # fmt: skip
def test_a_decision_on_what_an_earlier_one_has_left_is_one_of_its_own(
    annotations, catalog, changes
):
    decisions = Decisions(catalog)
    for own in changes:
        decisions.decide(entry(**own), "accepted")
    rules = with_corrections(Cleaning(), catalog.load("train.corrections"))
    assert len(rules.correct_annotations.corrections) == len(changes)
    clean(annotations, IMAGE_CHECKS.empty(), rules)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {file_name: a.jpg", "not YAML"),
        ("file_name: a.jpg\n", "should be a list of corrections"),
        ("- {file_name: a.jpg, category: Paper, box: [0, 0, 1]}\n", r"entry 1, box.3"),
        ("- {file_name: a.jpg, category: Paper, box: [0, 0, 1, 1]}\n", "entry 1: .*does one thing"),
    ],
)
def test_a_file_that_cannot_be_read_is_said_in_one_line(tmp_path, text, said):
    path = tmp_path / "train.corrections.yml"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=said) as error:
        read_corrections(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
