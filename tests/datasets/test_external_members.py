"""Predictions of others through Kedro's catalog."""

from __future__ import annotations

import pytest
from kedro.io import DataCatalog, DatasetError
from kedro.pipeline import Pipeline, node

from recycling.datasets import ExternalMembersDataset
from recycling.predictions import (
    BoxFormat,
    ClassProbabilities,
    Detections,
    ExternalMembers,
    SubmissionError,
)
from recycling.typed import GraphTypeError, check_types


def catalog(**entry) -> DataCatalog:
    entry["type"] = f"recycling.datasets.{entry['type']}"
    return DataCatalog.from_config({"submission": entry})


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
                "type": "recycling.datasets.TableDataset",
                "filepath": str(tmp_path / "a.parquet"),
                "table": "detections",
            },
            "external": {
                "type": "recycling.datasets.ExternalMembersDataset",
                "filepath": str(tmp_path),
            },
        }
    )
    good = Pipeline([node(count_boxes, "boxes", "n"), node(count_members, "external", "m")])
    assert len(check_types(good, entries)) == 2
    with pytest.raises(GraphTypeError, match="the catalog entry gives .*Detections"):
        check_types(Pipeline([node(take_classes, "boxes", "n")]), entries)
