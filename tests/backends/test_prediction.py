"""What a trained network predicts: from its folder alone, on every view, with probabilities."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from backends.tiny_trainings import data_of, images_of, model_of, train
from recycling.annotations import BOX, ImageFolder, LabeledImages
from recycling.annotations.images.decoding import read_image
from recycling.backends import BackendError, Checkpoint, Images, backend_for
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.config_file import CONFIG
from recycling.backends.mmengine_backend.data.training_set import write_training_set
from recycling.backends.mmengine_backend.network import Network, load_network, ready, views_of
from recycling.backends.mmengine_backend.prediction import predict
from recycling.backends.mmengine_backend.resolve import resolve
from recycling.backends.shared.checkpoint_folder import Trained, read_facts
from recycling.backends.shared.settings import TestTimeAugmentation
from recycling.inference import in_memory
from recycling.predictions import (
    LabelMaps,
    Predictions,
    ProbabilityMaps,
    ProbableLabelMaps,
)

torch = pytest.importorskip("torch")

SMALL_FCN = """
_base_ = "mmseg::fcn/fcn_r18-d8_4xb2-80k_cityscapes-512x1024.py"
model = dict(
    backbone=dict(base_channels=8, stem_channels=8, dilations=(1, 1, 1, 1), strides=(1, 2, 2, 2)),
    decode_head=dict(in_channels=16, in_index=1, channels=16, num_convs=1, concat_input=False),
    auxiliary_head=None,
)
"""

ALL_VIEWS = TestTimeAugmentation(scales=(0.5, 1.0, 1.5), flip=True)
AS_TRAINED = TestTimeAugmentation()
MIRRORED_TOO = TestTimeAugmentation(flip=True)


@pytest.fixture(scope="module")
def trained(
    pictures: LabeledImages, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Checkpoint]:
    """One checkpoint a library, moved away from what its training left beside it."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "small_fcn.py").write_text(SMALL_FCN)
    # Long and slow enough to say more than one label, and more than a prior.
    settings: dict[str, dict[str, Any]] = {
        "mmseg": {
            "epochs": 3,
            "optimizer": {"learning_rate": 0.0001},
            "recipe": folder / "small_fcn.py",
        },
        "mmdet": {"optimizer": {"learning_rate": 0.01}},
    }
    checkpoints = {}
    for backend in ("mmdet", "mmseg", "mmpretrain"):
        made = train(backend, pictures, folder / backend, **settings.get(backend, {}))
        shutil.move(made.folder, folder / f"{backend}-moved")
        shutil.rmtree(folder / backend)
        checkpoints[backend] = Checkpoint(folder / f"{backend}-moved")
    return checkpoints


def predict_with(checkpoint: Checkpoint, images: Images, **settings: Any) -> Predictions:
    """Predict as a model with other settings would."""
    facts = read_facts(checkpoint, CONFIG)
    as_if = replace(facts, model=facts.model.model_copy(update=settings))
    with session.library(facts.model.backend):
        return predict(load_network(checkpoint, as_if, facts.model.backend), images)


def planes_of(checkpoint: Checkpoint, images: Images, **settings: Any) -> ProbabilityMaps:
    maps = predict_with(checkpoint, images, probabilities=True, **settings)
    assert isinstance(maps, ProbableLabelMaps)
    return maps.probabilities


def mirrored(pictures: LabeledImages, folder: Path) -> Images:
    """The pictures and boxes, left to right."""
    for name in pictures.annotations.images["file_name"]:
        picture = cv2.imread(str(pictures.folder.path / name))
        cv2.imwrite(str(folder / name), picture[:, ::-1])
    crops = pictures.annotations.annotations.copy()
    crops["x_min"], crops["x_max"] = 80 - crops["x_max"], 80 - crops["x_min"]
    return Images(pictures.annotations.images, ImageFolder(folder), crops)


# Views ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["mmpretrain", "mmdet"])
def test_the_one_view_of_training_predicts_what_no_views_predict(
    backend: str, trained: dict[str, Checkpoint], pictures: LabeledImages
) -> None:
    plain = predict_with(trained[backend], images_of(pictures))
    one = predict_with(trained[backend], images_of(pictures), test_time_augmentation=AS_TRAINED)
    assert isinstance(plain, pd.DataFrame)
    assert len(plain) > 0
    pd.testing.assert_frame_equal(plain, one)


@pytest.mark.parametrize("backend", ["mmpretrain", "mmdet", "mmseg"])
def test_images_in_memory_are_predicted_as_their_files_again_and_again(
    backend: str, trained: dict[str, Checkpoint], pictures: LabeledImages
) -> None:
    images = images_of(pictures)
    names = dict(zip(images.table["image_id"], images.table["file_name"], strict=True))
    pixels = {number: read_image(pictures.folder.path / name) for number, name in names.items()}
    nowhere = replace(images, folder=ImageFolder(Path("nowhere")), pixels=pixels)
    loaded = backend_for(backend).load(trained[backend], device="cpu")
    plain = backend_for(backend).predict(trained[backend], images)
    for _ in range(2):
        assert_same(loaded.predict(nowhere), plain)
    few = backend_for(backend).load(trained[backend], batch_size=1)
    assert_same(few.predict(nowhere), plain, atol=1e-5)


def assert_same(first: Predictions, other: Predictions, atol: float = 0.0) -> None:
    assert len(first) > 0
    if isinstance(first, LabelMaps):
        for image_id in first:
            np.testing.assert_array_equal(first[image_id], other[image_id])  # type: ignore[index]
        return
    assert isinstance(first, pd.DataFrame)
    assert isinstance(other, pd.DataFrame)
    pd.testing.assert_frame_equal(first, other, rtol=0, atol=atol)


def test_a_device_that_is_not_there_is_said(trained: dict[str, Checkpoint]) -> None:
    with pytest.raises(BackendError, match=r"device 'cuda:77': torch finds \d+ GPUs; give another"):
        backend_for("mmdet").load(trained["mmdet"], device="cuda:77")


def test_neither_the_one_view_nor_asking_for_probabilities_changes_a_label_map(
    trained: dict[str, Checkpoint], pictures: LabeledImages
) -> None:
    maps = [
        predict_with(trained["mmseg"], images_of(pictures), **settings)
        for settings in (
            {},
            {"test_time_augmentation": AS_TRAINED},
            {"test_time_augmentation": AS_TRAINED, "probabilities": True},
        )
    ]
    for image_id in range(1, 9):
        plain, one, probable = (own[image_id] for own in maps)  # type: ignore[index]
        assert len(np.unique(plain)) > 1, "else the test says nothing"
        np.testing.assert_array_equal(plain, one)
        np.testing.assert_array_equal(plain, probable)


def test_a_classifier_gives_the_mean_of_a_crop_and_its_mirror_image(
    trained: dict[str, Checkpoint], pictures: LabeledImages, tmp_path: Path
) -> None:
    def probabilities(images: Images, **settings: Any) -> Any:
        table = predict_with(trained["mmpretrain"], images, **settings)
        assert isinstance(table, pd.DataFrame)
        return table[["box", "disc"]].to_numpy()

    plain = probabilities(images_of(pictures))
    of_mirror = probabilities(mirrored(pictures, tmp_path))
    both = probabilities(images_of(pictures), test_time_augmentation=MIRRORED_TOO)
    assert np.abs(plain - of_mirror).max() > 1e-3, "else the test says nothing"
    np.testing.assert_allclose(both, (plain + of_mirror) / 2, atol=2e-3)


def test_a_segmenter_gives_the_mean_of_its_views(
    trained: dict[str, Checkpoint], pictures: LabeledImages
) -> None:
    images = images_of(pictures)

    def planes(*scales: float) -> Any:
        views = TestTimeAugmentation(scales=scales)
        maps = planes_of(trained["mmseg"], images, test_time_augmentation=views)
        return np.stack([maps[image_id] for image_id in maps]).astype(float)

    small, large, both = planes(0.5), planes(1.5), planes(0.5, 1.5)
    assert np.abs(small - large).max() > 3, "else the test says nothing"
    assert np.abs(both - (small + large) / 2).max() <= 1, "each plane is rounded to a whole number"


def test_scores_of_boxes_on_more_views_are_those_of_the_best_view(
    trained: dict[str, Checkpoint], pictures: LabeledImages
) -> None:
    images = images_of(pictures)
    plain = predict_with(trained["mmdet"], images)
    fused = predict_with(trained["mmdet"], images, test_time_augmentation=ALL_VIEWS)
    assert isinstance(plain, pd.DataFrame)
    assert isinstance(fused, pd.DataFrame)
    best = fused.groupby("image_id")["score"].max() - plain.groupby("image_id")["score"].max()
    assert (best >= 0).all()
    assert best.max() > 0
    assert fused.groupby("image_id").size().max() <= 100
    assert fused[["x_min", "y_min"]].min().min() >= 0
    assert fused["x_max"].max() <= 80
    assert fused["y_max"].max() <= 64


def test_views_keep_what_the_image_size_can_be_divided_by(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    with session.library("mmseg"):
        views = views_of(*toy_config(pictures, tmp_path, image_size=48, views=(0.75, 1.0, 1.3)))
    assert [view.padding["size"] for view in views if view.padding] == [
        (32, 32),
        (48, 48),
        (64, 64),
    ]


def test_a_network_made_for_one_size_says_which_scale_it_does_not_take(
    trained: dict[str, Checkpoint], pictures: LabeledImages
) -> None:
    with pytest.raises(BackendError, match=r"no image at scale 0\.5 of test_time.*remove that"):
        predict_with_hook(pictures, trained["mmpretrain"], _takes_64_pixels)


def test_a_scale_that_the_memory_is_too_small_for_is_told_as_that(
    trained: dict[str, Checkpoint], pictures: LabeledImages
) -> None:
    def needs_much(*_: Any) -> None:
        torch.empty(2**58)

    with pytest.raises(RuntimeError, match="DefaultCPUAllocator") as caught:
        predict_with_hook(pictures, trained["mmpretrain"], needs_much)
    assert "remove that scale" not in str(caught.value)


def predict_with_hook(
    pictures: LabeledImages, checkpoint: Checkpoint, hook: Callable[..., None]
) -> None:
    facts = read_facts(checkpoint, CONFIG)
    as_if = replace(
        facts, model=facts.model.model_copy(update={"test_time_augmentation": ALL_VIEWS})
    )
    with session.library("mmpretrain"):
        network = load_network(checkpoint, as_if, "mmpretrain")
        module = network.predict.__closure__  # the network is a part of what predicts
        assert module is not None
        for cell in module:
            if isinstance(cell.cell_contents, torch.nn.Module):
                cell.cell_contents.backbone.register_forward_pre_hook(hook)
        predict(network, images_of(pictures))


def _takes_64_pixels(_: Any, inputs: tuple[Any, ...]) -> None:
    assert inputs[0].shape[-1] == 64, "the input should be 64 pixels wide"


# Toy networks, whose predictions are known -------------------------------------------------------


PIXEL_BY_PIXEL = """
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor", mean=[90.0] * 3, std=[60.0] * 3, pad_val=0, seg_pad_val=255
    ),
    backbone=dict(type="PixelsThemselves"),
    decode_head=dict(
        type="FCNHead", in_channels=3, channels=3, num_convs=0, kernel_size=1, concat_input=False,
        num_classes=2, norm_cfg=dict(type="BN"),
    ),
)
"""


def toy_config(
    pictures: LabeledImages,
    folder: Path,
    *,
    image_size: int = 64,
    views: tuple[float, ...] = (1.0,),
    flip: bool = False,
    probabilities: bool = False,
) -> tuple[Any, Trained]:
    """A segmenter that looks at each pixel alone, so that a mirror image has mirrored labels."""
    recipe = folder / "pixels.py"
    recipe.write_text(PIXEL_BY_PIXEL)
    model = model_of("mmseg", image_size=image_size)
    data = write_training_set("seg", data_of(pictures), folder / "data")
    config = resolve(model, recipe, data, folder)
    update = {
        "test_time_augmentation": TestTimeAugmentation(scales=views, flip=flip),
        "probabilities": probabilities,
    }
    return config, Trained(model.model_copy(update=update), [], {})


def pixels_network(pictures: LabeledImages, folder: Path, **settings: Any) -> Network:
    from mmengine.registry import MODELS

    @MODELS.register_module(force=True)
    class PixelsThemselves(torch.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, pixels: Any) -> tuple[Any]:
            return (pixels,)

    config, trained = toy_config(pictures, folder, **settings)
    torch.manual_seed(0)
    module = MODELS.build(config.model)
    with torch.no_grad():
        module.decode_head.conv_seg.weight.normal_()
    return ready(module, config, trained)


def portraits(folder: Path, width: int = 40, height: int = 64) -> Images:
    """Pictures of noise, narrower than they are high, so that the input is padded on the right."""
    rng = np.random.default_rng(0)
    for image_id in (1, 2):
        noise = rng.integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
        large = cv2.resize(noise, (width, height), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / f"{image_id}.png"), large)
    table = pd.DataFrame({"image_id": [1, 2], "file_name": ["1.png", "2.png"]})
    return Images(table.assign(width=width, height=height), ImageFolder(folder))


def test_a_mirrored_view_is_mapped_back_to_the_pixel(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    images = portraits(tmp_path)
    with session.library("mmseg"):
        plain, both = (
            predict(pixels_network(pictures, tmp_path, flip=flip, probabilities=True), images)
            for flip in (False, True)
        )
    assert isinstance(plain, ProbableLabelMaps)
    assert isinstance(both, ProbableLabelMaps)
    for image_id in (1, 2):
        assert len(np.unique(plain[image_id])) > 1
        assert (plain[image_id] != plain[image_id][:, ::-1]).any()
        np.testing.assert_array_equal(plain[image_id], both[image_id])
        np.testing.assert_array_equal(plain.probabilities[image_id], both.probabilities[image_id])


class BrightPixels(torch.nn.Module):  # type: ignore[misc,name-defined]
    """A detector whose one box is around the bright pixels of its input."""

    test_cfg = {"nms": {"type": "nms", "iou_threshold": 0.9}}  # noqa: RUF012

    def test_step(self, packed: dict[str, Any]) -> list[Any]:
        from mmengine.structures import InstanceData

        samples = packed["data_samples"]
        for picture, sample in zip(packed["inputs"], samples, strict=True):
            rows, columns = torch.nonzero(picture.max(dim=0).values > 200, as_tuple=True)
            width, height = sample.scale_factor
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            unscaled = torch.tensor([box], dtype=torch.float64) / torch.tensor(
                [width, height, width, height], dtype=torch.float64
            )
            sample.pred_instances = InstanceData(
                bboxes=unscaled.float(),
                scores=torch.tensor([0.5 + 0.4 * float(columns.min() < 20)]),
                labels=torch.tensor([0]),
            )
        return samples


def test_boxes_of_mirrored_views_are_mapped_back(pictures: LabeledImages, tmp_path: Path) -> None:
    cv2.rectangle(black := np.zeros((64, 64, 3), np.uint8), (4, 10), (23, 49), (255,) * 3, -1)
    cv2.imwrite(str(tmp_path / "1.png"), black)
    table = pd.DataFrame({"image_id": [1], "file_name": ["1.png"], "width": 64, "height": 64})
    recipe = tmp_path / "any.py"
    recipe.write_text('_base_ = "mmdet::yolox/yolox_nano_8xb8-300e_coco.py"\n')
    model = model_of("mmdet")
    views = TestTimeAugmentation(scales=(1.0, 2.0), flip=True)
    with session.library("mmdet"):
        data = write_training_set("det", data_of(pictures), tmp_path / "data")
        config = resolve(model, recipe, data, tmp_path)
        as_if = model.model_copy(update={"test_time_augmentation": views})
        categories = [{"category_id": 7, "name": "box"}]
        network = ready(BrightPixels(), config, Trained(as_if, categories, {}))
        found = predict(network, Images(table, ImageFolder(tmp_path)))
    assert isinstance(found, pd.DataFrame)
    assert found[BOX].to_numpy().round(3).tolist() == [[4, 10, 24, 50]], "four views, one box"
    assert found["score"].tolist() == pytest.approx([0.9]), "the best view's"


# Probabilities ----------------------------------------------------------------------------------


def test_planes_say_the_label_and_add_up_to_one(
    trained: dict[str, Checkpoint], pictures: LabeledImages
) -> None:
    for views in (AS_TRAINED, ALL_VIEWS):
        maps = predict_with(
            trained["mmseg"],
            images_of(pictures),
            probabilities=True,
            test_time_augmentation=views,
        )
        assert isinstance(maps, ProbableLabelMaps)
        assert list(maps.probabilities) == list(maps) == list(range(1, 9))
        for image_id, planes in maps.probabilities.items():
            assert planes.shape == (3, 64, 80)
            assert np.abs(planes.sum(axis=0, dtype=int) - 255).max() <= 2
            chosen = np.take_along_axis(planes, maps[image_id][None].astype(int), axis=0)[0]
            assert (chosen == planes.max(axis=0)).all()


def test_planes_can_be_read_when_their_label_maps_are_gone_and_leave_nothing_behind(
    trained: dict[str, Checkpoint],
    pictures: LabeledImages,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    planes = planes_of(trained["mmseg"], images_of(pictures))
    assert planes[3].shape == (3, 64, 80)
    (kept,) = tmp_path.iterdir()
    del planes
    assert not kept.exists()


def test_planes_of_a_large_picture_are_smaller_and_its_label_map_is_not(
    trained: dict[str, Checkpoint], tmp_path: Path
) -> None:
    images = portraits(tmp_path, width=400, height=2048)
    maps = predict_with(trained["mmseg"], images, probabilities=True)
    assert isinstance(maps, ProbableLabelMaps)
    assert maps.probabilities[1].shape == (3, 1024, 200)
    assert maps[1].shape == (2048, 400)


def test_very_thin_pictures_are_predicted_too(trained: dict[str, Checkpoint]) -> None:
    images = in_memory([np.full((*size, 3), 200, np.uint8) for size in ((1, 5000), (5000, 1))])
    found = predict_with(trained["mmdet"], images)
    assert isinstance(found, pd.DataFrame)
    assert (found["y_max"] <= found["image_id"].map({1: 1, 2: 5000})).all()
    maps = predict_with(trained["mmseg"], images, probabilities=True)
    assert isinstance(maps, ProbableLabelMaps)
    assert [maps[1].shape, maps[2].shape] == [(1, 5000), (5000, 1)]
    assert maps.probabilities[1].shape == (3, 1, 1024)


def test_a_full_disk_is_one_line(
    trained: dict[str, Checkpoint], pictures: LabeledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    module = "recycling.backends.shared.planes_on_disk"
    monkeypatch.setattr(f"{module}.write_planes", full)
    with pytest.raises(BackendError, match=r"No space left on device; make room there, or set"):
        planes_of(trained["mmseg"], images_of(pictures))


# A checkpoint's folder and images are all it takes ------------------------------------------------

PREDICT = """
import json, sys
from pathlib import Path
import numpy as np
import pandas as pd
from recycling.annotations import ImageFolder
from recycling.backends import Checkpoint, Images, backend_for

folder, pictures, out = map(Path, sys.argv[1:])
images = pd.read_parquet(out / "images.parquet")
crops = pd.read_parquet(out / "crops.parquet")
checkpoint = Checkpoint(folder)
found = backend_for(checkpoint.backend).predict(
    checkpoint, Images(images, ImageFolder(pictures), crops)
)
if isinstance(found, pd.DataFrame):
    found.to_parquet(out / "found.parquet")
else:
    np.savez(out / "found.npz", *found.values())
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["mmpretrain", "mmdet", "mmseg"])
def test_another_process_elsewhere_predicts_the_same(
    backend: str, trained: dict[str, Checkpoint], pictures: LabeledImages, tmp_path: Path
) -> None:
    images = images_of(pictures)
    here = predict_with(trained[backend], images)
    elsewhere, moved = tmp_path / "elsewhere", tmp_path / "pictures"
    elsewhere.mkdir()
    shutil.copytree(pictures.folder.path, moved)
    shutil.copytree(trained[backend].folder, elsewhere / "checkpoint")
    images.table.to_parquet(elsewhere / "images.parquet")
    assert images.crops is not None
    images.crops.to_parquet(elsewhere / "crops.parquet")
    arguments = ["checkpoint", str(moved), "."]
    done = subprocess.run(
        [sys.executable, "-c", PREDICT, *arguments],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if isinstance(here, pd.DataFrame):
        pd.testing.assert_frame_equal(here, pd.read_parquet(elsewhere / "found.parquet"))
    else:
        assert isinstance(here, LabelMaps)
        with np.load(elsewhere / "found.npz") as found:
            for own, other in zip(here.values(), found.values(), strict=True):
                np.testing.assert_array_equal(own, other)


# Bad input --------------------------------------------------------------------------------------


def test_a_checkpoint_of_another_library_is_named(trained: dict[str, Checkpoint]) -> None:
    facts = read_facts(trained["mmpretrain"], CONFIG)
    with (
        session.library("mmdet"),
        pytest.raises(BackendError, match=r"mmpretrain trained it, for task 'cls', and mmdet is"),
    ):
        load_network(trained["mmpretrain"], facts, "mmdet")


def remove(path: Path) -> None:
    path.unlink()


def damage(path: Path) -> None:
    path.write_bytes(b"no picture")


def shrink(path: Path) -> None:
    cv2.imwrite(str(path), np.zeros((10, 20, 3), np.uint8))


@pytest.mark.parametrize("backend", ["mmdet", "mmseg", "mmpretrain"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove, r"5\.png: No such file.*check the image folder"),
        (damage, r"5\.png: cannot be read as an image: .*; run data_cleaning"),
    ],
)
def test_a_picture_that_cannot_be_read_is_named(
    backend: str,
    spoil: Callable[[Path], None],
    message: str,
    trained: dict[str, Checkpoint],
    pictures: LabeledImages,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(pictures.folder.path, folder)
    spoil(folder / "5.png")
    images = replace(images_of(pictures), folder=ImageFolder(folder))
    with pytest.raises(BackendError, match=message) as caught:
        predict_with(trained[backend], images)
    assert "\n" not in str(caught.value)


def test_a_picture_of_another_size_than_its_table_says_is_named(
    trained: dict[str, Checkpoint], pictures: LabeledImages, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(pictures.folder.path, folder)
    shrink(folder / "5.png")
    images = replace(images_of(pictures), folder=ImageFolder(folder))
    with pytest.raises(BackendError, match=r"5\.png: 20 x 10 pixels, but .* 80 x 64"):
        predict_with(trained["mmdet"], images)


def test_weights_of_another_network_are_named(
    trained: dict[str, Checkpoint], tmp_path: Path
) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(trained["mmseg"].folder, folder)
    shutil.copy(trained["mmdet"].weights, folder)
    facts = read_facts(Checkpoint(folder), CONFIG)
    with (
        session.library("mmseg"),
        pytest.raises(BackendError, match=r"its weights are not those of its config"),
    ):
        load_network(Checkpoint(folder), facts, "mmseg")


def test_a_config_that_no_network_can_be_built_of_is_named(
    trained: dict[str, Checkpoint], tmp_path: Path
) -> None:
    folder = tmp_path / "strange"
    shutil.copytree(trained["mmseg"].folder, folder)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace("EncoderDecoder", "Unheard"))
    facts = read_facts(Checkpoint(folder), CONFIG)
    with (
        session.library("mmseg"),
        pytest.raises(BackendError, match=r"config\.json: no network can be built of it.*Unheard"),
    ):
        load_network(Checkpoint(folder), facts, "mmseg")


def test_a_network_that_the_memory_is_too_small_for_is_told_as_that(
    trained: dict[str, Checkpoint], pictures: LabeledImages, tmp_path: Path
) -> None:
    folder = tmp_path / "large"
    shutil.copytree(trained["mmseg"].folder, folder)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(
        config.replace('"num_classes": 3', f'"num_classes": {10**13}')
    )
    with pytest.raises(BackendError, match="large: out of memory while predicting") as caught:
        backend_for("mmseg").predict(Checkpoint(folder), images_of(pictures))
    assert "no network can be built" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_half_precision_asks_for_a_gpu_before_the_training_begins(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    with pytest.raises(BackendError, match=r"fp16 needs a GPU, and there is none; use bf16 or"):
        train("mmpretrain", pictures, tmp_path, precision="fp16")


def test_a_device_is_no_option(pictures: LabeledImages, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"unknown option 'device'"):
        train("mmpretrain", pictures, tmp_path, options={"device": "cuda"})


def test_scores_of_masks_are_made_probabilities_and_logits_are_too() -> None:
    from mmseg.models.decode_heads import FCNHead, Mask2FormerHead

    from recycling.backends.mmengine_backend.network import probabilities_of

    class Head(Mask2FormerHead):  # type: ignore[misc]
        num_classes = 2

        def __init__(self) -> None:
            torch.nn.Module.__init__(self)

    class Segmenter:
        def __init__(self, head: Any) -> None:
            self.decode_head = head

    said = torch.tensor([0.75, 0.25]).reshape(2, 1, 1)
    of_masks = probabilities_of(Segmenter(Head()), said)
    assert of_masks.flatten().tolist() == [0.75, 0.25]
    logits_head = FCNHead(in_channels=3, channels=3, num_convs=0, num_classes=2)
    cascade = torch.nn.ModuleList([Head(), logits_head])
    of_logits = probabilities_of(Segmenter(cascade), said)
    assert of_logits.flatten().tolist() == pytest.approx([0.622459, 0.377541], abs=1e-5)
