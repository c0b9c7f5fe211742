import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings

from annotations.coco_cases import documents
from recycling.annotations import AnnotationError, from_coco, read_coco, to_coco, write_coco


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_reading_then_writing_loses_nothing(document, tmp_path, name):
    write_coco(from_coco(document, where="test"), tmp_path / name)
    content = (tmp_path / name).read_bytes()
    written = gzip.decompress(content) if name.endswith(".gz") else content
    assert json.loads(written) == document
    assert to_coco(read_coco(tmp_path / name)) == document


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_writing_twice_gives_the_same_bytes_and_leaves_no_other_file(document, tmp_path, name):
    annotations = from_coco(document, where="test")
    write_coco(annotations, tmp_path / "one" / name)
    write_coco(annotations, tmp_path / "two" / name)
    one, two = (tmp_path / folder / name for folder in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert _names(tmp_path / "one") == [name]


def test_a_write_that_fails_leaves_the_old_file(document, tmp_path):
    annotations = from_coco(document, where="test")
    path = tmp_path / "a.json"
    write_coco(annotations, path)
    before = path.read_bytes()
    annotations.extra["unwritable"] = object()
    with pytest.raises(TypeError):
        write_coco(annotations, path)
    assert path.read_bytes() == before
    assert _names(tmp_path) == ["a.json"]


def test_columns_hold_what_the_file_says(document):
    annotations = from_coco(document, where="test")
    assert annotations.images["group"].tolist() == ["1", "shot", "3"]
    table = annotations.annotations
    assert table["iscrowd"].tolist() == [False, False, True, False, False]
    assert table["source"].tolist() == ["human", "human", "pseudo", "human", "human"]
    assert table["score"].tolist() == [1, 1, 0.25, 1, 1]
    assert table["segmentation"].isna().tolist() == [False, True, False, False, True]
    assert table.loc[0, ["x_min", "y_min", "x_max", "y_max"]].tolist() == [1, 1, 5, 4]
    assert annotations.categories["supercategory"].tolist() == ["Waste", "", "", ""]
    assert annotations.extra.keys() == {"info", "licenses", "scene_annotations"}


def test_missing_areas_come_from_the_mask_or_the_box(document):
    areas = from_coco(document, where="test").annotations["area"].tolist()
    assert areas == [12, pytest.approx(0.21), 6, 6, 0]


def test_what_cleaning_changed_is_written_and_what_it_did_not_is_as_it_was(document):
    annotations = from_coco(document, where="test")
    annotations.annotations.loc[1, "x_max"] = 0.5
    annotations.annotations.loc[1, "area"] = 0.5
    annotations.images.loc[2, "group"] = "shot"
    written = to_coco(annotations)
    assert written["annotations"][1]["bbox"] == [0.1, 0.2, 0.4, 0.3]
    assert written["annotations"][1]["area"] == 0.5
    assert written["images"][2]["group"] == "shot"
    untouched = [0, 2, 3, 4]
    assert [written["annotations"][row] for row in untouched] == [
        document["annotations"][row] for row in untouched
    ]


@pytest.mark.parametrize("x", [2**53 + 1, 2**63])
def test_whole_numbers_that_no_float_holds_come_back_as_they_were(document, x):
    document["annotations"][1]["bbox"] = [x, 0, 3, 2]
    assert to_coco(from_coco(document, where="test")) == document


def test_a_score_that_is_a_whole_number_comes_back_as_one(document):
    document["annotations"][1]["score"] = 1
    again = to_coco(from_coco(document, where="test"))
    assert repr(again["annotations"][1]["score"]) == "1"


def test_source_of_a_file_that_does_not_say(document):
    table = from_coco(document, where="test", source="pseudo").annotations
    assert table["source"].tolist() == ["pseudo", "pseudo", "pseudo", "human", "pseudo"]


def test_a_file_without_annotations_is_fine():
    document = {"images": [], "annotations": [], "categories": []}
    assert to_coco(from_coco(document, where="pool")) == document


def test_a_second_annotation_of_one_id_can_be_renumbered(document, caplog):
    document["annotations"][4]["id"] = 2
    table = from_coco(document, where="a.json", duplicate_ids="renumber").annotations
    assert table["annotation_id"].tolist() == [1, 2, 3, 4, 5]
    assert json.loads(table["extra"].iloc[4])["original_id"] == 2
    assert len(caplog.records) == 1
    assert "2 -> 5" in caplog.text
    assert document["annotations"][4]["id"] == 2


def test_an_id_that_occurs_twice_and_is_the_highest_gets_a_free_one_below(document):
    for annotation in document["annotations"][:3]:
        annotation["id"] = 2**63 - 1
    table = from_coco(document, where="a.json", duplicate_ids="renumber").annotations
    assert table["annotation_id"].tolist() == [2**63 - 1, 0, 1, 4, 5]


@settings(max_examples=40)
@given(documents())
def test_any_document_comes_back_as_it_was(document):
    text = json.dumps(to_coco(from_coco(json.loads(json.dumps(document)), where="test")))
    # Compared as text too, because True == 1 in Python.
    assert json.loads(text) == document
    for section in ("images", "annotations", "categories"):
        for row, entry in enumerate(document[section]):
            again = json.loads(text)[section][row]
            for key in entry.keys() - {"bbox", "area", "score"}:
                assert json.dumps(again[key]) == json.dumps(entry[key])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b"{'images': []}", "not JSON"),
        (b'{"images": [', "not JSON"),
        (b"\xff\xfe\xfa", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[1, 2]", "holds a list, not a JSON object"),
        (b"\x1f\x8b\x08\x00broken", "damaged gzip"),
    ],
)
def test_a_file_that_is_no_coco_file_says_so_in_one_line(tmp_path, content, expected):
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(AnnotationError) as error:
        read_coco(path)
    assert str(path) in str(error.value)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_says_so_in_one_line(tmp_path):
    with pytest.raises(AnnotationError, match=r"nowhere\.json: no such file; check the path"):
        read_coco(tmp_path / "nowhere.json")
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_coco(tmp_path)


def _drop(section, row, key):
    return lambda document: document[section][row].pop(key)


def _set(section, row, key, value):
    return lambda document: document[section][row].__setitem__(key, value)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda document: document.pop("annotations"), "section missing.*'annotations'"),
        (lambda document: document.update(images={}), "section is not a list.*'images'"),
        (lambda document: document["images"].append(3), r"not an object.*images\[3\]"),
        (_drop("images", 1, "width"), r"no key 'width', add it: images\[1\] \(id 2\)"),
        (_drop("images", 1, "id"), r"no key 'id', add it: images\[1\]"),
        (_drop("annotations", 2, "bbox"), r"no key 'bbox', add it: annotations\[2\] \(id 3\)"),
        (_drop("categories", 1, "name"), r"no key 'name', add it: categories\[1\] \(id 1\)"),
        (_set("images", 1, "id", 1), r"id used twice.*images\[1\] \(id 1\)"),
        (_set("annotations", 1, "id", 1), r"id used twice.*annotations\[1\] \(id 1\)"),
        (_set("categories", 1, "id", 0), r"id used twice.*categories\[1\] \(id 0\)"),
        (_set("annotations", 0, "id", "1"), r"id is not a whole number.*annotations\[0\].*'1'"),
        (_set("annotations", 0, "id", 2**63), "id is not a whole number"),
        (_set("annotations", 0, "id", True), "id is not a whole number.*True"),
        (_set("annotations", 0, "image_id", 9), r"unknown image_id.*annotations\[0\].*has 9"),
        (_set("annotations", 0, "category_id", 9), r"unknown category_id.*annotations\[0\].*has 9"),
        (_set("annotations", 0, "image_id", None), "image_id is not a whole number.*None"),
        (_set("annotations", 0, "bbox", [1, 2, 3]), "bbox is not four finite numbers"),
        (_set("annotations", 0, "bbox", [1, 2, 3, "4"]), "bbox is not four finite numbers"),
        (_set("annotations", 0, "bbox", [1, 2, 3, float("nan")]), "bbox is not four.*nan"),
        (_set("annotations", 0, "bbox", [1e308, 2, 1e308, 3]), "bbox is not four finite"),
        (_set("annotations", 0, "bbox", [10**400, 2, 3, 4]), "bbox is not four finite"),
        (_set("annotations", 0, "bbox", None), "bbox is not four finite numbers"),
        (_set("annotations", 0, "area", "big"), "area is not a finite number"),
        (_set("annotations", 0, "area", float("inf")), "area is not a finite number"),
        (_set("annotations", 0, "iscrowd", 2), "iscrowd is neither 0 nor 1"),
        (_set("annotations", 0, "score", 1.5), "score is not a number from 0 to 1"),
        (_set("annotations", 0, "score", None), "score is not a number from 0 to 1"),
        (_set("annotations", 0, "segmentation", "x"), "segmentation is neither"),
        (_set("annotations", 0, "segmentation", [[1, 2, 3]]), "segmentation is neither"),
        (_set("annotations", 0, "segmentation", [[1, 2, 3, "4"]]), "segmentation is neither"),
        (_set("annotations", 0, "segmentation", {"counts": "x"}), "segmentation is neither"),
        (
            _set("annotations", 3, "segmentation", {"size": [2, 2], "counts": "22"}),
            "RLE of another size.*2 x 2 on 8 x 6",
        ),
        (_set("annotations", 0, "__absent__", []), "'__absent__' is reserved"),
        (_set("images", 0, "width", 0), r"width is not positive.*images\[0\] \(id 1\) has 0"),
        (_set("images", 0, "height", -3), "height is not positive.*has -3"),
        (_set("images", 0, "height", 3.5), "height is not a whole number.*has 3.5"),
        (_set("images", 0, "group", []), "group is neither text nor a whole number"),
        (_set("images", 0, "file_name", 5), "file_name is not text"),
        (_set("images", 0, "group", "\ud800"), "group is neither text nor a whole number"),
        (_set("categories", 0, "name", "\ud800"), r"name is not text.*has '\\ud800'"),
        (_set("categories", 0, "supercategory", "\ud800"), "supercategory is not text"),
        (_set("images", 0, "file_name", ""), "leaves the image folder"),
        (_set("images", 0, "file_name", "/etc/passwd"), "leaves the image folder"),
        (_set("images", 0, "file_name", "../a.jpg"), "leaves the image folder"),
        (_set("images", 0, "file_name", "a/../../b.jpg"), "leaves the image folder"),
        (_set("images", 0, "file_name", "a/../b.jpg"), "leaves the image folder"),
        (_set("images", 0, "file_name", "..\\a.jpg"), "leaves the image folder"),
        (_set("images", 0, "file_name", "C:\\a.jpg"), "leaves the image folder"),
        (_set("categories", 0, "supercategory", 4), "supercategory is not text"),
    ],
)
def test_a_malformed_document_names_place_fault_and_file_in_one_line(document, spoil, expected):
    spoil(document)
    with pytest.raises(AnnotationError, match=expected) as error:
        from_coco(document, where="bad.json")
    assert str(error.value).startswith("bad.json: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a..b.jpg", "a:b.jpg", "..a.jpg"])
def test_file_names_that_stay_in_the_folder_are_fine(document, name):
    document["images"][0]["file_name"] = name
    assert from_coco(document, where="a.json").images["file_name"].iloc[0] == name


def test_all_faults_are_counted_and_the_first_few_named(document):
    for annotation in document["annotations"]:
        annotation["image_id"] = 77
    document["images"][0]["width"] = -1
    with pytest.raises(AnnotationError) as error:
        from_coco(document, where="bad.json")
    message = str(error.value)
    assert message.startswith("bad.json: 6 faults: ")
    assert "1 x width is not positive" in message
    assert "5 x unknown image_id" in message
    assert "annotations[2] (id 3) has 77, ..." in message
    assert "annotations[3]" not in message


@pytest.mark.skipif("TACO_ROOT" not in os.environ, reason="TACO_ROOT does not name the TACO data")
def test_taco_comes_back_as_it_was(tmp_path):
    path = Path(os.environ["TACO_ROOT"]) / "annotations.json"
    write_coco(read_coco(path), tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_bytes()) == json.loads(path.read_bytes())


def _grouped(*groups):
    """Images 1, 2, ...; one that is given `...` says nothing of a group."""
    images = [
        {"id": own, "file_name": f"{own}.png", "width": 8, "height": 6}
        | ({} if group is ... else {"group": group})
        for own, group in enumerate(groups, 1)
    ]
    return {"images": images, "annotations": [], "categories": []}


@pytest.mark.parametrize("nothing", [..., None, "", "  "])
@pytest.mark.parametrize("group", [2, "2"])
def test_no_group_means_a_group_of_its_own(nothing, group):
    document = _grouped(group, nothing, nothing)
    annotations = from_coco(document, where="test")
    assert annotations.images["group"].tolist() == ["2", "image 2", "3"]
    assert to_coco(annotations) == document


def test_an_image_that_says_its_own_number_is_in_the_group_of_that_name():
    document = _grouped(2, "2", 2, ...)
    annotations = from_coco(document, where="test")
    assert annotations.images["group"].tolist() == ["2", "2", "2", "4"]
    assert to_coco(annotations) == document


@pytest.mark.parametrize("first", [..., None, "1"])
@pytest.mark.parametrize("name", ["1", "image 1"])
def test_images_that_were_put_into_one_group_are_read_back_in_it(first, name):
    document = _grouped(first, ..., "1" if name == "image 1" else ...)
    annotations = from_coco(document, where="test")
    annotations.images.loc[[0, 1], "group"] = name
    again = from_coco(to_coco(annotations), where="test").images["group"]
    assert again.tolist() == annotations.images["group"].tolist()


def test_a_name_that_is_taken_twice_is_left_alone():
    document = _grouped(3, "image 3", ...)
    annotations = from_coco(document, where="test")
    assert annotations.images["group"].nunique() == 3
    assert to_coco(annotations) == document


def test_ids_that_occur_twice_name_the_option_that_helps(document):
    document["annotations"][1]["id"] = document["annotations"][0]["id"]
    with pytest.raises(AnnotationError, match="duplicate_ids: renumber"):
        from_coco(document, where="test")
