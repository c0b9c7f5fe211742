"""Stored values come back as they were, and are written whole or not at all."""

from __future__ import annotations

import base64
import inspect

import numpy as np
import pandas as pd
import pytest
from kedro.io import DatasetError, Version
from matplotlib.figure import Figure

from recycling.backends import Checkpoint
from recycling.datasets import (
    AnnotationsDataset,
    CheckpointDataset,
    CsvDataset,
    FigureDataset,
    ImageDataset,
    ImageFolderDataset,
    JsonDataset,
    LabelMapsDataset,
    MetricsDataset,
    RecipesDataset,
    RunFolderDataset,
    TableDataset,
)
from recycling.evaluation import Metrics
from recycling.predictions import DETECTIONS, LabelMaps


def boxes_at(filepath) -> TableDataset:
    return TableDataset(table="detections", filepath=filepath)


@pytest.fixture
def detections():
    rows = [(1, 5, 0.5, 0.0, 0.0, 3.0, 4.0)]
    return DETECTIONS.conform(pd.DataFrame(rows, columns=DETECTIONS.names), where="test")


def test_detections_come_back_as_they_were(tmp_path, detections):
    dataset = boxes_at(tmp_path / "new" / "boxes.parquet")
    dataset.save(detections)
    pd.testing.assert_frame_equal(dataset.load(), detections)


def test_a_table_of_another_form_is_not_written(tmp_path, detections):
    dataset = boxes_at(tmp_path / "boxes.parquet")
    with pytest.raises(DatasetError, match="row 0: score is above 1"):
        dataset.save(detections.assign(score=2.0))
    assert list(tmp_path.iterdir()) == []


def test_a_stored_table_of_another_form_is_not_loaded(tmp_path, detections):
    dataset = boxes_at(tmp_path / "boxes.parquet")
    detections.assign(score=2.0).to_parquet(dataset.filepath)
    with pytest.raises(DatasetError, match="boxes.parquet: row 0: score is above 1"):
        dataset.load()


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


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match="boxes.parquet: not there"):
        boxes_at(tmp_path / "boxes.parquet").load()


def test_an_image_folder_may_be_missing_where_that_is_said(tmp_path):
    needed = ImageFolderDataset(filepath=tmp_path / "images")
    assert not needed.exists()
    with pytest.raises(DatasetError, match="images: not there"):
        needed.load()
    spared = ImageFolderDataset(filepath=tmp_path / "images", required=False)
    assert spared.exists()
    assert spared.load().path == tmp_path / "images"


def test_a_dataset_at_another_path_keeps_its_options(tmp_path):
    spared = ImageFolderDataset(filepath=tmp_path / "a", required=False, metadata={"layer": "raw"})
    moved = spared.at(tmp_path / "b")
    assert moved.filepath == tmp_path / "b"
    assert moved.exists()
    assert moved.metadata == {"layer": "raw"}
    assert spared.filepath == tmp_path / "a"


def test_a_checkpoint_is_stored_as_a_copy_that_replaces_the_old_one(tmp_path):
    dataset = CheckpointDataset(filepath=tmp_path / "stored")
    for name in ("old.pth", "new.pth"):
        made = tmp_path / name.removesuffix(".pth")
        made.mkdir()
        (made / name).write_text(name)
        dataset.save(Checkpoint(made))
    assert dataset.load().folder == tmp_path / "stored"
    assert [path.name for path in (tmp_path / "stored").iterdir()] == ["new.pth"]
    assert (tmp_path / "new" / "new.pth").exists()


def test_a_run_folder_is_there_before_the_first_run(tmp_path):
    dataset = RunFolderDataset(filepath=tmp_path / "runs")
    assert dataset.exists()
    assert dataset.load().path == tmp_path / "runs"


def test_recipes_are_only_read(tmp_path):
    dataset = RecipesDataset(filepath=tmp_path)
    with pytest.raises(DatasetError, match="RecipesDataset only reads"):
        dataset.save(dataset.load())
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_is_not_known_is_named():
    with pytest.raises(DatasetError, match="nowhere://a/b.parquet: cannot be reached: Protocol"):
        boxes_at("nowhere://a/b.parquet")


def test_a_table_that_is_not_known_is_named_with_the_nearest():
    with pytest.raises(DatasetError, match="no table is called 'detection'; did you mean 'detecti"):
        TableDataset(table="detection", filepath="a.parquet")


def test_a_value_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(DatasetError, match=r"a\.json: could not be written: Is a directory; what"):
        JsonDataset(filepath=tmp_path / "a.json").save({})


def test_versions_of_what_was_saved_without_are_refused_with_the_reason(tmp_path):
    JsonDataset(filepath=tmp_path / "a.json").save({})
    with pytest.raises(DatasetError, match="versioning was enabled on a dataset already saved"):
        JsonDataset(filepath=tmp_path / "a.json", version=Version(None, None)).save({})
    assert JsonDataset(filepath=tmp_path / "a.json").load() == {}


def test_json_has_the_bytes_that_it_always_had(tmp_path):
    JsonDataset(filepath=tmp_path / "a.json").save({"a": [1]})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": [\n    1\n  ]\n}'


def test_a_figure_is_read_as_an_image(tmp_path):
    figure = Figure(figsize=(1, 1))
    FigureDataset(filepath=tmp_path / "a.png").save(figure)
    assert ImageDataset(filepath=tmp_path / "a.png").load().shape == (100, 100, 3)
    with pytest.raises(DatasetError, match=r"a\.png: the image of a figure.*ImageDataset"):
        FigureDataset(filepath=tmp_path / "a.png").load()


def test_characters_that_the_font_lacks_are_one_line_a_figure(tmp_path, caplog):
    figure = Figure(figsize=(1, 1))
    figure.suptitle("카페 Paper é 카")
    FigureDataset(filepath=tmp_path / "a.png").save(figure)
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'a.png'}: the font lacks 2 characters of its names, which are drawn as "
        "boxes: 카 페"
    ]


def test_the_newest_version_is_where_it_says(tmp_path):
    dataset = JsonDataset(filepath=tmp_path / "a.json", version=Version(None, "one"))
    assert dataset.stored is None
    assert dataset.written() is None
    dataset.save({})
    assert dataset.version() == "one"
    assert dataset.stored == tmp_path / "a.json/one/a.json"
    assert dataset.written() == dataset.stored.stat().st_mtime
    assert dataset.filepath == tmp_path / "a.json"


def test_a_file_url_is_a_path(tmp_path, detections):
    dataset = boxes_at(f"file://{tmp_path}/boxes.parquet")
    dataset.save(detections)
    assert (tmp_path / "boxes.parquet").exists()


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "picture.png").write_text("no picture")
    with pytest.raises(DatasetError, match="picture.png: not an image"):
        ImageDataset(filepath=tmp_path / "picture.png").load()


def test_a_picture_of_an_unknown_ending_is_refused_and_nothing_is_left(tmp_path):
    dataset = ImageDataset(filepath=tmp_path / "picture.xyz")
    with pytest.raises(DatasetError, match="picture.xyz: could not be written"):
        dataset.save(np.zeros((4, 4, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_metrics_and_pictures_come_back_as_they_were(tmp_path):
    metrics = Metrics("mAP50", 0.5, {"Paper": 0.5}, {"mAP": 0.25})
    store = MetricsDataset(filepath=tmp_path / "metrics.json")
    store.save(metrics)
    assert store.load() == metrics
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    store = ImageDataset(filepath=tmp_path / "picture.png")
    store.save(picture)
    np.testing.assert_array_equal(store.load(), picture)


def test_kedro_viz_can_draw_tables_and_pictures(tmp_path, detections):
    table = boxes_at(tmp_path / "boxes.parquet")
    table.save(detections)
    picture = ImageDataset(filepath=tmp_path / "picture.png")
    picture.save(np.zeros((4, 4, 3), np.uint8))
    # Kedro-Viz chooses how to draw by the name of the return annotation.
    json = JsonDataset(filepath=tmp_path / "a.json")
    json.save({"a": 1})
    csv = CsvDataset(filepath=tmp_path / "a.csv")
    csv.save(detections)
    figure = FigureDataset(filepath=tmp_path / "figure.png")
    figure.save(Figure(figsize=(1, 1)))
    drawn = (table, csv, json, picture, figure)
    names = [str(inspect.signature(d.preview).return_annotation) for d in drawn]
    assert [name.rsplit(".", 1)[-1] for name in names] == [
        "TablePreview",
        "TablePreview",
        "JSONPreview",
        "ImagePreview",
        "ImagePreview",
    ]
    assert csv.preview(nrows=1)["columns"] == DETECTIONS.names
    assert json.preview() == '{\n  "a": 1\n}'
    assert base64.b64decode(figure.preview()) == (tmp_path / "figure.png").read_bytes()
    assert table.preview()["columns"] == DETECTIONS.names
    assert table.preview()["data"] == [[1, 5, 0.5, 0.0, 0.0, 3.0, 4.0]]
    assert table.preview(nrows=0)["data"] == []
    assert base64.b64decode(picture.preview()) == (tmp_path / "picture.png").read_bytes()


def test_masks_of_objects_stay_with_stored_detections(tmp_path):
    rows = [(1, 5, 0.5, 0.0, 0.0, 3.0, 4.0), (1, 5, 0.5, 0.0, 0.0, 3.0, 4.0)]
    frame = pd.DataFrame(rows, columns=DETECTIONS.names).assign(segmentation=["{}", None])
    masked = DETECTIONS.conform(frame, where="test")
    dataset = TableDataset(table="detections", filepath=tmp_path / "boxes.parquet")
    dataset.save(masked)
    loaded = dataset.load()
    pd.testing.assert_frame_equal(loaded, masked)
    assert loaded["segmentation"].isna().tolist() == [False, True]
