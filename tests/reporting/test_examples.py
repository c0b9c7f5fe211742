"""What cleaning does is shown on the images themselves."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from recycling.annotations import (
    AUDIT,
    IMAGE_CHECKS,
    Cleaning,
    ImageFolder,
    check_images,
    clean,
    from_coco,
)
from recycling.annotations.cleaning.report import RULE_REPORT, rule_report
from recycling.reporting import cleaning_examples
from recycling.reporting.examples import AFTER, BEFORE

SIDE = 60
NOTHING = AUDIT.empty()
TILE = 210


def _box(number, image_id, bbox, **rest):
    return {"id": number, "image_id": image_id, "category_id": 1, "bbox": bbox, **rest}


@pytest.fixture
def raw():
    """One annotation without an area, one that leaves its image, and two whole ones."""
    return from_coco(
        {
            "images": [
                {"id": image_id, "file_name": f"{image_id}.png", "width": SIDE, "height": SIDE}
                for image_id in (1, 2)
            ],
            "annotations": [
                _box(1, 1, [20, 20, 0, 10]),
                _box(2, 1, [40, 30, 40, 20]),
                _box(3, 2, [10, 10, 20, 20]),
                _box(4, 2, [15, 12, 20, 20]),
            ],
            "categories": [{"id": 1, "name": "Glass"}, {"id": 2, "name": "Paper"}],
        },
        where="test",
    )


@pytest.fixture
def folder(tmp_path):
    for name in ("1.png", "2.png"):
        Image.new("RGB", (SIDE, SIDE), (0, 160, 0)).save(tmp_path / name)
    return ImageFolder(tmp_path)


def _cleaned(raw, **settings):
    return clean(raw, IMAGE_CHECKS.empty(), Cleaning.model_validate(settings))


def _has(image, colour):
    return bool((image == np.array(colour)).all(axis=-1).any())


def test_each_rule_that_does_something_has_its_row_of_images(raw, folder):
    _, audit = _cleaned(raw)
    image = cleaning_examples(raw, folder, IMAGE_CHECKS.empty(), audit, NOTHING)
    assert image.shape[0] > audit["rule"].nunique() * TILE
    assert _has(image, BEFORE)
    assert _has(image, AFTER)
    assert _has(image, (0, 160, 0))


def test_what_is_dropped_has_no_box_after(raw, folder):
    _, audit = _cleaned(raw, clip_boxes={"enabled": False})
    image = cleaning_examples(raw, folder, IMAGE_CHECKS.empty(), audit, NOTHING)
    assert _has(image, BEFORE)
    assert not _has(image, AFTER)


def test_without_images_the_boxes_are_drawn_on_grey(raw, folder, tmp_path):
    _, audit = _cleaned(raw)
    missing = ImageFolder(tmp_path / "nowhere")
    image = cleaning_examples(raw, missing, IMAGE_CHECKS.empty(), audit, NOTHING)
    assert not _has(image, (0, 160, 0))
    assert _has(image, BEFORE)


def test_a_box_of_any_size_is_shown_around_its_image(folder):
    raw = from_coco(
        {
            "images": [{"id": 1, "file_name": "1.png", "width": SIDE, "height": SIDE}],
            "annotations": [_box(1, 1, [20, 20, 1e12, 10])],
            "categories": [{"id": 1, "name": "Glass"}],
        },
        where="test",
    )
    _, audit = _cleaned(raw)
    assert audit["rule"].iloc[0] == "clip_boxes"
    sheet = cleaning_examples(raw, folder, IMAGE_CHECKS.empty(), audit, NOTHING)
    assert (sheet == BEFORE).all(axis=-1).any()
    assert (sheet == AFTER).all(axis=-1).any()


def test_a_box_that_was_moved_with_its_image_is_shown_where_it_is(tmp_path):
    """As if it had been given in the size of the image."""
    Image.new("RGB", (120, 80), (0, 160, 0)).save(tmp_path / "1.png")
    sheets = []
    for scale in (1, 2):
        size = {"width": 60 * scale, "height": 40 * scale}
        raw = from_coco(
            {
                "images": [{"id": 1, "file_name": "1.png", **size}],
                "annotations": [_box(1, 1, [scale * edge for edge in (50, 10, 20, 10)])],
                "categories": [{"id": 1, "name": "Glass"}],
            },
            where="test",
        )
        checks = check_images(raw.images, ImageFolder(tmp_path))
        _, audit = clean(raw, checks, Cleaning.model_validate({"image_size": "rescale"}))
        sheets.append(cleaning_examples(raw, ImageFolder(tmp_path), checks, audit, NOTHING))
    later_rules = len(sheets[1]) - 20  # without the margin
    np.testing.assert_array_equal(sheets[0][-later_rules:], sheets[1][-later_rules:])


def test_every_reason_is_shown_before_any_is_shown_twice(raw, folder):
    lists = [
        {"reason": "first", "annotation_ids": [2, 3], "category": "Paper"},
        {"reason": "second", "annotation_ids": [4], "category": "Paper"},
    ]
    _, audit = _cleaned(raw, relabel={"lists": lists})
    relabelled = audit[audit["rule"] == "relabel"]
    two = cleaning_examples(raw, folder, IMAGE_CHECKS.empty(), relabelled, NOTHING, n=2)
    by_hand = relabelled[relabelled["subject_id"].isin([2, 4])]
    same = cleaning_examples(raw, folder, IMAGE_CHECKS.empty(), by_hand, NOTHING, n=2)
    heading = 40
    np.testing.assert_array_equal(two[heading:], same[heading:])


def test_nothing_to_show_is_said(raw, folder):
    image = cleaning_examples(raw, folder, IMAGE_CHECKS.empty(), NOTHING, NOTHING)
    assert (image < 128).any()


def test_the_report_lists_every_rule_and_says_which_are_off(raw):
    rules = Cleaning.model_validate({"clip_boxes": {"enabled": False}})
    _, audit = clean(raw, IMAGE_CHECKS.empty(), rules)
    _, would = clean(raw, IMAGE_CHECKS.empty(), Cleaning())
    would = would[would["rule"] == "clip_boxes"]
    report = rule_report(rules, audit, would)
    assert list(report.columns) == RULE_REPORT.names
    assert report["rule"].drop_duplicates().tolist() == list(rules.order)
    rows = report.set_index("rule")
    assert rows.loc["clip_boxes", ["enabled", "action", "rows", "examples"]].tolist() == [
        False,
        "change",
        1,
        "[2]",
    ]
    assert rows.loc["drop_degenerate_boxes", ["enabled", "action", "rows"]].tolist() == [
        True,
        "drop",
        1,
    ]
    assert rows.loc["relabel", "rows"] == 0
    assert pd.isna(rows.loc["relabel", "action"])
