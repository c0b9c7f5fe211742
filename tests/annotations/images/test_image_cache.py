import itertools
import logging
import os
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from annotations import image_cases
from recycling.annotations import ImageCache, ImageFolder, check_images
from recycling.annotations.images import facts
from recycling.limits import Limits

images_table = partial(image_cases.images_table, width=16, height=12)

LONG_AGO = 1_600_000_000  # seconds since 1970


def _draw(path, seed, size=(16, 12), modified=LONG_AGO):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="BMP")  # the size in bytes tells nothing
    os.utime(path, (modified, modified))


@pytest.fixture
def folder(tmp_path):
    for seed, name in enumerate(("a.bmp", "b.bmp", "sub/c.bmp")):
        _draw(tmp_path / "images" / name, seed)
    return ImageFolder(tmp_path / "images")


@pytest.fixture
def cache(tmp_path):
    return ImageCache(tmp_path / "made" / "image_cache.parquet")


@pytest.fixture
def opened(caplog):
    """How many files the last check opened, by its log."""
    caplog.set_level(logging.INFO)

    def number():
        line = [record.getMessage() for record in caplog.records if record.levelname == "INFO"][-1]
        return int(re.search(r"(\d+) are opened", line)[1])

    return number


ALL = ("a.bmp", "b.bmp", "sub/c.bmp")


def test_a_second_run_opens_no_file_that_did_not_change(folder, cache, opened):
    first = check_images(images_table(*ALL), folder, cache=cache)
    assert opened() == 3
    written = cache.path.stat().st_mtime_ns
    # Nothing but reading would show it: other pixels under the same name, size and time.
    _draw(folder.path / "a.bmp", seed=77)
    second = check_images(images_table(*ALL), folder, cache=cache)
    assert opened() == 0
    pd.testing.assert_frame_equal(first, second)
    assert cache.path.stat().st_mtime_ns == written
    assert [path.name for path in cache.path.parent.iterdir()] == [cache.path.name]


@pytest.mark.parametrize(
    "change", [{"modified": LONG_AGO + 1}, {"size": (12, 16)}, {"size": (17, 12)}]
)
def test_a_file_of_another_time_or_size_is_opened_again(folder, cache, opened, change):
    before = check_images(images_table(*ALL), folder, cache=cache)
    modified = LONG_AGO + ("size" in change and change["size"] == (12, 16))  # as many bytes
    _draw(folder.path / "a.bmp", seed=77, **{"modified": modified, **change})
    after = check_images(images_table(*ALL), folder, cache=cache)
    assert opened() == 1
    assert (after["sha256"] != before["sha256"]).tolist() == [True, False, False]
    pd.testing.assert_frame_equal(after, check_images(images_table(*ALL), folder))


def test_a_file_modified_a_moment_ago_is_not_taken_for_unchanged(folder, cache, opened):
    path = folder.path / "a.bmp"
    _draw(path, seed=5)
    os.utime(path)
    status = path.stat()
    before = check_images(images_table(*ALL), folder, cache=cache)
    _draw(path, seed=6)
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))  # within one tick of its clock
    after = check_images(images_table(*ALL), folder, cache=cache)
    assert opened() == 1
    assert after.loc[0, "sha256"] != before.loc[0, "sha256"]


def test_faults_are_remembered_too(folder, cache, opened):
    content = (folder.path / "a.bmp").read_bytes()
    for name, part in (("cut.bmp", content[:300]), ("none.bmp", b""), ("copy.bmp", content)):
        (folder.path / name).write_bytes(part)
        os.utime(folder.path / name, (LONG_AGO, LONG_AGO))
    images = images_table(*ALL, "cut.bmp", "none.bmp", "copy.bmp", "nowhere.bmp")
    first = check_images(images, folder, cache=cache)
    assert first["problem"].tolist()[3:] == ["truncated", "unreadable", "duplicate", "missing"]
    pd.testing.assert_frame_equal(check_images(images, folder, cache=cache), first)
    assert opened() == 1  # a missing file may have come


def test_rows_are_compared_with_what_is_remembered(folder, cache, opened):
    check_images(images_table(*ALL), folder, cache=cache)
    checks = check_images(images_table("b.bmp", "b.bmp", width=20), folder, cache=cache)
    assert opened() == 0
    assert checks["problem"].tolist() == ["size_mismatch"] * 2
    assert checks["duplicate_of"].tolist() == [pd.NA, 1]


@pytest.mark.parametrize(
    "limits", [(50, 192, 50), (191, 192, 1000), (1000, 50, 192), (192, 50, 191)]
)
def test_the_largest_size_holds_whatever_it_was_before(folder, cache, limits):
    for max_pixels in limits:
        expected = check_images(images_table(*ALL), folder, max_pixels=max_pixels)
        checks = check_images(images_table(*ALL), folder, max_pixels=max_pixels, cache=cache)
        pd.testing.assert_frame_equal(checks, expected)


def test_what_was_too_large_is_opened_once_the_limit_allows_it_and_not_before(
    folder, cache, opened
):
    for max_pixels, expected in ((50, 3), (191, 0), (192, 3), (50, 0), (192, 0)):
        check_images(images_table(*ALL), folder, max_pixels=max_pixels, cache=cache)
        assert opened() == expected


def test_what_is_too_large_is_opened_once_the_limit_allows_it(folder, cache, monkeypatch):
    with monkeypatch.context() as strict:
        strict.setenv("RECYCLING_LIMITS", Limits(max_pixels=50).model_dump_json())
        checks = check_images(images_table(*ALL), folder, cache=cache)
        assert checks["problem"].tolist() == ["too_large"] * 3
    assert check_images(images_table(*ALL), folder, cache=cache)["problem"].isna().all()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_opened_once_it_may(folder, cache):
    (folder.path / "a.bmp").chmod(0)
    checks = check_images(images_table("a.bmp"), folder, cache=cache)
    assert checks.loc[0, "problem"] == "unreadable"
    (folder.path / "a.bmp").chmod(0o600)
    assert check_images(images_table("a.bmp"), folder, cache=cache)["problem"].isna().all()


def test_sets_of_images_share_a_cache(folder, tmp_path, cache, opened):
    _draw(tmp_path / "test" / "a.bmp", seed=9)
    sets = [
        (images_table("a.bmp"), folder),
        (images_table("b.bmp", "sub/c.bmp"), folder),
        (images_table("a.bmp"), ImageFolder(tmp_path / "test")),
        (images_table("c.bmp"), ImageFolder(folder.path / "sub")),
    ]
    for (images, where), expected in zip(sets, (1, 2, 1, 0), strict=True):
        check_images(images, where, cache=cache)
        assert opened() == expected
    for images, where in sets:
        check_images(images, where, cache=cache)
        assert opened() == 0


def test_sets_checked_in_threads_keep_one_anothers_entries(tmp_path, cache, opened):
    folders = [ImageFolder(tmp_path / f"part{number}") for number in range(6)]
    for number, where in enumerate(folders):
        _draw(where.path / "a.bmp", seed=number)
    filters = list(warnings.filters)
    with ThreadPoolExecutor(len(folders)) as pool:
        list(
            pool.map(lambda where: check_images(images_table("a.bmp"), where, cache=cache), folders)
        )
    assert warnings.filters == filters
    for where in folders:
        check_images(images_table("a.bmp"), where, cache=cache)
        assert opened() == 0


def test_files_that_are_gone_from_the_folder_are_forgotten(folder, tmp_path, cache):
    other = ImageFolder(tmp_path / "images2")  # not below the first, though its name begins so
    _draw(other.path / "a.bmp", seed=9)
    check_images(images_table("a.bmp"), other, cache=cache)
    check_images(images_table(*ALL), folder, cache=cache)
    (folder.path / "a.bmp").unlink()
    (folder.path / "b.bmp").unlink()
    (other.path / "a.bmp").unlink()
    check_images(images_table("sub/c.bmp", "a.bmp"), folder, cache=cache)
    paths = pd.read_parquet(cache.path)["path"].tolist()
    assert paths == [str(folder.path / "sub" / "c.bmp"), str(other.path / "a.bmp")]


def test_a_damaged_or_foreign_cache_is_said_once_and_made_anew(folder, cache, caplog, opened):
    cache.path.parent.mkdir()
    foreign = pd.DataFrame({"x": [1]}).to_parquet()
    for content in (b"", b"not Parquet", foreign):
        caplog.clear()
        cache.path.write_bytes(content)
        check_images(images_table(*ALL), folder, cache=cache)
        said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len(said) == 1
        assert f"{cache.path}: not a cache of image checks" in said[0]
        assert opened() == 3
        check_images(images_table(*ALL), folder, cache=cache)
        assert opened() == 0


def test_a_cut_cache_is_made_anew(folder, cache, opened):
    check_images(images_table(*ALL), folder, cache=cache)
    whole = cache.path.read_bytes()
    cache.path.write_bytes(whole[: len(whole) // 2])
    check_images(images_table(*ALL), folder, cache=cache)
    assert opened() == 3
    assert cache.path.read_bytes() == whole


def test_a_cache_of_another_version_is_made_anew(folder, cache, caplog, opened):
    check_images(images_table(*ALL), folder, cache=cache)
    entries = pd.read_parquet(cache.path)
    assert all("version 2" in maker for maker in entries.attrs.values())
    entries.attrs = dict.fromkeys(entries.attrs, "version 0")
    entries[["path", "sha256"]].to_parquet(cache.path)
    check_images(images_table(*ALL), folder, cache=cache)
    assert opened() == 3
    check_images(images_table(*ALL), folder, cache=cache)
    assert opened() == 0
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_a_cache_that_cannot_be_written_costs_time_only(folder, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file" / "cache.parquet", folder.path):
        caplog.clear()
        checks = check_images(images_table(*ALL), folder, cache=ImageCache(path))
        pd.testing.assert_frame_equal(checks, check_images(images_table(*ALL), folder))
        assert f"{path}: cannot be written" in caplog.records[-1].getMessage()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "images"]


def test_what_an_interrupted_run_has_seen_is_kept(folder, cache, opened, monkeypatch):
    class Interrupt(ImageFile.ImageFile):
        """A format that a user loses patience with."""

        format = "INTERRUPT"

        def _open(self):
            raise KeyboardInterrupt

    monkeypatch.setattr(Image, "ID", [*Image.ID, "INTERRUPT"])
    monkeypatch.setattr(facts, "FORMATS", (*facts.FORMATS, "INTERRUPT"))
    monkeypatch.setitem(Image.OPEN, "INTERRUPT", (Interrupt, lambda start: start[:4] == b"STOP"))
    (folder.path / "b.bmp").write_bytes(b"STOP")
    with pytest.raises(KeyboardInterrupt):
        check_images(images_table(*ALL), folder, cache=cache)
    check_images(images_table("a.bmp"), folder, cache=cache)
    assert opened() == 0


EDITS = st.tuples(
    st.sampled_from(["a.bmp", "b.bmp", "sub/c.bmp"]),
    st.sampled_from(["draw", "cut", "delete", "empty"]),
    st.integers(0, 2),
)
RUNS = st.tuples(
    st.lists(EDITS, max_size=2),
    st.sets(st.sampled_from(ALL), min_size=1),
    st.sampled_from([100, 192, 400]),
)


@settings(max_examples=10)
@given(st.lists(RUNS, min_size=2, max_size=4))
def test_a_cache_never_changes_a_result(tmp_path_factory, runs):
    root = tmp_path_factory.mktemp("property")
    folder, cache = ImageFolder(root / "images"), ImageCache(root / "cache.parquet")
    folder.path.mkdir()
    clock = itertools.count(LONG_AGO)
    for edits, names, max_pixels in runs:
        for name, kind, seed in edits:
            path = folder.path / name
            _draw(path, seed, size=(16, 12 + seed), modified=next(clock))
            if kind == "delete":
                path.unlink()
            elif kind != "draw":
                path.write_bytes(path.read_bytes()[: 300 if kind == "cut" else 0])
                now = next(clock)
                os.utime(path, (now, now))
        images = images_table(*sorted(names))
        if not any((folder.path / name).exists() for name in names):
            continue  # none at hand is another matter
        expected = check_images(images, folder, max_pixels=max_pixels)
        checks = check_images(images, folder, max_pixels=max_pixels, cache=cache)
        pd.testing.assert_frame_equal(checks, expected)
