"""Images are found by folder, file, glob and address, and what cannot be read is said."""

from __future__ import annotations

import os

import fsspec
import numpy as np
import pytest
from PIL import Image

from inference.looking import drawn, write
from recycling.annotations import AnnotationError
from recycling.inference import InferenceError
from recycling.inference.outputs import check_apart
from recycling.inference.sources import decoded, decoded_together, find_images
from recycling.limits import Limits


@pytest.fixture
def folder(tmp_path):
    for name in ("b.png", "a/c.jpg", "a/deep/d.png", ".hidden/e.png"):
        write(tmp_path / name, drawn((20, 10), []))
    (tmp_path / "notes.txt").write_text("none")
    return tmp_path


def names(*paths):
    return [source.name for source in find_images([str(path) for path in paths])]


def test_a_folder_means_all_images_below_it(folder):
    assert names(folder) == ["a/c.jpg", "a/deep/d.png", "b.png"]


def test_files_and_globs_are_named_below_what_they_have_in_common(folder):
    assert names(folder / "b.png") == ["b.png"]
    assert names(folder / "a/**/*.png") == ["deep/d.png"]
    assert names(folder / "b.png", folder / "a") == ["a/c.jpg", "a/deep/d.png", "b.png"]
    assert names(folder, folder / "b.png") == ["a/c.jpg", "a/deep/d.png", "b.png"]


def test_what_is_hidden_is_passed_over_by_globs_too(folder):
    write(folder / "a/.thumbnails/e.png", drawn((20, 10), []))
    write(folder / "a/._d.png", drawn((20, 10), []))
    assert names(folder / "**/*.png") == names(folder / "**/*.p*") == ["a/deep/d.png", "b.png"]
    assert names(folder / ".hidden/*.png") == ["e.png"]  # as of a folder that is named


def test_a_link_that_leads_out_is_refused_in_globs_too(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    write(outside / "secret.png", drawn((20, 10), []))
    (folder / "a/linked").symlink_to(outside)
    (folder / "inside.png").symlink_to(folder / "b.png")
    for path in (folder / "*.png", f"file://{folder}/*.png"):
        assert names(path) == ["b.png", "inside.png"]
    for path in (folder, folder / "a/*/*.png", f"file://{folder}", f"local://{folder}/a/*/*.png"):
        with pytest.raises(AnnotationError, match="outside of the folder") as error:
            names(path)
        assert "\n" not in str(error.value)


def test_photographs_whose_endings_are_not_read_are_told_of(folder, caplog):
    for name in ("a/1.HEIC", "a/2.heic", "a/deep/3.gif", ".hidden/4.heic", "a/._5.heic"):
        (folder / name).touch()
    system = fsspec.filesystem("memory")
    for file in folder.rglob("*.*"):
        if file.is_file():
            system.pipe(f"/photos/{file.relative_to(folder)}", file.read_bytes())
    try:
        for path in (folder, folder / "**/*.*", "memory://photos", "memory://photos/**/*.*"):
            caplog.clear()
            assert names(path) == ["a/c.jpg", "a/deep/d.png", "b.png"]
            (line,) = caplog.messages
            assert line.endswith(
                ": left out by their endings: 1 .gif, 2 .heic; save them as .jpg or .png"
            )
            assert line.startswith(str(path).partition("/*")[0])
    finally:
        system.rm("/photos", recursive=True)
    caplog.clear()
    assert names(folder / "b.png", folder / "a/*.jpg")
    assert not caplog.messages


def test_what_was_written_is_not_predicted_on(folder):
    write(folder / "out/images/b.jpg", drawn((20, 10), []))
    write(folder / "out/label_maps/b.png", drawn((20, 10), []))
    for path in (folder, folder / "**/*.*"):
        found = find_images([str(path)], written=folder / "out")
        assert [source.name for source in found] == ["a/c.jpg", "a/deep/d.png", "b.png"]
    # What is written beside the photographs cannot be told from them by its place.
    assert len(find_images([str(folder / "a")], written=folder)) == 2
    named = find_images([str(folder / "out/images")], written=folder / "out")
    assert [source.name for source in named] == ["b.jpg"]


def test_photographs_are_not_replaced_by_what_is_written(folder):
    for to, path in {".": "images", "images/..": "images/may/*.jpg"}.items():
        write(folder / "images/may/b.jpg", drawn((20, 10), []))
        sources = find_images([str(folder / path)], written=folder / to)
        with pytest.raises(InferenceError, match=r"images: has images to predict on.*--to"):
            check_apart(sources, folder / to)
    check_apart(sources, folder / "out")


def test_a_relative_path_is_one(folder, monkeypatch):
    monkeypatch.chdir(folder / "a")
    assert names("c.jpg") == names("*.jpg") == names("../a/c.jpg") == ["c.jpg"]


def test_addresses_of_fsspec_are_read(folder):
    system = fsspec.filesystem("memory")
    for name in ("b.png", "a/c.jpg"):
        system.pipe(f"/photos/{name}", (folder / name).read_bytes())
    try:
        assert names("memory://photos") == ["a/c.jpg", "b.png"]
        assert names("memory://photos/*.png") == ["b.png"]
        (source,) = find_images(["memory://photos/b.png"])
        assert source.size == (folder / "b.png").stat().st_size
        np.testing.assert_array_equal(decoded(source).pixels, drawn((20, 10), []))
    finally:
        system.rm("/photos", recursive=True)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere", "nowhere: no such file or folder"),
        ("a/*.webp", r"a/\*\.webp: no image there"),
        ("nothing://a/b.jpg", "cannot be reached"),
    ],
)
def test_a_path_that_means_nothing_is_an_error(folder, monkeypatch, path, said):
    monkeypatch.chdir(folder)
    with pytest.raises(InferenceError, match=said):
        find_images([path])


def test_a_changed_file_is_another_source(folder):
    (before,) = find_images([str(folder / "b.png")])
    write(folder / "b.png", drawn((30, 10), []))
    (after,) = find_images([str(folder / "b.png")])
    assert before != after


def test_an_image_is_turned_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    (source,) = find_images([str(tmp_path / "a.jpg")])
    assert decoded(source).pixels.shape == (40, 20, 3)


def test_what_cannot_be_read_is_said_and_the_rest_is_read(folder):
    (folder / "a/c.jpg").write_bytes(b"no image")
    (folder / "b.png").chmod(0o644)
    sources = find_images([str(folder)])
    (folder / "a/deep/d.png").unlink()
    opened = [each for together in decoded_together(sources) for each in together]
    assert [each.source.name for each in opened] == ["a/c.jpg", "a/deep/d.png", "b.png"]
    faults = [each.fault for each in opened]
    assert faults[0].startswith("cannot be read as an image: ")
    assert faults[1] == "cannot be opened: No such file or directory"
    assert faults[2] is None


def test_a_file_of_more_bytes_than_its_pixels_have_is_said_and_not_read(folder, monkeypatch):
    os.truncate(folder / "b.png", 17 << 20)
    monkeypatch.setenv("RECYCLING_LIMITS", Limits(max_pixels=200).model_dump_json())
    faults = [decoded(source).fault for source in find_images([str(folder)])]
    assert faults == [None, None, "cannot be opened: more than 16,778,816 bytes"]


def test_as_many_images_are_in_memory_as_are_asked_for(folder):
    sources = find_images([str(folder)])
    assert [len(together) for together in decoded_together(sources, together=2)] == [2, 1]
