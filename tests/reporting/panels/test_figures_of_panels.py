"""Figures of an ensemble say what its tables say."""

import numpy as np
import pandas as pd
import pytest

from recycling.diagnostics import (
    CLASS_GAINS,
    CONTRIBUTIONS,
    SCORE_THRESHOLDS,
    compare_with_leaderboard,
)
from recycling.evaluation import Metrics
from recycling.reporting.panels.class_gains import class_gains_figure
from recycling.reporting.panels.leaderboard import leaderboard_figure
from recycling.reporting.panels.likeness import likeness_figure
from recycling.reporting.panels.members import contributions_figure, members
from recycling.reporting.panels.thresholds import thresholds_figure
from recycling.reporting.style import ACCENT, LOSS, PALE
from reporting.test_figures import overlapping, texts

PAIRS = pd.DataFrame(
    {"member_a": ["a", "a", "b"], "member_b": ["b", "c", "c"], "agreement": [0.9, 0.2, 0.5]}
)


@pytest.fixture
def contributions():
    rows = [("good", 0.5, 0.5, 0.05, 0.02, 0.08), ("bad", 0.4, 0.6, -0.04, -0.06, -0.01)]
    rows += [("who knows", 0.4, 0.55, 0.01, -0.02, 0.03)]
    return CONTRIBUTIONS.conform(pd.DataFrame(rows, columns=CONTRIBUTIONS.names), where="test")


@pytest.fixture
def gains():
    frame = pd.DataFrame({"category": ["Paper", "Metal"], "ensemble": [0.5, 0.4]})
    frame = frame.assign(best=[0.6, 0.2], mean=[0.4, 0.3], over_best=[-0.1, 0.2], over_mean=0.1)
    return CLASS_GAINS.conform(frame, where="test")


@pytest.fixture
def thresholds():
    at = np.linspace(0, 0.9, 10)
    f1 = 1 - (at - 0.4) ** 2
    frame = pd.DataFrame(
        {"threshold": at, "mAP50": 0.5 - at / 2, "precision": at, "recall": 1 - at}
    )
    frame = frame.assign(f1=f1, boxes_per_image=100 * np.exp(-9 * at))
    return SCORE_THRESHOLDS.conform(frame, where="test")


@pytest.fixture
def comparison():
    validation = {f"model_{i}": 0.3 + 0.05 * i for i in range(7)}
    scores = {name: {"public": value, "private": value} for name, value in validation.items()}
    scores["model_3"]["public"] -= 0.1
    return compare_with_leaderboard(validation, scores)


def covered(figure):
    """Pairs of texts that are drawn over one another."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).draw()
    for axis in figure.axes:
        for side in (axis.xaxis, axis.yaxis):
            low, high = sorted(side.get_view_interval())
            # Matplotlib keeps ticks beyond the ends of an axis, and does not draw them.
            for tick in side.majorTicks:
                tick.label1.set_visible(low <= tick.get_loc() <= high)
    return overlapping(figure)


def test_what_may_add_nothing_is_grey_and_a_loss_orange(contributions):
    axis = contributions_figure(contributions, "mIoU").axes[0]
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names == ["bad", "who knows", "good"]
    spans = [line for line in axis.lines if len(line.get_xdata()) == 2][:3]
    assert [list(line.get_xdata()) for line in spans] == [
        [-0.06, -0.01],
        [-0.02, 0.03],
        [0.02, 0.08],
    ]
    assert [line.get_color() for line in spans] == [LOSS, PALE, ACCENT]


def test_what_is_added_without_an_interval_is_grey_and_says_unknown(contributions):
    unknown = CONTRIBUTIONS.conform(contributions.assign(low=np.nan, high=np.nan), where="test")
    axis = contributions_figure(unknown, "mIoU").axes[0]
    assert {line.get_color() for line in axis.lines[:6]} == {PALE}
    table, _ = members(Metrics("mIoU", 0.5, {}, {}), unknown)
    assert table.count("unknown") == 3


def test_members_agree_both_ways_beside_their_errors():
    errors = PAIRS.iloc[:1].rename(columns={"agreement": "correlation"}).assign(correlation=-0.3)
    left, right = likeness_figure(PAIRS, errors).axes[:2]
    cells = np.ma.filled(left.images[0].get_array(), np.nan)
    expected = [[np.nan, 0.9, 0.2], [0.9, np.nan, 0.5], [0.2, 0.5, np.nan]]
    np.testing.assert_array_equal(cells, expected)
    # Of the other pairs nothing can be said, and that is said.
    assert texts(right) == ["-0.30", "-", "-0.30", "-", "-", "-"]
    assert right.get_xlabel() == "-: one of the two is right, or wrong, everywhere"
    assert left.get_xlabel() == ""
    assert left.get_title() == "Agreement"
    assert right.get_title() == "Correlation of errors"


def test_without_a_truth_there_is_one_heat_map():
    figure = likeness_figure(PAIRS)
    assert [len(axis.images) for axis in figure.axes].count(1) == 1


def test_losses_stand_at_the_bottom_in_orange(gains):
    figure = class_gains_figure(gains, "yolox", "mAP50")
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["Paper", "Metal"]
    assert [bar.get_width() for bar in axis.patches] == [-0.1, 0.2, 0.1, 0.1]
    assert texts(axis) == ["-0.100", "+0.200"]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[:2] == ["over the best member (yolox)", "below it"]
    assert axis.get_xlabel() == "gain or loss of AP50"
    only_gains = gains[gains["over_best"] > 0].reset_index(drop=True)
    legend = class_gains_figure(only_gains, "", "mIoU").legends[0].get_texts()
    assert len(legend) == 2


def test_the_best_f1_is_marked(thresholds):
    figure = thresholds_figure(thresholds)
    above, below = figure.axes
    assert texts(above) == ["best F1 1.00 at 0.4"]
    labels = [text.get_text() for text in above.get_legend().get_texts()]
    assert labels == ["mAP50", "precision", "recall", "F1"]
    assert below.get_yscale() == "log"
    one = thresholds.iloc[:1].assign(boxes_per_image=0.0)
    assert thresholds_figure(one).axes[1].get_yscale() == "linear"


def test_a_model_out_of_line_is_orange_on_its_board_alone(comparison):
    from matplotlib.colors import to_hex

    public, private = leaderboard_figure(comparison).axes
    assert public.get_title() == "public leaderboard"
    colours = [to_hex(colour) for colour in public.collections[0].get_facecolor()]
    assert colours.count(LOSS) == 1
    assert {to_hex(colour) for colour in private.collections[0].get_facecolor()} == {ACCENT}
    assert sorted(texts(public)) == [f"model_{i}" for i in range(7)]


def test_no_text_covers_another(contributions, gains, thresholds, comparison):
    assert covered(contributions_figure(contributions, "mIoU")) == []
    assert covered(class_gains_figure(gains, "a_member_of_a_long_name", "macro F1")) == []
    assert covered(thresholds_figure(thresholds)) == []
    assert covered(leaderboard_figure(comparison)) == []
    close = {f"model_{i}": 0.5 + 0.0001 * i for i in range(4)} | {"far": 0.9, "near": 0.1}
    assert covered(leaderboard_figure(compare_with_leaderboard(close, close))) == []
    names = ["a_member_of_a_long_name", "another_member_of_a_long_name", "c"]
    renamed = PAIRS.replace({"a": names[0], "b": names[1]})
    assert (
        covered(likeness_figure(renamed, renamed.rename(columns={"agreement": "correlation"})))
        == []
    )
