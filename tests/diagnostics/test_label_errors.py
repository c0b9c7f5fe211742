"""Label errors: each formula by hand, and planted errors before all right labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from diagnostics.planted_errors import NAMES, drawn_labels, found_ranks, planted
from recycling.annotations import BOX, IMAGE_CHECKS, Cleaning, clean, from_coco, to_label_map
from recycling.diagnostics import (
    LABEL_ERRORS,
    box_label_errors,
    class_label_errors,
    mask_label_errors,
    proposed_corrections,
    rank_label_errors,
)
from recycling.diagnostics.label_errors import weighed
from recycling.diagnostics.label_errors.core import KINDS, candidates
from recycling.diagnostics.label_errors.planting import plant
from recycling.evaluation import EvaluationError
from recycling.predictions import DETECTIONS, Detections, LabelMaps, ProbabilityMaps

GLASS, METAL = 5, 7


def labels(*boxes, size=(100, 100), iscrowd=()):
    """One image; each box is a category and x_min, y_min, x_max, y_max; ids count from 1."""
    return from_coco(
        {
            "images": [{"id": 1, "file_name": "a.png", "width": size[0], "height": size[1]}],
            "categories": [{"id": GLASS, "name": "Glass"}, {"id": METAL, "name": "Metal"}],
            "annotations": [
                {
                    "id": number,
                    "image_id": 1,
                    "category_id": category,
                    "bbox": [x_min, y_min, x_max - x_min, y_max - y_min],
                    "iscrowd": int(number in iscrowd),
                }
                for number, (category, x_min, y_min, x_max, y_max) in enumerate(boxes, 1)
            ],
        },
        where="test",
    )


def detections(*boxes):
    rows = [(1, category, score, *corners) for category, score, *corners in boxes]
    return Detections(pd.DataFrame(rows, columns=DETECTIONS.names))


def quality(errors, kind, annotation_id=None):
    own = errors[errors["kind"] == kind]
    if annotation_id is not None:
        own = own[own["annotation_id"] == annotation_id]
    assert len(own) == 1
    return own["quality"].iloc[0]


# Boxes


def test_box_scores_are_those_of_the_paper_weighted_by_how_sure_detectors_are():
    truth = labels((GLASS, 10, 10, 30, 30), (METAL, 50, 50, 90, 90), (METAL, 50, 0, 90, 40))
    found = detections(
        (METAL, 0.8, 10, 10, 30, 30),
        (GLASS, 0.2, 10, 10, 30, 30),
        (METAL, 0.9, 60, 50, 100, 90),
        (METAL, 0.9, 50, 0, 90, 40),
        (GLASS, 0.7, 10, 60, 30, 80),
    )
    errors = box_label_errors(truth, found)
    assert list(errors.columns) == LABEL_ERRORS.names
    # 10 of 40 pixels to the right: an IoU of 1200 / 2000, and a tenth for the centres.
    alike = 0.9 * 0.6 + 0.1 * (1 - 10 / np.hypot(100, 100))
    usually = (alike + 1) / 2
    wrong, placed = 1 - (0.8 - 0.2), 1 - 0.9 * (usually - alike)
    around = 1 - 0.9 * (usually - alike)  # what is seen in label 2 is 0.9 times the likeness
    assert quality(errors, "wrong_class", 1) == pytest.approx(wrong)
    assert quality(errors, "wrong_class", 2) == 1
    assert quality(errors, "badly_placed", 1) == pytest.approx(1)
    assert quality(errors, "badly_placed", 2) == pytest.approx(placed)
    assert quality(errors, "spurious", 2) == pytest.approx(around)
    assert quality(errors, "missed") == pytest.approx(0.3)
    assert errors["kind"].tolist()[:2] == ["missed", "wrong_class"]
    assert errors["new_category"].iloc[:2].tolist() == ["Glass", "Metal"]
    assert errors[BOX].iloc[0].tolist() == [10, 60, 30, 80]
    row = errors[(errors["kind"] == "badly_placed") & (errors["annotation_id"] == 2)].iloc[0]
    assert row[[f"new_{edge}" for edge in BOX]].tolist() == [60, 50, 100, 90]
    # ObjectLab's pooling: the softmin at 0.1 of each kind, then their geometric mean.
    pooled = [0.3]
    for lowest in (wrong, placed, around):
        qualities = np.array([lowest, 1, 1])
        weights = np.exp((1 - qualities) / 0.1)
        pooled.append(float(weights @ qualities / weights.sum()))
    assert errors["image_quality"].unique() == pytest.approx([np.prod(pooled) ** 0.25])


def test_a_box_around_nothing_is_told_by_what_is_usually_seen_of_its_category():
    truth = labels((GLASS, 10, 10, 30, 30), (GLASS, 60, 60, 80, 80), (METAL, 60, 10, 80, 30))
    found = detections((GLASS, 0.8, 10, 10, 30, 30), (METAL, 0.9, 60, 10, 80, 30))
    errors = box_label_errors(truth, found)
    assert quality(errors, "spurious", 2) == pytest.approx(1 - 0.4)  # usually (0.8 + 0) / 2
    assert quality(errors, "spurious", 1) == 1
    assert quality(errors, "spurious", 3) == 1


def test_a_small_box_is_no_fault_where_small_things_are_never_seen():
    truth = labels((GLASS, 10, 10, 50, 50), (GLASS, 60, 60, 65, 65), (GLASS, 50, 0, 90, 40))
    errors = box_label_errors(truth, detections((GLASS, 0.9, 10, 10, 50, 50)))
    assert quality(errors, "spurious", 2) == 1
    assert quality(errors, "spurious", 3) == pytest.approx(1 - 0.3)  # usually 0.9 / 3


def test_a_place_that_is_another_labels_speaks_for_that_one_only():
    truth = labels((GLASS, 0, 0, 40, 40), (METAL, 10, 0, 50, 40))
    errors = box_label_errors(truth, detections((METAL, 0.9, 10, 0, 50, 40)))
    assert quality(errors, "wrong_class", 1) == 1
    assert set(errors["kind"]) == {"wrong_class", "badly_placed", "spurious"}
    assert errors[errors["kind"] == "badly_placed"]["annotation_id"].tolist() == [2]


def test_nothing_is_missing_in_a_crowd_and_crowds_are_not_judged():
    truth = labels((GLASS, 0, 0, 50, 50), iscrowd=[1])
    errors = box_label_errors(truth, detections((GLASS, 0.9, 5, 5, 25, 25)))
    assert errors.empty


def test_each_label_is_told_by_its_own_number_whatever_its_size():
    truth = labels((GLASS, 0, 0, 9, 9), (GLASS, 30, 0, 39, 9))
    ids = 2**53 + truth.annotations["annotation_id"]
    truth = replace(truth, annotations=truth.annotations.assign(annotation_id=ids))
    found = box_label_errors(truth, detections((METAL, 0.9, 60, 60, 80, 80)))
    seen = mask_label_errors(truth, maps(painted((2, 60, 60, 80, 80), size=100)))
    for errors in (found, seen, rank_label_errors(truth, {"det": found, "seg": seen})):
        assert "missed" in set(errors["kind"])
        assert set(errors["annotation_id"].dropna()) == set(ids)


def test_weak_detections_and_images_without_labels_are_no_fault():
    truth = labels()
    assert box_label_errors(truth, detections((GLASS, 0.05, 5, 5, 25, 25))).empty
    assert box_label_errors(truth, detections()).empty
    assert box_label_errors(labels((GLASS, 0, 0, 9, 9)), detections())["quality"].eq(1).all()


def test_a_detection_of_another_image_is_refused():
    found = detections((GLASS, 0.9, 5, 5, 25, 25)).assign(image_id=9)
    with pytest.raises(EvaluationError, match="image_id 9 is not in the truth"):
        box_label_errors(labels((GLASS, 0, 0, 9, 9)), found)


# Classes


def test_classes_are_confident_learnings():
    truth = labels(*[(GLASS, 0, 0, 9, 9)] * 3, *[(METAL, 0, 0, 9, 9)] * 2)
    glass = np.array([0.9, 0.8, 0.3, 0.85, 0.1])
    probabilities = pd.DataFrame({"annotation_id": range(1, 6), "Glass": glass, "Metal": 1 - glass})
    # Thresholds: Glass (0.9 + 0.8 + 0.3) / 3 = 0.667, Metal (0.15 + 0.9) / 2 = 0.525.
    errors = class_label_errors(truth, probabilities).set_index("annotation_id")
    assert errors["quality"].round(6).to_dict() == {
        4: 0.3,  # 0.85 Glass is over 0.667: the margin is 0.15 - 0.85
        3: 0.6,  # 0.7 Metal is over 0.525: 0.3 - 0.7
        1: 1, 2: 1, 5: 1,
    }  # fmt: skip
    assert errors.loc[[4, 3], "new_category"].tolist() == ["Glass", "Metal"]
    assert errors["models"][4] == "cls: Glass 0.85, 0.15 as labelled"


# Masks


def maps(*arrays):
    return [LabelMaps([1], lambda _, own=own: own) for own in arrays]


def painted(*regions, size=20):
    label_map = np.zeros((size, size), np.uint8)
    for value, x_min, y_min, x_max, y_max in regions:
        label_map[y_min:y_max, x_min:x_max] = value
    return label_map


def test_masks_are_judged_by_region():
    truth = labels((GLASS, 0, 0, 6, 6), (GLASS, 12, 0, 18, 6), size=(20, 20))
    as_metal = painted((2, 0, 0, 6, 6), (1, 12, 0, 18, 6), (2, 0, 12, 6, 18))
    as_labelled = painted((1, 0, 0, 6, 6), (1, 12, 3, 18, 9))
    errors = mask_label_errors(truth, maps(as_metal))
    assert quality(errors, "wrong_class", 1) == 0
    assert quality(errors, "missed") == 0
    assert errors.iloc[1][BOX].tolist() == [0, 12, 6, 18]
    # Of two models one sees Metal: a vote each, and neither is ahead.
    errors = mask_label_errors(truth, maps(as_metal, as_labelled))
    assert quality(errors, "wrong_class", 1) == 1
    errors = mask_label_errors(truth, maps(as_labelled))
    # Half of label 2 is seen, and half of what is seen is beside it: usually 0.75 and 0.667.
    assert quality(errors, "spurious", 2) == pytest.approx(1 - (0.75 - 0.5))
    assert quality(errors, "badly_placed", 2) == pytest.approx(1 - ((1 + 1 / 3) / 2 - 1 / 3))
    row = errors[(errors["kind"] == "badly_placed") & (errors["annotation_id"] == 2)].iloc[0]
    assert row[[f"new_{edge}" for edge in BOX]].tolist() == [12, 3, 18, 9]
    assert "missed" not in set(errors["kind"])


def test_probabilities_of_pixels_count_more_than_votes():
    truth = labels((GLASS, 0, 0, 20, 20), size=(20, 20))
    planes = np.zeros((3, 10, 10), np.uint8)  # of another size
    planes[1], planes[2] = 51, 204
    soft = ProbabilityMaps([1], lambda _: planes)
    errors = mask_label_errors(truth, maps(painted((2, 0, 0, 20, 20))), [soft])
    assert quality(errors, "wrong_class", 1) == pytest.approx(1 - (0.8 - 0.2))


def test_small_regions_and_rims_are_not_missed_objects():
    truth = labels((GLASS, 5, 5, 15, 15), size=(40, 40))
    rim = (1, 2, 2, 18, 18)  # 3 pixels
    seen = painted(rim, (2, 30, 30, 35, 35), (2, 20, 20, 40, 24), size=40)
    errors = mask_label_errors(truth, maps(seen), min_area=26)
    assert "missed" not in set(errors["kind"])
    errors = mask_label_errors(truth, maps(seen), min_area=25)
    assert quality(errors, "missed") == pytest.approx(1 - 25 / 100)  # labels are of 100


def test_an_object_that_touches_another_may_be_missed():
    truth = labels((GLASS, 0, 0, 10, 10), size=(40, 40))
    seen = painted((1, 0, 0, 10, 10), (2, 10, 0, 20, 10), size=40)
    errors = mask_label_errors(truth, maps(seen))
    assert quality(errors, "missed") == 0
    assert errors.iloc[0][BOX].tolist() == [10, 0, 20, 10]


# Of all tasks


def task_rows(truth, *rows):
    columns = ["quality", "kind", "annotation_id", *BOX, "models"]
    table = pd.DataFrame(rows, columns=columns).assign(image_id=1)
    return candidates(truth, table)


def test_the_odds_of_tasks_are_brought_together_and_a_label_has_one_row():
    truth = labels((GLASS, 0, 0, 9, 9), (GLASS, 20, 0, 29, 9))
    box, place, near = (0, 0, 9, 9), (50, 50, 60, 60), (52, 50, 60, 60)
    det = task_rows(
        truth,
        (0.25, "wrong_class", 1, *box, "det: Metal"),
        (0.6, "spurious", 1, *box, "det: nothing"),
        (0.04, "missed", None, *place, "det: Glass"),
        (0.09, "missed", None, 80, 80, 90, 90, "det: Paper"),
    )
    cls = task_rows(truth, (0.5, "wrong_class", 1, *box, "cls: Glass"))
    seg = task_rows(truth, (0.25, "missed", None, *near, "seg: Glass"))
    errors = rank_label_errors(truth, {"cls": cls, "det": det, "seg": seg})
    assert errors["kind"].tolist() == ["missed", "missed", "wrong_class"]
    # The odds of being wrong: 24 and 3; 91 / 9; 3 and 1. Two tasks count as the root of two.
    expected = [1 / (1 + (24 * 3) ** 0.5**0.5), 0.09, 1 / (1 + (3 * 1) ** 0.5**0.5)]
    assert errors["quality"].tolist() == pytest.approx(expected)
    assert errors["models"].tolist() == ["det: Glass; seg: Glass", "det: Paper",
                                         "det: Metal; cls: Glass"]  # fmt: skip
    assert rank_label_errors(truth, {}).empty


def test_a_score_weighs_what_planted_errors_say():
    """Of wrong classes a judge is sure; boxes around nothing it scores like all others."""
    truth = from_coco(drawn_labels(60, 0), where="test")
    known = dict(truth.annotations[["annotation_id", "category_id"]].to_numpy().tolist())

    def judge(own):
        table = own.annotations
        changed = [known.get(i, 0) != c for i, c in zip(
            table["annotation_id"], table["category_id"], strict=True)]  # fmt: skip
        base = {"image_id": table["image_id"], "annotation_id": table["annotation_id"],
                **{edge: table[edge] for edge in BOX}, "models": ""}  # fmt: skip
        wrong = pd.DataFrame(
            {**base, "kind": "wrong_class", "quality": np.where(changed, 0.6, 0.7)}
        )
        noise = pd.DataFrame({**base, "kind": "spurious", "quality": table["y_min"] / 100})
        return candidates(own, pd.concat([wrong, noise], ignore_index=True))

    errors = weighed(truth, judge, ["wrong_class", "spurious"])
    # No label as it is was ever scored 0.6; where boxes lie says nothing, so the odds are even.
    assert errors.loc[errors["kind"] == "wrong_class", "quality"].min() > 0.99
    spurious = errors.loc[errors["kind"] == "spurious", "quality"]
    assert spurious.between(0.2, 0.8).mean() > 0.9
    assert spurious.median() == pytest.approx(0.5, abs=0.1)


def test_of_few_labels_nothing_is_told():
    truth = labels((GLASS, 0, 0, 9, 9))
    errors = box_label_errors(truth, detections((METAL, 0.9, 0, 0, 9, 9)))
    weighed_errors = weighed(truth, lambda own: errors)
    pd.testing.assert_frame_equal(weighed_errors, errors)


def test_errors_are_planted_one_an_image_and_nothing_else_changes():
    truth = from_coco(drawn_labels(40, 3), where="test")
    planted_labels = plant(truth, KINDS, 8, np.random.default_rng(0))
    before = truth.annotations.set_index("annotation_id")
    after = planted_labels.truth.annotations.set_index("annotation_id")
    gone = set(planted_labels.missing["annotation_id"])
    assert set(before.index) - set(after.index) == gone
    assert len(gone) == 8
    same = before.index.intersection(after.index)
    columns = ["image_id", "category_id", *BOX]
    differs = (before.loc[same, columns] != after.loc[same, columns]).any(axis=1)
    new = set(after.index) - set(before.index)
    assert set(same[differs]) | new == set(planted_labels.kind)
    assert {planted_labels.kind[own] for own in new} == {"spurious"}
    wrong = list(planted_labels.kind)
    images = [*after.loc[wrong, "image_id"], *planted_labels.missing["image_id"]]
    assert len(images) == len(set(images))
    moved = [own for own, kind in planted_labels.kind.items() if kind == "badly_placed"]
    for own in moved:
        mask = to_label_map(planted_labels.truth, int(after.loc[own, "image_id"]))
        x_min, y_min, x_max, y_max = after.loc[own, BOX].astype(int)
        assert mask[(y_min + y_max) // 2, (x_min + x_max) // 2] > 0
    assert truth.annotations.set_index("annotation_id")[columns].equals(before[columns])


def test_planted_errors_come_before_all_right_labels():
    right = drawn_labels(40, seed=0)
    wrong, planted_errors = planted(right, seed=0, n_each=4)
    truth = from_coco(wrong, where="test")
    rng = np.random.default_rng(0)
    found = _seen_boxes(right, rng)
    classes = _seen_classes(wrong, planted_errors, rng)
    masks = [_seen_masks(right)]
    errors = rank_label_errors(
        truth,
        {
            "cls": weighed(truth, lambda own: class_label_errors(own, classes), ["wrong_class"]),
            "det": weighed(truth, lambda own: box_label_errors(own, found)),
            "seg": weighed(truth, lambda own: mask_label_errors(own, masks)),
        },
    )
    ranks = found_ranks(errors, planted_errors)
    assert ranks["right_kind"].all()
    assert ranks["rank"].max() == len(planted_errors)


def _seen_boxes(document, rng):
    """What a good detector finds: all that is really there, by and large."""
    rows = []
    for label in document["annotations"]:
        x, y, width, height = label["bbox"]
        corners = np.array([x, y, x + width, y + height]) + rng.uniform(-1, 1, 4)
        rows.append((label["image_id"], label["category_id"], rng.uniform(0.8, 0.95), *corners))
    return Detections(pd.DataFrame(rows, columns=DETECTIONS.names))


def _seen_classes(document, planted_errors, rng):
    """What a good classifier makes of each labelled box; of nothing it makes nothing much."""
    errors = {error["annotation_id"]: error for error in planted_errors}
    rows = []
    for label in document["annotations"]:
        error = errors.get(label["id"], {})
        name = error.get("right_category", NAMES[label["category_id"] - 1])
        sure = rng.uniform(0.8, 0.95) if name else 1 / len(NAMES)
        rows.append([sure if own == name else (1 - sure) / 3 for own in NAMES])
    table = pd.DataFrame(rows, columns=NAMES)
    table.insert(0, "annotation_id", [label["id"] for label in document["annotations"]])
    return table


def _seen_masks(document):
    right = from_coco(document, where="right")
    ids = right.images["image_id"].tolist()
    return LabelMaps(ids, lambda image_id: to_label_map(right, image_id))


# The proposal


def test_what_is_proposed_corrects_the_labels_when_its_lines_are_moved_to_the_rules():
    right = drawn_labels(40, seed=4)
    wrong, planted_errors = planted(right, seed=4, n_each=2)
    truth = from_coco(wrong, where="test")
    found = _seen_boxes(right, np.random.default_rng(4))
    errors = weighed(truth, lambda own: box_label_errors(own, found))
    ranked = rank_label_errors(truth, {"det": errors})
    text = proposed_corrections(truth, ranked, len(planted_errors))
    rules = yaml.safe_load(text)["cleaning"]["train"]
    assert len(rules["correct_annotations"]["corrections"]) == len(planted_errors)
    cleaned, _ = clean(truth, IMAGE_CHECKS.empty(), Cleaning.model_validate(rules))
    expected = from_coco(right, where="right").annotations
    keys = ["image_id", "x_min"]
    found = cleaned.annotations.sort_values(keys).reset_index(drop=True)
    expected = expected.sort_values(keys).reset_index(drop=True)
    assert found["category_id"].tolist() == expected["category_id"].tolist()
    np.testing.assert_allclose(found[BOX], expected[BOX], atol=1.01)


def test_what_less_speaks_against_than_for_is_not_proposed():
    truth = labels((GLASS, 0, 0, 9, 9))
    errors = rank_label_errors(truth, {"det": box_label_errors(truth, detections())})
    assert len(errors) == 1
    rules = yaml.safe_load(proposed_corrections(truth, errors))["cleaning"]["train"]
    assert rules == {"correct_annotations": {"corrections": []}}


def test_a_proposed_box_is_cut_at_the_edges_of_its_image():
    seen = [(GLASS, x, 40, x + 10, 50) for x in (0, 20, 40, 60)]
    truth = labels((GLASS, 80, 80, 90, 90), *seen)
    found = detections(
        (METAL, 0.9, 20, -3, 40.123, 30), (GLASS, 0.9, 82, 80, 103, 99),
        *((GLASS, 0.9, *corners) for _, *corners in seen),
    )  # fmt: skip
    text = proposed_corrections(truth, box_label_errors(truth, found))
    assert "category: Metal, box: [20.0, 0.0, 40.12, 30.0], add: true}" in text
    assert "new_box: [82.0, 80.0, 100.0, 99.0]}" in text
