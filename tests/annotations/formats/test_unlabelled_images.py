"""Images without labels are read from a folder, or from a CSV file that names them."""

import os

import pytest
from PIL import Image

from recycling.annotations import AnnotationError
from recycling.annotations.formats.unlabelled_images import read_unlabelled_images
from recycling.limits import Limits


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    for name, size in (("b.jpg", (40, 30)), ("a.png", (20, 10)), ("more/c.JPG", (8, 9))):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(root / name)
    (root / "._b.jpg").touch()
    (root / "readme.txt").touch()
    return root


def test_a_folder_of_images(folder):
    found = read_unlabelled_images(folder)
    columns = ["image_id", "file_name", "width", "height", "group"]
    assert found.images[columns].to_numpy().tolist() == [
        [1, "a.png", 20, 10, "1"],
        [2, "b.jpg", 40, 30, "2"],
        [3, "more/c.JPG", 8, 9, "3"],
    ]
    assert found.annotations.empty
    assert found.categories.empty


def test_an_image_whose_name_is_not_utf8_is_named(folder):
    (folder / "b.jpg").rename(folder / os.fsdecode(b"\xff.jpg"))
    with pytest.raises(AnnotationError, match=r"'\\udcff.jpg' is not UTF-8 text; rename it"):
        read_unlabelled_images(folder)


def test_classes_may_be_named(folder):
    found = read_unlabelled_images(folder, classes=["blue", "red"])
    assert found.categories[["category_id", "name"]].to_numpy().tolist() == [
        [0, "blue"],
        [1, "red"],
    ]


def test_a_file_gives_images_and_their_order(folder, tmp_path):
    names = tmp_path / "sample_submission.csv"
    names.write_text("ID,target\nmore/c.JPG,0\na.png,0\n")
    found = read_unlabelled_images(folder, names=names, file_name="ID")
    assert found.images["file_name"].tolist() == ["more/c.JPG", "a.png"]


def test_names_spelt_in_another_way_are_found_and_said(folder, tmp_path, caplog):
    names = tmp_path / "names.csv"
    names.write_text("file_name\nmore\\c.jpg\na.png\n")
    found = read_unlabelled_images(folder, names=names)
    assert found.images["file_name"].tolist() == ["more/c.JPG", "a.png"]
    assert "1 file names are spelt in another way" in caplog.text


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ("ImageID\na.png", "no column 'ID'; there are ImageID: set file_name"),
        ("ID\na.png\na.png", "1 fault: 1 x an image is named twice, keep one row: 'a.png'"),
        ("ID\na.png\nA.PNG", "1 fault: 1 x an image is named twice, keep one row: 'A.PNG'"),
        ("ID\nx.png", "1 fault: 1 x no such file in .*images, .*: 'x.png'"),
        ("ID\n../a.png", "1 fault: 1 x the file name leaves the folder"),
        ("ID\nreadme.txt", "1 fault: 1 x the image cannot be read, replace it: 'readme.txt'"),
        ("ID", "there is no image; add some"),
    ],
)
def test_a_faulty_file_is_refused(folder, tmp_path, lines, fault):
    names = tmp_path / "names.csv"
    names.write_text(lines)
    with pytest.raises(AnnotationError, match=f"names.csv: {fault}"):
        read_unlabelled_images(folder, names=names, file_name="ID")


def test_a_folder_that_is_missing_or_holds_no_image_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match="none: no such folder"):
        read_unlabelled_images(tmp_path / "none")
    with pytest.raises(AnnotationError, match="there is no image"):
        read_unlabelled_images(tmp_path)


def test_a_file_of_more_than_its_share_of_bytes_is_refused(folder, tmp_path, monkeypatch):
    names = tmp_path / "names.csv"
    names.write_text("file_name\na.png\n")
    monkeypatch.setenv("RECYCLING_LIMITS", Limits(max_bytes=32 * 10).model_dump_json())
    with pytest.raises(AnnotationError, match=r"names.csv: cannot be read: more than 10 bytes"):
        read_unlabelled_images(folder, names=names)
