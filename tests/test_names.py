"""Names are compared as people mean them."""

import unicodedata

import pytest

from recycling.errors import Faults
from recycling.names import KnownNames


@pytest.mark.parametrize(
    "other",
    [
        "train/사진 1.jpg",
        unicodedata.normalize("NFD", "train/사진 1.jpg"),
        "train\\사진 1.jpg",
        "./train/사진 1.jpg",
        "train//사진 1.JPG",
        unicodedata.normalize("NFD", ".\\Train\\사진 1.Jpg"),
    ],
)
def test_a_name_is_found_in_every_spelling(other):
    assert KnownNames(["train/사진 2.jpg", "train/사진 1.jpg"]).find(other) == 1


def test_the_literal_name_comes_first():
    known = KnownNames(["a.jpg", "A.jpg", "b.JPG"])
    assert [known.find(name) for name in ("a.jpg", "A.jpg", "a.JPG", "B.jpg")] == [0, 1, None, 2]


def test_composed_comes_before_case():
    decomposed = unicodedata.normalize("NFD", "é.jpg")
    assert KnownNames(["É.jpg", "é.jpg"]).find(decomposed) == 1


def test_a_name_that_may_mean_two_is_a_fault_that_names_both():
    known, faults = KnownNames(["a.jpg", "A.jpg"]), Faults("team.csv", ValueError)
    known.note_unknown("a.JPG", "image", "line 3", "remove its row", faults)
    with pytest.raises(ValueError, match="more than one image.*'a.jpg', 'A.jpg'"):
        faults.raise_if_any()


def test_a_name_without_its_folder_is_told_which_image_it_may_be():
    known = KnownNames(["test/1.jpg", "test/2.jpg", "a/3.jpg", "b/3.jpg"])
    faults = Faults("team.csv", ValueError)
    for name in ("1.JPG", "3.jpg"):
        known.note_unknown(name, "image", "line 3", "remove its row", faults)
    with pytest.raises(
        ValueError, match=r"lacks its folder.*'test/1\.jpg'.*remove its row: .*3\.jpg"
    ):
        faults.raise_if_any()


def test_other_spellings_are_said_once(caplog):
    known = KnownNames([f"{n}.jpg" for n in range(5)])
    for n in range(5):
        known.find(f"{n}.JPG")
    known.say_rewritten("team.csv", "images")
    (record,) = caplog.records
    assert "team.csv: 5 names of images" in record.getMessage()
    assert "'0.JPG' for '0.jpg'" in record.getMessage()
    assert "(2 more)" in record.getMessage()
