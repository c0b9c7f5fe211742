"""A model that learns from an augmented set learns nothing of the fold that it holds out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from backends.tiny_trainings import draw_pictures, model_of, write_recipe
from recycling.annotations import ImageChecks, LabeledImages
from recycling.augmented_sets import (
    AugmentedSet,
    AugmentedSetError,
    AugmentedSets,
    AugmentedSetSettings,
)
from recycling.backends import BackendError, Recipes, RunFolder, TrainingData
from recycling.pipelines import augmented_sets, training
from recycling.plan import PlanError, read_plan
from recycling.splitting import Folds

SETTINGS: dict[str, Any] = {
    "transforms": [{"HorizontalFlip": {"p": 1.0}}, {"Affine": {"rotate": [20, 20], "p": 1.0}}],
    "factor": 3,
    "workers": 1,
}
MODEL: dict[str, Any] = {
    "task": "det", "backend": "mmdet", "recipe": "yolox_narrow", "image_size": 64, "epochs": 2,
    "batch_size": 4, "optimizer": {"learning_rate": 0.01}, "folds": [0, 1, "all"], "data": "turned",
}  # fmt: skip
FOLDS = Folds(pd.DataFrame({"image_id": range(1, 9), "fold": [0, 1] * 4}))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> LabeledImages:
    return draw_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def augmented(pictures: LabeledImages, tmp_path_factory: pytest.TempPathFactory) -> AugmentedSet:
    checks = ImageChecks(pd.DataFrame({"image_id": [1], "sha256": pd.array([None], "string")}))
    return augmented_sets.make_set(
        pictures.annotations,
        pictures.folder,
        checks,
        AugmentedSetSettings(**SETTINGS),
        AugmentedSets(tmp_path_factory.mktemp("sets")),
    )


def plan_of(**changes: Any) -> Any:
    return read_plan(
        {"models": {"yolox": {**MODEL, **changes}}, "augmented_sets": {"turned": SETTINGS}},
        "models.yml",
    )


@pytest.mark.parametrize("fold", [0, 1])
@pytest.mark.parametrize("task", ["cls", "det", "seg"])
def test_no_copy_of_a_held_out_image_is_learnt_from(
    fold: int, task: Any, pictures: LabeledImages, augmented: AugmentedSet
) -> None:
    select = training.fold_and_copies_selector(fold, task)
    part, held_out, copies = select(pictures.annotations, FOLDS, augmented)
    out = set(held_out.images["image_id"])
    assert out == set(FOLDS.loc[FOLDS["fold"] == fold, "image_id"])
    sources = augmented.sources[copies.annotations.images["image_id"]]
    assert not out & set(sources)
    assert sources.value_counts().to_dict() == dict.fromkeys(part.images["image_id"], 3)
    # Of the file's name, which is given by the one it was made of.
    names = copies.annotations.images["file_name"].str.extract(r"/(\d+)_\d\.jpg")[0].astype(int)
    assert not out & set(names)
    assert copies.annotations.annotations["iscrowd"].any() == (task == "seg")


def test_the_training_is_given_nothing_else_of_the_set_and_is_scored_on_originals() -> None:
    nodes = training.create_pipeline(plan_of(), "det").nodes
    for fold in (0, 1):
        own = {n.name.rsplit(".", 1)[1]: n for n in nodes if n.namespace == f"det.yolox.fold{fold}"}
        space = f"det.yolox.fold{fold}"
        of_set = [name for name in own["train"].inputs if "augmented" in name]
        assert of_set == [f"{space}.augmented_part"]
        divided = {"train.annotations", "folds", "turned.augmented_set"}
        assert set(own["select_fold"].inputs) == divided
        for name in (
            "predict_out_of_fold",
            "score_out_of_fold",
            "predict_test_images",
            "score_test_predictions",
        ):
            assert not [given for given in own[name].inputs if "augmented" in given]
    (on_all,) = [n for n in nodes if n.name == "det.yolox.fold_all.train"]
    assert "turned.augmented_set" in on_all.inputs


def test_a_training_makes_the_set_that_it_needs_and_the_pipeline_all() -> None:
    plan = plan_of()
    made = {name for node in training.create_pipeline(plan, "det").nodes for name in node.outputs}
    assert {"turned.augmented_set", "turned.augmented_sheet"} <= made
    both = training.create_pipeline(plan, "det") + augmented_sets.create_pipeline(plan)
    assert [n.name for n in both.nodes].count("augmented_sets.turned.make_augmented_set") == 1
    without = training.create_pipeline(plan_of(data=None), "det")
    assert not [n for n in without.nodes if "augmented" in n.name]


@pytest.mark.parametrize("backend", ["mmpretrain", "mmdet", "mmseg"])
def test_with_and_without_a_set_a_training_takes_as_many_steps(
    backend: str, pictures: LabeledImages, augmented: AugmentedSet, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    from recycling.backends.mmengine_backend import session
    from recycling.backends.mmengine_backend.data.training_set import write_training_set
    from recycling.backends.mmengine_backend.resolve import resolve

    copies = augmented.copies_of(range(1, 9), made_up_regions=backend == "mmseg")
    recipe = write_recipe(tmp_path, backend)
    found = {}
    for name, part, own in (
        ("without", None, None),
        ("with", copies, None),
        ("number", copies, 20),
        ("all", copies, "all"),
    ):
        model = model_of(backend, epochs=3, images_an_epoch=own)
        data = TrainingData([pictures], pictures, pictures.annotations.categories)
        data = training.with_copies(data, model, part)
        with session.library(backend):
            prepared = write_training_set(model.task, data, tmp_path / name)
            config = resolve(model, recipe, prepared, tmp_path / name)
        found[name] = (prepared.n_samples, config.param_scheduler[-1].end)
    n = 16 if backend == "mmpretrain" else 8  # two crops an image
    steps = {"without": n, "with": n, "number": 20, "all": 4 * n}
    seen = {"without": n, "with": 4 * n, "number": 4 * n, "all": 4 * n}
    assert found == {name: (seen[name], 3 * steps[name] // 4) for name in steps}


def test_a_model_and_its_twin_both_learn_from_the_copies_in_as_many_steps(
    pictures: LabeledImages, augmented: AugmentedSet
) -> None:
    copies = augmented.copies_of(range(1, 9), made_up_regions=False)
    model = model_of("mmdet", train_on="labeled+pseudo", control=True, data="turned")
    student = TrainingData([pictures, pictures], pictures, pictures.annotations.categories)
    student = replace(student, images_an_epoch=16)
    twin = replace(student, train=[pictures])
    for own, n in ((None, 16), ("all", 16 + 24), (5, 5)):
        asked = model.model_copy(update={"images_an_epoch": own})
        both = [training.with_copies(data, asked, copies) for data in (student, twin)]
        assert [data.images_an_epoch for data in both] == [n, n]
        assert [len(data.train) for data in both] == [3, 2]
    asked = model.model_copy(update={"images_an_epoch": "labeled"})
    for data in (student, twin):
        data = training.with_copies(data, asked, copies)
        assert (data.images_an_epoch, data.epoch_parts) == (None, 1), "as many as are labelled"


def test_the_sheet_says_what_was_made_of_what(
    pictures: LabeledImages, augmented: AugmentedSet
) -> None:
    page = augmented_sets.describe_set(augmented, pictures.annotations, pictures.folder)
    assert "3 copies of each of 8 training images: 24 images, drawn with seed 0." in page
    assert augmented.folder.name in page
    assert "Affine" in page
    assert page.count("data:image/webp;base64,") == 2  # boxes and masks
    for cell in ("box", "disc", "24"):
        assert f">{cell}</td>" in page


@pytest.mark.parametrize(
    ("changes", "sets", "message"),
    [
        ({"data": "turnd"}, {"turned": SETTINGS},
         "models.yml: models.yolox.data: no augmented set 'turnd'; did you mean 'turned'?"),
        ({}, {}, "no augmented set 'turned'; known: none; sets are described in parameters_aug"),
        ({}, {"turned": {**SETTINGS, "factor": 0}}, "augmented_sets.turned.factor: .*got 0"),
        ({}, {"turned": {**SETTINGS, "copies": 2}}, "augmented_sets.turned.copies"),
        ({"sampler": {"name": "oversample"}}, {"turned": SETTINGS},
         "sampler 'oversample' an epoch is as long as its copies make it.*set images_an_epoch"),
        ({"sampler": {"name": "repeat_factor"}, "images_an_epoch": "labeled"}, {"turned": SETTINGS},
         "sampler 'repeat_factor'.* how long one with pseudo-labels is; set images_an_epoch"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_one_line(
    changes: dict[str, Any], sets: dict[str, Any], message: str
) -> None:
    with pytest.raises(PlanError, match=message) as error:
        read_plan({"models": {"yolox": {**MODEL, **changes}}, "augmented_sets": sets}, "models.yml")
    assert "\n" not in str(error.value)


def test_an_epoch_of_parts_that_there_are_not_is_refused(pictures: LabeledImages) -> None:
    with pytest.raises(BackendError, match="epoch_parts is 2, and there are 1 parts"):
        TrainingData([pictures], pictures, pictures.annotations.categories, epoch_parts=2)


def test_a_training_of_a_fold_and_one_on_all_images_learn_from_the_copies_and_no_longer(
    pictures: LabeledImages, augmented: AugmentedSet, tmp_path: Path
) -> None:
    pytest.importorskip("mmpretrain")
    (tmp_path / "mmpretrain").mkdir()
    write_recipe(tmp_path / "mmpretrain", "mmpretrain").rename(tmp_path / "mmpretrain/small.py")
    model = model_of("mmpretrain", data="turned")
    recipes, runs = Recipes(tmp_path), RunFolder(tmp_path)
    select = training.fold_and_copies_selector(0, "cls")
    part, _, copies = select(pictures.annotations, FOLDS, augmented)
    train = training.trainer("cls", "run")
    of_fold = [
        train(model, recipes, runs, part, pictures.folder, augmented_part=given)
        for given in (None, copies)
    ]
    on_all = training.trainer_on_all("all")(
        model, recipes, runs, pictures.annotations, pictures.folder,
        augmented_set=augmented, fold0=of_fold[1],
    )  # fmt: skip
    facts = json.loads((on_all.folder / "checkpoint.json").read_text())
    assert (facts["n_samples"], facts["iterations"]) == (16 * 4, 4)
    # Eight crops of four images, four a step; the second training took the first one's place.
    facts = json.loads((of_fold[1].folder / "checkpoint.json").read_text())
    assert (facts["n_samples"], facts["iterations"]) == (8 * 4, 2)
    other = augmented.annotations.of_images([0])
    with pytest.raises(AugmentedSetError, match="of other annotations"):
        select(other, FOLDS, augmented)
