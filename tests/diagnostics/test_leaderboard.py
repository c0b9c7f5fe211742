"""Whether validation follows the leaderboard, and who does not."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from recycling.diagnostics.leaderboard import (
    LEADERBOARD_POINTS,
    LEADERBOARD_RESIDUALS,
    compare_with_leaderboard,
)
from recycling.evaluation import EvaluationError

VALIDATION = {"a": 0.50, "b": 0.55, "c": 0.62, "d": 0.40, "e": 0.45, "f": 0.58, "g": 0.66}


def board(odd=None, by=0.0):
    """Scores on a line, off it by a little, and one by a lot."""
    off = [0.002, -0.003, 0.001, -0.001, 0.003, -0.002, 0.001]
    return {
        name: {"public": 0.9 * score + o + (by if name == odd else 0)}
        for (name, score), o in zip(VALIDATION.items(), off, strict=True)
    }


def test_correlations_are_those_of_scipy():
    scores = board("c", -0.1)
    said = compare_with_leaderboard(VALIDATION, scores).sentences[0]
    values = list(VALIDATION.values()), [entry["public"] for entry in scores.values()]
    interval = pearsonr(*values).confidence_interval()
    assert said.startswith(
        "public: over 7 models validation follows the leaderboard with Pearson "
        f"{pearsonr(*values).statistic:.2f} (95 % interval {interval.low:.2f} to "
        f"{interval.high:.2f}) and Spearman {spearmanr(*values).statistic:.2f}; "
    )
    # The critical value of a one-sided test at 5 % with n = 7, from any table: 0.669.
    assert said.endswith("reach a Pearson of 0.67 one time in twenty")


@pytest.mark.parametrize(
    ("by", "words"),
    [(-0.08, "less than its validation lets expect"), (0.08, "a fault in its validation")],
)
def test_a_model_off_the_line_is_flagged_and_does_not_bend_it(by, words):
    comparison = compare_with_leaderboard(VALIDATION, board("d", by))
    residuals = comparison.residuals.set_index("model")
    assert residuals.index[residuals["out_of_line"]].tolist() == ["d"]
    assert residuals.loc["d", "residual"] == pytest.approx(by, abs=0.01)
    assert residuals["residual"].drop("d").abs().max() < 0.01
    assert len(comparison.sentences) == 2
    assert comparison.sentences[1].startswith("public: d scored 0.0")
    assert words in comparison.sentences[1]


def test_models_on_the_line_are_not_flagged():
    comparison = compare_with_leaderboard(VALIDATION, board())
    assert not comparison.residuals["out_of_line"].any()
    assert comparison.sentences[1] == "public: no model is out of line"


def test_what_the_leaderboard_rounds_away_is_no_residual():
    # All but one are on the line exactly, so the usual residual is 0.
    off_by_little = dict(VALIDATION) | {"c": VALIDATION["c"] + 0.002}
    assert not compare_with_leaderboard(VALIDATION, off_by_little).residuals["out_of_line"].any()
    off_by_more = dict(VALIDATION) | {"c": VALIDATION["c"] + 0.02}
    assert compare_with_leaderboard(VALIDATION, off_by_more).residuals["out_of_line"].sum() == 1


def test_few_models_have_a_correlation_but_none_is_flagged():
    scores = dict(list(board("a", 0.3).items())[:5])
    comparison = compare_with_leaderboard(VALIDATION, scores)
    assert not comparison.residuals["out_of_line"].any()
    assert comparison.sentences[1].startswith("public: 5 models are too few to say which")


def test_fewer_than_three_models_have_no_correlation():
    comparison = compare_with_leaderboard(VALIDATION, {"a": 0.4, "b": {"public": 0.5}})
    assert comparison.sentences == [
        "public: 2 models with a leaderboard score; a correlation needs 3 at least, so none is "
        "given"
    ]
    assert comparison.residuals.empty
    assert len(comparison.points) == 2


def test_scores_that_are_all_equal_have_no_correlation():
    comparison = compare_with_leaderboard(VALIDATION, {"a": 0.4, "b": 0.4, "c": 0.4})
    assert comparison.sentences == [
        "public: all 3 leaderboard scores are equal, so there is no correlation"
    ]


def test_each_board_is_compared_alone_public_first():
    scores = {name: {"private": 1 - s, "public": s} for name, s in VALIDATION.items()}
    comparison = compare_with_leaderboard(VALIDATION, scores)
    assert comparison.points["board"].tolist() == ["public"] * 7 + ["private"] * 7
    assert list(comparison.points) == LEADERBOARD_POINTS.names
    assert list(comparison.residuals) == LEADERBOARD_RESIDUALS.names
    assert "Pearson 1.00" in comparison.sentences[0]
    assert "Pearson -1.00" in comparison.sentences[2]
    np.testing.assert_allclose(comparison.residuals["residual"], 0, atol=1e-9)


def test_an_empty_file_says_so():
    assert compare_with_leaderboard(VALIDATION, {}).sentences == [
        "leaderboard.yml holds no score, so there is nothing to compare validation with"
    ]


def test_a_model_without_a_truth_cannot_be_compared():
    with pytest.raises(EvaluationError, match="leaderboard.yml: a has no validation score"):
        compare_with_leaderboard({"a": float("nan")}, {"a": 0.5})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"yolox_ting": 0.5},
            "leaderboard.yml: no model or ensemble 'yolox_ting' .*; did you mean yolox_tiny",
        ),
        ({"zzz": 0.5}, "leaderboard.yml: no model or ensemble 'zzz' .*; there are yolox_tiny"),
        (
            {"yolox_tiny": "0,5"},
            "leaderboard.yml: yolox_tiny: the public score is '0,5', not a number",
        ),
        ({"yolox_tiny": {"private": True}}, "the private score is True, not a number"),
        ({"yolox_tiny": float("nan")}, "the public score is nan, not a number"),
        ({"yolox_tiny": {"pubic": 0.5}}, "leaderboard.yml: yolox_tiny: no leaderboard 'pubic'"),
        (["yolox_tiny"], "leaderboard.yml: should map names of models to scores"),
    ],
)
def test_what_is_wrong_in_the_file_is_one_line(content, message):
    with pytest.raises(EvaluationError, match=message) as caught:
        compare_with_leaderboard({"yolox_tiny": 0.5}, content)
    assert "\n" not in str(caught.value)
