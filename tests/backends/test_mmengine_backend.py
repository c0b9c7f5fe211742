"""Real trainings, tiny, of each of the three libraries behind mmengine's Runner."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backends.tiny_trainings import images_of, train
from recycling.annotations import (
    ImageFolder,
    LabeledImages,
)
from recycling.backends import (
    BackendError,
    Checkpoint,
    Images,
    backend_for,
)
from recycling.backends.shared.checkpoint_folder import FORMAT
from recycling.predictions import LabelMaps

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def trained(
    pictures: LabeledImages, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Checkpoint]:
    """One checkpoint a library, trained one after another in one process.

    Each is moved away and what the training left beside it is deleted, so that a prediction can
    only use the checkpoint's folder.
    """
    folder = tmp_path_factory.mktemp("trained")
    checkpoints = {}
    for backend in ("mmdet", "mmseg", "mmpretrain"):
        made = train(backend, pictures, folder / backend)
        moved = folder / f"{backend}-moved"
        shutil.move(made.folder, moved)
        shutil.rmtree(folder / backend)
        checkpoints[backend] = Checkpoint(moved)
    return checkpoints


def test_a_checkpoint_is_complete(trained: dict[str, Checkpoint]) -> None:
    for backend, checkpoint in trained.items():
        assert sorted(path.name for path in checkpoint.folder.iterdir()) == [
            "checkpoint.json",
            "config.json",
            "weights.pth",
        ]
        facts = json.loads((checkpoint.folder / "checkpoint.json").read_text())
        assert facts["model"]["backend"] == backend
        assert [one["name"] for one in facts["categories"]] == ["box", "disc"]
        assert facts["iterations"] == (8 if backend == "mmpretrain" else 4)
        assert facts["seconds"] > 0
        assert np.isfinite(facts["last_loss"])
        assert len(facts["training_sha256"]) == 64
        weights = torch.load(checkpoint.folder / "weights.pth", weights_only=True)
        assert all(isinstance(tensor, torch.Tensor) for tensor in weights.values())


def test_a_checkpoint_of_an_earlier_version_is_refused_with_the_command_that_helps(
    trained: dict[str, Checkpoint], pictures: LabeledImages, tmp_path: Path
) -> None:
    folder = tmp_path / "cls.small.fold0" / "checkpoint"
    shutil.copytree(trained["mmpretrain"].folder, folder)
    facts = json.loads((folder / "checkpoint.json").read_text())
    assert facts.pop("format") == FORMAT
    (folder / "checkpoint.json").write_text(json.dumps(facts))
    with pytest.raises(BackendError, match="kedro run --namespaces cls.small.fold0") as caught:
        backend_for("mmpretrain").predict(Checkpoint(folder), images_of(pictures))
    assert f"format 1, of another version of the project, which reads format {FORMAT}" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)


def test_detections_are_within_the_original_picture(
    trained: dict[str, Checkpoint], pictures: LabeledImages
) -> None:
    found = backend_for("mmdet").predict(trained["mmdet"], images_of(pictures))
    assert isinstance(found, pd.DataFrame)
    assert len(found) > 0
    assert set(found["category_id"]) <= {7, 3}
    assert set(found["image_id"]) <= set(range(1, 9))
    assert found["x_min"].min() >= 0
    assert found["x_max"].max() <= 80
    assert found["y_max"].max() <= 64
    assert found["x_max"].max() > 64, "boxes are in the pixels of the original, 80 wide"
    assert found["score"].min() >= 1e-4
    assert found.groupby("image_id").size().max() <= 100


def test_label_maps_have_the_size_of_the_original_picture(
    trained: dict[str, Checkpoint], pictures: LabeledImages
) -> None:
    maps = backend_for("mmseg").predict(trained["mmseg"], images_of(pictures))
    assert isinstance(maps, LabelMaps)
    assert list(maps) == list(range(1, 9))
    for label_map in maps.values():
        assert label_map.shape == (64, 80)
        assert label_map.dtype == np.uint8
        assert label_map.max() <= 2


def test_class_probabilities_have_one_column_a_category(
    trained: dict[str, Checkpoint], pictures: LabeledImages
) -> None:
    table = backend_for("mmpretrain").predict(trained["mmpretrain"], images_of(pictures))
    assert isinstance(table, pd.DataFrame)
    assert list(table.columns) == ["annotation_id", "box", "disc"]
    assert table["annotation_id"].tolist() == list(range(1, 17))
    assert table["box"].dtype == np.float32
    np.testing.assert_allclose(table[["box", "disc"]].sum(axis=1), 1, atol=1e-5)


def test_a_classifier_without_crops_says_so(
    trained: dict[str, Checkpoint], pictures: LabeledImages
) -> None:
    images = Images(pictures.annotations.images, pictures.folder)
    with pytest.raises(BackendError, match=r"Images\.crops"):
        backend_for("mmpretrain").predict(trained["mmpretrain"], images)


@pytest.mark.parametrize("backend", ["mmdet", "mmseg", "mmpretrain"])
def test_the_same_seed_gives_the_same_weights(
    backend: str, trained: dict[str, Checkpoint], pictures: LabeledImages, tmp_path: Path
) -> None:
    again = train(backend, pictures, tmp_path)
    assert _sha256(again) == _sha256(trained[backend])


def test_another_seed_gives_other_weights(
    trained: dict[str, Checkpoint], pictures: LabeledImages, tmp_path: Path
) -> None:
    other = train("mmpretrain", pictures, tmp_path, seed=1)
    assert _sha256(other) != _sha256(trained["mmpretrain"])


def _sha256(checkpoint: Checkpoint) -> str:
    facts = json.loads((checkpoint.folder / "checkpoint.json").read_text())
    return str(facts["weights_sha256"])


def test_training_starts_from_the_weights_given(
    trained: dict[str, Checkpoint], pictures: LabeledImages, tmp_path: Path
) -> None:
    start = trained["mmpretrain"].folder
    tuned = train(
        "mmpretrain",
        pictures,
        tmp_path,
        pretrained=str(start / "weights.pth"),
        optimizer={"name": "SGD", "learning_rate": 1e-12, "weight_decay": 0.0},
    )
    before = torch.load(start / "weights.pth", weights_only=True)["backbone.conv1.weight"]
    after = torch.load(tuned.folder / "weights.pth", weights_only=True)["backbone.conv1.weight"]
    torch.testing.assert_close(before, after)


def test_weights_of_another_model_are_refused(
    trained: dict[str, Checkpoint], pictures: LabeledImages, tmp_path: Path
) -> None:
    with pytest.raises(BackendError, match="belongs to another model"):
        train("mmpretrain", pictures, tmp_path, pretrained=str(trained["mmseg"].folder))


def test_weights_that_hold_code_are_refused(pictures: LabeledImages, tmp_path: Path) -> None:
    torch.save({"state_dict": {"layer": pathlike()}}, tmp_path / "code.pth")
    with pytest.raises(BackendError, match="not a file of plain tensors"):
        train("mmpretrain", pictures, tmp_path, pretrained=str(tmp_path / "code.pth"))


def pathlike() -> Path:
    """An object that unpickling would have to run code for."""
    return Path("anything")


def test_a_misspelt_option_is_named(pictures: LabeledImages, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="unknown option 'model.bakbone.depth'.*backbone"):
        train("mmpretrain", pictures, tmp_path, options={"model.bakbone.depth": 34})


def test_an_option_that_the_class_does_not_take_is_named(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    with pytest.raises(BackendError, match="cannot be built.*deapth") as caught:
        train("mmpretrain", pictures, tmp_path, options={"model.backbone.deapth": 34})
    assert "\n" not in str(caught.value)


def test_a_recipe_whose_base_is_missing_is_named(pictures: LabeledImages, tmp_path: Path) -> None:
    recipe = tmp_path / "broken.py"
    recipe.write_text('_base_ = "mmdet::yolox/no_such_file.py"\n')
    with pytest.raises(BackendError, match=r"broken\.py: cannot be read.*no_such_file") as caught:
        train("mmdet", pictures, tmp_path, recipe=recipe)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_loss_that_is_no_number_stops_the_training(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    with pytest.raises(BackendError, match=r"the loss is (nan|inf) at iteration \d+ of") as caught:
        train(
            "mmpretrain",
            pictures,
            tmp_path,
            epochs=3,
            optimizer={"name": "SGD", "learning_rate": 1e30},
            schedule={"name": "constant", "warmup": 0},
        )
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "checkpoint").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_picture_is_named(
    workers: int, pictures: LabeledImages, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(pictures.folder.path, folder)
    (folder / "5.png").write_bytes(b"not a picture")
    broken = LabeledImages(pictures.annotations, ImageFolder(folder))
    with pytest.raises(BackendError, match=r"5\.png: cannot be read as an image") as caught:
        train("mmpretrain", broken, tmp_path, workers=workers)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_checkpoint_is_named(pictures: LabeledImages, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"no checkpoint\.json"):
        backend_for("mmdet").predict(Checkpoint(tmp_path), images_of(pictures))


def test_fp16_without_a_gpu_is_refused(pictures: LabeledImages, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(BackendError, match="fp16 needs a GPU"):
        train("mmpretrain", pictures, tmp_path, precision="fp16")
