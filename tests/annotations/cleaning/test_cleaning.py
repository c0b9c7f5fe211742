import copy
import json
from dataclasses import replace

import pandas as pd
import pytest
from PIL import Image
from pydantic import ValidationError

from recycling.annotations import (
    AUDIT,
    IMAGE_CHECKS,
    AnnotationError,
    Cleaning,
    ImageFolder,
    check_images,
    clean,
    from_coco,
    to_coco,
)
from recycling.annotations.cleaning.core import what_if

RULES = list(Cleaning().order)
NO_CHECKS = IMAGE_CHECKS.empty()

CATEGORIES = [
    {"id": 1, "name": "Glass", "supercategory": "Waste"},
    {"id": 2, "name": "Plastc bag"},
    {"id": 3, "name": "Plastic bag"},
    {"id": 4, "name": "Bottle"},
]


def _box(number, image_id, category_id, bbox, **rest):
    area = max(bbox[2], 0) * max(bbox[3], 0)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": bbox,
        "area": area,
        "iscrowd": 0,
        **rest,
    }


def _corners(x_min, y_min, x_max, y_max):
    return [x_min, y_min, x_max, y_min, x_max, y_max, x_min, y_max]


# One defect an annotation or image, so that no two rules compete for the same one.
DOCUMENT = {
    "images": [
        {"id": number, "file_name": f"{number}.png", "width": 40, "height": 20}
        for number in range(1, 6)
    ],
    "annotations": [
        _box(1, 1, 1, [1, 1, 9, 9]),
        _box(2, 1, 2, [2, 2, 9, 9]),
        _box(3, 1, 4, [3, 3, 9, 9]),
        _box(4, 1, 1, [5, 5, 0, 9]),
        _box(5, 1, 1, [30, 10, 20, 5], segmentation=[[30, 10, 40, 10, 40, 15]], area=25),
        _box(6, 1, 1, [50, 10, 5, 5]),
        _box(7, 1, 1, [4, 4, 10, 10], area=7),
        _box(8, 1, 1, [1, 1, 1, 1]),
        _box(9, 3, 1, [1, 1, 9, 9]),
        _box(10, 4, 1, [1, 1, 9, 9]),
        _box(11, 2, 1, [7, 7, 1, 1], iscrowd=1),
        _box(12, 2, 1, [1, 1, 9, 9]),
        _box(13, 2, 1, [1, 1, 9, 9], score=0.5),
        _box(14, 2, 1, [20, 2, 10, 6], segmentation=[_corners(20, 2, 30, 8)], area=7),
        _box(15, 2, 3, [12, 12, 8, 8]),
        _box(16, 2, 4, [13, 13, 4, 4]),
        _box(17, 5, 1, [1, 1, 10, 10], segmentation=[_corners(1, 1, 11, 11)]),
        _box(18, 5, 1, [7, 2, 2, 2], segmentation=[_corners(7, 2, 9, 4)]),
        _box(19, 5, 1, [6, 1, 5, 10], segmentation=[_corners(6, 1, 11, 11)]),
    ],
    "categories": CATEGORIES,
}


@pytest.fixture
def annotations():
    return from_coco(copy.deepcopy(DOCUMENT), where="test")


@pytest.fixture
def checks():
    """Image 3 is cut off, 4 is a copy of 1, and 5 looks like 2."""
    table = pd.DataFrame(
        {
            "image_id": range(1, 6),
            "file_name": [f"{number}.png" for number in range(1, 6)],
            "problem": [None, None, "truncated", "duplicate", None],
            "detail": [None, None, "image file is truncated", "the same bytes as image 1", None],
            "sha256": ["a", "b", "c", "a", "d"],
            "phash": ["ff" * 8, "00" * 8, None, "ff" * 8, "00" * 7 + "01"],
            "duplicate_of": pd.array([None, None, None, 1, None], dtype="Int64"),
        }
    ).reindex(columns=IMAGE_CHECKS.names)
    return IMAGE_CHECKS.conform(table.reindex(columns=IMAGE_CHECKS.names), where="test")


ALL = {
    "fix_categories": {"names": {"Plastc bag": "Plastic bag", "Glas": "Glass"}},
    "relabel": {
        "lists": [{"reason": "bottles of glass", "annotation_ids": [3], "category": "Glass"}]
    },
    "relabel_inside": {
        "enabled": True,
        "rules": [{"reason": "in a bag", "container": "Plastic bag"}],
    },
    "remove_overlaps": {"enabled": True},
    "drop_area_range": {"enabled": True, "min_area": 2},
    "drop_duplicate_images": {"labels": "drop"},
}


def _cleaned(annotations, checks=NO_CHECKS, only=None, **settings):
    off = {name: {"enabled": False} for name in RULES if only is not None and name not in only}
    return clean(annotations, checks, Cleaning.model_validate({**off, **settings}))


def _ids(annotations):
    return annotations.annotations["annotation_id"].tolist()


def _rows(audit, rule):
    rows = audit[audit["rule"] == rule]
    return list(zip(rows["subject"], rows["subject_id"], rows["action"], strict=True))


def test_every_defect_is_found_and_has_an_audit_row(annotations, checks):
    cleaned, audit = _cleaned(annotations, checks, **ALL)
    assert list(audit.columns) == AUDIT.names
    assert {rule: _rows(audit, rule) for rule in audit["rule"].unique()} == {
        "fix_categories": [
            ("annotation", 2, "change"),
            ("category", 3, "change"),
            ("category", 4, "change"),
            ("category", 2, "drop"),
        ],
        "relabel": [("annotation", 3, "change")],
        "drop_bad_images": [("image", 3, "drop"), ("annotation", 9, "drop")],
        "drop_duplicate_images": [("image", 4, "drop"), ("annotation", 10, "drop")],
        "drop_duplicate_annotations": [("annotation", 13, "drop")],
        "drop_degenerate_boxes": [("annotation", 4, "drop")],
        "clip_boxes": [("annotation", 5, "change"), ("annotation", 6, "drop")],
        "recompute_from_mask": [("annotation", 7, "change"), ("annotation", 14, "change")],
        "relabel_inside": [("annotation", 16, "change")],
        "remove_overlaps": [("annotation", 17, "change"), ("annotation", 18, "drop")],
        "drop_area_range": [("annotation", 8, "drop")],
        "group_near_duplicates": [("image", 5, "change")],
    }
    assert cleaned.images["image_id"].tolist() == [1, 2, 5]
    assert _ids(cleaned) == [1, 2, 3, 5, 7, 11, 12, 14, 15, 16, 17, 19]
    assert cleaned.categories["name"].tolist() == ["Glass", "Plastic bag", "Bottle"]
    assert cleaned.images["group"].tolist() == ["1", "2", "2"]


def test_cleaning_changes_nothing_it_was_given(annotations, checks):
    before = to_coco(annotations)
    checks_before = checks.copy()
    _cleaned(annotations, checks, **ALL)
    assert to_coco(annotations) == before == DOCUMENT
    pd.testing.assert_frame_equal(checks, checks_before)


def test_clean_annotations_have_nothing_left_to_clean(annotations, checks):
    settings = {**ALL, "relabel": {}}
    cleaned, _ = _cleaned(annotations, checks, **settings)
    again, audit = _cleaned(cleaned, checks, **settings)
    assert audit.empty
    assert to_coco(again) == to_coco(cleaned)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_leaves_the_same_audit_with_and_without_the_others(annotations, checks, rule):
    _, together = _cleaned(annotations, checks, **ALL)
    own = {rule: ALL[rule]} if rule in ALL else {rule: {"enabled": True}}
    _, alone = _cleaned(annotations, checks, only=[rule], **own)
    # Alone, these also see what other rules mend before them: the flat box 4, the box 5 that
    # leaves its picture, and image 4.
    mended = {"drop_area_range": {4}, "recompute_from_mask": {5}, "group_near_duplicates": {4}}
    seen_before = mended.get(rule, set())
    alone = alone[~alone["subject_id"].isin(seen_before)].reset_index(drop=True)
    columns = ["subject", "subject_id", "position", "action", "reason", "before", "after"]
    pd.testing.assert_frame_equal(
        alone[columns], together[together["rule"] == rule][columns].reset_index(drop=True)
    )


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_is_off_leaves_no_audit(annotations, checks, rule):
    off = {**ALL, rule: {"enabled": False}}
    _, audit = _cleaned(annotations, checks, **off)
    assert rule not in set(audit["rule"])
    _, everything = _cleaned(annotations, checks, **ALL)
    assert set(audit["rule"]) == set(everything["rule"]) - {rule}


def test_the_audit_says_where_each_subject_was_in_the_raw_tables(annotations, checks):
    _, audit = _cleaned(annotations, checks, **ALL)
    tables = {
        "image": annotations.images,
        "annotation": annotations.annotations,
        "category": annotations.categories,
    }
    for row in audit.itertuples():
        ids = tables[row.subject][f"{row.subject}_id"]
        assert ids[row.position] == row.subject_id
    mapping = {"Glass": ["Bottle"], "New": []}
    fixed = {"categories": mapping, "unmapped": "keep"}
    _, audit = _cleaned(annotations, only=["fix_categories"], fix_categories=fixed)
    assert audit[audit["action"] == "add"]["position"].isna().tolist() == [True]


def test_rules_are_applied_in_the_configured_order(annotations, checks):
    order = ["drop_area_range", *[name for name in RULES if name != "drop_area_range"]]
    _, audit = _cleaned(annotations, checks, order=order, **ALL)
    # The first rule has left the degenerate boxes nothing to do; names and sizes are right.
    idle = {"drop_degenerate_boxes", "check_boxes", "fix_file_names", "image_size"}
    idle.add("correct_annotations")  # of which nothing is asked
    assert audit["rule"].drop_duplicates().tolist() == [r for r in order if r not in idle]
    assert _rows(audit, "drop_area_range") == [
        ("annotation", 4, "drop"),
        ("annotation", 8, "drop"),
    ]


@pytest.mark.parametrize("order", [RULES[1:], [*RULES, "relabel"], [*RULES[1:], "polish"]])
def test_an_order_that_is_not_each_rule_once_is_refused(order):
    with pytest.raises(ValidationError, match="order"):
        Cleaning.model_validate({"order": order})


@pytest.mark.parametrize(
    "settings",
    [
        {"drop_bad_image": {}},
        {"clip_boxes": {"enable": False}},
        {"relabel": {"lists": [{"reason": "", "annotation_ids": [1], "category": "Glass"}]}},
        {"fix_categories": {"categories": {"A": ["x"], "B": ["x"]}}},
        {"drop_bad_images": {"problems": ["ugly"]}},
        {"recompute_area": {"enabled": False}},
        {"recompute_from_mask": {"area_tolerance": -1}},
        {"relabel_inside": {"rules": [{"reason": "in a bag", "container": "Bag", "inside": 0}]}},
        {"relabel_inside": {"rules": [{"reason": "", "container": "Bag"}]}},
    ],
)
def test_settings_that_do_not_exist_are_refused(settings):
    with pytest.raises(ValidationError):
        Cleaning.model_validate(settings)


def test_the_audit_holds_what_was_dropped_and_what_changed(annotations, checks):
    _, audit = _cleaned(annotations, checks, **ALL)
    row = audit[audit["rule"] == "clip_boxes"].iloc[0]
    assert row["reason"] == "the box reaches outside its image of 40 x 20 pixels"
    assert json.loads(row["before"]) == {"x_max": 50.0}
    assert json.loads(row["after"]) == {"x_max": 40.0}
    row = audit[audit["rule"] == "clip_boxes"].iloc[1]
    was = annotations.annotations.set_index("annotation_id", drop=False).loc[6]
    assert json.loads(row["before"]) == was.astype(object).where(was.notna(), None).to_dict()
    assert pd.isna(row["after"])
    row = audit[(audit["rule"] == "drop_bad_images") & (audit["subject"] == "annotation")].iloc[0]
    assert row["reason"] == "its image 3: truncated: image file is truncated"
    row = audit[audit["rule"] == "group_near_duplicates"].iloc[0]
    assert (json.loads(row["before"]), json.loads(row["after"])) == ({"group": "5"}, {"group": "2"})


def test_a_copy_stays_where_its_original_is_gone(annotations, checks):
    without = annotations.of_images([2, 3, 4, 5])
    cleaned, audit = _cleaned(without, checks, only=["drop_duplicate_images"])
    assert audit.empty
    assert cleaned.images["image_id"].tolist() == [2, 3, 4, 5]


def test_images_that_were_not_checked_stay(annotations):
    _, audit = _cleaned(
        annotations, only=["drop_bad_images", "drop_duplicate_images", "group_near_duplicates"]
    )
    assert audit.empty


def test_a_misspelt_name_is_put_right_where_the_right_one_does_not_exist(annotations):
    cleaned, audit = _cleaned(
        annotations, only=["fix_categories"], fix_categories={"names": {"Bottle": "Battery"}}
    )
    assert cleaned.categories["name"].tolist() == ["Glass", "Plastc bag", "Plastic bag", "Battery"]
    assert _rows(audit, "fix_categories") == [("category", 4, "change")]
    assert json.loads(audit.loc[0, "before"]) == {"name": "Bottle"}


def test_categories_are_mapped_created_and_put_in_the_listed_order(annotations):
    mapping = {"Metal": ["Bottle"], "Plastic": ["Plastic bag"], "Glass": []}
    cleaned, audit = _cleaned(
        annotations,
        only=["fix_categories"],
        fix_categories={"names": {"Plastc bag": "Plastic bag"}, "categories": mapping},
    )
    assert cleaned.categories["name"].tolist() == ["Metal", "Plastic", "Glass"]
    assert cleaned.categories["category_id"].tolist() == [5, 6, 1]
    assert cleaned.categories["supercategory"].tolist() == ["Metal", "Plastic", "Waste"]
    by_id = cleaned.annotations.set_index("annotation_id")["category_id"]
    assert by_id.loc[[1, 2, 3]].tolist() == [1, 6, 5]
    assert _rows(audit, "fix_categories") == [
        ("annotation", 2, "change"),
        ("annotation", 3, "change"),
        ("annotation", 15, "change"),
        ("annotation", 16, "change"),
        ("category", 1, "change"),
        ("category", 2, "drop"),
        ("category", 3, "drop"),
        ("category", 4, "drop"),
        ("category", 5, "add"),
        ("category", 6, "add"),
    ]
    reasons = audit.set_index(["subject", "subject_id"])["reason"]
    assert reasons["category", 2] == "merged into 'Plastic'"
    assert reasons["category", 1] == "the class index follows the new order"


def test_a_category_can_be_a_target_and_part_of_another_one(annotations):
    mapping = {"Glass": ["Bottle"], "Bottle": ["Glass"]}
    cleaned, _ = _cleaned(
        annotations,
        only=["fix_categories"],
        fix_categories={"categories": mapping, "unmapped": "keep"},
    )
    names = cleaned.categories.set_index("category_id")["name"]
    assert names.tolist() == ["Glass", "Bottle", "Plastc bag", "Plastic bag"]
    labels = cleaned.annotations.set_index("annotation_id")["category_id"].map(names)
    assert labels.loc[[1, 3]].tolist() == ["Bottle", "Glass"]


def test_unmapped_categories_are_an_error_kept_or_dropped_with_their_annotations(annotations):
    def fixed(unmapped):
        mapping = {"Glass": ["Bottle"], "Bag": ["Plastic bag"]}
        settings = {"categories": mapping, "unmapped": unmapped}
        return _cleaned(annotations, only=["fix_categories"], fix_categories=settings)

    with pytest.raises(AnnotationError, match=r"category 'Plastc bag' is not under any"):
        fixed("error")
    kept, _ = fixed("keep")
    assert kept.categories["name"].tolist() == ["Glass", "Bag", "Plastc bag"]
    dropped, audit = fixed("drop")
    assert dropped.categories["name"].tolist() == ["Glass", "Bag"]
    assert 2 not in _ids(dropped)
    drops = audit[audit["action"] == "drop"].set_index(["subject", "subject_id"])["reason"]
    assert drops["annotation", 2] == "category 'Plastc bag' is not mapped"
    assert drops["category", 2] == "not mapped"


def test_dropping_stops_where_a_name_looks_misspelt_in_the_mapping(annotations):
    mapping = {"Glass": ["Botle"], "Bag": ["Plastic bag", "Plastc bag"]}
    with pytest.raises(AnnotationError, match=r"category 'Bottle'.*'Botle' is; is that it"):
        _cleaned(annotations, fix_categories={"categories": mapping, "unmapped": "drop"})


def test_categories_come_in_the_configured_order(annotations):
    cleaned, audit = _cleaned(
        annotations, only=["fix_categories"], fix_categories={"order": ["Bottle", "Glass"]}
    )
    assert cleaned.categories["name"].tolist() == ["Bottle", "Glass", "Plastc bag", "Plastic bag"]
    changes = audit.set_index("subject_id")
    assert json.loads(changes.loc[4, "before"]) == {"index": 3}
    assert json.loads(changes.loc[4, "after"]) == {"index": 0}
    with pytest.raises(AnnotationError, match=r"order: no category 'Bottl'; did you mean 'Bottle'"):
        _cleaned(annotations, fix_categories={"order": ["Bottl"]})


def test_an_empty_table_of_categories_gets_the_listed_ones():
    pool = from_coco({"images": [], "annotations": [], "categories": []}, where="pool")
    settings = {"categories": {"Glass": ["Bottle"], "Metal": []}}
    cleaned, _ = _cleaned(pool, fix_categories=settings)
    assert cleaned.categories["name"].tolist() == ["Glass", "Metal"]
    assert cleaned.categories["category_id"].tolist() == [0, 1]


def _relabelled(annotations, **change):
    entry = {"reason": "lids of cups", "annotation_ids": [3], "category": "Glass", **change}
    return _cleaned(annotations, only=["relabel"], relabel={"lists": [entry]})


def test_relabelling_what_does_not_exist_names_the_reason_and_the_id(annotations):
    with pytest.raises(AnnotationError, match=r"relabel 'lids of cups': no annotation 99 \(1 of 2"):
        _relabelled(annotations, annotation_ids=[3, 99])
    with pytest.raises(AnnotationError, match=r"relabel 'lids of cups': no category 'Glas'; did"):
        _relabelled(annotations, category="Glas")


def test_relabelling_leaves_the_reason_in_the_audit_and_can_be_switched_off(annotations):
    _, audit = _relabelled(annotations, annotation_ids=[1, 3])
    assert audit["reason"].tolist() == ["lids of cups"]  # annotation 1 is glass already
    assert json.loads(audit.loc[0, "after"]) == {"category_id": 1}
    _, audit = _relabelled(annotations, enabled=False, annotation_ids=[99])
    assert audit.empty


def test_relabelling_what_another_rule_dropped_is_no_error(annotations, checks):
    order = ["drop_bad_images", *[name for name in RULES if name != "drop_bad_images"]]
    entry = {"reason": "lids", "annotation_ids": [9], "category": "Bottle"}
    _, audit = _cleaned(annotations, checks, order=order, relabel={"lists": [entry]})
    assert _rows(audit, "relabel") == []


def test_the_smallest_side_of_a_box_is_a_setting(annotations):
    cleaned, _ = _cleaned(
        annotations, only=["drop_degenerate_boxes"], drop_degenerate_boxes={"min_side": 5.5}
    )
    assert _ids(cleaned) == [1, 2, 3, 7, 9, 10, 12, 13, 14, 15, 17]


def test_clipped_boxes_are_inside_and_others_untouched(annotations):
    cleaned, _ = _cleaned(annotations, only=["clip_boxes"])
    table = cleaned.annotations.set_index("annotation_id")
    assert 6 not in table.index
    assert table.loc[5, ["x_min", "y_min", "x_max", "y_max"]].tolist() == [30, 10, 40, 15]
    written = {one["id"]: one for one in to_coco(cleaned)["annotations"]}
    assert all(written[one["id"]] == one for one in DOCUMENT["annotations"] if one["id"] in (1, 4))


def test_of_annotations_that_say_the_same_the_lowest_id_stays(annotations):
    _, audit = _cleaned(annotations, only=["drop_duplicate_annotations"])
    assert audit["reason"].tolist() == ["the same as annotation 12"]
    table = annotations.annotations
    rows = table["annotation_id"].isin([12, 13])
    for column, other in (
        ("category_id", 3),
        ("image_id", 5),
        ("x_max", 10.5),
        ("segmentation", "[]"),
        ("iscrowd", True),
    ):
        differing = table.copy()
        differing.loc[differing["annotation_id"] == 13, column] = other
        apart = replace(annotations, annotations=differing)
        assert _cleaned(apart, only=["drop_duplicate_annotations"])[1].empty
        differing.loc[rows, column] = other
        again = replace(annotations, annotations=differing)
        assert len(_cleaned(again, only=["drop_duplicate_annotations"])[1]) == 1


def test_large_annotations_can_be_dropped(annotations):
    cleaned, audit = _cleaned(
        annotations,
        only=["drop_area_range"],
        drop_area_range={"enabled": True, "min_area": 0, "max_area": 80},
    )
    assert _ids(cleaned) == [4, 5, 6, 7, 8, 11, 14, 15, 16, 18, 19]
    assert audit.loc[0, "reason"] == "area 81 is above 80 square pixels"


def test_the_area_range_that_is_off_is_the_one_that_the_report_tried(annotations):
    would = what_if(annotations, NO_CHECKS, Cleaning())
    rows = would[would["rule"] == "drop_area_range"]
    assert rows["subject_id"].tolist() == [5, 8, 16, 18]  # 1 to 30 square pixels
    assert rows["reason"].tolist()[1] == "area 1 is below 31 square pixels"


def test_a_rule_that_is_off_and_cannot_be_applied_has_a_warning_and_no_rows(annotations, caplog):
    rules = Cleaning.model_validate(
        {
            "relabel_inside": {"rules": [{"reason": "in a sack", "container": "Sack"}]},
            "relabel": {
                "enabled": False,
                "lists": [{"reason": "lids", "annotation_ids": [99], "category": "Glass"}],
            },
        }
    )
    would = what_if(annotations, NO_CHECKS, rules)
    assert set(would["rule"]) == {"remove_overlaps", "drop_area_range"}
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "relabel is off, and could not be on: relabel 'lids': no annotation 99" in said[0]
    assert "relabel_inside 'in a sack': no category 'Sack'" in said[1]


def test_a_rule_that_is_on_and_cannot_be_applied_stops_the_report_too(annotations):
    entry = {"reason": "lids", "annotation_ids": [99], "category": "Glass"}
    rules = Cleaning.model_validate({"relabel": {"lists": [entry]}})
    with pytest.raises(AnnotationError, match="no annotation 99"):
        what_if(annotations, NO_CHECKS, rules)


def test_the_report_changes_nothing_it_was_given(annotations, checks):
    what_if(annotations, checks, Cleaning.model_validate({"clip_boxes": {"enabled": False}}))
    assert to_coco(annotations) == DOCUMENT


def test_real_image_files_are_checked_and_cleaned(tmp_path, annotations):
    for number in (1, 2):
        picture = Image.linear_gradient("L").rotate(90 * number).resize((40, 20))
        picture.convert("RGB").save(tmp_path / f"{number}.png")
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "3.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "4.png").write_bytes(whole)
    checks = check_images(annotations.images, ImageFolder(tmp_path))
    cleaned, audit = _cleaned(annotations, checks, **ALL)
    assert cleaned.images["image_id"].tolist() == [1, 2]
    images = audit[audit["subject"] == "image"].set_index("subject_id")["reason"]
    assert images.loc[3].startswith("truncated: ")
    assert images.loc[4] == "the same bytes as image 1"
    assert images.loc[5] == "missing: no file 5.png in the image folder"
