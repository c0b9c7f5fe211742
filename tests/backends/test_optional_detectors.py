"""EfficientDet, YOLOv5, D-FINE: what their own libraries compute is trained and predicted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from recycling.backends import BackendError, Model
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.data.training_set import TrainingSet
from recycling.backends.mmengine_backend.resolve import resolve

pytest.importorskip("mmdet")

RECIPES = Path(__file__).parents[2] / "conf/recipes/mmdet"


def network(recipe: str, n_classes: int = 3) -> Any:
    from mmengine.registry import MODELS

    model = Model(
        task="det",
        backend="mmdet",
        recipe=recipe,
        image_size=128,
        epochs=1,
        batch_size=2,
        optimizer={"learning_rate": 1e-4},
        score_threshold=0.0,
    )
    classes = [str(number) for number in range(n_classes)]
    data = TrainingSet(Path("train.json"), classes, n_samples=2, sha256="")
    config = resolve(model, RECIPES / f"{recipe}.py", data, Path("run"))
    with session.silence():
        return MODELS.build(config.model)


def samples(boxes: list[Any], labels: list[Any], size: tuple[int, int]) -> list[Any]:
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    made = []
    for own_boxes, own_labels in zip(boxes, labels, strict=True):
        sample = DetDataSample(
            metainfo={
                "img_shape": size,
                "pad_shape": size,
                "batch_input_shape": size,
                "scale_factor": (0.5, 0.5),
            }
        )
        sample.gt_instances = InstanceData(bboxes=own_boxes, labels=own_labels)
        made.append(sample)
    return made


@pytest.fixture
def scene() -> tuple[Any, list[Any], list[Any]]:
    """Two pictures of 256 x 256 pixels, with two boxes and one."""
    import torch

    torch.manual_seed(0)
    boxes = [
        torch.tensor([[20.0, 30, 84, 110], [100, 90, 220, 160]]),
        torch.tensor([[5.0, 5, 45, 37]]),
    ]
    labels = [torch.tensor([0, 2]), torch.tensor([1])]
    return torch.randn(2, 3, 256, 256), boxes, labels


@pytest.mark.parametrize(
    ("recipe", "library", "extra"),
    [
        ("d_fine_s", "transformers", "transformers"),
        ("efficientdet_d0", "effdet", "efficientdet"),
        ("yolov5_s", "ultralytics", "yolov5"),
    ],
)
def test_without_its_library_a_recipe_says_what_to_install(
    recipe: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    with session.library("mmdet"), pytest.raises(BackendError) as caught:
        network(recipe)
    assert f"needs {library}" in str(caught.value)
    assert f'pip install ".[{extra}]"' in str(caught.value)


# EfficientDet -----------------------------------------------------------------------------------


@pytest.fixture
def efficientdet() -> tuple[Any, Any]:
    """The recipe's network, and effdet's own with the same weights, for 256 pixels."""
    effdet = pytest.importorskip("effdet", reason="effdet is optional and not installed")
    import torch

    torch.manual_seed(1)
    with session.library("mmdet"):
        ours = network("efficientdet_d0")
    for head in (ours.bbox_head.class_net, ours.bbox_head.box_net):
        # Classes and boxes that differ, as trained ones do.
        torch.nn.init.normal_(head.predict.conv_pw.weight, std=0.3)
    config = effdet.get_efficientdet_config("tf_efficientdet_d0")
    # effdet rounds the root of 2 to 1.4.
    wide, high = 2**0.5, 0.5**0.5
    config.update(
        {
            "num_classes": 3,
            "image_size": (256, 256),
            "aspect_ratios": [(1.0, 1.0), (wide, high), (high, wide)],
        }
    )
    theirs = effdet.EfficientDet(config, pretrained_backbone=False)
    state = {name.split(".", 1)[1]: value for name, value in ours.state_dict().items()}
    theirs.load_state_dict(state)
    return ours, theirs


def test_the_losses_are_those_of_effdet(
    efficientdet: tuple[Any, Any], scene: tuple[Any, list[Any], list[Any]]
) -> None:
    from effdet import DetBenchTrain

    ours, theirs = efficientdet
    pictures, boxes, labels = scene
    bench = DetBenchTrain(theirs).eval()
    # effdet's boxes are y, x, y, x, and its classes begin at 1.
    targets = bench.anchor_labeler.batch_label_anchors(
        [own[:, [1, 0, 3, 2]] for own in boxes], [own + 1 for own in labels]
    )
    found = bench.loss_fn(*theirs.eval()(pictures), *targets)
    with session.library("mmdet"):
        losses = ours.eval().loss(pictures, samples(boxes, labels, (256, 256)))
    # effdet divides by one more than the anchors that have a box.
    n_anchors = float(targets[2].sum())
    share = (n_anchors + 1) / n_anchors
    for name, loss in (("loss_cls", found[1]), ("loss_bbox", 50 * found[2])):
        total = sum(level.item() for level in losses[name])
        assert total == pytest.approx(loss.item() * share, rel=1e-4)


def test_the_boxes_are_those_of_effdet(
    efficientdet: tuple[Any, Any], scene: tuple[Any, list[Any], list[Any]]
) -> None:
    import torch
    from effdet import DetBenchPredict

    ours, theirs = efficientdet
    pictures, boxes, labels = scene
    with torch.no_grad(), session.library("mmdet"):
        expected = DetBenchPredict(theirs).eval()(
            pictures,
            {"img_scale": torch.ones(2), "img_size": torch.full((2, 2), 256.0)},
        )
        found = ours.eval().predict(pictures, samples(boxes, labels, (256, 256)), rescale=False)
    for own, other in zip(found, expected, strict=True):
        best = own.pred_instances
        assert torch.allclose(best.scores[:10], other[:10, 4], atol=1e-5)
        assert torch.allclose(best.bboxes[:10], other[:10, :4], atol=1e-2)
        assert torch.equal(best.labels[:10], other[:10, 5].long() - 1)


def test_pictures_of_any_size_are_seen(efficientdet: tuple[Any, Any]) -> None:
    import torch

    levels = efficientdet[0].backbone.eval()(torch.zeros(1, 3, 128, 384))
    assert [tuple(level.shape[2:]) for level in levels] == [
        (16, 48),
        (8, 24),
        (4, 12),
        (2, 6),
        (1, 3),
    ]


def test_frozen_stages_do_not_learn_and_keep_their_normalisation() -> None:
    pytest.importorskip("effdet", reason="effdet is optional and not installed")
    from recycling.backends.mmengine_backend.networks.detectors.efficientdet import (
        EfficientDetFeatures,
    )

    features = EfficientDetFeatures("tf_efficientdet_d0", frozen_stages=2).train()
    stem, blocks = features.backbone.conv_stem, features.backbone.blocks
    for frozen in (stem, features.backbone.bn1, blocks[0], blocks[1]):
        assert not any(weights.requires_grad for weights in frozen.parameters())
        assert not frozen.training
    assert all(weights.requires_grad for weights in blocks[2].parameters())
    assert blocks[2].training


def test_official_weights_of_effdet_go_into_all_but_the_classes(
    efficientdet: tuple[Any, Any], tmp_path: Path
) -> None:
    import torch
    from mmengine.registry import MODELS

    _, theirs = efficientdet
    theirs.reset_head(num_classes=90)
    torch.save(theirs.state_dict(), tmp_path / "coco.pth")
    start = {"type": "Pretrained", "checkpoint": str(tmp_path / "coco.pth")}
    with session.library("mmdet"):
        model = Model(
            task="det",
            backend="mmdet",
            recipe="efficientdet_d0",
            image_size=128,
            epochs=1,
            batch_size=2,
            optimizer={"learning_rate": 1e-4},
            pretrained="default",
        )
        data = TrainingSet(Path("train.json"), ["a", "b", "c"], n_samples=2, sha256="")
        config = resolve(model, RECIPES / "efficientdet_d0.py", data, Path("run"))
        config.model.backbone.init_cfg = start
        config.model.bbox_head.init_cfg = start
        with session.silence():
            ours = MODELS.build(config.model)
            ours.init_weights()
    state = {name.split(".", 1)[1]: value for name, value in ours.state_dict().items()}
    other = {
        name
        for name, value in theirs.state_dict().items()
        if state[name].shape != value.shape or not torch.equal(state[name], value)
    }
    assert other
    assert all(name.startswith("class_net.predict.conv_pw") for name in other)


# YOLOv5 -----------------------------------------------------------------------------------------


@pytest.fixture
def yolov5() -> Any:
    pytest.importorskip("ultralytics", reason="ultralytics is optional and not installed")
    import torch

    torch.manual_seed(2)
    with session.library("mmdet"):
        made = network("yolov5_s")
    # Places and classes that differ, as of a trained network.
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        made.train().network(torch.randn(2, 3, 256, 256))
    for branch in made.network.model[-1].cv3:
        torch.nn.init.normal_(branch[-1].weight, std=0.05)
    return made


def test_the_losses_are_those_of_ultralytics(
    yolov5: Any, scene: tuple[Any, list[Any], list[Any]]
) -> None:
    import torch

    pictures, boxes, labels = scene
    losses = yolov5.train().loss(pictures, samples(boxes, labels, (256, 256)))
    expected, _ = yolov5.network.loss(
        {
            "img": pictures,
            "batch_idx": torch.tensor([0, 0, 1]),
            "cls": torch.tensor([0, 2, 1]),
            # Centre and size, as shares of the picture.
            "bboxes": torch.tensor(
                [[52.0, 70, 64, 80], [160, 125, 120, 70], [25, 21, 40, 32]],
            )
            / 256,
        }
    )
    assert float(sum(losses.values())) == pytest.approx(float(expected.sum()) / 2, rel=1e-5)


def test_a_picture_without_a_box_can_be_learnt_from(yolov5: Any) -> None:
    import torch

    none = samples([torch.zeros(0, 4)], [torch.zeros(0, dtype=torch.long)], (64, 64))
    losses = yolov5.train().loss(torch.zeros(2, 3, 64, 64)[:1], none)
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_where_no_box_is_likely_none_is_found(
    yolov5: Any, scene: tuple[Any, list[Any], list[Any]]
) -> None:
    import torch

    pictures, boxes, labels = scene
    yolov5.test_cfg.score_thr = 1.0
    with torch.no_grad():
        found = yolov5.eval().predict(pictures, samples(boxes, labels, (256, 256)))
    assert [len(sample.pred_instances) for sample in found] == [0, 0]


def test_the_best_box_of_yolov5_is_that_of_its_library(
    yolov5: Any, scene: tuple[Any, list[Any], list[Any]]
) -> None:
    import torch

    pictures, boxes, labels = scene
    with torch.no_grad():
        found = yolov5.eval().predict(pictures, samples(boxes, labels, (256, 256)))
        outputs = yolov5.network(pictures)[0]
    for sample, output in zip(found, outputs, strict=True):
        best = sample.pred_instances
        place = output[4:].max(dim=0).values.argmax()
        centre_x, centre_y, width, height = output[:4, place].tolist()
        # The picture's file is twice as large as what the network sees.
        expected = [
            2 * min(max(edge, 0), 256)
            for edge in (
                centre_x - width / 2,
                centre_y - height / 2,
                centre_x + width / 2,
                centre_y + height / 2,
            )
        ]
        assert float(best.scores[0]) == pytest.approx(float(output[4:].max()))
        assert best.bboxes[0].tolist() == pytest.approx(expected, abs=1e-2)
        assert int(best.labels[0]) == int(output[4:, place].argmax())
        assert len(best) <= 100


def test_the_same_pictures_give_the_same_boxes(
    yolov5: Any, scene: tuple[Any, list[Any], list[Any]]
) -> None:
    import torch

    pictures, boxes, labels = scene
    with torch.no_grad():
        first, again = (
            yolov5.eval().predict(pictures, samples(boxes, labels, (256, 256))) for _ in range(2)
        )
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.pred_instances.bboxes, other.pred_instances.bboxes)


# D-FINE -----------------------------------------------------------------------------------------


@pytest.fixture
def d_fine() -> Any:
    pytest.importorskip("transformers", reason="transformers is optional and not installed")
    import torch

    torch.manual_seed(4)
    with session.library("mmdet"):
        return network("d_fine_s")


def test_the_losses_are_those_of_transformers(
    d_fine: Any, scene: tuple[Any, list[Any], list[Any]]
) -> None:
    import torch

    pictures, boxes, labels = scene
    # Centre and size, as shares of the picture.
    shares = [
        torch.tensor([[52.0, 70, 64, 80], [160, 125, 120, 70]]) / 256,
        torch.tensor([[25.0, 21, 40, 32]]) / 256,
    ]
    targets = [{"class_labels": own, "boxes": of} for own, of in zip(labels, shares, strict=True)]
    d_fine.train()
    torch.manual_seed(0)  # of the noise that it learns to take away
    losses = d_fine.loss(pictures, samples(boxes, labels, (256, 256)))
    torch.manual_seed(0)
    expected = d_fine.network(pictures, labels=targets).loss
    total, _ = d_fine.parse_losses(losses)
    assert float(total) == pytest.approx(float(expected), rel=1e-5)


def test_the_boxes_are_those_of_transformers(
    d_fine: Any, scene: tuple[Any, list[Any], list[Any]]
) -> None:
    import torch
    from transformers import RTDetrImageProcessor

    pictures, boxes, labels = scene
    with torch.no_grad():
        found = d_fine.eval().predict(pictures, samples(boxes, labels, (256, 256)))
        outputs = d_fine.network(pictures)
    # The picture's file is twice as large as what the network sees.
    expected = RTDetrImageProcessor().post_process_object_detection(
        outputs, threshold=0.0, target_sizes=[(512, 512)] * 2
    )
    for sample, other in zip(found, expected, strict=True):
        best = sample.pred_instances
        order = other["scores"].argsort(descending=True)[:10]
        assert torch.allclose(best.scores[:10], other["scores"][order])
        assert torch.equal(best.labels[:10], other["labels"][order])
        inside = other["boxes"][order].clamp(0, 512)
        assert torch.allclose(best.bboxes[:10], inside, atol=1e-2)


def test_a_picture_of_fewer_places_than_queries_is_seen_and_learnt_from(d_fine: Any) -> None:
    import torch

    small = samples([torch.zeros(0, 4)], [torch.zeros(0, dtype=torch.long)], (64, 32))
    losses = d_fine.train().loss(torch.rand(1, 3, 64, 32), small)
    assert all(torch.isfinite(loss) for loss in losses.values())
    with torch.no_grad():
        boxes, _ = d_fine.eval().boxes_and_scores(torch.rand(1, 3, 64, 32))
    assert boxes.shape[1] == 8 * 8 + 4 * 4 + 2 * 2  # it is seen as a square


def test_weights_as_transformers_names_them_go_into_all_layers(d_fine: Any) -> None:
    import torch

    theirs = {
        name: torch.full_like(value, 0.5) for name, value in d_fine.network.state_dict().items()
    }
    d_fine.load_state_dict(theirs)
    assert all((value == value.new_tensor(0.5)).all() for value in d_fine.state_dict().values())


# All --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "library"),
    [("d_fine_s", "transformers"), ("efficientdet_d0", "effdet"), ("yolov5_s", "ultralytics")],
)
def test_a_box_is_learnt(recipe: str, library: str) -> None:
    pytest.importorskip(library, reason=f"{library} is optional and not installed")
    import torch

    torch.manual_seed(3)
    pictures = torch.rand(2, 3, 128, 128)
    pictures[:, :, 24:72, 32:80] += 2
    truth = [32.0, 24, 80, 72]
    learnt = samples([torch.tensor([truth])] * 2, [torch.tensor([1])] * 2, (128, 128))
    with session.library("mmdet"):
        made = network(recipe).train()
        optimizer = torch.optim.AdamW(made.parameters(), lr=1e-3)
        for _ in range(60):
            losses = made.loss(pictures, learnt)
            total, _ = made.parse_losses(losses)
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
        made.eval()
        for module in made.modules():
            # So few steps leave its running statistics behind.
            if isinstance(module, torch.nn.BatchNorm2d):
                module.train()
        with torch.no_grad():
            found = made.predict(pictures, learnt, rescale=False)
    for sample in found:
        best = sample.pred_instances
        assert best.bboxes[0].tolist() == pytest.approx(truth, abs=5)
        assert int(best.labels[0]) == 1
        assert float(best.scores[0]) > 0.3
