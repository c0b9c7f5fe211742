"""ONNX's suppression leaves the boxes that mmcv's leaves."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from recycling.export.suppression import suppress


def _suppressed(boxes, scores, **thresholds):
    kinds = {"boxes_of_places": ["n", "places", 4], "scores_of_places": ["n", "classes", "places"]}
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in kinds.items()
    ]
    graph = helper.make_graph([], "boxes", values, values)
    suppress(graph, **thresholds)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    inputs = {"boxes_of_places": boxes, "scores_of_places": scores}
    return dict(zip(names, session.run(names, inputs), strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_the_same_boxes_are_left_as_by_mmcv(seed):
    import torch
    from mmcv.ops import batched_nms

    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 60, (2, 200, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 40, (2, 200, 2))], 2)
    boxes = boxes.astype(np.float32)
    scores = rng.uniform(0, 1, (2, 3, 200)).astype(np.float32)
    found = _suppressed(boxes, scores, iou_threshold=0.5, score_threshold=0.2)
    for row in range(2):
        label, place = np.nonzero(scores[row] >= 0.2)
        of_place = boxes[row][place], scores[row][label, place], label
        kept, _ = batched_nms(
            *map(torch.from_numpy, of_place), {"type": "nms", "iou_threshold": 0.5}
        )
        own = found["image"] == row
        said = np.column_stack([found["boxes"][own], found["scores"][own]])
        said = said[np.argsort(-said[:, 4], kind="stable")]
        np.testing.assert_allclose(said, kept.numpy(), atol=1e-4)


def test_a_score_at_the_threshold_is_kept():
    boxes = np.array([[[0, 0, 9, 9], [20, 20, 29, 29]]], np.float32)
    scores = np.array([[[0.3, 0.29999]]], np.float32)
    found = _suppressed(boxes, scores, iou_threshold=0.5, score_threshold=0.3)
    assert found["scores"].tolist() == [np.float32(0.3)]
