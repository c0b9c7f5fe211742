"""The report is one page that needs nothing but itself."""

import re
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from recycling.ensembling import choice_sentence
from recycling.evaluation import Metrics
from recycling.reporting.report_page import report_page
from reporting.test_ensembles import PAIRS, comparison, contributions, gains, thresholds

__all__ = ["comparison", "contributions", "gains", "thresholds"]  # fixtures

VOID = {"meta", "img", "br"}
HEADINGS = [
    "Members",
    "How alike the members are",
    "Class by class",
    "What a score threshold does",
    "Where the ensemble changed most",
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


@pytest.fixture
def whole(contributions, gains, thresholds, comparison):
    return {
        "metric": "mAP50",
        "ensemble": Metrics("mAP50", 0.51234, {}, {}),
        "interval": (0.48, 0.55),
        "sentences": ["yolox and yolox_s1 are one model twice"],
        "contributions": contributions,
        "weights": {"good": 2.0, "bad": 0.5},
        "agreement": PAIRS,
        "error_correlation": PAIRS.rename(columns={"agreement": "correlation"}),
        "gains": gains,
        "best": "good",
        "thresholds": thresholds,
        "changed": np.full((20, 30, 3), 7, dtype=np.uint8),
        "search": pd.DataFrame(
            {"trial": range(30), "score": np.linspace(0, 0.29, 30), "method": "wbf"}
        ),
        "leaderboard": comparison,
    }


def test_every_part_is_there_and_the_figures_are_in_it(whole):
    page = Page(report_page("Detection: final", **whole))
    assert page.headings == HEADINGS
    assert len(page.images) == 6
    for source in page.images:
        kind, data = source.split(",", 1)
        assert kind == "data:image/png;base64"
        Image.open(BytesIO(b64decode(data))).verify()
    assert page.items[0] == "yolox and yolox_s1 are one model twice."


def test_nothing_is_loaded(whole):
    text = re.sub(r"base64,[^\"]+", "", report_page("x", **whole))
    assert "http" not in text
    assert "<script" not in text
    assert "<link" not in text
    assert "url(" not in text


def test_a_member_has_its_score_weight_contribution_and_interval(whole):
    cells = Page(report_page("x", **whole)).cells
    assert cells[:6] == ["good", "0.5000", "2", "0.5000", "+0.0500", "+0.0200 to +0.0800"]
    assert cells[6:10] == ["bad", "0.4000", "0.5", "0.6000"]


def test_the_best_trials_of_a_search_are_shown_and_counted(whole):
    text = report_page("x", metric="mAP50", search=whole["search"])
    cells = Page(text).cells
    assert cells[:6] == ["29", "0.29", "wbf", "28", "0.28", "wbf"]
    assert len(cells) == 3 * 20
    assert "20 of 30 trials" in text


def test_the_ways_of_choosing_are_side_by_side():
    choices = pd.DataFrame(
        {
            "how": ["best member", "search"],
            "method": ["alone", "nms"],
            "members": ["a", "a, b"],
            "weights": ["a 1", "a 1, b 2"],
            "settings": ["", "iou_threshold 0.5"],
            "training_score": [0.5, 0.6],
            "held_out_score": [0.5, 0.55],
            "gain": [0.0, 0.05],
            "gain_error": [0.0, 0.02],
        }
    )
    text = report_page("x", metric="mAP50", choices=choices)
    assert Page(text).cells[-8:] == [
        "search", "nms", "a 1, b 2", "iou_threshold 0.5", "0.5500", "+0.0500", "0.0200", "0.6000",
    ]  # fmt: skip
    assert choice_sentence(choices).startswith("chosen by search")
    assert "a 1, b 2 (nms), +0.0500 over the best member" in choice_sentence(choices)


@pytest.mark.parametrize(
    ("parts", "headings"),
    [
        ((), []),
        (("contributions",), HEADINGS[:1]),
        (("agreement", "gains", "best"), HEADINGS[1:3]),
        (("thresholds", "leaderboard"), [HEADINGS[3], HEADINGS[6]]),
    ],
)
def test_a_part_that_is_not_given_is_left_out(whole, parts, headings):
    text = report_page("x", metric="mIoU", **{name: whole[name] for name in parts})
    assert Page(text).headings == headings


def test_members_have_scores_where_nobody_was_left_out():
    text = report_page("x", metric="mIoU", members={"a": 0.25, "b": 0.5}, weights={"b": 1.0})
    # The weight of a is an empty cell, which holds no text.
    assert Page(text).cells == ["a", "0.2500", "b", "0.5000", "1"]
    assert '<td class="number"></td>' in text


def test_without_a_truth_the_page_says_so():
    text = report_page("x", metric="mAP50", ensemble=Metrics("mAP50", float("nan"), {}, {}))
    assert "No truth is known, so there is no score." in text
    assert "nan" not in text


def test_names_are_text_and_never_markup():
    text = report_page(
        "<b>&", metric="<i>", sentences=["<script>alert(1)</script>"], members={"<u>": 0.5}
    )
    assert "<script>" not in text
    assert "<u>" not in text
    assert "<title>&lt;b&gt;&amp;</title>" in text
    assert Page(text).cells[0] == "<u>"


def test_the_same_tables_give_the_same_page(whole):
    assert report_page("x", **whole) == report_page("x", **whole)


def test_boxes_have_a_row_for_each_size_of_objects_that_the_truth_holds():
    details = {"mAP50_small": 0.25, "mAP_small": 0.125, "mAP50_large": 0.75, "mAP_large": 0.5}
    text = report_page("x", metric="mAP50", ensemble=Metrics("mAP50", 0.5, {}, details))
    assert Page(text).cells == ["small", "0.2500", "0.1250", "large", "0.7500", "0.5000"]
