"""Boxes that cannot be boxes in pixels of their images are refused, with the likely cause."""

import numpy as np
import pandas as pd
import pytest

from predictions.submission_cases import CATEGORIES
from recycling.predictions import BoxFormat, SubmissionError, read_submission, to_submission
from recycling.predictions.plausible import check_boxes

N = 40
IMAGES = pd.DataFrame(
    {
        "image_id": np.arange(N),
        "file_name": [f"{n}.jpg" for n in range(N)],
        "width": [640, 480] * (N // 2),
        "height": [480, 640] * (N // 2),
    }
).astype({"file_name": "string"})


@pytest.fixture
def boxes():
    """Four boxes an image, anywhere on it."""
    rng = np.random.default_rng(0)
    table = IMAGES.loc[IMAGES.index.repeat(4), ["image_id", "width", "height"]]
    low, size = rng.uniform(0, 0.8, (len(table), 2)), rng.uniform(0.05, 0.4, (len(table), 2))
    high = np.minimum(low + size, 1)
    for axis, side in enumerate(("width", "height")):
        name = "xy"[axis]
        table[f"{name}_min"] = low[:, axis] * table[side]
        table[f"{name}_max"] = high[:, axis] * table[side]
    return table.drop(columns=["width", "height"]).assign(category_id=7, score=0.5)


SIDES = ["x_min", "y_min", "x_max", "y_max"]


def scaled(boxes, x, y=None):
    return boxes.assign(
        **{side: boxes[side] * (x if side[0] == "x" else (x if y is None else y)) for side in SIDES}
    )


def as_shares(boxes):
    sizes = IMAGES.set_index("image_id").loc[boxes["image_id"]]
    width, height = sizes["width"].to_numpy(), sizes["height"].to_numpy()
    return boxes.assign(
        x_min=boxes["x_min"] / width,
        y_min=boxes["y_min"] / height,
        x_max=boxes["x_max"] / width,
        y_max=boxes["y_max"] / height,
    )


def test_boxes_on_their_images_are_taken_without_a_word(boxes, caplog):
    check_boxes(boxes, IMAGES, "team.csv")
    check_boxes(boxes.head(3), IMAGES, "team.csv")
    # Detectors that do not clip.
    check_boxes(boxes.assign(x_min=boxes["x_min"] - 30, x_max=boxes["x_max"] + 30), IMAGES, "t.csv")
    assert caplog.records == []


def test_shares_are_refused(boxes):
    with pytest.raises(SubmissionError, match="team.csv: on 40 of 40 images .* shares of the imag"):
        check_boxes(as_shares(boxes), IMAGES, "team.csv")


def test_shares_on_some_images_are_refused(boxes):
    mixed = pd.concat([as_shares(boxes.head(40)), boxes.tail(-40)])
    with pytest.raises(SubmissionError, match="on 10 of 40 images all boxes lie within one pixel"):
        check_boxes(mixed, IMAGES, "team.csv")


@pytest.mark.parametrize("factor", [0.4, 0.5, 2 / 3, 0.75])
def test_boxes_in_pixels_of_a_smaller_image_are_refused(boxes, factor):
    with pytest.raises(SubmissionError, match="none reaches further .* of another size"):
        check_boxes(scaled(boxes, factor), IMAGES, "team.csv")


@pytest.mark.parametrize("factor", [1.25, 1.6, 2, 10])
def test_boxes_in_pixels_of_a_larger_image_are_refused(boxes, factor):
    with pytest.raises(SubmissionError, match="centre outside the image .* of another size"):
        check_boxes(scaled(boxes, factor), IMAGES, "team.csv")


def test_boxes_of_a_square_image_are_refused(boxes):
    square = scaled(as_shares(boxes), 1024)
    with pytest.raises(SubmissionError, match="of another size"):
        check_boxes(square, IMAGES, "team.csv")


def test_swapped_axes_are_named(boxes):
    names = {"x_min": "y_min", "y_min": "x_min", "x_max": "y_max", "y_max": "x_max"}
    swapped = boxes.rename(columns=names)
    with pytest.raises(SubmissionError, match="x and y swapped"):
        check_boxes(swapped, IMAGES, "team.csv")


def test_a_box_here_and_there_outside_is_said(boxes, caplog):
    boxes = pd.concat([boxes] * 2, ignore_index=True)
    boxes.loc[0, ["x_min", "x_max"]] = [700, 720]
    check_boxes(boxes, IMAGES, "team.csv")
    (record,) = caplog.records
    assert "team.csv: 1 of 320 boxes have their centre outside the image" in record.getMessage()


def test_empty_boxes_in_the_corner_are_no_shares(boxes):
    boxes.loc[boxes["image_id"] < 10, SIDES] = 0.0
    check_boxes(boxes, IMAGES, "team.csv")


def test_unusual_boxes_may_be_meant(boxes, caplog):
    check_boxes(as_shares(boxes), IMAGES, "team.csv", unusual="warn")
    assert "shares of the image?" in caplog.text


def test_a_file_of_any_format_is_compared(tmp_path, boxes):
    settings, path = BoxFormat.model_validate({}), tmp_path / "team.csv"
    to_submission(settings, as_shares(boxes), IMAGES, CATEGORIES).to_csv(path, index=False)
    with pytest.raises(SubmissionError, match="shares of the image"):
        read_submission(settings, path, IMAGES, CATEGORIES)
    read = read_submission(settings, path, IMAGES, CATEGORIES, unusual_boxes="warn")
    assert len(read) == len(boxes)
