"""The score of predictions by itself, with its interval."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from recycling.annotations.parquet import read_tables
from recycling.evaluation.metrics.map50 import Map50Settings
from recycling.experiments import scores_with_intervals
from recycling.pipelines.scoring import score

SAMPLE = Path(__file__).parents[2] / "sample"


def test_all_is_scored_as_by_a_run_and_every_class_and_size_has_its_interval() -> None:
    own = SAMPLE / "07_model_output/det/yolox/fold0"
    folds = pd.read_parquet(SAMPLE / "05_model_input/folds.parquet")
    train = read_tables(SAMPLE / "03_primary/train")
    truth = train.of_images(folds.loc[folds["fold"] == 0, "image_id"])
    predictions = pd.read_parquet(own / "out_of_fold.parquet")
    table = scores_with_intervals(Map50Settings(), truth, predictions).set_index("of")
    said = score(truth, predictions, Map50Settings())
    assert table.loc["all", "score"] == pytest.approx(said.score)
    assert table.loc["all", ["low", "high"]].tolist() == pytest.approx(said.interval)
    by_class = table["score"].filter(list(said.per_class))
    assert by_class.to_dict() == pytest.approx(said.per_class)
    assert {"small objects", "medium objects"} < set(table.index)
    assert ((table["low"] <= table["score"]) & (table["score"] <= table["high"])).all()
