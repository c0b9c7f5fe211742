"""What is compared is what was meant: the same images, the same categories, each model once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node
from PIL import Image

from recycling.annotations import (
    ANNOTATIONS,
    BOX,
    CATEGORIES,
    IMAGES,
    Annotations,
    ImageFolder,
)
from recycling.datasets import AnnotationsDataset, TableDataset
from recycling.diagnostics import changes_between
from recycling.experiments import ExperimentError, Facts, Manifest, NodeRun, Runs
from recycling.experiments.differences import RECIPE_FILE
from recycling.fingerprints import ContentCache, Graph, Ingredients, Record, Records
from recycling.pipelines.crops import crop_images
from recycling.predictions import DETECTIONS, Detections, LabelMaps
from recycling.sides import (
    OUT_OF_FOLD,
    TEST,
    Side,
    Workplace,
    chosen_epoch,
    common_images,
    draw_changes,
    score,
    sentences,
    shared_part,
)

NAMES = ("Paper", "Metal")
SUMMARY = "study.noise_yolox.summary"
"""What `kedro noise` leaves; no pipeline of a later command makes it."""


def annotations(ids: Sequence[int], names: Sequence[str] = NAMES) -> Annotations:
    """An image each, with one object of 10 x 10 pixels."""
    images = pd.DataFrame({"image_id": ids, "width": 40, "height": 30, "extra": None})
    images = images.assign(file_name=[f"{i}.jpg" for i in ids], group=[str(i) for i in ids])
    rows = pd.DataFrame({"annotation_id": ids, "image_id": ids, "category_id": 1, "area": 100.0})
    rows[BOX] = [5.0, 5.0, 15.0, 15.0]
    rows = rows.assign(segmentation=None, iscrowd=False, source="human", score=1.0, extra=None)
    categories = pd.DataFrame(
        {"category_id": range(1, len(names) + 1), "name": names, "supercategory": "", "extra": None}
    )
    return Annotations(
        IMAGES.conform(images[IMAGES.names], where="images"),
        ANNOTATIONS.conform(rows[ANNOTATIONS.names], where="annotations"),
        CATEGORIES.conform(categories, where="categories"),
    )


def found(ids: Sequence[int]) -> Detections:
    """Every object, where it is."""
    table = pd.DataFrame({"image_id": ids, "category_id": 1, "score": 0.9})
    table[BOX] = [5.0, 5.0, 15.0, 15.0]
    return Detections(DETECTIONS.conform(table[DETECTIONS.names], where="boxes"))


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A workplace where something was predicted, by name of its dataset."""

    def build(predicted: Mapping[str, Any], *, seeds: Sequence[str] = ()) -> Workplace:
        folds = pd.DataFrame({"image_id": range(6), "fold": [0, 0, 1, 1, 2, 2]})
        values = {
            "train.annotations": annotations(range(6)), "folds": folds,
            "test.annotations": annotations([10, 11]), **predicted,
        }  # fmt: skip
        nodes = [node(lambda: None, None, name, name=name) for name in predicted]
        monkeypatch.setattr("recycling.sides.workplace.pipelines", {"__default__": Pipeline(nodes)})
        models = {"yolox": {}, **{own: {"variant_of": "yolox"} for own in seeds}}
        parameters = {"models": models, "evaluation": {"det": {"metric": "map50"}}}
        catalog = DataCatalog({name: MemoryDataset(value) for name, value in values.items()})
        return Workplace(catalog, Runs(tmp_path), tmp_path / "made", parameters)

    return build


def test_the_folds_of_a_model_are_not_several_answers_to_the_test_images(workplace):
    tests = {f"det.yolox.fold{n}.test_predictions": found([10, 11]) for n in range(3)}
    held_out = {
        f"det.yolox.fold{n}.out_of_fold_predictions": found([2 * n, 2 * n + 1]) for n in range(3)
    }
    place = workplace({**tests, **held_out, "det.final.test_predictions": found([10, 11])})
    model, ensemble = place.side("det.yolox"), place.side("det.final")
    assert [*model.predictions] == [OUT_OF_FOLD]
    with pytest.raises(ExperimentError, match=r"det\.yolox: 3 folds .* det\.yolox\.fold0, or an"):
        shared_part([model, ensemble])
    one = place.side("det.yolox.fold1")
    assert score(place, [one, ensemble]).compared.effects["det.final"]["difference"] == 0


def test_the_training_on_all_images_is_one_answer_to_the_test_images(workplace):
    names = [f"det.yolox.{own}.test_predictions" for own in ("fold0", "fold_all")]
    place = workplace(dict.fromkeys(names, found([10, 11])))
    assert not place.is_run("det.yolox.fold_all")
    side = place.side("det.yolox.fold_all")
    assert [*side.predictions] == [TEST]
    assert len(side.predictions[TEST][0]) == 2


@pytest.fixture
def predicted(workplace, tmp_path):
    """A detector's predictions, out of fold and of test images, and an ensemble's, with records."""

    def build(*without_record: str) -> Workplace:
        oof, test, fused = (
            "det.yolox.fold0.out_of_fold_predictions",
            "det.yolox.fold0.test_predictions",
            "det.final.test_predictions",
        )
        place = workplace({oof: found([0, 1]), test: found([10, 11]), fused: found([10, 11])})
        for name in ("train", "test"):
            stored = AnnotationsDataset(filepath=tmp_path / name)
            stored.save(place.catalog.load(f"{name}.annotations"))
            place.catalog[f"{name}.annotations"] = stored
        folds = TableDataset(table="folds", filepath=tmp_path / "folds.parquet")
        folds.save(place.catalog.load("folds"))
        place.catalog["folds"] = folds
        graph = Graph(Pipeline([]), place.catalog, ContentCache(tmp_path / "none"))
        records = Records(place.records)
        for name, inputs in (
            (oof, ("train.annotations", "folds")), (test, ("test.annotations",)), (fused, (test,)),
        ):  # fmt: skip
            made = Ingredients({own: {"content": graph.content(own)} for own in inputs})
            if name not in without_record:
                records.write(name, Record("", "", 0, None, {}, made, "", {}), {})
        return place

    return build


@pytest.mark.parametrize(
    ("changed", "sides", "refused"),
    [
        ("train.annotations", ["det.yolox", "det.yolox.fold0"], "train.annotations"),
        ("train.annotations", ["det.final"], None),
        ("folds", ["det.yolox"], "folds"),
        ("test.annotations", ["det.final"], "test.annotations"),
        ("test.annotations", ["det.yolox"], None),
        (None, ["det.yolox", "det.yolox.fold0", "det.final"], None),
    ],
)
def test_predictions_of_other_images_or_folds_than_those_of_now_are_refused(
    predicted, changed, sides, refused
):
    place = predicted()
    if changed == "folds":
        place.catalog.save("folds", pd.DataFrame({"image_id": range(6), "fold": [1, 0] * 3}))
    elif changed is not None:
        place.catalog.save(changed, annotations([0, 1, 10, 11, 12]))
    for name in sides:
        side = place.side(name)
        part = shared_part([side])
        if refused is None:
            assert len(common_images([side], part).images) == 2
            continue
        with pytest.raises(ExperimentError, match=f"^{name}: {refused} has .*only-missing-out"):
            common_images([side], part)


def test_predictions_of_which_nothing_is_known_are_those_of_now(predicted):
    place = predicted("det.yolox.fold0.out_of_fold_predictions", "det.final.test_predictions")
    for part in ("train", "test"):
        place.catalog.save(f"{part}.annotations", annotations(range(12)))
    for name, part in (("det.yolox", OUT_OF_FOLD), ("det.final", TEST)):
        assert len(common_images([place.side(name)], part).images) > 0
    # A file that was put in the place of what the record is of.
    place = predicted()
    record = place.records / "det.yolox.fold0.out_of_fold_predictions.json"
    record.write_text(record.read_text().replace('"content": null', '"content": "another"'))
    place.catalog.save("train.annotations", annotations(range(12)))
    assert len(common_images([place.side("det.yolox")], OUT_OF_FOLD).images) == 2


def test_seeds_are_scored_on_the_folds_that_all_of_them_have(workplace, caplog):
    held_out = {
        f"det.{name}.fold{n}.out_of_fold_predictions": found([2 * n, 2 * n + 1])
        for name, folds in (("yolox", (0, 1, 2)), ("yolox_seed1", (0, 2)))
        for n in folds
    }
    side = workplace(held_out, seeds=["yolox_seed1"]).side("det.yolox")
    assert side.truth[OUT_OF_FOLD].images["image_id"].tolist() == [0, 1, 4, 5]
    for own in side.predictions[OUT_OF_FOLD]:
        assert own["image_id"].tolist() == [0, 1, 4, 5]
    assert "det.yolox: scored without fold 1: not every seed has it" in caplog.text


@pytest.mark.parametrize("n_seeds", [1, 2])
def test_a_twin_is_a_training_with_the_seeds_of_its_student(workplace, n_seeds):
    names = ["yolox", "yolox_seed1"][:n_seeds]
    held_out = {
        f"det.{name}{twin}.fold0.out_of_fold_predictions": found([0, 1][:some])
        for name in names
        for twin, some in (("", 2), ("_control", 1))
    }
    place = workplace(held_out, seeds=names[1:])
    for entry in place.parameters["models"].values():
        entry["control"] = True
    both = [place.side("det.yolox_control"), place.side("det.yolox")]
    assert [len(side.predictions[OUT_OF_FOLD]) for side in both] == [n_seeds, n_seeds]
    compared = score(place, both).compared
    effect = compared.effects["det.yolox"]
    assert (effect["seeds"], effect["p"] is None) == (n_seeds, n_seeds == 1)
    said = " ".join(sentences(place, both, compared, OUT_OF_FOLD))
    assert ("models.yolox and its twin have a verdict" in said) == (n_seeds == 1)


def test_seeds_without_a_common_fold_are_not_scored(workplace):
    place = workplace(
        {
            "det.yolox.fold0.out_of_fold_predictions": found([0, 1]),
            "det.yolox_seed1.fold1.out_of_fold_predictions": found([2, 3]),
        },
        seeds=["yolox_seed1"],
    )
    with pytest.raises(ExperimentError, match="not every seed has it, and no other is there"):
        place.side("det.yolox")


def test_a_file_of_classes_is_read_against_the_crops_that_classifiers_are_asked_about(
    workplace, tmp_path
):
    unlabelled = replace(annotations([10, 11]), annotations=ANNOTATIONS.empty())
    crops = crop_images(unlabelled, annotations(range(6)))
    place = workplace({"test.annotations": unlabelled, "cls.test_crops": crops})
    place.parameters["submission"] = {
        "cls": {"format": "image_classes"}, "det": {}, "seg": {"size": 2},
    }  # fmt: skip
    path = tmp_path / "mine.csv"
    path.write_text("file_name,category\n10.jpg,Metal\n11.jpg,Paper\n")
    for task in ("cls", None):
        side = place.side(str(path), task)
        assert side.task == "cls"
        assert len(side.truth[TEST].annotations) == 2
        assert side.predictions[TEST][0]["Metal"].tolist() == [1, 0]


@pytest.mark.parametrize(("part", "colour"), [(OUT_OF_FOLD, (255, 0, 0)), (TEST, (0, 0, 255))])
def test_pictures_are_of_the_part_that_was_scored(workplace, tmp_path, part, colour):
    for name, own in (("train", "red"), ("test", "blue")):
        (tmp_path / name).mkdir()
        Image.new("RGB", (40, 30), own).save(tmp_path / name / "1.jpg")
    folders = {f"{name}.images": ImageFolder(tmp_path / name) for name in ("train", "test")}
    one, two = found([1]), found([])
    changes = changes_between(one, two)
    drawn = draw_changes(
        workplace(folders), "det", part, annotations([1]), one, two, changes, ("one", "two")
    )
    assert (np.abs(drawn.astype(int) - colour) < 9).all(axis=2).mean() > 0.2


@pytest.mark.parametrize("names", [("Metal", "Paper"), ("Paper", "Metal", "Glass")])
def test_a_number_that_is_another_category_on_another_side_is_refused(workplace, names):
    place = workplace({"det.final.test_predictions": found([10, 11])})
    maps = LabelMaps([10, 11], lambda _: np.zeros((30, 40), np.uint8))
    one, other = (
        Side(label, "seg", label, None, {TEST: annotations([10, 11], own)}, {TEST: [maps]})
        for label, own in (("before", NAMES), ("now", names))
    )
    with pytest.raises(ExperimentError, match="before and now know other categories"):
        score(place, [one, other])


def test_classifiers_are_compared_on_the_boxes_that_all_have_seen():
    """The first side's image 1 has another box, and its image 2 another id of the same one."""
    now = annotations(range(4))
    rows = now.annotations.copy()
    rows.loc[1, "x_max"] = 17.0
    rows.loc[2, "annotation_id"] = 9
    before = replace(now, annotations=rows)
    names = ["Paper", "Metal"]
    sides = []
    for label, truth, seen in (("before", before, [0, 1, 9, 3]), ("now", now, [0, 1, 2, 3])):
        own = pd.DataFrame({"annotation_id": seen, names[0]: 0.9, names[1]: 0.1})
        sides.append(Side(label, "cls", label, None, {TEST: truth}, {TEST: [own]}))
    assert common_images(sides, TEST).images["image_id"].tolist() == [0, 3]
    moved = rows.assign(x_max=rows["x_max"] + 1)
    sides[0].truth[TEST] = replace(now, annotations=moved)
    with pytest.raises(
        ExperimentError, match="before and now have no image in common with the same"
    ):
        common_images(sides, TEST)


def test_a_model_that_was_chosen_by_the_score_that_judges_it_is_said_to_be():
    stops = Side("det.a", "det", "a", Facts({"model.early_stopping.patience": 10}))
    does_not = Side("det.b", "det", "b", Facts({"model.early_stopping": None}))
    assert "too good" in chosen_epoch(stops, OUT_OF_FOLD)[0]
    assert chosen_epoch(stops, TEST) == chosen_epoch(does_not, OUT_OF_FOLD) == []


def measure_noise(place: Workplace, folds: Sequence[int], **settings: Any) -> None:
    """Leave what `kedro noise` leaves of a model with these settings."""
    noise = {"model": "yolox", "metric": "mAP50", "deviation": 0.01, "seeds": 5, "folds": folds}
    place.catalog[SUMMARY] = MemoryDataset({"noise": noise})
    run = Manifest(
        "2026-11-29", {}, "2026-11-29T01:00:00+00:00", state="completed",
        parameters={"models": {"yolox": settings}},
        nodes=(NodeRun("study.noise_yolox.compare_arms", 1.0, (SUMMARY,), 9.0),),
    )  # fmt: skip
    place.runs.folder(run.run_id).write(run)


@pytest.mark.parametrize(
    ("folds", "measured", "said"),
    [
        ((0,), [0], "the difference is over the noise between seeds (0.039 with 95 %"),
        ((0, 1, 2), [0], "measured on fold 0, and does not hold here; a study with seeds and "
         "folds: [0, 1, 2] measures it"),
        ((1,), [0], "measured on fold 0, and does not hold here; kedro noise det.yolox --seeds 5 "
         "--fold 1"),
        ((1,), None, "is not measured; kedro noise det.yolox --seeds 5 --fold 1"),
    ],
)  # fmt: skip
def test_the_noise_between_seeds_holds_on_the_folds_that_it_was_measured_on(
    workplace, folds, measured, said
):
    held_out = {
        f"det.{name}.fold{n}.out_of_fold_predictions": found([2 * n, 2 * n + 1][:some])
        for name, some in (("yolox", 2), ("fcos", 1))
        for n in folds
    }
    place = workplace(held_out)
    if measured:
        measure_noise(place, measured)
    place.parameters["models"]["fcos"] = {}
    compared = [place.side("det.yolox"), place.side("det.fcos")]
    (line,) = sentences(place, compared, score(place, compared).compared, OUT_OF_FOLD)[1:]
    assert said in line
    place.env = "mine"
    (line,) = sentences(place, compared, score(place, compared).compared, OUT_OF_FOLD)[1:]
    assert ("kedro noise" in said) == ("kedro noise --env mine" in line)


@pytest.mark.parametrize("epochs", [8, 20])
def test_noise_that_was_measured_with_other_settings_is_said_to_be(workplace, epochs):
    names = {"yolox": 2, "fcos": 1}
    place = workplace(
        {
            f"det.{own}.fold0.out_of_fold_predictions": found([0, 1][:some])
            for own, some in names.items()
        }
    )
    place.parameters["models"]["fcos"] = {}
    measure_noise(place, [0], epochs=epochs, seed=3, resources={"gpu": 1}, options={})
    compared = [place.side(f"det.{own}") for own in names]
    compared[0].facts.settings.update({"model.epochs": 20, "model.seed": 0, RECIPE_FILE: "a"})
    (line,) = sentences(place, compared, score(place, compared).compared, OUT_OF_FOLD)[1:]
    other = "; it was measured with other settings (model.epochs: 8 -> 20)"
    assert line.endswith(other if epochs == 8 else "from 5 seeds of yolox)")


def test_the_noise_between_seeds_does_not_hold_on_test_images(workplace):
    names = ("yolox", "fcos")
    place = workplace({f"det.{own}.fold0.test_predictions": found([10, 11]) for own in names})
    place.parameters["models"]["fcos"] = {}
    compared = [place.side(f"det.{own}") for own in names]
    (line,) = sentences(place, compared, score(place, compared).compared, TEST)[1:]
    assert line == "how far another seed would have led is measured out of fold alone"
