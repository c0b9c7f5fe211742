"""The report is one page that needs nothing but itself."""

import re
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from runpy import run_path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from recycling.ensembling import CHOICES, HISTORY
from recycling.evaluation import Metrics
from recycling.reporting import report_page
from recycling.reporting.panels import PANELS, core
from reporting.panels.test_figures_of_panels import (
    PAIRS,
    comparison,
    contributions,
    gains,
    thresholds,
)

__all__ = ["comparison", "contributions", "gains", "thresholds"]  # fixtures

VOID = {"meta", "img", "br"}
HEADINGS = [
    "Members",
    "How alike the members are",
    "Class by class",
    "What is taken for what",
    "Worst mistakes on test images",
    "What a score threshold does",
    "Where the ensemble changed most",
    "Some test images",
    "Search",
    "Validation and leaderboard",
]


class Page(HTMLParser):
    """What a page holds; a tag that is not closed in order fails."""

    def __init__(self, text):
        super().__init__()
        self.open, self.headings, self.cells, self.images, self.items = [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.images.append(dict(attrs)["src"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        where = {"h2": self.headings, "td": self.cells, "li": self.items}
        if self.open and self.open[-1] in where:
            where[self.open[-1]].append(data)


CONFUSION = pd.DataFrame(
    [("Metal", "Glass", 3, 0.6), ("Metal", "Metal", 2, 0.4), ("Glass", "nothing", 1, 1.0)],
    columns=["first", "second", "count", "share"],
)


def metrics(score, metric="mAP50", **details):
    return Metrics(metric, score, {}, details)


@pytest.fixture
def choices():
    rows = [
        ("default", "default", "a, b", "a 1, b 1", "", 0.5, 0.5, 0.0, 0.0, "90 images", 0.4, 0.6),
        (
            "search", "nms", "a, b", "a 1, b 2", "iou_threshold 0.5",
            0.6, 0.55, 0.05, 0.02, "90 images", 0.5, 0.6,
        ),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=[*CHOICES.names, "fold 0", "fold 1"])
    return CHOICES.conform(frame, where="test")


@pytest.fixture
def history():
    trials = pd.DataFrame({"trial": range(30), "score": np.linspace(0, 0.29, 30), "method": "nms"})
    trials = trials.assign(weights="a 1", settings="", best=trials["score"])
    searches = [trials.assign(search=name) for name in ("all folds", "without fold 0")]
    return HISTORY.conform(pd.concat(searches), where="test")


@pytest.fixture
def whole(contributions, gains, thresholds, comparison, choices, history):
    return {
        "metrics": metrics(0.51234),
        "interval": {"low": 0.48, "high": 0.55},
        "members": {"good": metrics(0.5), "bad": metrics(0.4)},
        "objects": "boxes",
        "contributions": contributions,
        "agreement": PAIRS.assign(agreement=[0.97, 0.2, 0.5]),
        "error_correlation": PAIRS.rename(columns={"agreement": "correlation"}),
        "class_gains": gains,
        "score_thresholds": thresholds,
        "changes": np.full((20, 30, 3), 7, dtype=np.uint8),
        "overlays": np.full((20, 30, 3), 8, dtype=np.uint8),
        "mistakes": np.full((20, 30, 3), 9, dtype=np.uint8),
        "confusion": CONFUSION,
        "choices": choices,
        "search_history": history,
        "leaderboard": comparison,
    }


def test_every_panel_is_there_and_the_figures_are_in_it(whole):
    page = Page(report_page("Detection: final", whole))
    assert page.headings == HEADINGS
    kinds = [source.split(",", 1)[0] for source in page.images]
    assert kinds.count("data:image/svg+xml;base64") == 7  # figures, sharp at every size
    assert kinds.count("data:image/webp;base64") == 3  # images
    for kind, source in zip(kinds, page.images, strict=True):
        content = b64decode(source.split(",", 1)[1])
        if "webp" in kind:
            Image.open(BytesIO(content)).verify()
        else:
            assert ElementTree.fromstring(content).tag.endswith("svg")


def test_the_score_and_what_is_to_be_known_first_stand_on_top(whole):
    page = report_page("Detection: final", whole)
    assert (
        "<p>mAP50 <strong>0.5123</strong> on the test images, 0.4800 to 0.5500 on other groups of "
        "images.</p>" in page
    )
    items = Page(page).items
    assert items[0] == (
        "took search instead of the default: a 1, b 2 (nms), 0.050 +- 0.020 better on held-out "
        "parts (standard error over 90 images)."
    )
    assert items[1].startswith("a and b agree on 0.97 of the boxes")
    assert items[2].startswith("at threshold 0 mAP50 is 0.50")


def test_what_is_confused_and_what_is_missed_is_said_in_words(whole):
    items = Page(report_page("Detection: final", whole)).items
    assert "most often, of boxes: Metal is taken for Glass (3, 60%)." in items
    assert "most often, of boxes: Glass is missed (1, 100%)." in items


def test_nothing_is_loaded(whole):
    text = re.sub(r"base64,[^\"]+", "", report_page("x", whole))
    assert "http" not in text
    assert "<script" not in text
    assert "<link" not in text
    assert "url(" not in text


def test_a_member_has_its_score_contribution_and_interval(whole):
    cells = Page(report_page("x", whole)).cells
    assert cells[:5] == ["good", "0.5000", "0.5000", "+0.0500", "+0.0200 to +0.0800"]
    assert cells[5:8] == ["bad", "0.4000", "0.6000"]


def test_a_class_has_its_scores_and_what_the_ensemble_gains(gains):
    cells = Page(report_page("x", {"metrics": metrics(0.5), "class_gains": gains})).cells
    assert cells[:6] == ["Paper", "0.5000", "0.6000", "0.4000", "-0.1000", "+0.1000"]


def test_every_tenth_threshold_is_in_the_table(thresholds):
    many = pd.concat([thresholds] * 3, ignore_index=True)
    many["threshold"] = np.linspace(0, 0.9, 30)
    cells = Page(report_page("x", {"metrics": metrics(0.5), "score_thresholds": many})).cells
    assert cells[:6] == ["0.00", "0.500", "0.000", "1.000", "0.840", "100.0"]
    assert len(cells) == 3 * 6


def test_the_best_trials_of_the_search_that_counts_are_shown_and_counted(choices, history):
    values = {"choices": choices, "search_history": history}
    text = report_page("x", values)
    cells = Page(text).cells[2 * 7 + 1 :]  # after the ways of choosing, of which one has no setting
    assert cells[:5] == ["29", "nms", "a 1", "0.29", "0.29"]
    assert cells[5] == "28"
    assert len(cells) == 5 * 20
    assert "20 of 30 trials" in text


def test_the_ways_of_choosing_are_side_by_side(choices):
    assert Page(report_page("x", {"choices": choices})).cells[-8:] == [
        "search", "nms", "a 1, b 2", "iou_threshold 0.5", "0.5500", "+0.0500", "0.0200", "0.6000",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "headings"),
    [
        ((), []),
        (("contributions",), HEADINGS[:1]),
        (("agreement", "class_gains"), HEADINGS[1:3]),
        (("confusion",), [HEADINGS[3]]),
        (("score_thresholds", "leaderboard"), [HEADINGS[5], HEADINGS[9]]),
        (("search_history",), []),
    ],
)
def test_a_panel_whose_values_are_not_given_is_left_out(whole, names, headings):
    values = dict.fromkeys(whole) | {name: whole[name] for name in ("metrics", *names)}
    assert Page(report_page("x", values)).headings == headings


def test_members_have_scores_where_nobody_was_left_out():
    members = {"a": metrics(0.25), "b": metrics(0.5)}
    text = report_page("x", {"metrics": metrics(0.5, "mIoU"), "members": members})
    assert Page(text).cells == ["a", "0.2500", "b", "0.5000"]


def test_without_a_truth_the_page_says_so_and_shows_no_errors(whole):
    nothing = metrics(float("nan"))
    values = {
        "metrics": nothing,
        "interval": {},
        "members": {"a": nothing, "b": nothing},
        "objects": "boxes",
        "agreement": whole["agreement"],
        "error_correlation": whole["error_correlation"][:0],
        "contributions": whole["contributions"][:0],
        "class_gains": whole["class_gains"][:0],
        "score_thresholds": whole["score_thresholds"][:0],
    }
    text = report_page("x", values)
    assert "No truth is known, so there is no score." in text
    assert "nan" not in re.sub(r"base64,[^\"]+", "", text)
    page = Page(text)
    assert page.headings == HEADINGS[1:2]
    assert [item.split(":")[0] for item in page.items] == ["a and b agree on 0.97 of the boxes"]


def test_names_are_text_and_never_markup(comparison):
    comparison.sentences[0] = "<script>alert(1)</script>"
    values = {
        "metrics": metrics(0.5, "<i>"),
        "members": {"<u>": metrics(0.5)},
        "leaderboard": comparison,
    }
    text = report_page("<b>&", values)
    assert "<script>" not in text
    assert "<u>" not in text
    assert "<i>" not in text
    assert "<title>&lt;b&gt;&amp;</title>" in text
    assert Page(text).cells[0] == "<u>"


def test_the_same_values_give_the_same_page(whole):
    assert report_page("x", whole) == report_page("x", whole)


def test_boxes_have_a_row_for_each_size_of_objects_that_the_truth_holds():
    details = {"mAP50_small": 0.25, "mAP_small": 0.125, "mAP50_large": 0.75, "mAP_large": 0.5}
    text = report_page("x", {"metrics": metrics(0.5, **details)})
    assert Page(text).cells == ["small", "0.2500", "0.1250", "large", "0.7500", "0.5000"]


PANEL = """
from recycling.reporting.pages import render_list
from recycling.reporting.panels import panel


@panel("Sizes of the members", order=25)
def sizes(members, n_images, unit="images"):
    return [render_list(f"{name}: {n_images} {unit}" for name in members)]
"""


@pytest.fixture
def further(tmp_path, monkeypatch):
    """A panel from a file of its own; it is gone after the test."""
    monkeypatch.setattr(PANELS, "_entries", dict(PANELS._entries))
    path = tmp_path / "sizes.py"
    path.write_text(PANEL)
    run_path(str(path))


@pytest.mark.usefixtures("further")
def test_a_further_panel_is_a_file_and_stands_where_it_says(whole):
    page = Page(report_page("x", {**whole, "n_images": 12}))
    assert page.headings == [HEADINGS[0], "Sizes of the members", *HEADINGS[1:]]
    assert "good: 12 images." in page.items
    # Without a value that it needs it is left out, as any other.
    assert Page(report_page("x", whole)).headings == HEADINGS


def test_every_file_of_the_panels_is_read():
    files = {path.stem for path in Path(core.__file__).parent.glob("*.py")}
    modules = {entry.thing.content.__module__ for entry in PANELS.values()}
    assert files - {"__init__", "core"} == {module.rpartition(".")[2] for module in modules}


def test_out_of_fold_scores_stand_beside_those_of_the_test_images_where_these_have_labels(whole):
    of_folds = {"good.fold0": metrics(0.6), "good.fold1": metrics(0.7)}
    explained = {**whole, "out_of_fold": True, "test_members": of_folds}
    page = report_page("Detection: final", {**explained, "test_metrics": metrics(0.61)})
    assert (
        "<strong>0.5123</strong> out of fold, 0.4800 to 0.5500 on other groups of images." in page
    )
    assert "On the test images: 0.6100." in page
    assert '<td class="number">0.6500</td>' in page
    unlabelled = {**explained, "test_metrics": metrics(float("nan")), "test_members": {}}
    assert "the test images" not in report_page("Detection: final", unlabelled)
