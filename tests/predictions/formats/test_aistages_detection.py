"""The competition's CSV files of boxes."""

import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from predictions.submission_cases import CATEGORIES, IMAGES, detections, file_of, write
from recycling.predictions import (
    DETECTIONS,
    BoxFormat,
    SubmissionError,
    read_detections_csv,
    to_submission,
)
from recycling.tables import TableError

HEADER = "PredictionString,image_id"
SETTINGS = BoxFormat.model_validate({})


def boxes_file(folder, first="", second="", third=""):
    names = IMAGES["file_name"]
    rows = [f"{text},{name}" for text, name in zip((first, second, third), names, strict=True)]
    return file_of(folder, *rows, header=HEADER)


def read(path, **options):
    return read_detections_csv(path, IMAGES, CATEGORIES, **options)


def test_boxes_are_written_as_the_competition_wants_them(tmp_path):
    path = tmp_path / "team.csv"
    boxes = detections(
        [9, 3, 0.5, 1, 2, 3.25, 4], [4, 7, 0.9, 0, 0, 10, 10], [9, 7, 0.25, 5, 6, 7, 8]
    )
    write(SETTINGS, boxes, path)
    assert path.read_text().splitlines() == [
        "PredictionString,image_id",
        "0 0.9 0 0 10 10,test/0000.jpg",
        ",test/0001.jpg",
        "1 0.5 1 2 3.25 4 0 0.25 5 6 7 8,test/0002.jpg",
    ]


@given(seed=st.integers(0, 2**32), n_boxes=st.integers(0, 40), decimals=st.integers(0, 18))
@settings(max_examples=80)
def test_boxes_written_and_read_are_the_same_to_the_last_bit(
    tmp_path_factory, seed, n_boxes, decimals
):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 1000, (n_boxes, 2)) * 10.0 ** rng.integers(-12, 3, (n_boxes, 1))
    high = low + rng.uniform(0, 300, (n_boxes, 2))
    frame = pd.DataFrame(np.hstack([low, high]).round(decimals), columns=DETECTIONS.names[3:])
    order = np.sort(rng.choice([0, 1, 2], n_boxes))
    frame["image_id"] = IMAGES["image_id"].to_numpy()[order]
    frame["category_id"] = rng.choice([3, 7], n_boxes)
    frame["score"] = rng.uniform(0, 1, n_boxes).round(decimals)
    boxes = DETECTIONS.conform(frame, where="test")
    path = tmp_path_factory.mktemp("boxes") / "team.csv"
    write(SETTINGS, boxes, path)
    pd.testing.assert_frame_equal(read(path), boxes, check_exact=True)


def test_boxes_of_one_image_keep_their_order(tmp_path):
    image_ids = [4, 2, 9] * 20
    boxes = detections(*([image_ids[x], 7, 0.5, x, 0, x, 0] for x in range(60)))
    path = tmp_path / "team.csv"
    write(SETTINGS, boxes, path)
    expected = [x for first in range(3) for x in range(first, 60, 3)]
    assert read(path)["x_min"].tolist() == expected


def test_a_box_on_an_unknown_image_or_of_an_unknown_category_is_not_written():
    for row, fault in (
        ([5, 7, 0.5, 0, 0, 1, 1], "row 0: image 5 is not in the table of images"),
        ([4, 1, 0.5, 0, 0, 1, 1], "row 0: category 1 is not in the table of categories"),
    ):
        with pytest.raises(SubmissionError, match=f"^detections: {fault}"):
            to_submission(SETTINGS, detections(row), IMAGES, CATEGORIES)


def test_what_is_no_table_of_boxes_is_not_written():
    with pytest.raises(TableError, match="^detections: no column 'image_id'"):
        to_submission(SETTINGS, pd.DataFrame(), IMAGES, CATEGORIES)


@pytest.mark.parametrize(
    "content",
    [
        "PredictionString,image_id\n0 0.5 1 2 3 4,test/0000.jpg\n,test/0001.jpg\n,test/0002.jpg\n",
        "PredictionString,image_id\r\n0 0.5 1 2 3 4,test/0000.jpg\r\n,test/0001.jpg\r\n"
        ",test/0002.jpg\r\n",
        "\ufeffPredictionString,image_id\n0 0.5 1 2 3 4,test/0000.jpg\n,test/0001.jpg\n"
        ",test/0002.jpg",
        'image_id,PredictionString\ntest/0002.jpg,\n"test/0000.jpg","0 0.5 1 2 3 4"\n'
        "test/0001.jpg,\n\n",
        '"PredictionString","image_id"\n" 0  0.5 1e0 2. +3 4 ","test/0000.jpg"\n"",test/0001.jpg\n'
        '" ",test/0002.jpg\n',
    ],
    ids=["plain", "windows", "byte order mark", "other order, quotes", "rare forms of numbers"],
)
def test_files_of_other_programs_are_read(tmp_path, content):
    path = tmp_path / "team.csv"
    path.write_bytes(content.encode())
    expected = detections([4, 7, 0.5, 1, 2, 3, 4])
    pd.testing.assert_frame_equal(read(path), expected, check_exact=True)


@given(
    name=st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), min_size=1)
)
@settings(max_examples=100)
@example(name="a,b.jpg")
@example(name='a "b".jpg')
@example(name='"')
def test_any_file_name_of_an_image_comes_back(tmp_path_factory, name):
    images = IMAGES.assign(file_name=[name, "1.jpg/", "2.jpg/"])
    path = tmp_path_factory.mktemp("boxes") / "team.csv"
    boxes = detections([4, 7, 0.5, 1, 2, 3, 4])
    write(SETTINGS, boxes, path, images)
    pd.testing.assert_frame_equal(read_detections_csv(path, images, CATEGORIES), boxes)


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        (("0 0.5 1 2 3",), "a row is cut off, .*: image test/0000.jpg \\(5 numbers\\)"),
        (("0 0.5 1 2 3 4 1",), "a row is cut off, .*: image test/0000.jpg \\(7 numbers\\)"),
        (
            ("0 0.5 1 2 3 4", "0 1 1 1 1 1 2 0.5 1 2 3 4"),
            "no such label, they go from 0 to 1: image test/0001.jpg \\(box 1: label 2\\)",
        ),
        (("-1 0.5 1 2 3 4",), "no such label, .*box 0: label -1\\)"),
        (("0.5 0.5 1 2 3 4",), "no such label, .*box 0: label 0.5\\)"),
        (("0 1.5 1 2 3 4",), "a score is from 0 to 1: .*box 0: score 1.5\\)"),
        (("0 -0.1 1 2 3 4",), "a score .* logits: .*box 0: score -0.1\\)"),
        (("0 0.5 1 2 nan 4",), "a number is not finite: .*box 0: x_max nan\\)"),
        (("0 0.5 1 2 inf 4",), "a number is not finite: .*box 0: x_max inf\\)"),
        (("0 0.5 9 2 3 4",), "the sides .* wrong way round, .*x_min 9, x_max 3\\)"),
        (("0 2 9 2 nan 4",), "a number is not finite: .*x_max nan\\)"),
        (("0 1.0000001 1 2 3 4",), "a score is from 0 to 1: .*box 0: score 1.0000001\\)"),
        (("0 97.5 1 2 3 4",), "a score .* percentages: divide them by 100: .*score 97.5\\)"),
        (("0 2 9 2 3 4",), "a score is from 0 to 1: .*score 2\\)"),
        (("0 0.5 1 9 3 4",), "the sides .* wrong way round, .*y_min 9, y_max 4\\)"),
        (
            ("", "", "0 0.5 1 2 3 x"),
            "not a number: image test/0002.jpg \\('x', item 5 of its row\\)",
        ),
    ],
)
def test_a_fault_in_a_row_is_named_with_file_and_image(tmp_path, rows, fault):
    path = boxes_file(tmp_path, *rows)
    with pytest.raises(SubmissionError, match=f"team.csv: 1 fault: 1 x {fault}") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_row_with_tabs_names_the_character_in_a_short_message(tmp_path):
    path = boxes_file(tmp_path, "\t".join(["0 0.5 1 2 3 4".replace(" ", "\t")] * 5000))
    with pytest.raises(SubmissionError) as caught:
        read(path)
    said = str(caught.value)
    assert "1 fault: 1 x numbers have tab between them, write a space: image test/0000.jpg" in said
    assert "'0<tab>0.5<tab>1" in said
    assert len(said) < 400


@pytest.mark.parametrize("name", ["test\\0000.jpg", "./test/0000.JPG", "Test/0000.jpg"])
def test_an_image_is_found_by_another_spelling_of_its_name_and_that_is_said(tmp_path, caplog, name):
    lines = [f"0 0.5 1 2 3 4,{name}", ",test/0001.jpg", ",test/0002.jpg"]
    boxes = read(file_of(tmp_path, *lines, header=HEADER))
    pd.testing.assert_frame_equal(boxes, detections([4, 7, 0.5, 1, 2, 3, 4]))
    (record,) = caplog.records
    assert "team.csv: 1 names of images are spelt in another way" in record.getMessage()


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_unicode_forms_of_a_name_are_one_image(tmp_path, form):
    names = ["사진 1.jpg", "사진 2.jpg", "é.jpg"]
    images = IMAGES.assign(file_name=[unicodedata.normalize(form, name) for name in names])
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    lines = [f"0 0.5 1 2 3 {n},{unicodedata.normalize(other, x)}" for n, x in enumerate(names, 3)]
    boxes = read_detections_csv(file_of(tmp_path, *lines, header=HEADER), images, CATEGORIES)
    assert boxes[["image_id", "y_max"]].to_numpy().tolist() == [[4, 3], [2, 4], [9, 5]]


def test_a_name_with_a_blank_at_its_end_is_shown_so_that_it_is_seen(tmp_path):
    lines = [",test/0000.jpg ", ",test/0001.jpg", ",test/0002.jpg"]
    with pytest.raises(SubmissionError, match="image 'test/0000.jpg ' .line 2."):
        read(file_of(tmp_path, *lines, header=HEADER))


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ([",test/0000.jpg", ",test/0001.jpg"], "1 fault: 1 x the image has no row, .*0002.jpg"),
        (
            [",test/0000.jpg", ",test/0001.jpg", ",test/0002.jpg", "0 0.5 1 2 3 4,test/0001.jpg"],
            "1 fault: 1 x the image has a second row, keep one: image test/0001.jpg \\(line 5\\)",
        ),
        (
            [",test/0000.jpg", ",test/0001.jpg", ",test/0002.jpg", ",b.jpg"],
            "1 fault: 1 x the image is not one of those to predict, .*: image b.jpg \\(line 5\\)",
        ),
        (
            [",test/0000.jpg", ",test/0001.jpg", ",test/0002.jpg", "0 0.5 1"],
            "1 fault: 1 x a row has not the two columns .*: line 5",
        ),
        (
            [",test/0000.jpg", ",test/0001.jpg", ",test/0002.jpg", "0 0,5 1 2 3 4,test/0001.jpg"],
            "1 fault: 1 x a row has not the two columns .*: line 5",
        ),
        (
            [",test/0000.jpg", ",test/0001.jpg", ",test/0002.jpg", '"0 0.5,b.jpg'],
            "1 fault: 1 x a row has not the two columns .*: line 5",
        ),
        ([], "3 faults: 3 x the image has no row, .*: image test/0000.jpg, image test/0001.jpg"),
    ],
)
def test_rows_that_do_not_fit_the_images_are_named(tmp_path, lines, fault):
    with pytest.raises(SubmissionError, match=f"team.csv: {fault}"):
        read(file_of(tmp_path, *lines, header=HEADER))


def test_all_faults_of_a_file_are_told_at_once_counted_by_kind(tmp_path):
    box = "0 2 1 2 3 4"
    path = boxes_file(tmp_path, " ".join([box] * 5), "0 x 1 2 3 4", "0 0.5")
    with pytest.raises(SubmissionError) as caught:
        read(path)
    said = str(caught.value)
    assert "7 faults: 1 x a row is cut off" in said
    assert "1 x not a number" in said
    assert "5 x a score is from 0 to 1: " in said
    assert said.endswith("(box 2: score 2), ...")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "the file is empty"),
        ("\n", "the header is ''"),
        ("image,boxes\n", "the header is 'image,boxes'; a submission has the two columns"),
        (",PredictionString,image_id\n0,,test/0000.jpg\n", "the header is ',PredictionString,"),
        ("image_id\ntest/0000.jpg\n", "the header is 'image_id'"),
    ],
)
def test_a_file_without_the_right_header_is_refused(tmp_path, content, fault):
    path = tmp_path / "team.csv"
    path.write_text(content)
    with pytest.raises(SubmissionError, match=f"team.csv: {fault}"):
        read(path)


def test_a_header_without_a_line_end_is_a_file_without_rows(tmp_path):
    (tmp_path / "a.csv").write_text("PredictionString,image_id")
    with pytest.raises(SubmissionError, match="a.csv: .* x the image has no row"):
        read(tmp_path / "a.csv")


def test_a_row_of_more_than_an_image_may_have_is_refused(tmp_path, monkeypatch):
    path = boxes_file(tmp_path, "0 0.5 1 2 3 4", "0 0.5 1 2 3 4 " * 9)
    longest = max(map(len, path.read_bytes().splitlines()))
    monkeypatch.setattr("recycling.predictions.formats.rows.LARGEST_ENTRY", longest)
    assert len(read(path, missing_images="skip")) == 10
    monkeypatch.setattr("recycling.predictions.formats.rows.LARGEST_ENTRY", longest - 1)
    with pytest.raises(SubmissionError, match="team.csv: line 3: a row of more than 0 MB; is it"):
        read(path, missing_images="skip")


def test_a_file_that_is_not_there_is_named(tmp_path):
    loop = tmp_path / "loop.csv"
    loop.symlink_to(loop)
    with pytest.raises(SubmissionError, match="loop.csv: cannot be read: Too many levels"):
        read(loop)
    with pytest.raises(SubmissionError, match="none.csv: cannot be read: No such file"):
        read(tmp_path / "none.csv")


def test_images_without_a_row_have_no_boxes_where_that_was_asked_for(tmp_path, caplog):
    path = file_of(tmp_path, "1 0.5 1 2 3 4,test/0002.jpg", header=HEADER)
    boxes = read(path, missing_images="skip")
    pd.testing.assert_frame_equal(boxes, detections([9, 3, 0.5, 1, 2, 3, 4]))
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: 2 of 3 images have no row; going on without them: test/0000.jpg, test/0001.jpg"
    ]


def test_masks_of_objects_are_kept_by_the_table_and_left_out_of_the_file(tmp_path):
    rows = detections([4, 7, 0.5, 1, 2, 3, 4], [4, 3, 0.25, 1, 2, 3, 4])
    masked = DETECTIONS.conform(rows.assign(segmentation=['{"size": []}', None]), where="test")
    assert masked.columns.tolist() == [*DETECTIONS.names, "segmentation"]
    assert masked["segmentation"].isna().tolist() == [False, True]
    assert rows.columns.tolist() == DETECTIONS.names
    path = tmp_path / "team.csv"
    write(SETTINGS, masked, path)
    pd.testing.assert_frame_equal(read(path), rows)
