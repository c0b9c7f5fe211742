"""The competition's CSV files of label maps."""

import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from predictions.submission_cases import CATEGORIES, IMAGES, file_of, write
from recycling.predictions import (
    LabelMaps,
    MaskFormat,
    SubmissionError,
    read_label_maps_csv,
    to_submission,
)

HEADER = "image_id,PredictionString"


def masks_file(folder, *texts):
    names = IMAGES["file_name"]
    rows = [f"{name},{text}" for name, text in zip(names, texts, strict=True)]
    return file_of(folder, *rows, header=HEADER)


def maps_of(stack):
    return LabelMaps(
        IMAGES["image_id"].tolist(),
        dict(zip(IMAGES["image_id"].tolist(), stack, strict=True)).__getitem__,
    )


def of_size(size):
    return MaskFormat.model_validate({"size": size})


def many_categories(n):
    return pd.DataFrame({"category_id": np.arange(n)})


def test_masks_are_written_as_the_competition_wants_them(tmp_path):
    label_map = np.array([[0, 1], [2, 0]], np.uint8).repeat(3, 0).repeat(4, 1)
    maps = LabelMaps([9, 4, 2], lambda _: label_map)
    path = tmp_path / "team.csv"
    write(of_size(4), maps, path)
    text = "0 0 1 1 0 0 1 1 2 2 0 0 2 2 0 0"
    assert path.read_bytes().decode().split("\n") == [
        HEADER,
        f"test/0000.jpg,{text}",
        f"test/0001.jpg,{text}",
        f"test/0002.jpg,{text}",
        "",
    ]


def test_masks_are_256_pixels_square_unless_told_otherwise(tmp_path):
    maps = LabelMaps([9, 4, 2], lambda _: np.ones((512, 512), np.uint8))
    path = tmp_path / "team.csv"
    write(MaskFormat.model_validate({}), maps, path)
    assert {map_.shape for map_ in read_label_maps_csv(path, IMAGES, CATEGORIES).values()} == {
        (256, 256)
    }


@given(
    seed=st.integers(0, 2**32),
    size=st.integers(1, 24),
    n_categories=st.sampled_from([1, 9, 10, 60, 99, 100, 254]),
)
@settings(max_examples=100)
def test_masks_written_and_read_are_the_same(tmp_path_factory, seed, size, n_categories):
    stack = np.random.default_rng(seed).integers(
        0, n_categories + 1, (3, size, size), dtype=np.uint8
    )
    path, categories = tmp_path_factory.mktemp("masks") / "t.csv", many_categories(n_categories)
    write(of_size(size), maps_of(stack), path)
    read = read_label_maps_csv(path, IMAGES, categories, size=size)
    assert list(read) == [4, 2, 9]
    for expected, label_map in zip(stack, read.values(), strict=True):
        assert label_map.dtype == np.uint8
        np.testing.assert_array_equal(label_map, expected)


WORDS = ["0", "1", "10", "11", "99", "100", "254", "255", "007", "1010", "99999"]
NO_NUMBERS = ["x", "-1", "1x", "x1", "10x", "1.0", "0;1", "\u0660"]


@given(
    words=st.lists(
        st.sampled_from(WORDS) | st.sampled_from(["", *NO_NUMBERS]), min_size=3, max_size=6
    ),
    n_categories=st.sampled_from([10, 99, 254]),
)
@example(words=["0", "1", "10", ""], n_categories=10)
@example(words=["1010", "1", "10"], n_categories=254)
@settings(max_examples=300)
def test_a_row_is_taken_just_where_its_words_are_class_numbers(
    tmp_path_factory, words, n_categories
):
    categories = many_categories(n_categories)
    path = masks_file(tmp_path_factory.mktemp("masks"), " ".join(words), "0 0 0 0", "0 0 0 0")
    filled = [word for word in words if word]
    good = len(filled) == 4 and all(word in WORDS and int(word) <= n_categories for word in filled)
    if good:
        maps = read_label_maps_csv(path, IMAGES, categories, size=2)
        assert maps[4].ravel().tolist() == [int(word) for word in filled]
    else:
        with pytest.raises(SubmissionError, match=r"1 fault: .*image test/0000.jpg \("):
            read_label_maps_csv(path, IMAGES, categories, size=2)


@pytest.mark.parametrize("word", ["255", "300", *NO_NUMBERS])
@pytest.mark.parametrize("place", range(4))
def test_a_word_that_is_no_class_number_is_found_wherever_it_stands(tmp_path, word, place):
    words = ["0"] * 4
    words[place] = word
    path = masks_file(tmp_path, " ".join(words), "0 0 0 0", "0 0 0 0")
    with pytest.raises(SubmissionError, match=f"1 fault: .*item {place} of its row"):
        read_label_maps_csv(path, IMAGES, many_categories(254), size=2)


def test_files_of_other_programs_are_read(tmp_path):
    path = tmp_path / "team.csv"
    path.write_bytes(
        b'\xef\xbb\xbf"PredictionString","image_id"\r\n"0 1 2 0",test/0002.jpg\r\n'
        b'0  1 2 1 ,"test/0000.jpg"\r\n 0 1 02 2,test/0001.jpg'
    )
    maps = read_label_maps_csv(path, IMAGES, CATEGORIES, size=2)
    assert {key: value.tolist() for key, value in maps.items()} == {
        4: [[0, 1], [2, 1]],
        2: [[0, 1], [2, 2]],
        9: [[0, 1], [2, 0]],
    }


@pytest.mark.parametrize("name", ["a,b.jpg", 'a "b",c.jpg', '"', '","', "größe 1.jpg"])
def test_any_file_name_of_an_image_comes_back(tmp_path, name):
    images = IMAGES.assign(file_name=[name, "1.jpg", "2.jpg"])
    path, stack = tmp_path / "team.csv", np.arange(3, dtype=np.uint8).reshape(3, 1, 1)
    write(of_size(1), maps_of(stack), path, images)
    assert pd.read_csv(path)["image_id"].tolist() == images["file_name"].tolist()
    read = read_label_maps_csv(path, images, CATEGORIES, size=1)
    np.testing.assert_array_equal(np.stack(list(read.values())), stack)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("0 1 2", "a row does not hold 2 x 2 = 4 class numbers: image test/0001.jpg \\(3\\)"),
        ("0 1 2 0 1", "a row does not hold 2 x 2 = 4 class numbers: image test/0001.jpg \\(5\\)"),
        ("", "a row does not hold 2 x 2 = 4 class numbers: image test/0001.jpg \\(0\\)"),
        (
            "0 1 2 3",
            "no such class, they go from 0 \\(background\\) to 2: image test/0001.jpg "
            "\\('3', item 3 of its row\\)",
        ),
        ("0 256 2 1", "no such class, .*'256', item 1"),
        ("0 1 -1 2", "not a class number, .*'-1', item 2"),
        ("0 1 nan 2", "not a class number, .*'nan', item 2"),
        ("0 1.0 1 2", "not a class number, .*'1.0', item 1"),
        ("0 1,2 0", "not a class number, .*'1,2', item 1"),
        ("0 1 2\t0 1", "numbers have tab between them, write a space: .*'2<tab>0', item 2"),
        (
            "0 1 2 0\u00a0",
            r"numbers have no-break space U\+00A0 .*'0<no-break space U\+00A0>', item 3",
        ),
        ("0 1 2 " + "9" * 5000, "no such class, .*'9+ ... .4,960 characters. ... 9+', item 3"),
    ],
)
def test_a_fault_in_a_row_is_named_with_file_and_(tmp_path, text, fault):
    path = masks_file(tmp_path, "0 0 0 0", text, "0 0 0 0")
    with pytest.raises(SubmissionError, match=f"team.csv: 1 fault: 1 x {fault}") as caught:
        read_label_maps_csv(path, IMAGES, CATEGORIES, size=2)
    assert "\n" not in str(caught.value)


def test_all_faults_of_a_file_are_told_at_once(tmp_path):
    path = file_of(
        tmp_path,
        "test/0000.jpg,0 0",
        "test/0001.jpg,0 0 9 0",
        "b.jpg,0 0 0 0",
        "test/0001.jpg,0 0 0 0",
        header=HEADER,
    )
    with pytest.raises(SubmissionError, match="team.csv: 5 faults: ") as caught:
        read_label_maps_csv(path, IMAGES, CATEGORIES, size=2)
    for fault in (
        "1 x the image is not one of those to predict",
        "1 x the image has a second row",
        "1 x the image has no row",
        "1 x a row does not hold",
        "1 x no such class",
    ):
        assert fault in str(caught.value)


def test_an_image_without_a_row_has_no_vote_where_that_was_asked_for(tmp_path, caplog):
    path = file_of(tmp_path, "test/0001.jpg,0 1 2 0", header=HEADER)
    maps = read_label_maps_csv(path, IMAGES, CATEGORIES, size=2, missing_images="skip")
    expected = {4: [255] * 4, 2: [0, 1, 2, 0], 9: [255] * 4}
    assert {key: value.ravel().tolist() for key, value in maps.items()} == expected
    said = f"{path}: 2 of 3 images have no row; going on without them: test/0000.jpg, test/0002.jpg"
    assert [record.getMessage() for record in caplog.records] == [said]


def test_a_file_that_changes_after_it_was_checked_is_not_used(tmp_path):
    path = masks_file(tmp_path, *["0 0 0 0"] * 3)
    maps = read_label_maps_csv(path, IMAGES, CATEGORIES, size=2)
    assert maps[4].tolist() == [[0, 0], [0, 0]]
    masks_file(tmp_path, *["0 0 0 1"] * 3)
    os.utime(path, ns=(1, 1))
    with pytest.raises(SubmissionError, match="team.csv: has changed since it was checked"):
        maps[2]
    path.unlink()
    with pytest.raises(SubmissionError, match="team.csv: has changed since it was checked"):
        maps[2]


def test_a_missing_map_or_one_with_ignored_pixels_is_not_written():
    missing = LabelMaps([4, 9], lambda _: np.zeros((2, 2), np.uint8))
    with pytest.raises(SubmissionError, match=r"^label maps: image test/0001.jpg: no label map"):
        to_submission(of_size(2), missing, IMAGES, CATEGORIES)
    ignored = LabelMaps([4, 2, 9], lambda _: np.full((2, 2), 255, np.uint8))
    with pytest.raises(SubmissionError, match=r"image test/0000.jpg: 4 pixels are 255"):
        to_submission(of_size(2), ignored, IMAGES, CATEGORIES)


def test_sizes_and_categories_that_no_map_can_have_are_refused(tmp_path):
    path = masks_file(tmp_path, *["0"] * 3)
    with pytest.raises(SubmissionError, match="0 x 0 pixels; give a size from 1 up"):
        read_label_maps_csv(path, IMAGES, CATEGORIES, size=0)
    with pytest.raises(SubmissionError, match="255 categories; a label map has room for 254"):
        read_label_maps_csv(path, IMAGES, many_categories(255), size=1)
