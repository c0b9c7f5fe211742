"""One file has one size and one orientation, whoever reads it."""

import numpy as np
import pytest
from PIL import Image

from annotations.image_cases import images_table
from recycling.annotations import (
    ImageFolder,
    check_images,
    read_pascal_voc,
    read_yolo,
)
from recycling.annotations.formats.class_labels import read_class_csv
from recycling.annotations.images.decoding import UnreadableImageError, image_size, read_image
from recycling.reporting.grids import read_image as drawn_image

WIDTH, HEIGHT = 60, 40
KINDS = {
    "jpg": {"quality": 95},
    "png": {},
    "webp": {"lossless": True},
    "avif": {"quality": 95},
    "tif": {},
}
# Of a picture whose top left corner is red and bottom right corner blue: where EXIF puts them.
CORNERS = {
    1: (0, 0),
    2: (0, -1),
    3: (-1, -1),
    4: (-1, 0),
    5: (0, 0),
    6: (0, -1),
    7: (-1, -1),
    8: (-1, 0),
}


def _saved(folder, ending, orientation):
    pixels = np.full((HEIGHT, WIDTH, 3), 128, dtype=np.uint8)
    pixels[:12, :18] = [250, 10, 10]
    pixels[-12:, -18:] = [10, 10, 250]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = folder / f"{orientation}.{ending}"
    Image.fromarray(pixels).save(path, exif=exif, **KINDS[ending])
    return path


@pytest.fixture(params=[(ending, turn) for ending in KINDS for turn in range(1, 9)], ids=str)
def turned(request, tmp_path):
    """A file, its size as shown, and where its red corner is."""
    ending, orientation = request.param
    folder = tmp_path / "images"
    folder.mkdir()
    shown = (HEIGHT, WIDTH) if orientation > 4 else (WIDTH, HEIGHT)
    return _saved(folder, ending, orientation), shown, CORNERS[orientation]


def _is_red_at(pixels, corner):
    y, x = (3 if place == 0 else -4 for place in corner)
    return np.abs(pixels[y, x].astype(int) - [250, 10, 10]).max() < 12


def test_every_reader_sees_one_size_and_one_orientation(turned, tmp_path):
    path, shown, corner = turned
    folder = ImageFolder(path.parent)
    pixels = read_image(path)
    assert pixels.shape == (shown[1], shown[0], 3)
    assert _is_red_at(pixels, corner)
    assert image_size(path) == shown
    assert (drawn_image(folder, path.name) == pixels).all()
    assert [_size(tables) for tables in _read_by_formats(tmp_path, path)] == [shown] * 3
    checks = check_images(images_table(path.name, width=shown[0], height=shown[1]), folder).iloc[0]
    assert (checks["width"], checks["height"]) == shown
    assert checks.isna()["problem"]
    # An AVIF file that is not turned says nothing of a turn.
    assert checks.isna()["orientation"] or checks["orientation"] == int(path.stem)
    assert path.stem == "1" or not checks.isna()["orientation"]


def test_trainings_see_the_size_and_the_orientation_that_checks_see(turned):
    loading = pytest.importorskip("recycling.backends.mmengine_backend.data.image_cache")
    path, _, corner = turned
    pixels = loading.decoded(str(path))[..., ::-1]
    assert (pixels == read_image(path)).all()
    assert _is_red_at(pixels, corner)


def test_detectron2_sees_them_too(turned):
    pytest.importorskip("detectron2")
    from recycling.backends.detectron2_backend.records import read_record

    path, shown, _ = turned
    record = {"file_name": str(path), "width": shown[0], "height": shown[1]}
    assert (read_record(record, "RGB") == read_image(path)).all()
    assert (read_record(record, "BGR")[..., ::-1] == read_image(path)).all()


def _size(tables):
    return tuple(tables.images[["width", "height"]].iloc[0].tolist())


def _read_by_formats(folder, path):
    labels = folder / "labels"
    labels.mkdir()
    (labels / f"{path.stem}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (folder / "data.yaml").write_text("names: [can]\n")
    (folder / "a.csv").write_text(f"file_name,label\n{path.name},can\n")
    xml = folder / "xml"
    xml.mkdir()
    (xml / f"{path.stem}.xml").write_text("<annotation></annotation>")
    yield read_yolo(labels, path.parent, folder / "data.yaml")
    yield read_pascal_voc(xml, path.parent)
    yield read_class_csv(folder / "a.csv", path.parent)


def test_16_bits_become_8_by_their_range(tmp_path):
    grey = np.array([[0, 256, 2200], [49200, 65279, 65535]], dtype=np.uint16)
    for ending in ("png", "tif"):
        Image.fromarray(grey).save(tmp_path / f"a.{ending}")
        pixels = read_image(tmp_path / f"a.{ending}")
        assert pixels[..., 0].tolist() == [[0, 1, 8], [192, 254, 255]]
        assert (pixels == pixels[..., :1]).all()


@pytest.mark.parametrize(("dtype", "kind"), [(np.float32, "float32"), (np.int32, "int32")])
def test_pixels_without_black_and_white_are_unreadable_and_said(tmp_path, dtype, kind, caplog):
    Image.fromarray(np.ones((4, 6), dtype=dtype)).save(tmp_path / "a.tif")
    Image.new("RGB", (6, 4)).save(tmp_path / "b.png")
    with pytest.raises(UnreadableImageError, match=rf"a.tif: pixels of type {kind}"):
        read_image(tmp_path / "a.tif")
    table = images_table("a.tif", "b.png", width=6, height=4)
    checks = check_images(table, ImageFolder(tmp_path))
    assert checks["problem"].iloc[0] == "unreadable"
    assert f"1 of 2 images cannot be used: 1 x pixels of type {kind}" in caplog.text


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_images_of_every_mode_become_rgb(tmp_path, mode):
    ending = "tif" if mode == "CMYK" else "png"
    Image.new("RGB", (3, 2), "white").convert(mode).save(tmp_path / f"a.{ending}")
    assert read_image(tmp_path / f"a.{ending}").tolist() == [[[255, 255, 255]] * 3] * 2


def test_a_damaged_file_is_told_by_its_name(tmp_path):
    Image.effect_noise((64, 64), 90).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(
        UnreadableImageError, match=r"a.jpg: cannot be read as an image: .*truncated"
    ):
        read_image(tmp_path / "a.jpg")
