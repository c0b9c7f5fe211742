"""Figures and the table of scores say what the numbers say."""

import re
from io import StringIO

import pandas as pd
import pytest
from rich.console import Console

from recycling.reporting import (
    balance_figure,
    cleaning_figure,
    scores_figure,
    scores_table,
)

SUMMARY = {
    "cls": {
        "metric": "macro F1",
        "members": {"resnet18": 0.81, "mobilenet": 0.74},
        "ensemble": 0.83,
        "teacher": 0.82,
    },
    "seg": {"metric": "mIoU", "members": {"fcn": 0.54, "unet": 0.48}, "ensemble": 0.539},
}


DEVIATIONS = pd.DataFrame(
    {"axis": ["category_counts", "images.camera"], "deviation": [0.016, 1.25]}
)


def texts(axis) -> list[str]:
    return [text.get_text().strip() for text in axis.texts]


def overlapping(figure) -> list[tuple[str, str]]:
    """Pairs of texts that are drawn over one another."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    # Matplotlib keeps ticks beyond the end of an axis, and does not draw them.
    beyond = {
        tick.label1
        for axis in figure.axes
        for tick in axis.xaxis.majorTicks
        if tick.get_loc() > axis.get_xlim()[1]
    }
    drawn = [
        (text.get_text(), text.get_window_extent(canvas.get_renderer()))
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text.get_rotation() == 0
        if text not in beyond
    ]
    return [
        (one, other)
        for place, (one, here) in enumerate(drawn)
        for other, there in drawn[place + 1 :]
        if here.overlaps(there)
    ]


@pytest.fixture
def balance() -> pd.DataFrame:
    rows = [
        (fold, name, share, share + off, off)
        for fold, off in ((0, 1.5), (1, -4.0))
        for name, share in (("Metal", 20.0), ("Plastic bag", 70.0), ("Glass", 10.0))
    ]
    return pd.DataFrame(rows, columns=["fold", "category", "train", "validation", "deviation"])


def test_each_fold_says_how_far_its_parts_are_apart(balance):
    figure = balance_figure(balance, DEVIATIONS)
    assert [axis.get_title() for axis in figure.axes] == [
        "fold 0\nat most 1.50 points apart",
        "fold 1\nat most 4.00 points apart",
    ]
    assert "category counts 0.02, images.camera 1.25" in figure.get_suptitle()
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["Glass", "Metal", "Plastic bag"]
    assert sorted(bar.get_width() for bar in figure.axes[1].patches) == [6, 10, 16, 20, 66, 70]


def test_every_score_is_in_the_figure_best_on_top():
    figure = scores_figure(SUMMARY)
    assert [texts(axis)[::-1] for axis in figure.axes] == [
        ["0.830", "0.820", "0.810", "0.740"],
        ["0.540", "0.539", "0.480"],
    ]
    assert figure.axes[0].get_title(loc="left") == "classification: macro F1"


def test_cleaning_counts_the_changes_of_each_rule():
    audit = pd.DataFrame(
        {"rule": ["clip"] * 3 + ["drop"], "action": ["change", "change", "drop", "drop"]}
    )
    axis = cleaning_figure(audit, audit[:0]).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["drop", "clip"]
    assert texts(axis) == ["1", "3"]
    assert texts(cleaning_figure(audit[:0], audit[:0]).axes[0]) == ["nothing"]


def test_rules_that_are_off_stand_below_the_others_however_much_they_would_do():
    audit = pd.DataFrame({"rule": ["clip"], "action": ["change"]})
    would = pd.DataFrame({"rule": ["area"] * 5, "action": ["drop"] * 5})
    axis = cleaning_figure(audit, would).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["area (off)", "clip"]
    assert texts(axis) == ["5", "1"]
    nothing_done = cleaning_figure(audit[:0], would).axes[0]
    assert [label.get_text() for label in nothing_done.get_yticklabels()] == ["area (off)"]


def test_no_text_covers_another(balance):
    audit = pd.DataFrame({"rule": ["a long name of a rule"] * 40, "action": ["change"] * 40})
    assert overlapping(balance_figure(balance, DEVIATIONS)) == []
    assert overlapping(scores_figure(SUMMARY)) == []
    assert overlapping(cleaning_figure(audit, audit[:0])) == []


def printed(summary, width: int = 80) -> list[list[str]]:
    """The cells of the rows, as they are printed on a terminal."""
    console = Console(width=width, record=True, file=StringIO())
    console.print(scores_table(summary))
    lines = console.export_text().splitlines()
    assert max(len(line) for line in lines) <= width
    return [re.split(r"  +", line.strip()) for line in lines if line.strip(" ─")]


def test_the_table_has_a_block_a_task_ensembles_first_and_the_best_marked():
    assert printed(SUMMARY) == [
        ["classification", "macro F1"],
        ["ensemble", "0.8300", "best"],
        ["ensemble, first round", "0.8200"],
        ["resnet18", "0.8100"],
        ["mobilenet", "0.7400"],
        ["segmentation", "mIoU"],
        ["ensemble", "0.5390"],
        ["fcn", "0.5400", "best"],
        ["unet", "0.4800"],
    ]


def test_a_name_with_brackets_stays_whole():
    scores = {**SUMMARY["cls"], "members": {"mine[1].csv": 0.5, "other[/x]": 0.4}}
    assert [row[0] for row in printed({"cls": scores})[-2:]] == ["mine[1].csv", "other[/x]"]


def test_ensembles_are_bold():
    styles = [row.style for table in scores_table(SUMMARY).renderables for row in table.rows]
    assert styles == ["bold", "bold", None, None, "bold", None, None]


def test_names_intervals_and_sizes_are_whole_in_80_columns():
    sizes = {"yolox.fold0": {"small": 0.1, "large": 0.75}, "final": {"small": 0.25, "large": 0.5}}
    long = "a_model_with_a_name_that_is_rather_longer_than_others.fold0"
    summary = {
        "det": {
            "metric": "mAP50",
            "members": {"yolox.fold0": 0.5, long: 0.4},
            "ensemble": 0.6,
            "sizes": sizes,
            "intervals": {"final": (0.55, 0.6512)},
        },
    }
    found = printed(summary)
    assert found[:3] == [
        ["detection", "mAP50", "95 % interval", "small", "medium", "large"],
        ["ensemble", "0.6000", "0.550 to 0.651", "0.2500", "0.5000", "best"],
        ["yolox.fold0", "0.5000", "0.1000", "0.7500"],
    ]
    assert "".join(cells[0] for cells in found[3:]) == long
    assert found[3][1:] == ["0.4000"]


def test_what_has_no_truth_to_compare_with_comes_last_and_says_so():
    summary = {
        "det": {
            "metric": "mAP50",
            "members": {"yolox": None, "fcos": 0.5},
            "ensemble": None,
            "others": {"strict": 0.6},
        }
    }
    assert printed(summary)[1:] == [
        ["ensemble", "no truth"],
        ["ensemble strict", "0.6000", "best"],
        ["fcos", "0.5000"],
        ["yolox", "no truth"],
    ]
    assert texts(scores_figure(summary).axes[0]) == ["no truth", "no truth", "0.500", "0.600"]
