"""Dropout in the heads of classifiers and segmenters; refused where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backends.loaded_trainings import samples_of
from backends.tiny_trainings import data_of, images_of, model_of, train
from recycling.annotations import LabeledImages
from recycling.backends import BackendError, backend_for
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.config_tree import mappings_in
from recycling.backends.mmengine_backend.data.training_set import write_training_set
from recycling.backends.mmengine_backend.resolve import resolve

torch = pytest.importorskip("torch")

RECIPES = Path(__file__).parents[2] / "conf/recipes"


def network_of(backend: str, recipe: str, pictures: LabeledImages, folder: Path) -> Any:
    model = model_of(backend, recipe=recipe, dropout=0.35)
    with session.library(backend):
        data = write_training_set(model.task, data_of(pictures), folder)
        return resolve(model, RECIPES / backend / f"{recipe}.py", data, folder).model


def test_a_classifier_drops_features_while_learning_and_none_after(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    from mmengine.registry import MODELS

    config, _ = samples_of("mmpretrain", pictures, tmp_path, dropout=0.5)
    with session.library("mmpretrain"):
        torch.manual_seed(0)
        head = MODELS.build(config.model.head)
        features = (torch.ones(4, 64),)
        dropped = head.pre_logits(features)
        assert set(dropped.unique().tolist()) == {0.0, 2.0}  # what is left is scaled up
        assert 0.3 < (dropped == 0).float().mean() < 0.7
        head.eval()
        assert torch.equal(head.pre_logits(features), features[0])
        plain, _ = samples_of("mmpretrain", pictures, tmp_path)
        without = MODELS.build(plain.model.head)
        assert without.state_dict().keys() == head.state_dict().keys()


def test_a_model_with_dropout_trains_predicts_and_is_a_start_for_one_without(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    first = train("mmpretrain", pictures, tmp_path / "first", dropout=0.4)
    predict = backend_for("mmpretrain").predict
    once, again = (predict(first, images_of(pictures)) for _ in range(2))
    assert once.equals(again)
    train("mmpretrain", pictures, tmp_path / "second", pretrained=str(first.weights))


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [
        ("swin_tiny", "LinearHeadWithDropout"),
        ("mobilenet_v3_large", "StackedLinearClsHead"),
        ("resnet18_three_models", "MultiAttributeHead"),
    ],
)
def test_each_kind_of_classifier_takes_it(
    recipe: str, kind: str, pictures: LabeledImages, tmp_path: Path
) -> None:
    head = network_of("mmpretrain", recipe, pictures, tmp_path).head
    assert head.type.endswith(kind)
    assert head.dropout_rate == 0.35


@pytest.mark.parametrize("recipe", ["segformer_b5", "knet_r50", "ocrnet_hr48", "unet_plus_plus"])
def test_each_head_of_a_segmenter_takes_it(
    recipe: str, pictures: LabeledImages, tmp_path: Path
) -> None:
    network = network_of("mmseg", recipe, pictures, tmp_path)
    heads = [
        node
        for name in ("decode_head", "auxiliary_head")
        for node in mappings_in(network.get(name))
        if "dropout_ratio" in node
    ]
    assert heads
    assert {head["dropout_ratio"] for head in heads} == {0.35}


def test_a_head_without_dropout_refuses_it(pictures: LabeledImages, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="'dropout' for Mask2FormerAnyClassesHead, which has no"):
        network_of("mmseg", "mask2former_swin_large", pictures, tmp_path)


def test_adamax_is_an_optimizer(pictures: LabeledImages, tmp_path: Path) -> None:
    adamax = {"name": "Adamax", "learning_rate": 0.002}
    config, _ = samples_of("mmpretrain", pictures, tmp_path, optimizer=adamax)
    assert config.optim_wrapper.optimizer == {"type": "Adamax", "lr": 0.002, "weight_decay": 0.01}
    train("mmpretrain", pictures, tmp_path / "run", optimizer=adamax)
