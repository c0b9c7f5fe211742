import hashlib
import logging
import os
import struct
import threading
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFile

from annotations.image_cases import clouds, images_table
from recycling.annotations import (
    IMAGE_CHECKS,
    AnnotationError,
    ImageFolder,
    check_images,
)
from recycling.annotations.images.checks import FEATURES


def _bomb(side):
    """A PNG whose header announces many pixels, of which none follow."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + struct.pack(">I", 0)
        + b"IDAT"
        + struct.pack(">I", zlib.crc32(b"IDAT"))
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    clouds(1).save(tmp_path / "good.jpg")
    clouds(2).save(tmp_path / "sub" / "good.png")
    return ImageFolder(tmp_path)


def _problem(folder, name, **size):
    checks = check_images(images_table(name, **size), folder)
    assert len(checks) == 1
    return checks.loc[0, "problem"], checks.loc[0, "detail"]


def test_good_images_have_no_problem_and_both_hashes(folder):
    checks = check_images(images_table("good.jpg", "sub/good.png"), folder)
    assert list(checks.columns) == IMAGE_CHECKS.names
    assert checks["problem"].isna().all()
    assert checks["duplicate_of"].isna().all()
    assert checks["file_name"].tolist() == ["good.jpg", "sub/good.png"]
    content = (folder.path / "good.jpg").read_bytes()
    assert checks.loc[0, "sha256"] == hashlib.sha256(content).hexdigest()
    assert checks["phash"].str.fullmatch("[0-9a-f]{16}").all()


def test_a_missing_file_is_found(folder):
    checks = check_images(images_table("nowhere.jpg", "good.jpg"), folder)
    assert checks["problem"].fillna("none").tolist() == ["missing", "none"]
    assert "nowhere.jpg" in checks.loc[0, "detail"]


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


def test_a_folder_or_a_pipe_in_place_of_a_file_is_found(folder):
    os.mkfifo(folder.path / "pipe.jpg")
    assert _problem(folder, "sub")[0] == "unreadable"
    assert _problem(folder, "pipe.jpg")[0] == "unreadable"
    assert _problem(folder, "null\0.jpg")[0] == "unreadable"


# Pillow itself refuses the larger one; decoding the smaller one would find it truncated.
@pytest.mark.parametrize("side", [12_000, 50_000])
def test_a_decompression_bomb_is_refused_by_its_header(folder, side, recwarn):
    (folder.path / "bomb.png").write_bytes(_bomb(side))
    assert _problem(folder, "bomb.png")[0] == "too_large"
    assert not recwarn.list


def test_the_largest_size_is_a_setting(folder):
    checks = check_images(images_table("good.jpg"), folder, max_pixels=48 * 32 - 1)
    assert checks.loc[0, "problem"] == "too_large"
    assert "48 x 32" in checks.loc[0, "detail"]


def test_another_size_than_annotated_is_found(folder):
    problem, detail = _problem(folder, "good.jpg", width=50)
    assert problem == "size_mismatch"
    assert detail == "the file is 48 x 32, its entry says 50 x 32"


def test_the_exif_rotation_counts_and_is_named_where_it_is_the_reason(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    clouds(3).save(folder.path / "turned.jpg", exif=exif)
    problem, detail = _problem(folder, "turned.jpg")
    assert problem == "size_mismatch"
    assert "EXIF orientation 6" in detail
    assert pd.isna(_problem(folder, "turned.jpg", width=32, height=48)[0])


# What a viewer has to do with the stored picture, and how the test undoes it.
@pytest.mark.parametrize(
    ("orientation", "undone"), [(2, 0), (3, 3), (4, 1), (5, 5), (6, 2), (7, 6), (8, 4)]
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_turned_picture_is_described_as_it_is_shown(folder, suffix, orientation, undone):
    upright = Image.open(folder.path / "sub" / "good.png")
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright.transpose(Image.Transpose(undone))
    stored.save(folder.path / f"turned.{suffix}", exif=exif)
    checks = check_images(images_table("sub/good.png", f"turned.{suffix}"), folder)
    assert checks["problem"].isna().all()
    assert checks["phash"].nunique() == 1
    assert checks["width"].tolist() == [48, 48]
    described = list(FEATURES[FEATURES.index("brightness") :])
    np.testing.assert_allclose(*checks[described].to_numpy(dtype=float), atol=1e-6)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_damaged_exif_block_is_no_fault_of_theclouds(folder, suffix):
    clouds(3).save(folder.path / f"odd.{suffix}", exif=b"Exif\0\0nonsense and more of it")
    assert pd.isna(_problem(folder, f"odd.{suffix}")[0])


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *((mode, "png") for mode in ("1", "L", "LA", "P", "RGBA", "I;16")),
        *((mode, "tif") for mode in ("PA", "CMYK", "YCbCr", "LAB", "I;16")),
    ],
)
def test_every_kind_of_pixel_can_be_described(folder, mode, suffix):
    grey = clouds(4).convert("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey, dtype=np.uint16) * 257)
    else:
        image = grey.convert("RGB" if mode == "YCbCr" else "L").convert(mode)
    image.save(folder.path / f"x.{suffix}")
    with Image.open(folder.path / f"x.{suffix}") as stored:
        assert stored.mode == mode
    checks = check_images(images_table(f"x.{suffix}"), folder)
    assert pd.isna(checks.loc[0, "problem"])
    assert checks[["phash", *FEATURES]].notna().all(axis=None)


def test_pictures_are_described_in_numbers(folder):
    for name, colour in (("black", (0, 0, 0)), ("white", (255, 255, 255)), ("red", (255, 0, 0))):
        Image.new("RGB", (40, 20), colour).save(folder.path / f"{name}.png")
    fine = (np.indices((256, 256)).sum(axis=0) // 2 % 2 * 255).astype(np.uint8)
    Image.fromarray(fine).save(folder.path / "fine.png")
    Image.fromarray(fine).resize((32, 32)).resize((256, 256)).save(folder.path / "blurred.png")
    names = ["black", "white", "red", "fine", "blurred"]
    checks = check_images(images_table(*[f"{name}.png" for name in names]), folder)
    table = checks[list(FEATURES)].set_axis(names)
    assert table.loc["red", ["red", "green", "blue", "saturation"]].tolist() == [1, 0, 0, 1]
    assert table.loc["red", "brightness"] == pytest.approx(0.299, abs=0.005)  # ITU-R 601's share
    assert table.loc["black", ["brightness", "contrast", "sharpness"]].tolist() == [0, 0, 0]
    assert table.loc["white", ["brightness", "contrast", "saturation"]].tolist() == [1, 0, 0]
    assert table.loc["fine", "sharpness"] > 10 * table.loc["blurred", "sharpness"]
    assert table.loc["fine", "contrast"] > table.loc["blurred", "contrast"]
    assert table[["width", "height"]].to_numpy().tolist() == [[40, 20]] * 3 + [[256, 256]] * 2
    assert table.loc["fine", "file_size"] == (folder.path / "fine.png").stat().st_size


def test_what_was_not_decoded_is_not_described(folder):
    content = (folder.path / "good.jpg").read_bytes()
    (folder.path / "cut.jpg").write_bytes(content[:-40])
    (folder.path / "bomb.png").write_bytes(_bomb(12_000))
    checks = check_images(images_table("cut.jpg", "bomb.png", "nowhere.jpg"), folder)
    assert checks["problem"].tolist() == ["truncated", "too_large", "missing"]
    described = [name for name in ("phash", *FEATURES) if name != "file_size"]
    assert checks[described].isna().all(axis=None)
    sizes = [(folder.path / name).stat().st_size for name in ("cut.jpg", "bomb.png")]
    assert checks["file_size"].tolist() == [*sizes, pd.NA]


def test_two_rows_of_one_file_are_both_answered(folder):
    images = images_table("good.jpg", "sub/good.png", "good.jpg").assign(width=[48, 48, 50])
    checks = check_images(images, folder)
    assert checks["image_id"].tolist() == [1, 2, 3]
    assert checks.loc[2, "problem"] == "size_mismatch"
    assert checks.loc[2, "duplicate_of"] == 1


def test_progress_is_shown(folder, capsys):
    check_images(images_table("good.jpg", "sub/good.png"), folder)
    shown = capsys.readouterr().out
    assert "checking images" in shown
    assert "2/2" in shown


def test_files_are_opened_side_by_side(folder, monkeypatch):
    """A format whose pictures open only while another one is being opened, too."""
    meeting = threading.Barrier(2, timeout=10)

    class Meeting(ImageFile.ImageFile):
        format = "MEETING"

        def _open(self):
            meeting.wait()
            raise SyntaxError("met")

    monkeypatch.setattr(Image, "ID", [*Image.ID, "MEETING"])
    monkeypatch.setitem(Image.OPEN, "MEETING", (Meeting, lambda start: start.startswith(b"MEET")))
    for name in ("a.jpg", "b.jpg"):
        (folder.path / name).write_bytes(b"MEETING")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    check_images(images_table("a.jpg", "b.jpg"), folder)
    assert not meeting.broken


def test_copies_point_to_the_image_of_the_lowest_id(folder):
    content = (folder.path / "good.jpg").read_bytes()
    (folder.path / "copy.jpg").write_bytes(content)
    images = images_table("good.jpg", "copy.jpg", "sub/good.png").iloc[::-1]
    checks = check_images(images, folder).set_index("image_id")
    assert checks["duplicate_of"].dropna().to_dict() == {2: 1}
    assert checks.loc[2, "problem"] == "duplicate"
    assert checks.loc[2, "detail"] == "the same bytes as image 1"


def test_a_missing_folder_is_said_once(tmp_path, caplog):
    nowhere = ImageFolder(tmp_path / "nowhere")
    images = images_table(*[f"{number}.jpg" for number in range(40)])
    with pytest.raises(AnnotationError, match="nowhere: no such image folder; 40 images"):
        check_images(images, nowhere)
    with caplog.at_level(logging.WARNING):
        checks = check_images(images, nowhere, missing_folder="warn")
    assert len(caplog.records) == 1
    assert checks.empty
    assert list(checks.columns) == IMAGE_CHECKS.names
