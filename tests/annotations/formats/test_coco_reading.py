"""The quick way from bytes to tables gives what the careful one gives, and is really taken."""

import copy
import json
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from annotations.coco_cases import documents, odd_documents, spellings
from recycling.annotations import AnnotationError, from_coco, read_coco, to_coco
from recycling.annotations.formats.coco.columns import CHUNK

TABLES = ("images", "annotations", "categories")
JSON_COLUMNS = ("segmentation", "extra")


def _read(content):
    """What `read_coco` makes of the content: tables or a message."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.json")
        path.write_bytes(content)
        try:
            return read_coco(path)
        except AnnotationError as error:
            return str(error).replace(str(path), "a.json")


def _read_carefully(content):
    try:
        return from_coco(json.loads(content), where="a.json")
    except AnnotationError as error:
        return str(error)


def _assert_same(one, two):
    if isinstance(two, str):
        assert one == two
        return
    assert not isinstance(one, str), one
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name))
    assert repr(one.extra) == repr(two.extra)  # which tells 1 from 1.0


def _spelled_alike(annotations):
    """The same tables, with numbers in JSON columns spelled as Python spells them."""
    tables = copy.copy(annotations)
    for name in TABLES:
        table = getattr(tables, name).copy()
        for column in table.columns.intersection(JSON_COLUMNS):
            given = table[column].notna()
            texts = [json.dumps(json.loads(text)) for text in table.loc[given, column]]
            table.loc[given, column] = texts
        object.__setattr__(tables, name, table)
    return tables


@settings(max_examples=40)
@given(st.data())
def test_any_document_in_order_reads_as_the_careful_way_reads_it(data):
    content = data.draw(spellings(data.draw(documents())))
    _assert_same(_read(content), _read_carefully(content))


@settings(max_examples=100)
@given(st.data())
def test_any_odd_document_reads_or_fails_as_the_careful_way_does(data):
    content = data.draw(spellings(data.draw(odd_documents())))
    _assert_same(_read(content), _read_carefully(content))


_CONTENT = json.dumps(
    {
        "info": {"é": [1, None, "x"]},
        "images": [{"id": 1, "file_name": "a.jpg", "width": 4, "height": 3, "license": 1.5}],
        "annotations": [
            {
                "id": 12,
                "image_id": 1,
                "category_id": 0,
                "bbox": [0.1, 1, 2.25, 1.5],
                "segmentation": [[0.1, 1, 2.35, 1, 2.5, 2.5]],
                "area": 3.4,
                "iscrowd": 0,
            },
            {
                "id": 3,
                "image_id": 1,
                "category_id": 0,
                "bbox": [1, 1, 2, 1],
                "segmentation": {"size": [3, 4], "counts": "421231"},
            },
        ],
        "categories": [{"id": 0, "name": "Glass", "supercategory": "Glass"}],
    },
    ensure_ascii=False,
).encode()


@settings(max_examples=200)
@given(
    st.integers(0, len(_CONTENT) - 1),
    st.integers(0, 2),
    st.sampled_from([bytes([byte]) for byte in b'0123456789.-+eE"\\,:[]{} \nntu\x00\xff'] + [b""]),
)
@example(_CONTENT.index(b"0.1"), 0, b"1e99")
@example(_CONTENT.index(b"2.35"), 4, b"1e999")
@example(_CONTENT.index(b"2.35"), 4, b"1" * 400)
@example(_CONTENT.index(b'"id": 12'), 8, b'"id": 5, "id": 12')
@example(_CONTENT.index(b'"id": 12'), 8, b'"id": null, "\\u0069d": 12')
@example(_CONTENT.index(b'"x"'), 3, b'"\xed\xa0\x80"')
@example(_CONTENT.index(b'"x"'), 3, b"[" * 5000 + b"]" * 5000)
@example(_CONTENT.index(b"421"), 3, b"42\\u0031")
@example(_CONTENT.index(b"421"), 3, b"4 21")
@example(_CONTENT.index(b'"4212'), 5, b'"\xff')
@example(0, 0, b"\xef\xbb\xbf")
def test_a_file_with_some_bytes_changed_reads_or_fails_as_the_careful_way_does(at, n, instead):
    content = _CONTENT[:at] + instead + _CONTENT[at + n :]
    ours = _read(content)
    try:
        theirs = _read_carefully(content)
    except ValueError:
        assert "not JSON" in ours
        return
    except RecursionError:
        assert "nested too deeply" in ours
        return
    if not isinstance(theirs, str) and not isinstance(ours, str):
        ours, theirs = _spelled_alike(ours), _spelled_alike(theirs)
    _assert_same(ours, theirs)


def _entry(**keys):
    return {"id": 1, "image_id": 1, "category_id": 0, "bbox": [0.1, 0.2, 0.7, 0.3], **keys}


_IMAGE = {"id": 1, "file_name": "a.jpg", "width": 4, "height": 3}


@pytest.mark.parametrize(
    "entry",
    [
        _entry(area=0.21, iscrowd=0),
        _entry(area=0.21, iscrowd=0, segmentation=[[0.1, 0.2, 0.8, 0.2, 0.8, 0.5]]),
        _entry(area=3, iscrowd=1, segmentation={"size": [3, 4], "counts": "421231"}),
        _entry(area=3, iscrowd=1, segmentation={"counts": [9, 3], "size": [3, 4]}),
        _entry(area=0.21, iscrowd=0, segmentation=[]),
        _entry(),
        _entry(area=0.21, iscrowd=0, source="pseudo", score=0.7),
        _entry(area=0.21, iscrowd=0, source="flickr", score=1),
        _entry(area=None, iscrowd=None, segmentation=None),
        _entry(area=0.21, iscrowd=False, attributes={"occluded": True}, keypoints=[1, 2, 2]),
        _entry(bbox=[0.1, 0.2, 1 / 3, 2 / 7], area=0.5),
    ],
)
@pytest.mark.parametrize(
    "image",
    [_IMAGE, {**_IMAGE, "license": None, "coco_url": "http://é"}, {**_IMAGE, "group": "shot"}],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_files_in_order_never_become_a_whole_document_of_python_objects(entry, image, indent):
    document = {"images": [image], "annotations": [entry], "categories": [{"id": 0, "name": "x"}]}
    content = json.dumps(document, indent=indent).encode()
    _assert_same(_read(content), _read_carefully(content))


def _many(n):
    """A document of `n` annotations, in several chunks where `n` is above `CHUNK`."""
    return {
        "images": [
            {"id": one, "file_name": f"{one}.jpg", "width": 4, "height": 3} for one in range(n)
        ],
        "annotations": [
            _entry(id=one, image_id=n - 1 - one, area=one / 4, iscrowd=one % 2) for one in range(n)
        ],
        "categories": [{"id": 0, "name": "x"}],
    }


@pytest.fixture(scope="module")
def long_document():
    return _many(2 * CHUNK + 5)


def test_a_long_file_reads_as_the_careful_way_reads_it_odd_entries_in_one_chunk(long_document):
    document = copy.deepcopy(long_document)
    document["annotations"][CHUNK + 3] |= {"area": None, "attributes": {"x": [1, 2.0]}}
    document["images"][2 * CHUNK + 1]["group"] = 5
    content = json.dumps(document).encode()
    annotations = _read(content)
    _assert_same(annotations, _read_carefully(content))
    assert to_coco(annotations) == document


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("id", 3, rf"id used twice.*annotations\[{CHUNK + 3}\] \(id 3\)"),
        (
            "image_id",
            -1,
            rf"unknown image_id.*annotations\[{CHUNK + 3}\] \(id {CHUNK + 3}\) has -1",
        ),
        ("category_id", 9, r"unknown category_id.*has 9"),
        ("bbox", [1, 2, 3], rf"bbox is not four.*annotations\[{CHUNK + 3}\]"),
    ],
)
def test_a_fault_far_into_a_long_file_is_found_at_its_place(long_document, key, value, message):
    document = {**long_document, "annotations": list(long_document["annotations"])}
    document["annotations"][CHUNK + 3] = {**document["annotations"][CHUNK + 3], key: value}
    with pytest.raises(AnnotationError, match=message):
        raise AnnotationError(_read(json.dumps(document).encode()))


def test_ids_used_twice_get_new_ones_where_that_is_asked_for(tmp_path, caplog):
    document = _many(3)
    document["annotations"][2]["id"] = 0
    (tmp_path / "a.json").write_text(json.dumps(document))
    table = read_coco(tmp_path / "a.json", duplicate_ids="renumber").annotations
    assert table["annotation_id"].tolist() == [0, 1, 2]
    assert "0 -> 2" in caplog.text


def test_source_of_a_file_that_does_not_say(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(_many(2)))
    table = read_coco(tmp_path / "a.json", source="pseudo").annotations
    assert table["source"].tolist() == ["pseudo", "pseudo"]


def test_a_segmentation_is_kept_as_the_file_spells_it_without_white_space():
    document = _many(1)
    document["annotations"][0]["segmentation"] = "HERE"
    content = json.dumps(document).replace('"HERE"', "[ [1.50, 2,\n 3, 2 , 3.0, 4.10 ] ]").encode()
    assert _read(content).annotations["segmentation"].tolist() == ["[[1.50,2,3,2,3.0,4.10]]"]


def test_boxes_with_few_decimals_leave_nothing_in_extra():
    numbers = count()
    document = _many(200)
    for annotation in document["annotations"]:
        x, y, width, height = (round(0.37 * (next(numbers) % 997) + 0.01, 2) for _ in range(4))
        annotation["bbox"] = [x, y, width, height]
    annotations = _read(json.dumps(document).encode())
    assert annotations.annotations["extra"].isna().all()
    assert to_coco(annotations) == document


@pytest.mark.parametrize("id_of", [float, str], ids=["floats", "texts"])
def test_ids_that_are_no_whole_numbers_are_the_only_fault_of_those_that_name_them(id_of):
    document = json.loads(_CONTENT)
    for image in document["images"]:
        image["id"] = id_of(image["id"])
    with pytest.raises(AnnotationError, match="id is not a whole number") as caught:
        from_coco(document, where="test")
    assert "unknown image_id" not in str(caught.value)
