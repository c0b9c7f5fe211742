"""COCO files, plain and gzip."""

import gzip
import json
from pathlib import Path

import pytest

from recycling.annotations import AnnotationError, from_coco, read_coco, to_coco, write_coco


@pytest.fixture(params=[str, lambda path: path], ids=["text", "path"])
def place(request, tmp_path):
    """A folder that is not there yet."""
    folder = tmp_path / "new" / "folder"
    return lambda name: request.param(folder / name)


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_a_file_comes_back_from_where_it_was_written(document, place, name):
    write_coco(from_coco(document, where="test"), place(name))
    assert to_coco(read_coco(place(name))) == document
    content = Path(place(name)).read_bytes()
    assert content.startswith(b"\x1f\x8b") == name.endswith(".gz")
    assert json.loads(gzip.decompress(content) if name.endswith(".gz") else content) == document


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_gzip_is_known_by_content_not_by_name(document, tmp_path, name):
    plain = json.dumps(document).encode()
    for content in (gzip.compress(plain), plain):
        (tmp_path / name).write_bytes(content)
        assert to_coco(read_coco(tmp_path / name)) == document


def test_the_same_annotations_give_the_same_bytes(document, tmp_path):
    annotations = from_coco(document, where="test")
    write_coco(annotations, tmp_path / "a.json.gz")
    write_coco(annotations, tmp_path / "b.json.gz")
    assert (tmp_path / "b.json.gz").read_bytes() == (tmp_path / "a.json.gz").read_bytes()


def test_a_write_that_fails_leaves_the_old_file_and_no_other(document, tmp_path):
    annotations = from_coco(document, where="test")
    write_coco(annotations, tmp_path / "a.json")
    annotations.extra["unwritable"] = object()
    with pytest.raises(TypeError):
        write_coco(annotations, tmp_path / "a.json")
    assert to_coco(read_coco(tmp_path / "a.json")) == document
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_file_that_cannot_be_had_is_named_in_one_line(tmp_path):
    for path, message in (
        (tmp_path / "none.json", "no such file; check the path in the catalog"),
        (tmp_path, "cannot be read: Is a directory"),
    ):
        with pytest.raises(AnnotationError) as error:
            read_coco(path)
        assert str(error.value) == f"{path}: {message}"


def test_content_is_faulted_under_the_name_of_its_file(tmp_path):
    (tmp_path / "a.json").write_bytes(b"[1]")
    with pytest.raises(AnnotationError, match=r"/a\.json: holds a list"):
        read_coco(tmp_path / "a.json")


def test_a_place_that_takes_no_file_is_named_in_one_line(document, tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "a.json"
    with pytest.raises(AnnotationError, match="cannot be written: ") as error:
        write_coco(from_coco(document, where="test"), path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
