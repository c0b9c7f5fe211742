"""Label errors that are planted on request."""

import copy

import numpy as np
import pytest

from diagnostics.planted_errors import drawn_labels
from recycling.sample import plant_label_errors

KINDS = ["wrong_class", "missed", "badly_placed", "spurious"]


@pytest.fixture(scope="module")
def right():
    return drawn_labels(60, seed=1)


@pytest.fixture(scope="module")
def wrong_and_errors(right):
    wrong = copy.deepcopy(right)
    return wrong, plant_label_errors(wrong, np.random.default_rng(0), n_each=6)


def by_id(document):
    return {own["id"]: own for own in document["annotations"]}


def test_as_many_of_each_kind_are_planted_and_nothing_else_changes(right, wrong_and_errors):
    wrong, errors = wrong_and_errors
    assert [error["kind"] for error in errors] == [kind for kind in KINDS for _ in range(6)]
    assert len({error["image_id"] for error in errors}) == 24
    before, after = by_id(right), by_id(wrong)
    changed = {one for one in before if before[one] != after.get(one)} | (set(after) - set(before))
    assert changed == {error["annotation_id"] for error in errors}
    assert wrong["images"] == right["images"]


def test_each_error_is_what_the_list_says(right, wrong_and_errors):
    wrong, errors = wrong_and_errors
    before, after = by_id(right), by_id(wrong)
    names = {own["id"]: own["name"] for own in right["categories"]}
    for error in errors:
        was, now = before.get(error["annotation_id"]), after.get(error["annotation_id"])
        if error["kind"] == "missed":
            assert now is None
            assert error["bbox"] == was["bbox"]
        elif error["kind"] == "spurious":
            assert was is None
            assert error["bbox"] == now["bbox"]
            assert overlaps(now, [o for o in right["annotations"]
                                  if o["image_id"] == now["image_id"]]) == 0  # fmt: skip
        elif error["kind"] == "wrong_class":
            assert names[now["category_id"]] != error["right_category"]
            assert names[was["category_id"]] == error["right_category"]
            assert now["bbox"] == was["bbox"]
        else:
            assert 0.15 < overlaps(now, [was]) <= 0.6
            moves = np.subtract(now["bbox"], was["bbox"])
            corners = np.subtract(now["segmentation"][0], was["segmentation"][0])
            np.testing.assert_allclose(corners, np.tile(moves[:2], 4))
            assert moves[2:].tolist() == [0, 0]


def overlaps(label, others):
    """The greatest intersection over union of one box with others."""
    x, y, width, height = label["bbox"]
    shares = [0.0]
    for other in others:
        left, top, wide, high = other["bbox"]
        across = min(x + width, left + wide) - max(x, left)
        down = min(y + height, top + high) - max(y, top)
        shared = max(across, 0) * max(down, 0)
        shares.append(shared / (width * height + wide * high - shared))
    return max(shares)


def test_the_same_seed_plants_the_same(right, wrong_and_errors):
    again = copy.deepcopy(right)
    assert plant_label_errors(again, np.random.default_rng(0), n_each=6) == wrong_and_errors[1]
    assert again == wrong_and_errors[0]


def test_too_few_images_are_said(right):
    few = {**copy.deepcopy(right), "images": right["images"][:5]}
    with pytest.raises(ValueError, match="too few images to plant label errors"):
        plant_label_errors(few, np.random.default_rng(0), n_each=6)
