"""Stored values come back as they were, and are written whole or not at all."""

from __future__ import annotations

import base64
import inspect
import json

import numpy as np
import pandas as pd
import pytest
from kedro.io import DatasetError

from recycling.annotations import write_coco
from recycling.datasets import (
    AnnotationsDataset,
    CocoDataset,
    DetectionsDataset,
    ImageFolderDataset,
    LabelMapsDataset,
    MetricsDataset,
    PictureDataset,
)
from recycling.evaluation import Metrics
from recycling.predictions import DETECTIONS, LabelMaps


@pytest.fixture
def detections():
    rows = [(1, 5, 0.5, 0.0, 0.0, 3.0, 4.0)]
    return DETECTIONS.conform(pd.DataFrame(rows, columns=DETECTIONS.names), where="test")


def test_detections_come_back_as_they_were(tmp_path, detections):
    dataset = DetectionsDataset(filepath=tmp_path / "new" / "boxes.parquet")
    dataset.save(detections)
    pd.testing.assert_frame_equal(dataset.load(), detections)


def test_a_table_of_another_form_is_not_written(tmp_path, detections):
    dataset = DetectionsDataset(filepath=tmp_path / "boxes.parquet")
    with pytest.raises(DatasetError, match="row 0: score is above 1"):
        dataset.save(detections.assign(score=2.0))
    assert list(tmp_path.iterdir()) == []


def test_a_stop_in_the_middle_of_writing_keeps_what_was_there(tmp_path):
    dataset = LabelMapsDataset(filepath=tmp_path / "maps")
    dataset.save(LabelMaps([1, 2], lambda _: np.zeros((4, 4), np.uint8)))

    def read(image_id):
        if image_id == 2:
            raise KeyboardInterrupt
        return np.ones((4, 4), np.uint8)

    with pytest.raises(KeyboardInterrupt):
        dataset.save(LabelMaps([1, 2], read))
    assert [m.sum() for m in dataset.load().values()] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["maps"]


def test_new_label_maps_replace_all_old_ones(tmp_path):
    dataset = LabelMapsDataset(filepath=tmp_path / "maps")
    for ids in ([1, 2], [3]):
        dataset.save(LabelMaps(ids, lambda i: np.full((4, 4), i, np.uint8)))
    assert {i: int(m.max()) for i, m in dataset.load().items()} == {3: 3}


def test_annotations_come_back_as_they_were(tmp_path, annotations):
    dataset = AnnotationsDataset(filepath=tmp_path / "annotations")
    dataset.save(annotations)
    pd.testing.assert_frame_equal(dataset.load().annotations, annotations.annotations)


def test_shares_of_a_file_divide_its_images_and_keep_groups_whole(tmp_path, annotations):
    path = tmp_path / "coco.json"
    write_coco(annotations, path)
    document = json.loads(path.read_text())
    document["images"] = [
        {**document["images"][0], "id": i, "group": f"g{i // 2}"} for i in range(100)
    ]
    document["annotations"] = []
    path.write_text(json.dumps(document))
    parts = [
        CocoDataset(filepath=path, share=share).load().images
        for share in ((0, 0.6), (0.6, 0.8), (0.8, 1))
    ]
    assert sorted(i for part in parts for i in part["image_id"]) == list(range(100))
    assert sum(part["group"].nunique() for part in parts) == 50
    assert 40 < len(parts[0]) < 80


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match="boxes.parquet: not there"):
        DetectionsDataset(filepath=tmp_path / "boxes.parquet").load()


def test_an_image_folder_may_be_missing_where_that_is_said(tmp_path):
    assert not ImageFolderDataset(filepath=tmp_path / "images").exists()
    assert ImageFolderDataset(filepath=tmp_path / "images", required=False).exists()


def test_metrics_and_pictures_come_back_as_they_were(tmp_path):
    metrics = Metrics("mAP50", 0.5, {"Paper": 0.5}, {"mAP": 0.25})
    store = MetricsDataset(filepath=tmp_path / "metrics.json")
    store.save(metrics)
    assert store.load() == metrics
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    store = PictureDataset(filepath=tmp_path / "picture.png")
    store.save(picture)
    np.testing.assert_array_equal(store.load(), picture)


def test_kedro_viz_can_draw_tables_and_pictures(tmp_path, detections):
    table = DetectionsDataset(filepath=tmp_path / "boxes.parquet")
    table.save(detections)
    picture = PictureDataset(filepath=tmp_path / "picture.png")
    picture.save(np.zeros((4, 4, 3), np.uint8))
    # Kedro-Viz chooses how to draw by the name of the return annotation.
    names = [str(inspect.signature(d.preview).return_annotation) for d in (table, picture)]
    assert [name.rsplit(".", 1)[-1] for name in names] == ["TablePreview", "ImagePreview"]
    assert table.preview()["columns"] == DETECTIONS.names
    assert table.preview()["data"] == [[1, 5, 0.5, 0.0, 0.0, 3.0, 4.0]]
    assert base64.b64decode(picture.preview()) == (tmp_path / "picture.png").read_bytes()
