"""Photographs go to Label Studio with proposals, and come back as people have labelled them."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from recycling.annotations import (
    BOX,
    AnnotationError,
    Cleaning,
    ImageFolder,
    check_images,
    clean,
    from_coco,
    joined,
    read_label_studio,
    write_label_studio,
)
from recycling.limits import Limits


@pytest.fixture
def images(tmp_path):
    for name, size in {"a b.png": (200, 100), "may/c.png": (80, 60)}.items():
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(path)
    Image.new("RGB", (9, 9)).save(tmp_path / "outside.png")
    return tmp_path / "images"


def result(kind, value, size=(200, 100), **others):
    sides = {"original_width": size[0], "original_height": size[1], "image_rotation": 0}
    return {
        "type": kind,
        "from_name": "label",
        "to_name": "image",
        **sides,
        **others,
        "value": value,
    }


def box(x, y, width, height, label="Glass", rotation=0):
    place = {"x": x, "y": y, "width": width, "height": height, "rotation": rotation}
    return result("rectanglelabels", {**place, "rectanglelabels": [label]})


def task(*results, image="/data/local-files/?d=a%20b.png", **annotation):
    return {"id": 7, "data": {"image": image}, "annotations": [{"result": results, **annotation}]}


@pytest.fixture
def export(tmp_path):
    def write(*tasks):
        path = tmp_path / "labelled.json"
        path.write_text(json.dumps(tasks))
        return path

    return write


def accepted(tasks):
    """What Label Studio exports where a person submits each proposal as it is."""
    return [
        {"id": number, "data": each["data"], "annotations": [{"result": proposal["result"]}]}
        for number, each in enumerate(tasks)
        for proposal in each["predictions"]
    ]


def coco(size, *annotations):
    return from_coco(
        {
            "images": [{"id": 3, "file_name": "a b.png", "width": size[0], "height": size[1]}],
            "annotations": [
                {"id": number, "image_id": 3, "area": 1, "iscrowd": 0, **own}
                for number, own in enumerate(annotations)
            ],
            "categories": [
                {"id": 5, "name": "Metal"},
                {"id": 9, "name": 'Glass "clear" & <brown>'},
            ],
        },
        where="test",
    )


def test_boxes_come_back_as_they_were_proposed(tmp_path, images, export):
    boxes = [[10.25, 20.5, 33, 41], [0, 0, 200, 100]]
    there = coco(
        (200, 100), *({"category_id": c, "bbox": b} for c, b in zip((9, 5), boxes, strict=True))
    )
    write_label_studio(there, tmp_path / "out", "RectangleLabels", {3: 0.5}, images="images")
    tasks = json.loads((tmp_path / "out/tasks.json").read_text())
    back = read_label_studio(export(*accepted(tasks)), images)
    np.testing.assert_allclose(back.annotations[BOX], there.annotations[BOX], atol=1e-6)
    names = back.categories.set_index("category_id")["name"]
    assert back.annotations["category_id"].map(names).tolist() == [
        'Glass "clear" & <brown>', "Metal",
    ]  # fmt: skip
    assert set(back.annotations["source"]) == {"human"}
    assert set(back.annotations["score"]) == {1.0}


def test_the_interface_names_every_category(tmp_path):
    import xml.etree.ElementTree as ElementTree

    write_label_studio(coco((200, 100)), tmp_path / "out", "PolygonLabels", {3: 1.0}, images="may")
    view = ElementTree.parse(tmp_path / "out/config.xml").getroot()
    assert [label.get("value") for label in view.iter("Label")] == [
        "Metal", 'Glass "clear" & <brown>',
    ]  # fmt: skip
    assert view.find("PolygonLabels").get("toName") == view.find("Image").get("name")


def test_outlines_come_back_as_they_were_proposed(tmp_path, images, export):
    corners = [10.0, 20.0, 60.0, 20.0, 60.0, 70.5]
    own = {"category_id": 5, "bbox": [10, 20, 50, 50.5], "segmentation": [corners]}
    write_label_studio(
        coco((200, 100), own), tmp_path / "out", "PolygonLabels", {3: 0.0}, images="may"
    )
    tasks = json.loads((tmp_path / "out/tasks.json").read_text())
    back = read_label_studio(export(*accepted(tasks)), images)
    (polygon,) = json.loads(back.annotations["segmentation"].iloc[0])
    np.testing.assert_allclose(polygon, corners, atol=1e-6)
    np.testing.assert_allclose(back.annotations[BOX].iloc[0], [10, 20, 60, 70.5], atol=1e-6)


def test_the_least_sure_image_comes_first(tmp_path):
    document = {
        "images": [
            {"id": number, "file_name": f"{number}.png", "width": 8, "height": 8}
            for number in (1, 2, 3)
        ],
        "annotations": [],
        "categories": [],
    }
    sure = {1: 0.9, 2: 0.1, 3: 0.5}
    write_label_studio(
        from_coco(document, where="test"), tmp_path / "out", "RectangleLabels", sure, images="may"
    )
    tasks = json.loads((tmp_path / "out/tasks.json").read_text())
    assert [each["data"]["file_name"] for each in tasks] == ["2.png", "3.png", "1.png"]
    assert [each["predictions"][0]["score"] for each in tasks] == [0.1, 0.5, 0.9]


def test_places_are_shares_of_the_sides_in_percent(images, export):
    back = read_label_studio(export(task(box(10, 20, 50, 30))), images)
    assert back.annotations[BOX].values.tolist() == [[20, 20, 120, 50]]
    assert back.annotations["area"].tolist() == [3000]


def test_half_a_character_is_no_label(images, export):
    with pytest.raises(AnnotationError, match=r"'\\ud800' is not UTF-8 text; rename it"):
        read_label_studio(export(task(box(10, 20, 50, 30, label="\ud800"))), images)


def test_a_turned_rectangle_is_turned_about_its_first_corner(images, export):
    back = read_label_studio(export(task(box(50, 20, 20, 30, rotation=90))), images)
    (polygon,) = json.loads(back.annotations["segmentation"].iloc[0])
    # 40 px wide and 30 px high, its left edge on top: it goes down and to the left.
    np.testing.assert_allclose(polygon, [100, 20, 100, 60, 70, 60, 70, 20], atol=1e-9)
    np.testing.assert_allclose(back.annotations[BOX].iloc[0], [70, 20, 100, 60], atol=1e-9)


def test_a_choice_is_of_the_whole_image(images, export):
    back = read_label_studio(
        export(task({"type": "choices", "value": {"choices": ["Metal"]}})), images
    )
    assert back.annotations[BOX].values.tolist() == [[0, 0, 200, 100]]
    assert back.categories["name"].tolist() == ["Metal"]


def test_a_choice_beside_what_is_drawn_is_no_object(images, export, caplog):
    choice = {"type": "choices", "value": {"choices": ["blurred"]}}
    empty = {"data": {"file_name": "may/c.png"}, "annotations": [{"result": [choice]}]}
    with caplog.at_level(logging.WARNING):
        back = read_label_studio(export(empty, task(choice, box(0, 0, 10, 10))), images)
    assert back.categories["name"].tolist() == ["Glass"]
    assert len(back.annotations) == 1
    assert back.images["file_name"].tolist() == ["a b.png", "may/c.png"]
    assert "2 choices are left out" in caplog.text


def test_the_ground_truth_counts_else_the_last_that_was_not_skipped(images, export):
    ours = task(box(0, 0, 10, 10, "Metal"))
    ours["annotations"] += [
        {"result": [box(0, 0, 20, 20, "Glass")]},
        {"result": [box(0, 0, 30, 30, "Paper")], "was_cancelled": True},
    ]
    assert read_label_studio(export(ours), images).categories["name"].tolist() == ["Glass"]
    ours["annotations"][0]["ground_truth"] = True
    assert read_label_studio(export(ours), images).categories["name"].tolist() == ["Metal"]


def test_an_empty_answer_holds_nothing_and_none_is_left_out(images, export, caplog):
    nobody = {"data": {"file_name": "may/c.png"}, "annotations": []}
    with caplog.at_level(logging.WARNING):
        back = read_label_studio(export(task(), nobody), images, categories=["Glass"])
    assert back.images["file_name"].tolist() == ["a b.png"]
    assert back.annotations.empty
    assert "1 tasks are not labelled" in caplog.text


def written(tmp_path, name, images):
    """The tasks of one image that was predicted on in a folder."""
    document = {
        "images": [{"id": 3, "file_name": name, "width": 80, "height": 60}],
        "annotations": [],
        "categories": [],
    }
    write_label_studio(
        from_coco(document, where="test"), tmp_path / "out", "Choices", {3: 1}, images=images
    )
    return json.loads((tmp_path / "out/tasks.json").read_text())


@pytest.mark.parametrize("folder", ["", "may"])
def test_an_image_is_found_below_the_folder_that_was_served(tmp_path, images, export, folder):
    tasks = written(tmp_path, "c.png", "may")
    assert tasks[0]["data"]["image"] == "/data/local-files/?d=may/c.png"
    back = read_label_studio(export(*accepted(tasks)), images, folder=folder)
    assert back.images["file_name"].tolist() == ["may/c.png"]


@pytest.mark.parametrize(
    ("data", "folder"),
    [
        ({"image": "/data/local-files/?d=may/c.png"}, ""),
        ({"image": "/data/local-files/?d=c.png"}, "may"),
        ({"image": "/data/upload/3/0a1b2c3d-c.png"}, "may"),
        ({"image": "http://host/some/where/c.png?x=1"}, "may"),
        ({"image": "s3://bucket/c.png", "file_name": "may/c.png"}, ""),
    ],
)
def test_an_image_is_found_however_it_was_shown(images, export, data, folder):
    found = read_label_studio(
        export({"data": data, "annotations": [{"result": []}]}), images, folder=folder
    )
    assert found.images["file_name"].tolist() == ["may/c.png"]
    assert found.images[["width", "height"]].values.tolist() == [[80, 60]]


@pytest.mark.parametrize(
    "shown", ["/data/local-files/?d=photos/may/c.png", "s3://bucket/photos/may/c.png"]
)
def test_an_image_is_not_taken_for_another_of_its_name(images, export, shown):
    Image.new("RGB", (80, 60)).save(images / "c.png")
    found = read_label_studio(export(task(image=shown)), images)
    assert found.images["file_name"].tolist() == ["may/c.png"]


@pytest.mark.parametrize(
    "shown", ["/data/local-files/?d=june/c.png", "/data/upload/3/0a1b2c3d-c.png"]
)
def test_a_bare_name_that_several_images_have_is_refused(images, export, shown):
    Image.new("RGB", (80, 60)).save(images / "c.png")
    with pytest.raises(
        AnnotationError, match=r"several images have its bare name.*: task 7 c\.png"
    ):
        read_label_studio(export(task(image=shown)), images)
    (images / "may/c.png").unlink()
    assert read_label_studio(export(task(image=shown)), images).images["file_name"][0] == "c.png"


@pytest.mark.parametrize("name", ["c.png", "june/c.png"])
def test_what_a_task_shows_is_found_where_the_folder_above_has_its_name_too(
    tmp_path, images, export, name
):
    for place in (name, f"may/{name}"):
        (images / place).parent.mkdir(exist_ok=True)
        Image.new("RGB", (80, 60)).save(images / place)
    tasks = written(tmp_path, name, "may")
    for folder in ("", "may"):
        back = read_label_studio(export(*accepted(tasks)), images, folder=folder)
        assert back.images["file_name"].tolist() == [f"may/{name}"]
    # Predicted on the whole folder of images.
    tasks = written(tmp_path, name, "images")
    back = read_label_studio(export(*accepted(tasks)), images)
    assert back.images["file_name"].tolist() == [name]


def test_the_name_in_data_counts_as_bare_where_the_path_shows_more(tmp_path, images, export):
    Image.new("RGB", (80, 60)).save(images / "c.png")
    tasks = accepted(written(tmp_path, "c.png", "june"))
    with pytest.raises(AnnotationError, match=r"several images have its bare name"):
        read_label_studio(export(*tasks), images)
    for folder, name in {".": "c.png", "may": "may/c.png"}.items():
        back = read_label_studio(export(*tasks), images, folder=folder)
        assert back.images["file_name"].tolist() == [name]


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ([task(image="/data/local-files/?d=../outside.png")], "no such image"),
        ([task(image="gone.png")], "no such image"),
        ([task({"type": "brushlabels", "value": {}})], "type 'brushlabels', label with rectangles"),
        ([task({**box(0, 0, 1, 1), "original_width": 100})], "another size"),
        ([task({**box(0, 0, 1, 1), "image_rotation": 90})], "turned, label it again"),
        ([task(box("x", 0, 1, 1))], "cannot be read, correct it: task 7"),
        ([task(box(10**400, 0, 1, 1))], "cannot be read, correct it: task 7"),
        ([task(box(float("nan"), 0, 1, 1))], "cannot be read, correct it: task 7"),
        ([task(result("polygonlabels", {"points": [], "polygonlabels": ["a"]}))], "cannot be read"),
        ([task(box(0, 0, 1, 1, "Wood"))], "'Wood'"),
        ([task(result("choices", {"choices": "Glass"}))], "cannot be read"),
        ([task(box(0, 0, 1, 1, label=" "))], "a label that cannot be read"),
        ([task(result("choices", {"choices": []}))], "a label that cannot be read"),
        ([task(image="http://[a b.png")], "no such image"),
        ([task(image="a" * 5000)], "no such image"),
        ([task(image="a/" * 500_000)], "no such image"),
        ([{"data": {}, "annotations": 5}], "not tasks of Label Studio"),
        ([{"data": {}, "annotations": ["a"]}], "not tasks of Label Studio"),
        ([{"data": {}, "annotations": [{"result": 5}]}], "not tasks of Label Studio"),
        ([task(), task()], "two tasks have one image"),
        ([{"data": {"file_name": "a b.png"}, "annotations": []}], "no task is labelled"),
        ([{"image": "a b.png", "label": []}], "not as JSON-MIN"),
        ({"images": []}, "not tasks of Label Studio"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(images, tmp_path, tasks, said):
    path = tmp_path / "labelled.json"
    path.write_text(json.dumps(tasks))
    with pytest.raises(AnnotationError, match=".") as raised:
        read_label_studio(path, images, categories=["Glass"])
    assert said in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_deep_file_is_refused(images, tmp_path):
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    with pytest.raises(AnnotationError, match="not tasks of Label Studio"):
        read_label_studio(path, images)


@pytest.mark.parametrize(
    ("max_bytes", "said"),
    [(16 * 99, "more than 99 bytes; is it the right file"), (90_000, "a quarter of max_bytes")],
)
def test_a_file_that_would_fill_the_memory_is_refused(images, export, monkeypatch, max_bytes, said):
    path = export(*[task(box(0, 0, 1, 1))] * 10)
    monkeypatch.setenv("RECYCLING_LIMITS", Limits(max_bytes=max_bytes).model_dump_json())
    with pytest.raises(AnnotationError, match=f"{path}: .*{said}"):
        read_label_studio(path, images)


def test_what_is_labelled_now_replaces_the_same_image_and_keeps_ids(images, export):
    before = coco((200, 100), {"category_id": 5, "bbox": [0, 0, 9, 9]})
    labelled = read_label_studio(
        export(
            task(box(10, 10, 10, 10, "Metal"), box(0, 0, 10, 10, "Paper")),
            {"data": {"file_name": "may/c.png"}, "annotations": [{"result": []}]},
        ),
        images,
    )
    both = joined(before, labelled)
    assert both.images[["image_id", "file_name"]].values.tolist() == [
        [3, "a b.png"], [4, "may/c.png"],
    ]  # fmt: skip
    assert both.categories["name"].tolist() == ["Metal", 'Glass "clear" & <brown>', "Paper"]
    names = both.categories.set_index("category_id")["name"]
    assert both.annotations["category_id"].map(names).tolist() == ["Metal", "Paper"]
    assert both.annotations["image_id"].tolist() == [3, 3]
    assert both.annotations["annotation_id"].is_unique
    assert both.images["group"].is_unique


@pytest.mark.parametrize("name", ["batch\\\\1.png", "Batch/1.PNG", "./batch/1.png"])
def test_an_image_that_is_spelt_in_another_way_is_replaced_too(images, export, caplog, name):
    (images / "batch").mkdir()
    Image.new("RGB", (200, 100)).save(images / "batch" / "1.png")
    before = coco((200, 100), {"category_id": 5, "bbox": [0, 0, 9, 9]})
    before = replace(before, images=before.images.assign(file_name=name))
    labelled = {**task(box(10, 10, 10, 10, "Metal")), "data": {"file_name": "batch/1.png"}}
    both = joined(before, read_label_studio(export(labelled), images))
    assert both.images["file_name"].tolist() == [name]
    assert both.annotations["x_min"].tolist() == [20]
    assert "1 names of images are spelt in another way" in caplog.text


def test_an_image_that_is_labelled_again_has_the_size_that_it_was_labelled_in(images, export):
    turned = Image.Exif()
    turned[0x0112] = 6  # a viewer turns it
    Image.new("RGB", (200, 100)).save(images / "turned.jpg", exif=turned)
    entry = {"id": 3, "file_name": "turned.jpg", "width": 200, "height": 100, "group": "shot"}
    names = {"annotations": [], "categories": [{"id": 5, "name": "Glass"}]}
    before = from_coco({"images": [entry], **names}, where="test")
    labelled = task(
        {**box(10, 20, 50, 30), "original_width": 100, "original_height": 200}, image="turned.jpg"
    )
    both = joined(before, read_label_studio(export(labelled), images))
    checks = check_images(both.images, ImageFolder(images))
    cleaned, _ = clean(both, checks, Cleaning.model_validate({"image_size": {"action": "rescale"}}))
    assert cleaned.images[["image_id", "width", "height", "group"]].values.tolist() == [
        [3, 100, 200, "shot"]
    ]
    assert cleaned.annotations[BOX].values.tolist() == [[10, 40, 60, 100]]
