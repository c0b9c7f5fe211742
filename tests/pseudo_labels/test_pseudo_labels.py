"""Only what the teacher is sure of becomes an annotation; of the rest nothing is learnt."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from recycling.annotations import IMAGES, Annotations, to_label_map
from recycling.pipelines.pseudo_labeling import leaver_out
from recycling.predictions import DETECTIONS, LabelMaps
from recycling.pseudo_labels import (
    GRID,
    THRESHOLDS,
    PseudoLabeling,
    annotate_boxes,
    annotate_crops,
    annotate_regions,
    audit,
    certify,
    choose_thresholds,
    examples,
    grade_boxes,
    grade_crops,
    grade_masks,
    images_alike,
    with_background,
)
from recycling.pseudo_labels.core import surest_images

SETTINGS = PseudoLabeling(promise=None, score=0.5, mask_area=10, cap=2, ignore=0.3)


def detections(*rows):
    frame = pd.DataFrame(rows, columns=DETECTIONS.names)
    return DETECTIONS.conform(frame, where="test")


def thresholds(annotations, *values):
    categories = annotations.categories
    if len(values) > len(categories):
        categories = with_background(categories)
    table = pd.DataFrame(
        {
            "category_id": categories["category_id"],
            "category": categories["name"],
            "supercategory": "",
            "threshold": pd.array(values, dtype="Float64"),
            "precision": pd.NA,
            "confidence": pd.NA,
            "units": 0,
            "kept": 0.0,
            "wrong": 0.0,
            "reason": "test",
        }
    )
    return THRESHOLDS.conform(table, where="test")


def test_boxes_below_the_threshold_are_ignored_or_left_out(annotations):
    said = detections(
        (3, 5, 0.9, 1, 1, 5, 6), (3, 7, 0.4, 1, 1, 5, 6), (3, 7, 0.2, 1, 1, 5, 6),
        (1, 7, 0.4, 0, 0, 2, 2),
    )  # fmt: skip
    pseudo, fates = annotate_boxes(
        said, annotations, thresholds(annotations, 0.5, 0.5), annotations.categories, SETTINGS
    )
    table = pseudo.annotations
    assert table["category_id"].tolist() == [5, 7]
    assert table["iscrowd"].tolist() == [False, True]
    assert table["area"].tolist() == [20.0, 20.0]
    assert set(table["source"]) == {"pseudo"}
    assert pseudo.images["image_id"].tolist() == [3]  # of image 1 nothing is kept
    assert fates["fate"].tolist() == ["kept", "ignored", "refused", "refused"]
    counts = audit(fates, annotations.categories)
    assert counts[["predicted", "kept", "ignored", "refused"]].values.tolist() == [
        [1, 1, 0, 0],
        [3, 0, 1, 2],
    ]


def test_more_of_a_category_than_the_cap_is_ignored(annotations):
    said = detections(*((3, 5, score, 1, 1, 5, 6) for score in (0.9, 0.7, 0.8)))
    pseudo, _ = annotate_boxes(
        said, annotations, thresholds(annotations, 0.5, 0.5), annotations.categories, SETTINGS
    )
    assert pseudo.annotations["iscrowd"].tolist() == [False, True, False]


def test_of_a_category_of_which_nothing_is_promised_nothing_is_kept(annotations):
    said = detections((3, 5, 0.9, 1, 1, 5, 6), (3, 7, 0.99, 1, 1, 5, 6))
    pseudo, _ = annotate_boxes(
        said, annotations, thresholds(annotations, 0.5, pd.NA), annotations.categories, SETTINGS
    )
    assert pseudo.annotations["iscrowd"].tolist() == [False, True]


def test_a_share_of_the_images_is_the_surest(annotations):
    said = detections((1, 5, 0.6, 1, 1, 5, 6), (2, 5, 0.9, 1, 1, 5, 6), (3, 5, 0.7, 1, 1, 5, 6))
    settings = SETTINGS.model_copy(update={"share": 0.7})
    pseudo, _ = annotate_boxes(
        said, annotations, thresholds(annotations, 0.5, 0.5), annotations.categories, settings
    )
    assert pseudo.images["image_id"].tolist() == [2, 3]


@pytest.mark.parametrize(("share", "n"), [(0.29, 29), (0.001, 1), (1, 100)])
def test_a_share_is_rounded_down_but_for_the_error_of_its_number(share, n):
    scores = pd.Series(np.linspace(1, 0, 100), index=range(100))
    assert list(surest_images(scores, share, 100)) == list(range(n))


def test_what_is_as_sure_as_the_threshold_says_is_kept(annotations):
    label_map = np.zeros((30, 40), np.uint8)
    label_map[2:12, 2:12] = 1
    # Nine of ten agree: a little less than 0.9 in 32 bits.
    sure = np.full((30, 40), 9, np.float32) / np.float32(10)
    maps = LabelMaps([1, 3], lambda _: label_map)
    _, fates = annotate_regions(
        maps, lambda _: sure, annotations.of_images([3]), thresholds(annotations, 0.9, 0.9, 0.9),
        annotations.categories, SETTINGS,
    )  # fmt: skip
    assert fates["fate"].tolist() == ["kept"]
    at = np.flatnonzero(GRID == 0.9)[0]
    of_masks = grade_masks(maps, lambda _: sure, annotations.of_images([1]), SETTINGS)
    assert of_masks.kept[0, 1, [at - 1, at]].tolist() == [0, 1]
    votes = pd.DataFrame({"annotation_id": [1, 2, 3], "Paper": 0.9, "Metal": 0.1}).astype(
        {"Paper": "float32", "Metal": "float32"}
    )
    of_crops = grade_crops(votes, annotations, SETTINGS)
    assert of_crops.kept[0, 0, [at - 1, at]].tolist() == [0, 1]
    _, fates = annotate_crops(
        votes, annotations, thresholds(annotations, 0.9, 0.9), annotations.categories, SETTINGS
    )
    assert fates["fate"].tolist() == ["kept"] * 3


def test_crops_take_the_class_of_the_teacher_where_it_is_sure(annotations):
    said = pd.DataFrame(
        {"annotation_id": [1, 2, 3], "Paper": [0.1, 0.6, 0.8], "Metal": [0.9, 0.4, 0.2]}
    ).astype({"Paper": "float32", "Metal": "float32"})
    settings = SETTINGS.model_copy(update={"soft": True})
    pseudo, fates = annotate_crops(
        said, annotations, thresholds(annotations, 0.7, 0.7), annotations.categories, settings
    )
    # Also where crops are asked about that somebody annotated.
    assert set(annotations.annotations["source"]) == {"human"}
    assert set(pseudo.annotations["source"]) == {"pseudo"}
    assert pseudo.annotations["annotation_id"].tolist() == [1, 3]
    assert pseudo.annotations["category_id"].tolist() == [7, 5]
    assert pseudo.annotations["score"].tolist() == pytest.approx([0.9, 0.8])
    soft = [json.loads(text)["probabilities"] for text in pseudo.annotations["extra"]]
    assert soft[0] == pytest.approx({"Paper": 0.1, "Metal": 0.9})
    assert fates["fate"].tolist() == ["kept", "refused", "kept"]


def test_where_the_members_disagree_nothing_is_learnt(annotations):
    label_map = np.zeros((30, 40), np.uint8)
    label_map[2:12, 2:12] = 1
    label_map[20:22, 20:22] = 2  # too small to keep
    agreement = np.ones((30, 40), np.float32)
    agreement[2:5, 2:12] = 0.5
    maps = LabelMaps([1, 2, 3], lambda _: label_map)
    one = annotations.of_images([3])
    pseudo, fates = annotate_regions(
        maps, lambda _: agreement, one, thresholds(annotations, 0.9, 0.9, 0.9),
        annotations.categories, SETTINGS,
    )  # fmt: skip
    expected = np.where(label_map == 2, 255, label_map)
    expected[2:5, 2:12] = 255
    np.testing.assert_array_equal(to_label_map(pseudo, 3), expected)
    assert fates["fate"].tolist() == ["kept", "ignored"]


def test_background_of_which_nothing_is_promised_is_ignored(annotations):
    label_map = np.zeros((30, 40), np.uint8)
    label_map[2:12, 2:12] = 1
    maps, sure = LabelMaps([3], lambda _: label_map), np.ones((30, 40), np.float32)
    pseudo, _ = annotate_regions(
        maps, lambda _: sure, annotations.of_images([3]), thresholds(annotations, pd.NA, 0.9, 0.9),
        annotations.categories, SETTINGS,
    )  # fmt: skip
    np.testing.assert_array_equal(to_label_map(pseudo, 3), np.where(label_map == 1, 1, 255))


def test_boxes_are_graded_by_what_they_find(annotations):
    said = detections(
        (1, 5, 0.9, 2, 2, 12, 12),  # right
        (1, 5, 0.8, 2, 2, 12, 11),  # the same object again
        (2, 7, 0.6, 0, 0, 5, 5),  # nothing
    )
    graded = grade_boxes(said, annotations, SETTINGS)
    at = {score: int(np.flatnonzero(score >= GRID)[0]) for score in (0.9, 0.8, 0.6)}
    # Images 2 and 3 are of one group, so that what is on one of them counts half.
    assert graded.kept[:, 0, at[0.9]].tolist() == [1.0, 0.0]
    assert graded.wrong[:, 0, at[0.8]].tolist() == [1.0, 0.0]
    assert graded.wrong[:, 1, at[0.6]].tolist() == [0.0, 0.5]


def test_all_boxes_that_a_cap_lets_through_are_graded(annotations):
    """Also those beyond the 100 of a category on an image that COCO's metric counts."""
    said = detections(
        *((1, 5, 0.9 - row / 1000, 500 + row, 2, 512 + row, 12) for row in range(150))
    )
    graded = grade_boxes(said, annotations, SETTINGS.model_copy(update={"cap": 120}))
    assert graded.kept[:, 0, -1].sum() == 120


def test_crops_are_graded_by_their_class(annotations):
    said = pd.DataFrame(
        {"annotation_id": [1, 2, 3], "Paper": [0.9, 0.4, 0.3], "Metal": [0.1, 0.6, 0.7]}
    ).astype({"Paper": "float32", "Metal": "float32"})
    graded = grade_crops(said, annotations, SETTINGS)
    assert graded.kept[:, :, -1].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert graded.wrong[:, :, -1].tolist() == [[0.0, 0.0], [0.0, 0.5]]


def test_masks_are_graded_by_their_pixels(annotations):
    label_map = np.zeros((30, 40), np.uint8)
    label_map[2:12, 2:22] = 1  # twice as wide as the object of image 1
    one = annotations.of_images([1])
    graded = grade_masks(
        LabelMaps([1], lambda _: label_map), lambda _: np.ones((30, 40), np.float32), one, SETTINGS
    )
    assert graded.kept[0, :, -1].tolist() == [1.0, 1.0, 0.0]
    assert graded.wrong[0, :, -1].tolist() == [0.0, 0.5, 0.0]


def test_masks_are_graded_by_the_regions_that_would_be_kept(annotations):
    label_map = np.zeros((30, 40), np.uint8)
    label_map[2:12, 2:12] = 1  # as the object of image 1 is
    label_map[25:27, 30:33] = 1  # six pixels elsewhere
    sure = np.where(label_map == 1, 0.9, 1).astype(np.float32)
    sure[2:12, 2:7] = 0.5
    sure[25:27, 30:33] = 0.95

    def graded(mask_area):
        settings = SETTINGS.model_copy(update={"mask_area": mask_area})
        of_masks = grade_masks(
            LabelMaps([1], lambda _: label_map),
            lambda _: sure,
            annotations.of_images([1]),
            settings,
        )
        return of_masks.kept[0, 1], of_masks.wrong[0, 1]

    def at(score):
        return int(np.flatnonzero(score == GRID)[0])

    kept, wrong = graded(1)
    assert (kept[at(0.94)], wrong[at(0.94)]) == (1, 1)  # the six alone
    assert wrong[at(0.9)] == pytest.approx(6 / 56)
    kept, wrong = graded(30)
    assert (kept[at(0.94)], kept[at(0.9)], wrong[at(0.9)], wrong[-1]) == (0, 1, 0, 0)
    # Half of the object is enough from 0.9 on, all of it for a region of 60 from 0.5 on.
    kept, _ = graded(60)
    assert (kept[at(0.9)], kept[at(0.5)]) == (0, 1)


def test_why_a_category_has_no_threshold_is_said(annotations):
    kept = np.zeros((40, 2, len(GRID)))
    kept[:, 0] = 1
    kept[:2, 1] = 1
    from recycling.pseudo_labels import Graded

    found = choose_thresholds(
        Graded(kept, kept * 0.8, cap=1), annotations.categories, PseudoLabeling()
    )
    assert found["threshold"].isna().all()
    assert found["reason"].tolist() == [
        "more may be wrong than is promised",
        "too few held-out images",
    ]


def test_images_that_look_like_scored_ones_are_left_out():
    def checks(**hashes):
        return pd.DataFrame(
            {
                "image_id": range(len(hashes)),
                "file_name": list(hashes),
                "sha256": [own[0] for own in hashes.values()],
                "phash": [own[1] for own in hashes.values()],
                "group": None,
            }
        )

    pool = checks(same=("a", None), like=("b", "00" * 8), chain=("c", "00" * 7 + "0f"),
                  other=("d", "ff" * 8))  # fmt: skip
    scored = checks(first=("a", "f0" * 8), second=("e", "00" * 7 + "01"))
    left_out = images_alike(pool, scored, 4)
    assert left_out[["file_name", "like"]].values.tolist() == [
        ["same", "first"],
        ["like", "second"],
        ["chain", "second"],
    ]
    assert images_alike(pool, scored, None)["file_name"].tolist() == ["same"]


def test_images_of_a_group_of_scored_ones_are_left_out_and_equal_ids_are_no_group(annotations):
    def part(**groups):
        images = pd.DataFrame({"image_id": range(1, len(groups) + 1), "group": groups.values()})
        images = images.assign(file_name=list(groups), width=1, height=1, extra=None)
        checks = images[["image_id", "file_name"]].assign(sha256=list(groups), phash=None)
        return checks, replace(annotations, images=IMAGES.conform(images, where="images"))

    # What cleaning joins is called after the lowest id, which is another image's in another part.
    pool = part(own="1", clip="kitchen", photo="street", joined="1", numbered="12")
    train = part(first="1", second="kitchen", third="1", fourth="street")
    test = part(one="image 1", two="12")
    folds = pd.DataFrame({"image_id": [1, 2, 3, 4], "fold": [0, 0, 0, 1]})
    settings = PseudoLabeling(near_duplicate_distance=None)

    def left_out(fold, *of_test):
        found = leaver_out("round", fold)(*pool, settings, *train, folds, *of_test)
        return dict(zip(found["file_name"], found["like"], strict=True))

    assert left_out(0, *test) == {"clip": "second", "numbered": "two"}
    assert left_out(1) == {"photo": "fourth"}


def test_the_certificate_puts_the_truth_beside_the_promise(annotations):
    said = detections(
        (1, 5, 0.9, 2, 2, 12, 12), (2, 5, 0.8, 30, 0, 40, 10), (2, 7, 0.7, 15, 5, 35, 25)
    )
    chosen = thresholds(annotations, 0.5, 0.5)
    pseudo, fates = annotate_boxes(said, annotations, chosen, annotations.categories, SETTINGS)
    counts = audit(fates, annotations.categories)
    table = certify("det", chosen, counts, pseudo, SETTINGS, annotations)
    # Image 2 is half of its group: 1 is right and 1/2 is wrong.
    assert table["attained"].tolist() == [pytest.approx(2 / 3), 1.0]
    assert table["recall"].tolist() == [0.5, 1.0]
    unknown = certify("det", chosen, counts, pseudo, SETTINGS)
    assert unknown["attained"].isna().all()
    crops = certify("cls", chosen, counts, pseudo, SETTINGS, annotations)
    assert crops["attained"].tolist() == [1.0, 1.0]  # the box that shows nothing has no class


@pytest.mark.parametrize("task", ["det", "cls"])
def test_what_is_right_by_the_truth_is_in_the_unit_of_the_promise(annotations, task):
    """A burst of 50 images that are wrong alike counts as one image, as in the promise."""
    n = 100
    images = pd.concat([annotations.images.iloc[:1]] * n, ignore_index=True).assign(
        image_id=range(n), group=[str(i) if i < 50 else "burst" for i in range(n)]
    )
    objects = pd.concat([annotations.annotations.iloc[:1]] * n, ignore_index=True).assign(
        annotation_id=range(n), image_id=range(n)
    )
    is_wrong = objects["image_id"] >= 50
    other = {"det": {"x_min": 20.0, "x_max": 30.0}, "cls": {"category_id": 7}}[task]
    there = pd.concat([objects[~is_wrong], objects[is_wrong].assign(**other)], ignore_index=True)
    truth = Annotations(images, there, annotations.categories)
    pseudo = Annotations(images, objects.assign(source="pseudo"), annotations.categories)
    chosen = thresholds(annotations, 0.5, 0.5)
    counts = audit(objects.assign(fate="kept"), annotations.categories)
    table = certify(task, chosen, counts, pseudo, SETTINGS, truth)
    assert table["attained"].iloc[0] == pytest.approx(50 / 51)
    assert table["attained"].isna().tolist() == [False, True]
    # Of all that is there, object by object.
    assert table["recall"].iloc[0] == {"det": 0.5, "cls": 1}[task]


@pytest.mark.parametrize("task", ["det", "cls"])
def test_all_that_was_kept_of_an_image_counts_however_much_that_is(annotations, task):
    """Not the 100 best alone, as of COCO's metric: the others are the ones that are wrong."""
    n, corner = 150, np.arange(150) * 20.0
    image = annotations.images.iloc[:1].assign(width=4000)
    objects = pd.concat([annotations.annotations.iloc[:1]] * n, ignore_index=True).assign(
        annotation_id=range(n), x_min=corner, x_max=corner + 10, score=np.linspace(0.9, 0.6, n)
    )
    is_wrong = np.arange(n) >= 100
    other = {"det": {"x_min": corner + 10, "x_max": corner + 20}, "cls": {"category_id": 7}}[task]
    there = pd.concat([objects[~is_wrong], objects.assign(**other)[is_wrong]])
    truth = Annotations(image, there, annotations.categories)
    pseudo = Annotations(image, objects.assign(source="pseudo"), annotations.categories)
    counts = audit(objects.assign(fate="kept"), annotations.categories)
    chosen = thresholds(annotations, 0.5, 0.5)
    table = certify(task, chosen, counts, pseudo, SETTINGS, truth)
    assert table["attained"].iloc[0] == pytest.approx(100 / 150)


def test_pixels_that_are_right_are_averaged_over_groups(annotations):
    images = pd.concat([annotations.images.iloc[:1]] * 3, ignore_index=True).assign(
        image_id=[1, 2, 3], group=["a", "b", "b"]
    )
    objects = pd.concat([annotations.annotations.iloc[:1]] * 3, ignore_index=True).assign(
        annotation_id=[1, 2, 3], image_id=[1, 2, 3]
    )
    truth = Annotations(images, objects, annotations.categories)
    away = {"x_min": 20.0, "x_max": 30.0}
    said = objects.assign(**{key: objects[key].where(objects["image_id"] == 1, own)
                             for key, own in away.items()}, source="pseudo")  # fmt: skip
    pseudo = Annotations(images, said, annotations.categories)
    chosen = thresholds(annotations, 0.5, 0.5, 0.5)
    counts = audit(pseudo.annotations.assign(fate="kept"), annotations.categories)
    table = certify("seg", chosen, counts, pseudo, SETTINGS, truth)
    assert table["attained"].iloc[0] == 0.5


def test_what_is_on_images_without_a_label_is_missed(annotations):
    label_map = np.zeros((30, 40), np.uint8)
    label_map[2:12, 2:12] = 1  # all of the object of image 1, of 100 pixels
    chosen = thresholds(annotations, 0.9, 0.9, 0.9)
    maps, sure = LabelMaps([1], lambda _: label_map), np.ones((30, 40), np.float32)
    pseudo, fates = annotate_regions(
        maps, lambda _: sure, annotations.of_images([1]), chosen, annotations.categories, SETTINGS
    )
    counts = audit(fates, annotations.categories)
    table = certify("seg", chosen, counts, pseudo, SETTINGS, annotations)
    # On image 2 there is more Paper.
    there = 100 + (to_label_map(annotations, 2) == 1).sum()
    assert table["attained"].iloc[0] == 1.0
    assert table["recall"].tolist() == [100 / there, 0.0]
    assert table["iou"].iloc[0] == 100 / there


def test_the_surest_the_least_sure_and_the_refused_are_shown(annotations):
    fates = pd.DataFrame(
        {"image_id": 1, "category_id": 5, "score": [0.9, 0.8, 0.7, 0.2],
         "fate": ["kept", "kept", "kept", "refused"],
         "x_min": 0.0, "y_min": 0.0, "x_max": 1.0, "y_max": 1.0}
    )  # fmt: skip
    shown = examples(fates, n=1)
    assert shown[["kind", "score"]].values.tolist() == [
        ["surest", 0.9],
        ["least sure", 0.7],
        ["refused", 0.2],
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"promise": None}, "promise is null, so a score has to be set"),
        ({"score": 0.5, "promise": {}}, "set promise: null"),
        ({"promise": {"precision": 1}}, "less than 1"),
        ({"box_score": 0.5}, "box_score"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        PseudoLabeling.model_validate(settings)


def test_nothing_at_all_gives_empty_annotations(annotations):
    pseudo, fates = annotate_boxes(
        detections(), annotations, thresholds(annotations, 0.5, 0.5), annotations.categories,
        SETTINGS,
    )  # fmt: skip
    assert isinstance(pseudo, Annotations)
    assert len(pseudo.annotations) == len(pseudo.images) == len(fates) == 0
