"""Submissions of whole images, and of a detector's boxes with a classifier's classes."""

import pandas as pd
import pytest

from predictions.submission_cases import CATEGORIES, file_of
from recycling.predictions import ClassFormat, SubmissionError, read_submission, to_submission

CROPS = pd.DataFrame({"annotation_id": [1, 2, 3], "file_name": ["a.jpg", "b/c.jpg", "사진.jpg"]})
PROBABILITIES = pd.DataFrame(
    {"annotation_id": [2, 1, 3], "Paper": [0.25, 0.75, 0.4], "Metal": [0.75, 0.25, 0.6]}
).astype({"Paper": "float32", "Metal": "float32"})
NAMED = {"format": "image_classes"}
NUMBERED = {**NAMED, "image_column": "ImageID", "class_column": "ans", "labels": "number"}


def settings(values):
    return ClassFormat.model_validate(values)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (NAMED, "file_name,category a.jpg,Paper b/c.jpg,Metal 사진.jpg,Metal"),
        (NUMBERED, "ImageID,ans a.jpg,0 b/c.jpg,1 사진.jpg,1"),
    ],
)
def test_whole_images_are_written_as_the_competition_wants_them_and_read_again(
    tmp_path, values, text
):
    table = to_submission(settings(values), PROBABILITIES, CROPS, CATEGORIES)
    assert table.to_csv(index=False).split() == text.split()
    path = tmp_path / "team.csv"
    table.to_csv(path, index=False)
    read = read_submission(settings(values), path, CROPS, CATEGORIES)
    assert read.to_numpy().tolist() == [[1, 1, 0], [2, 0, 1], [3, 0, 1]]


def test_names_of_images_are_found_by_other_spellings(tmp_path):
    lines = ["A.JPG,Paper", "b\\c.jpg,Metal", "\u1109\u1161\u110c\u1175\u11ab.jpg,paper"]
    path = file_of(tmp_path, *lines, header="file_name,category")
    read = read_submission(settings(NAMED), path, CROPS, CATEGORIES)
    assert read["Paper"].tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["a.jpg,0", "b/c.jpg,1"], "1 x the image has no row, .*: image 사진.jpg"),
        (["a.jpg,0", "b/c.jpg,2", "사진.jpg,1"], "no such class, they are 0 to 1: image b/c.jpg"),
        (
            ["a.jpg,0", "a.jpg,0", "b/c.jpg,1", "사진.jpg,1"],
            "second row, .*a.jpg. .line 3",
        ),
        (["x.jpg,0", "a.jpg,0", "b/c.jpg,1", "사진.jpg,1"], "not one of those .*x.jpg .line 2"),
    ],
)
def test_a_fault_is_named_with_the_image(tmp_path, lines, fault):
    path = file_of(tmp_path, *lines, header="ImageID,ans")
    with pytest.raises(SubmissionError, match=f"team.csv: 1 fault: .*{fault}"):
        read_submission(settings(NUMBERED), path, CROPS, CATEGORIES)


def test_an_image_without_a_row_has_no_say_where_that_was_asked_for(tmp_path):
    path = file_of(tmp_path, "a.jpg,0", header="ImageID,ans")
    read = read_submission(settings(NUMBERED), path, CROPS, CATEGORIES, missing_images="skip")
    assert read["Paper"].tolist() == [1, 0.5, 0.5]
    assert settings(NUMBERED).picked.rows_in(path, CROPS).tolist() == [0]


def test_an_image_with_several_crops_has_no_one_class():
    crops = CROPS.assign(file_name=["a.jpg", "a.jpg", "b.jpg"])
    with pytest.raises(SubmissionError, match=r"image a\.jpg has several crops.*crops\.test"):
        to_submission(settings(NAMED), PROBABILITIES, crops, CATEGORIES)


def test_classified_boxes_have_a_row_an_image_also_without_a_box():
    names = pd.CategoricalDtype(["z.jpg", "a.jpg", "b.jpg"])
    crops = CROPS.assign(file_name=["a.jpg", "b.jpg", "a.jpg"], score=[0.5, 1.0, 0.25])
    crops = crops.astype({"file_name": names}).assign(x_min=1.0, y_min=2.0, x_max=3.0, y_max=4.0)
    table = to_submission(
        settings({"format": "classified_boxes"}), PROBABILITIES, crops, CATEGORIES
    )
    assert table["image_id"].tolist() == ["z.jpg", "a.jpg", "b.jpg"]
    first, second, third = (text.split() for text in table["PredictionString"])
    assert first == []
    assert [float(number) for number in second] == pytest.approx(
        [0, 0.375, 1, 2, 3, 4, 1, 0.15, 1, 2, 3, 4]
    )
    assert [float(number) for number in third] == [1, 0.75, 1, 2, 3, 4]
