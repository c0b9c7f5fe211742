"""Raw annotations plus the audit are the clean ones; clean ones less the audit are the raw ones."""

import gzip
import json
import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings

from annotations.cleaning.replay import replay, undo
from annotations.defective import cleanings, defective
from recycling.annotations import (
    IMAGE_CHECKS,
    AnnotationError,
    from_coco,
    read_coco,
    to_coco,
)
from recycling.annotations.cleaning.core import Cleaning, clean


def _assert_same(left, right):
    pd.testing.assert_frame_equal(left.images, right.images, check_exact=True)
    pd.testing.assert_frame_equal(left.annotations, right.annotations, check_exact=True)
    pd.testing.assert_frame_equal(left.categories, right.categories, check_exact=True)
    assert left.extra == right.extra


@settings(max_examples=20)
@given(defective(), cleanings())
def test_the_audit_makes_clean_annotations_of_raw_ones_and_takes_it_back(drawn, rules):
    raw, checks = drawn
    cleaned, audit = clean(raw, checks, rules)
    _assert_same(replay(raw, audit), cleaned)
    undone = undo(cleaned, audit)
    _assert_same(undone, raw)
    assert to_coco(undone) == to_coco(raw)


def _raw():
    return from_coco(
        {
            "images": [
                {"id": one, "file_name": f"{one}.png", "width": 20, "height": 20} for one in (1, 2)
            ],
            "categories": [{"id": 1, "name": "Glas"}, {"id": 2, "name": "Glass"}],
            "annotations": [
                {"id": 10, "image_id": 1, "category_id": 1, "bbox": [0, 0, 30, 5]},
                {"id": 11, "image_id": 2, "category_id": 2, "bbox": [0, 0, 0, 5]},
                {"id": 12, "image_id": 2, "category_id": 2, "bbox": [0, 0, 5, 5]},
            ],
        },
        where="test",
    )


@pytest.fixture
def raw():
    return _raw()


@pytest.fixture
def cleaned_and_audit(raw):
    rules = Cleaning.model_validate({"fix_categories": {"names": {"Glas": "Glass"}}})
    return clean(raw, IMAGE_CHECKS.empty(), rules)


def test_what_the_audit_is_given_stays_as_it_is(raw, cleaned_and_audit):
    cleaned, audit = cleaned_and_audit
    before = audit.copy()
    replay(raw, audit)
    undo(cleaned, audit)
    _assert_same(raw, _raw())
    pd.testing.assert_frame_equal(audit, before)


def test_an_audit_can_be_stored_and_read_back_before_it_replays(tmp_path, raw, cleaned_and_audit):
    cleaned, audit = cleaned_and_audit
    audit.to_parquet(tmp_path / "audit.parquet")
    stored = pd.read_parquet(tmp_path / "audit.parquet")
    _assert_same(replay(raw, stored), cleaned)
    _assert_same(undo(cleaned, stored), raw)


def _without(annotations, annotation_id):
    table = annotations.annotations
    kept = table[table["annotation_id"] != annotation_id].reset_index(drop=True)
    return replace(annotations, annotations=kept)


def _with(annotations, annotation_id, column, value):
    table = annotations.annotations.copy()
    table.loc[table["annotation_id"] == annotation_id, column] = value
    return replace(annotations, annotations=table)


def test_an_audit_of_other_raw_annotations_names_its_row(raw, cleaned_and_audit):
    _, audit = cleaned_and_audit
    row = audit.index[audit["subject_id"] == 11][0]
    with pytest.raises(AnnotationError, match=rf"audit row {row}: annotation 11 is not in row 1"):
        replay(_without(raw, 11), audit)
    other = _with(raw, 11, "y_max", 6.0)
    with pytest.raises(
        AnnotationError, match=rf"audit row {row}: annotation 11 has y_max 6.0, not 5.0"
    ):
        replay(other, audit)
    backwards = replace(raw, annotations=raw.annotations.iloc[::-1].reset_index(drop=True))
    with pytest.raises(AnnotationError, match=r"annotation 10 is not in row 0 of the raw table"):
        replay(backwards, audit)


def test_an_audit_of_other_clean_annotations_names_its_row(raw, cleaned_and_audit):
    cleaned, audit = cleaned_and_audit
    last = audit.index[audit["subject_id"] == 10][-1]
    with pytest.raises(AnnotationError, match=rf"audit row {last}: annotation 10 is not there"):
        undo(_without(cleaned, 10), audit)
    row = audit.index[audit["rule"] == "clip_boxes"][0]
    with pytest.raises(
        AnnotationError, match=rf"audit row {row}: annotation 10 has x_max 19.0, not 20.0"
    ):
        undo(_with(cleaned, 10, "x_max", 19.0), audit)
    with pytest.raises(AnnotationError, match=r"annotation 11 is there already"):
        undo(raw, audit[audit["rule"] == "drop_degenerate_boxes"])


def test_an_audit_that_leaves_a_gap_is_refused(raw, cleaned_and_audit):
    cleaned, audit = cleaned_and_audit
    far = audit[audit["subject_id"] == 11].assign(position=pd.array([9], dtype="Int64"))
    with pytest.raises(AnnotationError, match=r"annotations do not make a whole table"):
        undo(cleaned, far)


EVERYTHING = {
    "fix_categories": {"names": {"Styrofoam piece": "Foam"}, "order": ["Cigarette"]},
    "relabel": {
        "lists": [{"reason": "test", "annotation_ids": [1, 2, 3, 500], "category": "Battery"}]
    },
    "relabel_inside": {
        "enabled": True,
        "rules": [
            {"reason": "in a bag", "container": "Single-use carrier bag"},
            {"reason": "on a bottle", "container": "Clear plastic bottle", "action": "drop"},
        ],
    },
    "remove_overlaps": {"enabled": True},
    "drop_area_range": {"enabled": True, "min_area": 200},
}


@pytest.mark.skipif(
    "TACO_FULL_ROOT" not in os.environ,
    reason="TACO_FULL_ROOT does not name the folder of TACO's whole annotation file",
)
def test_all_of_taco_comes_back_from_every_rule():
    path = Path(os.environ["TACO_FULL_ROOT"]) / "annotations.json.gz"
    raw = read_coco(path, duplicate_ids="renumber")
    everything = Cleaning.model_validate(EVERYTHING)
    cleaned, audit = clean(raw, _looks(raw.images), everything)
    nothing_to_do = {"drop_duplicate_annotations", "drop_degenerate_boxes"}
    assert set(audit["rule"]) == set(everything.order) - nothing_to_do
    _assert_same(replay(raw, audit), cleaned)
    undone = undo(cleaned, audit)
    _assert_same(undone, raw)
    with gzip.open(path) as file:
        in_file = json.load(file)
    once_more = to_coco(undone)
    taken = [one for one in once_more["annotations"] if "original_id" in one]
    for one in taken:  # their number was taken, so they got another one on reading
        one["id"] = one.pop("original_id")
    assert len(taken) == 2
    assert once_more == in_file


def _looks(images):
    """What a check of the photographs might have found: there are none to look at."""
    checks = images[["image_id", "file_name"]].reindex(columns=IMAGE_CHECKS.names)
    number = range(len(images))
    return IMAGE_CHECKS.conform(
        checks.assign(
            problem=["truncated" if one % 100 == 0 else None for one in number],
            sha256=[f"{one // 3 if one % 50 < 3 else -one}" for one in number],
            phash=[f"{one // 2 * 7919**4 % 2**64:016x}" for one in number],
        ),
        where="test",
    )
