"""Labels of whole pictures: class folders and CSV files."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import yaml
from kedro.io import DataCatalog, DatasetError
from kedro.pipeline import Pipeline, node
from PIL import Image

from recycling.annotations import BOX, AnnotationError, Annotations
from recycling.annotations.formats.class_labels import (
    attributes_of,
    read_class_csv,
    read_class_folders,
)
from recycling.splitting import Folds
from recycling.typed import GraphTypeError, check_types


def draw(path: Path, size: tuple[int, int] = (8, 6), seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folders(tmp_path) -> Path:
    """Two pictures of letters, 8 x 6 pixels, one of an invoice, 5 x 9 pixels."""
    for number, name in enumerate(["letter/b.png", "letter/a.jpg"]):
        draw(tmp_path / "root" / name, seed=number)
    draw(tmp_path / "root/invoice/a.png", (5, 9), seed=2)
    return tmp_path / "root"


@pytest.fixture
def faces(tmp_path) -> Path:
    """A CSV file of three faces in `images`, with two columns of labels."""
    for number in (1, 2, 3):
        draw(tmp_path / f"images/{number}.png", seed=number)
    path = tmp_path / "faces.csv"
    path.write_text(
        "file_name,mask,age,person\n1.png,worn,old,ann\n2.png,none,young,bob\n3.png,worn,young,ann\n"
    )
    return path


def labels_of(annotations: Annotations) -> dict[str, str]:
    """The class of each picture, by file name."""
    names = annotations.categories.set_index("category_id")["name"]
    files = annotations.images.set_index("image_id")["file_name"]
    table = annotations.annotations
    return dict(zip(table["image_id"].map(files), table["category_id"].map(names), strict=True))


def refused(read, *arguments, **settings) -> str:
    with pytest.raises(AnnotationError) as error:
        read(*arguments, **settings)
    assert "\n" not in str(error.value)
    return str(error.value)


# Class folders ----------------------------------------------------------------------------------


def test_each_picture_of_a_class_folder_is_one_box_as_large_as_the_picture(folders):
    found = read_class_folders(folders)
    assert labels_of(found) == {
        "invoice/a.png": "invoice",
        "letter/a.jpg": "letter",
        "letter/b.png": "letter",
    }
    assert found.annotations[BOX].to_numpy().tolist() == [[0, 0, 5, 9], [0, 0, 8, 6], [0, 0, 8, 6]]
    assert found.annotations["area"].tolist() == [45, 48, 48]
    assert found.images[["width", "height"]].to_numpy().tolist() == [[5, 9], [8, 6], [8, 6]]
    assert found.images["group"].nunique() == 3


def test_a_picture_that_a_viewer_turns_has_the_size_that_the_viewer_shows(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "cat").mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "cat/a.jpg", exif=exif)
    found = read_class_folders(tmp_path)
    assert found.annotations[BOX].to_numpy().tolist() == [[0, 0, 6, 8]]


def test_classes_can_be_given_in_an_order_and_without_pictures(folders):
    found = read_class_folders(folders, classes=["letter", "passport", "invoice"])
    assert found.categories["name"].tolist() == ["letter", "passport", "invoice"]
    assert sorted(found.annotations["category_id"]) == [0, 0, 2]


def test_classes_that_are_numbers_are_in_the_order_of_numbers(tmp_path):
    for name in ("10", "2", "1"):
        draw(tmp_path / name / "a.png")
    assert read_class_folders(tmp_path).categories["name"].tolist() == ["1", "2", "10"]


def test_classes_that_are_numbers_of_thousands_of_digits_are_in_order_too(faces):
    names = ["9" * 5000, "07", "1" + "0" * 5000]
    rows = [f"{number}.png,{name}" for number, name in enumerate(names, 1)]
    faces.write_text("\n".join(["file_name,label", *rows]))
    read = read_class_csv(faces, faces.parent / "images")
    assert read.categories["name"].tolist() == [names[1], names[0], names[2]]


def test_hidden_files_are_of_no_concern(folders):
    (folders / "letter/.DS_Store").write_text("")
    (folders / ".cache").mkdir()
    (folders / "README.md").write_text("")
    assert len(read_class_folders(folders).images) == 3


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (
            lambda root: (root / "passport").mkdir(),
            "1 fault: 1 x a class folder without an image, fill or remove it: passport",
        ),
        (
            lambda root: (root / "letter/c.png").write_bytes(b"no picture"),
            "1 fault: 1 x the image cannot be read, replace it: letter/c.png",
        ),
        (
            lambda root: (root / "letter/c.txt").write_text(""),
            r"1 x not an image \(.*\), take it out: letter/c.txt",
        ),
        (lambda root: draw(root / "c.png"), "an image beside the class folders, put it .*: c.png"),
        (
            lambda root: draw(root / "letter/more/c.png"),
            "a folder in a class folder, .*: letter/more",
        ),
    ],
)
def test_a_fault_of_a_class_folder_is_one_line_that_names_the_file(folders, break_it, message):
    break_it(folders)
    error = refused(read_class_folders, folders)
    assert error.startswith(f"{folders}: 1 fault: 1 x ")
    assert re.search(message, error)


def test_folders_that_hold_no_classes_are_refused(tmp_path, folders):
    assert "no such folder" in refused(read_class_folders, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "holds no class folder" in refused(read_class_folders, tmp_path / "empty")
    error = refused(read_class_folders, folders, classes=["letter"])
    assert "a folder of no class, add it to classes or remove it: invoice" in error
    error = refused(read_class_folders, folders, classes=["letter", "letter"])
    assert "'letter' occurs twice" in error


# CSV --------------------------------------------------------------------------------------------


def test_one_column_of_labels_makes_a_class_of_each_value(faces):
    found = read_class_csv(faces, faces.parent / "images", labels=["mask"])
    assert labels_of(found) == {"1.png": "worn", "2.png": "none", "3.png": "worn"}
    assert found.categories["name"].tolist() == ["none", "worn"]
    assert found.annotations[BOX].to_numpy().tolist() == [[0, 0, 8, 6]] * 3


def test_several_columns_make_a_class_of_each_combination(faces):
    found = read_class_csv(
        faces, faces.parent / "images", labels=["mask", "age"], values={"age": ["young", "old"]}
    )
    classes = ["none/young", "none/old", "worn/young", "worn/old"]
    assert found.categories["name"].tolist() == classes
    assert set(found.categories["supercategory"]) == {"mask/age"}
    assert labels_of(found) == {"1.png": "worn/old", "2.png": "none/young", "3.png": "worn/young"}
    assert attributes_of(classes, ["mask", "age"])["age"].tolist() == ["young", "old"] * 2


def test_pictures_of_one_person_are_a_group_and_other_columns_are_kept(faces):
    found = read_class_csv(faces, faces.parent / "images", labels=["mask"], group="person")
    assert found.images["group"].tolist() == ["ann", "bob", "ann"]
    assert json.loads(found.annotations["extra"].iloc[0]) == {"attributes": {"age": "old"}}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "4.png,worn,old,ann",
            "no such file in .*images, correct the name or add it: line 5 .4.png",
        ),
        ("bad.png,worn,old,ann", "the image cannot be read, replace it: line 5 .bad.png"),
        ("1.png,worn,old,ann", "twice in the file, keep one row: line 5 .1.png"),
        ("./1.png,none,old,ann", "two labels for one image, keep one row: line 5 .1.png"),
        ("1.png,,old,ann", "no label, add its mask: line 5"),
        ("1.png,maybe,old,ann", "mask 'maybe' is none of its values, correct it: line 5"),
        (",worn,old,ann", "no file_name, add it: line 5"),
        ("1.png,worn,old", "not as many fields as the header's 4, correct it: line 5 .3."),
        ("../faces.csv,worn,old,ann", "the file name leaves the image folder, .*: line 5"),
    ],
)
def test_a_fault_of_a_row_is_one_line_that_names_file_and_row(faces, row, message):
    (faces.parent / "images/bad.png").write_bytes(b"no picture")
    faces.write_text(f"{faces.read_text()}{row}\n")
    values = {"mask": ["none", "worn"]}
    error = refused(read_class_csv, faces, faces.parent / "images", labels=["mask"], values=values)
    assert error.startswith(f"{faces}: 1 fault: 1 x ")
    assert re.search(message, error)


def test_all_faults_are_told_at_once(faces):
    faces.write_text(f"{faces.read_text()}5.png,worn,old,ann\n6.png,worn,old,ann\n1.png,,old,ann\n")
    error = refused(read_class_csv, faces, faces.parent / "images", labels=["mask"])
    assert ": 3 faults: " in error
    assert "2 x no such file" in error


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("", {}, "the file is empty; it has not even a header"),
        ("file_name,label\n", {}, "there is no row below the header; add the images"),
        ("file,label\n1.png,a\n", {}, "no column 'file_name'; the header is file,label"),
        ("file_name,label,label\n1.png,a,b\n", {}, "columns: 'label' occurs twice"),
        ("file_name,label\n1.png,a\n", {"values": {"age": ["old"]}}, "values of 'age' are given"),
        ("file_name,label\n1.png,a\n", {"labels": []}, "labels is empty; name a column of labels"),
        ("file_name,a,b\n1.png,x/y,z\n", {"labels": ["a", "b"]}, "a: the label 'x/y' holds '/'"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(faces, text, settings, message):
    faces.write_text(text)
    assert message in refused(read_class_csv, faces, faces.parent / "images", **settings)


@pytest.mark.parametrize("text", ["file_name,label\n{},a\n", "{},label\n1.png,a\n"])
def test_a_name_that_is_too_long_for_a_file_is_one_short_line(faces, text):
    faces.write_text(text.format("a" * 5000 + ".png"))
    assert len(refused(read_class_csv, faces, faces.parent)) < 2000


def test_a_file_that_is_no_csv_is_refused(faces):
    nowhere = faces.with_name("nowhere.csv")
    assert refused(read_class_csv, nowhere, faces.parent) == (
        f"{nowhere}: no such file; check the path"
    )
    faces.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read as CSV in UTF-8" in refused(read_class_csv, faces, faces.parent)


def test_names_of_classes_that_do_not_come_apart_are_refused():
    error = refused(attributes_of, ["worn/old", "worn"], ["mask", "age"])
    assert error.startswith("class 'worn' should be named after 2 values, mask/age; ")


# Through the catalog ----------------------------------------------------------------------------

CATALOG = """
folders:
  type: recycling.datasets.class_labels.ClassFoldersDataset
  filepath: {root}/root
  classes: [letter, invoice]
csv:
  type: recycling.datasets.class_labels.ClassCsvDataset
  filepath: {root}/faces.csv
  images: images
  labels: [mask, age]
  group: person
  values: {{age: [young, old]}}
"""


@pytest.fixture
def catalog(tmp_path, folders, faces) -> DataCatalog:
    return DataCatalog.from_config(yaml.safe_load(CATALOG.format(root=tmp_path)))


def test_both_are_entries_of_the_catalog_in_the_place_of_a_coco_file(catalog):
    assert catalog.exists("folders")
    assert labels_of(catalog.load("folders"))["letter/a.jpg"] == "letter"
    assert labels_of(catalog.load("csv"))["1.png"] == "worn/old"


def test_an_entry_whose_file_is_not_there_or_that_is_written_is_an_error(tmp_path, catalog):
    with pytest.raises(DatasetError, match="only reads"):
        catalog.save("csv", catalog.load("csv"))
    (tmp_path / "faces.csv").unlink()
    assert not catalog.exists("csv")
    with pytest.raises(DatasetError, match=r"faces.csv: not there"):
        catalog.load("csv")


@pytest.mark.parametrize("entry", ["folders", "csv"])
def test_the_graph_knows_what_they_load(catalog, entry):
    def count(annotations: Annotations) -> int:
        return len(annotations.images)

    def split(folds: Folds) -> int:
        return len(folds)

    assert check_types(Pipeline([node(count, entry, "n")]), catalog)
    with pytest.raises(GraphTypeError, match="Folds"):
        check_types(Pipeline([node(split, entry, "n")]), catalog)


def test_file_names_spelt_in_another_way_are_found_and_said(tmp_path, caplog):
    draw(tmp_path / "images/sub/a.png")
    (tmp_path / "a.csv").write_text("file_name,label\nsub\\A.PNG,can\n")
    found = read_class_csv(tmp_path / "a.csv", tmp_path / "images")
    assert found.images["file_name"].tolist() == ["sub/a.png"]
    assert "1 file names are spelt in another way" in caplog.text


def test_a_picture_without_a_group_joins_none_that_is_called_like_its_number():
    from recycling.annotations.formats.found_images import FoundImage, as_annotations

    images = [FoundImage("a", (4, 4), [], "2"), FoundImage("b", (4, 4), [])]
    assert as_annotations(images, {}, where="test", source="human").images["group"].tolist() == [
        "2",
        "image 2",
    ]


def test_a_class_is_one_in_whatever_form_its_name_is(tmp_path, faces):
    nfd, nfc = (unicodedata.normalize(form, "캔") for form in ("NFD", "NFC"))
    draw(tmp_path / "root" / nfd / "a.png")
    (image,) = read_class_folders(tmp_path / "root", classes=[nfc]).images["file_name"]
    assert image == f"{nfd}/a.png"
    assert labels_of(read_class_folders(tmp_path / "root")) == {f"{nfd}/a.png": nfc}
    faces.write_text(f"file_name,label\n1.png,{nfd}\n2.png,{nfc}\n")
    found = read_class_csv(faces, tmp_path / "images")
    assert found.categories["name"].tolist() == [nfc]
    found = read_class_csv(faces, tmp_path / "images", values={"label": [nfd]})
    assert found.annotations["category_id"].tolist() == [0, 0]


def test_two_folders_of_one_class_are_a_fault(tmp_path):
    for form in ("NFD", "NFC"):
        draw(tmp_path / "root" / unicodedata.normalize(form, "캔") / "a.png")
    told = refused(read_class_folders, tmp_path / "root")
    assert "1 x two folders of one class, make them one: '캔' (decomposed, NFD) and '캔'" in (
        unicodedata.normalize("NFC", told)
    )
