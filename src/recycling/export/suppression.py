"""Non-maximum suppression as part of an ONNX graph, behind what a detector proposes."""

from __future__ import annotations

from typing import Any

import numpy as np

OUTPUTS = ("image", "labels", "boxes", "scores")
"""The outputs: the row in the batch, the class index, (4,) corners in pixels, and the score."""


def suppress(graph: Any, *, iou_threshold: float, score_threshold: float) -> None:
    """Let a graph end with the boxes that are left, instead of all with their scores.

    Boxes of a class that overlap a surer one by more than the threshold go: ONNX's
    NonMaxSuppression, which does as mmcv's does.

    Args:
        graph: An ``onnx.GraphProto`` with the outputs ``boxes_of_places`` (N, places, 4) and
            ``scores_of_places`` (N, classes, places); is changed.
        iou_threshold: The overlap that is too much.
        score_threshold: Boxes with a lower score are left out.
    """
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "most": np.array([np.iinfo(np.int32).max], np.int64),
        "iou_threshold": np.array([iou_threshold], np.float32),
        # It keeps what is above, and the project what is not below.
        "score_threshold": np.nextafter(np.array([score_threshold], np.float32), np.float32(-1)),
        "of_image": np.array(0, np.int64),
        "of_class": np.array(1, np.int64),
        "of_image_and_place": np.array([0, 2], np.int64),
    }
    graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in constants.items()
    )
    node = helper.make_node
    graph.node.extend(
        [
            node(
                "NonMaxSuppression",
                ["boxes_of_places", "scores_of_places", "most", "iou_threshold", "score_threshold"],
                ["kept"],
            ),
            node("Gather", ["kept", "of_image"], ["image"], axis=1),
            node("Gather", ["kept", "of_class"], ["labels"], axis=1),
            node("Gather", ["kept", "of_image_and_place"], ["image_and_place"], axis=1),
            node("GatherND", ["boxes_of_places", "image_and_place"], ["boxes"]),
            node("GatherND", ["scores_of_places", "kept"], ["scores"]),
        ]
    )
    del graph.output[:]
    kinds = {
        "image": (TensorProto.INT64, ["kept"]),
        "labels": (TensorProto.INT64, ["kept"]),
        "boxes": (TensorProto.FLOAT, ["kept", 4]),
        "scores": (TensorProto.FLOAT, ["kept"]),
    }
    graph.output.extend(helper.make_tensor_value_info(name, *kinds[name]) for name in OUTPUTS)
