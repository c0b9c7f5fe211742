"""Which mistake is of which kind, and what it costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recycling.annotations.masks import label_maps
from recycling.diagnostics import as_predictions, confusion_counts, image_overlaps, mistakes
from recycling.predictions import ClassProbabilities, Detections, LabelMaps


def boxes(*rows: tuple[float, ...]) -> Detections:
    columns = ["image_id", "category_id", "score", "x_min", "y_min", "x_max", "y_max"]
    return Detections(pd.DataFrame(rows, columns=columns))


def test_each_kind_of_mistake_is_told_from_the_others(annotations):
    found = boxes(
        (1, 5, 0.9, 2, 2, 12, 12),  # right
        (2, 5, 0.8, 0, 0, 10, 8),  # Paper, but 8 of 20 pixels high
        (2, 5, 0.7, 15, 5, 35, 25),  # Paper where Metal is
        (3, 7, 0.6, 0, 0, 5, 5),  # nothing is there
        (3, 7, 0.1, 9, 9, 15, 15),  # not said
    )
    rows = mistakes(annotations, found).set_index("kind")
    assert rows["row"].to_dict() == {"bad place": 1, "wrong class": 2, "false positive": 3}
    told = ["annotation_id", "true", "said"]
    assert rows.loc["bad place", told].tolist() == [2, "Paper", "Paper"]
    assert rows.loc["bad place", "iou"] == pytest.approx(0.4)
    assert rows.loc["wrong class", told].tolist() == [3, "Metal", "Paper"]
    assert rows.loc["false positive", ["true", "said"]].tolist() == ["nothing", "Metal"]


def test_the_annotation_that_is_named_has_its_own_number_whatever_its_size(annotations):
    rows = annotations.annotations
    large = rows.assign(annotation_id=2**53 + 1 + 2 * rows["annotation_id"])
    found = mistakes(replace(annotations, annotations=large), boxes((3, 7, 0.6, 0, 0, 5, 5)))
    named = found["annotation_id"].dropna().tolist()
    assert len(found) > len(named)
    assert set(named) <= set(large["annotation_id"])


def test_what_is_missed_costs_most_and_a_sure_mistake_more_than_an_unsure_one(annotations):
    found = boxes((3, 7, 0.4, 0, 0, 5, 5), (3, 5, 0.9, 20, 20, 30, 30))
    rows = mistakes(annotations, found)
    assert rows["kind"].tolist() == ["miss"] * 3 + ["false positive"] * 2
    assert rows["annotation_id"].tolist()[:3] == [1, 2, 3]
    assert rows["loss"].tolist() == [1, 1, 1, 0.9, 0.4]


def test_boxes_that_are_as_true_make_no_mistake(annotations):
    found = as_predictions(annotations, pd.DataFrame({"image_id": []}))
    assert mistakes(annotations, found).empty
    assert image_overlaps(annotations, found).tolist() == [1, 1, 1]


def test_a_box_that_the_score_ignores_is_no_mistake(annotations):
    crowd = annotations.annotations[:1].assign(
        annotation_id=9, image_id=3, x_min=0.0, y_min=0.0, x_max=20.0, y_max=20.0, iscrowd=True
    )
    truth = replace(annotations, annotations=pd.concat([annotations.annotations, crowd]))
    found = boxes(
        (1, 5, 0.9, 2, 2, 12, 12),
        (2, 5, 0.9, 0, 0, 10, 20),
        (2, 7, 0.9, 15, 5, 35, 25),
        (3, 5, 0.8, 2, 2, 8, 8),  # in the crowd
        (3, 5, 0.7, 18, 18, 30, 30),  # hardly in it
        (3, 7, 0.6, 2, 2, 8, 8),  # in it, but of another class
    )
    wrong = mistakes(truth, found)
    assert wrong[["kind", "row"]].values.tolist() == [["false positive", 4], ["false positive", 5]]
    counts = confusion_counts(truth, found)
    assert counts.loc[counts["first"] == "nothing", "count"].sum() == 2
    assert image_overlaps(truth, found[:4]).tolist() == [1, 1, 1]
    only_crowds = replace(truth, annotations=crowd)
    assert mistakes(only_crowds, found[3:4]).empty


def test_the_loss_of_a_crop_is_its_cross_entropy(annotations):
    table = pd.DataFrame(
        {"annotation_id": [1, 2, 3], "Paper": [0.75, 0.25, 0.875], "Metal": [0.25, 0.75, 0.125]}
    )
    rows = mistakes(annotations, ClassProbabilities(table.astype({"Paper": "float32"})))
    assert rows[["annotation_id", "image_id", "true", "said"]].values.tolist() == [
        [3, 2, "Metal", "Paper"],
        [2, 2, "Paper", "Metal"],
    ]
    assert rows["loss"].to_numpy() == pytest.approx([-np.log(0.125), -np.log(0.25)])


def test_pixels_are_counted_by_image_and_pair_of_classes(annotations):
    true = label_maps(annotations)

    def painted(image_id: int) -> np.ndarray:
        own = true[image_id].copy()
        if image_id == 1:
            own[:] = 0  # all of Paper is missed
        return own

    said = LabelMaps([1, 2, 3], painted)
    rows = mistakes(annotations, said)
    assert rows[["image_id", "kind", "true", "said", "count"]].values.tolist() == [
        [1, "miss", "Paper", "background", 100]
    ]
    assert rows["loss"].tolist() == [pytest.approx(100 / 1200)]
    overlaps = image_overlaps(annotations, said)
    assert overlaps.index[0] == 1
    assert overlaps[1] == pytest.approx((1100 / 1200 + 0) / 2)
    assert overlaps[2] == overlaps[3] == 1
