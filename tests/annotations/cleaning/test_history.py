"""What cleaning changed is told in the pixels of the image that shows it."""

import pytest
from PIL import Image

from recycling.annotations import BOX, Cleaning, ImageFolder, check_images, clean, from_coco
from recycling.annotations.cleaning.history import History


def annotated(*boxes):
    """An image of 60 x 40 pixels, as its entry says, with boxes `x, y, width, height`."""
    return from_coco(
        {
            "images": [{"id": 7, "file_name": "a.png", "width": 60, "height": 40}],
            "annotations": [
                {"id": number, "image_id": 7, "category_id": 0, "bbox": list(box)}
                for number, box in enumerate(boxes, 1)
            ],
            "categories": [{"id": 0, "name": "Glass"}],
        },
        where="test",
    )


def cleaned(raw, folder, **rules):
    """The history of the raw annotations, and the audit."""
    checks = check_images(raw.images, ImageFolder(folder))
    _, audit = clean(raw, checks, Cleaning.model_validate(rules))
    return History(raw, checks, audit), audit


def boxes(history, audit, rule):
    """By annotation its box before and after a rule."""
    rows = audit[(audit["rule"] == rule) & (audit["subject"] == "annotation")]
    return {
        number: [[values[edge] for edge in BOX] if values else None for values in found]
        for number, found in zip(rows["subject_id"], map(history.around, rows.index), strict=True)
    }


@pytest.fixture
def turned(tmp_path):
    """The folder of the image, which EXIF turns by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png", exif=exif)
    return tmp_path


def test_boxes_of_a_turned_image_lie_where_it_shows_them(turned):
    raw = annotated([10, 5, 20, 10], [50, 30, 20, 10], [20, 20, 0, 10])
    history, audit = cleaned(raw, turned, image_size="rescale")
    assert history.size(7, (40, 60)) == (60, 40)
    upright, leaving = [25, 10, 35, 30], [0, 50, 10, 70]
    moved = boxes(history, audit, "image_size")
    assert moved[1] == [upright, upright]
    assert moved[2] == [leaving, leaving]
    assert boxes(history, audit, "clip_boxes")[2] == [leaving, [0, 50, 10, 60]]
    assert boxes(history, audit, "drop_degenerate_boxes")[3] == [[10, 20, 20, 20], None]


def test_what_comes_before_the_image_is_turned_lies_there_too(turned):
    history, audit = cleaned(
        annotated([10, 5, 20, 10], [10, 5, 20, 10]),
        turned,
        image_size="rescale",
        order=["drop_duplicate_annotations", *[
            name for name in Cleaning().order if name != "drop_duplicate_annotations"
        ]],
    )  # fmt: skip
    assert boxes(history, audit, "drop_duplicate_annotations")[2] == [[25, 10, 35, 30], None]


def test_an_annotation_that_was_added_may_be_corrected(tmp_path):
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    one = {"file_name": "a.png", "category": "Glass", "box": [10, 5, 30, 15]}
    entries = [one | {"add": True}, one | {"new_box": [12, 5, 30, 15]}]
    history, audit = cleaned(annotated(), tmp_path, correct_annotations={"corrections": entries})
    rows = [history.around(index) for index in audit.index]
    assert [(was.get("x_min"), now["x_min"]) for was, now in rows] == [(None, 10), (10, 12)]
