"""Submissions through Kedro's catalog."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, DatasetError
from kedro.pipeline import Pipeline, node

from recycling.annotations import write_coco, write_tables
from recycling.datasets import TableDataset
from recycling.datasets.submissions import ExternalMembersDataset, LabelMapsCsvDataset
from recycling.predictions import (
    CLASS_PROBABILITIES,
    DETECTIONS,
    BoxFormat,
    ClassProbabilities,
    Detections,
    ExternalMembers,
    LabelMaps,
    SubmissionError,
)
from recycling.typed import GraphTypeError, check_types


@pytest.fixture(params=["tables", "test.json"])
def known(request, tmp_path, annotations):
    """Where the images and categories are told."""
    path = tmp_path / request.param
    (write_coco if path.suffix else write_tables)(annotations, path)
    return path


def catalog(**entry) -> DataCatalog:
    entry["type"] = f"recycling.datasets.submissions.{entry['type']}"
    return DataCatalog.from_config({"submission": entry})


def test_boxes_come_back_as_they_were(tmp_path, known):
    path = tmp_path / "new" / "boxes.csv"
    entries = catalog(type="DetectionsCsvDataset", filepath=str(path), annotations=str(known))
    assert not entries.exists("submission")
    rows = [(1, 7, 0.1, 1.5, 2.0, 3.0, 4.0), (3, 5, 1.0, 0.0, 0.0, 1 / 3, 4.0)]
    boxes = DETECTIONS.conform(pd.DataFrame(rows, columns=DETECTIONS.names), where="test")
    entries.save("submission", boxes)
    pd.testing.assert_frame_equal(entries.load("submission"), boxes, check_exact=True)
    assert path.read_text().splitlines()[1] == "1 0.1 1.5 2 3 4,1.png"


def test_label_maps_come_back_as_they_were(tmp_path, known):
    path = tmp_path / "masks.csv"
    entries = catalog(
        type="LabelMapsCsvDataset", filepath=str(path), annotations=str(known), size=4
    )
    stored = np.random.default_rng(0).integers(0, 3, (4, 4, 4), dtype=np.uint8)
    entries.save("submission", LabelMaps([1, 2, 3], lambda image_id: stored[image_id]))
    for image_id, label_map in entries.load("submission").items():
        np.testing.assert_array_equal(label_map, stored[image_id])


def test_class_probabilities_come_back_as_they_were_and_classes_as_certain(tmp_path, known):
    frame = pd.DataFrame(
        {"annotation_id": [1, 2, 3], "Paper": [0.1, 0.5, 0.7], "Metal": [0.9, 0.5, 0.3]}
    ).astype({"Paper": "float32", "Metal": "float32"})
    expected = CLASS_PROBABILITIES.conform(frame, where="test")
    path = tmp_path / "classes.csv"
    options = {"filepath": str(path), "annotations": str(known)}
    entries = catalog(type="ClassProbabilitiesCsvDataset", **options)
    entries.save("submission", expected)
    pd.testing.assert_frame_equal(entries.load("submission"), expected, check_exact=True)
    entries = catalog(type="ClassesCsvDataset", **options)
    entries.save("submission", expected)
    assert path.read_text().split() == ["annotation_id,category", "1,Metal", "2,Paper", "3,Paper"]
    assert entries.load("submission")["Metal"].tolist() == [1, 0, 0]


@pytest.mark.parametrize(("part", "missing"), [("test", "error"), ("out_of_fold", "skip")])
def test_out_of_fold_files_may_hold_some_folds(tmp_path, part, missing):
    dataset = ExternalMembersDataset(filepath=tmp_path, part=part)
    assert dataset.missing_images == missing
    assert (
        ExternalMembersDataset(filepath=tmp_path, part=part, missing_images="error").missing_images
        == "error"
    )


def test_boxes_that_are_shares_are_refused_unless_they_are_meant(tmp_path, annotations, caplog):
    (tmp_path / "a.csv").write_text(
        "PredictionString,image_id\n0 0.5 0.1 0.1 0.9 0.9,1.png\n,2.png\n,3.png\n"
    )
    known = (BoxFormat.model_validate({}), annotations.images, annotations.categories)
    with pytest.raises(SubmissionError, match="a.csv: on 1 of 1 images .* shares of the image"):
        ExternalMembersDataset(filepath=tmp_path).load().read("a", *known)
    meant = ExternalMembersDataset(filepath=tmp_path, unusual_boxes="warn").load()
    assert len(meant.read("a", *known)) == 1
    assert "shares of the image" in caplog.text


def test_external_files_are_members_read_when_asked_for(tmp_path, annotations):
    folder = tmp_path / "external"
    entry = {"type": "ExternalMembersDataset", "filepath": str(folder), "missing_images": "skip"}
    entries = catalog(**entry)
    assert entries.exists("submission")
    assert list(entries.load("submission")) == []
    folder.mkdir()
    for name in ("zoe.csv", "zoe.oof.csv"):
        (folder / name).write_text("PredictionString,image_id\n1 0.5 1 2 3 4,2.png\n")
    members = entries.load("submission")
    assert dict(members) == {"zoe": folder / "zoe.csv"}
    boxes = members.read(
        "zoe", BoxFormat.model_validate({}), annotations.images, annotations.categories
    )
    assert boxes[["image_id", "category_id"]].to_numpy().tolist() == [[2, 7]]
    assert dict(catalog(**entry, part="out_of_fold").load("submission")) == {
        "zoe": folder / "zoe.oof.csv"
    }
    with pytest.raises(DatasetError, match="ExternalMembersDataset only reads"):
        entries.save("submission", members)


def test_a_fault_of_a_file_is_the_datasets_error_in_one_line(tmp_path, known):
    path = tmp_path / "boxes.csv"
    path.write_text("PredictionString,image_id\n0 0.5 1 2 3 4,1.png\n")
    entries = catalog(type="DetectionsCsvDataset", filepath=str(path), annotations=str(known))
    with pytest.raises(DatasetError, match=r"boxes\.csv: 2 faults: 2 x the image has no row"):
        entries.load("submission")
    entries = catalog(
        type="DetectionsCsvDataset",
        filepath=str(path),
        annotations=str(known),
        missing_images="skip",
    )
    assert len(entries.load("submission")) == 1


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"missing_images": "ignore"}, "missing_images is 'ignore'; give error or skip"),
        ({"part": "train"}, "part is 'train'; give test or out_of_fold"),
    ],
)
def test_options_without_sense_are_refused(tmp_path, options, fault):
    with pytest.raises(DatasetError, match=f"external: {fault}"):
        ExternalMembersDataset(filepath=tmp_path / "external", **options)


@pytest.mark.parametrize("size", [0, "256"])
def test_a_size_that_no_map_can_have_is_refused(tmp_path, size):
    with pytest.raises(DatasetError, match=f"a.csv: size is {size!r}; give a whole number"):
        LabelMapsCsvDataset(filepath=tmp_path / "a.csv", annotations=tmp_path, size=size)


def test_a_file_without_what_tells_its_images_is_refused(tmp_path):
    (tmp_path / "boxes.csv").write_text("PredictionString,image_id\n")
    entries = catalog(
        type="DetectionsCsvDataset",
        filepath=str(tmp_path / "boxes.csv"),
        annotations=str(tmp_path / "none"),
    )
    with pytest.raises(DatasetError, match="none: not there; it should tell the images"):
        entries.load("submission")


def count_boxes(boxes: Detections) -> int:
    return len(boxes)


def count_members(members: ExternalMembers) -> int:
    return len(members)


def take_classes(classes: ClassProbabilities) -> int:
    return len(classes)


def test_the_types_that_the_graph_knows_are_those_of_the_values(tmp_path):
    entries = DataCatalog.from_config(
        {
            "boxes": {
                "type": "recycling.datasets.submissions.DetectionsCsvDataset",
                "filepath": str(tmp_path / "a.csv"),
                "annotations": str(tmp_path),
            },
            "external": {
                "type": "recycling.datasets.submissions.ExternalMembersDataset",
                "filepath": str(tmp_path),
            },
        }
    )
    good = Pipeline([node(count_boxes, "boxes", "n"), node(count_members, "external", "m")])
    assert len(check_types(good, entries)) == 2
    with pytest.raises(GraphTypeError, match="the catalog entry gives .*Detections"):
        check_types(Pipeline([node(take_classes, "boxes", "n")]), entries)


def test_masks_of_objects_stay_with_stored_detections(tmp_path):
    rows = [(1, 5, 0.5, 0.0, 0.0, 3.0, 4.0), (1, 5, 0.5, 0.0, 0.0, 3.0, 4.0)]
    frame = pd.DataFrame(rows, columns=DETECTIONS.names).assign(segmentation=["{}", None])
    masked = DETECTIONS.conform(frame, where="test")
    dataset = TableDataset(table="detections", filepath=tmp_path / "boxes.parquet")
    dataset.save(masked)
    loaded = dataset.load()
    pd.testing.assert_frame_equal(loaded, masked)
    assert loaded["segmentation"].isna().tolist() == [False, True]
