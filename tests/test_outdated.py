"""``kedro run --only-missing-outputs`` after something that a model depends on has changed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner

from recycling.backends import Checkpoint, Model
from recycling.backends.shared.checkpoint_folder import FORMAT
from recycling.datasets import CheckpointDataset, JsonDataset, RecipesDataset
from recycling.hooks import OutdatedHooks

LONG_AGO = 1_000_000_000


SETTINGS = {
    "task": "cls",
    "backend": "mmpretrain",
    "recipe": "small",
    "image_size": 64,
    "epochs": 12,
    "batch_size": 8,
    "optimizer": {"name": "AdamW", "learning_rate": 0.01},
}


def model(**settings: object) -> Model:
    return Model.model_validate({**SETTINGS, **settings})


class Project:
    """Two models, each trained, asked and scored; what runs is noted down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models = {"a": model(), "b": model()}
        self.recipe = folder / "recipes/mmpretrain/small.py"
        self.recipe.parent.mkdir(parents=True)
        self.recipe.write_text("model = {}")
        os.utime(self.recipe, (LONG_AGO, LONG_AGO))

    def run(self) -> list[str]:
        """Run what is missing, and say which nodes that were."""
        ran: list[str] = []

        def train(model: Model, recipes: object) -> Checkpoint:
            ran.append("train")
            folder = self.folder / "trained"
            folder.mkdir(exist_ok=True)
            facts = {"format": FORMAT, "model": model.model_dump(mode="json"), "categories": []}
            (folder / "checkpoint.json").write_text(json.dumps(facts))
            return Checkpoint(folder)

        def follow(before: object) -> dict[str, str]:
            ran.append("follow")
            return {"after": str(before)}

        catalog = DataCatalog({"recipes": RecipesDataset(filepath=self.folder / "recipes")})
        nodes = []
        for name, settings in self.models.items():
            catalog[f"params:models.{name}"] = MemoryDataset(settings)
            space = f"cls.{name}.fold0"
            catalog[f"{space}.checkpoint"] = CheckpointDataset(filepath=self.folder / name / "c")
            for part in ("predictions", "metrics"):
                path = self.folder / name / f"{part}.json"
                catalog[f"{space}.{part}"] = JsonDataset(filepath=path)
            nodes += [
                node(train, [f"params:models.{name}", "recipes"], f"{space}.checkpoint",
                     name=f"{name}.train"),
                node(follow, f"{space}.checkpoint", f"{space}.predictions",
                     name=f"{name}.predict"),
                node(follow, f"{space}.predictions", f"{space}.metrics", name=f"{name}.score"),
            ]  # fmt: skip
        pipeline = Pipeline(nodes)
        OutdatedHooks().before_pipeline_run(
            run_params={"only_missing_outputs": True}, pipeline=pipeline, catalog=catalog
        )
        SequentialRunner().run(pipeline, catalog, only_missing_outputs=True)
        return ran


@pytest.fixture
def project(tmp_path):
    """After a first run."""
    project = Project(tmp_path)
    assert sorted(project.run()) == ["follow"] * 4 + ["train"] * 2
    return project


def test_what_nothing_has_changed_for_is_not_made_again(project):
    assert project.run() == []


def test_a_changed_setting_trains_that_model_again_and_is_named(project, caplog):
    project.models["a"] = model(epochs=13)
    assert project.run() == ["train", "follow", "follow"]
    assert "cls.a.fold0: epochs: 12 -> 13; it and all that follows from it" in caplog.text
    assert project.run() == []


def test_a_setting_that_alters_no_result_trains_nothing_again(project):
    project.models["a"] = model(cache_megabytes=100, folds=(0, 1), skip_if_missing=True)
    assert project.run() == []


def test_a_setting_that_is_newer_than_the_model_counts_as_its_default(project):
    facts = project.folder / "a/c/checkpoint.json"
    content = json.loads(facts.read_text())
    del content["model"]["loss"]
    facts.write_text(json.dumps(content))
    assert "train" not in project.run()


def test_a_checkpoint_of_an_earlier_version_is_trained_again(project, caplog):
    facts = project.folder / "a/c/checkpoint.json"
    content = json.loads(facts.read_text())
    del content["format"]
    facts.write_text(json.dumps(content))
    assert project.run() == ["train", "follow", "follow"]
    assert f"cls.a.fold0: format of the checkpoint: 1 -> {FORMAT}" in caplog.text


def test_a_recipe_that_is_written_to_trains_its_models_again(project, caplog):
    project.recipe.write_text("model = {'a': 1}")
    assert project.run().count("train") == 2
    assert "small.py has been written to" in caplog.text
    assert project.run() == []


def test_predictions_of_an_older_model_are_made_again(project, caplog):
    os.utime(project.folder / "b/predictions.json", (LONG_AGO, LONG_AGO))
    assert project.run() == ["follow"]
    assert "cls.b.fold0: 1 output is older than this model" in caplog.text


def test_a_folder_without_what_describes_the_model_is_trained_again(project):
    (project.folder / "a/c/checkpoint.json").unlink()
    assert project.run() == ["train", "follow", "follow"]
