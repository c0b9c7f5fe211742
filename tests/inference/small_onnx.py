"""Exported models so small that they are written node by node, and computed by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

from recycling.inference.exported import Exported

CATEGORIES = [
    {"category_id": 5, "name": "Red"},
    {"category_id": 7, "name": "Green"},
    {"category_id": 9, "name": "Blue"},
]


def colour_classifier(path: Path, name: str = "cls.colours", unsure: float = 1.0) -> Path:
    """A classifier for which a crop is the colour that it has most of; it may be less sure."""
    node = helper.make_node
    nodes = [
        node("ReduceMean", ["images"], ["means"], axes=[2, 3], keepdims=0),
        node("Softmax", ["means"], ["probabilities"], axis=1),
    ]
    _write(path, nodes, {"probabilities": (TensorProto.FLOAT, ["n", 3])},
           Exported(name=name, task="cls", categories=CATEGORIES, image_size=8,
                    std=(64.0 * unsure,) * 3))  # fmt: skip
    return path


def misshapen(path: Path) -> Path:
    """A classifier that onnxruntime loads, and cannot compute: three means are no five."""
    five = numpy_helper.from_array(np.array([-1, 5]), "five")
    node = helper.make_node
    nodes = [
        node("ReduceMean", ["images"], ["means"], axes=[2, 3], keepdims=0),
        node("Reshape", ["means", "five"], ["probabilities"]),
    ]
    _write(path, nodes, {"probabilities": (TensorProto.FLOAT, ["n", "m"])},
           Exported(name="cls.odd", task="cls", categories=CATEGORIES, image_size=8),
           [five])  # fmt: skip
    return path


def colour_segmenter(path: Path, name: str = "seg.colours") -> Path:
    """A segmenter for which a pixel is of the colour that it has most of."""
    background = numpy_helper.from_array(np.zeros((1, 1, 1, 1), np.float32), "nothing")
    node = helper.make_node
    nodes = [
        node("ReduceMean", ["images"], ["grey"], axes=[1], keepdims=1),
        node("Mul", ["grey", "nothing"], ["background"]),
        node("Concat", ["background", "images"], ["pixels"], axis=1),
    ]
    _write(path, nodes, {"pixels": (TensorProto.FLOAT, ["n", 4, "h", "w"])},
           Exported(name=name, task="seg", categories=CATEGORIES, image_size=16, pad_to=16,
                    mean=(128.0, 128.0, 128.0)), [background])  # fmt: skip
    return path


def _write(path, nodes, outputs, exported, constants=()):
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info(key, *kind) for key, kind in outputs.items()],
        list(constants),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, exported.entries())
    checker.check_model(model)
    save(model, path)
