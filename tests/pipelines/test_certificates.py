"""What a promise does not cover is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from recycling.pipelines.pseudo_labeling import DIFFERENT, _coverage, certifier
from recycling.plan import PseudoLabelPlan, PseudoPart
from recycling.pseudo_labels import THRESHOLDS, PseudoLabeling, audit, examples
from recycling.splitting import AdversarialValidation

ALIKE = {"p_value": 0.5, "verdict": "cannot be told apart"}


def coverage(task: Any = "det", fold: int | None = 0, asked: str = "pool.annotations",
             shift: Any = ALIKE, **settings: Any) -> str:  # fmt: skip
    part = PseudoPart("pool", asked, {})
    labels = PseudoLabelPlan(task, "pseudo", fold, (), "params:ensembling.det", (part,))
    return _coverage(labels, part, PseudoLabeling.model_validate(settings), shift)


def test_a_promise_is_a_sentence():
    assert coverage() == (
        "promised with a chance of 0.9, of each category by itself: 0.9 of what is kept is right "
        "(boxes that find an object at an IoU of 0.5; images of one group count as one)"
    )


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ({"fold": None}, "teachers of all folds label together"),
        ({"task": "cls", "asked": "det.pseudo.fold0.pool_annotations"}, "crops were proposed"),
        ({"share": 0.5}, "only the surest images are kept"),
        # The smallest that 39 permutations, the default, can give.
        ({"shift": {"p_value": 1 / 40, "verdict": "AUC 1"}}, "differ from the labelled ones (AUC"),
        ({"shift": {"p_value": None, "verdict": "12 images"}}, "whether the images are like"),
    ],
)
def test_where_it_is_applied_to_others_than_it_was_learnt_on_it_is_marked(case, said):
    _, doubts = coverage(**case).split("; NOT COVERED: ")
    assert said in doubts


def test_images_that_are_not_told_apart_are_covered():
    assert "NOT COVERED" not in coverage(shift={"p_value": 0.075, "verdict": ""})


def test_the_usual_comparison_can_find_that_the_images_differ():
    assert 1 / (1 + AdversarialValidation().permutations) <= DIFFERENT


def test_where_nothing_is_promised_nothing_is_said_to_be_covered():
    assert coverage(promise=None, score=0.5) == "the threshold is set, and nothing is promised"


def test_images_of_the_pool_that_are_one_group_count_as_one_beside_the_truth(annotations):
    """The file of the truth does not know which images look alike; the pool, cleaned, does."""
    alone = annotations.images["file_name"]
    truth = replace(annotations, images=annotations.images.assign(group=alone))
    moved = annotations.annotations["image_id"] == 2
    boxes = annotations.annotations.assign(
        x_min=annotations.annotations["x_min"].mask(moved, 36.0), x_max=40.0, source="pseudo"
    )
    pseudo = replace(annotations, annotations=boxes.assign(x_max=boxes["x_max"].mask(~moved, 12.0)))
    fates = boxes.assign(fate="kept")
    part = PseudoPart("pool", "pool.annotations", {})
    labels = PseudoLabelPlan("det", "pseudo", 0, (), "params:ensembling.det", (part,))
    categories = annotations.categories.rename(columns={"name": "category"})
    thresholds = THRESHOLDS.conform(
        categories.assign(threshold=0.5, precision=0.6, confidence=0.9, units=1, kept=1.0,
                          wrong=0.0, reason="promised"),
        where="thresholds",
    )  # fmt: skip
    certificate, page = certifier(labels, part)(
        thresholds=thresholds, settings=PseudoLabeling(), folder=None, annotations=pseudo,
        audit=audit(fates, annotations.categories), examples=examples(fates[:0]),
        left_out=pd.DataFrame({"image_id": []}), asked=annotations, shift=ALIKE, truth=truth,
    )  # fmt: skip
    assert certificate["attained"].tolist() == [pytest.approx(2 / 3), 0]
    assert "the truth can tell of 2 promises: 1 of them kept" in page
