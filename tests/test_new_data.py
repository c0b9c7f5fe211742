"""One command makes an environment for data of one's own, and says what is in them."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from recycling.annotations import AnnotationError
from recycling.annotations.formats.recognise import recognise
from recycling.limits import Limits
from recycling.new_data import new_data, set_up


def _image(path: Path, shade: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (32, 24), (shade, 40, 200 - shade))
    image.putpixel((shade % 32, 5), (255, 255, 255))
    image.save(path)


def _coco(folder: Path, name: str = "annotations.json", n: int = 3) -> None:
    for i in range(n):
        _image(folder / f"photos/{i}.png", 60 * i)
    rows = [{"id": i, "file_name": f"{i}.png", "width": 32, "height": 24} for i in range(n)]
    boxes = [
        {"id": i, "image_id": i, "category_id": 4, "bbox": [2, 3, 9, 8], "area": 72, "iscrowd": 0}
        for i in range(n)
    ]
    categories = [{"id": 4, "name": "Paper"}, {"id": 9, "name": "Metal"}]
    content = {"images": rows, "annotations": boxes, "categories": categories}
    (folder / name).write_text(json.dumps(content))


def _voc(folder: Path) -> None:
    _image(folder / "JPEGImages/a.jpg")
    (folder / "Annotations").mkdir()
    (folder / "Annotations/a.xml").write_text(
        "<annotation><size><width>32</width><height>24</height></size><object><name>Paper</name>"
        "<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object>"
        "</annotation>"
    )


def _yolo(folder: Path, *, named: bool = True) -> None:
    for part in ("train", "val", "test"):
        _image(folder / f"images/{part}/a.jpg")
        (folder / f"labels/{part}").mkdir(parents=True)
        (folder / f"labels/{part}/a.txt").write_text("1 0.5 0.5 0.25 0.25\n")
    names = "names: [Paper, Metal]\n" if named else "Paper\nMetal\n"
    (folder / ("data.yaml" if named else "classes.txt")).write_text(names)


def _class_folders(folder: Path) -> None:
    for name, shade in (("Paper", 10), ("Metal", 150)):
        _image(folder / name / "a.jpg", shade)


def _csv(folder: Path) -> None:
    for i in range(2):
        _image(folder / f"pictures/{i}.jpg", 70 * i)
    (folder / "train.csv").write_text("filename,species\n0.jpg,Paper\n1.jpg,Metal\n")


MAKERS = {
    "COCO": _coco,
    "Pascal VOC": _voc,
    "YOLO": _yolo,
    "class folders": _class_folders,
    "CSV": _csv,
}
SEEN = {
    "COCO": "train: COCO in annotations.json: 3 images, 3 annotations, 2 categories",
    "Pascal VOC": "train: Pascal VOC in Annotations: 1 images, 1 annotations, 1 categories",
    "YOLO": "train: YOLO in labels/train: 1 images, 1 annotations, 2 categories",
    "class folders": "train: class folders in .: 2 images, 2 annotations, 2 categories",
    "CSV": "train: CSV in train.csv: 2 images, 2 annotations, 2 categories",
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_format_is_recognised_read_and_written_down(name: str, tmp_path: Path) -> None:
    from recycling import datasets

    (tmp_path / "mine").mkdir()
    MAKERS[name](tmp_path / "mine")
    lines = list(set_up(tmp_path / "mine", tmp_path / "project"))
    assert lines[0] == SEEN[name]
    assert "sizes 32 x 24 (" in lines[1]
    assert lines[-1] == "next: kedro run --env mine --pipelines data_cleaning,splitting"
    conf = tmp_path / "project/conf/mine"
    entry = yaml.safe_load((conf / "catalog_data.yml").read_text())["train.raw_annotations"]
    kind = getattr(datasets, entry.pop("type").rsplit(".", 1)[1])
    for key in ("validator", "metadata"):
        entry.pop(key)
    assert "Paper" in kind(**entry).load().categories["name"].tolist()
    assert yaml.safe_load((conf / "models.yml").read_text()) == {"models": {}}
    assert yaml.safe_load((conf / "globals.yml").read_text())["data"] == "data/mine"


def test_categories_are_counted_and_what_cleaning_would_do_is_said(tmp_path: Path) -> None:
    _coco(tmp_path)
    (tmp_path / "photos/1.png").write_bytes(b"not an image")
    lines = list(set_up(tmp_path, tmp_path / "project"))
    assert lines[2] == "train: categories: Paper (3), Metal (0)"
    assert lines[3].startswith("train: does not fit: 1 images: ")
    assert lines[3].endswith(": 1.png")
    assert "drop_bad_images: drop 1 images" in lines[4]
    assert "drop_bad_images: drop 1 annotations" in lines[4]


def test_nothing_that_is_seen_steers_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _coco(tmp_path)
    path = tmp_path / "annotations.json"
    path.write_text(path.read_text().replace("Metal", r"Metal\u001b[2J"))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    printed = CliRunner().invoke(new_data, [str(tmp_path)], color=True).output
    assert "Paper (3), Metal<character U+001B>[2J (0)" in printed
    assert "\x1b" not in printed


def test_parts_are_told_by_their_names_and_validation_is_said_not_to_be_used(
    tmp_path: Path,
) -> None:
    _yolo(tmp_path)
    found = recognise(tmp_path)
    assert {s.part: s.path.name for s in found.sources["YOLO"]} == {
        "train": "train",
        "test": "test",
    }
    assert [s.images.relative_to(tmp_path).as_posix() for s in found.sources["YOLO"]] == [
        "images/train",
        "images/test",
    ]
    (remark,) = found.remarks
    assert remark.startswith("labels/val: not used: folds are made of train")


@pytest.mark.parametrize(
    ("file", "own", "other"),
    [
        ("annotations/train.json", "images/train", "images/test"),
        ("annotations/instances_train2017.json", "train2017", "test2017"),
        ("annotations/training.json", "images/train", "images/test"),
        ("annotations.json", "images/train", "images/test"),
        ("batch_2/labels.json", "photos/batch_2", "photos/batch_1"),
        ("train.csv", "train", "test"),
        ("test.csv", "test", "another"),
    ],
)
def test_of_folders_with_the_same_file_names_that_of_the_part_is_taken(
    file: str, own: str, other: str, tmp_path: Path
) -> None:
    folder = tmp_path / "train"  # what lies above says nothing of a part
    name, make = ("train.csv", _csv) if file.endswith(".csv") else ("annotations.json", _coco)
    make(tmp_path / "made")
    (photos,) = (path for path in (tmp_path / "made").iterdir() if path.is_dir())
    for place in (own, other):
        shutil.copytree(photos, folder / place)
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(tmp_path / "made" / name, folder / file)
    (source,), *_ = recognise(folder).sources.values()
    assert source.images == folder / own


def test_the_folder_of_images_is_found_by_names_in_another_spelling(tmp_path: Path) -> None:
    for number in range(3):
        _image(tmp_path / f"other/{number}.jpg", 70)
    _csv(tmp_path)
    (tmp_path / "train.csv").write_text("filename,species\nPICTURES\\0.JPG,Paper\n")
    (source,), *_ = recognise(tmp_path).sources.values()
    assert source.images == tmp_path


def test_labels_and_images_of_a_part_are_paired_whatever_lies_above(tmp_path: Path) -> None:
    _yolo(tmp_path / "test/train")
    found = recognise(tmp_path / "test/train").sources["YOLO"]
    assert [source.images.name for source in found] == ["train", "test"]


def test_what_is_called_train_comes_before_what_says_nothing(tmp_path: Path) -> None:
    _csv(tmp_path)
    shutil.copy(tmp_path / "train.csv", tmp_path / "folds.csv")
    found = recognise(tmp_path)
    assert [source.path.name for source in found.sources["CSV"]] == ["train.csv"]
    assert found.remarks == ["folds.csv: not used: train.csv is taken"]


@pytest.mark.parametrize("name", ["sample_submission.csv", "sampleSubmission.csv"])
def test_a_submission_is_not_taken_for_labels(name: str, tmp_path: Path) -> None:
    _csv(tmp_path)
    shutil.copy(tmp_path / "train.csv", tmp_path / name)
    found = recognise(tmp_path)
    assert [source.path.name for source in found.sources["CSV"]] == ["train.csv"]
    assert found.remarks == [
        f"{name}: not used: a submission by its name, not labels; else rename it"
    ]
    (tmp_path / "train.csv").unlink()
    with pytest.raises(AnnotationError, match="a submission by its name"):
        recognise(tmp_path)


def test_captions_are_not_taken_for_boxes_and_a_file_without_labels_is_still_a_pool(
    tmp_path: Path,
) -> None:
    _coco(tmp_path, "instances_train2017.json")
    content = json.loads((tmp_path / "instances_train2017.json").read_text())
    (tmp_path / "pool.json").write_text(json.dumps({**content, "annotations": []}))
    captions = [{"id": 0, "image_id": 0, "caption": "A sheet of paper."}]
    (tmp_path / "captions_train2017.json").write_text(
        json.dumps({**content, "annotations": captions})
    )
    found = recognise(tmp_path)
    assert {source.part: source.path.name for source in found.sources["COCO"]} == {
        "train": "instances_train2017.json",
        "pool": "pool.json",
    }
    assert found.remarks == [
        "captions_train2017.json: not used: no annotation in it has a bbox, as captions have none"
    ]


def test_a_file_of_images_alone_is_said_not_to_be_used(tmp_path: Path) -> None:
    _coco(tmp_path, "train.json")
    content = json.loads((tmp_path / "train.json").read_text())
    del content["annotations"]
    (tmp_path / "image_info_test.json").write_text(json.dumps(content))
    for name, images in (("a.json", {"1": "photo"}), ("b.json", []), ("c.json", ["0.png"])):
        (tmp_path / name).write_text(json.dumps({"images": images}))
    (remark,) = recognise(tmp_path).remarks
    assert remark.startswith('image_info_test.json: not used: it has no "annotations"')
    content["annotations"] = []  # as it advises
    (tmp_path / "image_info_test.json").write_text(json.dumps(content))
    sources = recognise(tmp_path).sources["COCO"]
    assert {own.part: own.path.name for own in sources} == {
        "train": "train.json",
        "test": "image_info_test.json",
    }


@pytest.mark.parametrize("above", ["labels", "annotations"])
def test_a_folder_below_one_called_labels_is_recognised(above: str, tmp_path: Path) -> None:
    folder = tmp_path / above / "mine"
    folder.mkdir(parents=True)
    _voc(folder)
    (folder / "Annotations").rename(folder / "xml")
    lines = list(set_up(folder, tmp_path / "project"))
    assert lines[0] == "train: Pascal VOC in xml: 1 images, 1 annotations, 1 categories"


def test_a_part_that_is_not_there_is_not_the_samples(tmp_path: Path) -> None:
    _coco(tmp_path)
    list(set_up(tmp_path, tmp_path / "project"))
    catalog = yaml.safe_load((tmp_path / "project/conf/mine/catalog_data.yml").read_text())
    for part in ("pool", "test"):
        assert not Path(catalog[f"{part}.raw_annotations"]["filepath"]).exists()
        assert str(tmp_path) in catalog[f"{part}.images"]["filepath"]


@pytest.mark.parametrize(("part", "rounds"), [("pool", {"pseudo"}), ("test", set())])
def test_rounds_of_pseudo_labels_are_written_where_a_pool_is_found(
    part: str, rounds: set[str], tmp_path: Path
) -> None:
    _coco(tmp_path, "train.json")
    shutil.copy(tmp_path / "train.json", tmp_path / f"{part}.json")
    list(set_up(tmp_path, tmp_path / "project"))
    written = (tmp_path / "project/conf/mine/parameters_pseudo_labeling.yml").read_text()
    assert set(yaml.safe_load(written)["pseudo_labeling"]) == rounds


def test_names_of_classes_may_hold_any_character(tmp_path: Path) -> None:
    _yolo(tmp_path, named=False)
    names = ["yes", "Métal \N{BOTTLE WITH POPPING CORK} 'a': #1"]
    (tmp_path / "classes.txt").write_bytes("\n".join(names).encode())
    list(set_up(tmp_path, tmp_path / "project"))
    path = tmp_path / "project/conf/mine/data.yaml"
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["names"] == names
    assert "Métal \N{BOTTLE WITH POPPING CORK}" in path.read_text(encoding="utf-8")


def test_names_of_classes_in_a_text_file_become_those_of_the_environment(tmp_path: Path) -> None:
    _yolo(tmp_path, named=False)
    lines = list(set_up(tmp_path, tmp_path / "project"))
    assert "train: categories: Paper (0), Metal (1)" in lines
    written = yaml.safe_load((tmp_path / "project/conf/mine/data.yaml").read_text())
    assert written["names"] == ["Paper", "Metal"]


@pytest.mark.parametrize(
    ("others", "taken"),
    [
        (["config/coco.yaml"], "data.yaml"),
        (["aaa/coco.yaml", "labels/own.yml"], "data.yaml"),
        (["labels/train/data.yaml"], "labels/train/data.yaml"),
    ],
)
def test_data_yaml_is_taken_whatever_other_yaml_has_names(
    tmp_path: Path, others: list[str], taken: str
) -> None:
    _yolo(tmp_path)
    for other in others:
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_text("names: [Person, Car]\n")
    (source, *_) = recognise(tmp_path).sources["YOLO"]
    assert source.options == {"data_yaml": tmp_path / taken}


def test_several_yaml_files_of_other_names_are_said(tmp_path: Path) -> None:
    _yolo(tmp_path)
    (tmp_path / "data.yaml").rename(tmp_path / "waste.yaml")
    (tmp_path / "config").mkdir()
    (tmp_path / "config/coco.yaml").write_text("names: [Person, Car]\n")
    found = recognise(tmp_path)
    assert found.sources["YOLO"][0].options == {"data_yaml": tmp_path / "waste.yaml"}
    assert "config/coco.yaml: not used: the names are taken from waste.yaml" in found.remarks


def test_a_blank_line_among_classes_is_not_passed_over(tmp_path: Path) -> None:
    _yolo(tmp_path, named=False)
    (tmp_path / "classes.txt").write_text("Paper\n\nMetal\n\n\n")
    (source, *_) = recognise(tmp_path).sources["YOLO"]
    assert source.options == {"names": ["Paper", "", "Metal"]}


@pytest.mark.parametrize(
    ("name", "content", "remark"),
    [
        (
            "cut.json.gz",
            gzip.compress(b'{"images": [], "annotations": []}', mtime=0)[:-9],
            "cut.json.gz",
        ),
        ("bad.json.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\3" + b"\xff" * 20, "bad.json.gz"),
        (
            "deep.json",
            b'{"images": [], "annotations": ' + b"[" * 99_999 + b"]" * 99_999 + b"}",
            "deep.json: not read as COCO: RecursionError",
        ),
        (
            "seg.csv",
            b"image_id,PredictionString\n0.jpg," + b"0 " * 99_999,
            "seg.csv: holds predictions",
        ),
        ("long.csv", b"file_name,label\n0.jpg," + b"0" * 199_999, "long.csv: not read as CSV"),
        (
            "large.json",
            b'{"images": [], "annotations": [NaN' + b", 0" * 9000 + b"]}",
            "large.json: not read as COCO: TooLargeError: would take more than 250,000 bytes of",
        ),
        ("large.csv", b"file_name,label\n" + b"0.jpg,0\n" * 9000, "large.csv: not read as CSV"),
    ],
)
def test_a_file_that_cannot_be_read_is_said_and_the_others_are_used(
    name: str, content: bytes, remark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECYCLING_LIMITS", Limits(max_bytes=1_000_000).model_dump_json())
    _coco(tmp_path)
    (tmp_path / name).write_bytes(content)
    found = recognise(tmp_path)
    assert [source.path.name for source in found.sources["COCO"]] == ["annotations.json"]
    (said,) = found.remarks
    assert said.startswith(remark)


def test_of_a_coco_file_the_images_alone_are_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _coco(tmp_path)
    monkeypatch.setattr("json.loads", None)
    (source,) = recognise(tmp_path).sources["COCO"]
    assert source.images == tmp_path / "photos"


def test_classes_of_more_than_a_megabyte_are_said(tmp_path: Path) -> None:
    _yolo(tmp_path, named=False)
    with (tmp_path / "classes.txt").open("a") as file:
        file.write("\n" * (1 << 20))
    with pytest.raises(AnnotationError, match=r"classes.txt: more than 1,048,576 bytes"):
        recognise(tmp_path)


def test_classes_in_another_encoding_are_said(tmp_path: Path) -> None:
    _yolo(tmp_path, named=False)
    (tmp_path / "classes.txt").write_bytes("종이\n캔\n".encode("cp949"))
    with pytest.raises(AnnotationError, match=r"classes.txt: not in UTF-8, save it as that"):
        recognise(tmp_path)


def test_where_several_formats_fit_it_is_said_and_another_can_be_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    _coco(tmp_path)
    _voc(tmp_path)
    lines = list(set_up(tmp_path, tmp_path / "project"))
    assert lines[0] == (
        "not sure: COCO, Pascal VOC, class folders all fit; taken as COCO, else give "
        '--format "Pascal VOC" or --format "class folders"'
    )
    lines = list(set_up(tmp_path, tmp_path / "project", wanted="Pascal VOC", force=True))
    assert lines[0] == "train: Pascal VOC in Annotations: 1 images, 1 annotations, 1 categories"


def test_class_folders_beside_another_format_are_said_and_can_be_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    folder = tmp_path / "mine"
    _class_folders(folder)
    (folder / "photos.csv").write_text("file,photographer\nPaper/a.jpg,Kim\nMetal/a.jpg,Lee\n")
    lines = list(set_up(folder, tmp_path / "project"))
    assert lines[0] == (
        'not sure: CSV, class folders all fit; taken as CSV, else give --format "class folders"'
    )
    lines = list(set_up(folder, tmp_path / "project", wanted="class folders", force=True))
    assert lines[0] == SEEN["class folders"]


def test_folders_of_parts_are_no_classes(tmp_path: Path) -> None:
    _coco(tmp_path)
    for part in ("train2017", "test2017"):
        shutil.copytree(tmp_path / "photos", tmp_path / part)
    shutil.rmtree(tmp_path / "photos")
    assert list(recognise(tmp_path).sources) == ["COCO"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: _image(folder / "a.jpg"), r"no annotations of a known format .* 1 x \.jpg"),
        (lambda folder: (folder / "boxes.csv").write_text("file,xmin,ymax\na.jpg,1,4\n"),
         r"boxes in a CSV are not read; convert it to COCO"),
        (lambda folder: (_yolo(folder), (folder / "data.yaml").unlink()), "no data.yaml with"),
        (lambda folder: folder.rmdir(), "no such folder"),
    ],
    ids=["images alone", "boxes in CSV", "no names", "no folder"],
)  # fmt: skip
def test_what_is_not_recognised_is_one_line_and_nothing_is_written(
    make: object, message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    make(folder)  # type: ignore[operator]
    with pytest.raises(AnnotationError, match=message) as caught:
        list(set_up(folder, tmp_path / "project"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "project/conf").exists()


def test_an_environment_that_is_there_is_kept(tmp_path: Path) -> None:
    _coco(tmp_path)
    (tmp_path / "project/conf/mine").mkdir(parents=True)
    with pytest.raises(
        AnnotationError, match="conf/mine is there; choose another --env, or --force"
    ):
        list(set_up(tmp_path, tmp_path / "project"))


def test_ids_used_twice_are_read_said_and_read_again_by_the_run(tmp_path: Path, caplog) -> None:
    from recycling.datasets import CocoDataset

    _coco(tmp_path)
    path = tmp_path / "annotations.json"
    content = json.loads(path.read_text())
    content["annotations"][2]["id"] = content["annotations"][0]["id"]
    path.write_text(json.dumps(content))
    lines = list(set_up(tmp_path, tmp_path / "project"))
    assert lines[0] == "train: COCO in annotations.json: 3 images, 3 annotations, 2 categories"
    assert "1 annotations had an id that was taken and got a new one: 0 -> 2" in caplog.text
    catalog = yaml.safe_load((tmp_path / "project/conf/mine/catalog_data.yml").read_text())
    entry = catalog["train.raw_annotations"]
    assert entry["duplicate_ids"] == "renumber"
    read = CocoDataset(filepath=entry["filepath"], duplicate_ids=entry["duplicate_ids"]).load()
    assert sorted(read.annotations["annotation_id"]) == [0, 1, 2]


def test_sizes_are_those_of_the_images_and_what_stops_a_run_comes_before_it(tmp_path: Path) -> None:
    _coco(tmp_path)
    path = tmp_path / "annotations.json"
    content = json.loads(path.read_text())
    for row in content["images"]:
        row["width"], row["height"] = 24, 32
    path.write_text(json.dumps(content))
    lines = list(set_up(tmp_path, tmp_path / "project"))
    assert lines[1].endswith(": sizes 32 x 24 (3)")
    assert any("cleaning does not fit: image_size: 3 of 3 images" in line for line in lines)
    assert lines[-1].startswith("next: put right what does not fit, then kedro run --env mine")


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (b"\xef\xbb\xbf1 0.5 0.5 0.25 0.25\r\n", "1 images, 1 annotations"),
        (b"1.0 0.5 0.5 0.25 0.25\n", "1 images, 1 annotations"),
        (b"1 0,5 0,5 0,25 0,25\n", "a field is not a number, correct it: a.TXT line 1"),
    ],
    ids=["BOM", "class as float", "decimal commas"],
)
def test_labels_that_other_tools_write_are_read_or_their_fault_is_said(
    content: bytes, seen: str, tmp_path: Path
) -> None:
    _image(tmp_path / "images/a.jpg")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.TXT").write_bytes(content)
    (tmp_path / "data.yaml").write_text("names: [Paper, Metal]\n")
    try:
        first = next(iter(set_up(tmp_path, tmp_path / "project")))
    except AnnotationError as error:
        first = str(error)
    assert seen in first


def test_pascal_voc_in_utf_16_is_recognised(tmp_path: Path) -> None:
    _voc(tmp_path)
    path = tmp_path / "Annotations/a.xml"
    content = '<?xml version="1.0" encoding="utf-16"?>' + path.read_text()
    path.write_bytes(content.encode("utf-16"))
    lines = list(set_up(tmp_path, tmp_path / "project"))
    assert lines[0] == "train: Pascal VOC in Annotations: 1 images, 1 annotations, 1 categories"


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_csv_that_is_not_one_is_said_with_what_its_columns_are(
    separator: str, tmp_path: Path
) -> None:
    _csv(tmp_path)
    path = tmp_path / "train.csv"
    path.write_text(path.read_text().replace(",", separator))
    with pytest.raises(AnnotationError, match=r"train\.csv: no column of file names .*filename.sp"):
        list(set_up(tmp_path, tmp_path / "project"))


def test_a_file_of_predictions_is_said_to_be_one(tmp_path: Path) -> None:
    _image(tmp_path / "images/a.jpg")
    (tmp_path / "team.csv").write_text("PredictionString,image_id\n0 0.5 1 1 9 9,a.jpg\n")
    with pytest.raises(AnnotationError, match=r"team\.csv: holds predictions \(PredictionString"):
        list(set_up(tmp_path, tmp_path / "project"))


def test_the_folder_of_predictions_is_that_of_the_environment(tmp_path: Path) -> None:
    _coco(tmp_path)
    (tmp_path / "team.csv").write_text("PredictionString,image_id\n0 0.5 1 1 9 9,a.jpg\n")
    (remark,) = (line for line in set_up(tmp_path, tmp_path / "project") if "team.csv" in line)
    assert "into 01_raw/members/det or seg in the folder that `data`" in remark
    said = yaml.safe_load((tmp_path / "project/conf/mine/globals.yml").read_text())
    assert remark.endswith(f"such as {said['data']}")
