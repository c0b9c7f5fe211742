"""What a name means: a fold, a model with all its folds, an ensemble with all its members."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline

from inference.small_onnx import colour_classifier, colour_segmenter
from recycling.annotations import BOX, Annotations
from recycling.datasets import TextDataset
from recycling.ensembling import RANKING, ClassFusion, MaskFusion
from recycling.fingerprints import ContentCache, Graph, Ingredients, Record, Records
from recycling.inference import InferenceError, Tiles, in_memory, whole_images
from recycling.inference.exported import OnnxModel
from recycling.inference.thresholds import promise_lines
from recycling.plan import Plan, read_plan
from recycling.predictors import Loading, look_up, predictor_of, promised_thresholds
from recycling.predictors.ensembles import write_ensemble

DETECTOR = {
    "task": "det", "backend": "mmdet", "recipe": "yolox_nano", "image_size": 64, "epochs": 1,
    "batch_size": 2, "optimizer": {"name": "SGD", "learning_rate": 0.1},
}  # fmt: skip
PARAMETERS = {
    "models": {"yolox": {**DETECTOR, "folds": [0, 1]}, "fcos": DETECTOR},
    "ensembles": {"folds": {"members": ["yolox.fold*"]}},
}


@pytest.fixture
def plan() -> Plan:
    return read_plan(PARAMETERS, "models.yml")


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("det.yolox.fold1", ["yolox.fold1"]),
        ("det.yolox", ["yolox.fold0", "yolox.fold1"]),
        ("det.folds", ["yolox.fold0", "yolox.fold1"]),
        ("det.final", ["yolox.fold0", "yolox.fold1", "fcos.fold0"]),
    ],
)
def test_a_name_means_its_trainings(plan, name, members):
    assert [own.name for own in look_up(name, plan).trainings] == members


def test_a_name_that_is_none_is_answered_with_the_nearest(plan):
    with pytest.raises(InferenceError, match=r"--with det\.yolx: did you mean 'det\.yolox'"):
        look_up("det.yolx", plan)


def test_a_file_of_predictions_predicts_nothing_new(tmp_path):
    plan = read_plan(PARAMETERS, "models.yml", {"det": {"theirs": tmp_path / "theirs.csv"}})
    assert look_up("det.folds", plan)
    with pytest.raises(InferenceError, match=r"det\.final: theirs\S* is a file of predictions"):
        look_up("det.final", plan)


# Promises -----------------------------------------------------------------------------------------

SEVERAL = "models of several folds predict together, and were tested one by one"


@pytest.mark.parametrize(
    ("name", "folds", "doubts"),
    [
        ("det.yolox", [0], []),
        ("det.yolox", [0, 1], [SEVERAL]),
        ("det.yolox.fold1", [0, 1], []),
        ("det.final", [0, 1], [SEVERAL]),
        ("det.yolox.fold_all", [0, 1, "all"],
         ["a model of all images predicts, and those of its folds were tested"]),
    ],
)  # fmt: skip
def test_a_promise_does_not_cover_what_was_not_held_out(annotations, name, folds, doubts):
    """Each image was predicted by one fold, and by all of them its boxes are others."""
    plan, catalog = held_out(annotations, folds)
    thresholds, _, said = promised_thresholds(name, plan, catalog, 0.9)
    assert said == doubts
    lines = promise_lines(thresholds, "det", said)
    assert [f"NOT COVERED: {own}" for own in doubts] == [own for own in lines if "NOT" in own]


ALONE = {"method": "alone", "weights": {"yolox": 1}, "settings": {}}
AS_SET = {**ALONE, "method": "default"}
CALIBRATED = {**ALONE, "method": "nms", "settings": {"calibrate": "platt"}}
CHOSEN = "an ensemble chosen on all images predicts, and those of parts were tested"
LEARNT = "a fusion learnt on all images predicts, and those of parts were tested"


@pytest.mark.parametrize(
    ("fusion", "choice", "doubts"),
    [
        ({}, None, []),
        ({"weights": "score"}, None, [LEARNT]),
        ({"calibrate": "platt"}, None, [LEARNT]),
        ({}, {**AS_SET, "chosen_without": {"0": AS_SET, "1": AS_SET}}, []),
        ({}, {**AS_SET, "chosen_without": {"0": AS_SET, "1": ALONE}}, [CHOSEN]),
        ({}, {**ALONE, "chosen_without": {"0": ALONE}}, []),
        ({}, {**CALIBRATED, "chosen_without": {"0": CALIBRATED}}, [LEARNT]),
    ],
)
def test_a_promise_does_not_cover_an_ensemble_that_was_chosen_or_learnt_for_each_part(
    annotations, fusion, choice, doubts
):
    """The test fuses each part by what the others say; what predicts is made of all of them."""
    how = {"det": fusion} if choice is None else {"search": {}}
    ensembles = {"other": {"members": ["yolox.fold0"], **how}}
    plan, catalog = held_out(annotations, [0], ensembles=ensembles)
    (ensemble,) = (own for own in plan.ensembles if own.name == "other")
    catalog[ensemble.settings] = MemoryDataset(fusion)
    catalog["det.other.choice"] = MemoryDataset(choice or {})
    for name in ("ranking", "explained_predictions"):
        catalog[f"det.other.{name}"] = MemoryDataset(catalog.load(f"det.final.{name}"))
    assert promised_thresholds("det.other", plan, catalog, 0.9)[2] == doubts


STOPPED = "models.yolox stopped early by what it scores on the images of its test (early_stopping)"
UNKNOWN = (
    "models.yolox.pretrained is a file, and nothing tells whether it has seen the images of the "
    "test (pretrained_elsewhere)"
)


@pytest.mark.parametrize(
    ("settings", "doubts"),
    [
        ({"early_stopping": {"patience": 1}}, [STOPPED]),
        ({"pretrained": "weights.pth"}, [UNKNOWN]),
        ({"pretrained": "weights.pth", "pretrained_elsewhere": True}, []),
    ],
)
@pytest.mark.parametrize("name", ["det.yolox.fold0", "det.second.fold0"])
def test_a_promise_does_not_cover_what_may_know_the_images_of_its_test(
    annotations, name, settings, doubts
):
    """Its epoch was chosen by them, or its first weights, or those of what it starts from."""
    second = {**DETECTOR, "folds": [0], "pretrained": "model:yolox"}
    plan, catalog = held_out(annotations, [0], settings=settings, models={"second": second})
    held = catalog.load("det.yolox.fold0.out_of_fold_predictions")
    catalog["det.second.fold0.out_of_fold_predictions"] = MemoryDataset(held)
    assert promised_thresholds(name, plan, catalog, 0.9)[2] == doubts


def held_out(annotations, folds, settings=None, models=None, ensembles=None):
    """A plan of a detector, and a catalog of what its folds have predicted of labelled images."""
    n = 200
    images = pd.concat([annotations.images.iloc[:1]] * n, ignore_index=True).assign(
        image_id=range(n),
        file_name=[f"{i}.png" for i in range(n)],
        group=[f"{i}" for i in range(n)],
    )
    objects = pd.concat([annotations.annotations.iloc[:1]] * n, ignore_index=True).assign(
        annotation_id=range(n), image_id=range(n)
    )
    train = Annotations(images, objects, annotations.categories)
    fold = pd.DataFrame({"image_id": range(n), "fold": [i % 2 for i in range(n)]})
    found = objects[["image_id", "category_id", "score", *BOX]].assign(score=0.9)
    yolox = {**DETECTOR, "folds": folds, **(settings or {})}
    parameters = {"models": {"yolox": yolox, **(models or {})}, "ensembles": ensembles or {}}
    plan = read_plan(parameters, "models.yml")
    numbers = [own for own in folds if own != "all"]
    ranking = known(None, ["yolox.fold0", "yolox.fold1"])["ranking"]
    held = {own: found[fold["fold"] == own].reset_index(drop=True) for own in numbers}
    sets = {
        "train.annotations": train, "folds": fold,
        "params:ensembling.det": {}, "det.final.ranking": ranking,
        "det.final.explained_predictions": pd.concat(held.values(), ignore_index=True),
        **{f"det.yolox.fold{own}.out_of_fold_predictions": held[own] for own in numbers},
    }  # fmt: skip
    return plan, DataCatalog({key: MemoryDataset(own) for key, own in sets.items()})


@pytest.mark.parametrize(
    ("name", "source", "table"),
    [
        ("det.yolox.fold0", "det.yolox.fold0.checkpoint",
         "det.yolox.fold0.out_of_fold_predictions"),
        ("det.final", "det.yolox.fold0.out_of_fold_predictions",
         "det.final.explained_predictions"),
        ("det.final", "params:ensembling.det", "det.final.explained_predictions"),
    ],
)  # fmt: skip
def test_a_promise_does_not_cover_what_was_made_anew_or_set_otherwise_since(
    tmp_path, annotations, name, source, table
):
    """What predicts is then another model, or another fusion, than what was tested."""
    plan, catalog = held_out(annotations, [0])
    taken = Ingredients(parameters={"ensembling.det": {}})
    records = Records(tmp_path / ".made")

    def record(made):
        records.write(made, Record("node", "", 1, None, {}, taken, "code", {}), {})

    def doubts(folder=records.folder):
        return promised_thresholds(name, plan, catalog, 0.9, folder)[2]

    is_set = source.startswith("params:")
    if not is_set:
        catalog[source] = TextDataset(filepath=str(tmp_path / "source.txt"))
        catalog.save(source, "one")
        graph = Graph(Pipeline([]), catalog, ContentCache(tmp_path / "content.json"))
        taken.inputs[source] = {"content": graph.content(source), "entry": {}, "file": ""}
        record(source)
    record(table)
    assert doubts() == []
    if is_set:
        catalog[source] = MemoryDataset({"method": "nms"})
    else:
        catalog.save(source, "another")
    (said,) = doubts()
    shown = source.replace("params:", "parameter ")
    assert said.startswith(f"{shown} has changed since {table} was made ")
    assert doubts(None) == doubts(tmp_path / "no records") == []


# Exported ensembles -------------------------------------------------------------------------------


def known(settings, members, scores=(0.5, None)):
    """What a run knows of a fusion."""
    table = pd.DataFrame({"member": list(members), "score": scores, "rank": [0, 1]})
    return {"settings": settings, "ranking": RANKING.conform(table, where="ranking")}


@pytest.fixture
def classifiers(tmp_path):
    return {
        "sure": colour_classifier(tmp_path / "cls.sure.onnx", "cls.sure"),
        "unsure": colour_classifier(tmp_path / "cls.unsure.onnx", "cls.unsure", unsure=4),
    }


def test_an_exported_ensemble_is_fused_as_its_settings_say(tmp_path, classifiers):
    settings = ClassFusion.model_validate({"method": "mean", "weights": {"sure": 3, "unsure": 1}})
    path = tmp_path / "cls.both.json"
    write_ensemble(path, "cls", known(settings, classifiers), classifiers)
    images = whole_images(in_memory([np.full((9, 9, 3), (250, 0, 90), np.uint8)]))
    own = [OnnxModel.load(file).predict(images)["Red"][0] for file in classifiers.values()]
    assert own[0] > own[1]
    said = predictor_of(str(path), None, None).predict(images)
    assert said["Red"][0] == pytest.approx((3 * own[0] + own[1]) / 4)


def test_an_exported_ensemble_repeats_what_a_search_has_chosen(tmp_path, classifiers):
    both = known(ClassFusion.model_validate({}), classifiers)
    chosen = {"method": "alone", "weights": {"unsure": 1}, "settings": {}, "searched": []}
    used = {"unsure": classifiers["unsure"]}
    write_ensemble(tmp_path / "cls.best.json", "cls", {**both, "choice": chosen}, used)
    images = whole_images(in_memory([np.full((9, 9, 3), (250, 0, 90), np.uint8)]))
    said = predictor_of(str(tmp_path / "cls.best.json"), None, None).predict(images)
    assert said.equals(OnnxModel.load(classifiers["unsure"]).predict(images))


@pytest.mark.parametrize("method", ["hard_vote", "soft_vote"])
@pytest.mark.parametrize("tiles", [None, 32])
def test_exported_segmenters_are_fused_in_tiles_too(tmp_path, method, tiles):
    files = {name: colour_segmenter(tmp_path / f"seg.{name}.onnx", f"seg.{name}") for name in "ab"}
    settings = MaskFusion.model_validate({"method": method})
    write_ensemble(tmp_path / "seg.both.json", "seg", known(settings, files), files)
    image = np.zeros((40, 70, 3), np.uint8)
    image[:, :30], image[:, 40:] = (250, 0, 0), (0, 0, 250)
    loading = Loading(tiles=None if tiles is None else Tiles(size=tiles))
    predictor = predictor_of(str(tmp_path / "seg.both.json"), None, None, loading)
    said = predictor.predict(in_memory([image]))[1]
    assert said.shape == (40, 70)
    assert set(np.unique(said[:, :26])) == {1}
    assert set(np.unique(said[:, 44:])) == {3}


def test_an_ensemble_takes_the_files_that_it_was_exported_with_alone(tmp_path, classifiers):
    path = tmp_path / "cls.both.json"
    write_ensemble(path, "cls", known(ClassFusion.model_validate({}), classifiers), classifiers)
    colour_classifier(classifiers["unsure"], "cls.unsure", unsure=9)
    with pytest.raises(
        InferenceError, match=r"cls\.unsure\.onnx: not the file that cls\.both\.json"
    ):
        predictor_of(str(path), None, None)
    path.write_text("{}")
    with pytest.raises(InferenceError, match=r"both\.json: not exported by this version"):
        predictor_of(str(path), None, None)


def test_a_fusion_that_learns_from_labels_is_not_exported(tmp_path, classifiers):
    for settings in ({"method": "stacking"}, {"method": "mean", "calibrate": "platt"}):
        fused = known(ClassFusion.model_validate(settings), classifiers)
        with pytest.raises(InferenceError, match=r"cls\.both: its fusion learns"):
            write_ensemble(tmp_path / "cls.both.json", "cls", fused, classifiers)
    assert not (tmp_path / "cls.both.json").exists()


@pytest.mark.parametrize(
    ("settings", "choice"),
    [
        ({"method": "rank"}, None),
        ({}, {"method": "rank", "weights": {"sure": 1, "unsure": 1}, "settings": {}}),
    ],
)
def test_a_fusion_in_which_images_depend_on_others_is_for_no_new_images(
    tmp_path, classifiers, settings, choice
):
    path = tmp_path / "cls.both.json"
    fused = known(ClassFusion.model_validate(settings), classifiers)
    with pytest.raises(InferenceError, match=r"cls\.both: its fusion, rank, makes of an image"):
        write_ensemble(path, "cls", fused | ({"choice": choice} if choice else {}), classifiers)
    assert not path.exists()
    # As a version before has exported it.
    write_ensemble(path, "cls", known(ClassFusion.model_validate({}), classifiers), classifiers)
    path.write_text(
        path.read_text().replace('"mean"', '"rank"').replace(',\n    "calibrate": "none"', "")
    )
    with pytest.raises(InferenceError, match=r"cls\.both: its fusion, rank, makes of an image"):
        predictor_of(str(path), None, None)


def test_an_ensemble_of_a_run_that_fuses_so_is_refused_before_its_models_are_loaded():
    classifier = {**DETECTOR, "task": "cls", "backend": "mmpretrain", "recipe": "resnet18"}
    plan = read_plan({"models": {"a": classifier, "b": classifier}}, "models.yml")
    ensemble = next(each for each in plan.ensembles if each.namespace == "cls.final")
    fused = known(ClassFusion.model_validate({"method": "rank"}), ["a.fold0", "b.fold0"])
    catalog = DataCatalog(
        {
            ensemble.settings: MemoryDataset({"method": "rank"}),
            f"{ensemble.namespace}.ranking": MemoryDataset(fused["ranking"]),
        }
    )
    with pytest.raises(InferenceError, match=r"cls\.final: its fusion, rank, makes"):
        predictor_of("cls.final", plan, catalog)
