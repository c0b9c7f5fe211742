"""What the sample set promises to those who train and test on it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from recycling.sample import CLASSES, WRONG_LABELS, SampleError, SampleSettings, generate_sample
from recycling.sample.__main__ import main
from recycling.sample.defects import plant_in_annotations
from recycling.sample.objects import SIDE
from recycling.sample.scenes import outline

SMALL = SampleSettings(train_images=100, pool_images=12, test_images=12)
PARTS = ("train", "pool", "test")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "sample"
    assert generate_sample(folder, SMALL)
    return folder


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same settings but for the seed."""
    folder = tmp_path_factory.mktemp("made") / "sample"
    generate_sample(folder, replace(SMALL, seed=3))
    return folder


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text())


def defects(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [entry for entry in read(folder, "defects") if entry["kind"] == kind]


def by_id(rows: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {row["id"]: row for row in rows}


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def decode(annotation: dict[str, Any], side: int) -> np.ndarray:
    return decode_polygons(annotation["segmentation"], side)


def decode_polygons(polygons: list[list[float]], side: int) -> np.ndarray:
    runs = coco_mask.merge(coco_mask.frPyObjects(polygons, side, side))
    return np.asarray(coco_mask.decode(runs), bool)


def defective(folder: Path) -> set[int]:
    """The annotations whose box or mask is wrong on purpose."""
    boxes = defects(folder, "box_outside") + defects(folder, "degenerate_box")
    return {entry["annotation_id"] for entry in boxes}


def test_same_seed_gives_the_same_bytes_and_force_builds_again(sample: Path) -> None:
    first = digests(sample)
    (sample / "train.json").write_text("spoilt")
    assert generate_sample(sample, SMALL, force=True) is True
    assert digests(sample) == first
    assert [path.name for path in sample.parent.iterdir()] == ["sample"]


def test_another_seed_gives_other_images(sample: Path, other: Path) -> None:
    first, second = digests(sample / "images"), digests(other / "images")
    assert not set(first.values()) & set(second.values())


def test_layout(sample: Path) -> None:
    assert {path.name for path in sample.iterdir()} == {
        "train.json", "pool.json", "pool_truth.json", "test.json", "defects.json", "settings.json",
        "images",
    }  # fmt: skip
    for part, expected in zip(PARTS, (101, 12, 12), strict=True):
        images = read(sample, part)["images"]
        files = {f"{part}/{path.name}" for path in (sample / "images" / part).iterdir()}
        assert len(images) == expected
        assert {image["file_name"] for image in images} == files
    assert read(sample, "pool")["annotations"] == []
    assert read(sample, "pool_truth")["images"] == read(sample, "pool")["images"]
    assert len(read(sample, "pool_truth")["annotations"]) > 0


def test_every_image_has_the_size_that_its_row_says(sample: Path) -> None:
    for part in PARTS:
        for image in read(sample, part)["images"]:
            pixels = cv2.imread(str(sample / "images" / image["file_name"]))
            assert pixels.shape == (image["height"], image["width"], 3) == (192, 192, 3)


def test_ids_are_unique_across_the_parts(sample: Path) -> None:
    image_ids = [image["id"] for part in PARTS for image in read(sample, part)["images"]]
    annotation_ids = [
        row["id"] for part in ("train", "test") for row in read(sample, part)["annotations"]
    ]
    assert len(set(image_ids)) == len(image_ids)
    assert len(set(annotation_ids)) == len(annotation_ids)


def test_categories_are_those_of_ai_stages_in_their_order(sample: Path) -> None:
    names = [
        "General trash", "Paper", "Paper pack", "Metal", "Glass",
        "Plastic", "Styrofoam", "Plastic bag", "Battery", "Clothing",
    ]  # fmt: skip
    expected = [
        {"id": index + 1, "name": name, "supercategory": name} for index, name in enumerate(names)
    ]
    assert read(sample, "test")["categories"] == expected
    assert read(sample, "pool")["categories"] == expected
    assert read(sample, "train")["categories"][:10] == expected


def test_masks_match_boxes_and_areas(sample: Path) -> None:
    skipped = defective(sample)
    for part in ("train", "test"):
        for row in read(sample, part)["annotations"]:
            if row["id"] in skipped:
                continue
            mask = decode(row, 192)
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            x, y, width, height = row["bbox"]
            assert row["area"] == mask.sum()
            assert (x, y) == (columns[0], rows[0])
            assert (x + width, y + height) == (columns[-1] + 1, rows[-1] + 1)


def test_visible_masks_of_one_image_do_not_overlap(sample: Path) -> None:
    covered = {image["id"]: np.zeros((192, 192), int) for image in read(sample, "test")["images"]}
    for row in read(sample, "test")["annotations"]:
        covered[row["image_id"]] += decode(row, 192)
    assert max(plane.max() for plane in covered.values()) == 1


def test_overlaps_cut_large_masks_into_pieces(sample: Path) -> None:
    rows = read(sample, "train")["annotations"] + read(sample, "test")["annotations"]
    cut = 0
    for row in rows:
        if row["area"] < 400 or len(row["segmentation"]) < 2:
            continue
        mask = decode(row, 192).astype(np.uint8)
        sizes = cv2.connectedComponentsWithStats(mask, connectivity=8)[2][1:, cv2.CC_STAT_AREA]
        cut += (sizes >= 40).sum() >= 2
    assert cut >= 5


def test_tiny_objects_exist(sample: Path) -> None:
    skipped = defective(sample)
    sides = [
        max(row["bbox"][2:])
        for row in read(sample, "train")["annotations"]
        if row["id"] not in skipped
    ]
    tiny = sum(5 <= side <= 14 for side in sides)
    assert tiny >= 5
    assert sum(30 <= side <= 110 for side in sides) > 0.75 * len(sides)


def test_every_class_is_in_every_part(sample: Path, tmp_path: Path) -> None:
    for part in ("train", "test"):
        seen = {row["category_id"] for row in read(sample, part)["annotations"]}
        assert set(range(1, 11)) <= seen


def test_imbalance_follows_the_real_set_softened(sample: Path) -> None:
    counts = Counter(row["category_id"] for row in read(sample, "train")["annotations"])
    by_real_count = sorted(range(10), key=lambda index: CLASSES[index].real_count)
    rarest, commonest = by_real_count[0] + 1, by_real_count[-1] + 1
    assert 1.5 < counts[commonest] / counts[rarest] < 8


def test_group_holds_near_identical_images_and_strangers_differ(sample: Path) -> None:
    copies = {entry["image_id"] for entry in defects(sample, "duplicate_image")}
    groups: dict[str, list[np.ndarray]] = {}
    for part in PARTS:
        for image in read(sample, part)["images"]:
            if image["id"] not in copies:
                path = sample / "images" / image["file_name"]
                grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
                groups.setdefault(image["group"], []).append(grey)
    several = [shots for shots in groups.values() if len(shots) > 1]
    assert {len(shots) for shots in several} == {2, 3}
    assert 0.15 < len(several) / len(groups) < 0.35
    for shots in several:
        assert not np.array_equal(shots[0], shots[1])
        assert all(likeness(shots[0], shot) > 0.85 for shot in shots[1:])
    alone = [shots[0] for shots in groups.values()]
    strangers = [likeness(a, b) for a, b in pairwise(alone)]
    assert np.median(strangers) < 0.5


def likeness(image: np.ndarray, other: np.ndarray) -> float:
    """The best correlation over the shifts that a group's camera can make."""
    middle = cv2.GaussianBlur(image, (0, 0), 2)[12:-12, 12:-12]
    return float(
        cv2.matchTemplate(cv2.GaussianBlur(other, (0, 0), 2), middle, cv2.TM_CCOEFF_NORMED).max()
    )


def test_truncated_image_is_cut_off(sample: Path) -> None:
    (entry,) = defects(sample, "truncated_image")
    train = by_id(read(sample, "train")["images"])
    assert train[entry["image_id"]]["file_name"] == entry["file_name"]
    data = (sample / "images" / entry["file_name"]).read_bytes()
    assert data[:2] == b"\xff\xd8"
    assert not data.endswith(b"\xff\xd9")
    whole = [
        path for path in (sample / "images" / "train").iterdir()
        if path.read_bytes().endswith(b"\xff\xd9")
    ]  # fmt: skip
    assert len(whole) == len(train) - 1


def test_duplicate_image_is_a_copy_with_its_annotations(sample: Path) -> None:
    (entry,) = defects(sample, "duplicate_image")
    folder = sample / "images"
    train = read(sample, "train")
    copy, original = (folder / entry[key] for key in ("file_name", "original_file_name"))
    assert copy.read_bytes() == original.read_bytes()
    assert copy != original

    def content(image_id: int) -> list[Any]:
        rows = [row for row in train["annotations"] if row["image_id"] == image_id]
        return [(row["category_id"], row["bbox"], row["segmentation"]) for row in rows]

    assert content(entry["image_id"]) == content(entry["original_image_id"]) != []
    distinct = {path.read_bytes() for path in (folder / "train").iterdir()}
    assert len(distinct) == len(train["images"]) - 1


def test_degenerate_boxes_are_those_listed(sample: Path) -> None:
    rows = read(sample, "train")["annotations"]
    found = {row["id"]: row for row in rows if min(row["bbox"][2:]) <= 0}
    assert set(found) == {e["annotation_id"] for e in defects(sample, "degenerate_box")}
    assert len(found) == 3
    assert all(row["segmentation"] == [] for row in found.values())


def test_boxes_outside_are_those_listed_partly_and_wholly(sample: Path) -> None:
    outside: dict[int, str] = {}
    for row in read(sample, "train")["annotations"]:
        x, y, width, height = row["bbox"]
        if x >= 192 or y >= 192:
            outside[row["id"]] = "wholly"
        elif x + width > 192 or y + height > 192:
            outside[row["id"]] = "partly"
    listed = {e["annotation_id"]: e["detail"] for e in defects(sample, "box_outside")}
    assert outside == listed
    assert sorted(listed.values()) == ["partly", "partly", "wholly"]


@pytest.mark.parametrize("which", ["sample", "other"])
def test_wrong_labels_have_the_reserved_ids_whatever_the_seed(
    which: str, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(which)
    train = read(folder, "train")
    names = {row["id"]: row["name"] for row in train["categories"]}
    rows = by_id(train["annotations"])
    listed = defects(folder, "wrong_label")
    found = [(e["annotation_id"], e["right_category"], e["category"]) for e in listed]
    assert found == list(WRONG_LABELS)
    for entry in listed:
        row = rows[entry["annotation_id"]]
        assert names[row["category_id"]] == entry["category"] != entry["right_category"]
        assert row["area"] >= 700


def clean_coco() -> dict[str, Any]:
    """A hundred images with one object of each class, without a fault."""
    images = [
        {"id": n, "file_name": f"train/{n:04d}.jpg", "width": 192, "height": 192, "group": f"g{n}"}
        for n in range(1, 101)
    ]
    annotations = [
        {
            "id": 10 * (image["id"] - 1) + index + 1,
            "image_id": image["id"],
            "category_id": index + 1,
            "bbox": [152.0 - index, 152.0, 40.0, 40.0],
            "area": 1600.0,
            "segmentation": [[152.0 - index, 152.0, 192.0 - index, 152.0, 192.0 - index, 192.0]],
            "iscrowd": 0,
        }
        for image in images
        for index in range(10)
    ]
    categories = [
        {"id": index + 1, "name": shape.name, "supercategory": shape.name}
        for index, shape in enumerate(CLASSES)
    ]
    return {"images": images, "annotations": annotations, "categories": categories}


def test_planting_changes_what_is_listed_and_nothing_else() -> None:
    before, train = clean_coco(), clean_coco()
    listed = plant_in_annotations(train, np.random.default_rng(0))
    changed: list[tuple[int, int, int]] = []
    moved: set[int] = set()
    for old, new in zip(before["annotations"], train["annotations"][:1000], strict=True):
        if old["category_id"] != new["category_id"]:
            changed.append((new["id"], old["category_id"], new["category_id"]))
        else:
            assert old["id"] == new["id"]
        if old["bbox"] != new["bbox"]:
            moved.add(new["id"])
        assert old["segmentation"] == new["segmentation"]

    number = {category["name"]: category["id"] for category in train["categories"]}
    expected = [
        (e["annotation_id"], number[e["right_category"]], number[e["category"]])
        for e in listed
        if e["kind"] == "wrong_label"
    ]
    misspelt = next(e for e in listed if e["kind"] == "misspelt_category")
    expected += [(n, number["Plastic bag"], 11) for n in misspelt["annotation_ids"]]
    assert sorted(changed) == sorted(expected)
    assert moved == {e["annotation_id"] for e in listed if e.get("detail") == "partly"}
    added = {row["id"] for row in train["annotations"][1000:]}
    assert len(added) == 1 + 3 + 10  # a box outside, boxes of no area, the copied image's ten


def test_set_too_small_for_the_defects_is_refused() -> None:
    train = clean_coco()
    train["images"] = train["images"][:5]
    train["annotations"] = train["annotations"][:50]
    with pytest.raises(ValueError, match=r"train_images: too few images to plant .*; ask for"):
        plant_in_annotations(train, np.random.default_rng(0))


def test_misspelt_category_is_used_by_the_listed_annotations(sample: Path) -> None:
    (entry,) = defects(sample, "misspelt_category")
    train = read(sample, "train")
    extra = [category for category in train["categories"] if category["id"] > 10]
    assert [(c["id"], c["name"]) for c in extra] == [(entry["category_id"], "Plastc bag")]
    using = [r["id"] for r in train["annotations"] if r["category_id"] == entry["category_id"]]
    assert sorted(using) == entry["annotation_ids"]
    assert len(using) == 3
    assert entry["right_category"] == "Plastic bag"


def test_no_image_has_two_defects(sample: Path) -> None:
    image_of = {row["id"]: row["image_id"] for row in read(sample, "train")["annotations"]}
    touched: list[int] = []
    for entry in read(sample, "defects"):
        if entry["kind"] == "misspelt_category":
            touched += [image_of[number] for number in entry["annotation_ids"]]
        else:
            touched.append(entry["image_id"])
            touched += [entry["original_image_id"]] if "original_image_id" in entry else []
    assert len(set(touched)) == len(touched)


@pytest.mark.parametrize("shape", CLASSES, ids=lambda shape: shape.name)
def test_objects_of_a_class_share_no_colour(shape: Any) -> None:
    """Colour tells nothing: the hues of a class go round the whole circle."""
    hues = []
    for seed in range(40):
        sprite = shape.paint(np.random.default_rng(seed))
        assert sprite.rgb.shape == (SIDE, SIDE, 3)
        mean = sprite.rgb[sprite.silhouette > 0.5].mean(axis=0)
        hsv = cv2.cvtColor(mean.astype(np.float32).reshape(1, 1, 3), cv2.COLOR_RGB2HSV)
        hues.append(int(hsv[0, 0, 0] // 60))
    assert len(set(hues)) >= 5


def test_outline_follows_pixel_edges_and_splits_a_ring() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:9, 3:12] = True
    mask[4:6, 5:8] = False
    mask[15, 15:18] = True
    polygons = outline(mask)
    assert len(polygons) == 3
    assert np.array_equal(decode_polygons(polygons, 20), mask)


def test_second_call_with_the_same_settings_does_nothing(sample: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in sample.rglob("*")}
    assert generate_sample(sample, SMALL) is False
    assert {path: path.stat().st_mtime_ns for path in sample.rglob("*")} == before


def test_sample_of_other_settings_is_replaced_only_by_force(
    sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(sample), "--seed", "5"]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "other settings" in message
    assert "--force" in message


def test_folder_that_is_no_sample_is_never_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert main([str(tmp_path), "--force"]) == 2
    assert "is no sample set" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_interrupted_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(path: Path, *_: Any) -> None:
        path.write_bytes(b"half of")
        raise OSError("no space left on device")

    monkeypatch.setattr("recycling.sample.core._write_jpeg", full_disk)
    with pytest.raises(OSError, match="no space"):
        generate_sample(tmp_path / "sample", SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"seed": -1}, "seed is -1; choose from 0 to"),
        ({"image_size": 20}, "image_size is 20; choose from 128 to 1024"),
        ({"train_images": 5}, "train_images is 5; choose from"),
        ({"pool_images": 2.5}, "pool_images must be a whole number, not 2.5"),
        ({"test_images": "many"}, "test_images must be a whole number, not 'many'"),
        ({"balance": float("nan")}, "balance is nan; choose from 0 to 1"),
        ({"jpeg_quality": True}, "jpeg_quality must be a whole number, not True"),
    ],
)
def test_bad_setting_is_refused_in_one_line(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(SampleError) as caught:
        SampleSettings(**setting)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
