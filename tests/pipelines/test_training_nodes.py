"""What the nodes of a training say before its first step."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest

from backends.tiny_trainings import draw_pictures, model_of, write_recipe
from recycling.annotations import ImageFolder
from recycling.backends import BackendError, Checkpoint, Model, Recipes, RunFolder
from recycling.evaluation import BoxMetric, ClassMetric
from recycling.pipelines.training import PREDICT, fold_selector, trainer
from recycling.splitting import FOLDS, SplitError

SETTINGS = Model.model_validate(
    {
        "task": "det",
        "backend": "mmdet",
        "recipe": "small",
        "image_size": 64,
        "epochs": 1,
        "batch_size": 2,
        "optimizer": {"name": "AdamW", "learning_rate": 0.01},
        "pretrained": "nowhere.pth",
    }
)


def test_a_category_that_no_object_to_learn_from_is_of_is_named(annotations, tmp_path, caplog):
    recipes = tmp_path / "recipes"
    (recipes / "mmdet").mkdir(parents=True)
    (recipes / "mmdet/small.py").write_text("model = dict(type='FCOS')\n")
    first = annotations.categories.iloc[0]
    others = annotations.annotations["category_id"] != first["category_id"]
    part = replace(annotations, annotations=annotations.annotations[others])
    train = trainer("det", "det.small.fold2")
    # The weights are not there, so that nothing is trained after all.
    with pytest.raises(BackendError):
        train(
            SETTINGS,
            Recipes(recipes),
            RunFolder(tmp_path),
            part,
            ImageFolder(tmp_path),
            annotations,
            BoxMetric.model_validate({}),
        )
    assert f"det.small.fold2: nothing to learn from of {first['name']!r}: no" in caplog.text


def test_images_that_came_after_the_folds_were_made_stop_the_training(annotations):
    folds = FOLDS.conform(pd.DataFrame({"image_id": [1, 2, 9], "fold": [0, 1, 1]}), where="folds")
    learnt, held_out = fold_selector(0)(annotations.of_images([1, 2]), folds)
    assert [part.images["image_id"].tolist() for part in (learnt, held_out)] == [[2], [1]]
    with pytest.raises(SplitError, match="image 3 in no fold; 1 of 3 .* make the folds again"):
        fold_selector(0)(annotations, folds)


def test_a_training_that_stops_early_knows_what_judges_it(tmp_path):
    pytest.importorskip("mmpretrain")
    pictures = draw_pictures(tmp_path / "pictures")
    (tmp_path / "mmpretrain").mkdir()
    write_recipe(tmp_path / "mmpretrain", "mmpretrain").rename(tmp_path / "mmpretrain/small.py")
    trainer("cls", "run")(
        model_of("mmpretrain", early_stopping={"patience": 1}),
        Recipes(tmp_path),
        RunFolder(tmp_path),
        pictures.annotations,
        pictures.folder,
        pictures.annotations,
        ClassMetric.model_validate({"metric": "accuracy"}),
    )
    facts = json.loads((tmp_path / "run/training.json").read_text())
    assert json.loads(facts["scored by"]) == {"metric": "accuracy"}


@pytest.mark.parametrize("predict", PREDICT.values())
def test_a_model_of_other_classes_than_the_images_is_refused(predict, annotations, tmp_path):
    named = [{"category_id": 1, "name": "Shoe"}]
    facts = {"model": SETTINGS.model_dump(mode="json"), "categories": named}
    (tmp_path / "checkpoint.json").write_text(json.dumps(facts))
    with pytest.raises(BackendError, match="the model knows Shoe, and the images are annotated"):
        predict(Checkpoint(tmp_path), annotations, ImageFolder(tmp_path))
