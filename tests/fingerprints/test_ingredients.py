"""What the project's own nodes are made of."""

from __future__ import annotations

import functools
import json
from dataclasses import asdict
from pathlib import Path

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline

from fingerprints.small_project import model
from recycling import mirrors
from recycling.augmented_sets import AugmentedSet
from recycling.datasets import (
    AugmentedSetDataset,
    CocoDataset,
    ExternalMembersDataset,
    ImageFolderDataset,
    JsonDataset,
    RecipesDataset,
    YoloDataset,
)
from recycling.experiments import Tuning
from recycling.fingerprints import ContentCache, Graph
from recycling.fingerprints.ingredients import bound_to
from recycling.pipelines import ensembling, training, tuning
from recycling.pipelines.training import fold_selector
from recycling.plan import read_plan
from recycling.plan.records import TrainingPlan

RECIPES = Path(__file__).parents[2] / "conf/recipes"


def settings(recipe="resnet18_narrow", **others):
    return model(recipe=recipe, **others).model_dump(mode="json", exclude_none=True)


def training_graph(folder, **of_a):
    """The trainings of two models, both on the fold that is held out first."""
    models = {"a": settings(**of_a), "b": settings(recipe="resnetv1d18_narrow", epochs=3)}
    plan = read_plan({"models": models}, "models.yml")
    entries = {
        "train.annotations": JsonDataset(filepath=folder / "train.json"),
        "folds": JsonDataset(filepath=folder / "folds.json"),
        "recipes": RecipesDataset(filepath=RECIPES),
        **{f"params:models.{name}": MemoryDataset(own) for name, own in plan.models.items()},
        **{
            f"cls.{name}.fold0.checkpoint": JsonDataset(filepath=folder / f"{name}.json")
            for name in models
        },
    }
    cache = ContentCache(folder / "cache.json")
    return Graph(training.create_pipeline(plan, "cls"), DataCatalog(entries), cache)


def trainings(folder, **of_a):
    graph = training_graph(folder, **of_a)
    return {
        name: graph.ingredients(graph.makers[f"cls.{name}.fold0.checkpoint"]) for name in ("a", "b")
    }


@pytest.fixture
def folder(tmp_path):
    for name in ("train", "folds"):
        (tmp_path / f"{name}.json").write_text("{}")
    return tmp_path


def test_a_training_is_made_of_annotations_folds_its_own_recipe_and_its_own_settings(folder):
    made = trainings(folder)["a"]
    assert set(made.inputs) == {"train.annotations", "folds", "recipe resnet18_narrow"}
    assert set(made.parameters) == {"models.a"}
    assert made.bound["cls.a.fold0.training_part"] == {"fold": 0}
    json.dumps(asdict(made))


def test_a_setting_of_one_model_is_none_of_the_other(folder):
    before, after = trainings(folder), trainings(folder, batch_size=4)
    assert after["a"] != before["a"]
    assert after["b"] == before["b"]


def test_what_a_task_is_judged_by_is_of_trainings_that_stop_early(folder):
    made = trainings(folder, early_stopping={"patience": 2})
    assert set(made["a"].parameters) == {"models.a", "evaluation.cls"}
    assert set(made["b"].parameters) == {"models.b"}


def test_a_search_is_made_of_all_recipes_and_weights_of_its_space(folder):
    weights = folder / "start.pth"
    weights.write_bytes(b"one")
    space = {
        "recipe": ["resnet18_narrow", "resnetv1d18_narrow"],
        "pretrained": ["none", str(weights)],
    }
    searched = {"models": {"a": settings()}, "tuning": {"few": {"base": "a", "space": space}}}
    plan = read_plan(searched, "models.yml")
    (search,) = tuning.create_pipeline(plan, plan.tunings[0]).nodes
    entries = {
        "recipes": RecipesDataset(filepath=RECIPES),
        "params:models.a": MemoryDataset(plan.models["a"]),
        "params:tuning.few": MemoryDataset(Tuning.model_validate(searched["tuning"]["few"])),
    }
    made = Graph(Pipeline([search]), DataCatalog(entries), ContentCache(folder / "cache.json"))
    assert set(made.ingredients(search).inputs) == {
        "recipe resnet18_narrow", "recipe resnetv1d18_narrow", f"weights {weights}",
    }  # fmt: skip


def test_other_folds_of_a_model_leave_the_one_that_is_trained_as_it_is(folder):
    assert trainings(folder, folds=[0, 1]) == trainings(folder)


def test_the_fold_that_is_held_out_is_bound():
    assert bound_to(fold_selector(1)) == {"fold": 1}


def test_records_and_partials_become_json():
    plan = TrainingPlan(
        "cls", "a", "a.fold0", "cls.a.fold0", fold=0, start="cls.b.fold0.checkpoint"
    )

    def takes(plan, path):
        return plan, path

    bound = bound_to(functools.partial(takes, plan, path=Path("a/b")))
    assert bound["0"]["start"] == "cls.b.fold0.checkpoint"
    assert bound["path"] == "a/b"


def test_of_the_folder_of_members_a_node_is_made_of_its_own_file(tmp_path):
    files = {name: tmp_path / f"{name}.csv" for name in ("own", "theirs")}
    for name, file in files.items():
        file.write_text("1")
        (tmp_path / f"{name}.oof.csv").write_text("1")

    def members():
        plan = read_plan({}, "models.yml", {"det": files})
        catalog = DataCatalog(
            {
                f"det.external.{part}": ExternalMembersDataset(filepath=tmp_path, part=part)
                for part in ("test", "out_of_fold")
            }
        )
        graph = Graph(ensembling.create_pipeline(plan), catalog, ContentCache(tmp_path / ".cache"))
        return {
            (name, part): graph.ingredients(
                graph.makers[f"det.external.{name}.{part}_predictions"]
            ).inputs
            for name in files
            for part in ("test", "out_of_fold")
        }

    before = members()
    files["theirs"].write_text("2")
    after = members()
    assert {key for key in after if after[key] != before[key]} == {("theirs", "test")}


def graph_of(dataset, folder):
    return Graph(
        training.create_pipeline(read_plan({}, "models.yml"), "cls"),
        DataCatalog({"raw": dataset}),
        ContentCache(folder / ".cache"),
    )


def entry(dataset, folder):
    return graph_of(dataset, folder).entry("raw")


def test_what_a_catalog_entry_says_counts_but_not_where_it_lies(tmp_path):
    before = entry(CocoDataset(filepath=tmp_path / "a.json"), tmp_path)
    elsewhere = CocoDataset(filepath=tmp_path / "b.json", duplicate_ids="error")
    assert entry(elsewhere, tmp_path) == before
    shared = CocoDataset(filepath=tmp_path / "a.json", share=(0.0, 0.5))
    assert entry(shared, tmp_path) != before


def test_what_an_entry_names_beside_its_file_counts_by_content(tmp_path):
    names = tmp_path / "data.yaml"
    names.write_text("names: [Paper]")
    dataset = YoloDataset(filepath=tmp_path / "labels", images="images", data_yaml="data.yaml")
    before = entry(dataset, tmp_path)
    names.write_text("names: [Metal]")
    assert entry(dataset, tmp_path) != before


def test_how_much_of_images_elsewhere_is_kept_here_counts_for_nothing(tmp_path):
    few, many = (
        ImageFolderDataset(filepath="memory://images", cache_gigabytes=size) for size in (1, 50)
    )
    assert entry(few, tmp_path) == entry(many, tmp_path)


def test_another_augmented_set_counts_where_the_data_are_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv(mirrors.CACHE, str(tmp_path / "cache"))
    dataset = AugmentedSetDataset(filepath="memory://data/set.json")
    assert graph_of(dataset, tmp_path).content("raw") == "not there"
    contents = set()
    for name in ("one", "other"):
        dataset.save(AugmentedSet(tmp_path / name))
        contents.add(graph_of(dataset, tmp_path).content("raw"))
    assert len(contents - {"not there"}) == 2
