"""`models.yml` becomes the graph, and its faults are named."""

from __future__ import annotations

import logging

import pytest
from kedro.io import DataCatalog

from recycling.configuration import ConfigLoader
from recycling.pipelines import ensembling, training
from recycling.plan import FINAL, TEACHER, EnsemblePlan, Plan, PlanError, read_plan
from recycling.typed import check_types

DETECTOR = {
    "task": "det", "backend": "mmdet", "recipe": "yolox_nano", "image_size": 64, "epochs": 1,
    "batch_size": 2, "optimizer": {"name": "SGD", "learning_rate": 0.1},
}  # fmt: skip


def models(**changes):
    return {"models": {"yolox": {**DETECTOR, **changes}}}


def test_each_model_and_fold_is_one_chain_in_its_own_namespace():
    plan = read_plan(models(folds=[0, 2]), "models.yml")
    pipeline = training.create_pipeline(plan, "det")
    (report,) = (n for n in pipeline.nodes if n.namespace == "det")
    assert report.outputs == ["det.models_report"]
    assert {n.namespace for n in pipeline.nodes if n is not report} == {
        "det.yolox.fold0", "det.yolox.fold2",
    }  # fmt: skip
    assert "det.yolox.fold2.test_predictions" in pipeline.all_outputs()


def test_a_second_round_waits_for_the_pseudo_labels_and_does_not_teach():
    parameters = models()
    parameters["models"]["again"] = {**DETECTOR, "train_on": "labeled+pseudo"}
    plan = read_plan(parameters, "models.yml")
    assert [m.model for m in ensemble(plan, "det", TEACHER).members] == ["yolox"]
    assert [m.model for m in ensemble(plan, "det", FINAL).members] == ["yolox", "again"]
    again = next(
        n for n in training.create_pipeline(plan, "det").nodes if n.name == "det.again.fold0.train"
    )
    assert "det.pseudo.fold0.pool_annotations" in again.inputs


def test_a_model_starts_from_the_checkpoint_of_another_one_of_the_same_fold():
    parameters = models(folds=[1])
    parameters["models"]["again"] = {**DETECTOR, "folds": [1], "pretrained": "model:yolox"}
    plan = read_plan(parameters, "models.yml")
    again = next(
        n for n in training.create_pipeline(plan, "det").nodes if n.name == "det.again.fold1.train"
    )
    assert "det.yolox.fold1.checkpoint" in again.inputs


def ensemble(plan: Plan, task: str, name: str) -> EnsemblePlan:
    (found,) = [each for each in plan.ensembles if (each.task, each.name) == (task, name)]
    return found


def names(plan, task, name):
    return [member.name for member in ensemble(plan, task, name).members]


def test_members_are_named_by_model_fold_or_pattern():
    parameters = models(folds=[0, 1])
    parameters["models"]["yolo_large"] = {**DETECTOR, "folds": [0]}
    parameters["models"]["fcos"] = DETECTOR
    parameters["ensembles"] = {
        "final": ["yolox"],
        "first_fold": ["*.fold0"],
        "yolos": {"members": ["yolo*"]},
        "two": ["fcos", "yolox.fold1"],
    }
    plan = read_plan(parameters, "models.yml")
    assert names(plan, "det", "final") == ["yolox.fold0", "yolox.fold1"]
    assert names(plan, "det", "first_fold") == [
        "yolox.fold0",
        "yolo_large.fold0",
        "fcos.fold0",
    ]
    assert names(plan, "det", "yolos") == [
        "yolox.fold0",
        "yolox.fold1",
        "yolo_large.fold0",
    ]
    assert names(plan, "det", "two") == ["yolox.fold1", "fcos.fold0"]
    assert [each.name for each in plan.ensembles_of("det")] == [
        "teacher",
        "final",
        "first_fold",
        "yolos",
        "two",
    ]
    assert plan.ensembles_of("seg") == []


def test_an_external_file_is_a_member_but_no_teacher(tmp_path):
    (tmp_path / "colleague.oof.csv").touch()
    files = {"colleague": tmp_path / "colleague.csv", "another": tmp_path / "another.csv"}
    plan = read_plan(models(), "models.yml", {"det": files})
    assert names(plan, "det", "teacher") == ["yolox.fold0"]
    assert names(plan, "det", "final") == ["yolox.fold0", "colleague.csv", "another.csv"]
    assert [m.has_out_of_fold for m in ensemble(plan, "det", FINAL).members] == [True, True, False]
    assert read_plan({}, "models.yml", {"seg": files}).tasks == ("seg",)
    with pytest.raises(PlanError, match=r"yolox\.csv: its name is that of a model"):
        read_plan(models(), "models.yml", {"det": {"yolox": tmp_path / "yolox.csv"}})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (models(epochs="many"), "models.yml: models.yolox.epochs"),
        (models(epoch=3), "models.yml: models.yolox.epoch.*did you mean 'epochs'"),
        (models(backend="mmseg"), "backend 'mmseg' does not train task 'det'"),
        (models(backend="mmyolo"), "models.yolox.backend"),
        ({"models": {"YOLO X": DETECTOR}}, "models.YOLO X: not a name"),
        ({"models": {"final": DETECTOR}}, "'final' is a model and an ensemble; rename one"),
        ({"models": {"external": DETECTOR}}, "models.external: not a name"),
        ({"models": ["yolox"]}, "should be a mapping"),
        ({"models": {"yolox": 3}}, "models.yolox should be a mapping"),
        (
            {
                **models(folds=[0, 1]),
                "splitting": {"method": "hold_out", "hold_out": {"share": 0.2}},
            },
            r"models.yolox.folds is \[0, 1\].*only fold 0 is held out",
        ),
        (
            {**models(folds=[5]), "splitting": {"method": "random", "n_splits": 5}},
            "folds go from 0 to 4",
        ),
        (
            {**models(), "ensembles": {"final": ["yolxo"]}},
            "ensembles.final names 'yolxo'.*did you mean 'yolox'",
        ),
        ({**models(), "ensembles": {"final": "al"}}, "ensembles.final.members"),
        ({**models(), "ensembles": {"Big One": "all"}}, "ensembles.Big One: not a name"),
        ({**models(), "ensembles": ["all"]}, "ensembles should be a mapping"),
        (
            {**models(), "ensembles": {"final": {"members": "all", "det": {"methd": "nms"}}}},
            "ensembles.final.det: .*takes no 'methd'",
        ),
        ({**models(), "ensembles": {"final": ["fcos*"]}}, "'fcos\\*', which is no model"),
        ({**models(), "ensembles": {"final": []}}, "ensembles.final has no member for 'det'"),
        (models(train_on="labeled+pseudo"), "'teacher', who labels .* has no member"),
        (models(pretrained="model:yolx"), "pretrained names 'yolx'.*did you mean 'yolox'"),
        (models(pretrained="model:yolox"), "yolox starts from yolox; break the circle"),
    ],
)
def test_a_fault_is_one_line_with_file_and_key(parameters, message):
    with pytest.raises(PlanError, match=message) as error:
        read_plan(parameters, "models.yml")
    assert "\n" not in str(error.value)


@pytest.fixture
def without_detectron2(monkeypatch):
    monkeypatch.setattr("recycling.plan.models.is_installed", lambda name: name != "detectron2")


def test_a_missing_library_stops_the_run_and_says_how_to_install_it(without_detectron2):
    with pytest.raises(PlanError, match="models.yolox: backend 'detectron2' is not installed; see"):
        read_plan(models(backend="detectron2"), "models.yml")


def test_a_missing_library_is_skipped_with_one_line_where_that_is_allowed(
    without_detectron2, caplog
):
    parameters = models()
    parameters["models"]["d2"] = {**DETECTOR, "backend": "detectron2", "skip_if_missing": True}
    with caplog.at_level(logging.WARNING):
        plan = read_plan(parameters, "models.yml")
    assert list(plan.models) == ["yolox"]
    assert [r.message for r in caplog.records] == [
        "models.yml: models.d2 is left out: backend 'detectron2' is not installed "
        "(see https://detectron2.readthedocs.io/en/latest/tutorials/install.html)"
    ]


def test_without_models_there_is_nothing_to_train():
    assert read_plan({}, "models.yml").tasks == ()


CLASSIFIER = {**DETECTOR, "task": "cls", "backend": "mmpretrain", "recipe": "resnet18"}


@pytest.mark.parametrize(
    ("described", "message"),
    [
        (
            {"best": {"members": ["a", "theirs"], "search": {}}},
            "best is searched for.*'theirs.csv' has none; add theirs.oof.csv or leave it out",
        ),
        (
            {"best": {"members": ["a", "theirs.csv"], "cls": {"method": "stacking"}}},
            "best is learnt or calibrated on",
        ),
        (
            {"best": {"members": ["a", "theirs.csv"], "cls": {"calibrate": "platt"}}},
            "best is learnt or calibrated on",
        ),
        ({"teacher": {"members": "all", "search": {}}}, "teacher is searched for; give it other"),
        (
            {"best": {"members": ["a"], "search": {"cls": ["stacking"]}}},
            "cls: stacking learns from labels and is not searched for; leave it out",
        ),
        (
            {"best": {"members": ["a"], "cls": {"calibrate": "isotonc"}}},
            "no calibration is called 'isotonc'; did you mean 'isotonic'",
        ),
        (
            {"best": {"members": ["a"], "cls": {"method": "rank", "calibrate": "platt"}}},
            "'rank' takes no 'calibrate'",
        ),
        (
            {"best": {"members": ["a"], "search": {}, "det": {"method": "nms"}}},
            "best is searched for and has settings",
        ),
    ],
)
def test_what_is_learnt_out_of_fold_needs_such_predictions(described, message, tmp_path):
    parameters = {"models": {"a": CLASSIFIER}, "ensembles": described}
    external = {"cls": {"theirs": tmp_path / "theirs.csv"}}
    with pytest.raises(PlanError, match=message):
        read_plan(parameters, "models.yml", external)


@pytest.mark.parametrize("members", ["all", ["a", "the*"]])
def test_what_learns_out_of_fold_goes_without_a_file_that_it_does_not_name(
    members, tmp_path, caplog
):
    parameters = {
        "models": {"a": CLASSIFIER},
        "ensembles": {"best": {"members": members, "search": {}}},
    }
    external = {"cls": {"theirs": tmp_path / "theirs.csv"}}
    plan = read_plan(parameters, "models.yml", external)
    assert "ensembles.best is searched for" in caplog.text
    assert "'theirs.csv' has none" in caplog.text
    assert {member.model for member in ensemble(plan, "cls", "best").members} == {"a"}
    assert {member.model for member in ensemble(plan, "cls", FINAL).members} == {"a", "theirs"}
    # With files alone nobody is left to search among, and the final one is made all the same.
    files = read_plan(
        {**parameters, "models": {}, "ensembles": {"best": {"members": "all", "search": {}}}},
        "m",
        external,
    )
    assert [each.name for each in files.ensembles_of("cls")] == [FINAL]


WEIGHTED = {"ensembling": {"det": {"weights": "score"}}}


def test_an_ensemble_that_weighs_by_scores_goes_without_a_file_that_has_none(tmp_path, caplog):
    files = {"det": {"theirs": tmp_path / "theirs.csv"}}
    plan = read_plan({**models(), **WEIGHTED}, "models.yml", files)
    assert names(plan, "det", FINAL) == ["yolox.fold0"]
    assert "models.yml: ensembles.final weighs its members by their out-of-fold" in caplog.text
    assert "'theirs.csv' has no out-of-fold predictions; add theirs.oof.csv, or set" in caplog.text


@pytest.mark.parametrize(
    "parameters",
    [
        WEIGHTED,
        {**models(), **WEIGHTED, "ensembles": {"final": ["yolox", "theirs"]}},
        {"ensembles": {"final": {"members": "all", "det": {"weights": "score"}}}},
    ],
    ids=["alone", "named", "settings of its own"],
)
def test_a_weight_that_cannot_be_known_stops_before_the_first_node(parameters, tmp_path):
    files = {"det": {"theirs": tmp_path / "theirs.csv"}}
    with pytest.raises(PlanError, match=r"'theirs\.csv' has no out-of-fold .*theirs\.oof\.csv"):
        read_plan(parameters, "models.yml", files)


def test_a_file_without_out_of_fold_predictions_is_used_where_nothing_is_learnt(tmp_path, caplog):
    files = {"det": {"theirs": tmp_path / "theirs.csv"}}
    for weights in ("equal", {"yolox": 2, "theirs": 1}):
        parameters = {**models(), "ensembling": {"det": {"weights": weights}}}
        plan = read_plan(parameters, "models.yml", files)
        assert names(plan, "det", FINAL) == ["yolox.fold0", "theirs.csv"]
    assert caplog.records == []


@pytest.mark.parametrize("described", [{}, {"final": {"members": "all", "search": {}}}])
def test_a_member_that_no_weight_is_given_to_is_named(described, tmp_path):
    (tmp_path / "theirs.oof.csv").touch()
    ensembling = {"det": {"weights": {"yolox": 2}}}
    parameters = {**models(), "ensembling": ensembling, "ensembles": described}
    with pytest.raises(PlanError, match=r"ensembles\.final: 'theirs\.csv' has no weight.*yolox"):
        read_plan(parameters, "models.yml", {"det": {"theirs": tmp_path / "theirs.csv"}})


def test_classes_are_stacked_where_the_settings_of_all_or_of_one_ensemble_say_so():
    parameters = {
        "models": {"a": CLASSIFIER},
        "ensembles": {"teacher": {"members": "all", "cls": {"method": "mean"}}},
        "ensembling": {"cls": {"method": "stacking"}},
    }
    plan = read_plan(parameters, "models.yml")
    assert ensemble(plan, "cls", FINAL).learns == "labels"
    assert ensemble(plan, "cls", TEACHER).learns == "nothing"


def test_a_searched_ensemble_is_never_that_which_learns_from_labels():
    parameters = {
        "models": {"a": CLASSIFIER, "b": CLASSIFIER},
        "ensembles": {
            "teacher": {"members": "all", "cls": {"method": "mean"}},
            "searched": {"members": "all", "search": {}},
        },
        "ensembling": {"cls": {"method": "stacking"}},
    }
    assert ensemble(read_plan(parameters, "models.yml"), "cls", "searched").default is None


SEGMENTER = {**DETECTOR, "task": "seg", "backend": "mmseg", "recipe": "fcn_r18_narrow"}
PROBABLE = {**SEGMENTER, "probabilities": True}


def test_only_the_chain_of_a_model_with_probabilities_makes_some():
    plan = read_plan({"models": {"sure": PROBABLE, "plain": SEGMENTER}}, "models.yml")
    made = training.create_pipeline(plan, "seg").all_outputs()
    assert {name for name in made if "probabilities" in name} == {
        "seg.sure.fold0.test_probabilities",
        "seg.sure.fold0.out_of_fold_probabilities",
    }
    assert "seg.sure.fold0.test_predictions" in made


def test_masks_are_voted_on_softly_where_the_settings_of_all_or_of_one_ensemble_say_so():
    parameters = {
        "models": {"a": PROBABLE, "b": PROBABLE},
        "ensembles": {
            "teacher": {"members": "all", "seg": {"method": "hard_vote"}},
            "searched": {"members": "all", "search": {}},
            "hard": {"members": "all", "search": {"seg": ["hard_vote"]}},
        },
        "ensembling": {"seg": {"method": "soft_vote"}},
    }
    plan = read_plan(parameters, "models.yml")
    assert ensemble(plan, "seg", FINAL).takes == "probabilities"
    assert ensemble(plan, "seg", TEACHER).takes == "predictions"
    assert ensemble(plan, "seg", "searched").search.probabilities
    # What it is compared with is a soft vote, though it tries none itself.
    assert ensemble(plan, "seg", "hard").search.probabilities
    assert ensemble(plan, "seg", "hard").settings == "params:ensembling.seg"
    plan = read_plan({**parameters, "models": {"a": PROBABLE, "b": SEGMENTER},
                      "ensembling": {}}, "models.yml")  # fmt: skip
    assert ensemble(plan, "seg", FINAL).takes == "predictions"
    assert not ensemble(plan, "seg", "searched").search.probabilities
    assert not ensemble(plan, "seg", "hard").search.probabilities


def test_a_searched_ensemble_knows_which_one_it_is_where_the_default_is_kept():
    parameters = {
        "models": {"a": SEGMENTER, "b": SEGMENTER},
        "ensembles": {
            "searched": {"members": "all", "search": {}},
            "a_alone": {"members": ["a"], "search": {}},
        },
    }
    plan = read_plan(parameters, "models.yml")
    assert ensemble(plan, "seg", "searched").default == FINAL
    assert ensemble(plan, "seg", "a_alone").default is None
    own = {"final": {"members": "all", "seg": {"method": "soft_vote"}}}
    probable = {"a": PROBABLE, "b": PROBABLE}
    other = {**parameters, "models": probable, "ensembles": parameters["ensembles"] | own}
    assert ensemble(read_plan(other, "models.yml"), "seg", "searched").default is None


def test_an_ensemble_is_explained_out_of_fold_where_its_models_have_a_fold_in_common(tmp_path):
    models = {
        "a": {**CLASSIFIER, "folds": [0, 1]},
        "b": {**CLASSIFIER, "folds": [1, 2]},
        "c": {**CLASSIFIER, "folds": [3]},
    }
    described = {"two": ["a", "b"], "apart": ["a", "c"], "file": ["a", "theirs.csv"]}
    (tmp_path / "theirs.oof.csv").touch()
    files = {"cls": {"theirs": tmp_path / "theirs.csv"}}
    plan = read_plan({"models": models, "ensembles": described}, "models.yml", files)
    explained = {e.name: e.is_explained_out_of_fold for e in plan.ensembles_of("cls")}
    assert explained == {
        "teacher": False, "final": False, "two": True, "apart": False, "file": True,
    }  # fmt: skip
    inputs = {
        name: next(
            node for node in ensembling.create_pipeline(plan).nodes
            if node.name == f"cls.{name}.explain_ensemble"
        ).inputs
        for name in ("two", "apart")
    }  # fmt: skip
    assert "cls.two.explained_truth" in inputs["two"]
    names = {node.name for node in ensembling.create_pipeline(plan).nodes}
    assert {"cls.two.fuse_out_of_fold", "cls.apart.collect_test_predictions"} <= names
    assert "cls.apart.fuse_out_of_fold" not in names


def test_what_calibrates_is_given_out_of_fold_predictions_and_their_truth():
    parameters = {
        "models": {"a": CLASSIFIER},
        "ensembles": {"fair": {"members": "all", "cls": {"calibrate": "isotonic"}}},
    }
    plan = read_plan(parameters, "models.yml")
    fused = {n.name: n.inputs for n in ensembling.create_pipeline(plan).nodes}
    wanted = {"train.annotations", "cls.a.fold0.out_of_fold_predictions"}
    assert wanted <= set(fused["cls.fair.fuse_test_predictions"])
    assert not wanted & set(fused["cls.final.fuse_test_predictions"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"ensembling": {"seg": {"method": "soft_vote"}}},
            "teacher fuses probabilities.*, and 'b.fold0' has none; set models.b.probabilities: tr",
        ),
        (
            {"ensembles": {"soft": {"members": ["a", "c.csv"], "seg": {"method": "soft_vote"}}}},
            "soft fuses probabilities of pixels, and 'c.csv' has none; a file holds none: leave",
        ),
        (
            {"ensembles": {"soft": {"members": ["a", "b"], "search": {"seg": ["soft_vote"]}}}},
            "soft fuses probabilities of pixels, and 'b.fold0' has none",
        ),
        (
            {"ensembles": {"hard": {"members": "all", "seg": {"weights": "score"}}}},
            "seg: 'hard_vote' takes no 'weights'.*; it takes no settings",
        ),
    ],
)
def test_a_soft_vote_of_a_member_without_probabilities_is_one_line(changed, message, tmp_path):
    parameters = {"models": {"a": PROBABLE, "b": SEGMENTER}, **changed}
    with pytest.raises(PlanError, match=message) as caught:
        read_plan(parameters, "models.yml", {"seg": {"c": tmp_path / "c.csv"}})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "ensembles",
    [
        {"final": {"members": "all", "seg": {"method": "soft_vote", "weights": "score"}}},
        {"best": {"members": "all", "search": {}}},
        {},
    ],
)
@pytest.mark.parametrize("model", [PROBABLE, SEGMENTER])
def test_the_types_of_a_graph_with_probabilities_agree(ensembles, model):
    if model is SEGMENTER and "final" in ensembles:
        return
    plan = read_plan({"models": {"a": model, "b": model}, "ensembles": ensembles}, "models.yml")
    loader = ConfigLoader("conf", base_env="base", default_run_env="base")
    stored = {name: entry for name, entry in loader["catalog"].items() if "seg." in name}
    graph = training.create_pipeline(plan, "seg") + ensembling.create_pipeline(plan)
    edges = check_types(graph, DataCatalog.from_config(stored))
    planes = {edge.dataset for edge in edges if edge.dataset.endswith("_probabilities")}
    assert bool(planes) == (model is PROBABLE)
