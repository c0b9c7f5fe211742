"""A trained network in memory: built from its checkpoint, and looking at each view of an image."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from recycling.backends.core import BackendError, Checkpoint
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.checkpoint import read_weights
from recycling.backends.mmengine_backend.config_file import CONFIG, only_networks, read_config
from recycling.backends.mmengine_backend.memory_format import set_memory_format
from recycling.backends.mmengine_backend.resolve import first_line
from recycling.backends.shared.checkpoint_folder import Trained
from recycling.backends.shared.devices import checked_device
from recycling.backends.shared.failing_step import is_out_of_memory
from recycling.backends.shared.model import MAX_BOXES, MAX_SIDE_OF_LOGITS
from recycling.backends.shared.settings import TestTimeAugmentation, scaled_side
from recycling.backends.shared.threads import set_threads

FUSE_OVERLAPS = {"type": "nms", "iou_threshold": 0.6}
"""How boxes of several views are fused where the detector itself suppresses none."""

_SCORES_NOT_LOGITS = {"MaskFormerHead", "Mask2FormerHead"}
"""Heads of mmseg that add up scores of masks: 0 and more, but no logits."""


@dataclass(frozen=True)
class Network:
    """A network that is ready to predict.

    Attributes:
        predict: Gives one of the library's data samples for each of a batch of samples; a
            segmenter's that was asked for probabilities has them, (classes, H, W) float32, as
            ``probabilities``.
        trained: What it was trained as.
        module: The library's network.
        views: How it looks at an image.
    """

    predict: Callable[[list[dict[str, Any]]], Iterable[Any]]
    trained: Trained
    module: Any = None
    views: Sequence[View] = ()


@dataclass(frozen=True)
class View:
    """One way to look at an image.

    Attributes:
        scale: Of the image size that the network was trained at.
        flip: Whether it is mirrored left to right.
        pipeline: Makes the network's input of a sample.
        padding: What a segmenter's preprocessor pads to (mmseg's ``test_cfg``).
    """

    scale: float = 1.0
    flip: bool = False
    pipeline: Any = None
    padding: dict[str, Any] | None = field(default=None, kw_only=True)


def load_network(
    checkpoint: Checkpoint, trained: Trained, backend: str, device: str | None = None
) -> Network:
    """The network of a checkpoint.

    Args:
        checkpoint: Its folder.
        trained: What the checkpoint says about itself.
        backend: The library that is asked to predict.
        device: What torch computes on; None for the GPU where there is one.

    Raises:
        BackendError: The checkpoint is another library's, its config names what is no network, its
            weights are not those of its config, or there is no such device.
    """
    from mmengine.registry import MODELS

    if trained.model.backend != backend:
        raise BackendError(
            f"{checkpoint.folder}: {trained.model.backend} trained it, for task "
            f"{trained.model.task!r}, and {backend} is asked to predict; give it one of its own"
        )
    path = checkpoint.folder / CONFIG
    config = read_config(path)
    try:
        with session.silence(), only_networks(path):
            network = ready(MODELS.build(config.model), config, trained)
    except BackendError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise BackendError(
            f"{path}: no network can be built of it: {first_line(error)}; train the model again"
        ) from error
    module = network.module
    try:
        module.load_state_dict(read_weights(checkpoint.folder))
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise BackendError(
            f"{checkpoint.folder}: its weights are not those of its config; train the model again"
        ) from error
    if trained.model.fold_norms:
        from recycling.backends.mmengine_backend.folded_norms import fold_norms

        fold_norms(module, str(checkpoint.folder))
    set_memory_format(module, channels_last=trained.model.channels_last)
    set_threads(module, trained.model)
    module.to(checked_device(device))
    return network


def ready(module: Any, config: Any, trained: Trained) -> Network:
    """Let a network predict that is in memory; it no longer learns.

    Args:
        module: The network.
        config: The resolved ``mmengine.Config``, of which the test pipeline is looked at.
        trained: What it is trained as; its model says which views there are.
    """
    import torch

    module.eval()
    views = views_of(config, trained)
    predict = {"cls": _classes, "det": _boxes, "seg": _masks}[trained.model.task]

    def predict_batch(samples: list[dict[str, Any]]) -> Iterator[Any]:
        with torch.no_grad():
            yield from predict(module, views, samples, trained)

    return Network(predict_batch, trained, module, views)


def views_of(config: Any, trained: Trained) -> list[View]:
    """The views that `test_time_augmentation` asks for; without it one, as in training."""
    from mmengine.dataset import Compose

    asked = trained.model.test_time_augmentation or TestTimeAugmentation()
    flips = (False, True) if asked.flip else (False,)
    preprocessor = config.model.get("data_preprocessor") or {}
    views = []
    for scale in dict.fromkeys(asked.scales):
        steps = [_scaled(dict(step), scale) for step in config.test_pipeline]
        padding = preprocessor.get("test_cfg")
        if padding is not None and "size" in padding:
            padding = {
                **padding,
                "size": tuple(scaled_side(side, scale) for side in padding["size"]),
            }
        for flip in flips:
            mirror = [{"type": "RandomFlip", "prob": 1.0, "direction": "horizontal"}] * flip
            with session.silence():
                pipeline = Compose(copy.deepcopy([*steps[:-1], *mirror, steps[-1]]))
            views.append(View(scale, flip, pipeline, padding=padding))
    return views


def _scaled(step: dict[str, Any], scale: float) -> dict[str, Any]:
    if step["type"] == "ReadImage" and step.get("side"):
        step["side"] = scaled_side(step["side"], scale)
    elif step["type"] == "ReadCrop":
        step["size"] = scaled_side(step["size"], scale)
    return step


# What is done with the views --------------------------------------------------------------------


def _classes(
    module: Any, views: list[View], samples: list[dict[str, Any]], trained: Trained
) -> list[Any]:
    """The mean of the probabilities."""
    seen = [_predicted(module, view, samples, trained) for view in views]
    for of_views in zip(*seen, strict=True):
        of_views[0].set_pred_score(sum(sample.pred_score for sample in of_views) / len(views))
    return seen[0]


def _boxes(
    module: Any, views: list[View], samples: list[dict[str, Any]], trained: Trained
) -> list[Any]:
    """Of boxes that overlap, the one with the highest score, as each view's own are chosen.

    mmdet's ``DetTTAModel`` does so, too, but takes no detector that also gives masks.
    """
    if len(views) == 1:
        return _predicted(module, views[0], samples, trained)

    from mmcv.ops import batched_nms
    from mmdet.structures.bbox import bbox_flip
    from mmengine.structures import InstanceData

    settings = _suppression(module.test_cfg) or FUSE_OVERLAPS
    seen = [_predicted(module, view, samples, trained) for view in views]
    for of_views in zip(*seen, strict=True):
        for view, sample in zip(views, of_views, strict=True):
            found = sample.pred_instances
            boxes = bbox_flip(found.bboxes, sample.ori_shape) if view.flip else found.bboxes
            sample.pred_instances = InstanceData(
                bboxes=boxes, scores=found.scores, labels=found.labels
            )
        found = InstanceData.cat([sample.pred_instances for sample in of_views])
        if len(found):
            kept, rows = batched_nms(found.bboxes, found.scores, found.labels, dict(settings))
            found = found[rows][:MAX_BOXES]
            found.scores = kept[:MAX_BOXES, -1]  # soft suppression lowers them
        of_views[0].pred_instances = found
    return seen[0]


def _suppression(settings: Any) -> dict[str, Any] | None:
    """How a detector suppresses its own boxes: in its last stage, where there are several."""
    if not settings:
        return None
    if "rcnn" in settings:
        return _suppression(settings["rcnn"])
    found = settings.get("nms")
    return None if found is None else dict(found)


def _masks(
    module: Any, views: list[View], samples: list[dict[str, Any]], trained: Trained
) -> Iterator[Any]:
    """The most probable label on average; one image's planes are in memory at a time.

    mmseg's ``SegTTAModel`` keeps the planes of all views.
    """
    from mmengine.structures import PixelData

    wanted = trained.model.probabilities
    if len(views) == 1:
        for logits, sample in _logits(module, views[0], samples, trained):
            (labelled,) = module.postprocess_result(logits, [sample])
            if wanted:
                planes = probabilities_of(module, labelled.seg_logits.data)
                labelled.set_data({"probabilities": PixelData(data=planes)})
            yield labelled
        return
    for image in samples:
        total: Any = None
        for view in views:
            ((logits, sample),) = _logits(module, view, [image], trained)
            (labelled,) = module.postprocess_result(logits, [sample])
            planes = probabilities_of(module, labelled.seg_logits.data)
            total = planes if total is None else total.add_(planes)
        labelled.set_data({"pred_sem_seg": PixelData(data=total.argmax(dim=0, keepdim=True))})
        if wanted:
            labelled.set_data({"probabilities": PixelData(data=total.div_(len(views)))})
        yield labelled


def _logits(
    module: Any, view: View, samples: list[dict[str, Any]], trained: Trained
) -> Iterator[tuple[Any, Any]]:
    """For each image, what the network says of its input, (1, classes, H, W), and its sample."""
    module.data_preprocessor.test_cfg = view.padding

    def infer(packed: Any) -> tuple[Any, Any]:
        data = module.data_preprocessor(packed, False)
        metas = [sample.metainfo for sample in data["data_samples"]]
        return module.inference(data["inputs"], metas), data["data_samples"]

    logits, packed = _guarded(infer, _packed(view, samples), view, trained)
    for row, sample in enumerate(packed):
        _limit_size(sample)
        yield logits[row : row + 1], sample


def probabilities_of(module: Any, logits: Any) -> Any:
    """Probabilities of what a segmenter says of each pixel.

    Args:
        module: The segmenter; its last head says what its numbers are.
        logits: (classes, H, W).

    Returns:
        (classes, H, W) float32, summing to 1 over the classes.
    """
    logits = logits.float()
    if sums_masks(module):
        return logits / logits.sum(dim=0, keepdim=True).clamp_min(1e-12)
    return logits.softmax(dim=0)


def sums_masks(module: Any) -> bool:
    """Whether a segmenter gives sums of the scores of masks, not logits.

    Args:
        module: The segmenter; its last head says what its numbers are.
    """
    head = module.decode_head
    last = head if hasattr(head, "num_classes") else head[-1]
    return bool(_SCORES_NOT_LOGITS & {kind.__name__ for kind in type(last).__mro__})


def _limit_size(sample: Any) -> None:
    """Let mmseg give maps of at most `MAX_SIDE_OF_LOGITS` pixels a side."""
    height, width = sample.ori_shape
    shrink = MAX_SIDE_OF_LOGITS / max(height, width)
    if shrink < 1:
        smaller = (max(1, round(height * shrink)), max(1, round(width * shrink)))
        sample.set_metainfo({"ori_shape": smaller})


def _predicted(
    module: Any, view: View, samples: list[dict[str, Any]], trained: Trained
) -> list[Any]:
    return list(_guarded(module.test_step, _packed(view, samples), view, trained))


def _packed(view: View, samples: list[dict[str, Any]]) -> Any:
    from mmengine.dataset import pseudo_collate

    return pseudo_collate([view.pipeline(sample.copy()) for sample in samples])


def _guarded(step: Callable[[Any], Any], packed: Any, view: View, trained: Trained) -> Any:
    """Say which scale it is that a network made for one size does not take."""
    try:
        return step(packed)
    except (RuntimeError, AssertionError, ValueError) as error:
        if view.scale == 1 or is_out_of_memory(error):
            raise
        raise BackendError(
            f"model {trained.model.recipe!r}: the network takes no image at scale {view.scale:g} "
            f"of test_time_augmentation ({first_line(error)}); remove that scale"
        ) from error
