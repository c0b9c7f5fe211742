import pytest

from recycling.annotations import AnnotationError, from_coco, read_tables, to_coco, write_tables


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_tables_on_disk_lose_nothing(document, tmp_path):
    write_tables(from_coco(document, where="test"), tmp_path / "tables")
    assert to_coco(read_tables(tmp_path / "tables")) == document


def test_the_same_annotations_give_the_same_bytes(document, tmp_path):
    annotations = from_coco(document, where="test")
    for name in ("one", "two", "two"):
        write_tables(annotations, tmp_path / name)
    files = _names(tmp_path / "one")
    assert files == ["annotations.parquet", "categories.parquet", "extra.json", "images.parquet"]
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert _names(tmp_path) == ["one", "two"]


def test_a_write_that_fails_leaves_the_old_folder(document, tmp_path):
    annotations = from_coco(document, where="test")
    write_tables(annotations, tmp_path / "tables")
    annotations.extra["unwritable"] = object()
    with pytest.raises(TypeError):
        write_tables(annotations, tmp_path / "tables")
    assert to_coco(read_tables(tmp_path / "tables")) == document
    assert _names(tmp_path) == ["tables"]


@pytest.mark.parametrize("name", ["images.parquet", "extra.json"])
def test_missing_and_damaged_files_are_named_in_one_line(document, tmp_path, name):
    write_tables(from_coco(document, where="test"), tmp_path)
    (tmp_path / name).write_bytes(b"not this")
    with pytest.raises(AnnotationError, match=name) as error:
        read_tables(tmp_path)
    assert "\n" not in str(error.value)
    (tmp_path / name).unlink()
    with pytest.raises(AnnotationError, match=f"{name}: no such file"):
        read_tables(tmp_path)


def test_a_table_of_another_form_names_file_and_column(document, tmp_path):
    annotations = from_coco(document, where="test")
    write_tables(annotations, tmp_path)
    annotations.categories.to_parquet(tmp_path / "images.parquet")
    with pytest.raises(AnnotationError, match=r"images\.parquet: no column 'image_id'"):
        read_tables(tmp_path)
