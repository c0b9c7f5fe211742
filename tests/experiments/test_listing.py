"""Runs and models as tables: scores, sorting, the best, and which checkpoints are kept."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from recycling.experiments import (
    ExperimentError,
    Manifest,
    best_checkpoint,
    checkpoints_to_remove,
    chosen_rows,
    models_table,
    nothing_listed,
    runs_table,
    shown_table,
)


def scores(score: float, **details: float) -> dict[str, object]:
    interval = (score - 0.1, score + 0.1)
    return {"metric": "mAP50", "score": score, "details": details, "interval": interval}


def run(run_id: str, yolox: tuple[float, float], **more: object) -> Manifest:
    """One with two folds of one detector, and an ensemble."""
    folds = {f"det.yolox.fold{fold}": score for fold, score in enumerate(yolox)}
    return Manifest(
        run_id, {"pipeline_names": ["training_det"]}, "2026-11-29T01:00:00+00:00",
        scores={
            **{f"{s}.out_of_fold_metrics": scores(v, mAP50_small=v / 2) for s, v in folds.items()},
            **{f"{space}.test_metrics": scores(value / 4) for space, value in folds.items()},
            "det.final.test_metrics": scores(0.75),
            "det.external.theirs.test_metrics": scores(0.9),
        },
        trainings={
            f"{space}.checkpoint": {"model": {"seed": 3}, "seconds": 90, "iterations": 50 + n}
            for n, space in enumerate(folds)
        },
        **more,
    )  # fmt: skip


def test_the_scores_of_a_model_are_the_means_over_its_folds():
    (final,), (yolox,) = (
        [row for row in models_table([run("a", (0.5, 0.75))]).to_dict("records")
         if row["model"] == name]
        for name in ("final", "yolox")
    )  # fmt: skip
    expected = {
        "out_of_fold": 0.625, "test": 0.15625, "mAP50_small": 0.3125, "folds": 2, "seed": 3,
        "minutes": 3.0, "steps": 50.5, "checkpoint": "det.yolox.fold0.checkpoint",
    }  # fmt: skip
    assert {key: yolox[key] for key in expected} == expected
    assert (final["test"], final["low"], final["high"]) == (0.75, 0.65, 0.85)
    assert runs_table([run("a", (0.5, 0.75))])["det.final"].tolist() == [0.75]


def test_rows_are_sorted_filtered_and_cut():
    table = models_table([run("a", (0.5, 0.5)), run("b", (0.75, 0.75))])
    chosen = chosen_rows(table, sort="out_of_fold", where='model == "yolox"', columns="run, folds")
    assert chosen.to_numpy().tolist() == [["b", 2], ["a", 2]]
    with pytest.raises(ExperimentError, match="--sort: no column 'loss'; there are run, name"):
        chosen_rows(table, sort="loss", where=None, columns=None)
    with pytest.raises(ExperimentError, match="--filter 'model ==': .*; write a condition"):
        chosen_rows(table, sort=None, where="model ==", columns=None)


def test_whole_numbers_are_shown_whole_and_scores_with_four_digits():
    values = {"seed": 20240615.0, "steps": 12345.5, "score": 0.56789, "none": float("nan")}
    assert shown_table(pd.DataFrame([values])) == [["20240615", "12346", "0.5679", ""]]


def test_why_nothing_is_listed_is_said():
    unscored = [Manifest("a", {}, "2026-11-29T01:00:00+00:00")]
    assert models_table(unscored).empty
    assert nothing_listed(unscored).startswith("no run has scored anything yet")


def test_columns_with_a_dot_stand_between_backticks():
    table = runs_table([run("a", (0.5, 0.75)), run("b", (0.5, 0.25))])
    chosen = chosen_rows(table, sort=None, where="`det.final` < 0.5 or run == 'a'", columns=None)
    assert chosen["run"].tolist() == ["a"]
    assert chosen.columns.tolist() == table.columns.tolist()


@pytest.mark.parametrize(
    "where",
    [
        '@pd.io.common.os.system("touch {}")',
        'run.to_csv("{}")',
        '__import__("os").system("touch {}")',
        'run.to_csv("`") == 1 or run == "` {}"',
        "(lambda: open('{}', 'w'))() == 1",
        "[run for run in [open('{}', 'w')]] == 1",
        "run == f\"{{open('{}', 'w')}}\"",
        "9**9**9**9 == 1",
        '"`" == run',
    ],
)
def test_a_condition_compares_columns_and_runs_nothing(where, tmp_path):
    file = tmp_path / "written"
    table = runs_table([run("a", (0.5, 0.75))])
    with pytest.raises(ExperimentError, match="write a condition"):
        chosen_rows(table, sort=None, where=where.format(file), columns=None)
    assert not file.exists()


def test_the_best_is_found_by_the_metric_or_by_another_figure():
    table = models_table([run("a", (0.5, 0.75)), run("b", (0.75, 0.25))])
    assert best_checkpoint(table, "det", "mAP50")["run"] == "a"
    assert (
        best_checkpoint(table, "det", "mAP50_small")["checkpoint"] == "det.yolox.fold0.checkpoint"
    )
    with pytest.raises(ExperimentError, match="score 'mIoU'; there are mAP50, mAP50_small"):
        best_checkpoint(table, "det", "mIoU")
    with pytest.raises(ExperimentError, match="no run has trained a model of 'seg'"):
        best_checkpoint(table, "seg", "mIoU")


def test_the_best_by_a_loss_is_the_smallest_and_what_is_no_score_has_no_best():
    table = models_table([run("a", (0.5, 0.75)), run("b", (0.75, 0.25))])
    table["log_loss"] = [{"a": 0.2, "b": 2.5}[name] for name in table["run"]]
    assert best_checkpoint(table, "det", "log_loss")["run"] == "a"
    with pytest.raises(ExperimentError, match="score 'minutes'; there are mAP50, log_loss, mAP50_"):
        best_checkpoint(table, "det", "minutes")


def test_the_best_is_one_of_those_with_the_most_folds():
    table = models_table([run("a", (0.5, 0.5)), run("b", (0.9,))])
    assert best_checkpoint(table, "det", "mAP50")["run"] == "a"
    assert best_checkpoint(table, "det", "mAP50_small")["run"] == "a"


@pytest.mark.parametrize(
    ("keep", "runs"),
    [
        (["best"], ["a", "c", "d"]),
        (["last"], ["a", "b", "c"]),
        (["named", "last"], ["b", "c"]),
        (["best", "last", "named"], ["c"]),
        (["all"], []),
    ],
)
def test_the_rule_says_which_checkpoints_go(keep, runs):
    every = [
        run("a", (0.1, 0.1), name="first"), run("b", (0.9, 0.9)), run("c", (0.5, 0.5)),
        run("d", (0.2, 0.2)),
    ]  # fmt: skip
    expected = [(own, f"det.yolox.fold{fold}.checkpoint") for own in runs for fold in (0, 1)]
    assert checkpoints_to_remove(every, keep) == expected


def test_the_best_is_a_run_that_has_the_checkpoint():
    """A run that fuses takes the scores of a model, and none of its checkpoints."""
    fused = run("b", (0.5, 0.5))
    every = [run("a", (0.5, 0.5)), replace(fused, trainings={}), run("c", (0.4, 0.4))]
    assert checkpoints_to_remove(every, ["best", "last"]) == []


def test_the_best_is_that_of_each_metric():
    """Scores of two metrics are of two scales: the larger number is not the better model."""
    every = [run("a", (0.6, 0.6)), run("b", (0.35, 0.35)), run("c", (0.3, 0.3)), run("d", (0, 0))]
    for own in every[1:]:
        for each in own.scores.values():
            each["metric"] = "mAP50-95"
    gone = {run_id for run_id, _ in checkpoints_to_remove(every, ["best", "last"])}
    assert gone == {"c"}


def test_the_best_is_that_of_the_same_folds():
    """One fold is easier than another: its score is no better than the mean over several."""
    hard = run("c", (0.2,))
    for kind in ("scores", "trainings"):
        renamed = {k.replace("fold0", "fold1"): v for k, v in getattr(hard, kind).items()}
        hard = replace(hard, **{kind: renamed})
    every = [run("a", (0.5, 0.5)), run("b", (0.9,)), hard, run("d", (0.4, 0.4)), run("e", (0, 0))]
    gone = {run_id for run_id, _ in checkpoints_to_remove(every, ["best", "last"])}
    assert gone == {"d"}
