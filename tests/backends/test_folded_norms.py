"""The settings `fold_norms` and `channels_last`: the same network, sooner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from backends.tiny_trainings import images_of, model_of, train
from recycling.annotations import LabeledImages
from recycling.backends import BackendError, Checkpoint, backend_for
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.data.training_set import TrainingSet
from recycling.backends.mmengine_backend.resolve import resolve

torch = pytest.importorskip("torch")
pytest.importorskip("mmdet")

from recycling.backends.mmengine_backend.folded_norms import (  # noqa: E402
    FoldedNorm,
    fold_norms,
    unfolded,
)
from recycling.backends.mmengine_backend.memory_format import set_memory_format  # noqa: E402

ZOO = Path(__file__).parents[2] / "conf/recipes"
UNMOVED = {
    "optimizer": {"name": "SGD", "learning_rate": 1e-12, "weight_decay": 0.0},
    "options": {"model.backbone.norm_cfg.momentum": 1e-9, "model.neck.norm_cfg.momentum": 1e-9,
                "model.bbox_head.norm_cfg.momentum": 1e-9},
}  # fmt: skip
"""So that a training moves nothing."""


def built(backend: str, recipe: str) -> Any:
    """The network of a recipe, its norms as after a training."""
    from mmengine.registry import MODELS

    data = TrainingSet(Path("train.json"), ["a", "b"], n_samples=2, sha256="")
    with session.library(backend), session.silence():
        config = resolve(
            model_of(backend, recipe=recipe), ZOO / backend / f"{recipe}.py", data, Path("run")
        )
        torch.manual_seed(0)
        network = MODELS.build(config.model)
        network.init_weights()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    return network.eval()


def maps(network: Any) -> Any:
    with torch.no_grad():
        return network.backbone(torch.randn(1, 3, 96, 64, generator=torch.manual_seed(1)))


def assert_the_same(found: Any, expected: Any) -> None:
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


def norms_of(network: Any) -> list[Any]:
    kind = torch.nn.modules.batchnorm._BatchNorm
    return [own for own in network.backbone.modules() if isinstance(own, kind)]


@pytest.mark.parametrize(
    ("backend", "recipe"),
    [
        ("mmdet", "fcos_timm"),
        ("mmdet", "fcos_r18_narrow"),
        ("mmdet", "yolox_narrow"),
        ("mmpretrain", "timm"),
        ("mmpretrain", "mobilenet_v3_large"),
        ("mmseg", "fcn_r18_narrow"),
    ],
)
def test_a_backbone_sees_the_same_with_its_norms_folded_and_unfolded(
    backend: str, recipe: str
) -> None:
    if "timm" in recipe:
        pytest.importorskip("timm")
    network, again = built(backend, recipe), built(backend, recipe)
    expected = maps(network)
    assert norms_of(network)
    fold_norms(network, "run")
    assert not norms_of(network)
    assert_the_same(maps(network), expected)
    # What is kept fits a network that has its norms.
    assert not again.load_state_dict(unfolded(network, network.state_dict())).missing_keys
    assert_the_same(maps(again), expected)
    fold_norms(again, "run")
    assert_the_same(maps(again), expected)


def test_frozen_stages_stay_frozen_and_the_others_learn_their_shifts() -> None:
    pytest.importorskip("timm")
    network = built("mmdet", "fcos_timm")
    stem = network.backbone.timm_model.conv_stem
    stem.weight.requires_grad = False
    fold_norms(network, "run")
    assert not stem.bias.requires_grad
    assert network.backbone.timm_model.blocks[2][0].conv_pw.bias.requires_grad


def test_norms_before_their_convolution_are_refused() -> None:
    network = built("mmpretrain", "densenet121")
    with pytest.raises(BackendError, match=r"run: cannot honour 'fold_norms': \d+ batch norms of"):
        fold_norms(network, "run")


def test_a_norm_that_does_not_see_the_convolution_before_it_is_refused() -> None:
    from torch import nn

    class NormFirst(nn.Module):
        """Its layers are not listed in the order in which they are used."""

        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 3, 1)
            self.norm = nn.BatchNorm2d(3)
            nn.init.uniform_(self.norm.bias)

        def forward(self, images: Any) -> Any:
            return self.convolution(self.norm(images).relu())

    network = nn.Module()
    network.backbone = NormFirst().eval()
    with pytest.raises(BackendError, match="the backbone sees something else with them folded"):
        fold_norms(network, "run")
    with pytest.raises(BackendError, match="no backbone of its own; remove it"):
        fold_norms(nn.Module(), "run")


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValidationError, match="fold_norms keeps the statistics of the weights"):
        model_of("mmdet", fold_norms=True)
    with pytest.raises(ValidationError, match="fold_norms is for one device"):
        model_of("mmdet", fold_norms=True, pretrained="weights.pth", devices=2)


# Trainings --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def start(pictures: LabeledImages, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return train("mmdet", pictures, tmp_path_factory.mktemp("start"))


def weights_of(checkpoint: Checkpoint) -> dict[str, Any]:
    return dict(torch.load(checkpoint.weights, weights_only=True))


def test_what_a_training_with_folded_norms_keeps_is_a_network_with_norms_and_predicts(
    pictures: LabeledImages, start: Checkpoint, tmp_path: Path
) -> None:
    settings = {"pretrained": str(start.weights), "fold_norms": True, "ema": 0.9, "epochs": 2}
    folded = train("mmdet", pictures, tmp_path / "folded", **settings)
    before, after = weights_of(start), weights_of(folded)
    assert set(after) == set(before)
    assert any(not torch.equal(after[name], before[name]) for name in after)
    norm = "backbone.stem.conv.bn"
    assert torch.all(after[f"{norm}.running_mean"] == 0)
    found = backend_for("mmdet").predict(folded, images_of(pictures))
    # Another network starts from it as from any.
    plain = train("mmdet", pictures, tmp_path / "plain", pretrained=str(folded.weights), **UNMOVED)
    expected = backend_for("mmdet").predict(plain, images_of(pictures))
    assert len(found) == len(expected) > 0
    assert found["score"].to_numpy() == pytest.approx(expected["score"].to_numpy(), abs=1e-3)


def test_a_stopped_training_with_folded_norms_ends_as_if_it_had_not_been_stopped(
    pictures: LabeledImages, start: Checkpoint, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        "pretrained": str(start.weights), "fold_norms": True, "epochs": 3,
        "early_stopping": {"patience": 9},
    }  # fmt: skip
    asked = []

    def stop(predictions: Any) -> float:
        asked.append(len(predictions))
        if len(asked) > 1:
            raise KeyboardInterrupt
        return 0.5

    whole = train("mmdet", pictures, tmp_path / "whole", score=lambda _: 0.5, **settings)
    with pytest.raises(KeyboardInterrupt):
        train("mmdet", pictures, tmp_path / "stopped", score=stop, **settings)
    assert (tmp_path / "stopped/run/state.pth").exists()
    resumed = train("mmdet", pictures, tmp_path / "stopped", score=lambda _: 0.5, **settings)
    assert asked[0] > 0
    found, expected = weights_of(resumed), weights_of(whole)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_order_of_channels_is_as_asked_and_changes_no_number_of_note(
    channels_last: bool,
) -> None:
    network = built("mmdet", "fcos_r18_narrow")
    expected = maps(network)
    set_memory_format(network, channels_last=channels_last)
    found = maps(network)
    assert_the_same(found, expected)
    assert all(own.is_contiguous(memory_format=torch.channels_last) == channels_last
               for own in found)  # fmt: skip


def test_an_activation_that_a_norm_holds_is_kept() -> None:
    layers = pytest.importorskip("timm.layers")
    folded = FoldedNorm(layers.BatchNormAct2d(4), "conv", has_bias=False)
    assert float(folded(torch.tensor(-1.0))) == 0
