"""Detectors that choose the best places of an image: DINO, Deformable DETR, DDQ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backends.tiny_trainings import model_of
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.data.training_set import TrainingSet
from recycling.backends.mmengine_backend.resolve import resolve

torch = pytest.importorskip("torch")
pytest.importorskip("mmdet")

RECIPES = Path(__file__).parents[2] / "conf/recipes/mmdet"
SHALLOW = {"model.encoder.num_layers": 1, "model.decoder.num_layers": 2}


def network(recipe: str, kind: str | None = None) -> Any:
    """A recipe's network of few layers, or that of mmdet itself."""
    from mmengine.registry import MODELS

    model = model_of("mmdet", recipe=recipe, options=SHALLOW)
    data = TrainingSet(Path("train.json"), ["a", "b", "c"], n_samples=2, sha256="")
    with session.library("mmdet"), session.silence():
        config = resolve(model, RECIPES / f"{recipe}.py", data, Path("run")).model
        if kind is not None:
            config.type = kind
        torch.manual_seed(0)
        made = MODELS.build(config)
        made.init_weights()
    return made


def sample(height: int, width: int) -> Any:
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    size = (height, width)
    made = DetDataSample(
        metainfo={
            "img_shape": size, "ori_shape": size, "pad_shape": size, "batch_input_shape": size,
            "scale_factor": (1.0, 1.0),
        }
    )  # fmt: skip
    made.gt_instances = InstanceData(
        bboxes=torch.tensor([[4.0, 4, 20, 28]]), labels=torch.tensor([1])
    )
    return made


@pytest.mark.parametrize("recipe", ["dino_r50", "deformable_detr_r50", "ddq_r50"])
def test_an_image_of_fewer_places_than_queries_is_seen_and_learnt_from(recipe: str) -> None:
    made, small = network(recipe), sample(64, 32)
    image = torch.rand(1, 3, 64, 32)
    losses = made.train().loss(image, [small])
    total, _ = made.parse_losses(losses)
    assert torch.isfinite(total)
    with torch.no_grad():
        (found,) = made.eval().predict(image, [small])
    boxes = found.pred_instances.bboxes
    assert len(boxes)
    assert torch.isfinite(boxes).all()


@pytest.mark.parametrize(
    ("recipe", "kind"), [("dino_r50", "DINO"), ("deformable_detr_r50", "DeformableDETR")]
)
def test_where_there_are_enough_places_the_boxes_are_those_of_mmdet(recipe: str, kind: str) -> None:
    ours, theirs = network(recipe).eval(), network(recipe, kind).eval()
    weights = ours.state_dict()
    if recipe == "dino_r50":
        # Theirs tells places in twice as many waves; of these ours reads every second.
        name = "decoder.ref_point_head.layers.0.weight"
        assert weights[name].shape == (256, 512)  # as in the published file
        waves = weights[name].reshape(256, 4, 64, 2)
        among = torch.stack([waves, torch.zeros_like(waves)], dim=3)
        weights[name] = among.reshape(256, 1024)
    theirs.load_state_dict(weights)
    image = torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        found, expected = (
            made.predict(image, [sample(256, 256)])[0].pred_instances for made in (ours, theirs)
        )
    assert torch.allclose(found.bboxes, expected.bboxes, atol=1e-3)
    assert torch.allclose(found.scores, expected.scores, atol=1e-6)


def test_ddq_has_the_same_weights_after_a_step() -> None:
    made = network("ddq_r50")
    before = set(made.state_dict())
    made.train().loss(torch.rand(1, 3, 64, 64), [sample(64, 64)])
    assert set(made.state_dict()) == before
