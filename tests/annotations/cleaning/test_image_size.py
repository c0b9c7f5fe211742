"""Entries of another size than their image stop a run, or are put right with their boxes."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from annotations.cleaning.replay import replay, undo
from recycling.annotations import (
    BOX,
    AnnotationError,
    Cleaning,
    ImageFolder,
    annotation_mask,
    check_images,
    clean,
    from_coco,
    mask_to_segmentation,
)
from recycling.annotations.images.decoding import read_image
from recycling.pipelines.data_cleaning import clean_annotations

WIDTH, HEIGHT = 60, 40
OBJECT = (10, 5, 30, 15)  # x_min, y_min, x_max, y_max of what is drawn in red
RLE = (40, 20, 50, 36)


def _stored() -> Image.Image:
    """A picture whose red rectangle is what annotation 1 is about, and whose green one is 2."""
    image = Image.new("RGB", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(image)
    for (x_min, y_min, x_max, y_max), colour in ((OBJECT, "red"), (RLE, "lime")):
        draw.rectangle((x_min, y_min, x_max - 1, y_max - 1), fill=colour)
    return image


def _annotations(size=(WIDTH, HEIGHT)):
    x_min, y_min, x_max, y_max = OBJECT
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
    mask[RLE[1] : RLE[3], RLE[0] : RLE[2]] = True
    rle = json.loads(mask_to_segmentation(mask))
    corners = [x_min, y_min, x_max, y_min, x_max, y_max, x_min, y_max]
    annotations = [
        {"id": 1, "bbox": [10, 5, 20, 10], "segmentation": [corners]},
        {"id": 2, "bbox": [40, 20, 10, 16]} | ({"segmentation": rle} if size[0] == WIDTH else {}),
    ]
    return from_coco(
        {
            "images": [{"id": 7, "file_name": "a.png", "width": size[0], "height": size[1]}],
            "annotations": [{"image_id": 7, "category_id": 0, **one} for one in annotations],
            "categories": [{"id": 0, "name": "Glass"}],
        },
        where="test",
    )


def _cleaned(annotations, folder, action):
    checks = check_images(annotations.images, ImageFolder(folder))
    cleaned, audit = clean(annotations, checks, Cleaning.model_validate({"image_size": action}))
    assert replay(annotations, audit).annotations.equals(cleaned.annotations)
    assert undo(cleaned, audit).annotations.equals(annotations.annotations)
    return cleaned, audit


def _colours_in_boxes(cleaned, path):
    """The mean colour of what each box of the clean annotations holds."""
    pixels = read_image(path)
    return [
        pixels[round(y_min) : round(y_max), round(x_min) : round(x_max)].mean(axis=(0, 1)).tolist()
        for x_min, y_min, x_max, y_max in cleaned.annotations[BOX].to_numpy()
    ]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("scale", [1, 2])
def test_boxes_and_masks_turn_with_the_picture_that_exif_turns(tmp_path, orientation, scale):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = _stored().resize((scale * WIDTH, scale * HEIGHT), Image.Resampling.NEAREST)
    stored.save(tmp_path / "a.png", exif=exif)
    cleaned, _ = _cleaned(_annotations(), tmp_path, "rescale")
    size = cleaned.images[["width", "height"]].iloc[0].tolist()
    assert size == [scale * HEIGHT, scale * WIDTH]
    assert _colours_in_boxes(cleaned, tmp_path / "a.png") == [[255, 0, 0], [0, 255, 0]]
    assert cleaned.annotations["area"].tolist() == [200 * scale**2, 160 * scale**2]
    pixels = read_image(tmp_path / "a.png")
    for row, channel in zip(cleaned.annotations.itertuples(), (0, 1), strict=True):
        box = [row.x_min, row.y_min, row.x_max, row.y_max]
        mask = annotation_mask(row.segmentation, box, *pixels.shape[:2])
        assert (mask == (pixels[..., channel] == 255)).all()


def test_boxes_and_masks_are_scaled_with_the_picture(tmp_path):
    _stored().resize((2 * WIDTH, 2 * HEIGHT), Image.Resampling.NEAREST).save(tmp_path / "a.png")
    cleaned, audit = _cleaned(_annotations(), tmp_path, "rescale")
    assert cleaned.annotations[BOX].to_numpy().tolist() == [[20, 10, 60, 30], [80, 40, 100, 72]]
    assert audit["rule"].unique().tolist() == ["image_size"]
    assert _colours_in_boxes(cleaned, tmp_path / "a.png") == [[255, 0, 0], [0, 255, 0]]


def test_sizes_stay_whole_where_an_image_cannot_be_read(tmp_path):
    _stored().resize((2 * WIDTH, 2 * HEIGHT), Image.Resampling.NEAREST).save(tmp_path / "a.png")
    one = _annotations()
    unread = one.images.assign(image_id=8, file_name="b.png", group="8")
    both = replace(one, images=pd.concat([one.images, unread], ignore_index=True))
    rules = {"image_size": "rescale", "drop_bad_images": {"enabled": False}}
    checks = check_images(both.images, ImageFolder(tmp_path))
    cleaned, _ = clean(both, checks, Cleaning.model_validate(rules))
    assert cleaned.images[["width", "height"]].dtypes.astype(str).tolist() == ["int64", "int64"]
    assert cleaned.images["width"].tolist() == [2 * WIDTH, WIDTH]


def test_an_entry_with_swapped_sides_is_corrected_where_its_boxes_show_it(tmp_path):
    _stored().save(tmp_path / "a.png")
    cleaned, _ = _cleaned(_annotations((HEIGHT, WIDTH)), tmp_path, "rescale")
    assert cleaned.images[["width", "height"]].iloc[0].tolist() == [WIDTH, HEIGHT]
    assert cleaned.annotations[BOX].to_numpy().tolist() == [list(OBJECT), list(RLE)]


def test_swapped_sides_are_refused_where_no_box_shows_what_they_mean(tmp_path):
    _stored().save(tmp_path / "a.png")
    annotations = _annotations((HEIGHT, WIDTH))
    first = annotations.annotations.head(1)
    with pytest.raises(AnnotationError, match=r"do not show whether.*image_size: drop"):
        _cleaned(type(annotations)(annotations.images, first, annotations.categories), tmp_path,
                 "rescale")  # fmt: skip


def test_masks_that_do_not_fit_a_swapped_entry_are_counted_and_named(tmp_path):
    _stored().save(tmp_path / "a.png")
    annotations = _annotations((HEIGHT, WIDTH))
    rle = mask_to_segmentation(np.ones((WIDTH, HEIGHT), dtype=np.bool_))  # of the entry's size
    table = annotations.annotations.assign(segmentation=rle)
    with pytest.raises(AnnotationError) as caught:
        _cleaned(replace(annotations, annotations=table), tmp_path, "rescale")
    message = str(caught.value)
    assert message.startswith("image_size: 2 faults: 2 x ")
    assert message.endswith("annotation 1 on a.png, annotation 2 on a.png")


def test_another_shape_cannot_be_rescaled(tmp_path):
    Image.new("RGB", (WIDTH, HEIGHT + 9)).save(tmp_path / "a.png")
    with pytest.raises(AnnotationError, match=r"1 of another shape \(a.png is 60 x 49.*drop"):
        _cleaned(_annotations(), tmp_path, "rescale")


@pytest.mark.parametrize(
    ("size", "orientation", "kind"),
    [
        ((60, 40), 6, "1 turned by EXIF (a.png is 40 x 60, its entry says 60 x 40)"),
        ((40, 60), 1, "1 with width and height swapped (a.png is 40 x 60, its entry says 60 x 40)"),
        ((30, 20), 1, "1 of another scale (a.png is 30 x 20, its entry says 60 x 40)"),
        ((61, 50), 1, "1 of another shape (a.png is 61 x 50, its entry says 60 x 40)"),
    ],
)
def test_a_size_that_differs_stops_by_default_and_is_told_by_its_kind(
    tmp_path, size, orientation, kind
):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size).save(tmp_path / "a.png", exif=exif)
    with pytest.raises(AnnotationError) as caught:
        _cleaned(_annotations(), tmp_path, "error")
    assert kind in str(caught.value)
    assert "image_size: rescale" in str(caught.value)


def test_images_of_another_size_can_be_dropped(tmp_path, caplog):
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    annotations = _annotations()
    checks = check_images(annotations.images, ImageFolder(tmp_path))
    rules = Cleaning.model_validate({"image_size": "drop"})
    cleaned, _ = clean(annotations, checks, rules)
    assert cleaned.images.empty
    assert cleaned.annotations.empty
    with pytest.raises(AnnotationError, match="cleaning leaves none of the 1 images: image_size"):
        clean_annotations(annotations, ImageFolder(tmp_path), checks, rules)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(
        f"{tmp_path}: image_size: 1 of 1 images dropped (a.png: its image is 30 x"
    )
    assert "2 of 2 annotations dropped (1 on a.png" in line


@pytest.mark.parametrize(("size", "orientation"), [((60, 40), 3), ((120, 80), 2), ((30, 30), 6)])
def test_a_turn_that_no_size_shows_is_said(tmp_path, caplog, size, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    _stored().resize(size).save(tmp_path / "a.png", exif=exif)
    check_images(_annotations().images, ImageFolder(tmp_path))
    assert "EXIF turns or mirrors 1 of 1 images in a way that no size shows: a.png" in caplog.text


def test_sizes_are_left_alone_where_images_are_not_at_hand(tmp_path):
    annotations = _annotations()
    checks = check_images(annotations.images, ImageFolder(tmp_path / "x"), missing_folder="warn")
    cleaned, audit = clean(annotations, checks, Cleaning())
    assert audit.empty
    pd.testing.assert_frame_equal(cleaned.images, annotations.images)
