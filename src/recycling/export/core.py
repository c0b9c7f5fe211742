"""A trained model as one ONNX file, which appears only where it predicts as the model does."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recycling.backends import Checkpoint, Images, backend_for
from recycling.errors import cut, one_line
from recycling.export.parity import Parity, compare, compare_pixels
from recycling.files import new_file
from recycling.inference import InferenceError
from recycling.inference.exported import Exported, OnnxModel

OPSET = 17
"""The version of ONNX's operators; onnxruntime reads it since 1.12."""

_EXAMPLE = {"cls": (2, 1.0), "det": (2, 0.75), "seg": (2, 1.0)}  # batch, and height by width

_DENSE_HEADS = frozenset(
    {"ATSSHead", "FCOSHead", "RTMDetInsSepBNHead", "RTMDetSepBNHead", "RetinaHead", "SSDHead"}
)
"""Heads of mmdet that decode their boxes as `OneStage` does."""


class ExportError(ValueError):
    """A model cannot be exported: one line, which, what is wrong, what to do."""


@dataclass(frozen=True)
class _Graph:
    """A network as ONNX takes it.

    Attributes:
        module: Of torch.
        outputs: The names of what it gives.
        sides: Whether height and width of its input may vary.
        suppression: The arguments of `suppress`; None where there are no boxes.
    """

    module: Any
    outputs: tuple[str, ...]
    sides: bool = False
    suppression: dict[str, float] | None = None


def export_model(checkpoint: Checkpoint, name: str, path: Path, images: Images) -> Parity:
    """Export a trained model, and check it on images against the library that trained it.

    Args:
        checkpoint: The model.
        name: What to call it, such as ``det.yolox.fold0``.
        path: The file to write.
        images: What it is checked on; for a classifier with crops.

    Returns:
        How far its predictions are from those of the library.

    Raises:
        ExportError: ONNX cannot hold it, or it predicts something else.
        BackendError: The checkpoint cannot be used.
    """
    if checkpoint.backend == "detectron2":
        raise ExportError(f"{name}: models of detectron2 cannot be exported; export one of mmdet")
    settings = {"probabilities": True} if checkpoint.facts["model"]["task"] == "seg" else {}
    loaded: Any = backend_for(checkpoint.backend).load(checkpoint, device="cpu", **settings)
    exported = _facts(loaded.network, checkpoint, name)
    graph = _graph(loaded.network, exported)
    content = _content(graph, exported)
    with new_file(path) as unfinished:
        unfinished.write_bytes(content)
        try:
            parity = _parity(loaded, OnnxModel.load(unfinished, device="cpu"), images)
        except InferenceError as error:
            raise ExportError(f"{name}: the exported model cannot predict: {error}") from error
        if not parity.is_same:
            raise ExportError(
                f"{name}: the exported model predicts something else: {parity}; nothing is "
                "written: predict with the model itself"
            )
    return parity


def _parity(loaded: Any, model: OnnxModel, images: Images) -> Parity:
    """How far an exported model is from the one that was trained."""
    if model.exported.task != "seg":
        return compare(loaded.predict(images), model.predict(images), model.exported.task)
    from recycling.backends.mmengine_backend.prediction import pixel_probabilities

    return compare_pixels(
        pixel_probabilities(loaded.network, images), model.pixel_probabilities(images)
    )


def _facts(network: Any, checkpoint: Checkpoint, name: str) -> Exported:
    """What the file will say about itself."""
    from recycling.backends.mmengine_backend.network import sums_masks

    model, module = network.trained.model, network.module
    if len(network.views) != 1:
        raise ExportError(
            f"{name}: test_time_augmentation looks at an image several times, and an exported "
            "model once; remove it from the model"
        )
    before = module.data_preprocessor
    pad_to, pad_value = before.pad_size_divisor, before.pad_value
    if type(module).__name__ == "DFine":
        pad_to = -(-model.image_size // pad_to) * pad_to  # to a square
    if model.task == "seg":
        pad_to, pad_value = model.image_size, before.pad_val
    colours = {}
    if getattr(before, "_enable_normalize", getattr(before, "mean", None) is not None):
        colours = {key: getattr(before, key).flatten().tolist() for key in ("mean", "std")}
    facts = checkpoint.facts
    kept = ("libraries", "training_sha256", "weights_sha256", "n_samples")
    return Exported(
        name=name,
        task=model.task,
        categories=network.trained.categories,
        image_size=model.image_size,
        pad_to=pad_to,
        pad_value=pad_value,
        channels="RGB" if _takes_rgb(before) else "BGR",
        score_threshold=model.score_threshold or 0.0,
        pixels_are="sums" if model.task == "seg" and sums_masks(module) else "logits",
        batch_size=model.batch_size,
        source={
            "backend": model.backend,
            "recipe": model.recipe,
            "pretrained": model.pretrained,
            **{key: facts[key] for key in kept if key in facts},
        },
        **colours,
    )


def _takes_rgb(preprocessor: Any) -> bool:
    """Whether a library's preprocessor turns the BGR that is read into RGB."""
    flips = (getattr(preprocessor, key, False) for key in ("to_rgb", "_channel_conversion"))
    return any(flips) or bool(getattr(preprocessor, "channel_conversion", False))


def _graph(network: Any, exported: Exported) -> _Graph:
    from recycling.export.networks import Classifier, OneStage, Queries, Segmenter, Yolox

    module = network.module
    if exported.task == "cls":
        return _Graph(Classifier(module), ("probabilities",))
    if exported.task == "seg":
        return _Graph(Segmenter(module), ("pixels",))
    outputs = ("boxes_of_places", "scores_of_places")
    if type(module).__name__ == "DFine":
        # Nothing overlaps by more than 1: none is suppressed.
        every = {"iou_threshold": 1.0, "score_threshold": exported.score_threshold}
        return _Graph(Queries(module), outputs, suppression=every)
    head = _head_of(module)
    if head != "YOLOXHead" and head not in _DENSE_HEADS:
        raise ExportError(
            f"{exported.name}: ONNX holds D-FINE and detectors with one of "
            f"{', '.join(sorted({'YOLOXHead', *_DENSE_HEADS}))}, and this is a "
            f"{type(module).__name__}; export one of these, or predict with the model itself"
        )
    nms = dict(module.test_cfg.get("nms") or {})
    if nms.pop("type", None) != "nms" or set(nms) != {"iou_threshold"}:
        raise ExportError(
            f"{exported.name}: ONNX suppresses boxes by nms with an iou_threshold alone, and the "
            f"model by {module.test_cfg.get('nms')}; predict with the model itself"
        )
    thresholds = {**nms, "score_threshold": exported.score_threshold}
    dense = Yolox if head == "YOLOXHead" else OneStage
    return _Graph(dense(module), outputs, sides=True, suppression=thresholds)


def _head_of(module: Any) -> str:
    """The class of mmdet that a detector's head is, or that the project's own is based on."""
    classes = type(getattr(module, "bbox_head", None)).__mro__
    return next((each.__name__ for each in classes if each.__module__.startswith("mmdet.")), "")


def _content(graph: _Graph, exported: Exported) -> bytes:
    """The bytes of the file."""
    import onnx
    import torch

    from recycling.backends.mmengine_backend import session
    from recycling.export.suppression import suppress

    side = exported.image_size
    n, ratio = _EXAMPLE[exported.task]
    up = -(-side // exported.pad_to) * exported.pad_to
    height = -(-round(side * ratio) // exported.pad_to) * exported.pad_to
    inputs: dict[str, Any] = {"images": torch.rand(n, 3, height, up)}
    free = {0: "batch", 2: "height", 3: "width"} if graph.sides else {0: "batch"}
    axes = {"images": free, **{name: {0: "batch"} for name in graph.outputs}}
    if graph.suppression is not None:
        inputs["size"] = torch.tensor([height, up], dtype=torch.float32)
        axes["boxes_of_places"], axes["scores_of_places"] = (
            {0: "batch", 1: "places"},
            {0: "batch", 2: "places"},
        )
    buffer: Any = io.BytesIO()
    module = graph.module.eval().to(memory_format=torch.contiguous_format)
    try:
        with warnings.catch_warnings(), torch.no_grad(), session.silence():
            warnings.simplefilter("ignore")  # of what tracing takes for constant: is checked
            torch.onnx.export(
                module,
                tuple(inputs.values()),
                buffer,
                # The other exporter takes minutes for a detector whose sides vary.
                dynamo=False,
                input_names=list(inputs),
                output_names=list(graph.outputs),
                dynamic_axes=axes,
                opset_version=OPSET,
            )
    except Exception as error:  # each operator has errors of its own
        raise ExportError(
            f"{exported.name}: ONNX cannot hold it: {cut(one_line(error), 200)}; predict with the "
            "model itself"
        ) from error
    model = onnx.load_from_string(buffer.getvalue())
    if graph.suppression is not None:
        suppress(model.graph, **graph.suppression)
    onnx.helper.set_model_props(model, exported.entries())
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
