"""The fingerprints of files and folders."""

from __future__ import annotations

import os
import time

import pytest

from recycling.fingerprints.content import ContentCache, fingerprint, fingerprint_by_names


@pytest.fixture
def cache(tmp_path):
    return ContentCache(tmp_path / ".cache.json")


def test_a_file_goes_by_its_bytes_and_not_by_its_time(tmp_path, cache):
    path = tmp_path / "a.csv"
    path.write_text("one")
    before = fingerprint(path, cache)
    os.utime(path, (1, 1))
    assert fingerprint(path, cache) == before
    path.write_text("two")
    os.utime(path, (1, 1))
    assert fingerprint(path, cache) != before


def test_a_name_in_a_folder_counts_and_a_hidden_file_does_not(tmp_path, cache):
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner/a.txt").write_text("one")
    before = fingerprint(folder, cache), fingerprint_by_names(folder)
    (folder / ".DS_Store").write_text("hidden")
    assert (fingerprint(folder, cache), fingerprint_by_names(folder)) == before
    (folder / "inner/a.txt").rename(folder / "inner/b.txt")
    after = fingerprint(folder, cache), fingerprint_by_names(folder)
    assert after[0] != before[0]
    assert after[1] != before[1]


def test_a_folder_of_images_goes_by_size_and_time_and_is_not_read(tmp_path):
    path = tmp_path / "folder/a.png"
    path.parent.mkdir()
    path.write_text("one")
    os.utime(path, (5, 5))
    before = fingerprint_by_names(path.parent)
    path.write_text("two")
    os.utime(path, (5, 5))
    assert fingerprint_by_names(path.parent) == before
    os.utime(path, (6, 6))
    assert fingerprint_by_names(path.parent) != before


def test_a_folder_that_links_to_itself_ends(tmp_path, cache):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a.txt").write_text("one")
    (tmp_path / "folder/again").symlink_to(tmp_path / "folder")
    assert fingerprint(tmp_path / "folder", cache).startswith("content of 1 files")


def test_a_file_is_read_once_until_it_changes(tmp_path):
    path, reads = tmp_path / "a.csv", []

    def read(path):
        reads.append(path)
        return path.read_text()

    path.write_text("one")
    os.utime(path, (1, 1))
    for _ in range(2):
        cache = ContentCache(tmp_path / ".cache.json")
        # What was written a moment ago may change again without its time showing it.
        cache.of(path, "text", read)
        cache.of(path, "text", read)
        cache.save()
    assert len(reads) == 2
    time.sleep(2.1)
    for _ in range(2):
        cache = ContentCache(tmp_path / ".cache.json")
        assert cache.of(path, "text", read) == "one"
        cache.save()
    assert len(reads) == 3
    path.write_text("two")
    assert cache.of(path, "text", read) == "two"


def test_a_cache_that_is_cut_off_is_none(tmp_path, cache):
    (tmp_path / ".cache.json").write_text('{"sha256 ')
    path = tmp_path / "a.csv"
    path.write_text("one")
    assert fingerprint(path, ContentCache(tmp_path / ".cache.json")) == fingerprint(path, cache)


def test_links_to_nowhere_and_to_themselves_are_no_files(tmp_path, cache):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.txt").write_text("one")
    before = fingerprint(folder, cache), fingerprint_by_names(folder)
    (folder / "b.txt").symlink_to("nowhere")
    (folder / "c.txt").symlink_to("c.txt")
    assert (fingerprint(folder, cache), fingerprint_by_names(folder)) == before
