"""Nothing outside of the folders that a user names is read, whatever files of theirs say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from recycling.annotations import (
    AnnotationError,
    ImageFolder,
    check_images,
    read_coco,
    read_pascal_voc,
    read_tables,
    read_yolo,
    write_tables,
)
from recycling.annotations.formats.class_labels import read_class_csv, read_class_folders
from recycling.annotations.formats.recognise import recognise
from recycling.annotations.formats.unlabelled_images import read_unlabelled_images
from recycling.annotations.images.found_files import files_below
from recycling.limits import Limits, set_limits

VOC = "<annotation><object><name>cup</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax>"
VOC += "<ymax>3</ymax></bndbox></object></annotation>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images and labels; beside the folder, an image and a label that are none of its business."""
    folder = tmp_path / "given"
    for path in ("images/cup/a.png", "../secret/b.png"):
        (folder / path).parent.mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(folder / path)
    (folder / "labels/cup").mkdir(parents=True)
    (folder / "labels/cup/a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (folder / "labels/cup/a.xml").write_text(VOC)
    (folder / "data.yaml").write_text("names: [cup]\n")
    (tmp_path / "secret/b.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "secret/b.xml").write_text(VOC)
    return folder


def read_named_coco(folder: Path, name: str) -> Any:
    images = [{"id": 1, "file_name": name, "width": 9, "height": 9}]
    path = folder / "a.json"
    path.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    tables = read_coco(path)
    return check_images(tables.images, ImageFolder(folder / "images"))


def read_named_csv(folder: Path, name: str) -> Any:
    (folder / "a.csv").write_text(f"file_name,label\n{name},cup\n")
    return read_class_csv(folder / "a.csv", folder / "images")


def read_named_unlabelled(folder: Path, name: str) -> Any:
    (folder / "a.csv").write_text(f"file_name\n{name}\n")
    return read_unlabelled_images(folder / "images", names=folder / "a.csv")


def read_named_tables(folder: Path, name: str) -> Any:
    path = folder / "a.json"
    images = [{"id": 1, "file_name": "a.png", "width": 9, "height": 9}]
    path.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    tables = read_coco(path)
    tables.images["file_name"] = name
    write_tables(tables, folder / "tables")
    return read_tables(folder / "tables")


NAMING: dict[str, Callable[[Path, str], Any]] = {
    "COCO": read_named_coco,
    "CSV": read_named_csv,
    "Parquet": read_named_tables,
    "unlabelled": read_named_unlabelled,
}

LISTING: dict[str, Callable[[Path], Any]] = {
    "Pascal VOC": lambda folder: read_pascal_voc(folder / "labels", folder / "images"),
    "YOLO": lambda folder: read_yolo(folder / "labels", folder / "images", folder / "data.yaml"),
    "class folders": lambda folder: read_class_folders(folder / "images"),
    "recognised": recognise,
    "unlabelled": lambda folder: read_unlabelled_images(folder / "images"),
}


@pytest.mark.parametrize("reader", NAMING)
@pytest.mark.parametrize(
    "name", ["../../secret/b.png", "cup/../../../secret/b.png", "..\\..\\secret\\b.png", "{}/b.png"]
)
def test_a_name_that_leaves_the_folder_is_refused(reader: str, name: str, folder: Path) -> None:
    name = name.format((folder / "../secret").resolve())
    with pytest.raises(AnnotationError) as caught:
        NAMING[reader](folder, name)
    assert "\n" not in str(caught.value)
    assert any(said in str(caught.value) for said in ("leaves the", "no such file"))


@pytest.mark.parametrize("reader", sorted(NAMING.keys() - {"Parquet"}))
@pytest.mark.parametrize(
    ("link", "target"), [("b.png", "b.png"), ("cup/b.png", "b.png"), ("x", "")]
)
def test_a_named_file_that_a_link_leads_out_to_is_refused(
    reader: str, link: str, target: str, folder: Path
) -> None:
    (folder / "images" / link).symlink_to(folder.parent / "secret" / target)
    name = f"{link}/b.png" if target == "" else link
    with pytest.raises(AnnotationError, match="outside of the folder, put the file itself there"):
        NAMING[reader](folder, name)


@pytest.mark.parametrize("reader", LISTING)
@pytest.mark.parametrize(("link", "target"), [("cup/b.png", "b.png"), ("x", "")])
def test_a_link_that_leads_out_is_refused_where_files_are_listed(
    reader: str, link: str, target: str, folder: Path
) -> None:
    (folder / "images" / link).symlink_to(folder.parent / "secret" / target)
    with pytest.raises(AnnotationError, match="outside of the folder, put the file itself there"):
        LISTING[reader](folder)


@pytest.mark.parametrize(("reader", "ending"), [("Pascal VOC", "xml"), ("YOLO", "txt")])
def test_a_label_that_is_a_link_out_of_its_folder_is_refused(
    reader: str, ending: str, folder: Path
) -> None:
    path = folder / f"labels/cup/a.{ending}"
    path.unlink()
    path.symlink_to(folder.parent / f"secret/b.{ending}")
    with pytest.raises(AnnotationError, match=f"outside of the folder, .*: cup/a.{ending}"):
        LISTING[reader](folder)


@pytest.mark.parametrize("reader", LISTING)
def test_a_folder_may_itself_be_a_link_and_so_may_files_that_stay_in_it(
    reader: str, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    (folder / "images/cup/a.png").rename(folder / "images/cup/.real.png")
    (folder / "images/cup/a.png").symlink_to(".real.png")
    assert LISTING[reader](tmp_path / "link")


def test_links_may_lead_anywhere_where_the_limits_say_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECYCLING_LIMITS", "{}")  # put back at the end
    set_limits(Limits(links="anywhere"))
    (folder / "images/x").symlink_to(folder.parent / "secret", target_is_directory=True)
    found = read_unlabelled_images(folder / "images")
    assert found.images["file_name"].tolist() == ["cup/a.png", "x/b.png"]


def test_links_in_circles_end(folder: Path) -> None:
    """Followed as they are, forty of them lead to more paths than there are atoms."""
    for n in range(40):
        for name in "xy":
            (folder / f"images/{name}{n}").symlink_to(folder / "images", target_is_directory=True)
    assert files_below(folder / "images") == ["cup/a.png"]


def test_a_folder_is_listed_by_its_own_name_and_not_by_a_link_to_it(folder: Path) -> None:
    (folder / "images/a link").symlink_to(folder / "images/cup", target_is_directory=True)
    assert files_below(folder / "images") == ["cup/a.png"]
