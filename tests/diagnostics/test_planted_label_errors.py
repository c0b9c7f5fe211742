"""How many planted label errors are found after real trainings: `make test-slow`.

The networks see each image four times, so as to take minutes; measured: a recall of 0.83, from 0.72
to 0.93 over images. Longer trainings find more.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from clone import kedro
from diagnostics.planted_errors import planted_project, report
from recycling.annotations import Cleaning

pytestmark = pytest.mark.slow

N_SPLITS = 3
SMALL = {"image_size": 96, "cache_megabytes": 200}
MODELS: dict[str, dict[str, Any]] = {
    "resnet18": {"epochs": 5, "cache_megabytes": 200},
    "yolox": {"epochs": 4, **SMALL},
    "fcn": {"epochs": 3, **SMALL},
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """A project after trainings on labels with 48 planted errors, and its candidates."""
    project = planted_project(
        tmp_path_factory.mktemp("planted") / "recycling",
        n_images=1000, n_each=12, n_splits=N_SPLITS, models=MODELS,
    )  # fmt: skip
    for pipelines in ("data_cleaning,splitting", "training_cls", "training_det", "training_seg",
                      "label_errors"):  # fmt: skip
        result = kedro(project, "run", "--pipelines", pipelines)
        assert result.returncode == 0, result.stdout + result.stderr
    return project, pd.read_parquet(project / "data/08_reporting/label_errors.parquet")


def test_most_planted_errors_are_among_the_first_twentieth_of_all_labels(found):
    project, errors = found
    planted = json.loads((project / "planted.json").read_text())
    train = json.loads((project / "data/01_raw/sample/train.json").read_text())
    first = len(train["annotations"]) // 20
    images = [image["id"] for image in train["images"]]
    table = report(errors, planted, images, first)
    print(table.round(2).to_string())
    assert len(planted) >= 40
    # 40 of 48 when it was measured; trainings on another machine differ by a few.
    assert table.loc["all", "recall"] >= 0.75


def test_every_label_is_ranked_and_what_is_proposed_can_be_accepted_as_it_is(found):
    project, errors = found
    train = json.loads((project / "data/01_raw/sample/train.json").read_text())
    assert set(errors["annotation_id"].dropna()) == {own["id"] for own in train["annotations"]}
    assert errors["annotation_id"].dropna().is_unique
    text = (project / "data/08_reporting/label_errors.yml").read_text()
    path = project / "conf/local/parameters_cleaning.yml"
    rules = yaml.safe_load(path.read_text())
    rules["cleaning"]["train"] |= yaml.safe_load(text)["cleaning"]["train"]
    Cleaning.model_validate(rules["cleaning"]["train"])
    path.write_text(yaml.safe_dump(rules))
    result = kedro(project, "run", "--pipelines", "data_cleaning")
    assert result.returncode == 0, result.stdout + result.stderr
    said = " ".join(result.stdout.split())
    assert "correct_annotations: " in said
