"""COCO files are read from and written to wherever fsspec reaches."""

import gzip
import json

import fsspec
import pytest

from recycling.annotations import AnnotationError, from_coco, read_coco, to_coco, write_coco


@pytest.fixture
def memory():
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    if filesystem.exists("/coco"):
        filesystem.rm("/coco", recursive=True)


@pytest.fixture(params=["plain", "path", "file", "memory"])
def place(request, tmp_path, memory):
    """A folder that is not there yet: local as text, as `Path` and as URL; in memory."""
    folder = tmp_path / "new" / "folder"
    return {
        "plain": lambda name: str(folder / name),
        "path": lambda name: folder / name,
        "file": lambda name: f"file://{folder / name}",
        "memory": lambda name: f"memory://coco/folder/{name}",
    }[request.param]


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_a_file_comes_back_from_wherever_it_was_written(document, place, name):
    write_coco(from_coco(document, where="test"), place(name))
    assert to_coco(read_coco(place(name))) == document
    with fsspec.open(str(place(name))) as file:
        content = file.read()
    assert content.startswith(b"\x1f\x8b") == name.endswith(".gz")
    assert json.loads(gzip.decompress(content) if name.endswith(".gz") else content) == document


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_gzip_is_known_by_content_not_by_name(document, place, memory, name):
    write_coco(from_coco(document, where="test"), place("other.json"))
    for content in (gzip.compress(json.dumps(document).encode()), json.dumps(document).encode()):
        with fsspec.open(str(place(name)), "wb") as file:
            file.write(content)
        assert to_coco(read_coco(place(name))) == document


def test_the_same_annotations_give_the_same_bytes_everywhere(document, tmp_path, memory):
    annotations = from_coco(document, where="test")
    write_coco(annotations, tmp_path / "a.json.gz")
    write_coco(annotations, "memory://coco/b.json.gz")
    assert memory.cat_file("/coco/b.json.gz") == (tmp_path / "a.json.gz").read_bytes()


def test_a_write_that_fails_leaves_the_old_file_and_no_other(document, place):
    annotations = from_coco(document, where="test")
    write_coco(annotations, place("a.json"))
    annotations.extra["unwritable"] = object()
    with pytest.raises(TypeError):
        write_coco(annotations, place("a.json"))
    assert to_coco(read_coco(place("a.json"))) == document
    filesystem, name = fsspec.url_to_fs(str(place("a.json")))
    assert filesystem.ls(filesystem._parent(name), detail=False) == [name]


def test_storage_options_reach_the_filesystem(document, tmp_path):
    options = {"path": str(tmp_path), "target_protocol": "file"}
    write_coco(from_coco(document, where="test"), "dir://a.json", storage_options=options)
    assert json.loads((tmp_path / "a.json").read_bytes()) == document
    assert to_coco(read_coco("dir://a.json", storage_options=options)) == document


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("memory://coco/nowhere.json", "no such file; check the path in the catalog"),
        ("file:///nowhere/at/all.json", "no such file; check the path in the catalog"),
        ("nothing://a.json", "cannot be reached: Protocol not known: nothing"),
        ("dropbox://a.json", "cannot be reached: .*dropboxdrivefs"),
    ],
)
def test_a_file_that_cannot_be_had_is_named_as_it_was_given_in_one_line(path, message):
    with pytest.raises(AnnotationError, match=message) as error:
        read_coco(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_content_of_a_remote_file_is_faulted_under_its_url(memory):
    memory.pipe_file("/coco/a.json", b"[1]")
    with pytest.raises(AnnotationError, match=r"^memory://coco/a\.json: holds a list"):
        read_coco("memory://coco/a.json")


def test_a_place_that_takes_no_file_is_named_in_one_line(document, tmp_path, memory):
    annotations = from_coco(document, where="test")
    (tmp_path / "file").write_text("")
    memory.pipe_file("/coco/file", b"")
    for path in (tmp_path / "file" / "a.json", "memory://coco/file/a.json"):
        with pytest.raises(AnnotationError, match="cannot be written: ") as error:
            write_coco(annotations, path)
        assert str(error.value).startswith(f"{path}: ")
        assert "\n" not in str(error.value)
    assert memory.ls("/coco", detail=False) == ["/coco/file"]
