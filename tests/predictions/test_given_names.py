"""A submission calls images as the competition does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recycling.annotations import IMAGE_CHECKS, IMAGES, Cleaning, clean, from_coco
from recycling.predictions import (
    DETECTIONS,
    BoxFormat,
    Detections,
    LabelMaps,
    MaskFormat,
    SubmissionError,
    to_submission,
)
from recycling.stored_tables import StoredTable, whole

GLASS = {"id": 1, "name": "Glass"}
BOXES = BoxFormat.model_validate({"format": "aistages_detection"})
MASKS = MaskFormat.model_validate({"format": "aistages_segmentation", "size": 2})


def annotated(*names: str):
    images = [
        {"id": n, "file_name": name, "width": 8, "height": 6} for n, name in enumerate(names, 1)
    ]
    document = {"images": images, "annotations": [], "categories": [GLASS]}
    return from_coco(document, where="test")


def cleaned(names: dict[str, str | None]):
    """The images after cleaning has found their files."""
    raw = annotated(*names)
    checks = pd.DataFrame(
        {
            "image_id": raw.images["image_id"],
            "file_name": raw.images["file_name"],
            "found_as": list(names.values()),
        }
    )
    checks = IMAGE_CHECKS.empty().merge(checks, how="right")[list(IMAGE_CHECKS.names)]
    return clean(raw, IMAGE_CHECKS.conform(checks, where="checks"), Cleaning())[0]


NAMES = {"test\\A.JPG": "test/a.jpg", "test/b.jpg": None}


@pytest.mark.parametrize("stored", [False, True])
def test_boxes_are_submitted_under_the_names_of_the_annotations(stored, tmp_path: Path):
    found = cleaned(NAMES)
    assert found.images["file_name"].tolist() == ["test/a.jpg", "test/b.jpg"]
    images, boxes = found.images, Detections(DETECTIONS.empty())
    if stored:
        images.to_parquet(tmp_path / "images.parquet")
        images = StoredTable(tmp_path / "images.parquet", IMAGES)
    table = whole(to_submission(BOXES, boxes, images, found.categories))
    assert table["image_id"].tolist() == list(NAMES)


def test_masks_are_too():
    found = cleaned(NAMES)
    maps = LabelMaps([1, 2], lambda _: np.zeros((2, 2), np.uint8))
    table = to_submission(MASKS, maps, found.images, found.categories)
    assert table["image_id"].tolist() == list(NAMES)


@pytest.mark.parametrize("stored", [False, True])
def test_two_images_of_one_name_are_refused(stored, tmp_path: Path):
    found = annotated("a.jpg", "b.jpg", "a.jpg")
    images = found.images
    if stored:
        images.to_parquet(tmp_path / "images.parquet")
        images = StoredTable(tmp_path / "images.parquet", IMAGES)
    with pytest.raises(SubmissionError, match=r"^images 1, 3 are called a.jpg; .*keep one"):
        to_submission(BOXES, Detections(DETECTIONS.empty()), images, found.categories)


@pytest.mark.parametrize("own", [{"given_file_name": 5}, {"shot": {"given_file_name": "b.jpg"}}])
def test_a_key_of_that_name_that_is_none_of_ours_changes_nothing(own):
    found = annotated("a.jpg")
    images = found.images.assign(extra=pd.array([json.dumps(own)], dtype="string"))
    table = to_submission(BOXES, Detections(DETECTIONS.empty()), images, found.categories)
    assert table["image_id"].tolist() == ["a.jpg"]
