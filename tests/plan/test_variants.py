"""One line of `models.yml` makes several models: seeds, image sizes, snapshots."""

from __future__ import annotations

import pytest

from recycling.configuration import ConfigLoader
from recycling.pipelines import training
from recycling.plan import TASKS, PlanError, read_plan
from recycling.plan.variants import with_variants
from recycling.settings import CONFIG_LOADER_ARGS

DETECTOR = {
    "task": "det", "backend": "mmdet", "recipe": "yolox_nano", "image_size": 64, "epochs": 6,
    "batch_size": 2, "optimizer": {"name": "SGD", "learning_rate": 0.1},
}  # fmt: skip


def expanded(**settings):
    return with_variants({"yolox": {**DETECTOR, **settings}}, "models.yml")


def test_seeds_and_sizes_are_models_that_differ_in_nothing_else():
    found = expanded(seeds=[0, 3], image_sizes=[64, 96])
    assert {name: (own["image_size"], own["seed"]) for name, own in found.items()} == {
        "yolox": (64, 0),
        "yolox_seed3": (64, 3),
        "yolox_size96": (96, 0),
        "yolox_size96_seed3": (96, 3),
    }
    plan = read_plan({"models": found}, "models.yml")
    assert [member.name for member in plan.members("det")] == [f"{name}.fold0" for name in found]


def test_the_one_of_the_single_setting_keeps_the_name():
    found = expanded(seed=2, seeds=[1, 2])
    assert {name: own["seed"] for name, own in found.items()} == {"yolox": 2, "yolox_seed1": 1}


def test_snapshots_have_a_cosine_of_as_many_cycles():
    found = expanded(snapshots=3, schedule={"warmup": 0.2})
    assert list(found) == ["yolox", "yolox_snapshot1", "yolox_snapshot2"]
    assert found["yolox"]["schedule"] == {"warmup": 0.2, "name": "cosine_restarts", "restarts": 2}


def test_a_snapshot_is_taken_from_a_training_and_trains_nothing():
    found = expanded(snapshots=2, seeds=[0, 1], folds=[0, "all"])
    pipeline = training.create_pipeline(read_plan({"models": found}, "models.yml"), "det")
    trained = {node.name for node in pipeline.nodes if node.name.endswith(".train")}
    assert trained == {
        f"det.{name}.{fold}.train"
        for name in ("yolox", "yolox_seed1")
        for fold in ("fold0", "fold_all")
    }
    (taken,) = [
        n for n in pipeline.nodes if n.name == "det.yolox_seed1_snapshot1.fold0.take_snapshot"
    ]
    assert "det.yolox_seed1.fold0.checkpoint" in taken.inputs
    assert "det.yolox_seed1_snapshot1.fold0.out_of_fold_metrics" in pipeline.all_outputs()


def test_a_student_starts_from_the_teacher_of_its_own_seed():
    student = {**DETECTOR, "pretrained": "model:yolox", "seeds": [0, 1, 2], "snapshots": 2}
    models = {"yolox": {**DETECTOR, "seeds": [0, 1]}, "again": student}
    found = with_variants(models, "models.yml")
    starts = {name: own["pretrained"] for name, own in found.items() if name.startswith("again")}
    assert starts == {
        "again": "model:yolox",
        "again_snapshot1": "model:yolox",
        "again_seed1": "model:yolox_seed1",
        "again_seed1_snapshot1": "model:yolox_seed1",
        "again_seed2": "model:yolox",
        "again_seed2_snapshot1": "model:yolox",
    }


@pytest.mark.parametrize(
    ("teacher", "student", "expected"),
    [
        (
            {"seeds": [0, 1]},
            {"seeds": [1, 0]},
            {"again": "yolox_seed1", "again_seed0": "yolox"},
        ),
        (
            {"seeds": [0, 1]},
            {"seeds": [0, 1], "image_sizes": [64, 96]},
            {"again_size96": "yolox", "again_seed1": "yolox_seed1",
             "again_size96_seed1": "yolox_seed1"},
        ),
        (
            {"seeds": [5, 6], "image_sizes": [64, 96]},
            {"image_sizes": [64, 96]},
            {"again": "yolox", "again_size96": "yolox_size96"},
        ),
        (
            {"seeds": [0, 1], "snapshots": 2},
            {"seeds": [0, 1, 2], "pretrained": "model:yolox_snapshot1"},
            {"again": "yolox_snapshot1", "again_seed1": "yolox_seed1_snapshot1",
             "again_seed2": "yolox_snapshot1"},
        ),
        (
            {"seeds": [0, 1]},
            {"seeds": [0, 1], "pretrained": "model:yolox_seed1"},
            {"again": "yolox_seed1", "again_seed1": "yolox_seed1"},
        ),
        ({"seeds": [0, 1]}, {"seed": 1}, {"again": "yolox"}),
    ],
    ids=["another order", "no such size", "no such seed", "a snapshot", "a variant", "no list"],
)  # fmt: skip
def test_a_variant_starts_from_the_one_of_its_seed_then_of_its_size(teacher, student, expected):
    models = {"yolox": {**DETECTOR, **teacher},
              "again": {**DETECTOR, "pretrained": "model:yolox", **student}}  # fmt: skip
    found = with_variants(models, "models.yml")
    assert {name: found[name]["pretrained"] for name in expected} == {
        name: f"model:{start}" for name, start in expected.items()
    }


def test_twins_of_all_seeds_are_one_comparison_and_other_sizes_another():
    student = {**DETECTOR, "train_on": "labeled+pseudo", "control": True}
    models = {"yolox": DETECTOR, "again": {**student, "seeds": [0, 1], "image_sizes": [64, 96]}}
    plan = read_plan({"models": with_variants(models, "models.yml")}, "models.yml")
    nodes = training.create_pipeline(plan, "det").nodes
    effects = {node.outputs[0]: node for node in nodes if "measure_pseudo" in node.name}
    assert set(effects) == {"det.again.pseudo_effect", "det.again_size96.pseudo_effect"}
    assert {
        f"det.again{seed}{twin}.fold0.out_of_fold_predictions"
        for seed in ("", "_seed1")
        for twin in ("", "_control")
    } < set(effects["det.again.pseudo_effect"].inputs)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"seeds": 3}, "models.yml: models.yolox.seeds: Input should be"),
        ({"seeds": []}, "models.yml: models.yolox.seeds: "),
        ({"seeds": [1, 1]}, "seeds has one twice; list each once, 1 as well"),
        ({"seed": 5, "seeds": [0, 1]}, "seeds leaves out seed 5; list each once, 5 as well"),
        ({"snapshots": 1}, "models.yml: models.yolox.snapshots: "),
    ],
)
def test_lists_that_are_none_are_refused(settings, said):
    with pytest.raises(PlanError) as error:
        expanded(**settings)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"snapshots": 2, "schedule": {"name": "step"}},
            "leave schedule.name and schedule.restarts",
        ),
        ({"snapshots": 2, "early_stopping": {"patience": 1}}, "leave early_stopping out"),
    ],
)
def test_settings_that_do_not_go_with_snapshots_are_refused(settings, said):
    with pytest.raises(PlanError, match="models.yolox") as error:
        read_plan({"models": expanded(**settings)}, "models.yml")
    assert said in str(error.value)


def test_a_snapshot_that_nobody_lists_is_refused():
    with pytest.raises(PlanError, match="snapshot is set by snapshots; give that instead"):
        read_plan({"models": expanded(snapshot=1)}, "models.yml")


def test_a_name_that_is_taken_is_refused():
    models = {"yolox": {**DETECTOR, "seeds": [0, 1]}, "yolox_seed1": DETECTOR}
    with pytest.raises(PlanError, match="models.yolox_seed1: there is an entry of that name"):
        with_variants(models, "models.yml")


def test_the_configuration_has_each_model_by_itself(tmp_path):
    base = tmp_path / "conf/base"
    base.mkdir(parents=True)
    (tmp_path / "conf/local").mkdir()
    (base / "models.yml").write_text("models: {yolox: {seeds: [0, 1], epochs: 2}}\n")
    given = {"models": {"yolox": {"epochs": 3}}}
    loader = ConfigLoader(str(tmp_path / "conf"), runtime_params=given, **CONFIG_LOADER_ARGS)
    assert loader["parameters"]["models"] == {
        "yolox": {"epochs": 3, "seed": 0},
        "yolox_seed1": {"epochs": 3, "seed": 1, "variant_of": "yolox"},
    }


def test_the_study_of_pseudo_labels_has_three_seeds_a_task_each_with_a_start_of_its_own():
    loader = ConfigLoader("conf", env="pseudo", **CONFIG_LOADER_ARGS)
    plan = read_plan(loader["parameters"], "conf/pseudo/models.yml")
    twins = [own for own in plan.trainings if own.control_of is not None]
    assert sorted(own.task for own in twins) == ["cls"] * 3 + ["det"] * 3 + ["seg"] * 3
    assert len({own.start for own in twins}) == 9
    assert all(own.start == own.control_of.start for own in twins)
    nodes = [n for task in TASKS for n in training.create_pipeline(plan, task).nodes]
    assert sorted(n.outputs[0] for n in nodes if n.name.endswith("measure_pseudo_labels")) == [
        "cls.resnet18_pseudo.pseudo_effect",
        "det.yolox_pseudo.pseudo_effect",
        "seg.fcn_pseudo.pseudo_effect",
    ]
