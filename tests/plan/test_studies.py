"""A study becomes models: its arms, over seeds and folds, and none is trained twice."""

from __future__ import annotations

import pytest

from recycling.pipelines import studies, training
from recycling.plan import PlanError, read_plan
from recycling.plan.studies import with_studies

DETECTOR = {
    "task": "det", "backend": "mmdet", "recipe": "yolox_nano", "image_size": 64, "epochs": 6,
    "batch_size": 2, "optimizer": {"name": "SGD", "learning_rate": 0.1},
}  # fmt: skip
STUDY = {"base": "yolox", "seeds": [0, 1], "changes": {"focal": {"loss": "focal"}}}


def planned(study=None, models=None, **more):
    """The parameters with the arms of a study, and the plan."""
    given = {"s": {**STUDY, **(study or {})}, **more}
    expanded = with_studies(models or {"yolox": DETECTOR}, given, "studies.yml")
    return expanded, read_plan({"models": expanded, "studies": given}, "models.yml")


def test_an_arm_differs_from_the_base_in_its_change_alone():
    models, plan = planned({"changes": {"slow": {"optimizer.learning_rate": 0.01}}})
    assert models["s_slow_seed1"]["optimizer"] == {"name": "SGD", "learning_rate": 0.01}
    assert models["yolox"]["optimizer"]["learning_rate"] == 0.1
    base, slow = (plan.models[name].model_dump() for name in ("s_base_seed1", "s_slow_seed1"))
    assert {key for key in base if base[key] != slow[key]} == {"optimizer"}


def test_what_is_trained_anyway_is_shared():
    models, plan = planned(other={**STUDY, "changes": {"twin": {"loss": "focal"}}})
    assert list(models) == ["yolox", "s_base_seed1", "s_focal_seed0", "s_focal_seed1"]
    first, second = plan.studies
    assert [arm.name for arm in second.arms] == ["base", "twin"]
    assert first.arms[1].trainings == second.arms[1].trainings
    assert first.arms[0].trainings[0][0].name == "yolox.fold0"


def test_a_model_of_every_fold_is_trained_on_those_of_a_study():
    parameters = {"splitting": {"method": "random", "n_splits": 3}}

    def planned_on(*folds):
        given = {"s": {"base": "yolox", "seeds": [0], "folds": folds}}
        models = with_studies({"yolox": {**DETECTOR, "folds": "all"}}, given, "studies.yml")
        return read_plan({**parameters, "models": models, "studies": given}, "models.yml")

    (study,) = planned_on(0, 2).studies
    assert [own.name for own in study.arms[0].trainings[0]] == ["yolox.fold0", "yolox.fold2"]
    with pytest.raises(PlanError, match=r"studies\.s\.folds: there is no fold 3; leave it out"):
        planned_on(0, 3)


def test_a_study_is_a_pipeline_of_its_own_and_none_of_its_models_a_member():
    _, plan = planned({"interactions": []}, models={"yolox": {**DETECTOR, "folds": [0, 1]}})
    assert [member.name for member in plan.members("det")] == ["yolox.fold0", "yolox.fold1"]
    usual = {node.name for node in training.create_pipeline(plan, "det").nodes}
    assert not any("s_focal" in name for name in usual)
    (study,) = plan.studies
    own = {node.name for node in studies.create_pipeline(plan, study).nodes}
    assert {name for name in own if name.endswith(".train")} == {
        "det.yolox.fold0.train", "det.s_base_seed1.fold0.train",
        "det.s_focal_seed0.fold0.train", "det.s_focal_seed1.fold0.train",
    }  # fmt: skip
    assert "det.s_focal_seed0.fold0.predict_test_images" not in own
    assert "study.s.compare_arms" in own


def test_two_changes_are_made_together_for_their_interaction():
    changes = {"focal": {"loss": "focal"}, "long": {"epochs": 9}}
    models, plan = planned({"changes": changes, "interactions": [["focal", "long"]]})
    both = models["s_focal_and_long_seed0"]
    assert (both["loss"], both["epochs"]) == ("focal", 9)
    assert plan.studies[0].interactions == (("focal", "long", "focal_and_long"),)
    assert [arm.changes for arm in plan.studies[0].arms] == [0, 1, 1, 2]


def test_other_data_make_no_more_steps():
    models = {"yolox": DETECTOR, "start": DETECTOR | {"seed": 9}}
    found, _ = planned({"changes": {"pseudo": {"train_on": "labeled+pseudo"}}}, models=models)
    assert found["s_pseudo_seed0"]["images_an_epoch"] == "labeled"
    assert "images_an_epoch" not in found["s_base_seed1"]


def test_how_many_images_an_epoch_takes_is_as_the_base_or_the_change_says():
    models = {"yolox": {**DETECTOR, "images_an_epoch": 500}, "start": DETECTOR | {"seed": 9}}
    pseudo = {"train_on": "labeled+pseudo"}
    changes = {"pseudo": pseudo, "more": {**pseudo, "images_an_epoch": "all"}}
    found, _ = planned({"changes": changes}, models=models)
    assert found["s_pseudo_seed0"]["images_an_epoch"] == 500
    assert found["s_more_seed0"]["images_an_epoch"] == "all"


def test_an_arm_on_a_variant_is_no_seed_of_the_model():
    models = {"yolox_seed1": {**DETECTOR, "seed": 1, "variant_of": "yolox"}, "yolox": DETECTOR}
    found, _ = planned({"base": "yolox_seed1"}, models=models)
    assert "variant_of" not in found["s_focal_seed0"]


def test_each_setting_of_a_section_counts_as_a_change():
    adam = {"optimizer": {"name": "AdamW", "learning_rate": 0.001, "weight_decay": 0.05}}
    slow = {"optimizer.learning_rate": 0.01}
    _, plan = planned({"changes": {"adam": adam, "slow": slow}})
    assert [arm.changes for arm in plan.studies[0].arms] == [0, 3, 1]


@pytest.mark.parametrize(
    ("study", "message"),
    [
        ({"base": "yolo"}, "studies.s.base: 'yolo' is no model; did you mean 'yolox'"),
        ({"changes": {"a": {}}}, "studies.s.changes.a changes nothing"),
        ({"changes": {"a": {"seed": 3}}}, "changes.a: seed is set for the whole study"),
        ({"changes": {"base": {"epochs": 3}}}, "changes.base: the base is called so"),
        ({"interactions": [["focal", "fokal"]]}, "no change 'fokal'; did you mean 'focal'"),
        ({"interactions": [["focal", "focal"]]}, "focal and focal both set loss"),
        (
            {
                "changes": {
                    "slow": {"optimizer.learning_rate": 0.01},
                    "adam": {"optimizer": {"name": "AdamW"}},
                },
                "interactions": [["slow", "adam"]],
            },
            "slow and adam both set optimizer; they cannot",
        ),
        (
            {"changes": {"a": {"optimizer.name": "AdamW", "optimizer": {"name": "SGD"}}}},
            "studies.s.changes.a sets optimizer twice, whole and in part",
        ),
        ({"seeds": []}, "studies.s.seeds"),
        (
            {"changes": {"a": {"augmentation": {"mosaic": True}}}},
            r"^studies.yml: studies.s.changes.a.augmentation: [^;]*, or: [^;]*'published' \(got",
        ),
        ({"fold": 0}, "did you mean 'folds'"),
    ],
)
def test_a_study_that_is_described_wrongly_stops_with_its_key(study, message):
    with pytest.raises(PlanError, match=message):
        planned(study)


def test_a_model_that_is_called_as_an_arm_is_refused():
    models = {"yolox": DETECTOR, "s_focal_seed1": {**DETECTOR, "epochs": 99}}
    with pytest.raises(PlanError, match="a model 's_focal_seed1' already; rename the study"):
        planned(models=models)
