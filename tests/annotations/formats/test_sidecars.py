"""What holds for every format of one annotation file an image."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotations.sidecar_cases import TRIANGLE, coco, draw, draw_one, vertices
from recycling.annotations import (
    AnnotationError,
    Annotations,
    annotation_mask,
    mask_to_segmentation,
    read_pascal_voc,
    read_yolo,
    write_pascal_voc,
    write_yolo,
)


@dataclass
class Format:
    suffix: str
    read: Callable[[Path, Path], Annotations]
    write: Callable[[Annotations, Path], None]


FORMATS = {
    "voc": Format(".xml", read_pascal_voc, write_pascal_voc),
    "yolo": Format(
        ".txt",
        lambda labels, images: read_yolo(labels, images, labels.parent / "data.yaml"),
        lambda annotations, labels: write_yolo(annotations, labels, labels.parent / "data.yaml"),
    ),
}


@pytest.fixture(params=FORMATS)
def form(request) -> Format:
    return FORMATS[request.param]


@pytest.fixture
def labels(tmp_path) -> Path:
    return tmp_path / "labels"


@pytest.fixture
def images(tmp_path) -> Path:
    return tmp_path / "images"


def refused(action: Callable, *arguments) -> str:
    with pytest.raises(AnnotationError) as error:
        action(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_images_and_annotations_are_numbered_by_name_whatever_their_order(form, labels, images):
    document = coco(
        {"image_id": 1, "category_id": 3},
        {"image_id": 2, "bbox": [0, 0, 2, 2]},
        {"image_id": 1, "category_id": 2},
        names=("z.png", "b/z.png", "a.png"),
    )
    form.write(document, labels)
    back = form.read(labels, draw(images, document))
    assert back.images["file_name"].tolist() == ["a.png", "b/z.png", "z.png"]
    assert back.images["image_id"].tolist() == [1, 2, 3]
    assert back.images["group"].tolist() == ["1", "2", "3"]
    assert back.annotations["annotation_id"].tolist() == [1, 2, 3]
    assert back.annotations["image_id"].tolist() == [2, 3, 3]
    names = back.categories.set_index("category_id")["name"]
    assert names[back.annotations["category_id"]].tolist() == ["Glass", "Metal", "Paper"]


def test_areas_are_those_of_masks_and_of_boxes_without_one(form, labels, images):
    square = [0.0, 0.0, 4.0, 0.0, 4.0, 4.0, 0.0, 4.0]
    document = coco(
        {"area": 99, "bbox": [0, 0, 4, 4], "segmentation": [square]},
        {"area": 99, "bbox": [1, 1, 4, 3]},
    )
    form.write(document, labels)
    areas = form.read(labels, draw(images, document)).annotations["area"].tolist()
    assert areas == pytest.approx([16, 12], rel=1e-4)


@pytest.mark.parametrize("missing", ["labels", "images"])
def test_a_folder_that_is_missing_or_empty_is_named(form, labels, images, missing):
    document = coco({})
    form.write(document, labels)
    draw(images, document)
    folder = {"labels": labels, "images": images}[missing]
    for path in folder.iterdir():
        path.unlink()
    assert f"{folder}: the " in refused(form.read, labels, images)
    folder.rmdir()
    assert f"{folder}: no such " in refused(form.read, labels, images)


def test_a_file_without_an_image_is_not_dropped_in_silence(form, labels, images):
    document = coco({}, names=("a.png", "b/c.png"))
    form.write(document, labels)
    draw_one(images / "a.png", (8, 6))
    line = refused(form.read, labels, images)
    assert str(labels) in line
    assert f"b/c{form.suffix}" in line
    assert "no image" in line


def test_two_images_cannot_share_a_file(form, labels, images):
    form.write(coco({}), labels)
    for name in ("a.png", "a.jpg"):
        draw_one(images / name, (8, 6))
    assert "a.jpg and a.png" in refused(form.read, labels, images)
    both = coco({}, names=("b/a.png", "b/a.jpg"))
    line = refused(form.write, both, labels.with_name("new"))
    assert "b/a.png" in line
    assert "b/a.jpg" in line
    assert not labels.with_name("new").exists()


def test_an_image_without_a_file_holds_nothing_and_is_warned_of(form, labels, images, caplog):
    form.write(coco({}), labels)
    for name in ("a.png", "b.png", "c.png"):
        draw_one(images / name, (7, 5))
    back = form.read(labels, images)
    assert back.annotations["image_id"].tolist() == [1]
    assert back.images[["width", "height"]].to_numpy().tolist()[1:] == [[7, 5], [7, 5]]
    assert "2 of 3 images have no" in caplog.text
    assert "b.png" in caplog.text


def test_an_image_with_nothing_on_it_comes_back_without_a_warning(form, labels, images, caplog):
    document = coco({"image_id": 2}, names=("a.png", "b.png"))
    form.write(document, labels)
    caplog.clear()
    back = form.read(labels, draw(images, document))
    assert len(back.images) == 2
    assert back.annotations["image_id"].tolist() == [2]
    assert caplog.text == ""


def test_all_that_a_format_cannot_hold_is_said_in_one_warning(form, labels, caplog):
    document = coco(
        {"segmentation": {"size": [6, 8], "counts": [0, 6, 42]}, "iscrowd": 1},
        {"score": 0.5, "source": "pseudo"},
        {"segmentation": {"size": [6, 8], "counts": [6, 12, 30]}, "mood": "blue"},
        info={"year": 2021},
    )
    document.images["group"] = "shot"
    document.categories["supercategory"] = "Waste"
    form.write(document, labels)
    assert len(caplog.records) == 1
    for part in (
        "1 crowd regions (left out)",
        "1 pseudo-label marks",
        "1 scores",
        "1 groups",
        "3 supercategories",
        "1 RLEs (now contours)",
        "1 annotations with keys of their own",
        "1 keys of the file",
        "2 annotation ids",
    ):
        assert part in caplog.text
    assert "image ids" not in caplog.text


def test_crowd_regions_are_left_out(form, labels, images):
    document = coco({"iscrowd": 1}, {"bbox": [0, 0, 2, 2]})
    form.write(document, labels)
    back = form.read(labels, draw(images, document))
    assert back.annotations[["x_max", "y_max"]].to_numpy().tolist() == [
        pytest.approx([2, 2], abs=1e-3)
    ]


def test_an_rle_becomes_an_outline_along_the_edges_of_its_pixels(form, labels, images):
    mask = np.zeros((12, 16), dtype=bool)
    mask[1:11, 2:14] = True
    mask[4:7, 5:9] = False  # a hole, which is joined to the outline by a seam of no area
    mask[8:11, 10:14] = False
    document = coco({"bbox": [2, 1, 12, 10]}, size=(16, 12))
    document.annotations["segmentation"] = mask_to_segmentation(mask)
    form.write(document, labels)
    back = form.read(labels, draw(images, document))
    (text,) = back.annotations["segmentation"]
    assert len(vertices(text)) == 1
    np.testing.assert_array_equal(annotation_mask(text, [], 12, 16), mask)
    found = back.annotations[["x_min", "y_min", "x_max", "y_max"]].to_numpy().tolist()
    assert found == [pytest.approx([2, 1, 14, 11], abs=1e-3)]


def test_an_rle_of_no_pixels_is_written_as_its_box(form, labels, images):
    document = coco({"segmentation": {"size": [6, 8], "counts": [48]}, "bbox": [0, 0, 4, 3]})
    form.write(document, labels)
    back = form.read(labels, draw(images, document)).annotations
    assert back[["x_min", "y_min", "x_max", "y_max"]].to_numpy().tolist() == [[0, 0, 4, 3]]
    assert back["segmentation"].isna().all()


def test_a_table_that_breaks_its_schema_is_not_written(form, labels):
    document = coco({}, names=("a.png", "b.png"))
    document.images["image_id"] = [1, 1]
    assert "row 1: image_id occurs a second time" in refused(form.write, document, labels)
    assert not labels.exists()


def test_a_damaged_rle_is_named_and_nothing_is_written(form, labels):
    document = coco({})
    document.annotations["segmentation"] = '{"size":[6,8],"counts":[1]}'
    assert "annotation 1: segmentation is an RLE" in refused(form.write, document, labels)
    assert not labels.exists()
    assert [path.name for path in labels.parent.iterdir()] == []


def test_a_box_without_area_is_not_written(form, labels):
    line = refused(form.write, coco({"bbox": [1, 1, 0, 3]}, {"bbox": [1, 1, 3, -1]}), labels)
    assert "2 x " in line
    assert "annotation 1, annotation 2" in line
    assert not labels.exists()


def test_annotations_of_unknown_images_or_categories_are_not_dropped(form, labels):
    document = coco({})
    document.annotations["image_id"] = 9
    assert "unknown image_id" in refused(form.write, document, labels)
    document = coco({})
    document.annotations["category_id"] = 9
    assert "unknown category_id" in refused(form.write, document, labels)


def test_nothing_is_written_outside_the_folder(form, labels):
    document = coco({})
    document.images["file_name"] = "../a.png"
    assert "leaves the image folder" in refused(form.write, document, labels)
    assert not labels.exists()


def test_a_folder_is_replaced_as_a_whole(form, labels):
    form.write(coco({}, names=("a.png", "b/c.png")), labels)
    form.write(coco({}, names=("d.png",)), labels)
    assert [path.name for path in labels.rglob("*")] == [f"d{form.suffix}"]
    assert not [path for path in labels.parent.iterdir() if path.name.startswith(".")]


def test_a_refused_write_keeps_what_was_there(form, labels):
    form.write(coco({}), labels)
    before = (labels / f"a{form.suffix}").read_text()
    bad = coco({}, {})
    bad.annotations["segmentation"] = [None, '{"size":[6,8],"counts":[1]}']
    refused(form.write, bad, labels)
    assert (labels / f"a{form.suffix}").read_text() == before


def test_files_of_others_are_never_deleted(form, labels):
    labels.mkdir()
    draw_one(labels / "a.png", (8, 6))
    assert "a.png" in refused(form.write, coco({}), labels)
    assert [path.name for path in labels.iterdir()] == ["a.png"]
    (labels.parent / "file").write_text("mine")
    assert "is a file" in refused(form.write, coco({}), labels.parent / "file")


def test_the_same_annotations_give_the_same_bytes(form, tmp_path):
    document = coco({"segmentation": [TRIANGLE]}, {}, names=("b.png", "a.png"))
    contents = []
    for name in ("one", "two"):
        form.write(document, tmp_path / name)
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]


def test_a_picture_turned_by_exif_has_the_size_that_a_viewer_shows(form, labels, images):
    form.write(coco({}), labels)
    turned = Image.Exif()
    turned[0x0112] = 6
    draw_one(images / "a.png", (8, 6))
    draw_one(images / "b.jpg", (9, 5), exif=turned)
    back = form.read(labels, images).images
    assert back[["width", "height"]].to_numpy().tolist() == [[8, 6], [5, 9]]


def test_every_picture_that_cannot_be_read_is_named(form, labels, images):
    form.write(coco({}), labels)
    draw_one(images / "a.png", (8, 6))
    (images / "b.png").write_bytes(b"no picture")
    (images / "c.png").write_bytes(b"")
    line = refused(form.read, labels, images)
    assert "2 x the image cannot be read" in line
    assert "b.png, c.png" in line


def test_annotations_can_be_marked_as_pseudo_labels(labels, images):
    document = coco({})
    draw(images, document)
    write_pascal_voc(document, labels)
    voc = read_pascal_voc(labels, images, source="pseudo")
    data_yaml = labels.with_name("data.yaml")
    write_yolo(document, labels.with_name("yolo"), data_yaml)
    yolo = read_yolo(labels.with_name("yolo"), images, data_yaml, source="pseudo")
    assert [*voc.annotations["source"], *yolo.annotations["source"]] == ["pseudo", "pseudo"]


def test_files_that_an_operating_system_puts_there_are_passed_over_with_a_count(
    form, labels, images, caplog
):
    document = coco({})
    form.write(document, labels)
    draw(images, document)
    for path in (images / "._a.png", labels / f"._a{form.suffix}", labels / ".DS_Store"):
        path.write_bytes(b"\x00\x05\x16\x07")
    assert len(form.read(labels, images).annotations) == 1
    said = [record.getMessage() for record in caplog.records]
    assert f"{images}: 1 files that an operating system put there are passed over: ._a.png" in said
    assert any(line.startswith(f"{labels}: 2 files that an operating") for line in said)
    form.write(document, labels)  # such files are no reason to refuse either
    assert len(form.read(labels, images).annotations) == 1


@pytest.mark.parametrize("form_of_name", ["NFC", "NFD"])
def test_a_file_goes_with_the_image_whose_name_is_spelt_otherwise(
    form, labels, images, form_of_name, caplog
):
    other = {"NFC": "NFD", "NFD": "NFC"}[form_of_name]
    document = coco({}, names=(unicodedata.normalize(form_of_name, "캔.png"), "b.png"))
    form.write(document, labels)
    written = labels / unicodedata.normalize(form_of_name, f"캔{form.suffix}")
    written.rename(labels / unicodedata.normalize(other, f"캔{form.suffix}"))
    found = form.read(labels, draw(images, document))
    name = found.images.set_index("image_id")["file_name"][found.annotations["image_id"].iloc[0]]
    assert name == document.images["file_name"].iloc[0]
    assert "1 names of images are spelt in another way" in caplog.text


def test_two_files_of_one_image_are_a_fault(form, labels, images):
    document = coco({}, names=("a.png", "b.png"))
    form.write(document, labels)
    draw(images, document)
    (labels / f"b{form.suffix}").rename(labels / f"A{form.suffix}")
    assert "two annotation files of one image" in refused(form.read, labels, images)
