import hashlib
import logging
import struct
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from recycling.annotations import (
    IMAGE_CHECKS,
    IMAGES,
    AnnotationError,
    ImageFolder,
    check_images,
    near_duplicate_groups,
)


def _picture(seed, size=(48, 32)):
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def _bomb():
    """A PNG whose header announces 50,000 x 50,000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + struct.pack(">I", 0)
        + b"IDAT"
        + struct.pack(">I", zlib.crc32(b"IDAT"))
    )


def _images(*names, width=48, height=32):
    return IMAGES.conform(
        pd.DataFrame(
            {
                "image_id": range(1, len(names) + 1),
                "file_name": names,
                "width": width,
                "height": height,
                "group": [str(number) for number in range(1, len(names) + 1)],
                "extra": None,
            }
        ),
        where="test",
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    _picture(1).save(tmp_path / "good.jpg")
    _picture(2).save(tmp_path / "sub" / "good.png")
    return ImageFolder(tmp_path)


def _problem(folder, name, **size):
    checks = check_images(_images(name, **size), folder)
    assert len(checks) == 1
    return checks.loc[0, "problem"], checks.loc[0, "detail"]


def test_good_images_have_no_problem_and_both_hashes(folder):
    checks = check_images(_images("good.jpg", "sub/good.png"), folder, workers=2)
    assert list(checks.columns) == IMAGE_CHECKS.names
    assert checks["problem"].isna().all()
    assert checks["duplicate_of"].isna().all()
    assert checks["file_name"].tolist() == ["good.jpg", "sub/good.png"]
    content = (folder.path / "good.jpg").read_bytes()
    assert checks.loc[0, "sha256"] == hashlib.sha256(content).hexdigest()
    assert checks["phash"].str.fullmatch("[0-9a-f]{16}").all()


def test_a_missing_file_is_found(folder):
    problem, detail = _problem(folder, "nowhere.jpg")
    assert problem == "missing"
    assert "nowhere.jpg" in detail


@pytest.mark.parametrize("share", [0.7, 0.9])
@pytest.mark.parametrize("name", ["good.jpg", "sub/good.png"])
def test_a_file_that_is_cut_off_is_found(folder, name, share):
    content = (folder.path / name).read_bytes()
    (folder.path / name).write_bytes(content[: int(len(content) * share)])
    problem, detail = _problem(folder, name)
    assert problem == "truncated"
    assert detail


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xd8\xff"])
def test_a_file_that_is_no_image_is_found(folder, content):
    (folder.path / "good.jpg").write_bytes(content)
    assert _problem(folder, "good.jpg")[0] == "unreadable"


def test_a_folder_in_place_of_a_file_is_found(folder):
    assert _problem(folder, "sub")[0] == "unreadable"


def test_a_decompression_bomb_is_refused_by_its_header(folder):
    (folder.path / "bomb.png").write_bytes(_bomb())
    assert _problem(folder, "bomb.png")[0] == "too_large"


def test_the_largest_size_is_a_setting(folder):
    checks = check_images(_images("good.jpg"), folder, max_pixels=48 * 32 - 1)
    assert checks.loc[0, "problem"] == "too_large"
    assert "48 x 32" in checks.loc[0, "detail"]


def test_another_size_than_annotated_is_found(folder):
    problem, detail = _problem(folder, "good.jpg", width=50)
    assert problem == "size_mismatch"
    assert detail == "the file is 48 x 32, its entry says 50 x 32"


def test_the_exif_rotation_counts_and_is_named_where_it_is_the_reason(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    _picture(3).save(folder.path / "turned.jpg", exif=exif)
    problem, detail = _problem(folder, "turned.jpg")
    assert problem == "size_mismatch"
    assert "EXIF orientation 6" in detail
    assert pd.isna(_problem(folder, "turned.jpg", width=32, height=48)[0])


def test_copies_point_to_the_image_of_the_lowest_id(folder):
    content = (folder.path / "good.jpg").read_bytes()
    (folder.path / "copy.jpg").write_bytes(content)
    images = _images("good.jpg", "copy.jpg", "sub/good.png").iloc[::-1]
    checks = check_images(images, folder).set_index("image_id")
    assert checks["duplicate_of"].dropna().to_dict() == {2: 1}
    assert checks.loc[2, "problem"] == "duplicate"
    assert checks.loc[2, "detail"] == "the same bytes as image 1"


def test_a_missing_folder_is_said_once(tmp_path, caplog):
    nowhere = ImageFolder(tmp_path / "nowhere")
    images = _images(*[f"{number}.jpg" for number in range(40)])
    with pytest.raises(AnnotationError, match="nowhere: no such image folder; 40 images"):
        check_images(images, nowhere)
    with caplog.at_level(logging.WARNING):
        checks = check_images(images, nowhere, missing_folder="warn")
    assert len(caplog.records) == 1
    assert checks.empty
    assert list(checks.columns) == IMAGE_CHECKS.names


def _checks(hashes):
    return pd.DataFrame(
        {"image_id": range(1, len(hashes) + 1), "phash": pd.array(hashes, dtype="string")}
    )


def test_images_within_the_distance_share_a_group_and_likeness_carries_over():
    images = _images(*"abcdef")
    images.loc[4, "group"] = "5"
    hashes = [f"{value:016x}" for value in (0, 0b11, 0b1111, 0xFFFF << 40, 0xFFFF)]
    checks = _checks([*hashes, None])
    grouped = near_duplicate_groups(images, checks, max_distance=2)
    assert grouped["group"].tolist() == ["1", "1", "1", "4", "5", "6"]
    same = near_duplicate_groups(images, checks, max_distance=1)
    assert same["group"].tolist() == images["group"].tolist()


def test_existing_groups_are_joined_never_taken_apart():
    images = _images(*"abcd").assign(group=pd.array(["x", "y", "x", "y"], dtype="string"))
    far = [f"{value:016x}" for value in (0, 0xFFF, 0xFFFFFF, 0xFFFFFFFFF)]
    apart = near_duplicate_groups(images, _checks(far))
    assert apart["group"].tolist() == ["x", "y", "x", "y"]
    joined = near_duplicate_groups(images, _checks([far[0], far[1], far[2], far[2]]))
    assert joined["group"].tolist() == ["x", "x", "x", "x"]


def test_grouping_does_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(0)
    images = _images(*[f"{number}.jpg" for number in range(700)])
    near = rng.integers(0, 40, 700).astype(np.uint64) << np.uint64(50)
    checks = _checks([f"{value:016x}" for value in near])
    expected = near_duplicate_groups(images, checks, max_distance=0).set_index("image_id")["group"]
    assert expected.nunique() == len(set(near.tolist()))
    shuffled = images.sample(frac=1, random_state=1)
    got = near_duplicate_groups(shuffled, checks.iloc[::-1], max_distance=0)
    assert got["image_id"].tolist() == shuffled["image_id"].tolist()
    pd.testing.assert_series_equal(got.set_index("image_id")["group"].sort_index(), expected)


def test_a_photograph_saved_again_is_a_near_duplicate(folder):
    _picture(1).resize((52, 36)).save(folder.path / "again.jpg", quality=40)
    images = _images("good.jpg", "again.jpg", "sub/good.png")
    grouped = near_duplicate_groups(images, check_images(images, folder))
    assert grouped["group"].tolist() == ["1", "1", "3"]
