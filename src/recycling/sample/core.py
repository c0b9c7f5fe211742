"""The whole sample: three parts, their images, and the list of planted defects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from recycling.files import new_folder
from recycling.progress import track
from recycling.sample.defects import Json, plant_in_annotations, plant_in_files
from recycling.sample.objects import CLASSES
from recycling.sample.scenes import Shot, compose_scene, outline, take_shot

POOL_TRUTH_FILE = "pool_truth.json"
"""What is on the images of the pool; only the certificate of pseudo-labels reads it."""

GENERATOR_VERSION = 3
"""Goes up with every change that makes other images or annotations from the same settings."""

SETTINGS_FILE = "settings.json"


class SampleError(ValueError):
    """The sample cannot be made: one line, what is wrong and what to do."""


@dataclass(frozen=True)
class SampleSettings:
    """What the sample is like.

    Attributes:
        seed: The same seed and settings give the same bytes.
        image_size: Side of the images, pixels.
        train_images: Images with labels; one more is added, a planted duplicate.
        pool_images: Images without labels.
        test_images: Images with labels that training never sees.
        balance: The classes' shares go with the real set's counts to this power: 1 is the real
            imbalance, 0 none.
        jpeg_quality: 1 to 100.

    Raises:
        SampleError: A setting is out of its range.
    """

    seed: int = 0
    image_size: int = 192
    train_images: int = 260
    pool_images: int = 80
    test_images: int = 80
    balance: float = 0.25
    jpeg_quality: int = 92

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class _Part:
    """One part of the set; image and annotation ids start at `first_id`."""

    name: str
    number: int
    n_images: int
    first_id: int


def generate_sample(
    folder: Path, settings: SampleSettings | None = None, *, force: bool = False
) -> bool:
    """Make the sample set.

    It holds ``train.json``, ``pool.json`` (an empty list of annotations; what is there is in
    ``pool_truth.json``) and ``test.json`` in
    COCO's format, ``images/{train,pool,test}/NNNN.jpg`` (a `file_name` is relative to ``images``),
    ``defects.json`` (what is wrong with the training part, on purpose) and ``settings.json``.

    Args:
        folder: Where it goes. It appears whole or not at all.
        settings: What it is like; None for the defaults.
        force: Whether a sample that is there may be replaced.

    Returns:
        True if the sample was made, False if it was there already with the same settings.

    Raises:
        SampleError: `folder` holds something else.
    """
    settings = settings or SampleSettings()
    if not force and _is_made(folder, settings):
        return False
    _check_replaceable(folder, force=force)
    with new_folder(folder) as unfinished:
        _build(unfinished, settings)
    return True


def _check(settings: SampleSettings) -> None:
    ranges: dict[str, tuple[float, float]] = {
        "seed": (0, 2**32 - 1),
        "image_size": (128, 1024),
        "train_images": (100, 1900),
        "pool_images": (12, 1900),
        "test_images": (12, 1900),
        "balance": (0, 1),
        "jpeg_quality": (50, 100),
    }
    for setting in fields(settings):
        value = getattr(settings, setting.name)
        low, high = ranges[setting.name]
        whole = setting.name != "balance"
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            kind = "a whole number" if whole else "a number"
            raise SampleError(f"sample settings: {setting.name} must be {kind}, not {value!r}")
        if not low <= value <= high:
            raise SampleError(
                f"sample settings: {setting.name} is {value}; choose from {low} to {high}"
            )


def _is_made(folder: Path, settings: SampleSettings) -> bool:
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return False
    try:
        return bool(json.loads(path.read_text(encoding="utf-8")) == _identity(settings))
    except ValueError:
        return False


def _check_replaceable(folder: Path, *, force: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / SETTINGS_FILE).is_file():
        raise SampleError(
            f"{folder}: exists and is no sample set; name another folder, or move it away"
        )
    if not force:
        raise SampleError(
            f"{folder}: holds a sample set of other settings; name another folder, or use --force"
        )


def _identity(settings: SampleSettings) -> Json:
    return {"generator_version": GENERATOR_VERSION, **asdict(settings)}


def _build(folder: Path, settings: SampleSettings) -> None:
    parts = (
        _Part("train", 0, settings.train_images, 1),
        _Part("pool", 1, settings.pool_images, 10001),
        _Part("test", 2, settings.test_images, 20001),
    )
    made: dict[str, Json] = {}
    for part in parts:
        (folder / "images" / part.name).mkdir(parents=True)
        made[part.name] = _make_part(folder, part, settings)
    _write_json(folder / POOL_TRUTH_FILE, made["pool"])
    made["pool"] = {**made["pool"], "annotations": []}
    rng = np.random.default_rng([settings.seed, 99])
    try:
        defects = plant_in_annotations(made["train"], rng)
    except ValueError as error:
        raise SampleError(f"sample settings: {error}") from error
    plant_in_files(folder / "images", defects)
    for name, coco in made.items():
        _write_json(folder / f"{name}.json", coco)
    _write_json(folder / "defects.json", defects, indent=1)
    _write_json(folder / SETTINGS_FILE, _identity(settings), indent=1)


def _make_part(folder: Path, part: _Part, settings: SampleSettings) -> Json:
    images: list[Json] = []
    annotations: list[Json] = []
    shots = track(_shots(part, settings), f"sample, {part.name}", total=part.n_images)
    for group, shot in shots:
        image_id = part.first_id + len(images)
        file_name = f"{part.name}/{len(images) + 1:04d}.jpg"
        _write_jpeg(folder / "images" / file_name, shot.rgb, settings.jpeg_quality)
        height, width = shot.rgb.shape[:2]
        images.append(
            {
                "id": image_id,
                "file_name": file_name,
                "width": width,
                "height": height,
                "group": group,
            }
        )
        for class_index, mask in zip(shot.class_indices, shot.masks, strict=True):
            annotations.append(
                {
                    "id": part.first_id + len(annotations),
                    "image_id": image_id,
                    "category_id": class_index + 1,
                    "bbox": [float(edge) for edge in cv2.boundingRect(mask.astype(np.uint8))],
                    "area": float(mask.sum()),
                    "segmentation": outline(mask),
                    "iscrowd": 0,
                }
            )
    info = {"description": "Drawn scenes of waste, made by recycling.sample", "version": "1.0"}
    categories = [
        {"id": index + 1, "name": shape.name, "supercategory": shape.name}
        for index, shape in enumerate(CLASSES)
    ]
    return {
        "info": info,
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }


def _shots(part: _Part, settings: SampleSettings) -> Iterator[tuple[str, Shot]]:
    """Group and shot of each image; every fourth scene is taken two or three times."""
    classes = _class_sequence(np.random.default_rng([settings.seed, part.number]), settings.balance)
    left = part.n_images
    scene_number = 0
    while left > 0:
        rng = np.random.default_rng([settings.seed, part.number, scene_number])
        n_objects = int(rng.choice([2, 3, 4, 5], p=[0.1, 0.3, 0.35, 0.25]))
        scene = compose_scene(rng, [next(classes) for _ in range(n_objects)], settings.image_size)
        n_shots = 2 + scene_number // 4 % 2 if scene_number % 4 == 3 else 1
        for shot_number in range(min(n_shots, left)):
            shot = take_shot(rng, scene, steady=shot_number == 0)
            yield f"{part.name}-scene-{scene_number:04d}", shot
        left -= n_shots
        scene_number += 1


def _class_sequence(rng: np.random.Generator, balance: float) -> Iterator[int]:
    """Indices of classes without end: each once at first, then by their shares, evenly spread."""
    counts = np.array([shape.real_count for shape in CLASSES], np.float64) ** balance
    copies = np.maximum(np.round(counts / counts.sum() * 200), 1).astype(int)
    yield from (int(index) for index in rng.permutation(len(CLASSES)))
    while True:
        turns = [(np.arange(n) + rng.random(n)) / n for n in copies]
        order = np.argsort(np.concatenate(turns), kind="stable")
        yield from np.repeat(np.arange(len(CLASSES)), copies)[order].tolist()


def _write_jpeg(path: Path, rgb: NDArray[np.uint8], quality: int) -> None:
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    path.write_bytes(data.tobytes())


def _write_json(path: Path, value: Any, indent: int | None = None) -> None:
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, indent=indent, separators=separators) + "\n"
    path.write_text(text, encoding="utf-8")
