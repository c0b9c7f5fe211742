"""Nothing of the fold that a student holds out reaches it: read from the graph."""

from __future__ import annotations

from typing import Any

import pytest

from recycling.pipelines import pseudo_labeling, training
from recycling.plan import TASKS, PlanError, read_plan

BASE: dict[str, Any] = {
    "epochs": 2,
    "image_size": 32,
    "batch_size": 2,
    "optimizer": {"name": "AdamW", "learning_rate": 0.01},
    "folds": [0, 1, 2],
}
TASK = {
    "cls": {"task": "cls", "backend": "mmpretrain", "recipe": "resnet18_narrow"},
    "det": {"task": "det", "backend": "mmdet", "recipe": "yolox_narrow"},
    "seg": {"task": "seg", "backend": "mmseg", "recipe": "fcn_r18_narrow"},
}
TEACHER = {"members": "labeled", "det": {"method": "nms", "weights": "equal"}}

# What may see the fold: the few numbers that say how sure the teachers must be, and the list of
# unlabelled images that are like images of the fold, or of one group with them, and left out.
EXCEPTIONS = (
    "choose_thresholds",
    "leave_near_duplicates_out_of_pool",
    "leave_near_duplicates_out_of_test",
)


def models(**student: Any) -> dict[str, Any]:
    found = {}
    for task, own in TASK.items():
        found[f"{task}_first"] = {**BASE, **own}
        found[f"{task}_second"] = {**BASE, **own, "seed": 1}
        found[f"{task}_student"] = {
            **BASE, **own, "train_on": "labeled+pseudo", "pretrained": f"model:{task}_first",
            "control": True, **student,
        }  # fmt: skip
    return found


def graph_of(parameters: dict[str, Any]) -> list[Any]:
    plan = read_plan({"ensembles": {"teacher": TEACHER}, **parameters}, "models.yml")
    nodes = [*pseudo_labeling.create_pipeline(plan).nodes]
    for task in TASKS:
        nodes += training.create_pipeline(plan, task).nodes
    return nodes


def seen_by(nodes: list[Any], exceptions: tuple[str, ...] = EXCEPTIONS) -> dict[str, set[int]]:
    """By dataset, the folds whose images have a say in it."""
    every = {0, 1, 2}
    # Files and fold numbers are no images; cleaned annotations and their checks are those of all.
    seen: dict[str, set[int]] = {"train.annotations": every, "train.image_checks": every}
    left = list(nodes)
    while left:
        produced = {name for node in left for name in node.outputs}
        ready = [node for node in left if not produced & set(node.inputs)]
        assert ready, "the graph goes round in circles"
        for node in ready:
            name = node.name.rsplit(".", 1)[-1]
            says = set().union(*(seen.get(key, set()) for key in node.inputs))
            for output in node.outputs:
                if name == "select_fold":
                    fold = int(node.namespace.rsplit(".fold", 1)[1])
                    seen[output] = {fold} if output.endswith("held_out_part") else every - {fold}
                elif name in exceptions or name == "compare_pool_with_train":
                    seen[output] = set()
                else:
                    seen[output] = says
        left = [node for node in left if node not in ready]
    return seen


def students(nodes: list[Any]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for node in nodes:
        if node.name.endswith(".train") and "_student" in node.name and "fold_all" not in node.name:
            found.setdefault(int(node.namespace.rsplit(".fold", 1)[1]), []).append(node)
    return found


@pytest.mark.parametrize(
    "rounds",
    [
        {"pseudo": {}},
        {"pseudo": {"images": ["pool", "test"]}},
        {"pseudo": {"teacher": "teacher"}, "again": {"teacher": "students"}},
    ],
    ids=["pool", "both", "two rounds"],
)
def test_nothing_of_the_held_out_fold_reaches_a_student(rounds):
    parameters = {"models": models(), "pseudo_labeling": rounds}
    if "again" in rounds:
        again = {f"{task}_student_2": {**own, "train_on": "labeled+again"}
                 for task in TASK for own in [parameters["models"][f"{task}_student"]]}  # fmt: skip
        parameters["models"] |= again
        parameters["ensembles"] = {"teacher": TEACHER, "students": {**TEACHER, "members": [
            "cls_student", "det_student", "seg_student"]}}  # fmt: skip
    nodes = graph_of(parameters)
    seen = seen_by(nodes)
    for fold, trainings in students(nodes).items():
        assert len(trainings) == 3 * 2 * len(rounds)  # tasks, with their twins
        for node in trainings:
            reached = [name for name in node.inputs if fold in seen.get(name, ())]
            assert reached == [], f"{node.name}: {reached} have seen fold {fold}"
            assert any("pseudo" in name or "again" in name for name in node.inputs)


def test_the_exceptions_are_needed_and_the_check_sees_a_leak():
    nodes = graph_of({"models": models()})
    for exception in ("choose_thresholds", "leave_near_duplicates_out_of_pool"):
        others = tuple(name for name in EXCEPTIONS if name != exception)
        seen = seen_by(nodes, others)
        assert any(
            fold in seen.get(name, ())
            for fold, trainings in students(nodes).items()
            for node in trainings
            for name in node.inputs
        )


def test_a_student_of_all_labels_is_taught_by_everyone():
    parameters = models(folds=["all"], pretrained="none")
    plan = read_plan(
        {"models": parameters, "ensembles": {"teacher": TEACHER}, "splitting": {"n_splits": 3}},
        "models.yml",
    )
    boxes = next(p for p in plan.pseudo_labels if p.task == "det" and p.fold is None)
    assert [member.name for member in boxes.members] == [
        f"det_{which}.fold{fold}" for which in ("first", "second") for fold in (0, 1, 2)
    ]


@pytest.mark.parametrize(
    ("changes", "ensembles", "message"),
    [
        ({"cls_first": {"folds": [0]}, "cls_second": {"folds": [0]},
          "cls_student": {"pretrained": "none"}}, {},
         "models.cls_student.* fold 1.* no member does; add 1 to the folds"),
        ({"det_first": {"early_stopping": {"patience": 2}}}, {},
         "models.det_first stops early by what it scores on fold 0"),
        ({"seg_second": {"pretrained": "weights.pth"}}, {},
         "models.seg_second.pretrained is a file, and nothing tells whether it has seen fold 0"),
        ({}, {"teacher": {"members": "labeled", "det": {"method": "nms", "weights": "score"}}},
         "ensembles.teacher weighs its members by their scores on fold 0"),
        ({}, {"teacher": {**TEACHER, "members": "all"}},
         "models.seg_student learns from the pseudo-labels of 'pseudo', and 'teacher'"),
        ({}, {"teacher": {"members": ["det_first"]}},
         "models.cls_student trains on pseudo-labels, but 'teacher'.* has no member for 'cls'"),
        ({"det_student": {"train_on": "labeled+pseudos"}}, {},
         "train_on names the round 'pseudos'.*did you mean 'pseudo'"),
    ],
)  # fmt: skip
def test_what_would_leak_is_refused_in_one_line(changes, ensembles, message):
    described = {name: {**own, **changes.get(name, {})} for name, own in models().items()}
    with pytest.raises(PlanError, match=message) as caught:
        read_plan(
            {"models": described, "ensembles": {"teacher": TEACHER, **ensembles}}, "models.yml"
        )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "kept",
    [("cls_first", "det_first", "det_student"), ("cls_first", "cls_student", "det_first"),
     ("cls_first", "det_first")],
)  # fmt: skip
def test_whoever_looks_at_crops_has_boxes_to_crop(kept):
    described = {name: own for name, own in models(control=False).items() if name in kept}
    nodes = graph_of({"models": described})
    made = {name for node in nodes for name in node.outputs}
    asked = {name for node in nodes for name in node.inputs if name.endswith(".pool_annotations")}
    assert asked <= made
    assert any(name.startswith("det.pseudo.") for name in asked)


def test_boxes_to_crop_come_from_another_round_where_a_round_has_none():
    described = models(control=False)
    described["cls_again"] = {**described["cls_student"], "folds": [1], "train_on": "labeled+again"}
    described["det_student"] |= {"folds": [0]}
    del described["cls_student"]
    ensembles = {"teacher": TEACHER, "classifiers": ["cls_first"]}
    rounds = {"pseudo": {}, "again": {"teacher": "classifiers"}}
    nodes = graph_of({"models": described, "ensembles": ensembles, "pseudo_labeling": rounds})
    made = {name for node in nodes for name in node.outputs}
    asked = {name for node in nodes for name in node.inputs if name.endswith(".pool_annotations")}
    assert "det.pseudo.fold1.pool_annotations" in asked
    assert asked <= made


def test_boxes_to_crop_on_the_pool_come_from_a_round_that_labels_the_pool():
    described = {"yolo": {**BASE, **TASK["det"]}, "resnet": {**BASE, **TASK["cls"]}}
    rounds = {"tests": {"teacher": "yolo", "images": ["test"]}, "pool": {"teacher": "resnet"}}
    nodes = graph_of({"models": described, "pseudo_labeling": rounds})
    made = {name for node in nodes for name in node.outputs}
    assert {name for node in nodes for name in node.inputs if "pool_annotations" in name} <= made


@pytest.mark.parametrize(
    ("fusion", "message"),
    [
        ({"calibrate": "platt"},
         "ensembling.det learns from labels or calibrates, and 'yolo' labels the round 'pseudo'; "
         "make an ensemble of 'yolo' with settings of its own"),
        ({"weights": {"other": 1}},
         r"ensembling\.det: 'yolo\.fold0' has no weight, they are given to other"),
    ],
)  # fmt: skip
def test_a_model_alone_as_teacher_is_fused_as_ensembling_says(fusion, message):
    described = {"yolo": {**BASE, **TASK["det"]}, "other": {**BASE, **TASK["det"]}}
    both = {"members": ["yolo", "other"], "det": {"method": "nms"}}
    ensembles = {"teacher": both, "final": both}
    parameters = {
        "models": described, "ensembles": ensembles, "ensembling": {"det": fusion},
        "pseudo_labeling": {"pseudo": {"teacher": "yolo"}},
    }  # fmt: skip
    with pytest.raises(PlanError, match=message):
        read_plan(parameters, "models.yml")


def test_a_model_that_is_called_as_a_twin_is_refused():
    described = models()
    described["det_student_control"] = described["det_first"]
    with pytest.raises(PlanError, match="det_student_control is called as the twin of 'det_stu"):
        graph_of({"models": described})


def test_weights_that_were_trained_elsewhere_are_taken():
    described = models()
    described["seg_second"] |= {"pretrained": "weights.pth", "pretrained_elsewhere": True}
    read_plan({"models": described, "ensembles": {"teacher": TEACHER}}, "models.yml")


def test_thresholds_that_are_now_learnt_are_named():
    with pytest.raises(PlanError, match="pseudo_labeling should be rounds.*box_score"):
        read_plan({"models": models(), "pseudo_labeling": {"box_score": 0.4}}, "models.yml")
