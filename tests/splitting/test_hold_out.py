import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from recycling.splitting import (
    DEFAULT_AXES,
    HoldOut,
    SplitError,
    Splitting,
    check_leaks,
    make_folds,
    max_deviation,
)
from splitting.annotated_images import annotated_images, shuffled, with_extra, with_images


def held_out(annotations, hold_out, **others):
    """The images of fold 0."""
    folds = make_folds(annotations, Splitting(method="hold_out", hold_out=hold_out, **others))
    assert folds["image_id"].tolist() == sorted(annotations.images["image_id"])
    assert set(folds["fold"]) == {0, 1}
    return set(folds["image_id"][folds["fold"] == 0])


@settings(max_examples=15)
@given(st.floats(0.05, 0.95), st.integers(0, 100))
def test_a_share_of_the_images_is_held_out_to_within_one(share, seed):
    annotations = annotated_images(n_images=60, group_size=1)
    images = held_out(annotations, {"share": share}, seed=seed)
    assert abs(len(images) - 60 * share) <= 1
    assert held_out(shuffled(annotations), {"share": share}, seed=seed) == images


def test_a_share_is_balanced_on_the_axes_and_keeps_groups_whole():
    annotations = annotated_images(n_images=900, group_size=3)
    settings = Splitting(method="hold_out", hold_out={"share": 0.15})
    folds = make_folds(annotations, settings)
    check_leaks(annotations, folds)
    assert (folds["fold"] == 0).sum() == 135
    by_chance = folds.assign(fold=np.repeat([0, 1, 1, 1, 1, 1], 150))
    even = max_deviation(annotations, folds)["deviation"]
    # One image of the part is 0.74 percentage points.
    assert (even < 0.75).all()
    assert (even < max_deviation(annotations, by_chance)["deviation"] / 2).all()


def test_the_seed_decides_which_share():
    annotations = annotated_images(group_size=1)
    first, again, other = (held_out(annotations, {"share": 0.2}, seed=s) for s in (0, 0, 1))
    assert first == again != other


def test_images_are_held_out_by_id():
    annotations = annotated_images(group_size=1)
    assert held_out(annotations, {"image_ids": [1003, 1200]}) == {1003, 1200}


def test_images_are_held_out_by_their_columns():
    annotations = annotated_images(n_images=6, group_size=1)
    ids = annotations.images["image_id"].tolist()
    annotations = with_images(annotations, width=[640, 480, 640, 480, 800, 800])
    annotations = with_extra(
        annotations, [{"place": place} for place in ("sea", "sea", "road", "road")] + [{}, None]
    )
    assert held_out(annotations, {"where": {"place": ["sea"]}}) == set(ids[:2])
    assert held_out(annotations, {"where": {"place": ["sea", None]}}) == {*ids[:2], *ids[4:]}
    assert held_out(annotations, {"where": {"width": [480, 800]}}) == {ids[1], *ids[3:]}
    both = {"where": {"place": ["sea", "road"], "width": [640]}}
    assert held_out(annotations, both) == {ids[0], ids[2]}


@pytest.mark.parametrize(
    ("hold_out", "message"),
    [
        ({"image_ids": [1, 1003]}, "hold_out.image_ids: there is no image 1; 1 of 2 are like that"),
        ({"where": {"place": ["sea"]}}, "hold_out.where.place: the images have no column 'place'"),
        ({"where": {"width": [9]}}, "hold_out.where.width: no image has 9; there are 100"),
        ({"where": {"width": [None]}}, "hold_out.where.width: no image has no value; there are"),
        ({"where": {"width": [100]}}, "hold_out holds out every image of 240"),
        ({"share": 0.001}, "hold_out holds out no image of 240, in 80 groups that stay whole"),
    ],
)
def test_what_cannot_be_held_out_is_refused(hold_out, message):
    with pytest.raises(SplitError) as failure:
        held_out(annotated_images(), hold_out)
    assert message in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_group_that_would_be_cut_is_named_with_the_images_left_out():
    annotations = annotated_images()
    group = annotations.images[annotations.images["group"] == "shot 4"]
    one, *others = sorted(group["image_id"])
    with pytest.raises(SplitError) as failure:
        held_out(annotations, {"image_ids": [one]})
    assert str(failure.value) == (
        f"hold_out cuts group 'shot 4': image {others[0]}, {others[1]} of it is not held out, "
        f"image {one} is; 1 of 80 groups are cut; hold out whole groups"
    )


def test_two_groups_are_enough():
    annotations = annotated_images(group_size=120)
    assert len(held_out(annotations, {"share": 0.5})) == 120


def test_one_group_cannot_be_divided():
    with pytest.raises(SplitError, match="'hold_out' makes 2 parts, but the 240 images form 1"):
        held_out(annotated_images(group_size=240), {"share": 0.5})


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"share": 0.2, "image_ids": [1]},
        {"share": 0},
        {"share": 1},
        {"image_ids": []},
        {"where": {}},
        {"part": 0.2},
    ],
)
def test_exactly_one_way_to_say_what_is_held_out_is_taken(wrong):
    with pytest.raises(ValidationError):
        HoldOut(**wrong)


def test_a_hold_out_and_its_settings_belong_together():
    with pytest.raises(
        ValidationError, match="needs hold_out, with one of share, image_ids, where"
    ):
        Splitting(method="hold_out")
    with pytest.raises(ValidationError, match=r"'random' takes no 'hold_out'.*it takes seed, axes"):
        Splitting(method="random", hold_out={"share": 0.2})
    with pytest.raises(ValidationError, match=r"'hold_out' takes no 'n_splits'.*setting of joint"):
        Splitting(method="hold_out", hold_out={"share": 0.2}, n_splits=5)


def test_a_hold_out_is_balanced_on_the_default_axes():
    assert Splitting(method="hold_out", hold_out={"share": 0.2}).axes == DEFAULT_AXES
