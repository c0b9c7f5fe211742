"""Large images in tiles: nothing is lost, nothing found twice, nothing left cut."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.looking import SeesColours, SeesRectangles, boxes_of, drawn, predictor
from recycling.inference import InferenceError, Tiles, in_memory, tiled
from recycling.inference.tiles import cut_image

SMALL = Tiles(size=100, overlap=0.2)


@given(
    width=st.integers(1, 500),
    height=st.integers(1, 500),
    size=st.integers(32, 200),
    overlap=st.floats(0, 0.9),
)
def test_tiles_cover_the_image_and_share_what_is_asked_for(width, height, size, overlap):
    image = SimpleNamespace(image_id=1, width=width, height=height)
    cut = cut_image(image, Tiles(size=size, overlap=overlap))
    covered = np.zeros((height, width), bool)
    for tile in cut:
        covered[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width] = True
        assert tile.left + tile.width <= width
        assert tile.top + tile.height <= height
        assert max(tile.width, tile.height) <= size
    assert covered.all()
    lefts = sorted({tile.left for tile in cut})
    shared = [before + size - after for before, after in pairwise(lefts)]
    assert min(shared, default=size) >= int(overlap * size) - 1


def test_an_image_of_one_tile_is_predicted_as_it_is():
    images = in_memory([drawn((100, 80), [("red", 10, 10, 40, 30)])])
    plain = predictor("det", SeesRectangles()).predict(images)
    assert tiled(predictor("det", SeesRectangles()), SMALL).predict(images).equals(plain)


@pytest.mark.parametrize(
    "boxes",
    [
        [("red", 82, 10, 96, 30)],  # in the strip that two tiles share
        [("red", 60, 60, 96, 96)],  # cut by the edges of three, whole in one
        [("red", 60, 60, 180, 90)],  # larger than what two share
        [("red", 5, 5, 295, 215)],  # larger than a tile
        [("red", 20, 20, 90, 90), ("red", 40, 40, 55, 55)],  # one before another of its category
        [("red", 70, 10, 120, 40), ("blue", 75, 15, 125, 45)],
        [("red", 10, 70, 30, 130), ("red", 34, 70, 54, 130)],  # side by side, both cut
    ],
)
def test_every_object_is_found_once_and_whole(boxes):
    image = drawn((300, 220), boxes)
    whole = predictor("det", SeesRectangles()).predict(in_memory([image]))
    found = tiled(predictor("det", SeesRectangles()), SMALL).predict(in_memory([image]))
    assert boxes_of(found) == boxes_of(whole)
    assert len(found) == len(boxes)


class SeesNoLargeImages(SeesRectangles):
    """As a network to which objects of large images are too small."""

    def seen(self, pixels):
        return super().seen(pixels) if max(pixels.shape) <= 100 else []


def test_parts_are_put_together_where_the_whole_is_found_nowhere():
    boxes = [("red", 30, 40, 250, 90), ("blue", 120, 100, 160, 210)]
    image = drawn((300, 220), boxes)
    whole = predictor("det", SeesRectangles()).predict(in_memory([image]))
    found = tiled(predictor("det", SeesNoLargeImages()), SMALL).predict(in_memory([image]))
    assert boxes_of(found) == boxes_of(whole)


def test_boxes_stay_with_their_images():
    images = [
        drawn((300, 100), [("red", 210, 10, 240, 30)]),
        drawn((60, 60), [("blue", 1, 2, 11, 22)]),
        drawn((100, 300), [("red", 10, 210, 30, 240)]),
    ]
    found = tiled(predictor("det", SeesRectangles()), SMALL).predict(in_memory(images))
    by_image = {image_id: boxes_of(own) for image_id, own in found.groupby("image_id")}
    assert by_image == {
        1: [(7, 210, 10, 240, 30)], 2: [(3, 1, 2, 11, 22)], 3: [(7, 10, 210, 30, 240)]
    }  # fmt: skip


def test_label_maps_of_tiles_are_those_of_the_whole_image():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (230, 310, 3), dtype=np.uint8)
    plain = predictor("seg", SeesColours()).predict(in_memory([image]))
    found = tiled(predictor("seg", SeesColours()), SMALL).predict(in_memory([image]))
    np.testing.assert_array_equal(found[1], plain[1])
    difference = found.probabilities[1].astype(int) - plain.probabilities[1]
    assert np.abs(difference).max() <= 1


def test_a_classifier_is_not_tiled():
    with pytest.raises(InferenceError, match=r"cls\.drawn is a classifier.*leave the tiles out"):
        tiled(predictor("cls", SeesRectangles()), SMALL)
