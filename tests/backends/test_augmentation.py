"""The augmentation of a model: Albumentations and the libraries' own mixes, in real trainings."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from backends.loaded_trainings import samples_of, sha256
from backends.tiny_trainings import draw_pictures, train
from recycling.annotations import LabeledImages
from recycling.backends import BackendError
from recycling.backends.mmengine_backend import session
from recycling.backends.shared.albumentations_list import AlbumentationsList, check_albumentations

torch = pytest.importorskip("torch")

MOVING = [
    {"HorizontalFlip": {}},
    {"Affine": {"scale": [0.6, 1.4], "rotate": 20, "p": 1.0}},
    {"RandomBrightnessContrast": {"p": 0.5}},
]
ALL = {
    "mmpretrain": ["rand_augment", *MOVING, {"mixup": {"p": 0.4}}, {"cutmix": {"p": 0.6}}],
    "mmdet": [*MOVING[:1], "copy_paste", "mosaic", {"mixup": {"p": 0.5}}, "rand_augment"],
    "mmseg": [*MOVING, {"mosaic": {"p": 0.5}}, {"CoarseDropout": {"p": 1.0}}],
}


@pytest.mark.parametrize(
    "backend",
    [
        "mmpretrain",
        pytest.param("mmdet", marks=pytest.mark.slow),
        pytest.param("mmseg", marks=pytest.mark.slow),
    ],
)
def test_the_same_seed_gives_the_same_weights_with_loader_processes(
    backend: str, pictures: LabeledImages, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"augmentation": ALL[backend], "workers": 2, "epochs": 2}
    first = train(backend, pictures, tmp_path / "first", **settings)
    again = train(backend, pictures, tmp_path / "again", **settings)
    assert sha256(first) == sha256(again)


def test_the_list_makes_a_difference(pictures: LabeledImages, tmp_path: Path) -> None:
    plain = train("mmpretrain", pictures, tmp_path / "plain", augmentation=[])
    moved = train("mmpretrain", pictures, tmp_path / "moved", augmentation=MOVING)
    assert sha256(plain) != sha256(moved)


def test_boxes_follow_the_picture(pictures: LabeledImages, tmp_path: Path) -> None:
    """The first sample's box is blue and left, its disc yellow and right; a flip swaps them."""
    found = []
    for number, entries in enumerate(([], [{"HorizontalFlip": {"p": 1.0}}])):
        _, data = samples_of("mmdet", pictures, tmp_path / str(number), augmentation=entries)
        with session.library("mmdet"):
            sample = data[0]
        instances = sample["data_samples"].gt_instances
        found.append((sample["inputs"].numpy(), instances.bboxes.tensor.numpy(), instances.labels))
    (plain, boxes, labels), (flipped, moved, labels_then) = found
    np.testing.assert_array_equal(plain[:, :, ::-1], flipped)
    assert labels.tolist() == labels_then.tolist() == [0, 1]
    np.testing.assert_allclose(moved[:, [0, 2]], 64 - boxes[:, [2, 0]], atol=1e-3)
    x_min, y_min, x_max, y_max = moved[0].round().astype(int)
    assert flipped[0, (y_min + y_max) // 2, (x_min + x_max) // 2] > 200, "the box is blue"


def test_a_picture_that_loses_its_boxes_is_trained_on(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    out = [{"Affine": {"translate_px": [500, 500], "p": 0.5}}]
    _, data = samples_of("mmdet", pictures, tmp_path / "look", augmentation=out)
    with session.library("mmdet"):
        left = {len(data[0]["data_samples"].gt_instances.bboxes) for _ in range(20)}
    assert left == {0, 2}
    train("mmdet", pictures, tmp_path / "run", augmentation=out)


def test_objects_that_rand_augment_moves_out_of_the_picture_are_no_boxes(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    """Moved by three quarters, the picture holds the box, the disc or neither."""
    move = {"type": "TranslateX", "prob": 1.0, "level": 10, "max_mag": 0.75}
    entries = [{"rand_augment": {"aug_space": [[move]], "aug_num": 1}}]
    _, data = samples_of("mmdet", pictures, tmp_path, augmentation=entries)
    with session.library("mmdet"):
        np.random.seed(0)
        found = [data[0]["data_samples"].gt_instances for _ in range(10)]
    assert {len(instances.labels) for instances in found} == {0, 1}
    assert all((instances.bboxes.areas > 0).all() for instances in found)


def test_label_maps_keep_whole_classes_and_ignore_what_was_made_up(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    turned = [{"Affine": {"rotate": [30, 30], "scale": 0.7, "p": 1.0}}]
    _, data = samples_of("mmseg", pictures, tmp_path, augmentation=turned)
    with session.library("mmseg"):
        label_map = data[0]["data_samples"].gt_sem_seg.data.numpy()
    assert set(np.unique(label_map)) == {0, 1, 2, 255}


@pytest.mark.parametrize(
    "entries", [["mosaic"], [{"Affine": {"rotate": [20, 20], "p": 1.0}}]], ids=str
)
def test_ignored_regions_of_a_mask_stay_ignored(
    entries: list[Any], pictures: LabeledImages, tmp_path: Path
) -> None:
    """Discs are marked to be ignored: no pixel is learnt as one, and none as background."""
    tables = pictures.annotations
    rows = tables.annotations.assign(iscrowd=tables.annotations["category_id"] == 3)
    marked = replace(pictures, annotations=replace(tables, annotations=rows))
    maps = []
    for number, part in enumerate((pictures, marked)):
        _, data = samples_of("mmseg", part, tmp_path / str(number), augmentation=entries)
        with session.library("mmseg"):
            np.random.seed(0)
            maps.append(data[0]["data_samples"].gt_sem_seg.data.numpy())
    plain, ignored = maps
    assert (plain == 2).any()
    np.testing.assert_array_equal(ignored, np.where(plain == 2, 255, plain))


def test_classes_of_albumentations_act_independently_of_one_another() -> None:
    both = AlbumentationsList([{"HorizontalFlip": {}}, {"VerticalFlip": {}}], "cls")
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[0, 0] = 255
    corners = {tuple(np.argwhere(both(picture, seed).image[..., 0])[0]) for seed in range(40)}
    assert corners == {(0, 0), (0, 7), (7, 0), (7, 7)}


def test_albumentations_sees_red_as_red() -> None:
    gray = AlbumentationsList([{"ToGray": {"p": 1.0}}], "cls")
    red = np.full((4, 4, 3), (0, 0, 255), np.uint8)
    assert gray(red, 0).image[0, 0].tolist() == [76, 76, 76]


def test_a_mosaic_shows_several_pictures_at_the_size_asked_for(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    _, data = samples_of("mmdet", pictures, tmp_path, augmentation=["mosaic"])
    with session.library("mmdet"):
        samples = [data[0] for _ in range(12)]
    assert all(tuple(sample["inputs"].shape) == (3, 64, 64) for sample in samples)
    assert max(len(sample["data_samples"].gt_instances.bboxes) for sample in samples) > 2
    for sample in samples:
        boxes = sample["data_samples"].gt_instances.bboxes.tensor
        assert boxes.numel() == 0 or (boxes.min() >= 0 and boxes.max() <= 64)


def test_a_mix_without_a_chance_mixes_nothing(pictures: LabeledImages, tmp_path: Path) -> None:
    never = [{"copy_paste": {"p": 0.0}}, {"mixup": {"p": 0.0}}]
    _, plain = samples_of("mmdet", pictures, tmp_path / "plain", augmentation=[])
    _, mixed = samples_of("mmdet", pictures, tmp_path / "mixed", augmentation=never)
    with session.library("mmdet"):
        for index in range(4):
            np.testing.assert_array_equal(plain[index]["inputs"], mixed[index]["inputs"])


@pytest.mark.parametrize("before", [[], [{"mixup": {"p": 0.0}}]])
@pytest.mark.parametrize("selected", [True, False])
def test_pasted_objects_come_with_their_boxes(
    before: list[Any], selected: bool, pictures: LabeledImages, tmp_path: Path
) -> None:
    """By their masks; behind a mix that loses masks by their boxes."""
    entries = [*before, {"copy_paste": {"selected": selected}}]
    config, data = samples_of("mmdet", pictures, tmp_path, augmentation=entries)
    load = config.train_dataloader.dataset.dataset.pipeline[1]
    assert load.get("with_mask", False) == (not before)
    with session.library("mmdet"):
        samples = [data[0] for _ in range(12)]
    assert all(sample["inputs"].dtype == torch.uint8 for sample in samples)
    assert max(len(sample["data_samples"].gt_instances.labels) for sample in samples) > 2


def test_one_object_can_be_pasted(pictures: LabeledImages, tmp_path: Path) -> None:
    entries = [{"copy_paste": {"max_num_pasted": 1}}]
    _, data = samples_of("mmdet", pictures, tmp_path, augmentation=entries)
    with session.library("mmdet"):
        found = {len(data[0]["data_samples"].gt_instances.labels) for _ in range(12)}
    assert max(found) == 3, "of two and one; mmdet draws a number below the most"


@pytest.mark.parametrize(("ratio", "flips"), [(0.0, False), (1.0, True)])
def test_the_other_image_of_mixup_is_flipped_as_often_as_said(
    ratio: float, flips: bool, tmp_path: Path
) -> None:
    """All pictures show a bright left half; mmdet flips where a draw is above the ratio."""
    part = draw_pictures(tmp_path / "pictures")
    half = np.zeros((64, 80, 3), np.uint8)
    half[:, :40] = 200
    for name in part.annotations.images["file_name"]:
        assert cv2.imwrite(str(part.folder.path / name), half)
    entries = [{"mixup": {"flip_ratio": ratio, "ratio_range": [1.0, 1.0]}}]
    _, data = samples_of("mmdet", part, tmp_path / "run", augmentation=entries)
    with session.library("mmdet"):
        mixed = [data[number]["inputs"].numpy()[0] for number in range(4)]
    right_is_lit = [bool((image[20:30, 45:55] > 50).any()) for image in mixed]
    assert right_is_lit == [flips] * 4


def test_the_order_of_the_list_is_the_order_applied(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    entries = ["HorizontalFlip", "mosaic", "VerticalFlip", "Blur", "mixup"]
    config, _ = samples_of("mmdet", pictures, tmp_path, augmentation=entries)
    outer = config.train_dataloader.dataset
    assert [step["type"] for step in outer.dataset.pipeline] == [
        "ReadImage",
        "LoadAnnotations",
        "ScaleLabels",
        "RecyclingAlbumentations",
    ]
    assert [step["type"] for step in outer.pipeline] == [
        "Sometimes",
        "RecyclingAlbumentations",
        "Sometimes",
        "PackDetInputs",
    ]
    assert outer.pipeline[1]["entries"] == [{"VerticalFlip": {}}, {"Blur": {}}]


@pytest.mark.parametrize(
    ("backend", "entries", "said"),
    [
        ("mmpretrain", ["mosaic"], "no mosaic for cls; there is mixup, cutmix, rand_augment"),
        ("mmseg", ["mixup"], "no mixup for seg; there is mosaic"),
        ("mmdet", ["mozaic"], "unknown 'mozaic'.*mosaic"),
        ("mmdet", [{"mosaic": {"probability": 1}}], "mosaic takes no 'probability'"),
        ("mmdet", [{"copy_paste": {"paste_by_box": True}}], "copy_paste takes no 'paste_by_box'"),
        ("mmdet", [{"mosaic": {"p": 2}}], "mosaic: p is a share from 0 to 1, not 2"),
        ("mmpretrain", ["mixup", "HorizontalFlip"], "put it last"),
        ("mmpretrain", ["mixup", "mixup"], "mixup is there twice"),
        ("mmpretrain", [{"mixup": {"p": 0.9}}, "cutmix"], "add up to 1.4, more than 1"),
        ("mmpretrain", [{"mixup": {"alpha": -1}}], "augmentation: mixup: "),
        ("mmseg", ["HorizontalFlop"], "no 'HorizontalFlop'; did you mean HorizontalFlip"),
        ("mmseg", [{"Affine": {"scal": 1}}], "Affine takes no 'scal'; did you mean scale"),
        ("mmseg", [{"Affine": {"p": 3}}], "Affine: p: .* less than or equal to 1, not 3"),
        ("mmdet", [{"RandomCrop": {"height": 900, "width": 9}}], "RandomCrop does not work on"),
        ("mmdet", ["Normalize"], "no image of bytes"),
        ("mmdet", ["OverlayElements"], "OverlayElements cannot move boxes"),
        ("mmdet", ["ConstrainedCoarseDropout"], "ConstrainedCoarseDropout drops nothing"),
        ("mmdet", [{"copy_paste": {"max_num_pasted": "all"}}], "copy_paste: "),
        ("mmdet", [{"OneOf": {"transforms": ["Blurr"]}}], "no 'Blurr'; did you mean .*Blur"),
    ],
)
def test_a_list_that_cannot_be_honoured_is_one_line_before_the_first_step(
    backend: str, entries: list[Any], said: str, pictures: LabeledImages, tmp_path: Path
) -> None:
    with pytest.raises(BackendError, match=said) as error:
        samples_of(backend, pictures, tmp_path, augmentation=entries)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("model 'small': augmentation: ")


def test_compositions_take_lists() -> None:
    nested = [{"OneOf": {"transforms": ["Blur", {"MedianBlur": {"blur_limit": 5}}], "p": 1.0}}]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_albumentations(nested, "det", 64)


def test_a_picture_that_cannot_be_augmented_is_named(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    """64 pixels of width are there, but a picture of 80 x 64 is only 51 high at that width."""
    with pytest.raises(BackendError, match=r"\d\.png: augmentation failed: Crop size") as error:
        train(
            "mmdet",
            pictures,
            tmp_path,
            augmentation=[{"RandomCrop": {"height": 64, "width": 64}}],
            workers=1,
        )
    assert "\n" not in str(error.value)
