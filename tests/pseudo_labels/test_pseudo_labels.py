"""Only what the teacher is sure of becomes an annotation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recycling.annotations import to_label_map
from recycling.predictions import DETECTIONS, LabelMaps
from recycling.pseudo_labels import (
    PseudoLabeling,
    annotate_boxes,
    annotate_crops,
    annotate_regions,
)

SETTINGS = PseudoLabeling(box_score=0.5, label_score=0.7, mask_agreement=0.9, mask_area=10)


def detections(*rows):
    frame = pd.DataFrame(rows, columns=DETECTIONS.names)
    return DETECTIONS.conform(frame, where="test")


def test_boxes_below_the_threshold_are_left_out_and_counted(annotations):
    said = detections((3, 5, 0.9, 1, 1, 5, 6), (3, 7, 0.4, 1, 1, 5, 6), (1, 7, 0.5, 0, 0, 2, 2))
    pseudo, audit = annotate_boxes(said, annotations, annotations, SETTINGS)
    assert pseudo.annotations["category_id"].tolist() == [5, 7]
    assert pseudo.annotations["area"].tolist() == [20.0, 4.0]
    assert pseudo.annotations["score"].tolist() == [0.9, 0.5]
    assert set(pseudo.annotations["source"]) == {"pseudo"}
    assert pseudo.images["image_id"].tolist() == [1, 3]
    assert audit[["category", "predicted", "kept"]].values.tolist() == [
        ["Paper", 1, 1],
        ["Metal", 2, 1],
    ]


def test_a_teacher_that_is_sure_of_nothing_gives_empty_annotations(annotations):
    pseudo, audit = annotate_boxes(detections(), annotations, annotations, SETTINGS)
    assert len(pseudo.annotations) == len(pseudo.images) == 0
    assert audit["kept"].sum() == 0


def test_crops_take_the_class_of_the_teacher_where_it_is_sure(annotations):
    said = pd.DataFrame({"annotation_id": [1, 2, 3], "Paper": [0.1, 0.6, 0.8],
                         "Metal": [0.9, 0.4, 0.2]}).astype(
        {"Paper": "float32", "Metal": "float32"})  # fmt: skip
    pseudo, audit = annotate_crops(said, annotations, annotations, SETTINGS)
    assert pseudo.annotations["annotation_id"].tolist() == [1, 3]
    assert pseudo.annotations["category_id"].tolist() == [7, 5]
    assert pseudo.annotations["score"].tolist() == pytest.approx([0.9, 0.8])
    assert audit["kept"].tolist() == [1, 1]


def test_where_the_members_disagree_nothing_is_learnt(annotations):
    label_map = np.zeros((30, 40), np.uint8)
    label_map[2:12, 2:12] = 1
    label_map[20:22, 20:22] = 2  # too small to keep
    agreement = np.ones((30, 40), np.float32)
    agreement[2:5, 2:12] = 0.5
    maps = LabelMaps([3], lambda _: label_map)
    pseudo, audit = annotate_regions(maps, lambda _: agreement, annotations, annotations, SETTINGS)
    expected = np.where(label_map == 2, 255, label_map)
    expected[2:5, 2:12] = 255
    np.testing.assert_array_equal(to_label_map(pseudo, 3), expected)
    assert audit[["predicted", "kept"]].values.tolist() == [[1, 1], [1, 0]]


def test_an_image_without_a_sure_region_is_left_out(annotations):
    maps = LabelMaps([3], lambda _: np.ones((30, 40), np.uint8))
    unsure = np.full((30, 40), 0.5, np.float32)
    pseudo, _ = annotate_regions(maps, lambda _: unsure, annotations, annotations, SETTINGS)
    assert len(pseudo.images) == 0
