"""The figure of train against test says what was found."""

import numpy as np
import pandas as pd
import pytest

from recycling.reporting.shift import shift_figure
from recycling.splitting.shift.adversarial import SHIFT, TEST_LIKENESS, Shift
from reporting.test_figures import overlapping

VERDICT = (
    "AUC 0.75 (0.61 to 0.86; by chance up to 0.58): test images are darker (brightness 0.328, in "
    "train 0.45), in smaller files (file size 16,475, in train 98,491); validation on train may "
    "mislead"
)
SHARED = "None of 4 test images is, or looks like, a train image"


@pytest.fixture
def features() -> pd.DataFrame:
    rows = [
        ("brightness", 0.45, 0.328, -1.48, 0.86, 0.2, 0, 0),
        ("file_size", 98491.4, 16475, -1.2, 0.8, 0.1, 0, 0),
        ("blue", 0.4, 0.4, 0, 0.5, -0.01, 0, 0.5),
        ("contrast", None, None, None, None, 0, 1, 1),
    ]
    return SHIFT.conform(pd.DataFrame(rows, columns=SHIFT.names), where="test")


@pytest.fixture
def likeness() -> pd.DataFrame:
    probability = [0.1, 0.3, 0.6, 0.8, 0.2, 0.7, 0.9, 0.95]
    table = pd.DataFrame({"part": ["train"] * 4 + ["test"] * 4, "probability": probability})
    return TEST_LIKENESS.conform(table.assign(image_id=range(8)), where="test")


def summary(**values):
    return {"verdict": VERDICT, "shared": SHARED, "auc": 0.75, "low": 0.61, "high": 0.86} | values


def test_the_verdict_is_the_title_and_shared_images_are_a_note(features, likeness):
    figure = shift_figure(Shift(features, likeness, summary()))
    assert " ".join(figure.get_suptitle().split()) == VERDICT
    assert figure.get_supxlabel() == SHARED


def test_the_curve_holds_the_area_that_is_written_in_it(features, likeness):
    axis = shift_figure(Shift(features, likeness, summary())).axes[0]
    curve = axis.lines[1]
    assert np.trapezoid(curve.get_ydata(), curve.get_xdata()) == 0.75
    assert [text.get_text() for text in axis.texts] == ["AUC 0.75\n0.61 to 0.86"]


def test_each_feature_has_what_it_tells_alone_and_with_others_and_its_means(features, likeness):
    _, bars, means = shift_figure(Shift(features, likeness, summary())).axes
    names = [label.get_text() for label in bars.get_yticklabels()]
    assert names == ["brightness", "file size", "blue", "contrast"]
    assert list(bars.get_yticks()) == [3, 2, 1, 0]  # the first on top
    alone, lost = ([bar.get_width() for bar in group] for group in bars.containers)
    np.testing.assert_allclose(alone, [0.36, 0.3, 0, np.nan])
    np.testing.assert_allclose(lost, [0.2, 0.1, 0, 0])
    assert [label.get_text() for label in means.get_yticklabels()] == [
        "0.45 \u2192 0.328",
        "98,491 \u2192 16,475",
        "0.4 \u2192 0.4",
        "none \u2192 none",
    ]
    assert list(means.get_yticks()) == [3, 2, 1, 0]
    assert means.get_ylim() == bars.get_ylim()


def test_where_nothing_was_measured_the_figure_says_so(features):
    said = "Not measured: 0 train images have features, and 20 are needed"
    nothing = summary(verdict=said, auc=None, low=None, high=None)
    figure = shift_figure(Shift(features, TEST_LIKENESS.empty(), nothing))
    assert figure.axes == []
    assert figure.get_suptitle() == said


def test_no_text_covers_another(features, likeness):
    long = (
        "Of 112 test images 3 have the same bytes as a train image and 12 more look like one; " * 3
    )
    for shared in (SHARED, long):
        assert overlapping(shift_figure(Shift(features, likeness, summary(shared=shared)))) == []
    nothing = shift_figure(Shift(features, TEST_LIKENESS.empty(), summary(shared=long)))
    assert overlapping(nothing) == []
