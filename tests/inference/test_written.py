"""What is written can be read again, goes on where it was stopped, and counts what is there."""

from __future__ import annotations

import json
import tracemalloc

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disk import full_disk
from inference.looking import SeesColours, SeesRectangles, drawn, predictor, write
from recycling.annotations import annotation_mask, mask_to_segmentation, read_coco
from recycling.inference import InferenceError, in_memory, objects
from recycling.inference.objects import find_objects, objects_of_maps
from recycling.inference.outputs import OUTPUTS, by_category, outputs_of
from recycling.inference.outputs.core import file_names
from recycling.inference.parts import Parts
from recycling.inference.sources import decoded, find_images
from recycling.inference.sureness import least_sure, sureness
from recycling.inference.thresholds import above, promise_lines
from recycling.predictions import LabelMaps

MODELS = {"det": SeesRectangles(), "seg": SeesColours()}


@pytest.fixture
def photos(tmp_path):
    write(tmp_path / "photos/a.png", drawn((120, 100), [("red", 10, 20, 40, 50)]))
    write(tmp_path / "photos/b/c.png", drawn((80, 60), []))
    write(
        tmp_path / "photos/d.png",
        drawn((80, 60), [("blue", 0, 0, 10, 20), ("blue", 30, 30, 40, 40), ("red", 50, 1, 60, 11)]),
    )
    return tmp_path / "photos"


def predict(photos, parts, task="det", sources=None):
    """Predict on what is missing, an image a part, and give all that is there."""
    every = find_images([str(photos)])
    who = predictor(task, MODELS[task])
    for source in parts.missing(every) if sources is None else sources:
        images = in_memory([decoded(source).pixels], [source.name])
        parts.add([source], images.table, find_objects(who, images))
    return parts.load(every, task, who.categories)


@pytest.fixture
def predicted(photos, tmp_path):
    return predict(photos, Parts(tmp_path / "parts", "one"))


def test_images_are_numbered_by_name_and_keep_their_objects(predicted):
    assert predicted.images["file_name"].tolist() == ["a.png", "b/c.png", "d.png"]
    assert predicted.objects["image_id"].value_counts().to_dict() == {3: 3, 1: 1}
    assert predicted.sources[2].name == "b/c.png"


def test_coco_json_is_read_back(predicted, tmp_path):
    path = OUTPUTS["coco"].thing.write(predicted, tmp_path / "out")
    read = read_coco(path)
    assert len(read.images) == 3
    red = read.annotations[read.annotations["image_id"] == 1].iloc[0]
    assert (red["x_min"], red["y_min"], red["x_max"], red["y_max"]) == (10, 20, 40, 50)
    assert red["source"] == "pseudo"
    assert red["score"] == pytest.approx(0.545)
    assert read.categories["name"].tolist() == ["red", "blue"]


def test_masks_of_coco_json_are_the_regions_of_the_label_maps(photos, tmp_path):
    predicted = predict(photos, Parts(tmp_path / "parts", "one"), "seg")
    read = read_coco(OUTPUTS["coco"].thing.write(predicted, tmp_path / "out"))
    maps = OUTPUTS["maps"].thing.write(predicted, tmp_path / "out")
    label_map = cv2.imread(str(maps / "d.png"), cv2.IMREAD_UNCHANGED)
    assert (label_map == 2).sum() == 300
    painted = np.zeros_like(label_map)
    for row in read.annotations[read.annotations["image_id"] == 3].itertuples():
        index = read.categories["category_id"].tolist().index(row.category_id) + 1
        painted[annotation_mask(row.segmentation, [], 60, 80)] = index
    np.testing.assert_array_equal(painted, label_map)
    document = json.loads((tmp_path / "out/coco.json").read_text())
    assert not any("score" in annotation for annotation in document["annotations"])


def test_the_regions_of_a_label_map_are_those_of_its_pixels():
    noise = np.random.default_rng(0).integers(0, 3, (12, 9), dtype=np.uint8)
    label_map = np.kron(noise, np.ones((3, 4), np.uint8))
    found = objects_of_maps(
        LabelMaps([5], lambda _: label_map), predictor("seg", MODELS["seg"]).categories
    )
    rows = []
    for index, category_id in ((1, 7), (2, 3)):
        mask = (label_map == index).astype(np.uint8)
        count, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        rows += [
            (category_id, stats[part, cv2.CC_STAT_AREA], mask_to_segmentation(parts == part))
            for part in range(1, count)
        ]
    columns = ["category_id", "area", "segmentation"]
    assert found[columns].to_numpy().tolist() == list(map(list, rows))


def test_a_region_takes_the_memory_of_its_own_box():
    label_map = np.zeros((1000, 2000), np.uint8)
    label_map[100:900:100, 100:110] = 1
    regions = objects._regions(label_map, [7])
    next(regions)
    tracemalloc.start()
    try:
        assert len(list(regions)) == 7
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_csv_and_parquet_hold_a_row_an_object(predicted, tmp_path):
    csv = pd.read_csv(OUTPUTS["csv"].thing.write(predicted, tmp_path / "out"))
    assert csv[["file_name", "category"]].value_counts().to_dict() == {
        ("d.png", "blue"): 2, ("d.png", "red"): 1, ("a.png", "red"): 1
    }  # fmt: skip
    parquet = pd.read_parquet(OUTPUTS["parquet"].thing.write(predicted, tmp_path / "out"))
    assert parquet["score"].tolist() == predicted.objects["score"].tolist()


def test_the_summary_counts_and_measures_each_category_on_each_image(predicted, tmp_path):
    table = pd.read_csv(OUTPUTS["summary"].thing.write(predicted, tmp_path / "out"))
    assert table.set_index("file_name").loc["b/c.png", "objects"] == 0
    last = table.set_index("file_name").loc["d.png"]
    assert (last["objects"], last["blue: count"], last["blue: area"]) == (3, 2, 300)
    assert (last["red: count"], last["red: area"], last["width"]) == (1, 100, 80)
    sums = by_category(predicted).set_index("category")
    assert sums["objects"].to_dict() == {"red": 2, "blue": 2}
    assert sums["images"].to_dict() == {"red": 2, "blue": 1}
    assert sums.loc["red", "area"] == pytest.approx(1000 / (12_000 + 2 * 4_800))


@pytest.mark.parametrize("task", ["det", "seg"])
def test_images_are_drawn_on_where_something_was_found(task, photos, tmp_path):
    predicted = predict(photos, Parts(tmp_path / "parts", "one"), task)
    path = OUTPUTS["images"].thing.write(predicted, tmp_path / "out")
    assert sorted(str(own.relative_to(path)) for own in path.rglob("*.jpg")) == [
        "a.jpg", "b/c.jpg", "d.jpg"
    ]  # fmt: skip
    empty, full = (cv2.imread(str(path / name)) for name in ("b/c.jpg", "a.jpg"))
    assert full.max() > 200
    assert task == "seg" or empty.max() < 20


def test_a_form_that_a_task_does_not_have_is_refused():
    with pytest.raises(InferenceError, match="--formats maps: not for det; there are coco, "):
        outputs_of(["coco", "maps"], "det")
    with pytest.raises(InferenceError, match="--formats xml: no such form; there are .*maps"):
        outputs_of(["xml"], "seg")


def test_names_that_differ_in_their_ending_or_case_do_not_overwrite_one_another():
    names = file_names(["a.jpg", "A.png", "b.jpg"], ".png")
    assert len({name.lower() for name in names}) == 3


@given(st.permutations(["b.jpg", "b.png", "b.jpg.png", "B.jpg.jpg", "b.jpg.png.jpg"]))
def test_names_whose_beginnings_are_whole_names_do_not_overwrite_one_another(names):
    for suffix in (".png", ".jpg"):
        assert len({name.lower() for name in file_names(names, suffix)}) == len(names)


def test_thresholds_leave_out_what_is_less_sure_and_keep_what_has_no_score(photos, tmp_path):
    predicted = predict(photos, Parts(tmp_path / "parts", "one"))
    assert len(above(predicted, 0.509).objects) == 2
    regions = predict(photos, Parts(tmp_path / "others", "one"), "seg")
    assert len(above(regions, 0.99).objects) == len(regions.objects)


def test_a_promise_of_classes_says_of_which_images_it_is():
    rows = [("red", 0.7, 0.9), ("blue", None, None)]
    thresholds = pd.DataFrame(rows, columns=["category", "threshold", "precision"])
    told = promise_lines(thresholds, "cls")
    assert told == [
        "red: 0.9 of those from 0.7 are right",
        "this was learnt on annotated crops, and holds of images like these",
        "nothing can be promised, and nothing is kept, of blue",
    ]
    assert promise_lines(thresholds, "det") == [told[0], told[2]]


def test_what_was_predicted_is_not_predicted_again(photos, tmp_path):
    parts = Parts(tmp_path / "parts", "one")
    sources = find_images([str(photos)])
    predict(photos, parts, sources=sources[:2])  # and then it was stopped
    assert parts.missing(sources) == sources[2:]
    whole = predict(photos, parts)
    assert parts.missing(sources) == []
    at_once = predict(photos, Parts(tmp_path / "other", "one"))
    pd.testing.assert_frame_equal(whole.objects, at_once.objects)
    pd.testing.assert_frame_equal(whole.images, at_once.images)


def test_new_and_changed_images_are_predicted_and_others_are_not_told_of(photos, tmp_path):
    parts = Parts(tmp_path / "parts", "one")
    predict(photos, parts)
    write(photos / "a.png", drawn((121, 100), []))
    write(photos / "e.png", drawn((20, 20), [("blue", 1, 1, 5, 5)]))
    (photos / "d.png").unlink()
    assert [source.name for source in parts.missing(find_images([str(photos)]))] == [
        "a.png", "e.png"
    ]  # fmt: skip
    predicted = predict(photos, parts)
    assert predicted.images["file_name"].tolist() == ["a.png", "b/c.png", "e.png"]
    assert predicted.objects["image_id"].tolist() == [3]


def test_what_another_model_predicted_does_not_count(photos, tmp_path):
    predict(photos, Parts(tmp_path / "parts", "one"))
    other = Parts(tmp_path / "parts", "two")
    assert len(other.missing(find_images([str(photos)]))) == 3
    predict(photos, other)
    other.remove_others()
    assert len(list((tmp_path / "parts").iterdir())) == 1


def test_a_part_that_was_not_finished_is_not_there(photos, tmp_path):
    parts = Parts(tmp_path / "parts", "one")
    parts.folder.mkdir()
    with full_disk(), pytest.raises(OSError, match="File too large"):
        predict(photos, parts)
    assert len(parts.missing(find_images([str(photos)]))) == 3


def test_the_least_sure_images_go_to_label_studio_first(predicted, tmp_path):
    few = least_sure(predicted, 2)
    sure = sureness(predicted)
    assert sure[2] == 1.0  # nothing is there
    assert sorted(sure, key=sure.get)[:2] == sorted(few.images["image_id"].tolist(), key=sure.get)
    assert set(few.objects["image_id"]) <= set(few.images["image_id"])
    folder = OUTPUTS["label_studio"].thing.write(few, tmp_path / "out")
    tasks = json.loads((folder / "tasks.json").read_text())
    scores = [task["predictions"][0]["score"] for task in tasks]
    assert scores == sorted(scores)
    assert len(tasks) == 2
    # The document root is the parent of the folder: Label Studio takes no storage that is the root.
    assert {task["data"]["image"] for task in tasks} == {
        f"/data/local-files/?d=photos/{task['data']['file_name']}" for task in tasks
    }
    first = tasks[[task["data"]["file_name"] for task in tasks].index("a.png")]
    value = first["predictions"][0]["result"][0]["value"]
    assert value["rectanglelabels"] == ["red"]
    assert (value["x"], value["width"]) == (pytest.approx(10 / 120 * 100), 25)


def test_regions_go_to_label_studio_as_outlines(photos, tmp_path):
    predicted = predict(photos, Parts(tmp_path / "parts", "one"), "seg")
    folder = OUTPUTS["label_studio"].thing.write(predicted, tmp_path / "out")
    tasks = {
        task["data"]["file_name"]: task["predictions"][0]["result"]
        for task in json.loads((folder / "tasks.json").read_text())
    }
    assert {name: len(found) for name, found in tasks.items()} == {
        "a.png": 1,
        "b/c.png": 0,
        "d.png": 3,
    }
    assert len(tasks["a.png"][0]["value"]["points"]) >= 4
