"""Annotation files of other tools, through Kedro's catalog."""

from __future__ import annotations

import gzip
import json
from zipfile import ZipFile

import fsspec
import pandas as pd
import pytest
from kedro.io import DataCatalog, DatasetError
from kedro.pipeline import Pipeline, node
from PIL import Image

from recycling.annotations import BOX, Annotations, to_coco, write_coco
from recycling.datasets import CocoDataset, PascalVocDataset, YoloDataset
from recycling.splitting import Folds
from recycling.typed import GraphTypeError, check_types


def catalog(given=None, **entry) -> DataCatalog:
    """A catalog of one entry, with the credentials that are given."""
    entry["type"] = f"recycling.datasets.{entry['type']}"
    return DataCatalog.from_config({"raw": entry}, credentials=given)


def count(annotations: Annotations) -> int:
    return len(annotations.annotations)


def split(folds: Folds) -> int:
    return len(folds)


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/recycling-test", recursive=True)


@pytest.fixture
def images(tmp_path, annotations):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in annotations.images["file_name"]:
        Image.new("L", (40, 30)).save(folder / name)
    return folder


@pytest.mark.parametrize("name", ["annotations.json", "annotations.json.gz"])
@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_a_coco_file_comes_back_as_it_was_from_wherever_it_is(
    tmp_path, memory, annotations, where, name
):
    memory.makedirs("/recycling-test", exist_ok=True)
    folder = f"{tmp_path}/new" if where == "here" else "memory://recycling-test/new"
    entries = catalog(type="CocoDataset", filepath=f"{folder}/{name}")
    assert not entries.exists("raw")
    entries.save("raw", annotations)
    assert entries.exists("raw")
    assert to_coco(entries.load("raw")) == to_coco(annotations)
    content = fsspec.open(f"{folder}/{name}").open().read()
    assert content.startswith(b"\x1f\x8b") == name.endswith(".gz")
    text = gzip.decompress(content) if name.endswith(".gz") else content
    assert json.loads(text)["images"][0]["file_name"] == "1.png"


def test_a_missing_file_elsewhere_is_named(memory):
    memory.makedirs("/recycling-test", exist_ok=True)
    entries = catalog(type="CocoDataset", filepath="memory://recycling-test/none.json")
    with pytest.raises(DatasetError, match="recycling-test/none.json: not there"):
        entries.load("raw")


def test_a_missing_file_here_is_named(tmp_path):
    entries = catalog(type="CocoDataset", filepath=f"{tmp_path}/none.json")
    with pytest.raises(DatasetError, match=r"none\.json: not there"):
        entries.load("raw")


def test_credentials_reach_the_file_system_and_are_never_shown(tmp_path, annotations):
    archive = tmp_path / "archive.zip"
    write_coco(annotations, tmp_path / "a.json")
    with ZipFile(archive, "w") as file:
        file.write(tmp_path / "a.json", "a.json")
    entries = catalog(
        type="CocoDataset",
        filepath="zip://a.json",
        credentials="archive",
        fs_args={"mode": "r"},
        given={"archive": {"fo": str(archive)}},
    )
    assert len(entries.load("raw").annotations) == 3
    assert entries.exists("raw")
    assert "archive.zip" not in repr(entries.get("raw"))


def test_a_url_is_below_no_folder_of_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = CocoDataset(filepath=f"memory://{tmp_path}/data/01_raw/a.json")
    assert not dataset.filepath.is_relative_to(tmp_path)
    assert dataset.url == f"memory://{tmp_path}/data/01_raw/a.json"
    assert CocoDataset(filepath=f"file://{tmp_path}/a.json").filepath == tmp_path / "a.json"
    assert CocoDataset(filepath=f"file://{tmp_path}/a.json").url is None


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


def test_a_share_with_no_image_in_it_is_an_error(tmp_path, annotations):
    write_coco(annotations, tmp_path / "coco.json")
    with pytest.raises(DatasetError, match="no image lies in the share 0.5 to 0.500001"):
        CocoDataset(filepath=tmp_path / "coco.json", share=(0.5, 0.500001)).load()


def test_an_entry_with_a_share_does_not_overwrite_its_file(tmp_path, annotations):
    write_coco(annotations, tmp_path / "coco.json")
    before = (tmp_path / "coco.json").read_bytes()
    with pytest.raises(DatasetError, match="an entry with a share .* does not save"):
        CocoDataset(filepath=tmp_path / "coco.json", share=(0, 0.5)).save(annotations)
    assert (tmp_path / "coco.json").read_bytes() == before


def test_ids_used_twice_and_the_source_are_dealt_with_as_the_entry_says(tmp_path, annotations):
    path = tmp_path / "coco.json"
    document = to_coco(annotations)
    for entry, one in zip(document["annotations"], [1, 1, 2], strict=True):
        entry["id"] = one
    path.write_text(json.dumps(document))
    with pytest.raises(DatasetError, match="id used twice"):
        CocoDataset(filepath=path).load()
    dataset = CocoDataset(filepath=path, duplicate_ids="renumber", source="pseudo")
    for back in (dataset.load(), dataset.at(path).load()):
        assert back.annotations["annotation_id"].tolist() == [1, 3, 2]
        assert back.annotations["source"].unique().tolist() == ["pseudo"]


def test_labels_are_added_to_a_file_with_ids_used_twice_as_the_entry_says(
    tmp_path, annotations, images
):
    document = to_coco(annotations)
    for entry in document["annotations"]:
        entry["id"] = 1
    (tmp_path / "train.json").write_text(json.dumps(document))
    tasks = [{"data": {"file_name": "1.png"}, "annotations": [{"result": []}]}]
    (tmp_path / "labelled.json").write_text(json.dumps(tasks))
    options = {
        "type": "LabelStudioDataset", "filepath": f"{tmp_path}/labelled.json",
        "images": "images", "adds_to": "train.json",
    }  # fmt: skip
    with pytest.raises(DatasetError, match="duplicate_ids: renumber"):
        catalog(**options).load("raw")
    back = catalog(**options, duplicate_ids="renumber").load("raw")
    assert len(back.images) == len(annotations.images)
    assert back.annotations["annotation_id"].is_unique


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": [0.6, 0.2]}, r"share is \[0.6, 0.2\]; give two numbers"),
        ({"share": 0.5}, "share is 0.5; give two numbers"),
        ({"share": [0, 2]}, r"share is \[0, 2\]; give two numbers"),
        ({"share": ["a", "b"]}, "give two numbers"),
        ({"source": "me"}, "source is 'me'; give human or pseudo"),
        ({"duplicate_ids": "drop"}, "duplicate_ids is 'drop'; give error or renumber"),
        ({"fs_args": {"anon": True}}, "takes no credentials and no fs_args"),
        (
            {"filepath": "memory://a.json", "fs_args": {"open_args_load": {"mode": "r"}}},
            "open_args_load is not taken",
        ),
    ],
)
def test_an_option_without_sense_stops_before_anything_is_read(options, message):
    with pytest.raises(DatasetError, match=message):
        catalog(**{"type": "CocoDataset", "filepath": "a.json", **options}).get("raw")


def test_pascal_voc_comes_back_with_paths_seen_from_the_folder_beside(
    tmp_path, annotations, images, monkeypatch
):
    entries = catalog(
        type="PascalVocDataset",
        filepath=f"{tmp_path}/voc",
        images="images",
        categories=["Paper", "Metal"],
        source="pseudo",
    )
    monkeypatch.chdir("/")
    assert not entries.exists("raw")
    entries.save("raw", annotations)
    assert entries.exists("raw")
    back = entries.load("raw")
    assert back.annotations[BOX].equals(annotations.annotations[BOX])
    assert back.categories["name"].tolist() == ["Paper", "Metal"]
    assert back.annotations["source"].unique().tolist() == ["pseudo"]


def test_yolo_comes_back_with_paths_seen_from_the_folder_beside(
    tmp_path, annotations, images, monkeypatch
):
    entries = catalog(
        type="YoloDataset",
        filepath=f"{tmp_path}/part/labels",
        images=str(images),
        data_yaml="../data.yaml",
        source="pseudo",
    )
    monkeypatch.chdir("/")
    entries.save("raw", annotations)
    assert (tmp_path / "data.yaml").exists()
    back = entries.load("raw")
    pd.testing.assert_frame_equal(
        back.annotations[BOX], annotations.annotations[BOX], atol=40e-5, rtol=0
    )
    assert back.categories["name"].tolist() == ["Paper", "Metal"]
    assert back.annotations["source"].unique().tolist() == ["pseudo"]


def test_yolo_scores_are_read_where_the_entry_says_so(tmp_path, images):
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "1.txt").write_text("0 .5 .5 .5 .5 .25")
    (tmp_path / "data.yaml").write_text("names: [Paper]")
    options = {"filepath": labels, "images": "images", "data_yaml": "data.yaml"}
    assert YoloDataset(**options, scores=True).load().annotations["score"].tolist() == [0.25]
    with pytest.raises(DatasetError, match="scores=True"):
        YoloDataset(**options).load()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (PascalVocDataset, {"images": "s3://bucket/images"}),
        (YoloDataset, {"images": "images", "data_yaml": "s3://bucket/data.yaml"}),
    ],
)
def test_images_elsewhere_are_refused_at_once(kind, options):
    with pytest.raises(DatasetError, match="takes a path on this machine"):
        kind(**{"filepath": "labels", **options})


@pytest.mark.parametrize(
    "dataset",
    [
        CocoDataset(filepath="a.json"),
        PascalVocDataset(filepath="voc", images="images"),
        YoloDataset(filepath="labels", images="images", data_yaml="data.yaml"),
    ],
    ids=lambda dataset: type(dataset).__name__,
)
def test_the_graph_knows_that_annotations_come_and_go(dataset):
    entries = DataCatalog({"raw": dataset})
    check_types(Pipeline([node(count, "raw", "n")]), entries)
    with pytest.raises(GraphTypeError, match="gives Annotations.*takes Folds"):
        check_types(Pipeline([node(split, "raw", "n")]), entries)
