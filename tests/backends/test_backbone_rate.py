"""The setting `optimizer.backbone_rate`: a backbone that learns more slowly than the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backends.tiny_trainings import data_of, model_of
from recycling.annotations import LabeledImages
from recycling.backends import BackendError
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.data.training_set import TrainingSet, write_training_set
from recycling.backends.mmengine_backend.resolve import resolve

nn = pytest.importorskip("torch").nn
pytest.importorskip("mmpretrain")
pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

ZOO = Path(__file__).parents[2] / "conf/recipes"
RATE = 1e-2


def groups_of(
    backend: str, recipe: str, share: float, data: TrainingSet, folder: Path
) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay of each parameter."""
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import MODELS

    optimizer: dict[str, Any] = {"learning_rate": RATE, "weight_decay": 0.05}
    model = model_of(backend, recipe=recipe, optimizer={**optimizer, "backbone_rate": share})
    with session.library(backend), session.silence():
        config = resolve(model, ZOO / backend / f"{recipe}.py", data, folder)
        network = MODELS.build(config.model)
        wrapper = build_optim_wrapper(network, config.optim_wrapper)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in wrapper.optimizer.param_groups
        for parameter in group["params"]
    }


@pytest.mark.parametrize(
    ("backend", "recipe"),
    [
        ("mmpretrain", "resnet18_narrow"),
        ("mmpretrain", "resnet34_efficientnet_b0"),
        ("mmpretrain", "swin_tiny"),  # norms and positions do not decay
        ("mmdet", "fcos_r18_narrow"),
        ("mmseg", "fcn_r18_narrow"),
    ],
)
def test_the_backbone_learns_at_its_share_of_the_rate_and_all_else_stays(
    backend: str, recipe: str, pictures: LabeledImages, tmp_path: Path
) -> None:
    task = {"mmpretrain": "cls", "mmdet": "det", "mmseg": "seg"}[backend]
    data = write_training_set(task, data_of(pictures), tmp_path / "data")
    before = groups_of(backend, recipe, 1.0, data, tmp_path)
    after = groups_of(backend, recipe, 0.25, data, tmp_path)
    of_backbone = {name for name in before if "backbone" in name.split(".")}
    assert of_backbone
    assert of_backbone < before.keys() == after.keys()
    for name, (rate, decay) in before.items():
        assert after[name] == (rate / 4 if name in of_backbone else rate, decay), name


def test_the_share_takes_the_place_of_the_recipe_s_own(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    """DINO's backbone learns at a tenth of the rate, as published."""
    data = write_training_set("det", data_of(pictures), tmp_path / "data")
    for share, expected in ((1.0, 0.1), (0.5, 0.5)):
        groups = groups_of("mmdet", "dino_r50", share, data, tmp_path)
        rates = {rate for name, (rate, _) in groups.items() if name.startswith("backbone.")}
        assert rates == {RATE * expected}
        assert {rate for name, (rate, _) in groups.items() if "bbox_head." in name} == {RATE}


def test_a_pyramid_within_the_backbone_learns_with_the_rest() -> None:
    """As EfficientDet's `backbone.fpn`, beside `backbone.backbone`."""
    network = nn.ModuleDict({"backbone": part("backbone", "fpn"), "bbox_head": part("fpn")})
    optimizer = built(network).optimizer
    rates = {
        name: group["lr"]
        for name, parameter in network.named_parameters()
        for group in optimizer.param_groups
        if group["params"][0] is parameter and name.endswith("weight")
    }
    assert rates == {
        "backbone.backbone.weight": RATE / 2,
        "backbone.fpn.weight": RATE,
        "bbox_head.fpn.weight": RATE,
    }


def test_a_network_without_a_backbone_refuses_it() -> None:
    with pytest.raises(BackendError, match="ModuleDict has no backbone of its own; remove b"):
        built(part("model"))


def part(*names: str) -> nn.ModuleDict:
    return nn.ModuleDict({name: nn.Linear(1, 1) for name in names})


def built(network: nn.Module) -> Any:
    from recycling.backends.mmengine_backend.backbone_rate import BackboneRate

    optimizer = {"type": "SGD", "lr": RATE}
    wrapper = {"type": "OptimWrapper", "optimizer": optimizer}
    return BackboneRate(wrapper, {"backbone_rate": 0.5})(network)


def test_where_a_recipe_sets_the_rate_of_each_layer_it_is_refused(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    data = write_training_set("seg", data_of(pictures), tmp_path / "data")
    with pytest.raises(BackendError, match="upernet_beit_base sets the rate of each layer"):
        groups_of("mmseg", "upernet_beit_base", 0.1, data, tmp_path)
