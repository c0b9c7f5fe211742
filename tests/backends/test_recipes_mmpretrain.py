"""Each of mmpretrain's recipes: its size, its weights, and, slowly, a step and a prediction."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from backends.on_meta import network_of
from recycling.annotations import BOX, LabeledImages
from recycling.annotations.core import ImageFolder
from recycling.annotations.formats.class_labels import read_class_csv
from recycling.backends import Images, Model, TrainingData, backend_for
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.data.training_set import TrainingSet
from recycling.backends.mmengine_backend.resolve import resolve

torch = pytest.importorskip("torch")
pytest.importorskip("mmpretrain")
pytestmark = pytest.mark.usefixtures("index_read_once")

RECIPES = Path(__file__).parents[2] / "conf/recipes/mmpretrain"

CLASSES = [
    f"{mask}/{gender}/{age}"
    for mask in ("worn", "wrong", "none")
    for gender in ("female", "male")
    for age in ("young", "middle", "old")
]
"""As many as the competition of faces has."""

PARAMETERS = {
    "beit_base": 85_775_826,
    "convnext_tiny": 27_833_970,
    "convnext_v2_tiny": 27_880_338,
    "densenet121": 6_972_306,
    "efficientnet_b0": 4_030_606,
    "efficientnet_b3": 10_723_898,
    "efficientnet_b5": 28_377_666,
    "mnasnet1_0": 3_125_370,
    "mobilenet_v2": 2_246_930,
    "mobilenet_v3_large": 4_225_090,
    "resnet101": 42_537_042,
    "resnet152": 58_180_690,
    "resnet18": 11_185_746,
    "resnet18_narrow": 704_418,
    "resnet18_three_models": 33_533_640,
    "resnet34": 21_293_906,
    "resnet34_efficientnet_b0": 25_324_494,
    "resnet34_three_heads": 21_288_776,
    "resnet50": 23_544_914,
    "resnetv1d18_narrow": 704_042,
    "shufflenet_v2": 1_272_054,
    "squeezenet1_1": 731_730,
    "swin_base": 86_761_674,
    "swin_tiny": 27_533_196,
    "timm": 3_394_066,
}
"""Of each recipe's network with eighteen classes."""

NARROW = ("resnet18_narrow", "resnetv1d18_narrow")
"""Nobody has published weights of these."""

ZOO = [recipe for recipe in PARAMETERS if recipe not in (*NARROW, "timm")]
"""Those whose configs name weights; timm's are in `test_timm`."""

IN_TORCHVISION = {
    "convnext_tiny": "convnext_tiny",
    "densenet121": "densenet121",
    "efficientnet_b0": "efficientnet_b0",
    "efficientnet_b3": "efficientnet_b3",
    "efficientnet_b5": "efficientnet_b5",
    "mnasnet1_0": "mnasnet1_0",
    "mobilenet_v2": "mobilenet_v2",
    "mobilenet_v3_large": "mobilenet_v3_large",
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "resnet152": "resnet152",
    "shufflenet_v2": "shufflenet_v2_x1_0",
    "squeezenet1_1": "squeezenet1_1",
    "swin_base": "swin_b",
    "swin_tiny": "swin_t",
}
"""What torchvision, which publishes the number of parameters, calls the same network."""


def model(recipe: str, **settings: Any) -> Model:
    return Model(
        **{
            "task": "cls",
            "backend": "mmpretrain",
            "recipe": recipe,
            "image_size": 64,
            "epochs": 1,
            "batch_size": 2,
            "optimizer": {"learning_rate": 1e-4},
            **settings,
        }
    )


@cache
def resolved(recipe: str, pretrained: str = "none", n_classes: int = len(CLASSES)) -> Any:
    names = CLASSES if n_classes == len(CLASSES) else [str(one) for one in range(n_classes)]
    data = TrainingSet(Path("train.json"), names, n_samples=2, sha256="")
    settings = model(recipe, pretrained=pretrained)
    with session.library("mmpretrain"):
        return resolve(settings, RECIPES / f"{recipe}.py", data, Path("run"))


@cache
def n_parameters(recipe: str, n_classes: int = len(CLASSES)) -> int:
    network = network_of(resolved(recipe, n_classes=n_classes), "mmpretrain")
    return sum(weights.numel() for weights in network.parameters())


def sources(node: Any) -> Iterator[str]:
    """Where a config takes weights from."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("checkpoint", "pretrained", "load_from") and isinstance(value, str):
                yield value
            else:
                yield from sources(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from sources(value)


@cache
def published() -> dict[str, int]:
    """The weights in mmpretrain's index and in torchvision's, each with its parameters."""
    import mmpretrain
    from mmengine import load
    from torchvision.models import get_model_weights, list_models

    folder = Path(mmpretrain.__file__).parent / ".mim"
    found = {}
    for part in load(folder / "model-index.yml")["Import"]:
        for one in load(folder / part).get("Models", []):
            if one.get("Weights"):
                found[one["Weights"]] = int(one["Metadata"]["Parameters"])
    for name in list_models():
        for weights in get_model_weights(name):
            found[weights.url] = weights.meta["num_params"]
    return found


def test_each_recipe_is_in_the_table() -> None:
    assert sorted(PARAMETERS) == sorted(path.stem for path in RECIPES.glob("[!_]*.py"))


@pytest.mark.parametrize("recipe", PARAMETERS)
def test_a_recipe_has_the_size_in_the_table(recipe: str) -> None:
    assert n_parameters(recipe) == PARAMETERS[recipe]


@pytest.mark.parametrize("recipe", IN_TORCHVISION)
def test_a_recipe_is_the_network_that_torchvision_has_under_that_name(recipe: str) -> None:
    from torchvision.models import get_model_weights

    expected = next(iter(get_model_weights(IN_TORCHVISION[recipe]))).meta["num_params"]
    assert n_parameters(recipe, n_classes=1000) == expected


@pytest.mark.parametrize("recipe", ZOO)
def test_official_weights_are_taken_when_asked_for_and_only_then(recipe: str) -> None:
    assert not list(sources(resolved(recipe).to_dict()))
    found = list(sources(resolved(recipe, pretrained="default").to_dict()))
    assert len(found) == {"resnet34_efficientnet_b0": 2, "resnet18_three_models": 3}.get(recipe, 1)
    assert set(found) <= set(published())


@pytest.mark.parametrize("recipe", NARROW)
def test_a_network_that_nobody_has_published_names_no_weights(recipe: str) -> None:
    assert "load_from" not in (RECIPES / f"{recipe}.py").read_text()
    assert not list(sources(resolved(recipe).to_dict()))


@pytest.mark.parametrize("recipe", [recipe for recipe in ZOO if recipe in IN_TORCHVISION])
def test_official_weights_are_those_of_a_network_of_that_size(recipe: str) -> None:
    if recipe == "resnet34":
        pytest.skip("mmpretrain's index has its number of parameters wrong, by ten times")
    (source,) = sources(resolved(recipe, pretrained="default").to_dict())
    # The index rounds some numbers to tens of thousands.
    assert published()[source] == pytest.approx(n_parameters(recipe, n_classes=1000), rel=0.01)


@pytest.mark.parametrize("recipe", ZOO)
def test_networks_differ_in_nothing_but_the_network(recipe: str) -> None:
    config = resolved(recipe)
    assert config.model.head.get("loss", {}).get("type") == "CrossEntropyLoss"
    assert config.custom_hooks == []
    # What mixes pictures.
    assert not config.model.get("train_cfg")


# Training ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> LabeledImages:
    """Four pictures, 80 x 64 pixels, of several labels each."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(4):
        cv2.imwrite(
            str(folder / f"{number}.png"), rng.integers(0, 255, (64, 80, 3), dtype=np.uint8)
        )
    labels = ["worn,male,old", "wrong,female,young", "none,male,middle", "worn,female,young"]
    rows = "".join(f"{number}.png,{label}\n" for number, label in enumerate(labels))
    (folder / "labels.csv").write_text(f"file_name,mask,gender,age\n{rows}")
    values = {
        "mask": ["worn", "wrong", "none"],
        "gender": ["female", "male"],
        "age": ["young", "middle", "old"],
    }
    annotations = read_class_csv(
        folder / "labels.csv", folder, labels=["mask", "gender", "age"], values=values
    )
    return LabeledImages(annotations, ImageFolder(folder))


def trained(pictures: LabeledImages, recipe: Path, work_dir: Path, **settings: Any) -> Any:
    data = TrainingData([pictures], pictures, pictures.annotations.categories)
    return backend_for("mmpretrain").train(model(recipe.stem, **settings), recipe, data, work_dir)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", PARAMETERS)
def test_a_recipe_takes_steps_and_predicts(
    recipe: str, pictures: LabeledImages, tmp_path: Path
) -> None:
    try:
        checkpoint = trained(pictures, RECIPES / f"{recipe}.py", tmp_path / "run")
        facts = json.loads((checkpoint.folder / "checkpoint.json").read_text())
        assert facts["iterations"] == 2
        assert np.isfinite(facts["last_loss"])
        tables = pictures.annotations
        crops = tables.annotations[["annotation_id", "image_id", *BOX]]
        table = backend_for("mmpretrain").predict(
            checkpoint, Images(tables.images, pictures.folder, crops)
        )
        assert isinstance(table, pd.DataFrame)
        assert list(table.columns) == ["annotation_id", *CLASSES]
        assert table["annotation_id"].tolist() == [1, 2, 3, 4]
        np.testing.assert_allclose(table[CLASSES].sum(axis=1), 1, atol=1e-5)
    finally:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)


def other_weights(recipe: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """A file of weights of a recipe's network with a thousand classes, as those published are."""
    from mmengine.registry import MODELS

    with session.library("mmpretrain"), session.silence():
        torch.manual_seed(1)
        network = MODELS.build(resolved(recipe, n_classes=1000).model)
    path = folder / f"{recipe}.pth"
    weights = network.state_dict()
    torch.save({"state_dict": weights, "meta": {}}, path)
    return path, weights


def test_weights_for_other_classes_start_the_backbone(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    path, expected = other_weights("shufflenet_v2", tmp_path)
    recipe = tmp_path / "here.py"
    recipe.write_text(f'_base_ = "{RECIPES}/shufflenet_v2.py"\nload_from = "{path}"\n')
    checkpoint = trained(pictures, recipe, tmp_path / "run", pretrained="default", **UNMOVED)
    weights = torch.load(checkpoint.weights, weights_only=True)
    name = "backbone.conv1.conv.weight"
    torch.testing.assert_close(weights[name], expected[name])
    assert weights["head.fc.weight"].shape == (len(CLASSES), 1024)


UNMOVED = {"optimizer": {"name": "SGD", "learning_rate": 1e-12, "weight_decay": 0.0}}


@pytest.mark.slow
def test_each_of_two_backbones_starts_from_its_own_weights(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    networks = "recycling.backends.mmengine_backend.networks"
    kind = f"{networks}.classifiers.concatenated.ConcatenatedBackbones"
    parts, files = [], {}
    for recipe in ("shufflenet_v2", "mobilenet_v2"):
        path, files[recipe] = other_weights(recipe, tmp_path)
        backbone = resolved(recipe).model.backbone.to_dict()
        start = {"type": "Pretrained", "checkpoint": str(path), "prefix": "backbone."}
        parts.append({**backbone, "init_cfg": start})
    backbone = {"_delete_": True, "type": kind, "backbones": parts}
    recipe_file = tmp_path / "here.py"
    recipe_file.write_text(
        f'_base_ = "{RECIPES}/resnet34_efficientnet_b0.py"\n'
        f"model = dict(backbone={backbone!r}, head=dict(in_channels={1024 + 1280}))\n"
    )
    checkpoint = trained(pictures, recipe_file, tmp_path / "run", pretrained="default", **UNMOVED)
    weights = torch.load(checkpoint.weights, weights_only=True)
    for number, recipe in enumerate(files):
        torch.testing.assert_close(
            weights[f"backbone.backbones.{number}.conv1.conv.weight"],
            files[recipe]["backbone.conv1.conv.weight"],
        )


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "features"), [("squeezenet1_1", "features"),
                                                  ("mnasnet1_0", "layers")])  # fmt: skip
def test_torchvision_s_own_weights_fit(
    recipe: str, features: str, pictures: LabeledImages, tmp_path: Path
) -> None:
    from torchvision.models import get_model

    torch.manual_seed(1)
    expected = get_model(recipe).state_dict()
    torch.save(expected, tmp_path / "weights.pth")
    recipe_file = tmp_path / "here.py"
    recipe_file.write_text(
        f'_base_ = "{RECIPES}/{recipe}.py"\n'
        f'model = dict(backbone=dict(init_cfg=dict(checkpoint="{tmp_path}/weights.pth")))\n'
    )
    checkpoint = trained(pictures, recipe_file, tmp_path / "run", pretrained="default", **UNMOVED)
    weights = torch.load(checkpoint.weights, weights_only=True)
    kernels = [name for name in expected if expected[name].ndim == 4 and name.startswith(features)]
    assert len(kernels) > 20
    for name in kernels:
        torch.testing.assert_close(weights[f"backbone.{name}"], expected[name])
