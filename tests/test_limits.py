"""What is too large is refused in one line, in bounded memory and time, before it is decoded."""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from recycling.limits import Limits, limits, open_image, set_limits

MEGABYTES, SECONDS = 1000, 20
"""Most memory beyond what the process had, and most time, that a refusal may take."""

N_CORNERS = 10_000_000

VOC = "<annotation><size><width>9</width><height>9</height></size>{}</annotation>"
BOX = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox>"
BILLION = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "lol"}">' for n in range(10))


def refused(reader: str, path: Path, **environment: str) -> str:
    """The line in which a process of its own refuses a file."""
    ended = subprocess.run(
        [sys.executable, Path(__file__).with_name("hostile.py"), reader, path],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    facts = json.loads(ended.stdout.splitlines()[-1])
    assert facts["megabytes"] < MEGABYTES
    assert facts["seconds"] < SECONDS
    said: str = facts["said"]
    assert said, "it was read"
    assert "\n" not in said
    return said


def png(path: Path, side: int) -> Path:
    """A whole PNG, black, of a bit a pixel."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    packer = zlib.compressobj(1)
    row = bytes(1 + (side + 7) // 8)
    pixels = b"".join(packer.compress(row * 100) for _ in range(side // 100)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
    return path


def sparse(path: Path, size: int = 20 << 30) -> Path:
    """A file that says it is large, and takes no room."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


def sidecars(folder: Path, name: str, text: str) -> Path:
    """A folder of labels with a file for one image, and that image."""
    for each in ("labels", "images"):
        (folder / each).mkdir()
    Image.new("RGB", (9, 9)).save(folder / "images/a.png")
    (folder / "data.yaml").write_text("names: [a]\n")
    (folder / "labels" / name).write_text(text)
    return folder


def coco(annotation: str, **more: Any) -> str:
    images = [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}]
    rest = json.dumps({"images": images, "categories": [{"id": 0, "name": "a"}], **more})
    return f'{rest[:-1]}, "annotations": [{annotation}]}}'


def annotation(segmentation: str) -> str:
    own = '"id": 1, "image_id": 1, "category_id": 0, "bbox": [1, 1, 4, 4]'
    return f'{{{own}, "segmentation": {segmentation}}}'


# Images -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [13_000, 50_000])
@pytest.mark.parametrize("reader", ["image", "checks", "label map"])
def test_an_image_of_too_many_pixels_is_refused(reader: str, side: int, tmp_path: Path) -> None:
    said = refused(reader, png(tmp_path / "1.png", side))
    if reader == "label map":
        assert "1.png: not a label map" in said
    else:
        assert ("too_large" if reader == "checks" else "1.png: cannot be read") in said
        assert f"{side} x {side} is more than" in said or "exceeds limit" in said


@pytest.mark.parametrize("reader", ["image", "checks"])
def test_an_image_file_of_20_gigabytes_is_refused(reader: str, tmp_path: Path) -> None:
    assert refused(reader, sparse(tmp_path / "1.png"))


def test_the_most_pixels_are_a_setting_that_other_processes_inherit(tmp_path: Path) -> None:
    path = tmp_path / "1.png"
    Image.new("RGB", (20, 10)).save(path)
    environment = {"RECYCLING_LIMITS": Limits(max_pixels=199).model_dump_json()}
    assert "20 x 10 is more than 199 pixels" in refused("image", path, **environment)


def test_an_image_file_of_more_bytes_than_its_pixels_have_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(path := tmp_path / "1.png")
    os.truncate(path, 17 << 20)
    environment = {"RECYCLING_LIMITS": Limits(max_pixels=99).model_dump_json()}
    assert "1.png: cannot be read as an image: more than" in refused("image", path, **environment)


def test_a_pipe_in_a_folder_of_images_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "1.png")
    assert "1.png: cannot be read as an image: not a file" in refused("image", path)
    assert "there is no image" in refused("unlabelled", tmp_path)


def tiled(path: Path, side: int, tile: int) -> Path:
    """A TIFF of one tile of zeros, of a byte a pixel."""
    content = zlib.compress(bytes(tile * tile))
    tags = {256: side, 257: side, 258: 8, 259: 8, 262: 1, 277: 1, 322: tile, 323: tile}
    tags |= {324: 8, 325: len(content)}
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags.items())
    head = struct.pack("<2sHL", b"II", 42, 8 + len(content))
    path.write_bytes(head + content + struct.pack("<H", len(tags)) + entries + bytes(4))
    return path


@pytest.mark.parametrize("reader", ["image", "checks"])
def test_a_small_tiff_of_a_large_tile_is_refused(reader: str, tmp_path: Path) -> None:
    assert open_image(tiled(tmp_path / "0.tif", 16, 64)).size == (16, 16)
    path = tiled(tmp_path / "1.tif", 16, 4096)
    environment = {"RECYCLING_LIMITS": Limits(max_pixels=10**7).model_dump_json()}
    said = refused(reader, path, **environment)
    assert "1 tiles of 4096 x 4096 are far more than 10000000 pixels" in said


def test_jpeg_2000_is_no_format_of_images(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.jp2")
    (tmp_path / "a.jp2").rename(tmp_path / "a.jpg")
    assert "a.jpg: cannot be read as an image: not an" in refused("image", tmp_path / "a.jpg")


def test_limits_hold_where_they_are_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECYCLING_LIMITS", "{}")  # put back at the end
    path = tmp_path / "1.png"
    Image.new("RGB", (20, 10)).save(path)
    set_limits(Limits(max_pixels=199, links="anywhere"))
    assert limits().links == "anywhere"
    with pytest.raises(ValueError, match="20 x 10 is more than 199 pixels"):
        open_image(path)
    set_limits(Limits())
    assert open_image(path).size == (20, 10)


# Archives ---------------------------------------------------------------------------------------


def test_a_gzip_file_that_unpacks_to_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(bytes(100 << 20), 1))
    environment = {"RECYCLING_LIMITS": Limits(max_bytes=50 << 20).model_dump_json()}
    assert "more than 52,428,800 bytes; is it the right file?" in refused(
        "coco", path, **environment
    )


@pytest.mark.slow
def test_a_gzip_file_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(bytes(100 << 20), 1) * 50)
    assert "more than 4,294,967,296 bytes; is it the right file?" in refused("coco", path)


def test_a_coco_file_of_20_gigabytes_is_refused(tmp_path: Path) -> None:
    path = sparse(tmp_path / "a.json")
    assert "more than 4,294,967,296 bytes; is it the right file?" in refused("coco", path)
    assert "a.json: not read as COCO" in refused("recognise", with_class_folders(tmp_path))


def with_class_folders(folder: Path) -> Path:
    for name in "ab":
        (folder / name).mkdir()
        Image.new("RGB", (9, 9)).save(folder / name / "1.png")
    return folder


@pytest.mark.parametrize("shape", [(11, 30_000, 30_000), (11, 10**7, 10**7)])
def test_probabilities_that_unpack_to_gigabytes_are_refused(
    shape: tuple[int, int, int], tmp_path: Path
) -> None:
    header = str({"descr": "|u1", "fortran_order": False, "shape": shape}).encode().ljust(117)
    with (
        zipfile.ZipFile(tmp_path / "1.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("planes.npy", "w", force_zip64=True) as file,
    ):
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header + b"\n")
        for _ in range(6 if shape[1] < 10**6 else 1):
            file.write(bytes(100 << 20))
    said = refused("planes", tmp_path / "1.npz")
    assert "1.npz: not a file of probability planes, or damaged" in said


# Depth and length -------------------------------------------------------------------------------

DEEP = "[" * 10_000 + "]" * 10_000


@pytest.mark.parametrize(
    "text",
    [
        DEEP,
        '{"a":' * 10_000 + "1" + "}" * 10_000,
        coco(annotation(DEEP)),
        coco("", info={}).replace("{}", DEEP),
        coco(annotation("[[1, 1, 5, 1, NaN, 5]]"), info={}).replace("{}", DEEP),
    ],
)
def test_json_that_is_nested_10_000_deep_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    assert "a.json: " in refused("coco", tmp_path / "a.json")


def test_what_a_checkpoint_says_10_000_deep_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.json").write_text(DEEP)
    assert "checkpoint.json: not a checkpoint" in refused("checkpoint", tmp_path)


@pytest.mark.parametrize("inside", ["&l9;", "<object><name>&l9;</name></object>"])
def test_a_billion_laughs_are_refused(inside: str, tmp_path: Path) -> None:
    text = f"<!DOCTYPE annotation [{BILLION}]>{VOC.format(inside)}"
    folder = sidecars(tmp_path, "a.xml", text)
    assert "damaged or not XML, correct or remove it: a.xml" in refused("voc", folder)


def test_a_billion_laughs_in_yaml_are_refused(tmp_path: Path) -> None:
    folder = sidecars(tmp_path, "a.txt", "0 0.5 0.5 0.2 0.2")
    lines = ["l0: &l0 [lol, lol]", *(f"l{n}: &l{n} [*l{n - 1}, *l{n - 1}]" for n in range(1, 40))]
    (folder / "data.yaml").write_text("\n".join([*lines, "names: [*l39]"]))
    assert "line 2: an alias (*), write out what it stands for" in refused("yolo", folder)


@pytest.mark.parametrize("text", [DEEP, "{a: " * 10_000, "? " * 10_000])
def test_yaml_that_is_nested_10_000_deep_is_refused(text: str, tmp_path: Path) -> None:
    folder = sidecars(tmp_path, "a.txt", "0 0.5 0.5 0.2 0.2")
    (folder / "data.yaml").write_text(f"names: {text}")
    assert "data.yaml: cannot be read" in refused("yolo", folder)


def test_a_file_of_names_of_more_than_a_megabyte_is_refused(tmp_path: Path) -> None:
    folder = sidecars(tmp_path, "a.txt", "0 0.5 0.5 0.2 0.2")
    (folder / "data.yaml").write_text("names: [a]\n" + "#" * (1 << 20))
    said = refused("yolo", folder)
    assert "data.yaml: cannot be read: more than 1,048,576 bytes; correct it" in said


def test_a_csv_file_of_more_than_its_share_is_refused(tmp_path: Path) -> None:
    rows = "".join(f"{n}.png,1,2\n" for n in range(1000))
    (tmp_path / "a.csv").write_text(f"file_name,a,b\n{rows}")
    environment = {"RECYCLING_LIMITS": Limits(max_bytes=10_000 * 32).model_dump_json()}
    said = refused("classes", tmp_path / "a.csv", **environment)
    assert "a.csv: cannot be read as CSV in UTF-8: more than 10,000 bytes, max_bytes of" in said


def test_a_program_of_ghostscripts_is_no_image(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    for reader in ("image", "checks"):
        assert "a.png" in (said := refused(reader, tmp_path / "a.png")) or "unreadable" in said


def test_an_outline_on_an_image_of_a_billion_pixels_a_side_is_refused(tmp_path: Path) -> None:
    text = coco(annotation("[[0, 0, 900000000, 0, 900000000, 900000000]]"))
    large = '"width": 1000000000, "height": 1000000000'
    (tmp_path / "a.json").write_text(text.replace('"width": 9, "height": 9', large))
    said = refused("coco", tmp_path / "a.json")
    assert "an outline on an image of more than 89478485 pixels" in said


def test_columns_of_labels_that_make_a_billion_classes_are_refused(tmp_path: Path) -> None:
    rows = [f"{n}.png,{n},{n},{n}" for n in range(1000)]
    (tmp_path / "a.csv").write_text("\n".join(["file_name,a,b,c", *rows]))
    said = refused("classes", tmp_path / "a.csv")
    assert "a, b, c make 1,000,000,000 classes, a class of each combination; name fewer" in said


def test_xml_that_is_nested_a_million_deep_is_refused(tmp_path: Path) -> None:
    folder = sidecars(tmp_path, "a.xml", VOC.format("<a>" * 10**6))
    assert "a.xml" in refused("voc", folder)


@pytest.mark.parametrize("number", ["1.5", "1"])
def test_a_polygon_of_ten_million_corners_is_refused(number: str, tmp_path: Path) -> None:
    polygon = f"[[{', '.join([number] * (2 * N_CORNERS))}]]"
    (tmp_path / "a.json").write_text(coco(annotation(polygon)))
    said = refused("coco", tmp_path / "a.json")
    assert "more than 32 MB, remove it or simplify its polygons: annotations[0]" in said


def test_a_polygon_of_ten_million_corners_in_xml_is_refused(tmp_path: Path) -> None:
    corners = "".join(f"<x{n}>1</x{n}><y{n}>1</y{n}>" for n in range(N_CORNERS // 5))
    text = VOC.format(f"<object><name>a</name>{BOX}<polygon>{corners}</polygon></object>")
    folder = sidecars(tmp_path, "a.xml", text)
    assert "larger than 32 MB, remove it or simplify its polygons: a.xml" in refused("voc", folder)


def test_a_polygon_of_ten_million_corners_in_a_line_is_refused(tmp_path: Path) -> None:
    folder = sidecars(tmp_path, "a.txt", "0" + " 0.1" * (2 * N_CORNERS))
    assert "larger than 32 MB, remove it or simplify its polygons: a.txt" in refused("yolo", folder)
