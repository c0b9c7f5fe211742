"""Maps by image: read when they are asked for, and kept as long as they fit."""

import numpy as np
import pytest

from disk import full_disk
from recycling.predictions import LabelMaps, SubmissionError
from recycling.predictions.core import KEPT_BYTES


def counted(shape):
    """Maps of three images, and which of them have been read."""
    read = []

    def one(image_id):
        read.append(image_id)
        return np.full(shape, image_id, np.uint8)

    return LabelMaps([3, 1, 2], one), read


def test_whether_an_image_has_a_map_is_known_without_reading_it():
    maps, read = counted((2, 2))
    assert 3 in maps
    assert 4 not in maps
    assert read == []


def test_a_map_is_read_once_and_cannot_be_written_to():
    maps, read = counted((2, 2))
    for _ in range(3):
        assert maps[1].tolist() == [[1, 1], [1, 1]]
    assert read == [1]
    with pytest.raises(ValueError, match="read-only"):
        maps[1][0] = 0


def test_what_does_not_fit_is_read_again_and_the_array_of_others_stays_theirs():
    large = np.zeros((2, KEPT_BYTES), np.uint8)
    maps = LabelMaps([1], lambda _: large)
    assert maps[1] is not maps[1]
    large[0] = 1  # it is read, not owned
    assert maps[1][0, 0] == 1


def test_a_map_for_which_there_is_no_room_is_not_taken_for_written(tmp_path):
    small = LabelMaps([1], lambda _: np.zeros((40, 40), np.uint8))
    with full_disk(), pytest.raises(OSError, match=r"1\.png"):
        small.write(tmp_path)


def test_a_file_that_is_no_map_is_named(tmp_path):
    (tmp_path / "7.png").touch()
    with pytest.raises(SubmissionError, match=r"7\.png: not a label map"):
        LabelMaps.from_folder(tmp_path)[7]
