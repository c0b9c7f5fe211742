"""What is looked up, chosen and drawn, without a page."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from recycling.annotations import ImageFolder
from recycling.backends.shared.training_log import METRICS, add_line
from recycling.sides import TEST, Side
from recycling.viewer.addresses import Address
from recycling.viewer.confusion import confusion_table
from recycling.viewer.core import ImageSet, ViewerError, chosen_annotations, chosen_images
from recycling.viewer.drawing import annotation_shapes, label_map_png, mask_path, outline_path
from recycling.viewer.images import THUMBNAIL, reduced_image
from recycling.viewer.pages.experiments import training_logs
from recycling.viewer.predicted import Predicted, predicted_shapes
from recycling.viewer.tiles import Tile, grid, paginate
from viewer.drawn import HOSTILE, hostile_pool


@pytest.fixture
def images(annotations, tmp_path) -> ImageSet:
    return ImageSet("train.annotations", annotations, ImageFolder(tmp_path / "images"))


def test_images_are_those_that_all_conditions_are_true_of(images):
    assert chosen_images(images) == [1, 2, 3]
    assert chosen_images(images, category_id=5) == [1, 2]
    assert chosen_images(images, category_id=7) == [2]
    assert chosen_images(images, group="b") == [2, 3]
    assert chosen_images(images, fold=0, folds={1: 0, 2: 1, 3: 0}) == [1, 3]
    assert chosen_images(images, category_id=5, group="b") == [2]


def test_annotations_come_by_size_both_ways(images):
    table = chosen_annotations(images, order="largest")
    assert table["area"].tolist() == [400, 200, 100]
    assert chosen_annotations(images, order="smallest")["area"].tolist() == [100, 200, 400]
    assert chosen_annotations(images, size="large").empty
    small = chosen_annotations(images, size="small", image_ids=[2])
    assert small["annotation_id"].tolist() == [2, 3]


def test_annotations_of_an_image_keep_their_order(images):
    assert images.on(2)["annotation_id"].tolist() == [2, 3]
    assert images.on(3).empty


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../secret.png"])
def test_no_file_outside_the_folder_is_given(annotations, tmp_path, name):
    table = annotations.images.assign(file_name=name)
    outside = ImageSet("x", replace(annotations, images=table), ImageFolder(tmp_path / "images"))
    with pytest.raises(ViewerError, match="lies outside"):
        outside.file(1)


def test_a_link_out_of_the_folder_is_not_followed(images, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "images/1.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(ViewerError, match="lies outside"):
        images.file(1)


def test_an_address_says_what_is_wrong_with_it():
    address = Address("/", {"n": "x", "score": "2", "show": "all"})
    with pytest.raises(ViewerError, match="n=x: not a whole number"):
        address.number("n")
    with pytest.raises(ViewerError, match="score=2: give a number from 0 to 1"):
        address.fraction("score", 0.3)
    with pytest.raises(ViewerError, match="show=all: there are images, annotations"):
        address.one_of("show", ["images", "annotations"])


def test_a_link_escapes_what_it_holds():
    link = Address("/").link(category="a&b=c #1")
    assert link == "/?category=a%26b%3Dc+%231"


def test_a_page_beyond_the_last_is_the_last():
    assert paginate([1, 2, 3], Address("/", {"page": "9"}), "images", 2).items == [3]
    assert paginate([], Address("/", {"page": "-4"}), "images").page == 1


def test_an_outline_runs_around_the_pixels_of_its_mask():
    mask = np.zeros((4, 6), dtype=bool)
    mask[1:3, 2:5] = True
    corners = mask_path(mask)[1:-1].split("L")
    points = sorted(tuple(map(int, corner.split())) for corner in corners)
    assert points == [(2, 1), (2, 3), (5, 1), (5, 3)]


def test_a_hole_has_an_outline_of_its_own():
    mask = np.ones((6, 6), dtype=bool)
    mask[2:4, 2:4] = False
    assert mask_path(mask).count("M") == 2


def test_the_largest_regions_of_a_class_are_drawn_where_they_are(images, monkeypatch):
    label_map = np.zeros(images.size(1), dtype=np.uint8)
    for left, width in ((2, 6), (12, 4), (20, 5)):
        label_map[3 : 3 + width, left : left + width] = 1
    label_map[4:6, 4:6] = 0
    side = Side("seg.fcn", "seg", "fcn", None, {}, {TEST: [{1: label_map}]})
    monkeypatch.setattr("recycling.viewer.predicted.SHOWN", 2)
    shapes, _ = predicted_shapes(Predicted(("seg.fcn",), (side,), TEST, images), 0, 1)
    assert [shape.box for shape in shapes] == [[2, 3, 8, 9], [20, 3, 25, 8]]
    for shape, (left, right) in zip(shapes, ((0, 12), (18, 30)), strict=True):
        alone = np.zeros_like(label_map)
        alone[:, left:right] = label_map[:, left:right]
        assert shape.path == mask_path(alone == 1)


def test_polygons_rle_and_boxes_are_drawn_each_in_its_way():
    pool = hostile_pool()
    rows = pool.annotations.to_dict("records")
    boxed, masked = annotation_shapes(rows, {}, (60, 80))
    assert (boxed.filled, masked.filled) == (False, True)
    assert boxed.path == "M10 10H30V20H10Z"
    assert outline_path(json.dumps([[1, 1, 2, 2]]), [0, 0, 1, 1], 4, 4) is None


def test_names_with_html_in_them_are_text_in_a_drawing():
    pool = hostile_pool()
    images = ImageSet("pool.annotations", pool, ImageFolder("images"))
    shapes = annotation_shapes(images.on(1).to_dict("records"), images.categories, (60, 80))
    tile = Tile("x", 80, 60, "<b>", '"><script>', shapes, [HOSTILE])
    html = grid([tile])
    assert "<script" not in html
    assert "<img" not in html
    assert "<b>&lt;b&gt;</b>" in html


def test_a_confusion_matrix_leads_to_the_images_of_each_cell():
    counts = pd.DataFrame(
        {"first": ["Paper", HOSTILE], "second": ["nothing", HOSTILE], "count": [2, 3],
         "share": [1.0, 1.0]}
    )  # fmt: skip
    html = confusion_table(counts, lambda own, other: f"/x?a={own}", first="truth", second="said")
    assert '<a href="/x?a=Paper">2</a>' in html
    assert "<img" not in html


def test_label_maps_have_the_colours_of_the_categories(images):
    from base64 import b64decode
    from io import BytesIO

    label_map = np.array([[0, 1], [2, 255]], dtype=np.uint8)
    address = label_map_png(label_map, images.categories)
    shown = Image.open(BytesIO(b64decode(address.partition(",")[2]))).convert("RGBA")
    first = images.categories[5].colour
    assert shown.getpixel((0, 0))[3] == 0
    assert "#{:02x}{:02x}{:02x}".format(*shown.getpixel((1, 0))[:3]) == first
    assert shown.getpixel((1, 1))[:3] == (128, 128, 128)


def test_a_reduced_image_is_made_once_and_anew_when_the_image_changes(tmp_path):
    source = tmp_path / "a.png"
    Image.new("RGB", (800, 400), "red").save(source)
    first = reduced_image(source, THUMBNAIL, tmp_path / "kept")
    written = first.stat().st_mtime_ns
    assert reduced_image(source, THUMBNAIL, tmp_path / "kept") == first
    assert first.stat().st_mtime_ns == written
    Image.new("RGB", (400, 800), "blue").save(source)
    second = reduced_image(source, THUMBNAIL, tmp_path / "kept")
    assert second != first
    assert Image.open(second).size == (160, 320)


def test_a_small_image_is_not_enlarged(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    assert Image.open(reduced_image(tmp_path / "a.png", THUMBNAIL, tmp_path)).size == (40, 30)


def test_a_line_that_a_training_has_only_begun_is_not_shown(tmp_path):
    log = tmp_path / "det.yolox.fold0" / METRICS
    log.parent.mkdir()
    add_line(log, {"epoch": 1, "loss": 3.0})
    with log.open("a") as file:
        file.write('{"epoch": 2, "lo')
    assert training_logs(tmp_path)["det.yolox.fold0"]["epoch"].tolist() == [1]
