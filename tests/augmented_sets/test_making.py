"""An augmented set is made once, of the right pixels, and whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from survive.processes import of_session

from backends.tiny_trainings import draw_pictures
from recycling.annotations import BOX, LabeledImages, annotation_mask, to_label_map
from recycling.augmented_sets import (
    AugmentedSet,
    AugmentedSetError,
    AugmentedSetSettings,
    make_augmented_set,
    making,
)

FLIP = {"transforms": [{"HorizontalFlip": {"p": 1.0}}], "factor": 2, "workers": 1}
TURN = {
    "transforms": [{"Affine": {"rotate": [25, 25], "scale": 0.8, "p": 1.0}}],
    "factor": 1,
    "workers": 1,
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> LabeledImages:
    return draw_pictures(tmp_path_factory.mktemp("pictures"))


def made_of(pictures: LabeledImages, folder: Path, **settings: Any) -> AugmentedSet:
    return make_augmented_set(pictures, AugmentedSetSettings(**settings), folder)


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """The bytes of each file below a folder, and when it was written."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def pixels(augmented: AugmentedSet, image_id: int) -> Any:
    images = augmented.annotations.images.set_index("image_id")
    return cv2.imread(str(augmented.folder.parent / images.loc[image_id, "file_name"]))


def test_boxes_masks_and_classes_follow_the_picture(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    augmented = made_of(pictures, tmp_path, **FLIP)
    before, after = pictures.annotations, augmented.annotations
    assert len(after.images) == 16
    assert augmented.sources.tolist() == [n for n in range(1, 9) for _ in range(2)]
    for copy, source in augmented.sources.items():
        rows = after.of_images([int(copy)]).annotations
        originals = before.of_images([source]).annotations
        assert rows["category_id"].tolist() == originals["category_id"].tolist()
        boxes, were = rows[BOX].to_numpy(), originals[BOX].to_numpy()
        mirrored = [80 - were[:, 2], were[:, 1], 80 - were[:, 0], were[:, 3]]
        np.testing.assert_allclose(boxes, np.stack(mirrored, axis=1))
        for row, original in zip(
            rows.to_dict("records"), originals.to_dict("records"), strict=True
        ):
            mask, was = (
                annotation_mask(each["segmentation"], [0, 0, 0, 0], 64, 80)
                for each in (row, original)
            )
            np.testing.assert_array_equal(mask, was[:, ::-1])
            assert row["area"] == was.sum()
        file = cv2.imread(str(pictures.folder.path / f"{source}.png"))
        flipped = cv2.imencode(".jpg", file[:, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
        np.testing.assert_array_equal(pixels(augmented, int(copy)), cv2.imdecode(flipped, 1))


def test_the_box_of_a_mask_is_the_one_around_what_is_left_of_it(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    augmented = made_of(pictures, tmp_path, **TURN)
    rows = augmented.annotations.objects().annotations
    assert len(rows) == 16
    for row in rows.to_dict("records"):
        mask = annotation_mask(row["segmentation"], [0, 0, 0, 0], 64, 80)
        ys, xs = np.nonzero(mask)
        assert [row[side] for side in BOX] == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        if row["category_id"] == 7:  # drawn in one colour: (250, 40, 40) in BGR
            middle = cv2.erode(mask.astype(np.uint8), np.ones((5, 5))) > 0
            inside = pixels(augmented, row["image_id"])[middle]
            assert np.abs(inside.mean(axis=0) - (250, 40, 40)).max() < 12


def test_what_a_transform_makes_up_is_no_background(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    augmented = made_of(pictures, tmp_path, **TURN)
    with_regions = augmented.copies_of([1], made_up_regions=True).annotations
    copy = int(with_regions.images["image_id"].iloc[0])
    label_map = to_label_map(with_regions, copy)
    assert label_map[0, 0] == 255
    assert (pixels(augmented, copy)[label_map == 255].mean(axis=1) < 40).mean() > 0.9
    assert set(np.unique(label_map)) == {0, 1, 2, 255}
    without = augmented.copies_of([1], made_up_regions=False).annotations.annotations
    assert not without["iscrowd"].any()
    assert len(without) == 2


def test_an_object_that_is_moved_out_is_dropped_and_counted(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    """Boxes begin at 4 and are 18 to 29 wide; 20 to the left leaves 2 to 13 pixels of them."""
    moved = [{"Affine": {"translate_px": {"x": [-20, -20], "y": [0, 0]}, "p": 1.0}}]
    augmented = made_of(
        pictures, tmp_path, transforms=moved, factor=1, workers=1, min_visibility=0.3
    )
    boxes = pictures.annotations.annotations.query("category_id == 7")
    left = ((boxes["x_max"] - 20) / (boxes["x_max"] - boxes["x_min"])) >= 0.3
    assert 0 < left.sum() < 8
    kept = augmented.annotations.objects().annotations.query("category_id == 7")
    assert augmented.sources[kept["image_id"]].tolist() == boxes["image_id"][left].tolist()
    of_boxes, of_discs = augmented.sheet["categories"]
    assert of_boxes == {
        "category": "box", "originals": 8, "copies": left.sum(), "dropped": 8 - left.sum()
    }  # fmt: skip
    assert of_discs["dropped"] == 0


def test_the_same_recipe_is_found_again_and_another_is_another_set(
    pictures: LabeledImages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    first = made_of(pictures, tmp_path, **FLIP)
    before = files(tmp_path)
    assert made_of(pictures, tmp_path, **{**FLIP, "workers": 2}) == first
    assert files(tmp_path) == before
    assert "made before, and nothing has changed" in caplog.text
    others = [{**FLIP, **change} for change in (
        {"seed": 1}, {"factor": 1}, {"min_visibility": 0.5}, {"quality": 90},
        {"transforms": ["VerticalFlip"]},
    )]  # fmt: skip
    names = {made_of(pictures, tmp_path, **other).folder.name for other in others}
    assert len(names | {first.folder.name}) == 6


def test_another_picture_under_the_same_name_is_another_set(tmp_path: Path) -> None:
    pictures = draw_pictures(tmp_path / "pictures")
    first = made_of(pictures, tmp_path / "sets", **FLIP)
    cv2.imwrite(str(tmp_path / "pictures/3.png"), np.zeros((64, 80, 3), np.uint8))
    assert made_of(pictures, tmp_path / "sets", **FLIP) != first


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_no_image_and_no_process_changes_what_is_drawn_for_another_one(
    workers: int, pictures: LabeledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In steps of other lengths, in two processes, and without its neighbours."""
    drawn = {"transforms": [{"Affine": {"rotate": [-45, 45]}}, "GaussNoise"], "factor": 3}
    whole = made_of(pictures, tmp_path / "whole", **drawn, workers=1)
    monkeypatch.setattr(making, "STEP", 6)
    steps = made_of(pictures, tmp_path / "steps", **drawn, workers=workers)
    one = replace(pictures, annotations=pictures.annotations.of_images([5]))
    alone = made_of(one, tmp_path / "alone", **drawn, workers=1)
    assert len(list(steps.folder.glob("*/*.jpg"))) == 24
    assert len(list(steps.folder.glob("*"))) == 6  # four steps, tables, sheet
    for copy in range(3):
        (path,) = whole.folder.glob(f"*/5_{copy}.jpg")
        for other in (steps, alone):
            (same,) = other.folder.glob(f"*/5_{copy}.jpg")
            assert same.read_bytes() == path.read_bytes()
    tables = [each.annotations.annotations for each in (whole, steps)]
    assert tables[0].equals(tables[1])


def test_a_set_that_is_killed_goes_on_and_never_counts_as_made_before(
    pictures: LabeledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "STEP", 2)
    uninterrupted = made_of(pictures, tmp_path / "whole", **FLIP)
    sets = tmp_path / "sets"
    child = os.fork()
    if child == 0:
        made = making._make

        def slowly(step: Any) -> None:
            made(step)
            time.sleep(0.5 if step.folder.name == "2" else 0)

        making._make = slowly
        made_of(pictures, sets, **FLIP)
        os._exit(0)
    growing = sets / f".{uninterrupted.folder.name}.growing"
    while not (growing / "2").exists():
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert [path.name for path in sets.iterdir()] == [growing.name]
    kept = {name: file for name, file in files(growing).items() if name.endswith("jpg")}
    assert len(kept) == 3 * 2
    again = made_of(pictures, sets, **FLIP)
    assert [path.name for path in sets.iterdir()] == [uninterrupted.folder.name]
    found, whole = files(again.folder), files(uninterrupted.folder)
    assert {name: data for name, (data, _) in found.items()} == {
        name: data for name, (data, _) in whole.items()
    }
    assert {name: found[name] for name in kept} == kept, "what was made is not made again"


def test_no_process_lives_on_where_what_has_started_it_is_killed(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    child = os.fork()
    if child == 0:
        os.setsid()
        made_of(pictures, tmp_path, **{**FLIP, "factor": 64, "workers": 2})
        os._exit(0)
    while len(of_session(child)) < 4:  # itself, two more, and what clears up after these
        time.sleep(0.01)
    time.sleep(0.5)  # these have been told what to do, and import
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    deadline = time.monotonic() + 30
    while (left := of_session(child)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left


def test_copies_are_those_of_the_images_that_are_asked_for(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    augmented = made_of(pictures, tmp_path, **FLIP)
    part = augmented.copies_of([2, 7], made_up_regions=False)
    sources = [json.loads(extra)["augmented_from"] for extra in part.annotations.images["extra"]]
    assert sources == [2, 2, 7, 7]
    assert set(part.annotations.annotations["image_id"]) == set(part.annotations.images["image_id"])
    for name in part.annotations.images["file_name"]:
        assert name.startswith(f"{augmented.folder.name}/")
        assert (part.folder.path / name).is_file()


def test_copies_of_other_annotations_are_refused(pictures: LabeledImages, tmp_path: Path) -> None:
    augmented = made_of(pictures, tmp_path, **FLIP)
    augmented.check_made_of(pictures.annotations)
    with pytest.raises(AugmentedSetError, match="of other annotations than those of now; make"):
        augmented.check_made_of(pictures.annotations.of_images([1, 2]))


@pytest.mark.parametrize(
    ("transforms", "said"),
    [
        (["mosaic"], "mosaic is a library's own"),
        (["Mosaic"], "Mosaic mixes several images, which may be of different folds"),
        ([{"OneOf": {"transforms": ["Mosaic", "Blur"]}}], "Mosaic mixes several images"),
        (["HorizontalFlop"], "no 'HorizontalFlop'; did you mean HorizontalFlip"),
        ([{"Affine": {"scal": 1}}], "Affine takes no 'scal'; did you mean scale"),
        ([{"RandomCrop": {"height": 500, "width": 9}}], r"tried on 80 x 64 pixels"),
        (["Normalize"], "no image of bytes"),
    ],
)
def test_a_list_that_cannot_be_applied_is_one_line_before_an_image_is_made(
    transforms: list[Any], said: str, pictures: LabeledImages, tmp_path: Path
) -> None:
    with pytest.raises(AugmentedSetError, match=said) as error:
        made_of(pictures, tmp_path / "sets", transforms=transforms, factor=1)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("augmented_sets: transforms: ")
    assert not (tmp_path / "sets").exists()


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    pictures = draw_pictures(tmp_path / "pictures")
    (tmp_path / "pictures/4.png").write_bytes(b"no image")
    with pytest.raises(AugmentedSetError, match=r"4\.png: .*; run data_cleaning") as error:
        made_of(pictures, tmp_path / "sets", **FLIP)
    assert "\n" not in str(error.value)
    (tmp_path / "pictures/4.png").unlink()
    with pytest.raises(AugmentedSetError, match=r"4\.png: cannot be read: No such file"):
        made_of(pictures, tmp_path / "sets", **FLIP)
