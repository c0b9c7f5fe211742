"""The report at the end of a run answers what is asked first, from the numbers of the run."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recycling.diagnostics import CONTRIBUTIONS
from recycling.evaluation import Metrics
from recycling.experiments import Manifest, NodeRun
from recycling.reporting.pages import as_part, render_image, render_page
from recycling.reporting.report import run_report
from recycling.reporting.sections.answers import Results
from reporting.test_report_page import Page

RUN = Manifest(
    "2026-01-02T03.04.05.000Z",
    {"pipeline_names": ["ensembling"]},
    "2026-01-02T03:04:05+00:00",
    ended="2026-01-02T03:10:05+00:00",
    state="completed",
    machine={"cores": 2, "memory_gb": 8},
    nodes=(
        NodeRun("det.yolox.fold0.train", 240.0, (), 900.0),
        NodeRun("det.final.fuse_test_predictions", 30.0, (), 950.0),
    ),
    warnings=("the disk is nearly full.",),
)
SCORES = {
    "metric": "mAP50",
    "members": {"yolox.fold0": 0.5, "fcos.fold0": 0.3, "yolox_pseudo.fold0": 0.55},
    "ensemble": 0.6,
    "sizes": {
        "yolox.fold0": {"small": 0.2, "large": 0.9},
        "fcos.fold0": {"small": 0.4, "large": 0.2},
        "final": {"small": 0.3, "large": 0.9},
    },
    "intervals": {"final": (0.5, 0.7)},
}
FINAL = {
    "metric": "mAP50",
    "score": 0.58,
    "per_class": {"Metal": 0.9, "Battery": 0.1, "Glass": 0.4},
    "details": {"mAP50_small": 0.2},
}
MODELS = {
    "yolox": {"task": "det", "pretrained": "none", "train_on": "labeled"},
    "yolox_pseudo": {"task": "det", "pretrained": "model:yolox", "train_on": "labeled+pseudo"},
}


@pytest.fixture
def results():
    contributions = pd.DataFrame(
        [("fcos", 0.3, 0.6, -0.01, -0.02, 0.01), ("yolox", 0.5, 0.4, 0.2, 0.1, 0.3)],
        columns=["member", "score", "without", "contribution", "low", "high"],
    )
    return Results(
        summary={"det": SCORES},
        explanations={"det": {"ensemble": FINAL, "members": {}}},
        contributions={"det": CONTRIBUTIONS.conform(contributions, where="test")},
        confusions={
            "det": pd.DataFrame(
                [("Battery", "nothing", 9, 0.9)], columns=["first", "second", "count", "share"]
            )
        },
        models=MODELS,
        trainings={"det.yolox.fold0": {"waiting_share": 0.45}},
        counts={"Battery": 12},
    )


def test_what_was_run_and_what_came_out_stands_on_top(results):
    items = Page(run_report(RUN, results, {}, {}, {}, {"det": "data/a.csv"})).items
    assert items[0] == (
        "kedro run --pipelines ensembling on 2026-01-02 at 03:04 UTC, 6.0 minutes: 2 steps, 0 "
        "outputs were up to date."
    )
    assert items[2] == (
        "detection: the final ensemble has mAP50 0.6000 (0.500 to 0.700) on the test images; the "
        "best model, yolox_pseudo.fold0, 0.5500."
    )
    assert items[3] == "submissions: detection data/a.csv."


def test_what_failed_and_what_was_skipped_for_it_stands_on_top(results):
    failed = replace(
        RUN,
        state="failed",
        error="the loss is nan (det.fcos.fold0.train failed, 2 that need what failed were skipped)",
        failed={"det.fcos.fold0.train": "the loss is nan"},
        skipped=("det.fcos.fold0.predict_test_images", "det.final.fuse"),
    )
    items = Page(run_report(failed, results, {}, {}, {}, {})).items
    assert items[0].endswith("2 steps, 0 outputs were up to date.")
    assert items[1:3] == [
        "det.fcos.fold0.train failed: the loss is nan.",
        "skipped, as it needs what failed: det.fcos.fold0: predict_test_images; det.final: fuse.",
    ]


def test_who_is_best_is_said_with_whether_chance_may_have_it_the_other_way_round(results):
    first = (
        "detection: best on the test images is the ensemble final, mAP50 0.6000 (0.500 to 0.700)"
    )
    items = Page(run_report(RUN, results, {}, {}, {}, {})).items
    assert f"{first}; the best model is yolox_pseudo.fold0, 0.5500." in items
    intervals = {"final": (0.5, 0.7), "yolox_pseudo.fold0": (0.45, 0.6)}
    close = Results(summary={"det": {**SCORES, "intervals": intervals}})
    items = Page(run_report(RUN, close, {}, {}, {}, {})).items
    assert any(item.endswith("other images may have it the other way round.") for item in items)


def test_the_best_model_for_small_objects_is_named_though_another_is_better_overall(results):
    items = Page(run_report(RUN, results, {}, {}, {}, {})).items
    said = [item for item in items if "small objects" in item]
    assert said[0].startswith(
        "detection: fcos.fold0 is the best model for small objects: mAP50 0.400 of them; then yolox"
    )
    assert said[1].startswith("detection: final is the best ensemble for small objects")


def test_an_ensemble_that_is_the_best_by_another_name_does_not_come_second_to_it():
    sizes = {"final": {"small": 0.4}, "searched": {"small": 0.4}, "average": {"small": 0.3}}
    scores = {**SCORES, "sizes": sizes, "others": {"searched": 0.6, "average": 0.5}}
    page = Page(run_report(RUN, Results(summary={"det": scores}), {}, {}, {}, {}))
    (said,) = [item for item in page.items if "best ensemble for small" in item]
    assert said.endswith("0.400 of them; then average (0.300).")


def test_what_the_ensemble_gets_wrong_is_said_by_class(results):
    items = Page(run_report(RUN, results, {}, {}, {}, {})).items
    said = "Battery (0.10 on test; 9 test boxes), Glass (0.40 on test), Metal (0.90 on test)"
    assert f"detection: the final ensemble is worst at {said}." in items
    assert "detection: most often, of test boxes: Battery is missed (9, 90%)." in items


def test_what_is_wrong_on_few_held_out_images_is_said_beside_the_test_images(results):
    explained = {"det": {"ensemble": FINAL, "members": {}, "out_of_fold": True}}
    on_test = Metrics("mAP50", 0.6, {"Metal": 0.9, "Battery": 0.7, "Glass": 0.2}, {})
    both = {**vars(results), "explanations": explained, "on_test": {"det": on_test}}
    items = Page(run_report(RUN, Results(**both), {}, {}, {}, {})).items
    said = (
        "Glass (0.40 held out, 0.20 on test), "
        "Battery (0.10 held out, 0.70 on test; 9 held-out boxes)"
    )
    assert any(f"is worst at {said}" in item for item in items)
    assert "detection: most often, of held-out boxes: Battery is missed (9, 90%)." in items
    assert any("more examples of Glass: " in item for item in items)


def test_without_a_twin_a_gain_of_a_student_is_not_put_down_to_pseudo_labels(results):
    (said,) = [
        item
        for item in Page(run_report(RUN, results, {}, {}, {}, {})).items
        if "pseudo.fold0 has" in item
    ]
    assert said.startswith("detection: yolox_pseudo.fold0 has +0.0500 over yolox.fold0")
    assert "only a twin" in said


def test_beside_a_twin_the_effect_of_pseudo_labels_is_said_as_it_was_measured(results):
    effect = {"sentence": "pseudo-labels, yolox: +0.02.", "seeds": 1, "images": 52}
    of_twins = Results(**{**vars(results), "effects": {"det": [effect]}})
    items = Page(run_report(RUN, of_twins, {}, {}, {}, {})).items
    said = "detection: pseudo-labels, yolox: +0.02, on 52 held-out images; beside its twin"
    assert any(item.startswith(said) for item in items)
    assert not any("only a twin" in item for item in items)
    assert any(item.startswith("detection: more seeds") for item in items)


def test_what_to_try_next_has_its_reason_from_the_numbers(results):
    items = Page(run_report(RUN, results, {}, {}, {}, {})).items
    more = "detection: more examples of Battery, of which there are 12: the final ensemble scores"
    assert f"{more} 0.10 on test." in items
    assert "detection: a larger image_size: small objects score 0.20, all 0.58." in items
    assert any(
        "in place of fcos: without it the final ensemble is as good on test" in item
        for item in items
    )
    assert "more workers, or a cache: det.yolox.fold0 waited for data in 45% of its time." in items
    in_mine = Results(**{**vars(results), "env": "mine"})
    items = Page(run_report(RUN, in_mine, {}, {}, {}, {})).items
    assert any("kedro run --env mine --pipelines label_errors" in item for item in items)


def test_test_images_without_labels_leave_the_held_out_ones_to_say_who_is_best(results):
    nothing = {**SCORES, "members": {"yolox.fold0": None}, "ensemble": None, "sizes": {}}
    explanation = {"ensemble": FINAL, "members": {"yolox": {"score": 0.5}, "fcos": {"score": 0.3}}}
    unlabelled = Results(summary={"det": nothing}, explanations={"det": explanation})
    items = Page(run_report(RUN, unlabelled, {}, {}, {}, {})).items
    assert items[2].endswith("the test images have no labels, so nothing is scored on them.")
    assert any("the best model, yolox, 0.5000" in item for item in items)


def test_what_is_not_there_is_said_in_a_line_with_what_makes_it():
    missing = {"Folds": "kedro run --pipelines splitting"}
    page = Page(run_report(RUN, Results(), {}, missing, {}, {}))
    assert page.items[-1] == "Folds: kedro run --pipelines splitting."
    assert "In short" not in page.headings


def test_a_page_that_is_older_than_what_it_shows_says_so(results):
    old = {"Folds": "kedro run --to-outputs folds_report"}
    page = Page(run_report(RUN, results, {"Folds": render_page("Folds", [])}, {}, old, {}))
    assert any(item.endswith("kedro run --to-outputs folds_report brings it up to date.")
               for item in page.items)  # fmt: skip


def test_the_steps_that_took_longest_and_the_warnings_are_listed(results):
    page = Page(run_report(RUN, results, {}, {}, {}, {}))
    assert page.cells[:3] == ["det.yolox.fold0.train", "4.00", "900"]
    assert "detection: 4.5 minutes, 4.0 of them training." in page.items
    assert "the disk is nearly full." in page.items


def test_the_pages_of_the_steps_are_its_parts_under_headings_one_level_down(results):
    part = render_page("Folds", [("Balance", [render_image(np.zeros((4, 4, 3), np.uint8), "x")])])
    text = run_report(RUN, results, {"Folds": part}, {}, {}, {})
    page = Page(text)
    assert "Folds" in page.headings
    assert "<h3>Balance</h3>" in text
    assert len(page.images) == 1
    assert text.count("<html") == text.count("<h1>") == 1


def test_a_part_can_be_a_part_of_a_part():
    inner = render_page("a", [("b", [])])
    outer = render_page("c", [("d", [as_part(inner)])])
    assert "<h4>b</h4>" in as_part(outer)


def test_nothing_is_loaded_and_every_link_leads_into_the_page(results):
    text = run_report(RUN, results, {}, {}, {}, {})
    assert "http" not in text
    assert "<link" not in text
    assert "src=" not in text
    links = re.findall(r'href="#([^"]+)"', text)
    assert links
    assert all(f'id="{link}"' in text for link in links)


def test_a_training_of_one_step_of_whose_waiting_nothing_is_known_leaves_the_report_whole():
    facts = {"a.fold0": {"waiting_share": None}, "b.fold0": {"waiting_share": 0.45}}
    items = Page(run_report(RUN, Results(trainings=facts), {}, {}, {}, {})).items
    assert [item for item in items if "waited for data" in item] == [
        "more workers, or a cache: b.fold0 waited for data in 45% of its time."
    ]
