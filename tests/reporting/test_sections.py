"""The pages on the steps of a run say what a reader needs of each."""

import numpy as np
import pandas as pd
import pytest

from recycling.annotations import ImageChecks
from recycling.annotations.cleaning.report import RULE_REPORT
from recycling.evaluation import Metrics
from recycling.reporting import (
    Training,
    data_page,
    ensembles_page,
    folds_page,
    models_page,
)
from recycling.reporting.pages import render_page
from reporting.test_report_page import Page


@pytest.fixture
def checks():
    table = pd.DataFrame({"file_name": ["1.png", "2.png"], "problem": None, "detail": None})
    return ImageChecks(table)


RULES = RULE_REPORT.conform(
    pd.DataFrame(
        [("clip_boxes", True, "annotation", "change", 3, "[1]", "reaches outside"),
         ("drop_area_range", False, "annotation", "drop", 2, "[2]", "too small"),
         ("relabel", True, None, None, 0, "[]", None)],
        columns=RULE_REPORT.names,
    ),
    where="test",
)  # fmt: skip


def test_the_page_on_data_counts_classes_and_sizes_and_proposes_anchors(annotations, checks):
    page = Page(data_page(annotations, checks, {"train": RULES}, {"train": ""}))
    assert page.items[0] == "3 images in 2 groups, 3 objects of 2 of 2 classes."
    assert "sizes of objects: 100% small, 0% medium, 0% large." in page.items
    assert page.cells[:7] == ["Paper", "2", "66.7%", "2", "2", "0", "0"]
    assert any(item.startswith("at an image size of 40 pixels") for item in page.items)
    assert any(item.startswith("none of 2 files") for item in page.items)


def test_the_page_on_data_says_what_rules_did_and_what_those_that_are_off_would(
    annotations, checks
):
    page = Page(data_page(annotations, checks, {"train": RULES}, {"train": ""}))
    assert "change annotation" in page.cells
    assert "off; would drop annotation" in page.cells
    assert "relabel" not in page.cells


def test_a_problem_of_image_files_is_counted_with_an_example(annotations, checks):
    checks.loc[1, ["problem", "detail"]] = ["missing", "no such file"]
    page = Page(data_page(annotations, checks, {}, {}))
    assert page.cells[-4:] == ["missing", "1", "2.png", "no such file"]


def test_images_without_objects_have_a_page_too(annotations, checks):
    page = Page(data_page(annotations.of_images([3]), checks, {}, {}))
    assert page.items[0] == "1 images in 1 groups, 0 objects of 0 of 2 classes."
    assert "Proposed anchors" not in page.headings


def test_the_page_on_folds_counts_and_names_the_axis_that_is_least_even(annotations):
    folds = pd.DataFrame({"image_id": [1, 2, 3], "fold": [0, 1, 1]})
    balance = pd.DataFrame(
        {"fold": [0, 1], "category": ["Paper", "Paper"], "train": [50.0, 60.0],
         "validation": [60.0, 50.0]}
    )  # fmt: skip
    deviations = pd.DataFrame({"axis": ["area_tercile", "groups"], "deviation": [3.5, 1.0]})
    page = Page(folds_page(annotations, folds, balance, deviations))
    assert page.cells == ["0", "1", "1", "1", "1", "2", "1", "2"]
    assert "3.50 percentage points, which it is in area tercile" in page.items[1]
    assert page.headings == ["Balance"]  # no test part to compare with


def test_the_page_on_models_says_what_each_training_took():
    facts = {"seconds": 120.0, "images_per_second": 35.3, "waiting_share": 0.25,
             "peak_megabytes": 1500.0, "iterations": 500}  # fmt: skip
    log = [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0, "score": 0.5}]
    trainings = [
        Training("det.yolox.fold0", facts, log, 0.5, None),
        Training("det.fcos.fold0", {}, [], 0.25, None),
    ]
    certificate = pd.DataFrame({"kept": [3, 1], "predicted": [5, 5], "attained": [1.0, 0.0]})
    learnt = {"det.pseudo.fold0.pool": (certificate, render_page("x", []))}
    image = np.zeros((4, 4, 3), np.uint8)
    effect = {"sentence": "pseudo-labels, yolox: no verdict."}
    page = Page(models_page("det", trainings, {"yolox": image}, [effect], learnt))
    assert page.cells[:7] == ["det.yolox.fold0", "0.5000", "2.0", "35.3", "25.0%", "1,500", "500"]
    assert "pseudo-labels, yolox: no verdict." in page.items
    kept = (
        "det.pseudo.fold0.pool: 4 of 10 predictions are kept; 75% of them are right by the truth, "
        "images of one group as one."
    )
    assert kept in page.items
    assert "Training curves" in page.headings


def test_the_page_on_ensembles_has_sizes_intervals_and_scores_on_held_out_images():
    scores = {
        "metric": "mAP50",
        "members": {"a.fold0": 0.5},
        "ensemble": 0.6,
        "sizes": {"final": {"small": 0.25}},
        "intervals": {"final": (0.5, 0.7)},
    }
    on_test = {"final": Metrics("mAP50", 0.6, {"Metal": 0.75}, {})}
    held_out = {"a.fold0": Metrics("mAP50", 0.4, {}, {})}
    part = render_page("Detection: final", [("Members", [])])
    submissions = {"other": pd.DataFrame({"a": [1, 2]})}
    text = ensembles_page("det", scores, on_test, held_out, {"final": part}, submissions)
    page = Page(text)
    final, member = page.cells[:4], page.cells[4:]
    assert final == ["ensemble", "0.6000", "0.500 to 0.700", "0.2500"]
    assert member == ["a.fold0", "0.5000", "0.4000"]
    assert page.headings[:3] == ["Scores", "Scores by class", "Ensemble final"]
    assert "other: 2 rows." in page.items
    assert "<h3>Members</h3>" in text
