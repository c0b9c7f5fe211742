"""`augmentation: published` is what the library's own config says, for the model's image size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.loaded_trainings import samples_of
from backends.tiny_trainings import data_of, model_of, train, words_for
from recycling.annotations import LabeledImages
from recycling.backends import BackendError
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.data.training_set import write_training_set
from recycling.backends.mmengine_backend.resolve import resolve
from recycling.backends.shared.crops import crop_side

torch = pytest.importorskip("torch")

RECIPES = Path(__file__).parents[2] / "conf/recipes"
ALL = sorted((p.parent.name, p.stem) for p in RECIPES.glob("mm*/*.py"))
LARGEST = {"soft_teacher_faster_rcnn_r50": 1.5}
"""Of recipes that are published with samples larger than `image_size`."""
FLIP = {"type": "RandomFlip", "prob": 0.5}
LARGE_SCALE = {"type": "RandomResize", "ratio_range": (0.5, 2.0), "keep_ratio": True}


def config_of(
    backend: str, recipe: str, pictures: LabeledImages, folder: Path, **settings: Any
) -> Any:
    model = model_of(backend, recipe=recipe, augmentation="published", **settings)
    with session.library(backend):
        data = write_training_set(model.task, data_of(pictures), folder)
        return resolve(model, RECIPES / backend / f"{recipe}.py", data, folder)


def steps_of(config: Any) -> list[dict[str, Any]]:
    """The transforms between reading and packing."""
    dataset = config.train_dataloader.dataset.to_dict()
    steps = [*dataset.get("dataset", {}).get("pipeline", []), *dataset["pipeline"]]
    reading = ("ReadImage", "ReadCrop", "LoadAnnotations")
    return [step for step in steps if step["type"] not in reading][:-1]


RESIZE_MAPS = "recycling.backends.mmengine_backend.augmentations.resize.ResizeMaps"
SCALED = {"type": "ScaleLabels"}  # to the image, which is read at the model's size
RESIZE = {"type": "Resize", "scale": (64, 64), "keep_ratio": True}
EXPECTED: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("mmdet", "yolox_x"): [
        SCALED,
        {"type": "Sometimes", "p": 1.0, "transforms": [
            {"type": "Mosaic", "img_scale": (64, 64), "pad_val": 114.0},
            {"type": "RandomAffine", "scaling_ratio_range": (0.1, 2), "border": (-32, -32)}]},
        {"type": "Sometimes", "p": 1.0, "transforms": [
            {"type": "MixUp", "img_scale": (64, 64), "ratio_range": (0.8, 1.6), "pad_val": 114.0}]},
        {"type": "YOLOXHSVRandomAug"},
        FLIP,
        RESIZE,
        {"type": "FilterAnnotations", "min_gt_bbox_wh": (1, 1), "keep_empty": False},
    ],
    ("mmdet", "rtmdet_tiny"): [
        SCALED,
        {"type": "Sometimes", "p": 1.0, "transforms": [
            {"type": "Mosaic", "img_scale": (64, 64), "pad_val": 114.0},
            {"type": "RandomResize", "scale": (128, 128), "ratio_range": (0.5, 2.0),
             "keep_ratio": True}]},
        {"type": "RandomCrop", "crop_size": (64, 64), "allow_negative_crop": True},
        {"type": "YOLOXHSVRandomAug"},
        FLIP,
        {"type": "Sometimes", "p": 0.5, "transforms": [
            {"type": "MixUp", "img_scale": (64, 64), "ratio_range": (1.0, 1.0),
             "pad_val": (114, 114, 114)}]},
    ],
    ("mmdet", "faster_rcnn_r50"): [
        {"type": "RandomResize", "scale": (64, 64), "ratio_range": (0.8, 1.0), "keep_ratio": True},
        FLIP,
    ],
    ("mmdet", "tood_x101_dconv"): [
        {"type": "RandomResize", "scale": (64, 64), "ratio_range": (0.6, 1.0), "keep_ratio": True},
        FLIP,
    ],
    ("mmdet", "htc_r50"): [SCALED, FLIP],
    ("mmdet", "mask2former_r50"): [
        FLIP,
        {"type": "RandomResize", "scale": (64, 64), "ratio_range": (0.1, 2.0), "keep_ratio": True,
         "resize_type": "Resize"},
        {"type": "RandomCrop", "crop_size": (64, 64), "crop_type": "absolute",
         "recompute_bbox": True, "allow_negative_crop": True},
        {"type": "FilterAnnotations", "min_gt_bbox_wh": (1e-5, 1e-5), "by_mask": True,
         "keep_empty": False},
    ],
    ("mmdet", "d_fine_s"): [
        SCALED,
        {"type": "PhotoMetricDistortion"},
        {"type": "Expand", "mean": [0, 0, 0], "to_rgb": False, "ratio_range": (1, 4)},
        {"type": "MinIoURandomCrop", "min_ious": (0.1, 0.3, 0.5, 0.7, 0.9), "min_crop_size": 0.3},
        FLIP,
        RESIZE,
        {"type": "FilterAnnotations", "min_gt_bbox_wh": (1, 1), "keep_empty": False},
    ],
    ("mmseg", "segformer_b5"): [
        {**LARGE_SCALE, "scale": (64, 64), "resize_type": RESIZE_MAPS},
        {"type": "RandomCrop", "crop_size": (64, 64), "cat_max_ratio": 0.75},
        FLIP,
        {"type": "PhotoMetricDistortion"},
        {"type": "RandomCrop", "crop_size": (64, 64)},
    ],
    ("mmpretrain", "resnet50"): [
        {"type": "RandomResizedCrop", "scale": 64},
        {**FLIP, "direction": "horizontal"},
        {"type": "Resize", "scale": (64, 64)},
    ],
}  # fmt: skip


@pytest.mark.parametrize(("backend", "recipe"), EXPECTED, ids=["/".join(own) for own in EXPECTED])
def test_the_transforms_are_the_librarys_for_the_models_size(
    backend: str, recipe: str, pictures: LabeledImages, tmp_path: Path
) -> None:
    assert steps_of(config_of(backend, recipe, pictures, tmp_path)) == EXPECTED[backend, recipe]


def test_a_classifier_is_mixed_as_it_was_published(pictures: LabeledImages, tmp_path: Path) -> None:
    """The recipe itself leaves out what the library mixes."""
    config = config_of("mmpretrain", "swin_tiny", pictures, tmp_path)
    assert [step["type"] for step in steps_of(config)] == [
        "RandomResizedCrop", "RandomFlip", "RandAugment", "RandomErasing", "Resize",
    ]  # fmt: skip
    preprocessor = config.model.data_preprocessor
    assert preprocessor.batch_augments.to_dict() == {
        "augments": [{"type": "Mixup", "alpha": 0.8}, {"type": "CutMix", "alpha": 1.0}],
        "probs": [0.5, 0.5],
    }
    assert preprocessor.num_classes == 2
    plain = config_of("mmpretrain", "resnet50", pictures, tmp_path / "plain")
    assert "batch_augments" not in plain.model.data_preprocessor


def test_a_random_crop_is_cut_out_of_more_pixels_where_the_file_has_them(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    from mmengine.registry import DATASETS

    config = config_of("mmpretrain", "resnet50", pictures, tmp_path, image_size=16)
    with session.library("mmpretrain"):
        data = DATASETS.build(config.train_dataloader.dataset)
        read = data.pipeline.transforms[0]
        samples = [data.get_data_info(number) for number in range(len(data))]
        sides = [round(crop_side(sample["box"])) for sample in samples]
        shapes = [read(sample)["img_shape"] for sample in samples]
        assert {tuple(data[n]["inputs"].shape) for n in range(4)} == {(3, 16, 16)}
    assert 16 < min(sides) < 32 < max(sides)
    assert shapes == [(min(side, 32),) * 2 for side in sides]


def test_a_recipe_may_name_another_config_or_list_what_it_was_published_with(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    config = config_of("mmdet", "cascade_rcnn_swin_large", pictures, tmp_path, image_size=80)
    flip, choice = steps_of(config)
    (multi_scale,), (small, crop, large) = choice["transforms"]
    assert flip == FLIP
    sides = [round(side / 10) for side in range(480, 801, 32)]
    assert multi_scale["scales"] == large["scales"] == [(side, side) for side in sides]
    assert small["scales"] == [(40, 40), (50, 50), (60, 60)]
    assert crop["crop_size"] == (38, 60)
    own = tmp_path / "own.py"
    from recycling.backends.mmengine_backend.settings.published import read_published

    model = model_of("mmdet", augmentation="published", image_size=320)
    base = {"published_size": 100, "published": [{"type": "RandomCrop", "crop_size": (50, 20)}]}
    assert read_published(model, own, base).steps == [
        {"type": "RandomCrop", "crop_size": (160, 64), "allow_negative_crop": True}
    ]


def test_a_recipe_of_nothing_published_and_an_unknown_transform_are_refused(
    tmp_path: Path,
) -> None:
    from recycling.backends.mmengine_backend.settings.published import read_published

    model = model_of("mmdet", augmentation="published")
    own = tmp_path / "own.py"
    own.write_text("model = dict(type='FCOS')\n")
    with pytest.raises(BackendError, match="nothing is published for this recipe: it inherits"):
        read_published(model, own, {})
    with pytest.raises(BackendError, match="published uses Corrupt, and nothing says how"):
        read_published(model, own, {"published": [{"type": "Corrupt"}], "published_size": 9})


def test_mosaic_can_be_off_at_the_end_where_it_is_published(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    config = config_of("mmdet", "yolox_s", pictures, tmp_path, epochs=20, mosaic_off_epochs=3)
    mixes = [step for step in steps_of(config) if step["type"] == "Sometimes"]
    assert [mix["off_from"] for mix in mixes] == [17, 17]
    with pytest.raises(BackendError, match="published without mosaic; remove it"):
        config_of("mmdet", "htc_r50", pictures, tmp_path / "2", epochs=2, mosaic_off_epochs=1)


@pytest.mark.parametrize("backend", ["mmpretrain", "mmdet", "mmseg"])
def test_a_model_trains_as_it_was_published(
    backend: str, pictures: LabeledImages, tmp_path: Path
) -> None:
    train(backend, pictures, tmp_path, augmentation="published", epochs=2)
    if backend == "mmdet":
        _, data = samples_of(backend, pictures, tmp_path / "look", augmentation="published")
        with session.library(backend):
            np.random.seed(0)
            samples = [data[n] for n in range(16)]
        assert {tuple(sample["inputs"].shape) for sample in samples} == {(3, 64, 64)}
        assert max(len(sample["data_samples"].gt_instances.labels) for sample in samples) > 2


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "recipe"), ALL, ids=["/".join(own) for own in ALL])
def test_every_recipe_has_been_published_with_something_that_can_be_built(
    backend: str, recipe: str, pictures: LabeledImages, tmp_path: Path
) -> None:
    from mmengine.registry import DATASETS

    if recipe == "resnet34_three_heads" or "three_models" in recipe:
        pytest.skip("its classes are those of another data set")
    if recipe.startswith("grounding_dino"):
        pytest.importorskip("transformers")
    config = config_of(backend, recipe, pictures, tmp_path, options=words_for(recipe))
    with session.library(backend):
        data = DATASETS.build(config.train_dataloader.dataset)
        np.random.seed(0)
        shapes = [data[index % 4]["inputs"].shape for index in range(16)]
    assert {len(shape) for shape in shapes} == {3}
    assert max(max(shape[1:]) for shape in shapes) <= 64 * LARGEST.get(recipe, 1)
