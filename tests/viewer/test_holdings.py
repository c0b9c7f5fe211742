"""What is written anew while the viewer runs is shown anew."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node

from recycling.annotations import Annotations
from recycling.datasets import AnnotationsDataset, JsonDataset, TableDataset
from recycling.experiments import Manifest, Runs
from recycling.predictions import BoxFormat, Detections, to_submission
from recycling.sides import OUT_OF_FOLD, TEST, Workplace
from recycling.viewer.holdings import Holdings

FORMATS = {
    "cls": {"format": "classes"},
    "det": {"format": "aistages_detection"},
    "seg": {"format": "aistages_segmentation", "size": 256},
}
NAMES = [
    f"det.{model}.fold0.{part}_predictions"
    for model in ("yolox", "yolox_seed1")
    for part in (OUT_OF_FOLD, TEST)
]


def found(annotations: Annotations, score: float) -> Detections:
    """Every object, where it is."""
    rows = annotations.annotations
    boxes = rows[["image_id", "category_id", "x_min", "y_min", "x_max", "y_max"]]
    return Detections(boxes.assign(score=score))


@pytest.fixture
def holdings(annotations: Annotations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Holdings:
    """What two trainings of a detector have predicted, and a CSV file."""
    nodes = [node(lambda: None, None, name, name=name) for name in NAMES]
    monkeypatch.setattr("recycling.sides.workplace.pipelines", {"__default__": Pipeline(nodes)})
    catalog = DataCatalog(
        {
            "folds": TableDataset(table="folds", filepath=tmp_path / "folds.parquet"),
            **{
                f"{part}.annotations": AnnotationsDataset(filepath=tmp_path / part)
                for part in ("train", "test")
            },
            **{
                name: TableDataset(table="detections", filepath=tmp_path / f"{name}.parquet")
                for name in NAMES
            },
            "det.final.explanation": JsonDataset(filepath=tmp_path / "explanation.json"),
        }
    )
    for part in ("train", "test"):
        catalog.save(f"{part}.annotations", annotations)
    catalog.save("folds", pd.DataFrame({"image_id": [1, 2, 3], "fold": [0, 0, 1]}))
    for name in NAMES:
        catalog.save(name, found(annotations, 0.5))
    models = {"yolox": {}, "yolox_seed1": {"variant_of": "yolox"}}
    parameters = {"models": models, "submission": FORMATS}
    place = Workplace(catalog, Runs(tmp_path / "runs"), tmp_path / "made", parameters)
    write_file(tmp_path / "mine.csv", annotations, 0.5)
    return Holdings(catalog, place, catalog.keys(), [tmp_path / "mine.csv"])


def write_file(path: Path, test: Annotations, score: float) -> None:
    settings = BoxFormat.model_validate(FORMATS["det"])
    table = to_submission(settings, found(test, score), test.images, test.categories)
    table.to_csv(path, index=False)


def scores(holdings: Holdings, side: str, part: str = OUT_OF_FOLD) -> list[set[float]]:
    """Those of each seed."""
    return [set(own["score"].round(2)) for own in holdings.side(side).predictions[part]]


def test_a_file_that_is_written_anew_is_read_anew(holdings, annotations):
    (path,) = holdings.files
    assert holdings.side(str(path)) is holdings.side(str(path))
    assert scores(holdings, str(path), TEST) == [{0.5}]
    write_file(path, annotations, 0.7)
    assert scores(holdings, str(path), TEST) == [{0.7}]


@pytest.mark.parametrize("side", ["det.yolox", "det.yolox.fold0"])
def test_another_seed_that_predicts_anew_is_read_anew(holdings, annotations, side):
    assert holdings.side(side) is holdings.side(side)
    assert scores(holdings, side) == [{0.5}, {0.5}]
    holdings.catalog.save(NAMES[2], found(annotations, 0.7))
    assert scores(holdings, side) == [{0.5}, {0.7}]


def test_what_is_true_is_read_anew(holdings, annotations):
    (path,) = map(str, holdings.files)
    fewer = replace(annotations, annotations=annotations.annotations[:2])
    assert len(holdings.side("det.yolox").truth[OUT_OF_FOLD].annotations) == 3
    assert len(holdings.side(path).truth[TEST].annotations) == 3
    holdings.catalog.save("train.annotations", fewer)
    holdings.catalog.save("test.annotations", fewer)
    assert len(holdings.side("det.yolox").truth[OUT_OF_FOLD].annotations) == 2
    assert len(holdings.side(path).truth[TEST].annotations) == 2
    holdings.catalog.save("folds", pd.DataFrame({"image_id": [1, 2, 3], "fold": [0, 1, 1]}))
    assert len(holdings.side("det.yolox").truth[OUT_OF_FOLD].images) == 1


def test_the_latest_run_is_the_latest_one(holdings, annotations):
    runs = holdings.workplace.runs
    metrics = {NAMES[1].replace("predictions", "metrics"): {}}
    for run_id, score in (("2026-01-01", 0.5), ("2026-01-02", 0.7)):
        folder = runs.folder(run_id)
        kept = {NAMES[1]: found(annotations, score), "test.annotations": annotations}
        for name, value in kept.items():
            dataset = holdings.catalog.get(name)
            dataset.at(folder.kept / name / dataset.filepath.name).save(value)
        folder.write(Manifest(run_id, {}, "2026-01-01T00:00:00+00:00", scores=metrics))
        assert scores(holdings, "latest:det.yolox", TEST) == [{score}]
    assert scores(holdings, "latest~1:det.yolox", TEST) == [{0.5}]


def test_the_best_member_is_known_where_one_has_a_score(holdings):
    def explained(**scores: float | None) -> None:
        members = {name: {"score": score} for name, score in scores.items()}
        holdings.catalog.save("det.final.explanation", {"ensemble": 0.5, "members": members})

    assert holdings.best_member("det.final") is None
    explained(yolox=None, mine=None)  # the test images have no labels
    assert holdings.best_member("det.final") is None
    explained(yolox=0.4, mine=None)
    assert holdings.best_member("det.final") == "det.yolox"


def test_what_an_ensemble_changed_is_shown_against_a_fold_where_each_has_predicted(holdings):
    fold1 = "det.yolox.fold1.test_predictions"
    holdings.catalog[fold1] = holdings.catalog.get(NAMES[1]).at(holdings.workplace.data / "fold1")
    holdings.names.append(fold1)
    holdings.catalog.save(fold1, holdings.load(NAMES[1]))
    for member in ("yolox", "yolox.fold0"):
        members = {"members": {member: {"score": 0.4}}}
        holdings.catalog.save("det.final.explanation", members)
        assert holdings.best_member("det.final") == "det.yolox.fold0"
    assert TEST in holdings.side("det.yolox.fold0").predictions


def test_one_value_is_kept_of_each_name_and_what_it_is_made_of_stays_alive(holdings):
    """Else another one could come to lie at the same address, and be taken for it."""
    first = holdings.side("det.yolox")
    kept = [
        holdings.keep("mistakes", "yolox", (first, score), lambda: object()) for score in (1, 2)
    ]
    assert kept[0] is not kept[1]
    assert holdings.keep("mistakes", "yolox", (first, 2), lambda: object()) is kept[1]
    assert sum(kind == "mistakes" for kind, _ in holdings._kept) == 1
    again = weakref.ref(first)
    del first
    holdings.catalog.save(NAMES[0], found(holdings.load("train.annotations"), 0.6))
    holdings.side("det.yolox")
    gc.collect()
    assert again() is not None
