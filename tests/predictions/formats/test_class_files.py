"""CSV files of classes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from predictions.submission_cases import CATEGORIES, file_of, write
from recycling.limits import Limits
from recycling.predictions import (
    CLASS_PROBABILITIES,
    ClassFormat,
    SubmissionError,
    read_class_probabilities_csv,
    to_submission,
)

CROPS = pd.DataFrame({"annotation_id": [5, 3]})
HEADER = "annotation_id,Paper,Metal"
AS_PROBABILITIES = ClassFormat.model_validate({"format": "class_probabilities"})
AS_CLASSES = ClassFormat.model_validate({"format": "classes"})


def probabilities(values):
    frame = pd.DataFrame(np.asarray(values, np.float32), columns=["Paper", "Metal"])
    frame.insert(0, "annotation_id", CROPS["annotation_id"])
    return CLASS_PROBABILITIES.conform(frame, where="test")


def read(path, **options):
    return read_class_probabilities_csv(path, CROPS, CATEGORIES, **options)


@given(first=arrays(np.float32, 2, elements=st.floats(0, 1, width=32)))
@settings(max_examples=200)
def test_probabilities_written_and_read_are_the_same_to_the_last_bit(tmp_path_factory, first):
    values = np.stack([first, 1 - first], axis=1)
    path = tmp_path_factory.mktemp("classes") / "team.csv"
    write(AS_PROBABILITIES, probabilities(values), path, CROPS)
    pd.testing.assert_frame_equal(read(path), probabilities(values), check_exact=True)


def test_rows_and_columns_may_come_in_any_order(tmp_path):
    path = file_of(tmp_path, "3,0.75,0.25", "5,0.5,0.5", header="annotation_id,Metal,Paper")
    expected = probabilities([[0.5, 0.5], [0.25, 0.75]])
    pd.testing.assert_frame_equal(read(path), expected)


def test_classes_are_written_by_name_and_read_as_certain(tmp_path):
    path = tmp_path / "team.csv"
    write(AS_CLASSES, probabilities([[0.2, 0.8], [0.5, 0.5]]), path, CROPS)
    assert path.read_text().split() == ["annotation_id,category", "5,Metal", "3,Paper"]
    pd.testing.assert_frame_equal(read(path), probabilities([[0, 1], [1, 0]]))


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["5,0.5,0.5"], "1 fault: 1 x the crop has no row, .*: crop 3"),
        (["5,0.5,0.5", "3,1,0", "3,1,0"], "1 fault: 1 x the crop has a second row, .*3 .line 4"),
        (["5,0.5,0.5", "3,1,0", "8,1,0"], "1 fault: 1 x the crop is not one of those .*8 .line 4"),
        (["5,0.5,0.5", "3,1,0", "x,1,0"], "1 fault: 1 x the crop is not one of those .*x .line 4"),
        (["5,0.5,0.5", "3,1,x"], "1 fault: 1 x a probability is .*: crop 3 .Metal: 'x'"),
        (["5,0.5,0.5", "3,,1"], "1 fault: 1 x a probability is .*: crop 3 .Paper: ''"),
        (["5,0.5,nan", "3,1,0"], "1 fault: 1 x a probability is .*: crop 5 .Metal: 'nan'"),
        (["5,0.5,1.5", "3,-1,0"], "2 faults: 2 x a probability is .*: crop 5 .* crop 3 .Paper"),
        (["5,2,1.5", "8,-1,0"], "3 faults: "),
    ],
)
def test_a_fault_in_a_file_of_probabilities_is_named_with_the_crop(tmp_path, lines, fault):
    with pytest.raises(SubmissionError, match=f"team.csv: {fault}"):
        read(file_of(tmp_path, *lines, header=HEADER))


def test_a_class_that_does_not_exist_is_named_with_the_crop(tmp_path):
    path = file_of(tmp_path, "5,Paper", "3,card", header="annotation_id,category")
    fault = "1 x no such category, they are Paper, Metal: crop 3 .'card'"
    with pytest.raises(SubmissionError, match=f"team.csv: 1 fault: {fault}"):
        read(path)


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("annotation_id,Paper", "no column 'Metal'; the file should have the columns"),
        ("annotation_id,Paper,Metal,Glass", "the column 'Glass' is no class"),
        ("Paper,Metal", "no column 'annotation_id'"),
    ],
)
def test_a_file_without_the_right_header_is_refused(tmp_path, header, fault):
    with pytest.raises(SubmissionError, match=f"team.csv: {fault}"):
        read(file_of(tmp_path, header=header))


def test_a_file_that_is_empty_or_not_there_or_no_table_is_refused(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(SubmissionError, match="empty.csv: the file is empty"):
        read(tmp_path / "empty.csv")
    with pytest.raises(SubmissionError, match="none.csv: cannot be read: No such file"):
        read(tmp_path / "none.csv")
    path = file_of(tmp_path, "5,1", "3,1,0,1", header="annotation_id,category")
    with pytest.raises(SubmissionError, match="team.csv: cannot be read: .*line 3"):
        read(path)


def test_a_file_of_more_than_its_share_of_bytes_is_refused(tmp_path, monkeypatch):
    path = file_of(tmp_path, "5,1,0", "3,1,0", header=HEADER)
    monkeypatch.setenv("RECYCLING_LIMITS", Limits(max_bytes=32 * 10).model_dump_json())
    with pytest.raises(SubmissionError, match=r"team.csv: cannot be read: more than 10 bytes"):
        read(path)


def test_an_id_of_thousands_of_digits_is_of_no_crop(tmp_path):
    path = file_of(tmp_path, "5,1,0", "3,1,0", f"{'7' * 5000},1,0", header=HEADER)
    with pytest.raises(SubmissionError, match=r"1 fault: 1 x the crop is not one of those"):
        read(path)


def test_a_crop_without_a_row_has_no_say_where_that_was_asked_for(tmp_path, caplog):
    path = file_of(tmp_path, "3,1,0", header=HEADER)
    expected = probabilities([[0.5, 0.5], [1, 0]])
    pd.testing.assert_frame_equal(read(path, missing_images="skip"), expected)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: 1 of 2 crops have no row; going on without them: 5"
    ]


@pytest.mark.parametrize("form", [AS_PROBABILITIES, AS_CLASSES])
def test_a_probability_that_is_missing_is_not_taken_for_a_class(form):
    table = probabilities([[np.nan, 0.8], [0, 1]])
    with pytest.raises(SubmissionError, match="^class probabilities: crop 5: a probability is mis"):
        to_submission(form, table, CROPS, CATEGORIES)


def test_a_table_without_classes_is_refused():
    with pytest.raises(SubmissionError, match="^class probabilities: no column of a class"):
        to_submission(AS_CLASSES, CROPS, CROPS, CATEGORIES)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("5,0.9,0.9", r"sum to 1 within 0.01, .*: crop 5 \(sum 1.8\)"),
        ("5,0,0", "all probabilities of a crop are 0, predict it again: crop 5"),
        ("5,0.5,0.489", r"sum to 1 within 0.01, .*: crop 5 \(sum 0.989\)"),
        ("5,80.5,19.5", "these look like percentages: divide them by 100: crop 5 .Paper: '80.5'"),
        ("5,-2.5,3.5", "these look like logits: apply a softmax: crop 5 .Paper: '-2.5'"),
        ("5,-0.105361,-2.302585", "look like logarithms of probabilities: apply exp: crop 5"),
    ],
)
def test_what_is_no_distribution_is_refused_and_named(tmp_path, line, fault):
    with pytest.raises(SubmissionError, match=f"team.csv: 1 fault: 1 x .*{fault}"):
        read(file_of(tmp_path, line, "3,1,0", header=HEADER))


def test_rounded_probabilities_are_read(tmp_path):
    path = file_of(tmp_path, "5,0.33,0.665", "3,1.0,0.009", header=HEADER)
    assert read(path)[["Paper", "Metal"]].to_numpy(np.float64) == pytest.approx(
        np.array([[0.33, 0.665], [1, 0.009]])
    )


BIG = pd.DataFrame({"annotation_id": [2**53, 2**53 + 1]})


def test_ids_above_2_to_the_53_are_told_apart(tmp_path):
    path = file_of(
        tmp_path, f"{2**53 + 1},Paper", f"{2**53},Metal", header="annotation_id,category"
    )
    table = read_class_probabilities_csv(path, BIG, CATEGORIES)
    assert table["annotation_id"].tolist() == [2**53, 2**53 + 1]
    assert table[["Paper", "Metal"]].to_numpy().tolist() == [[0, 1], [1, 0]]


def test_a_big_id_that_went_through_a_float_is_refused(tmp_path):
    path = file_of(
        tmp_path, f"{2**53}.0,Paper", f"{2**53 + 1},Metal", header="annotation_id,category"
    )
    with pytest.raises(
        SubmissionError, match="2.53 and written as a decimal.*'?9007199254740992.0"
    ):
        read_class_probabilities_csv(path, BIG, CATEGORIES)


def test_small_ids_may_be_written_as_decimals(tmp_path):
    path = file_of(tmp_path, "5.0,1,0", " 3,0,1", header=HEADER)
    assert read(path)["Paper"].tolist() == [1, 0]


@pytest.mark.parametrize("header", ["annotation_id,category", "annotation_id,E\u0301t\u00e9,METAL"])
def test_classes_are_found_by_other_spellings_and_that_is_said(tmp_path, caplog, header):
    categories = pd.DataFrame({"category_id": [7, 3], "name": ["\u00c9t\u00e9", "Metal"]})
    by_name = header.endswith("category")
    lines = ["5,E\u0301t\u00e9", "3,METAL"] if by_name else ["5,1,0", "3,0,1"]
    table = read_class_probabilities_csv(
        file_of(tmp_path, *lines, header=header), CROPS, categories
    )
    assert table["\u00c9t\u00e9"].tolist() == [1, 0]
    assert "2 names of classes are spelt in another way" in caplog.text


def test_many_categories_are_not_all_listed(tmp_path):
    categories = pd.DataFrame({"name": [f"class {n}" for n in range(60)]})
    path = file_of(tmp_path, "5,x", "3,class 1", header="annotation_id,category")
    with pytest.raises(SubmissionError, match=r"class 9, \.\.\. \(50 more\): crop 5") as raised:
        read_class_probabilities_csv(path, CROPS, categories)
    assert "class 10" not in str(raised.value)
