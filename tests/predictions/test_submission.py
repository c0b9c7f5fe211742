"""The competitions' CSV files."""

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recycling.predictions import (
    CLASS_PROBABILITIES,
    DETECTIONS,
    LabelMaps,
    SubmissionError,
    class_probabilities_to_submission,
    detections_to_submission,
    label_maps_to_submission,
    submission_to_class_probabilities,
    submission_to_detections,
    submission_to_label_maps,
)
from recycling.tables import TableError

IMAGES = pd.DataFrame(
    {"image_id": [4, 2, 9], "file_name": ["test/0000.jpg", "test/0001.jpg", "test/0002.jpg"]}
).astype({"file_name": "string"})
CATEGORIES = pd.DataFrame({"category_id": [7, 3], "name": ["Paper", "Metal"]})


def detections(*rows):
    return DETECTIONS.conform(pd.DataFrame(list(rows), columns=DETECTIONS.names), where="test")


def through_csv(frame):
    return pd.read_csv(io.StringIO(frame.to_csv(index=False)))


def test_boxes_are_written_as_the_competition_wants_them():
    frame = detections_to_submission(
        detections([9, 3, 0.5, 1, 2, 3.25, 4], [4, 7, 0.9, 0, 0, 10, 10], [9, 7, 0.25, 5, 6, 7, 8]),
        IMAGES,
        CATEGORIES,
    )
    assert frame.columns.tolist() == ["PredictionString", "image_id"]
    assert frame.to_numpy().tolist() == [
        ["0 0.9 0.0 0.0 10.0 10.0", "test/0000.jpg"],
        ["", "test/0001.jpg"],
        ["1 0.5 1.0 2.0 3.25 4.0 0 0.25 5.0 6.0 7.0 8.0", "test/0002.jpg"],
    ]


@given(seed=st.integers(0, 2**32), n_boxes=st.integers(0, 40))
@settings(max_examples=50, deadline=None)
def test_boxes_written_and_read_are_the_same_to_the_last_bit(seed, n_boxes):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 1000, (n_boxes, 2))
    frame = pd.DataFrame(
        np.hstack([low, low + rng.uniform(0, 300, (n_boxes, 2))]), columns=DETECTIONS.names[3:]
    )
    frame["image_id"] = np.sort(rng.choice([0, 1, 2], n_boxes))
    frame["image_id"] = frame["image_id"].map(dict(enumerate(IMAGES["image_id"])))
    frame["category_id"] = rng.choice([3, 7], n_boxes)
    frame["score"] = rng.uniform(0, 1, n_boxes)
    boxes = DETECTIONS.conform(frame.astype({"image_id": "int64"}), where="test")
    submission = through_csv(detections_to_submission(boxes, IMAGES, CATEGORIES))
    pd.testing.assert_frame_equal(
        submission_to_detections(submission, IMAGES, CATEGORIES), boxes, check_exact=True
    )


def test_a_box_on_an_unknown_image_or_of_an_unknown_category_is_not_written():
    with pytest.raises(
        SubmissionError, match=r"^wbf: row 0: image 5 is not in the table of images"
    ):
        detections_to_submission(
            detections([5, 7, 0.5, 0, 0, 1, 1]), IMAGES, CATEGORIES, where="wbf"
        )
    with pytest.raises(SubmissionError, match=r"^wbf: row 0: category 1 is not in the table"):
        detections_to_submission(
            detections([4, 1, 0.5, 0, 0, 1, 1]), IMAGES, CATEGORIES, where="wbf"
        )


def submission(first="", second="", third="", **columns):
    frame = pd.DataFrame(
        {"PredictionString": [first, second, third], "image_id": IMAGES["file_name"]}
    )
    return frame.assign(**columns)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (submission("0 0.5 1 2 3"), "image test/0000.jpg: 5 numbers; each box takes 6"),
        (submission("", "2 0.5 1 2 3 4"), "image test/0001.jpg: box 0 .*labels go from 0 to 1"),
        (submission("0.5 0.5 1 2 3 4"), "image test/0000.jpg: box 0 .*labels go from 0 to 1"),
        (submission("0 1.5 1 2 3 4"), "image test/0000.jpg: box 0 .*a score is from 0 to 1"),
        (submission("0 0.5 1 2 nan 4"), "image test/0000.jpg: box 0 .*not finite"),
        (submission("0 0.5 9 2 3 4"), "image test/0000.jpg: box 0 .*wrong way round"),
        (submission("0 0.5 1 2 3 x"), "image test/0000.jpg: 'x', item 5 .* is not a number"),
        (submission().iloc[:2], "image test/0002.jpg has no row; 1 of 3 images are missing"),
        (submission().iloc[[0, 1, 2, 1]], "row 3: image test/0001.jpg occurs a second time"),
        (submission(image_id=["test/0000.jpg", "b", "c"]), "row 1: image b is not in the table"),
        (submission().drop(columns="image_id"), "no column 'image_id'"),
    ],
)
def test_a_fault_in_a_file_of_boxes_is_named_with_file_and_image(frame, message):
    with pytest.raises(SubmissionError, match=f"^team.csv: {message}"):
        submission_to_detections(frame, IMAGES, CATEGORIES, where="team.csv")


def test_masks_are_written_as_the_competition_wants_them():
    label_map = np.array([[0, 1], [2, 0]], np.uint8).repeat(3, 0).repeat(4, 1)
    maps = LabelMaps([9, 4, 2], lambda _: label_map)
    frame = label_maps_to_submission(maps, IMAGES, size=4)
    assert frame.columns.tolist() == ["image_id", "PredictionString"]
    assert frame["image_id"].tolist() == IMAGES["file_name"].tolist()
    assert frame["PredictionString"].tolist() == ["0 0 1 1 0 0 1 1 2 2 0 0 2 2 0 0"] * 3


def test_masks_are_256_pixels_square_unless_told_otherwise():
    maps = LabelMaps([9, 4, 2], lambda _: np.ones((512, 512), np.uint8))
    frame = label_maps_to_submission(maps, IMAGES)
    assert [len(text.split(" ")) for text in frame["PredictionString"]] == [256 * 256] * 3


def test_masks_written_and_read_are_the_same():
    rng = np.random.default_rng(0)
    stored = {image_id: rng.integers(0, 3, (16, 16), dtype=np.uint8) for image_id in (4, 2, 9)}
    frame = label_maps_to_submission(LabelMaps(list(stored), stored.__getitem__), IMAGES, size=16)
    read = submission_to_label_maps(through_csv(frame), IMAGES, CATEGORIES, size=16)
    assert list(read) == [4, 2, 9]
    for image_id, label_map in read.items():
        assert label_map.dtype == np.uint8
        np.testing.assert_array_equal(label_map, stored[image_id])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1 2", "3 class numbers; 2 x 2 pixels need 4"),
        ("", "0 class numbers; 2 x 2 pixels need 4"),
        ("0 1 2 3", "pixel 3: no class 3; classes go from 0"),
        ("0 1 -1 2", "pixel 2: no class -1"),
        ("0 1 nan 2", "pixel 2: no class nan"),
        ("0 1,2 0", "'1,2', item 1 .* is not a number"),
    ],
)
def test_a_fault_in_a_file_of_masks_is_named_with_file_and_image(text, message):
    frame = submission("0 0 0 0", text, "0 0 0 0")
    with pytest.raises(SubmissionError, match=f"^team.csv: image test/0001.jpg: {message}"):
        submission_to_label_maps(frame, IMAGES, CATEGORIES, size=2, where="team.csv")


def test_a_missing_map_or_one_with_ignored_pixels_is_not_written():
    with pytest.raises(SubmissionError, match=r"^vote: image test/0001.jpg: no label map"):
        label_maps_to_submission(
            LabelMaps([4, 9], lambda _: np.zeros((2, 2), np.uint8)), IMAGES, 2, where="vote"
        )
    with pytest.raises(SubmissionError, match=r"^vote: image test/0000.jpg: 4 pixels are 255"):
        label_maps_to_submission(
            LabelMaps([4, 2, 9], lambda _: np.full((2, 2), 255, np.uint8)), IMAGES, 2, where="vote"
        )


def test_classes_are_written_by_name_and_read_as_certain():
    frame = pd.DataFrame({"annotation_id": [5, 3], "Paper": [0.2, 0.5], "Metal": [0.8, 0.5]})
    written = class_probabilities_to_submission(CLASS_PROBABILITIES.conform(frame, where="test"))
    assert written.to_numpy().tolist() == [[5, "Metal"], [3, "Paper"]]
    read = submission_to_class_probabilities(through_csv(written), CATEGORIES)
    assert read.to_numpy().tolist() == [[5, 0, 1], [3, 1, 0]]
    assert [str(dtype) for dtype in read.dtypes] == ["int64", "float32", "float32"]


def test_a_class_that_does_not_exist_or_a_crop_twice_is_named_with_the_file():
    frame = pd.DataFrame({"annotation_id": [5, 5], "category": ["Paper", "paper"]})
    with pytest.raises(SubmissionError, match=r"^team.csv: crop 5: no category 'paper'"):
        submission_to_class_probabilities(frame, CATEGORIES, where="team.csv")
    with pytest.raises(TableError, match=r"^team.csv: row 1: annotation_id occurs a second time"):
        submission_to_class_probabilities(
            frame.assign(category="Paper"), CATEGORIES, where="team.csv"
        )


def test_a_probability_that_is_missing_is_not_taken_for_a_class():
    frame = pd.DataFrame({"annotation_id": [5], "Paper": [np.nan], "Metal": [0.8]})
    with pytest.raises(SubmissionError, match="crop 5: a probability is missing"):
        class_probabilities_to_submission(frame)
