"""What differs between two sides, sorted into what was changed and what came along."""

from __future__ import annotations

import json

import pytest

from recycling.experiments import Facts, Manifest, differences, facts_of, in_lines, verdict_on

MODEL = {
    "task": "det", "backend": "mmdet", "recipe": "yolox_narrow", "image_size": 112, "epochs": 20,
    "batch_size": 8, "optimizer": {"name": "AdamW", "learning_rate": 0.004},
}  # fmt: skip


@pytest.fixture
def made(tmp_path):
    """A folder of records, and what writes one."""

    def record(
        name, *, model=None, inputs=None, code="1", model_name="yolox", entries=None, settings=None
    ):
        parameters = {} if model is None else {f"models.{model_name}": model}
        told = {
            key: {"content": content, "file": f"data/{key}", "entry": (entries or {}).get(key, {})}
            for key, content in (inputs or {}).items()
        }
        parameters |= settings or {}
        content = {"ingredients": {"inputs": told, "parameters": parameters}}
        content |= {"code": code, "versions": {"torch": "2.12"}}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))

    (tmp_path / "code").mkdir()
    (tmp_path / "code/1.json").write_text('{"recycling.backends": "aa"}')
    (tmp_path / "code/2.json").write_text('{"recycling.backends": "bb"}')
    record.folder = tmp_path
    return record


def facts(made, steps=500, name="yolox", sources=None, machine="AMD"):
    manifest = Manifest(
        "a", {}, "", sources=sources or {}, machine={"processor": machine, "host": "x"},
        trainings={f"det.{name}.fold0.checkpoint": {"iterations": steps}},
    )  # fmt: skip
    return facts_of([f"det.{name}.fold0.predictions"], made.folder, manifest, name)


def trained(made, model, *, raw="r1", code="1", name="yolox", entry=None, cleaning=None):
    made(
        f"det.{name}.fold0.checkpoint", model=model, model_name=name, code=code,
        inputs={"train.annotations": "t", f"recipe {model['recipe']}": model["recipe"]},
    )  # fmt: skip
    made(
        "train.annotations", inputs={"train.raw": raw}, entries={"train.raw": entry or {}},
        settings={"cleaning.train": cleaning or {}},
    )  # fmt: skip
    made(f"det.{name}.fold0.predictions", inputs={f"det.{name}.fold0.checkpoint": "c"})


def test_facts_go_back_to_the_files_that_no_node_made(made):
    trained(made, MODEL)
    found = facts(made)
    assert found.data == {"data/train.raw": "r1"}
    assert found.steps == {"model.fold0": 500}
    assert found.code == {"recycling.backends": "aa"}
    # Settings that are not said have their defaults, so that what came later differs in nothing.
    assert (found.settings["model.epochs"], found.settings["model.ema"]) == (20, None)


def test_settings_are_on_purpose_and_all_else_came_along(made):
    trained(made, MODEL)
    before = facts(made)
    trained(made, {**MODEL, "seed": 1, "epochs": 30}, raw="r2", code="2")
    sources = {"models.yolox.epochs": "conf/base/models.yml:12"}
    found = differences(before, facts(made, steps=750, sources=sources, machine="Intel"))
    assert [str(each) for each in found if each.on_purpose] == [
        "model.epochs: 20 -> 30 (conf/base/models.yml:12)"
    ]
    assert in_lines(each for each in found if not each.on_purpose) == [
        "model.seed: 0 -> 1",
        "steps: 500 -> 750",
        "data: data/train.raw",
        "code: recycling.backends",
        "machine: processor AMD -> Intel",
    ]
    assert verdict_on(found) == (
        "6 things differ (model.epochs, seed, steps, data, code, ... (1 more)): the difference in "
        "score cannot be put down to one of them"
    )


def test_one_setting_is_one_thing_and_nothing_is_said_so(made):
    trained(made, MODEL)
    before = facts(made)
    assert verdict_on(differences(before, facts(made))) == "nothing that is known of differs"
    trained(made, {**MODEL, "loss": "focal", "workers": 4, "folds": [0, 1]})
    found = differences(before, facts(made))
    assert {each.name for each in found} == {"model.loss"}
    assert verdict_on(found) == "one thing differs, model.loss"


def test_two_models_are_compared_by_what_is_theirs(made):
    trained(made, MODEL)
    trained(made, {**MODEL, "recipe": "fcos_r18_narrow"}, name="fcos")
    found = differences(facts(made), facts(made, name="fcos"))
    assert [str(each) for each in found] == ["model.recipe: yolox_narrow -> fcos_r18_narrow"]


def test_steps_are_those_of_each_training_and_a_start_is_none_of_the_student(made):
    """One number a fold would be that of the student or of its start, whichever came last."""
    made("det.start.fold0.checkpoint", model=MODEL, model_name="start")
    made("det.yolox.fold0.checkpoint", model=MODEL, inputs={"det.start.fold0.checkpoint": "c"})

    def steps_of(outputs, name, **steps):
        trainings = {f"det.{own}.fold0.checkpoint": {"iterations": n} for own, n in steps.items()}
        return facts_of(outputs, made.folder, Manifest("a", {}, "", trainings=trainings), name)

    student = ["det.yolox.fold0.checkpoint"]
    one = steps_of(student, "yolox", yolox=500, start=900)
    assert one.steps == {"model.fold0": 500, "det.start.fold0": 900}
    plain = steps_of(["det.start.fold0.checkpoint"], "start", start=500)
    assert "steps" not in {each.kind for each in differences(one, plain)}
    made("det.yolox_control.fold0.checkpoint", model=MODEL)
    twin = steps_of(["det.yolox_control.fold0.checkpoint"], "yolox", yolox_control=400)
    assert (twin.steps, twin.settings["model.epochs"]) == ({"model.fold0": 400}, 20)
    both = [*student, "det.start.fold0.checkpoint"]
    before, after = (steps_of(both, "final", yolox=n, start=900) for n in (500, 400))
    assert [str(each) for each in differences(before, after)] == ["steps: 500 -> 400"]


def test_what_only_one_side_takes_comes_with_a_setting_or_is_told():
    plain = Facts({"model.train_on": "labeled"}, data={"train.json": "1"})
    student = Facts(
        {"model.train_on": "labeled+pseudo", "models.teacher.epochs": 9},
        data={"train.json": "1", "pool.json": "2"},
    )
    assert [each.name for each in differences(plain, student)] == ["model.train_on"]
    ensemble, larger = Facts(data={"a.csv": "1"}), Facts(data={"a.csv": "1", "b.csv": "2"})
    assert [each.name for each in differences(ensemble, larger)] == ["b.csv"]


def test_a_part_of_the_same_file_is_another_thing_that_differs(made):
    trained(made, MODEL, entry={"type": "CocoDataset", "share": [0.0, 0.95]})
    before = facts(made)
    trained(made, {**MODEL, "loss": "focal"}, entry={"type": "CocoDataset", "share": [0.0, 0.5]})
    found = differences(before, facts(made))
    assert [each.name for each in found] == ["catalog.train.raw.share", "model.loss"]
    assert verdict_on(found).startswith("2 things differ")


def test_a_key_that_one_side_lacks_of_what_both_take_is_told(made):
    trained(made, MODEL)
    before = facts(made)
    trained(made, {**MODEL, "loss": "focal"}, cleaning={"names": {"Plastc bag": "Plastic bag"}})
    found = differences(before, facts(made))
    assert [each.name for each in found if each.on_purpose] == [
        "cleaning.train.names.Plastc bag", "model.loss"
    ]  # fmt: skip
