"""`folds: all`: one more training on all labelled images, of which its folds say how good it is."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from kedro.io import DataCatalog

from backends.tiny_trainings import draw_pictures, model_of, write_recipe
from recycling.backends import (
    Checkpoint,
    Model,
    Recipes,
    RunFolder,
    TrainingData,
    changed_settings,
)
from recycling.configuration import ConfigLoader
from recycling.evaluation import Metrics
from recycling.pipelines import ensembling, training
from recycling.pipelines.ensembling import ranker
from recycling.pipelines.training import epochs_of, trainer_on_all, with_copies
from recycling.plan import FINAL, TEACHER, PlanError, TrainingPlan, read_plan
from recycling.typed import check_types

DETECTOR = {
    "task": "det", "backend": "mmdet", "recipe": "yolox_nano", "image_size": 64, "epochs": 9,
    "batch_size": 2, "optimizer": {"name": "SGD", "learning_rate": 0.1},
}  # fmt: skip
THREE_FOLDS = {"splitting": {"method": "stratified_group", "n_splits": 3}}


def _plan(folds: Any, **more: Any) -> Any:
    return read_plan({"models": {"yolox": {**DETECTOR, "folds": folds}}, **more}, "models.yml")


@pytest.mark.parametrize(
    ("folds", "expected"),
    [
        ("all", ["fold0", "fold1", "fold2", "fold_all"]),
        ([1, "all"], ["fold1", "fold_all"]),
        ([0, 2], ["fold0", "fold2"]),
    ],
    ids=["all alone", "with a fold", "without"],
)
def test_a_training_on_all_images_comes_with_the_folds_that_judge_it(
    folds: Any, expected: list[str]
) -> None:
    plan = _plan(folds, **THREE_FOLDS)
    assert [t.name for t in plan.trainings] == [f"yolox.{name}" for name in expected]
    on_all = [t for t in plan.trainings if t.fold is None]
    assert [t.name for own in on_all for t in own.folds] == [
        f"yolox.{name}" for name in expected if "all" in expected[-1] and name != "fold_all"
    ]


def test_it_is_predicted_for_the_submission_alone_and_teaches_nobody() -> None:
    plan = _plan([0, 1, "all"])
    made = training.create_pipeline(plan, "det").all_outputs()
    assert "det.yolox.fold_all.test_predictions" in made
    assert not [name for name in made if "fold_all.out_of_fold" in name or "fold_all.pool" in name]
    members = {each.name: [m.name for m in each.members] for each in plan.ensembles}
    assert members == {
        TEACHER: ["yolox.fold0", "yolox.fold1"],
        FINAL: ["yolox.fold0", "yolox.fold1", "yolox.fold_all"],
    }
    (node,) = [
        n for n in training.create_pipeline(plan, "det").nodes
        if n.name == "det.yolox.fold_all.train"
    ]  # fmt: skip
    assert "det.yolox.fold1.checkpoint" in node.inputs
    assert "folds" not in node.inputs


def test_it_is_ranked_and_searched_by_what_its_folds_earned() -> None:
    searched = {"final": {"members": ["yolox.fold_all"], "search": {"trials": 2}}}
    plan = _plan([0, 1, "all"], ensembles=searched)
    inputs = {
        n.name: set(n.inputs) for n in ensembling.create_pipeline(plan).nodes
        if n.namespace == "det.final"
    }  # fmt: skip
    out_of_fold = {f"det.yolox.fold{fold}.out_of_fold_predictions" for fold in (0, 1)}
    assert out_of_fold <= inputs["det.final.search_ensemble"]
    assert "det.yolox.fold_all.out_of_fold_predictions" not in inputs["det.final.search_ensemble"]
    ranking = ranker(["fcos.fold0", "yolox.fold_all", "colleague.csv"])(
        **{
            "yolox.fold0": Metrics("mAP50", 0.4, {}, {}),
            "yolox.fold1": Metrics("mAP50", 0.7, {}, {}),
            "fcos.fold0": Metrics("mAP50", 0.5, {}, {}),
        }
    )
    scores = dict(zip(ranking["member"], ranking["score"], strict=True))
    assert scores["yolox.fold_all"] == pytest.approx(0.55)
    ranks = dict(zip(ranking["member"], ranking["rank"], strict=True))
    assert sorted(ranks, key=ranks.__getitem__) == [
        "yolox.fold_all",
        "fcos.fold0",
        "colleague.csv",
    ]


@pytest.mark.parametrize("search", [None, {"trials": 2}], ids=["settings", "search"])
def test_the_types_of_its_graph_agree(search: Any) -> None:
    described = {"members": "all", **({"search": search} if search else {})}
    plan = _plan([0, 1, "all"], ensembles={"best": described})
    loader = ConfigLoader("conf", base_env="base", default_run_env="base")
    stored = {name: entry for name, entry in loader["catalog"].items() if "det." in name}
    graph = training.create_pipeline(plan, "det") + ensembling.create_pipeline(plan)
    edges = check_types(graph, DataCatalog.from_config(stored))
    takers = {edge.taker.who for edge in edges if edge.dataset == "det.yolox.fold1.checkpoint"}
    assert any("fold_all.train" in taker for taker in takers)


def test_all_without_folds_is_one_line() -> None:
    with pytest.raises(PlanError, match=r"models\.yolox\.folds is 'all', and splitting does not"):
        _plan("all")


def _checkpoint(folder: Any, **facts: Any) -> Checkpoint:
    folder.mkdir()
    (folder / "checkpoint.json").write_text(json.dumps({"model": {"backend": "mmdet"}, **facts}))
    return Checkpoint(folder)


def test_it_trains_as_long_as_its_folds_were_best_after(tmp_path: Any) -> None:
    folds = {
        "yolox.fold0": _checkpoint(tmp_path / "0", best_epoch=4),
        "yolox.fold1": _checkpoint(tmp_path / "1", best_epoch=7),
        "yolox.fold2": _checkpoint(tmp_path / "2", best_epoch=8),
    }
    plain = model_of("mmdet", epochs=9)
    assert epochs_of(plain, folds)[0] == 9
    epochs, why = epochs_of(model_of("mmdet", epochs=9, early_stopping={"patience": 2}), folds)
    assert epochs == 6
    assert "yolox.fold0 after 4, yolox.fold1 after 7, yolox.fold2 after 8" in why


def test_it_learns_from_all_images_and_keeps_its_epochs(
    tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("mmpretrain")
    pictures = draw_pictures(tmp_path / "pictures")
    (tmp_path / "recipes/mmpretrain").mkdir(parents=True)
    write_recipe(tmp_path, "mmpretrain").rename(tmp_path / "recipes/mmpretrain/small.py")
    fold = _checkpoint(tmp_path / "fold0", best_epoch=2)
    model = model_of("mmpretrain", epochs=5, early_stopping={"patience": 1}, folds=[0, "all"])

    def train_on_all(model: Model) -> Checkpoint:
        return trainer_on_all("cls.small.fold_all")(
            model,
            Recipes(tmp_path / "recipes"),
            RunFolder(tmp_path / "runs"),
            pictures.annotations,
            pictures.folder,
            **{"small.fold0": fold},
        )

    with caplog.at_level(logging.INFO):
        checkpoint = train_on_all(model)
    assert "cls.small.fold_all: 2 epochs on all 8 labelled images: the mean of" in caplog.text
    facts = json.loads((checkpoint.folder / "checkpoint.json").read_text())
    assert facts["n_samples"] == 16
    assert facts["iterations"] == 2 * 4
    assert changed_settings(checkpoint, model) is None
    assert changed_settings(checkpoint, model.model_copy(update={"seed": 3})) == "seed: 0 -> 3"
    with_twin = model.model_copy(update={"control": True})  # which only its folds have
    assert changed_settings(checkpoint, with_twin) is None
    made = checkpoint.weights.stat().st_mtime_ns
    assert train_on_all(with_twin).weights.stat().st_mtime_ns == made


@pytest.mark.parametrize("copies", [False, True])
def test_an_epoch_of_labelled_images_is_one_on_all_images_too(tmp_path: Any, copies: bool) -> None:
    pictures = draw_pictures(tmp_path)
    data = TrainingData([pictures, pictures], pictures, pictures.annotations.categories)
    model = model_of("mmpretrain", images_an_epoch="labeled")
    own = with_copies(data, model, pictures if copies else None)
    assert own.epoch_parts == 1


def test_the_record_of_a_fold_is_its_own_judge() -> None:
    first, *_, last = _plan([0, 1, "all"]).trainings
    assert isinstance(last, TrainingPlan)
    assert first.judged_by == (first,)
    assert [judge.name for judge in last.judged_by] == ["yolox.fold0", "yolox.fold1"]
