"""The setting `loss`: what a network learns its classes with, and the losses written for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.tiny_trainings import RECIPES as TINY
from backends.tiny_trainings import data_of, model_of
from recycling.annotations import LabeledImages
from recycling.backends import BackendError, Model
from recycling.backends.losses import LOSSES, Head
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.data.training_set import TrainingSet, write_training_set
from recycling.backends.mmengine_backend.resolve import resolve
from recycling.backends.mmengine_backend.settings.losses import set_loss

torch = pytest.importorskip("torch")
pytest.importorskip("mmpretrain")
pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy  # noqa: E402

from recycling.backends.losses.cross_entropy.torch_module import (  # noqa: E402
    SmoothedCrossEntropyLoss,
)
from recycling.backends.losses.dice.torch_module import DiceLossOfClasses  # noqa: E402
from recycling.backends.losses.f1.torch_module import SoftF1Loss  # noqa: E402
from recycling.backends.losses.focal.proposals import (  # noqa: E402
    FocalLossOfProposals,
)
from recycling.backends.losses.focal.torch_module import FocalLossOfClasses  # noqa: E402

ZOO = Path(__file__).parents[2] / "conf/recipes"

NARROW = "backbone=dict(depth=18, base_channels=8, stem_channels=8, init_cfg=None)"
PYRAMID = "neck=dict(in_channels=[8, 16, 32, 64], out_channels=16)"
CONVOLUTIONS = "in_channels=16, feat_channels=16"
BOX_HEAD = "in_channels=16, fc_out_channels=32"

NETWORKS = {
    "resnet": TINY["mmpretrain"],
    "several heads": TINY["mmpretrain"].replace(
        "head=dict(",
        "head=dict(type='recycling.backends.mmengine_backend.networks.classifiers.multi_attribute_head."
        "MultiAttributeHead', heads=[dict(name='a', size=2), dict(name='b', size=1)], ",
    ),
    "fast_scnn": TINY["mmseg"],
    "yolox": TINY["mmdet"],
    "faster_rcnn": f"""
_base_ = "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"
augmentation = []
model = dict({NARROW}, {PYRAMID}, rpn_head=dict({CONVOLUTIONS}), roi_head=dict(
    bbox_roi_extractor=dict(out_channels=16), bbox_head=dict({BOX_HEAD})))
""",
    "cascade": f"""
_base_ = "mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py"
model = dict({NARROW}, {PYRAMID}, rpn_head=dict({CONVOLUTIONS}), roi_head=dict(
    bbox_roi_extractor=dict(out_channels=16), bbox_head=[
        dict(type="Shared2FCBBoxHead", num_classes=80, {BOX_HEAD}, roi_feat_size=7,
             bbox_coder=dict(type="DeltaXYWHBBoxCoder"), reg_class_agnostic=True,
             loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
             loss_bbox=dict(type="SmoothL1Loss"))] * 3))
""",
    "retinanet": f"""
_base_ = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"
model = dict({NARROW}, {PYRAMID}, bbox_head=dict({CONVOLUTIONS}, stacked_convs=1))
""",
}
BACKENDS = {"resnet": "mmpretrain", "several heads": "mmpretrain", "fast_scnn": "mmseg"}


@pytest.fixture(scope="module")
def sets(
    pictures: LabeledImages, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, TrainingSet]:
    folder = tmp_path_factory.mktemp("sets")
    data = data_of(pictures)
    tasks = {"cls": "mmpretrain", "det": "mmdet", "seg": "mmseg"}
    return {
        backend: write_training_set(task, data, folder / task) for task, backend in tasks.items()
    }


def model_with(loss: Any, backend: str, **settings: Any) -> Model:
    return model_of(backend, **{"loss": loss, **settings})


def config_of(model: Model, recipe: Path, data: TrainingSet, folder: Path) -> Any:
    """The config as `resolve` makes it, with the loss; inside `session.library`."""
    config = resolve(model.model_copy(update={"loss": None}), recipe, data, folder)
    set_loss(config, model, data)
    return config


def network_of(name: str, folder: Path) -> Path:
    recipe = folder / "network.py"
    recipe.write_text(NETWORKS[name])
    return recipe


def learn(
    name: str, loss: Any, sets: dict[str, TrainingSet], folder: Path, **settings: Any
) -> tuple[list[dict[str, float]], Any]:
    """Train a tiny network; what was logged at each step, and the runner."""
    backend = BACKENDS.get(name, "mmdet")
    model = model_with(
        loss,
        backend,
        **{
            "epochs": 4,
            "optimizer": {"learning_rate": 3e-3, "clip_grad_norm": 10.0},
            "schedule": {"name": "constant", "warmup": 0.0},
            **settings,
        },
    )
    with session.library(backend):
        config = config_of(model, network_of(name, folder), sets[backend], folder)
        return _run(config)


def _run(config: Any) -> tuple[list[dict[str, float]], Any]:
    from mmengine.hooks import Hook
    from mmengine.runner import Runner

    logged: list[dict[str, float]] = []

    class Log(Hook):  # type: ignore[misc]
        def after_train_iter(self, runner: Any, *_: Any, **__: Any) -> None:
            scalars = runner.message_hub.log_scalars
            logged.append({key[6:]: scalars[key].current() for key in scalars if "loss" in key})

    with session.silence():
        runner = Runner.from_cfg(config)
        runner.register_hook(Log(), priority="LOWEST")
        runner.train()
    return logged, runner


def falls(logged: list[dict[str, float]], key: str = "loss") -> bool:
    """Whether the mean of a loss over the last quarter is well below that over the first."""
    values = [step[key] for step in logged]
    assert np.isfinite(values).all()
    quarter = len(values) // 4
    return bool(np.mean(values[-quarter:]) < 0.8 * np.mean(values[:quarter]))


def set_of(
    sets: dict[str, TrainingSet], recipe: str, loss: Any, folder: Path, backend: str = "mmdet"
) -> Any:
    """The network's config of a recipe of the zoo, with a loss."""
    model = model_with(loss, backend, recipe=recipe)
    with session.library(backend):
        path = ZOO / backend / f"{recipe}.py"
        return config_of(model, path, sets[backend], folder).model


# Learning ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss",
    [
        pytest.param("cross_entropy", marks=pytest.mark.slow),
        [{"name": "cross_entropy", "label_smoothing": 0.1, "class_weights": "balanced"}],
        pytest.param("focal", marks=pytest.mark.slow),
        [{"name": "focal", "class_weights": {"box": 2.0, "disc": 0.5}}],
        pytest.param("asymmetric", marks=pytest.mark.slow),
        pytest.param("f1", marks=pytest.mark.slow),
    ],
)
def test_a_classifier_learns_with_each_loss(
    loss: Any, sets: dict[str, TrainingSet], tmp_path: Path
) -> None:
    logged, _ = learn("resnet", loss, sets, tmp_path)
    assert falls(logged)


def test_a_classifier_learns_with_a_sum_and_logs_each_term(
    sets: dict[str, TrainingSet], tmp_path: Path
) -> None:
    logged, _ = learn("resnet", {"asymmetric": 1, "f1": 3}, sets, tmp_path)
    assert falls(logged)
    assert falls(logged, "loss_f1")
    for step in logged:
        assert step["loss"] == pytest.approx(step["loss_asymmetric"] + step["loss_f1"], abs=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        {"focal": 1, "f1": 2},
        pytest.param([{"name": "cross_entropy", "label_smoothing": 0.1}], marks=pytest.mark.slow),
    ],
)
def test_several_heads_learn_with_the_loss_each(
    loss: Any, sets: dict[str, TrainingSet], tmp_path: Path
) -> None:
    logged, _ = learn("several heads", loss, sets, tmp_path)
    assert falls(logged, "loss_a")


def test_several_heads_take_no_weights_of_classes(
    sets: dict[str, TrainingSet], tmp_path: Path
) -> None:
    loss = [{"name": "cross_entropy", "class_weights": "balanced"}]
    with pytest.raises(BackendError, match="attribute of them; remove them"):
        learn("several heads", loss, sets, tmp_path)


@pytest.mark.parametrize(
    "loss",
    [
        {"focal": 1, "dice": 3, "lovasz": 1},
        *(
            pytest.param(loss, marks=pytest.mark.slow)
            for loss in (
                [{"name": "cross_entropy", "class_weights": "balanced"}],
                [{"name": "cross_entropy", "label_smoothing": 0.1}],
                {"cross_entropy": 1, "dice": 3},
                "focal",
                "lovasz",
            )
        ),
    ],
)
def test_a_segmenter_learns_with_each_loss(
    loss: Any, sets: dict[str, TrainingSet], tmp_path: Path
) -> None:
    logged, _ = learn("fast_scnn", loss, sets, tmp_path)
    assert falls(logged)
    names = {"cross_entropy": "ce", "focal": "focal", "dice": "dice", "lovasz": "lovasz"}
    for name in {one.name for one in model_with(loss, "mmseg").loss or ()}:
        assert falls(logged, f"decode.loss_{names[name]}")


@pytest.mark.parametrize(
    ("network", "loss"),
    [
        ("faster_rcnn", "focal"),
        *(
            pytest.param(network, loss, marks=pytest.mark.slow)
            for network, loss in (
                ("faster_rcnn", "cross_entropy"),
                ("faster_rcnn", [{"name": "cross_entropy", "label_smoothing": 0.1}]),
                ("cascade", [{"name": "focal", "class_weights": "balanced"}]),
                ("retinanet", "cross_entropy"),
                ("retinanet", "focal"),
                ("retinanet", [{"name": "focal", "class_weights": {"box": 2.0, "disc": 0.5}}]),
                ("yolox", "cross_entropy"),
                ("yolox", "focal"),
            )
        ),
    ],
)
def test_a_detector_learns_with_each_loss_and_predicts(
    network: str, loss: Any, sets: dict[str, TrainingSet], tmp_path: Path
) -> None:
    # YOLOX's classes are learnt from the overlap of its boxes, which comes first.
    epochs = 16 if network == "yolox" else 4
    logged, runner = learn(network, loss, sets, tmp_path, epochs=epochs)
    assert falls(logged, "s2.loss_cls" if network == "cascade" else "loss_cls")
    with session.library("mmdet"), torch.no_grad():
        batch = next(iter(runner.train_dataloader))
        runner.model.eval()
        for sample in runner.model.test_step(batch):
            found = sample.pred_instances
            assert set(found.labels.tolist()) <= {0, 1}
            assert ((found.scores >= 0) & (found.scores <= 1)).all()


@pytest.mark.slow
def test_a_detector_with_proposals_and_focal_loss_finds_both_classes(
    sets: dict[str, TrainingSet], tmp_path: Path
) -> None:
    _, runner = learn("faster_rcnn", "focal", sets, tmp_path, epochs=40)
    right = total = 0
    with session.library("mmdet"), torch.no_grad():
        batches = list(runner.train_dataloader)
        runner.model.eval()
        for batch in batches:
            for sample, truth in zip(
                runner.model.test_step(batch), batch["data_samples"], strict=True
            ):
                best = sample.pred_instances.scores.argmax()
                middle = sample.pred_instances.bboxes[best].reshape(2, 2).mean(dim=0)
                # The box is drawn on the left, the disc on the right.
                on_the_right = int(middle[0] > truth.ori_shape[1] / 2)
                right += int(sample.pred_instances.labels[best]) == on_the_right
                total += 1
    assert right / total > 0.8


# What a head gets --------------------------------------------------------------------------------


def test_auxiliary_heads_keep_their_share(sets: dict[str, TrainingSet], tmp_path: Path) -> None:
    network = set_of(sets, "fcn_r101", {"cross_entropy": 1, "dice": 3}, tmp_path, "mmseg")
    for head, share in ((network.decode_head, 1.0), (network.auxiliary_head, 0.4)):
        weights = [one["loss_weight"] for one in head.loss_decode]
        assert weights == pytest.approx([share, 3 * share])


def test_each_loss_of_k_net_ocrnet_and_semask_is_set(
    sets: dict[str, TrainingSet], tmp_path: Path
) -> None:
    for recipe, n_heads in (("knet_r50", 2), ("ocrnet_hr48", 2), ("semask_fpn_swin_large", 2)):
        network = set_of(sets, recipe, "lovasz", tmp_path, "mmseg")
        text = json.dumps(network.to_dict())
        assert text.count("LovaszLoss") == n_heads
        assert "CrossEntropyLoss" not in text
        # The recipe's choice of pixels is part of its own loss.
        assert "OHEM" not in text


def test_all_stages_of_a_cascade_change_and_the_proposals_do_not(
    sets: dict[str, TrainingSet], tmp_path: Path
) -> None:
    network = set_of(sets, "cascade_rcnn_r50", "focal", tmp_path)
    kinds = [head.loss_cls.type.rpartition(".")[2] for head in network.roi_head.bbox_head]
    assert kinds == ["FocalLossOfProposals"] * 3
    assert network.rpn_head.loss_cls.type == "CrossEntropyLoss"


@pytest.mark.parametrize(
    ("recipe", "loss", "message"),
    [
        ("mask2former_swin_large", "dice", "learns masks with losses of its own"),
        ("tood_x101", "focal", "TOODHead learns classes with QualityFocalLoss"),
        ("ssd512_vgg16", "focal", "SSDHeadWithoutLossModule learns classes with a loss of its own"),
        ("yolov5_s", "focal", "YOLOv5 learns classes with a loss of its own"),
        ("cascade_rcnn_r50", {"focal": 1, "cross_entropy": 1}, "cannot learn from a sum"),
        (
            "retinanet_swin_tiny",
            [{"name": "cross_entropy", "label_smoothing": 0.1}],
            "label_smoothing is of scores that add up to 1",
        ),
    ],
)
def test_what_a_head_cannot_learn_with_is_refused_in_one_line(
    recipe: str, loss: Any, message: str, sets: dict[str, TrainingSet], tmp_path: Path
) -> None:
    backend = "mmseg" if recipe.startswith("mask2former") else "mmdet"
    with pytest.raises(BackendError, match=message) as caught:
        set_of(sets, recipe, loss, tmp_path, backend)
    assert recipe in str(caught.value)
    assert "\n" not in str(caught.value)


# Weights of classes ------------------------------------------------------------------------------


def weights_of(
    backend: str, recipe: str, given: Any, data: TrainingSet, folder: Path
) -> list[float]:
    model = model_with([{"name": "cross_entropy", "class_weights": given}], backend)
    with session.library(backend):
        network = config_of(model, ZOO / backend / f"{recipe}.py", data, folder).model
    loss = {
        "mmpretrain": lambda: network.head.loss,
        "mmdet": lambda: network.roi_head.bbox_head.loss_cls,
        "mmseg": lambda: network.decode_head.loss_decode[0],
    }[backend]()
    return list(loss["class_weight"])


def test_weights_follow_the_order_of_the_classes_and_the_background(
    sets: dict[str, TrainingSet], tmp_path: Path
) -> None:
    given = {"disc": 3.0, "box": 0.5}
    found = weights_of("mmpretrain", "resnet18_narrow", given, sets["mmpretrain"], tmp_path)
    assert found == [0.5, 3.0]
    found = weights_of("mmdet", "faster_rcnn_r50", given, sets["mmdet"], tmp_path)
    assert found == [0.5, 3.0, 1.0], "a detector's background is its last class"
    given = {"disc": 3.0, "box": 0.5, "background": 0.1}
    found = weights_of("mmseg", "fcn_r18_narrow", given, sets["mmseg"], tmp_path)
    assert found == [0.1, 0.5, 3.0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"box": 1.0, "disk": 1.0}, "no class 'disk'; there are box, disc"),
        ({"box": 1.0}, "no weight for 'disc'"),
        ({"box": 1.0, "disc": -1.0}, "-1.0 of 'disc'"),
    ],
)
def test_a_weight_of_no_class_or_a_class_of_no_weight_is_named(
    given: dict[str, float], message: str, sets: dict[str, TrainingSet], tmp_path: Path
) -> None:
    with pytest.raises(BackendError, match=message):
        weights_of("mmpretrain", "resnet18_narrow", given, sets["mmpretrain"], tmp_path)


def test_balanced_weights_are_the_inverse_of_the_pixels_and_one_on_average(
    sets: dict[str, TrainingSet], tmp_path: Path
) -> None:
    import cv2

    data = sets["mmseg"]
    counts = np.zeros(256)
    for sample in json.loads(data.file.read_text())["data_list"]:
        counts += np.bincount(cv2.imread(sample["seg_map_path"], 0).ravel(), minlength=256)
    expected = 1 / counts[:3]
    found = weights_of("mmseg", "fcn_r18_narrow", "balanced", data, tmp_path)
    assert found == pytest.approx(expected / expected.mean())


@pytest.mark.parametrize("backend", ["mmpretrain", "mmdet"])
def test_balanced_weights_count_annotations_and_name_a_class_that_has_none(
    backend: str, tmp_path: Path
) -> None:
    labels = [0, 0, 0, 1]
    samples: list[dict[str, Any]] = [{"gt_label": label} for label in labels]
    if backend == "mmdet":
        boxes = [{"bbox_label": label, "ignore_flag": 0} for label in labels]
        samples = [{"instances": boxes}, {"instances": [{"bbox_label": 1, "ignore_flag": 1}]}]
    file = tmp_path / "train.json"
    file.write_text(json.dumps({"metainfo": {}, "data_list": samples}))
    recipe = {"mmpretrain": "resnet18_narrow", "mmdet": "faster_rcnn_r50"}[backend]
    data = TrainingSet(file, ["a", "b"], len(samples), backend)
    assert weights_of(backend, recipe, "balanced", data, tmp_path)[:2] == pytest.approx([0.5, 1.5])
    data = TrainingSet(file, ["a", "b", "c"], len(samples), backend)
    with pytest.raises(BackendError, match="no annotation to learn from is of 'c'"):
        weights_of(backend, recipe, "balanced", data, tmp_path)


# The losses --------------------------------------------------------------------------------------

rng = np.random.default_rng(0)


def scores(*shape: int) -> Any:
    return torch.tensor(rng.normal(size=shape) * 3, dtype=torch.float64).float()


def slow_focal(logits: Any, labels: Any, gamma: float, alpha: float) -> list[list[float]]:
    rows = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        probabilities = [1 / (1 + np.exp(-score)) for score in row]
        rows.append(
            [
                -alpha * (1 - p) ** gamma * np.log(p)
                if label == number
                else -(1 - alpha) * p**gamma * np.log(1 - p)
                for number, p in enumerate(probabilities)
            ]
        )
    return rows


def test_focal_loss_is_that_of_the_paper_and_ignores_and_weighs() -> None:
    logits, labels = scores(5, 3), torch.tensor([0, 2, 3, 1, 2])
    rows = np.array(slow_focal(logits, labels, 1.5, 0.3))
    loss = FocalLossOfClasses(gamma=1.5, alpha=0.3, class_weight=[1, 2, 3], loss_weight=2.0)
    expected = 2 * (rows * [1, 2, 3]).sum()
    assert loss(logits, labels).item() == pytest.approx(expected / 5, rel=1e-5)
    assert loss(logits, labels, avg_factor=2).item() == pytest.approx(expected / 2, rel=1e-5)
    # The same as masks, of which the last two pixels are ignored.
    masks, maps = logits.T.reshape(1, 3, 1, 5), torch.tensor([[[0, 2, 3, 255, 255]]])
    expected = 2 * (rows[:3] * [1, 2, 3]).sum() / 3
    assert loss(masks, maps, ignore_index=255).item() == pytest.approx(expected, rel=1e-5)


def test_focal_loss_of_no_focus_is_half_of_cross_entropy_of_shares() -> None:
    logits, shares = scores(4, 3), torch.tensor(rng.random((4, 3))).float()
    found = FocalLossOfClasses(gamma=0.0, alpha=0.5, reduction="sum")(logits, shares)
    expected = binary_cross_entropy_with_logits(logits, shares, reduction="sum") / 2
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def slow_dice(logits: Any, labels: Any, weights: list[float]) -> float:
    """By loops over classes and pixels, 255 ignored; absent classes left out."""
    probabilities = logits.double().softmax(dim=1).numpy()
    total = sum_of_weights = 0.0
    for number, weight in enumerate(weights):
        hits = predicted = there = 0.0
        for picture, label_map in zip(probabilities, labels.numpy(), strict=True):
            for place in np.argwhere(label_map != 255):
                p = picture[(number, *place)]
                truth = label_map[tuple(place)] == number
                hits, predicted, there = hits + p * truth, predicted + p, there + truth
        if there:
            total += weight * (1 - 2 * hits / (predicted + there))
            sum_of_weights += weight
    return total / sum_of_weights


def test_dice_and_f1_are_those_of_loops_without_ignored_pixels_and_absent_classes() -> None:
    logits, labels = scores(2, 4, 3, 3), torch.tensor(rng.integers(0, 3, (2, 3, 3)))
    labels[0, 0] = 255
    weights = [1.0, 2.0, 0.5, 9.0]
    found = DiceLossOfClasses(class_weight=weights)(logits, labels, ignore_index=255)
    assert found.item() == pytest.approx(slow_dice(logits, labels, weights), rel=1e-5)
    flat, classes = scores(6, 4), torch.tensor([0, 1, 1, 2, 0, 2])
    expected = slow_dice(flat[..., None, None], classes[:, None, None], [1.0] * 4)
    assert SoftF1Loss()(flat, classes, avg_factor=6).item() == pytest.approx(expected, rel=1e-5)


def test_a_perfect_prediction_has_no_dice_loss_whatever_is_on_ignored_pixels() -> None:
    labels = torch.tensor([[[0, 1, 255]]])
    logits = torch.full((1, 3, 1, 3), -30.0)
    logits[0, 0, 0, 0] = logits[0, 1, 0, 1] = logits[0, 2, 0, 2] = 30.0
    logits.requires_grad_()
    loss = DiceLossOfClasses()(logits, labels, ignore_index=255)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert (logits.grad[..., 2] == 0).all()


def test_smoothed_cross_entropy_is_torch_s() -> None:
    logits, labels = scores(2, 3, 4, 4), torch.tensor(rng.integers(0, 3, (2, 4, 4)))
    labels[0, 0] = 255
    weights = [1.0, 2.0, 3.0]
    loss = SmoothedCrossEntropyLoss(0.2, class_weight=weights, loss_weight=2.0)
    expected = 2 * cross_entropy(
        logits, labels, torch.tensor(weights), ignore_index=255, label_smoothing=0.2
    )
    found = loss(logits, labels, ignore_index=255)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("size", [100.0, 1e4])
@pytest.mark.parametrize(
    "loss",
    [
        FocalLossOfClasses(gamma=0.5),
        FocalLossOfClasses(gamma=0.0),
        FocalLossOfProposals(num_classes=3),
        SoftF1Loss(),
        DiceLossOfClasses(),
        SmoothedCrossEntropyLoss(0.1),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_certain_scores_have_finite_gradients_right_or_wrong(loss: Any, size: float) -> None:
    labels = torch.tensor([0, 1, 2, 0])
    logits = torch.tensor([[size, -size, 0], [size, -size, 0], [-size] * 3, [size] * 3])
    if isinstance(loss, DiceLossOfClasses):
        logits, labels = logits[..., None, None], labels[:, None, None]
    logits.requires_grad_()
    value = loss(logits, labels)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


def test_a_map_of_ignored_pixels_only_teaches_nothing() -> None:
    labels = torch.full((1, 2, 2), 255)
    for loss in (FocalLossOfClasses(), DiceLossOfClasses(), SmoothedCrossEntropyLoss(0.1)):
        logits = scores(1, 3, 2, 2).requires_grad_()
        value = loss(logits, labels, ignore_index=255)
        value.backward()
        assert value.item() == 0
        assert (logits.grad == 0).all()


@pytest.mark.parametrize(
    "name", [name for name, entry in LOSSES.items() if entry.thing.segmenter is not None]
)
def test_no_loss_of_masks_looks_at_ignored_pixels(name: str) -> None:
    """Called as mmseg's heads do; a class that fires on ignored pixels changes nothing."""
    from mmseg.registry import MODELS

    entry = LOSSES[name]
    config = entry.thing.segmenter(entry.settings.model_validate({"name": name}), Head(3, 1.0))
    loss = MODELS.build(config)
    logits = scores(2, 3, 4, 4)
    labels = torch.tensor(rng.integers(0, 3, (2, 4, 4)))
    labels[:, 1:3, 1:3] = 255
    fired = logits.clone()
    fired[:, 1, 1:3, 1:3] += 9
    plain, other = (loss(each, labels, weight=None, ignore_index=255) for each in (logits, fired))
    assert plain.item() == pytest.approx(other.item(), rel=1e-6)
    seen = labels.where(labels != 255, torch.zeros_like(labels))
    assert loss(fired, seen, ignore_index=255).item() > loss(logits, seen, ignore_index=255).item()


@pytest.mark.parametrize("known", [0, 1, 2])
def test_a_batch_of_which_hardly_a_pixel_is_known_has_a_loss(known: int) -> None:
    from recycling.backends.losses.lovasz.torch_module import LovaszLossOfKnownPixels

    scores = torch.randn(1, 3, 4, 4, requires_grad=True, generator=torch.manual_seed(0))
    labels = torch.full((1, 4, 4), 255)
    labels.flatten()[:known] = 1
    loss = LovaszLossOfKnownPixels(reduction="none")(scores, labels, ignore_index=255)
    loss.mean().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(scores.grad).all()
    assert bool((scores.grad != 0).any()) == (known == 2)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_of_proposals_that_are_certain_has_a_gradient(gamma: float) -> None:
    from recycling.backends.losses.focal import Focal, fast_rcnn

    scores = torch.tensor([[40.0, -40.0], [-40.0, -40.0]], requires_grad=True)
    loss = fast_rcnn(Focal(gamma=gamma), scores, torch.tensor([0, 2]), torch.ones(2))
    loss.backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


def test_a_focal_loss_that_the_library_cannot_compute_is_refused() -> None:
    from recycling.backends.losses.core import LossError
    from recycling.backends.losses.focal import Focal, retinanet

    assert retinanet(Focal(gamma=2.0)) == {"FOCAL_LOSS_GAMMA": 2.0, "FOCAL_LOSS_ALPHA": 0.25}
    with pytest.raises(LossError, match="RetinaNet cannot honour gamma 0.5"):
        retinanet(Focal(gamma=0.5))
