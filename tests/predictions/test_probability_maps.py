"""Probability planes: stored, read when asked for."""

import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from recycling.predictions.probability_maps import ProbabilityMaps, probability_planes


@given(
    planes=st.lists(
        arrays(np.uint8, array_shapes(min_dims=3, max_dims=3, max_side=9)), min_size=1, max_size=3
    )
)
@settings(max_examples=30)
def test_what_is_written_is_read_again(planes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("planes")
    ids = [10 * number - 15 for number in range(len(planes), 0, -1)]
    by_image = dict(zip(ids, planes, strict=True))
    ProbabilityMaps(ids, by_image.__getitem__).write(folder)
    read = ProbabilityMaps.from_folder(folder)
    assert list(read) == sorted(ids)
    assert len(read) == len(ids)
    for image_id in ids:
        np.testing.assert_array_equal(read[image_id], by_image[image_id])
        np.testing.assert_array_equal(
            np.load(folder / f"{image_id}.npz")["planes"], by_image[image_id]
        )


def test_files_are_compressed_and_nothing_else_is_left_in_the_folder(tmp_path):
    ProbabilityMaps([1], lambda _: np.zeros((11, 64, 64), np.uint8)).write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["1.npz"]
    assert (tmp_path / "1.npz").stat().st_size < 1000


def test_planes_are_read_when_they_are_asked_for():
    asked = []

    def read(image_id):
        asked.append(image_id)
        return np.zeros((2, 1, 1), np.uint8)

    maps = ProbabilityMaps([3, 1], read)
    labels = maps.label_maps()
    assert (list(maps), list(labels), 2 in maps, asked) == ([3, 1], [3, 1], False, [])
    assert maps[1].shape == (2, 1, 1)
    assert labels[3].tolist() == [[0]]
    assert asked == [1, 3]
    with pytest.raises(KeyError):
        maps[2]


def test_an_image_that_cannot_be_computed_leaves_no_file(tmp_path):
    def read(image_id):
        return np.zeros((2, 3, 3) if image_id == 1 else (3, 3), np.uint8)

    with pytest.raises(ValueError, match=r"^image 2: an array of shape \(3, 3\) and type uint8"):
        ProbabilityMaps([1, 2], read).write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["1.npz"]


def test_a_damaged_file_is_named_wherever_it_is_damaged(tmp_path):
    planes = np.random.default_rng(0).integers(0, 3, (3, 60, 60), np.uint8)
    ProbabilityMaps([1], lambda _: planes).write(tmp_path)
    maps = ProbabilityMaps.from_folder(tmp_path)
    whole = (tmp_path / "1.npz").read_bytes()
    for place in range(60, len(whole), 37):
        for damaged in (whole[:place], whole[:place] + b"\xff" * 50 + whole[place + 50 :]):
            (tmp_path / "1.npz").write_bytes(damaged)
            with pytest.raises(ValueError, match=r"1\.npz: not a file of probability planes, or"):
                maps[1]


def test_a_file_of_something_else_is_named(tmp_path):
    planes = np.zeros((3, 4, 4))
    np.savez(tmp_path / "1.npz", other=planes)
    np.savez(tmp_path / "2.npz", planes=planes)
    (tmp_path / "3.npz").touch()
    maps = ProbabilityMaps.from_folder(tmp_path)
    (tmp_path / "3.npz").unlink()
    for image_id in (1, 3):
        with pytest.raises(ValueError, match=rf"{image_id}\.npz: not a file of probability planes"):
            maps[image_id]
    with pytest.raises(ValueError, match=r"2\.npz: an array of .* and type float64; probability"):
        maps[2]


def test_a_file_whose_name_is_no_image_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "photo.npz", "w"):
        pass
    with pytest.raises(ValueError, match=r"photo\.npz: the name is no image id"):
        ProbabilityMaps.from_folder(tmp_path)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_probabilities_are_rounded_to_the_nearest_of_255_steps(dtype):
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), (9, 9)).transpose(2, 0, 1)
    probabilities = probabilities.astype(dtype)
    planes = probability_planes(probabilities)
    assert planes.dtype == np.uint8
    assert np.abs(planes / 255 - probabilities).max() <= 1 / 510 + 1e-7


def test_numbers_that_are_no_probabilities_are_refused():
    for bad in (np.nan, 1.5, -0.1):
        planes = np.zeros((2, 1, 2))
        planes[1, 0, 1] = bad
        with pytest.raises(ValueError, match="^1 of 4 probabilities lie outside 0 to 1"):
            probability_planes(planes)
    with pytest.raises(ValueError, match=r"shape \(3, 3\); they should be \(classes, H, W\)"):
        probability_planes(np.zeros((3, 3)))
