"""Networks for masks of instances give the boxes that they gave with masks."""

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
SEEN, STORED = (64, 96), (128, 192)


def sample() -> Any:
    from mmdet.structures import DetDataSample

    return DetDataSample(
        metainfo={
            "img_shape": SEEN, "ori_shape": STORED, "pad_shape": SEEN, "batch_input_shape": SEEN,
            "scale_factor": (0.5, 0.5),
        }
    )  # fmt: skip


def config_of(recipe: str) -> Any:
    data = TrainingSet(Path("train.json"), ["a", "b"], n_samples=2, sha256="")
    with session.library("mmdet"):
        return resolve(model_of("mmdet", recipe=recipe), RECIPES / f"{recipe}.py", data, Path())


def test_boxes_are_around_masks_in_pixels_of_the_file() -> None:
    from mmengine.registry import MODELS

    config = config_of("mask2former_r50").model
    with session.library("mmdet"):
        head = MODELS.build({**config.panoptic_fusion_head, "test_cfg": config.test_cfg})
    masks = torch.full((1, 100, *SEEN), -9.0)
    masks[0, 7, 10:30, 20:60] = 9.0
    scores = torch.full((1, 100, 3), -9.0)
    scores[0, 7, 1] = 9.0
    (found,) = head.predict(scores, masks, [sample()], rescale=True)
    instances = found["ins_results"]
    assert "masks" not in instances
    best = int(instances.scores.argmax())
    assert instances.bboxes[best].tolist() == [40, 20, 120, 60]
    assert int(instances.labels[best]) == 1


def test_rtmdet_ins_gives_the_boxes_of_mmdet_without_its_masks() -> None:
    from mmengine.registry import MODELS

    config = config_of("rtmdet_ins_s").model
    with session.library("mmdet"), session.silence():
        torch.manual_seed(0)
        ours = MODELS.build(config).eval()
        config.bbox_head.type = "RTMDetInsSepBNHead"
        theirs = MODELS.build(config).eval()
    theirs.load_state_dict(ours.state_dict())
    image = torch.rand(1, 3, *SEEN)
    with torch.no_grad():
        (found,), (expected,) = (made.predict(image, [sample()]) for made in (ours, theirs))
    assert "masks" not in found.pred_instances
    assert len(found.pred_instances)
    for key in ("bboxes", "scores", "labels"):
        assert torch.equal(found.pred_instances[key], expected.pred_instances[key])
