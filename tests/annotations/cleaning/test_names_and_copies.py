"""Images that are called otherwise than their file, and files that are several images."""

import unicodedata
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from annotations.cleaning.replay import undo
from annotations.image_cases import clouds
from recycling.annotations import (
    IMAGE_CHECKS,
    AnnotationError,
    Cleaning,
    ImageFolder,
    check_images,
    clean,
    from_coco,
)
from recycling.diagnostics.disagreement import NOTHING
from recycling.evaluation import SIZES
from recycling.experiments.comparison import ALL, BACKGROUND
from recycling.pipelines.data_cleaning import clean_annotations
from recycling.reporting.confusions import OUTSIDE
from recycling.splitting import SplitError, Splitting, check_leaks, make_folds

BIG = 1_700_000_000_123_456_707  # float64 knows one in 256 of such numbers


def _annotations(*names, ids=None, categories=("Glass",), boxes=None):
    ids = ids or range(1, len(names) + 1)
    images = [
        {"id": own, "file_name": name, "width": 48, "height": 32}
        for own, name in zip(ids, names, strict=True)
    ]
    boxes = boxes or [[1 + row, 1, 9, 9] for row in range(len(names))]
    annotations = [
        {"id": row, "image_id": own, "category_id": row % len(categories), "bbox": box}
        for row, (own, box) in enumerate(zip(ids, boxes, strict=True))
    ]
    names = [{"id": row, "name": name} for row, name in enumerate(categories)]
    return from_coco(
        {"images": images, "annotations": annotations, "categories": names}, where="test"
    )


def _draw(folder, *names):
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        clouds(seed).save(path)


def _cleaned(annotations, folder, **rules):
    checks = check_images(annotations.images, ImageFolder(folder), missing_folder="warn")
    return clean(annotations, checks, Cleaning.model_validate(rules))


# Names


@pytest.mark.parametrize(
    ("entry", "file"),
    [
        ("sub\\a.png", "sub/a.png"),
        (unicodedata.normalize("NFD", "캔.png"), unicodedata.normalize("NFC", "캔.png")),
        (unicodedata.normalize("NFC", "é.png"), unicodedata.normalize("NFD", "é.png")),
        ("a.PNG", "a.png"),
        ("./Sub//a.png", "sub/a.png"),
    ],
)
def test_a_name_that_differs_in_spelling_is_its_file(tmp_path, entry, file, caplog):
    _draw(tmp_path, file, "b.png")
    annotations = _annotations(entry, "b.png")
    checks = check_images(annotations.images, ImageFolder(tmp_path))
    cleaned, audit = clean_annotations(annotations, ImageFolder(tmp_path), checks, Cleaning())
    assert cleaned.images["file_name"].tolist() == [file, "b.png"]
    assert len(cleaned.annotations) == 2
    assert audit[["rule", "subject_id", "action"]].to_numpy().tolist() == [
        ["fix_file_names", 1, "change"]
    ]
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert f"{tmp_path}: fix_file_names: 1 of 2 images changed (" in line


def test_a_name_that_may_be_two_files_is_a_fault(tmp_path):
    _draw(tmp_path, "a.png", "A.png")
    with pytest.raises(AnnotationError, match="more than one file.*'A.png', 'a.png'"):
        _cleaned(_annotations("a.PNG"), tmp_path)


def test_the_exact_name_comes_first(tmp_path):
    _draw(tmp_path, "a.png", "A.png")
    cleaned, audit = _cleaned(_annotations("A.png", "a.png"), tmp_path)
    assert cleaned.images["file_name"].tolist() == ["A.png", "a.png"]
    assert audit.empty


def test_none_found_is_one_line_with_the_folder_and_the_first_name(tmp_path):
    _draw(tmp_path, "other.png")
    with pytest.raises(AnnotationError) as caught:
        _cleaned(_annotations("b.png", "c.png"), tmp_path)
    assert str(caught.value).startswith(
        f"{tmp_path}: holds none of the 2 images: the first, b.png,"
    )


def test_a_url_is_said_to_be_one(tmp_path):
    url = "http://example.org/a.png"
    _draw(tmp_path, "b.png")
    with pytest.raises(AnnotationError, match=f"the first, {url}, is a URL: download"):
        _cleaned(_annotations(url, "https://example.org/b.png"), tmp_path)


def test_some_missing_are_warned_of_with_count_folder_and_names(tmp_path, caplog):
    _draw(tmp_path, "a.png")
    _cleaned(_annotations("a.png", *(f"x{n}.png" for n in range(5)), "s3://b/c.png"), tmp_path)
    assert (
        f"{tmp_path}: 6 of 7 images are missing (1 with a URL for a file_name): x0.png, x1.png, "
        "x2.png, ... (3 more)"
    ) in caplog.text


def test_damaged_images_are_warned_of_by_kind(tmp_path, caplog):
    _draw(tmp_path, "a.png", "b.png")
    content = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(content[: len(content) // 2])
    (tmp_path / "c.png").write_bytes(b"")
    (tmp_path / "d.png").write_text("<html>not found</html>")
    _cleaned(_annotations("a.png", "b.png", "c.png", "d.png"), tmp_path)
    assert (
        f"{tmp_path}: 3 of 4 images cannot be used: 1 x truncated (b.png), 1 x the file is empty "
        "(c.png), 1 x not an image of a known format (d.png)"
    ) in caplog.text


def test_category_names_are_compared_composed():
    decomposed = unicodedata.normalize("NFD", "캔")
    annotations = _annotations("a.png", "b.png", categories=[decomposed, "병"])
    rules = {"fix_categories": {"order": ["병", "캔"]}}
    cleaned, _ = clean(annotations, IMAGE_CHECKS.empty(), Cleaning.model_validate(rules))
    assert cleaned.categories["name"].tolist() == ["병", "캔"]


def test_two_forms_of_a_category_become_one():
    both = [unicodedata.normalize(form, "캔") for form in ("NFD", "NFC")]
    annotations = _annotations("a.png", "b.png", categories=both)
    cleaned, audit = clean(annotations, IMAGE_CHECKS.empty(), Cleaning())
    assert cleaned.categories["name"].tolist() == [both[1]]
    assert cleaned.annotations["category_id"].nunique() == 1
    assert set(audit["rule"]) == {"fix_categories"}


# One file, several images


def test_two_categories_of_one_name_become_one(tmp_path):
    annotations = _annotations("a.png", "b.png", "c.png", categories=["Can", "Cup", "Can"])
    cleaned, audit = clean(annotations, IMAGE_CHECKS.empty(), Cleaning())
    assert cleaned.categories["name"].tolist() == ["Can", "Cup"]
    assert cleaned.annotations["category_id"].tolist() == [0, 1, 0]
    assert "fix_categories" in set(audit["rule"])


@pytest.mark.parametrize(
    "name",
    [ALL, BACKGROUND, NOTHING, *OUTSIDE, *(f"{size} objects" for size in SIZES)],
)
def test_no_category_is_called_as_what_tables_of_scores_have_a_row_for(name):
    raw = _annotations("a.jpg", categories=("Glass", name))
    with pytest.raises(AnnotationError, match=f"^category '{name}': so is called") as caught:
        clean(raw, IMAGE_CHECKS.empty(), Cleaning())
    assert "\n" not in str(caught.value)
    for rule in (
        {"names": {name: "Other"}},
        {"categories": {"Glass": []}, "unmapped": "drop"},
    ):
        cleaned, _ = clean(raw, IMAGE_CHECKS.empty(), Cleaning(fix_categories=rule))
        assert name not in cleaned.categories["name"].tolist()


@pytest.mark.parametrize("name", ["", "  "])
def test_no_category_is_without_a_name(name):
    annotations = _annotations("a.png")
    categories = annotations.categories.assign(name=name)
    with pytest.raises(AnnotationError, match=r"category \d+ has no name; name it in the file"):
        clean(replace(annotations, categories=categories), IMAGE_CHECKS.empty(), Cleaning())


def test_categories_that_differ_in_what_is_hard_to_see_are_said(tmp_path, caplog):
    _draw(tmp_path, "a.png", "b.png", "c.png")
    names = ["Plastic bag", "plastic_bag ", "Glass"]
    annotations = _annotations("a.png", "b.png", "c.png", categories=names)
    checks = check_images(annotations.images, ImageFolder(tmp_path))
    cleaned, _ = clean_annotations(annotations, ImageFolder(tmp_path), checks, Cleaning())
    assert sorted(cleaned.categories["name"]) == sorted(names)
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: 1 categories differ from another only in case, blanks, '-' or '_', and stay "
        "apart: 'plastic_bag ' and Plastic bag; if they are one, merge them in fix_categories "
        "(names)"
    ]
    caplog.clear()
    merged = Cleaning.model_validate({"fix_categories": {"names": {"plastic_bag ": "Plastic bag"}}})
    clean_annotations(annotations, ImageFolder(tmp_path), checks, merged)
    assert "stay apart" not in caplog.text


def test_cleaning_that_leaves_no_image_stops_with_the_rule_and_the_first(tmp_path):
    _draw(tmp_path, "a.png", "b.png")
    annotations = _annotations("a.png", "b.png")
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"<html>")
    checks = check_images(annotations.images, ImageFolder(tmp_path))
    with pytest.raises(AnnotationError) as caught:
        clean_annotations(annotations, ImageFolder(tmp_path), checks, Cleaning())
    message = str(caught.value)
    assert message.startswith(
        "cleaning leaves none of the 2 images: drop_bad_images: 2 of 2 images dropped (a.png: "
    )
    assert message.endswith("; correct them, or change these rules")


def test_cleaning_that_leaves_nothing_annotated_stops_with_the_rule_and_the_first(tmp_path):
    _draw(tmp_path, "a.png", "b.png")
    annotations = _annotations("a.png", "b.png", boxes=[[9, 9, -3, 4], [9, 9, 0, 4]])
    checks = check_images(annotations.images, ImageFolder(tmp_path))
    with pytest.raises(AnnotationError) as caught:
        clean_annotations(annotations, ImageFolder(tmp_path), checks, Cleaning())
    assert str(caught.value).startswith(
        "cleaning leaves none of the 2 annotations: drop_degenerate_boxes: 2 of 2 annotations "
        "dropped (0 on a.png: "
    )


def test_labels_of_both_entries_of_a_file_are_kept_on_one_image(tmp_path):
    _draw(tmp_path, "a.png", "b.png")
    cleaned, audit = _cleaned(_annotations("a.png", "b.png", "a.png"), tmp_path)
    assert cleaned.images["image_id"].tolist() == [1, 2]
    assert cleaned.annotations[["annotation_id", "image_id"]].to_numpy().tolist() == [
        [0, 1], [1, 2], [2, 1],
    ]  # fmt: skip
    assert "its image 3: the same bytes as image 1" in audit["reason"].tolist()


def test_a_copy_that_is_dropped_does_not_part_its_group(tmp_path):
    _draw(tmp_path, "a.png", "c.png", "d.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes())
    annotations = _annotations("a.png", "b.png", "c.png", "d.png")
    groups = pd.Series(["g1", "g2", "g2", "g3"], dtype="string")
    annotations = replace(annotations, images=annotations.images.assign(group=groups))
    cleaned, audit = _cleaned(annotations, tmp_path)
    assert dict(zip(cleaned.images["image_id"], cleaned.images["group"], strict=True)) == {
        1: "g1", 3: "g1", 4: "g3",
    }  # fmt: skip
    assert undo(cleaned, audit).images.equals(annotations.images)


def test_the_same_label_on_both_is_kept_once(tmp_path):
    _draw(tmp_path, "a.png")
    cleaned, _ = _cleaned(_annotations("a.png", "a.png", boxes=[[1, 1, 9, 9]] * 2), tmp_path)
    assert cleaned.annotations["annotation_id"].tolist() == [0]


def test_the_run_can_stop_at_labels_of_a_copy(tmp_path):
    _draw(tmp_path, "a.png")
    rules = {"drop_duplicate_images": {"labels": "error"}}
    with pytest.raises(AnnotationError, match=r"1 images with annotations.*by id: 2 and 1"):
        _cleaned(_annotations("a.png", "a.png"), tmp_path, **rules)


def test_one_file_is_one_image_where_no_image_is_at_hand(tmp_path):
    annotations = _annotations("s/a.png", "s\\a.png", "b.png")
    cleaned, _ = _cleaned(annotations, tmp_path / "missing")
    assert cleaned.images["image_id"].tolist() == [1, 3]
    assert cleaned.annotations["image_id"].tolist() == [1, 1, 3]


def test_labels_do_not_move_between_entries_of_one_file_of_other_sizes(tmp_path):
    annotations = _annotations("s/a.png", "s\\a.png", "b.png")
    images = annotations.images.assign(width=[48, 24, 48], height=[32, 16, 32])
    annotations = replace(annotations, images=images)
    with pytest.raises(AnnotationError, match=r"by id: 2 \(24 x 16\) and 1 \(48 x 32\)"):
        _cleaned(annotations, tmp_path / "missing")
    rules = {"drop_duplicate_images": {"labels": "drop"}}
    cleaned, audit = _cleaned(annotations, tmp_path / "missing", **rules)
    assert cleaned.annotations["image_id"].tolist() == [1, 3]
    assert audit["reason"].tolist() == [
        "the same file as image 1",
        "its image 2: the same file as image 1",
    ]


def test_one_file_is_one_group_where_its_entries_stay(tmp_path):
    annotations = _annotations("a.png", "a.png", "b.png")
    off = {"drop_duplicate_images": {"enabled": False}}
    cleaned, _ = _cleaned(annotations, tmp_path / "missing", **off)
    assert cleaned.images["group"].tolist() == ["1", "1", "3"]


def test_entries_of_one_file_in_two_folds_are_refused():
    annotations = _annotations("a.png", "a.png", "b.png", "c.png")
    folds = pd.DataFrame({"image_id": [1, 2, 3, 4], "fold": [0, 1, 0, 1]})
    with pytest.raises(
        SplitError, match=r"images 1 \(fold 0\) and 2 \(fold 1\) are one file, a.png"
    ):
        check_leaks(annotations, folds)


# Ids beyond what float64 holds


def test_big_ids_come_through_with_images_missing(tmp_path):
    names = [f"{n}.png" for n in range(4)]
    _draw(tmp_path, *names[:3])
    ids = [BIG + 19 * n for n in range(4)]
    cleaned, _ = _cleaned(_annotations(*names, ids=ids), tmp_path)
    assert cleaned.images["image_id"].tolist() == ids[:3]
    assert cleaned.annotations["image_id"].tolist() == ids[:3]
    folds = make_folds(cleaned, Splitting(n_splits=3))
    assert folds["image_id"].tolist() == ids[:3]


def test_the_copy_of_a_big_id_is_told_by_its_right_number(tmp_path):
    _draw(tmp_path, "0.png", "1.png")
    (tmp_path / "2.png").write_bytes((tmp_path / "0.png").read_bytes())
    ids = [BIG, BIG + 1, BIG + 2, BIG + 3]
    annotations = _annotations("0.png", "1.png", "2.png", "gone.png", ids=ids)
    checks = check_images(annotations.images, ImageFolder(tmp_path))
    assert checks["duplicate_of"].tolist() == [pd.NA, pd.NA, BIG, pd.NA]
    assert checks["detail"].iloc[2] == f"the same bytes as image {BIG}"
    cleaned, audit = clean(annotations, checks, Cleaning())
    assert cleaned.annotations["image_id"].tolist() == [BIG, BIG + 1, BIG]
    assert f"the same bytes as image {BIG}" in audit["reason"].tolist()


def test_big_ids_of_categories_come_through_a_merge_with_some_dropped():
    big = 2**53
    names = {big: "Old", big + 1: "Glass", big + 5: "Bottle", 3: "Junk"}
    annotations = _annotations(*"abcd", categories=["Glass"] * 4)
    table, categories = annotations.annotations, annotations.categories
    annotations = replace(
        annotations,
        annotations=table.assign(category_id=list(names)),
        categories=categories.assign(category_id=list(names), name=list(names.values())),
    )
    mapping = {"categories": {"Glass": ["Old", "Bottle"]}, "unmapped": "drop"}
    rules = Cleaning.model_validate({"fix_categories": mapping})
    cleaned, _ = clean(annotations, IMAGE_CHECKS.empty(), rules)
    assert cleaned.categories["category_id"].tolist() == [big + 1]
    assert cleaned.annotations["category_id"].tolist() == [big + 1] * 3


def test_a_category_is_created_where_the_highest_id_is_taken():
    annotations = _annotations("a.png")
    last = 2**63 - 1
    annotations = replace(
        annotations,
        annotations=annotations.annotations.assign(category_id=last),
        categories=annotations.categories.assign(category_id=last),
    )
    rules = Cleaning.model_validate({"fix_categories": {"categories": {"Glass": [], "Can": []}}})
    cleaned, _ = clean(annotations, IMAGE_CHECKS.empty(), rules)
    assert cleaned.categories["category_id"].tolist() == [last, 0]


# What looks alike


def test_16_bit_pictures_are_told_apart_and_flat_ones_are_like_none(tmp_path):
    for number in range(6):
        grey = np.asarray(clouds(number).convert("L"), dtype=np.uint16) * 200 + 2000
        _save_16_bit(tmp_path / f"{number}.png", grey)
    for number in (6, 7):
        _save_16_bit(tmp_path / f"{number}.png", np.full((32, 48), 1000 + number, dtype=np.uint16))
    (tmp_path / "8.png").write_bytes((tmp_path / "7.png").read_bytes())
    annotations = _annotations(*(f"{number}.png" for number in range(9)))
    checks = check_images(annotations.images, ImageFolder(tmp_path))
    assert checks["phash"].iloc[:6].nunique() == 6
    assert checks["phash"].iloc[6:].isna().all()
    assert checks["brightness"].iloc[:6].between(0.2, 0.8).all()
    rules = Cleaning.model_validate({"drop_duplicate_images": {"enabled": False}})
    cleaned, _ = clean(annotations, checks, rules)
    # Only those of the same bytes are together.
    assert cleaned.images["group"].tolist() == ["1", "2", "3", "4", "5", "6", "7", "8", "8"]


def _save_16_bit(path, grey):
    from PIL import Image

    Image.fromarray(grey).save(path)
