"""The figure of a search says what its tables say."""

import pandas as pd
import pytest

from recycling.reporting.panels.search import search_figure

TRIALS = [0.50, 0.10, 0.62, 0.61, 0.70]


@pytest.fixture
def history():
    searches = []
    for name, lift in (("all folds", 0.0), ("without fold 0", 0.2)):
        table = pd.DataFrame({"search": name, "trial": range(5), "score": TRIALS})
        table["score"] += lift
        searches.append(table.assign(method="mean", weights="a 1", best=table["score"].cummax()))
    return pd.concat(searches, ignore_index=True)


@pytest.fixture
def choices():
    rows = [
        ("default", 0.52, 0.52, 0.0, 0.0, 0.42, 0.62),
        ("best member", 0.55, 0.50, -0.02, 0.03, 0.4, 0.6),
        ("all but the worst", 0.56, 0.53, 0.01, 0.02, 0.45, 0.61),
        ("greedy", 0.60, 0.56, 0.04, 0.01, 0.5, 0.62),
        ("search", 0.70, 0.54, 0.02, 0.03, 0.5, 0.58),
    ]
    columns = ["how", "training_score", "held_out_score", "gain", "gain_error", "fold 0", "fold 3"]
    return pd.DataFrame(rows, columns=columns).assign(
        unit="400 images", method="mean", weights="a 2, b 1"
    )


def texts(axis):
    return [text.get_text() for text in axis.texts]


def line(axis, label):
    return next(drawn for drawn in axis.lines if drawn.get_label() == label)


def test_the_title_says_what_was_taken_and_the_gain_on_held_out_parts(history, choices):
    title = search_figure(history, choices)._suptitle.get_text().replace("\n", " ")
    assert title == (
        "Took greedy instead of the default: a 2, b 1 (mean), 0.040 +- 0.010 better on held-out "
        "parts (standard error over 400 images)"
    )
    unsure = choices.assign(gain_error=0.05)
    title = search_figure(history, unsure)._suptitle.get_text().replace("\n", " ")
    assert title.startswith("Kept the default: the best found (greedy) is 0.040 +- 0.050 better on")


def test_the_search_on_all_parts_is_drawn_with_the_simpler_ways_as_lines(history, choices):
    left = search_figure(history, choices).axes[0]
    assert line(left, "a trial").get_ydata().tolist() == TRIALS
    assert line(left, "best so far").get_ydata().tolist() == [0.5, 0.5, 0.62, 0.62, 0.7]
    assert line(left, "greedy").get_ydata() == [0.6, 0.6]
    assert line(left, "best member").get_ydata() == [0.55, 0.55]


def test_a_trial_in_which_nothing_was_found_hides_no_other_and_is_counted(history, choices):
    left = search_figure(history, choices).axes[0]
    low, high = left.get_ylim()
    assert 0.1 < low < 0.5
    assert high > 0.7
    assert "(1 trials lie below)" in left.get_title(loc="left")


def test_each_way_shows_its_parts_their_mean_and_the_training_score(history, choices):
    right = search_figure(history, choices).axes[1]
    assert texts(right) == ["0.520", "0.500", "0.530", "0.560", "0.540"]
    labels = [label.get_text() for label in right.get_yticklabels()]
    assert labels == choices["how"].tolist()
    drawn = [sorted(map(float, one.get_xdata())) for one in right.lines]
    for _, row in choices.iterrows():
        assert [row["fold 0"], row["fold 3"]] in drawn
        assert [row["held_out_score"]] in drawn
        assert [row["training_score"]] in drawn


def test_a_search_of_one_trial_is_drawn(choices):
    one = pd.DataFrame({"search": ["all folds"], "trial": 0, "score": 0.5, "best": 0.5})
    left = search_figure(one, choices.assign(training_score=0.5)).axes[0]
    assert left.get_ylim()[0] < 0.5 < left.get_ylim()[1]


def test_nothing_is_written_over_anything_else(history, choices):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = search_figure(history, choices)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    left, right = figure.axes
    boxes = [
        text.get_window_extent(canvas.get_renderer())
        for text in (
            figure._suptitle, left.title, left._left_title, right._left_title, left.xaxis.label,
            right.xaxis.label, *left.get_legend().get_texts(), *right.texts,
            *right.get_yticklabels(),
        )
        if text.get_text()
    ]  # fmt: skip
    assert len(boxes) > 10
    assert not any(a.overlaps(b) for place, a in enumerate(boxes) for b in boxes[place + 1 :])
