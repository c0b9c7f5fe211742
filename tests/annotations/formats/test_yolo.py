"""YOLO, in and out."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.sidecar_cases import TRIANGLE, coco, documents, draw, draw_one, vertices
from recycling.annotations import (
    BOX,
    AnnotationError,
    ImageFolder,
    from_coco,
    read_yolo,
    write_yolo,
)


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path, Path]:
    """A folder of labels, one of images with a.png of 200 x 100 pixels, and data.yaml."""
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    draw_one(tmp_path / "images" / "a.png", (200, 100))
    (tmp_path / "data.yaml").write_text("names: [Glass, Paper]")
    return tmp_path / "labels", tmp_path / "images", tmp_path / "data.yaml"


def refused(folders: tuple[Path, Path, Path], **options) -> str:
    with pytest.raises(AnnotationError) as error:
        read_yolo(*folders, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


@settings(max_examples=20)
@given(documents(parts=1, names=st.text(max_size=8), whole_pixels=False))
def test_boxes_polygons_names_and_subfolders_come_back_within_the_fifth_decimal(document):
    raw = from_coco(document, where="test")
    with TemporaryDirectory() as name:
        images, data_yaml = draw(Path(name) / "images", raw), Path(name) / "data.yaml"
        write_yolo(raw, Path(name) / "labels", data_yaml)
        back = read_yolo(Path(name) / "labels", ImageFolder(images), data_yaml)
    assert back.images.equals(raw.images)
    assert back.categories[["category_id", "name"]].equals(raw.categories[["category_id", "name"]])
    same = ["annotation_id", "image_id", "category_id", "iscrowd", "source", "score"]
    assert back.annotations[same].equals(raw.annotations[same])
    sizes = raw.images.set_index("image_id").loc[raw.annotations["image_id"], ["width", "height"]]
    tolerances = 1e-5 * np.tile(sizes.to_numpy(), 2)
    for old, new, tolerance in zip(
        raw.annotations.itertuples(), back.annotations.itertuples(), tolerances, strict=True
    ):
        box = np.array([getattr(old, side) for side in BOX])
        for before, after in zip(
            vertices(old.segmentation), vertices(new.segmentation), strict=True
        ):
            points = before.reshape(-1, 2)
            assert (np.abs(after.reshape(-1, 2) - points) <= tolerance[:2]).all()
            box = np.concatenate([points.min(axis=0), points.max(axis=0)])
        assert (np.abs([getattr(new, side) for side in BOX] - box) <= tolerance).all()
        assert new.x_min >= 0
        assert new.y_min >= 0
        assert (np.array([new.x_max, new.y_max]) <= tolerance[:2] * 1e5).all()


def test_supervision_reads_what_was_written(tmp_path):
    import supervision as sv

    raw = coco({}, {"category_id": 2, "segmentation": [TRIANGLE]}, names=("a.png", "b.png"))
    write_yolo(raw, tmp_path / "labels", tmp_path / "data.yaml")
    draw(tmp_path / "images", raw)
    dataset = sv.DetectionDataset.from_yolo(
        str(tmp_path / "images"), str(tmp_path / "labels"), str(tmp_path / "data.yaml")
    )
    found = dataset.annotations[str(tmp_path / "images" / "a.png")]
    np.testing.assert_allclose(found.xyxy, [[1, 1, 5, 4], [1, 1, 5, 4]], atol=1e-3)
    assert [dataset.classes[i] for i in found.class_id] == ["Glass", "Paper"]
    assert found.mask is not None
    assert len(dataset.annotations[str(tmp_path / "images" / "b.png")]) == 0


def test_a_line_is_the_class_the_centre_and_the_size_as_shares(tmp_path):
    raw = coco({"category_id": 3, "bbox": [2, 0, 4, 3]}, {"segmentation": [[0, 0, 8, 0, 8, 3]]})
    write_yolo(raw, tmp_path / "labels", tmp_path / "data.yaml")
    assert (tmp_path / "labels" / "a.txt").read_text().splitlines() == [
        "2 0.50000 0.25000 0.50000 0.50000",
        "0 0.00000 0.00000 1.00000 0.00000 1.00000 0.50000",
    ]
    names = {"nc": 3, "names": ["Glass", "Paper", "Metal"]}
    assert yaml.safe_load((tmp_path / "data.yaml").read_text()) == names


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("0 0.5 0.5 0.5", "4 fields, neither a box (5) nor a polygon (7, 9, ...)"),
        ("0 0.5 0.5 0.5 0.5 0.9", "6 fields, neither a box (5) nor a polygon (7, 9, ...)"),
        ("0 .1 .1 .2 .2 .3 .3 .4", "8 fields, neither"),
        ("0 0.5 half 0.5 0.5", "a field is not a number"),
        ("0 0.5 0.2_5 0.5 0.5", "a field is not a number"),
        ("Glass 0.5 0.5 0.5 0.5", "a field is not a number"),
        ("0.5 0.5 0.5 0.5 0.5", "class 0.5 is not a whole number"),
        ("nan 0.5 0.5 0.5 0.5", "class nan is not a whole number"),
        ("2 0.5 0.5 0.5 0.5", "class 2 has no name in data.yaml"),
        ("-1 0.5 0.5 0.5 0.5", "class -1 has no name in data.yaml"),
        ("0 100 50 20 10", "a value is not from 0 to 1, write shares"),
        ("0 0.5 0.5 -0.5 0.5", "a value is not from 0 to 1"),
        ("0 0.5 0.5 nan 0.5", "a value is not from 0 to 1"),
        ("0 .1 .1 .2 .2 1.02 .3", "a value is not from 0 to 1"),
        ("0 0.5 0.5 0.5 -0.1", "a value is not from 0 to 1"),
    ],
)
def test_a_malformed_line_is_named_with_file_number_and_fault(folders, line, what):
    (folders[0] / "a.txt").write_text(f"0 0.5 0.5 0.5 0.5\n\n{line}\n")
    told = refused(folders)
    assert told.startswith(f"{folders[0]}: 1 fault: 1 x {what}")
    assert "a.txt line 3" in told


@pytest.mark.parametrize("side", ["-1e-7 0.5", "0.5 -0.009"])
def test_a_side_a_little_below_0_is_0_and_left_to_cleaning(folders, side):
    (folders[0] / "a.txt").write_text(f"1 0.5 0.5 {side}\n")
    table = read_yolo(*folders).annotations
    width, height = (table[["x_max", "y_max"]].to_numpy() - table[["x_min", "y_min"]].to_numpy())[0]
    assert sorted([width, height])[0] == 0
    assert sorted([width, height])[1] > 0
    assert table["category_id"].tolist() == [1]


@pytest.mark.parametrize("number", ["1", "1.0", "+1", "1e0", "0.1e1"])
def test_a_class_is_a_whole_number_however_it_is_written(folders, number):
    (folders[0] / "a.txt").write_text(f"{number} 0.5 0.5 0.5 0.5\n")
    assert read_yolo(*folders).annotations["category_id"].tolist() == [1]


def test_a_class_is_the_number_that_a_computer_reads(folders):
    (folders[0] / "a.txt").write_text("1e-999 0.5 0.5 0.5 0.5\n")
    assert read_yolo(*folders).annotations["category_id"].tolist() == [0]


@pytest.mark.parametrize("number", ["1.5", "1e999"])
def test_a_class_that_is_no_whole_number_is_refused(folders, number):
    (folders[0] / "a.txt").write_text(f"{number} 0.5 0.5 0.5 0.5\n")
    assert "1 x " in refused(folders)


def test_half_a_character_is_no_name_of_a_class(folders):
    folders[2].write_text('names: ["\\ud800"]')
    assert r"'\ud800' is not UTF-8 text; rename it" in refused(folders)


def test_a_class_number_of_any_length_in_data_yaml_is_one_line(folders):
    folders[2].write_text(f"names: {{{'9' * 900}: Glass}}")
    said = refused(folders)
    assert "is not a class number with a name; correct it" in said
    assert len(said) < 1000


def test_a_file_that_cannot_be_opened_is_not_called_damaged(folders):
    (folders[0] / "a.txt").unlink(missing_ok=True)
    (folders[0] / "a.txt").symlink_to("gone")
    told = refused(folders)
    assert told.endswith(
        "1 x cannot be opened, see that it is there and may be read: a.txt (No such file or "
        "directory)"
    )


def test_all_faults_of_all_files_are_counted_by_kind(folders):
    for name in "abcde":
        draw_one(folders[1] / f"{name}.png", (8, 6))
        (folders[0] / f"{name}.txt").write_text("7 0.5 0.5 0.5 0.5")
    (folders[0] / "e.txt").write_bytes(b"\xff\xfe\x00")
    told = refused(folders)
    assert "5 faults: 4 x class 7 has no name" in told
    assert "a.txt line 1, b.txt line 1, c.txt line 1, ...; 1 x cannot be read as text" in told


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("names: [Glass", "cannot be read"),
        ("- Glass", "no list or mapping under 'names'"),
        ("nc: 2", "no list or mapping under 'names'"),
        ("names: Glass", "no list or mapping under 'names'"),
        ("names: {zero: Glass}", "'zero': 'Glass' is not a class number with a name"),
        ("names: {-1: Glass}", "'-1': 'Glass' is not a class number with a name"),
        ("names: [[Glass]]", "0: ['Glass'] is not a class number with a name"),
        ("names: {0: Can, 0: Glass, 1: Paper}", "line 1: the key '0' is there already"),
        ("names: [Can]\nnc: 1\nnames: [Glass]", "line 3: the key 'names' is there already"),
        ("names: {0: Can, 00: Glass}", "class 0 is both 'Can' and 'Glass'"),
        ("nc: 3\nnames: [Glass, Paper]", "'nc' is 3, but there are 2 names"),
        (f"nc: {'a' * 5000}\nnames: [Glass]", "characters) ... "),
        ("names: [Glass]\nkpt_shape: [17, 3]", "'kpt_shape' says that the labels hold keypoints"),
    ],
)
def test_a_malformed_data_yaml_is_named_with_its_fault(folders, text, what):
    folders[2].write_text(text)
    told = refused(folders)
    assert told.startswith(f"{folders[2]}: ")
    assert what in told


def test_a_missing_data_yaml_is_named(folders):
    folders[2].unlink()
    assert f"{folders[2]}: no such file" in refused(folders)


def test_names_are_the_text_that_they_are_and_keep_their_numbers(folders):
    folders[2].write_text("names:\n  5: no\n  1: 010\n  '10': null\n")
    (folders[0] / "a.txt").write_text("10 .5 .5 .5 .5\n1.0 .5 .5 .5 .5\n5e0 .5 .5 .5 .5")
    back = read_yolo(*folders)
    assert back.categories[["category_id", "name"]].to_numpy().tolist() == [
        [1, "010"],
        [5, "no"],
        [10, "null"],
    ]
    assert back.annotations["category_id"].tolist() == [10, 1, 5]
    (folders[0] / "a.txt").write_text("2 .5 .5 .5 .5")
    assert "class 2 has no name in data.yaml" in refused(folders)


def test_scores_are_read_where_lines_end_in_one(folders):
    (folders[0] / "a.txt").write_text("0 .5 .5 .5 .5 .25\n1 .1 .1 .5 .1 .5 .5 0.75")
    back = read_yolo(*folders, scores=True).annotations
    assert back["score"].tolist() == [0.25, 0.75]
    assert [len(vertices(text)) for text in back["segmentation"]] == [0, 1]
    assert "read it with scores=True" in refused(folders)
    (folders[0] / "a.txt").write_text("0 .5 .5 .5 .5 12")
    assert "the score is not from 0 to 1" in refused(folders, scores=True)
    (folders[0] / "a.txt").write_text("0 .5 .5 .5 .5")
    assert "neither a box (6) nor a polygon (8, 10, ...)" in refused(folders, scores=True)


def test_an_oriented_box_is_a_polygon_of_four_corners(folders):
    (folders[0] / "a.txt").write_text("0 .5 .1 .9 .5 .5 .9 .1 .5")
    back = read_yolo(*folders).annotations
    np.testing.assert_allclose(back[BOX].to_numpy(), [[20, 10, 180, 90]], rtol=1e-6)
    (corners,) = vertices(back["segmentation"].item())
    np.testing.assert_allclose(corners, [100, 10, 180, 50, 100, 90, 20, 50])


def test_an_edge_that_rounding_put_outside_is_put_back_and_others_are_left(folders):
    (folders[0] / "a.txt").write_text("0 .83334 .5 .33333 .5\n0 .9 .1 .3 .3")
    boxes = read_yolo(*folders).annotations[BOX].to_numpy()
    assert boxes[0, 2] == 200
    np.testing.assert_allclose(boxes[1], [150, -5, 210, 25], rtol=1e-6)


def test_blank_lines_byte_order_marks_and_labelimgs_classes_are_no_annotations(folders):
    (folders[0] / "a.txt").write_bytes(b"\xef\xbb\xbf0 .5 .5 .5 .5\r\n \r\n\r\n")
    (folders[0] / "classes.txt").write_text("Glass\nPaper\n")
    back = read_yolo(*folders)
    assert back.annotations[BOX].to_numpy().tolist() == [[50, 25, 150, 75]]


def test_an_annotation_in_parts_becomes_a_line_a_part_and_is_counted(tmp_path, caplog):
    raw = coco({"segmentation": [TRIANGLE, [5, 3, 7, 3, 7, 5]]}, {"segmentation": [TRIANGLE]})
    write_yolo(raw, tmp_path / "labels", tmp_path / "data.yaml")
    assert "1 annotations in several parts (now a line a part)" in caplog.text
    assert len((tmp_path / "labels" / "a.txt").read_text().splitlines()) == 3


def test_what_leaves_its_picture_is_clipped_and_counted(tmp_path, caplog):
    raw = coco(
        {"bbox": [-1, 0, 5, 6]}, {"segmentation": [[0, 0, 9, 0, 8, 6]]}, {"bbox": [0, 0, 8, 6]}
    )
    write_yolo(raw, tmp_path / "labels", tmp_path / "data.yaml")
    assert "2 annotations that leave their image (now clipped)" in caplog.text
    back = read_yolo(
        tmp_path / "labels", draw(tmp_path / "images", raw), tmp_path / "data.yaml"
    ).annotations
    assert back[BOX].to_numpy().tolist() == [[0, 0, 4, 6], [0, 0, 8, 6], [0, 0, 8, 6]]


def test_what_lies_outside_its_picture_is_not_written(tmp_path):
    raw = coco({"bbox": [9, 0, 2, 2]}, {"bbox": [9, 0, 2, 2], "iscrowd": 1})
    with pytest.raises(AnnotationError, match="no area in its image.*: annotation 1$"):
        write_yolo(raw, tmp_path / "labels", tmp_path / "data.yaml")
    assert list(tmp_path.iterdir()) == []


def test_category_ids_become_places_and_are_counted(tmp_path, caplog):
    write_yolo(coco({}), tmp_path / "labels", tmp_path / "data.yaml")
    assert "3 category ids" in caplog.text


def test_folders_can_share_a_data_yaml_that_stays_as_it_is(tmp_path):
    text = "train: ../train\nnames:\n  0: Glass\n  1: Paper\n  2: Metal\n"
    (tmp_path / "data.yaml").write_text(text)
    for part in ("train", "valid"):
        write_yolo(coco({}), tmp_path / part / "labels", tmp_path / "data.yaml")
    assert (tmp_path / "data.yaml").read_text() == text


def test_a_data_yaml_of_other_names_is_not_overwritten(tmp_path):
    (tmp_path / "data.yaml").write_text("names: [Paper, Glass, Metal]")
    with pytest.raises(AnnotationError, match="data.yaml: names other categories"):
        write_yolo(coco({}), tmp_path / "labels", tmp_path / "data.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["data.yaml"]


def test_a_data_yaml_among_the_labels_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AnnotationError, match="data.yaml: lies among the labels"):
        write_yolo(coco({}), "labels", tmp_path / "labels" / "data.yaml")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "box"),
    [
        ("0 0.75 0.5 0.5004 0.5", [99.96, 25, 200.04, 75]),
        ("0 0.5 0.5 1.0004 1", [-0.04, 0, 200.04, 100]),
        ("0 0.5 -1e-7 0.5 0.02", [50, -1.00001, 150, 0.99999]),
    ],
)
def test_shares_a_little_outside_are_left_to_cleaning(folders, line, box):
    (folders[0] / "a.txt").write_text(line)
    found = read_yolo(*folders).annotations[BOX].to_numpy()[0]
    np.testing.assert_allclose(found, box, atol=1e-4)


@pytest.mark.parametrize(
    ("line", "shown"), [("0 0.5 0.5 1.02 0.5", "1.02"), ("0 0.5 0.5 0.5 -0.25", "-0.25"),
                        ("0 320 240 100 100", "320")],
)  # fmt: skip
def test_values_that_are_no_shares_are_shown(folders, line, shown):
    (folders[0] / "a.txt").write_text(line)
    message = refused(folders)
    assert "1 x a value is not from 0 to 1" in message
    assert message.endswith(f"a.txt line 1 has {shown}")


def test_a_score_above_1_is_shown(folders):
    (folders[0] / "a.txt").write_text("0 0.5 0.5 0.5 0.5 1.0004")
    assert refused(folders, scores=True).endswith("correct it: a.txt line 1 has 1.0004")
