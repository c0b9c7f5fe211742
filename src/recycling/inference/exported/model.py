"""An exported model in memory: it predicts by onnxruntime, and needs no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import BOX, CATEGORIES
from recycling.annotations.images.decoding import read_image
from recycling.annotations.masks import of_size
from recycling.backends import BackendError, Images
from recycling.backends.shared.crops import cut_crop
from recycling.backends.shared.fitting import fitted
from recycling.backends.shared.model import MAX_BOXES, MAX_SIDE_OF_LOGITS
from recycling.backends.shared.planes_on_disk import PlanesOnDisk
from recycling.errors import cut, one_line
from recycling.inference.core import InferenceError, Predictor
from recycling.inference.exported.facts import Exported, read_exported
from recycling.inference.exported.preparing import batch_of
from recycling.predictions import (
    CLASS_PROBABILITIES,
    DETECTIONS,
    ClassProbabilities,
    Detections,
    LabelMap,
    LabelMaps,
    Predictions,
    ProbableLabelMaps,
)

_WEIGHTS_BESIDE = "session.model_external_initializers_file_folder_path"


@dataclass(frozen=True)
class OnnxModel:
    """An exported model in memory.

    Attributes:
        exported: What its file says about it.
        session: onnxruntime's.
        batch_size: Images that are predicted together.
        identity: The sha256 of its file.
        probabilities: Whether a segmenter also gives the probabilities of pixels.
    """

    exported: Exported
    session: Any
    batch_size: int
    identity: str
    probabilities: bool = False

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        batch_size: int | None = None,
        probabilities: bool = False,
        device: str | None = None,
    ) -> OnnxModel:
        """Load an exported file.

        Args:
            path: The file.
            batch_size: Images that are predicted together; None for as many as in training.
            probabilities: Whether a segmenter also gives the probabilities of pixels.
            device: What onnxruntime computes on, ``cpu``, ``cuda`` or ``cuda:1``; None for the best
                that it has.

        Raises:
            InferenceError: There is no such file or device, it is no ONNX, or this project did not
                export it.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Weights that a file says are beside it would be sought in the working directory. Nothing
        # is below a file.
        options.add_session_config_entry(_WEIGHTS_BESIDE, os.fsencode(path))
        providers = _providers(device)
        try:
            content = path.read_bytes()
            session = onnxruntime.InferenceSession(content, options, providers=providers)
        except OSError as error:
            raise InferenceError(f"{path}: {error.strerror or error}; check the path") from error
        except Exception as error:  # onnxruntime has classes of errors of its own
            raise InferenceError(
                f"{path}: no ONNX file that onnxruntime can load: {one_line(error)}; export it "
                "again: kedro export NAME"
            ) from error
        # onnxruntime goes on without a provider that it cannot start.
        if device is not None and providers[0][0] not in session.get_providers():
            raise InferenceError(
                f"device {device!r}: onnxruntime cannot use it; give another, or cpu"
            )
        exported = read_exported(session.get_modelmeta().custom_metadata_map, str(path))
        size = batch_size or exported.batch_size
        return cls(exported, session, size, sha256(content).hexdigest(), probabilities)

    @property
    def categories(self) -> Sequence[Mapping[str, Any]]:
        """`category_id` and `name` of each category, in the order of class indices."""
        return [category.model_dump() for category in self.exported.categories]

    def predict(self, images: Images) -> Predictions:
        """Predict on `images`, in the project's formats.

        Args:
            images: What to predict on; for a classifier with `crops`.

        Raises:
            BackendError: A classifier was given no crops.
            UnreadableImageError: An image cannot be read.
        """
        task = self.exported.task
        if task == "cls":
            return self._classes(images)
        return self._detections(images) if task == "det" else self._label_maps(images)

    def run(self, batch: NDArray[np.float32], *size: int) -> dict[str, NDArray[Any]]:
        """The network's outputs, by name.

        Args:
            batch: (N, 3, height, width), see `batch_of`.
            size: Of a detector, height and width of the images without their padding.

        Raises:
            InferenceError: The file's graph cannot be computed.
        """
        inputs: dict[str, Any] = {"images": batch}
        if size:
            inputs["size"] = np.array(size, np.float32)
        names = [output.name for output in self.session.get_outputs()]
        try:
            found = self.session.run(names, inputs)
        except Exception as error:  # onnxruntime has classes of errors of its own
            raise InferenceError(
                f"{self.exported.name}: onnxruntime cannot compute it: "
                f"{cut(one_line(error), 200)}; export the model again"
            ) from error
        return dict(zip(names, found, strict=True))

    def _classes(self, images: Images) -> ClassProbabilities:
        if images.crops is None:
            raise BackendError("a classifier looks at crops, and none were given; set Images.crops")
        names = [category.name for category in self.exported.categories]
        side, margin = self.exported.image_size, self.exported.margin
        ids: list[int] = []
        rows: list[NDArray[np.float32]] = [np.zeros((0, len(names)), np.float32)]
        crops = images.crops
        for start in range(0, len(crops), self.batch_size):
            some = crops.iloc[start : start + self.batch_size]
            boxes = some[BOX].to_numpy(np.float64).tolist()
            seen = [
                cut_crop(_pixels(images, image_id), tuple(box), side, margin)
                for image_id, box in zip(some["image_id"].tolist(), boxes, strict=True)
            ]
            rows.append(self.run(batch_of(seen, self.exported))["probabilities"])
            ids += some["annotation_id"].tolist()
        table = pd.DataFrame(np.concatenate(rows), columns=names)
        table.insert(0, "annotation_id", pd.Series(ids, dtype="int64"))
        return ClassProbabilities(CLASS_PROBABILITIES.conform(table, where="class probabilities"))

    def _detections(self, images: Images) -> Detections:
        category_ids = np.array([each.category_id for each in self.exported.categories])
        tables = [DETECTIONS.empty()]
        for ids, seen, sizes in self._batches(images):
            found = self.run(batch_of(seen, self.exported), *seen[0].shape[:2])
            for row, image_id in enumerate(ids):
                own = found["image"] == row
                scores = found["scores"][own].astype(np.float64)
                kept = np.argsort(-scores, kind="stable")[:MAX_BOXES]
                kept = kept[scores[kept] >= self.exported.score_threshold]
                height, width = sizes[row]
                seen_height, seen_width = seen[row].shape[:2]
                scale = np.array([seen_width / width, seen_height / height] * 2, np.float32)
                boxes = (found["boxes"][own][kept] / scale).astype(np.float64)
                table = pd.DataFrame(boxes.clip(0, [width, height] * 2), columns=BOX)
                table["image_id"] = image_id
                table["category_id"] = category_ids[found["labels"][own][kept]]
                table["score"] = scores[kept]
                has_area = (table["x_max"] > table["x_min"]) & (table["y_max"] > table["y_min"])
                tables.append(table[has_area])
        together = pd.concat([own for own in tables if len(own)] or tables[:1], ignore_index=True)
        order = {image_id: row for row, image_id in enumerate(images.table["image_id"].tolist())}
        together = together.iloc[together["image_id"].map(order).argsort(kind="stable")]
        return Detections(DETECTIONS.conform(together, where="detections"))

    def _label_maps(self, images: Images) -> LabelMaps:
        # Compressed maps take a few kB an image; a map is drawn at full size when it is asked for.
        encoded: dict[int, Any] = {}
        full: dict[int, tuple[int, int]] = {}
        kept = PlanesOnDisk() if self.probabilities else None
        for image_id, size, planes in self._planes(images):
            label_map = planes.argmax(axis=0).astype(np.uint8)
            encoded[image_id] = cv2.imencode(".png", label_map)[1]
            full[image_id] = size
            if kept is not None:
                kept.add(image_id, self._as_probabilities(planes))

        def read(image_id: int) -> LabelMap:
            label_map = cv2.imdecode(encoded[image_id], cv2.IMREAD_UNCHANGED)
            return of_size(np.asarray(label_map, np.uint8), full[image_id])

        image_ids = images.table["image_id"].tolist()
        if kept is None:
            return LabelMaps(image_ids, read)
        return ProbableLabelMaps(image_ids, read, kept.maps(image_ids))

    def pixel_probabilities(self, images: Images) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """What a segmenter says of each pixel, not rounded.

        Yields:
            The id of each image, and (classes, H, W), summing to 1 over the classes.
        """
        for image_id, _, planes in self._planes(images):
            yield image_id, self._as_probabilities(planes)

    def _planes(self, images: Images) -> Iterator[tuple[int, tuple[int, int], NDArray[np.float32]]]:
        """Each image with its size, and a plane a class."""
        for ids, seen, sizes in self._batches(images):
            pixels = self.run(batch_of(seen, self.exported))["pixels"]
            height, width = seen[0].shape[:2]
            for row, image_id in enumerate(ids):
                planes = _resized_planes(pixels[row, :, :height, :width], sizes[row])
                yield image_id, sizes[row], planes

    def _as_probabilities(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.exported.pixels_are == "logits":
            planes = np.exp(planes - planes.max(axis=0))
        total: NDArray[np.float32] = planes.sum(axis=0).clip(1e-12)
        return planes / total

    def _batches(self, images: Images) -> Iterator[_Batch]:
        """Images of one size go together, because a batch holds one size."""
        for _, same_size in images.table.groupby(["height", "width"], sort=True):
            every = same_size["image_id"].tolist()
            for start in range(0, len(every), self.batch_size):
                ids = every[start : start + self.batch_size]
                opened = [_pixels(images, image_id) for image_id in ids]
                sizes = [(image.shape[0], image.shape[1]) for image in opened]
                yield ids, [fitted(image, self.exported.image_size) for image in opened], sizes


_Batch = tuple[list[int], list[NDArray[np.uint8]], list[tuple[int, int]]]


def is_exported(name: str) -> bool:
    """Whether a name that predicts is that of an exported file.

    A model is an ONNX file, an ensemble a JSON file that names some.

    >>> is_exported("exported/det.yolox.fold0.onnx"), is_exported("det.yolox")
    (True, False)
    """
    return Path(name).suffix.lower() in (".onnx", ".json")


def onnx_predictor(
    path: Path,
    *,
    batch_size: int | None = None,
    probabilities: bool = False,
    device: str | None = None,
) -> Predictor:
    """What an exported file predicts.

    Args:
        path: The file.
        batch_size: As of `OnnxModel.load`.
        probabilities: As of `OnnxModel.load`.
        device: As of `OnnxModel.load`.

    Raises:
        InferenceError: As of `OnnxModel.load`.
    """
    model = OnnxModel.load(path, batch_size=batch_size, probabilities=probabilities, device=device)
    table = pd.DataFrame(model.categories).assign(supercategory="", extra=None)
    categories = CATEGORIES.conform(table, where=f"{path}: categories")
    own = model.exported
    return Predictor(own.name, own.task, categories, {own.name: model}, identity=model.identity)


def _providers(device: str | None) -> list[tuple[str, dict[str, str]]]:
    """What onnxruntime computes by, the best first, each with its options.

    Raises:
        InferenceError: There is no such device.

    >>> _providers("cpu")
    [('CPUExecutionProvider', {})]
    """
    import onnxruntime

    there = onnxruntime.get_available_providers()
    if device is None:
        return [(name, {}) for name in there]
    cpu = ("CPUExecutionProvider", dict[str, str]())
    if device == "cpu":
        return [cpu]
    kind, _, number = device.partition(":")
    if kind != "cuda" or (number and not number.isdecimal()):
        raise InferenceError(
            f"device {device!r}: none that exported models are computed on; give cpu or cuda"
        )
    if "CUDAExecutionProvider" not in there:
        raise InferenceError(
            f"device {device!r}: this onnxruntime computes on no GPU; install onnxruntime-gpu, or "
            "give cpu"
        )
    # Operators that CUDA has not are computed by the processor.
    return [("CUDAExecutionProvider", {"device_id": number or "0"}), cpu]


def _pixels(images: Images, image_id: int) -> NDArray[np.uint8]:
    if images.pixels is not None:
        return images.pixels[image_id]
    (name,) = images.table.loc[images.table["image_id"] == image_id, "file_name"]
    return read_image(images.folder.path / name)


def _resized_planes(planes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Planes as large as the image, or as `MAX_SIDE_OF_LOGITS` allows; a class a plane."""
    height, width = size
    shrink = min(1.0, MAX_SIDE_OF_LOGITS / max(size))
    target = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return np.stack([cv2.resize(plane, target, interpolation=cv2.INTER_LINEAR) for plane in planes])
