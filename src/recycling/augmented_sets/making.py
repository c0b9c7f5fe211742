"""Make an augmented set: in parallel, in steps that outlive a process, and once."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import (
    ANNOTATIONS,
    BOX,
    IMAGES,
    AnnotationError,
    Annotations,
    LabeledImages,
    annotation_mask,
    mask_to_segmentation,
    write_tables,
)
from recycling.annotations.images.decoding import UnreadableImageError, read_image
from recycling.augmented_sets.core import (
    MADE_UP,
    SHEET,
    SOURCE,
    TABLES,
    AugmentedSet,
    AugmentedSetError,
    sha256_of_tables,
)
from recycling.augmented_sets.settings import AugmentedSetSettings
from recycling.backends.shared.albumentations_list import AlbumentationsList, one_line
from recycling.backends.shared.settings import WHOLE_BATCH
from recycling.files import growing_folder, new_folder, write_image, write_json
from recycling.placeholders import read_bytes
from recycling.progress import track
from recycling.stopping import end_with, stop_if_asked

logger = logging.getLogger(__name__)

FORMAT = 2
"""Of a set: raise it with every change of what is made of the same settings."""

STEP = 64
"""Images that are made together: what a process that is killed loses at most."""

FEW = 16
"""Steps for which no process of their own is started: that takes as long as some of them."""

_IMAGES, _ANNOTATIONS = "images.parquet", "annotations.parquet"
_GIVEN = {"image", "bboxes", "mask", "masks"}
"""What a transform is given; others would want other images."""

Record = dict[str, Any]


def make_augmented_set(
    images: LabeledImages,
    settings: AugmentedSetSettings,
    folder: Path,
    sha256: Mapping[int, str] | None = None,
) -> AugmentedSet:
    """Make augmented copies of images, or find them where they were made before.

    Each copy has random numbers of its own, from the seed, the image's id and the copy's number:
    neither the other images nor the number of processes changes it. A set that was stopped goes on
    with its next 64 images; until all are made nothing counts as a set.

    Boxes, masks and classes go along. An object is dropped where a transform leaves less than
    `min_visibility` of its box in the image, less than a pixel of a side, or no pixel of its mask.
    The box of an object with a mask is the one around the mask that is left; without a mask it is
    the one around its moved corners.

    Args:
        images: What is copied.
        settings: The transforms, how many copies of each image, the seed.
        folder: The folder of all sets; the set is a folder in it, named by the hash of annotations,
            image files, settings and versions.
        sha256: Of the image files, by image id, where it is known.

    Raises:
        AugmentedSetError: There is no image, a transform is unknown or cannot move boxes or masks,
            an image cannot be read, or a process died; one line.

    Source: Buslaev et al. 2020, "Albumentations: Fast and Flexible Image Augmentations".
    """
    from joblib import cpu_count

    if images.annotations.images.empty:
        raise AugmentedSetError("augmented_sets: there is no image to copy; run data_cleaning")
    _check(settings, images)
    name = _name(images, settings, sha256 or {})
    made = AugmentedSet(folder / name)
    n_images = len(images.annotations.images)
    what = f"{settings.factor} copies of each of {n_images} images"
    with growing_folder(made.folder) as growing:
        if growing is None:
            logger.info("%s: %s were made before, and nothing has changed", made.folder, what)
            return made
        began = time.perf_counter()
        steps = list(_steps(images, settings, growing, name))
        left = [step for step in steps if not step.folder.exists()]
        if len(left) < len(steps):
            n_made = len(steps) - len(left)
            logger.info("%s: goes on: %d of %d steps are made", made.folder, n_made, len(steps))
        workers = settings.workers or min(cpu_count(), len(left) // FEW)
        workers = max(1, min(workers, len(left)))
        for _ in track(_made(left, workers), "augmented images", total=len(left)):
            stop_if_asked()
        annotations = _joined(steps, images.annotations)
        write_tables(annotations, growing / TABLES)
        write_json(growing / SHEET, _sheet(images.annotations, annotations, settings))
    for step in steps:
        for table in (_IMAGES, _ANNOTATIONS):
            (made.folder / step.folder.name / table).unlink(missing_ok=True)
    seconds = time.perf_counter() - began
    logger.info(
        "%s: %s in %.1f s, %.1f images a second in %d processes",
        made.folder, what, seconds, sum(step.n_images for step in left) / seconds, workers,
    )  # fmt: skip
    return made


# What a set is called -------------------------------------------------------------------------


def _versions() -> dict[str, str]:
    """Of what decides over the pixels."""
    import cv2

    return {"albumentations": version("albumentations"), "opencv": str(cv2.__version__)}


def _recipe(settings: AugmentedSetSettings) -> Record:
    """The settings that change what is made."""
    return settings.model_dump(mode="json", exclude={"workers"})


def _name(images: LabeledImages, settings: AugmentedSetSettings, sha256: Mapping[int, str]) -> str:
    tables = images.annotations
    digest = hashlib.sha256()
    facts = {"format": FORMAT, **_recipe(settings), "versions": _versions()}
    digest.update(json.dumps(facts, sort_keys=True).encode())
    digest.update(sha256_of_tables(tables).encode())
    for image_id, file_name in zip(
        tables.images["image_id"].tolist(), tables.images["file_name"].tolist(), strict=True
    ):
        known = sha256.get(image_id)
        digest.update((known or _sha256(images.folder.path / file_name)).encode())
    return digest.hexdigest()[:16]


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()
    except OSError as error:
        raise AugmentedSetError(
            f"{path}: cannot be read: {error.strerror}; run data_cleaning"
        ) from error


# Whether the list is possible -----------------------------------------------------------------


def _check(settings: AugmentedSetSettings, images: LabeledImages) -> None:
    """Try the list on noise, every transform for certain, before any image is read."""
    for entry in settings.transforms:
        if (name := next(iter(entry))) in WHOLE_BATCH:
            raise AugmentedSetError(
                f"augmented_sets: transforms: {name} is a library's own, for trainings; use "
                "classes of Albumentations, and give it to the model's augmentation"
            )
    first = images.annotations.images.iloc[0]
    height, width = int(first["height"]), int(first["width"])
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    boxes = np.array([[width / 4, height / 4, width / 2, height / 2]], np.float32)
    try:
        AlbumentationsList(settings.transforms, "seg")  # whatever moves boxes has to move masks
        listed = AlbumentationsList(settings.transforms, "det")
        for transform in listed.transforms:
            _check_needs(transform)
            transform.p = 1.0
        ones = np.ones((height, width), np.uint8)
        listed(noise, 0, boxes=boxes, label_map=ones, masks=ones[None])
    except AugmentedSetError:
        raise
    except Exception as error:
        message = one_line(error).removeprefix("augmentation: ")
        raise AugmentedSetError(
            f"augmented_sets: transforms: {message} (tried on {width} x {height} pixels)"
        ) from error


def _check_needs(transform: Any) -> None:
    """Refuse what mixes several images: a copy of one fold would show another one."""
    for inner in getattr(transform, "transforms", ()):
        _check_needs(inner)
    if not set(getattr(transform, "targets_as_params", ())) <= _GIVEN:
        raise AugmentedSetError(
            f"augmented_sets: transforms: {type(transform).__name__} mixes several images, which "
            "may be of different folds; remove it"
        )


# Steps ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Step:
    """Some images, whose copies are made by one process and appear together.

    Attributes:
        folder: Gets the copies and their tables.
        prefix: What the copies' file names begin with.
        source: The folder of the images.
        images: Their rows.
        annotations: The rows of each image.
        first: The id of the first copy.
        settings: What is made.
        any_category: Of regions that are of none.
    """

    folder: Path
    prefix: str
    source: Path
    images: list[Record]
    annotations: dict[int, list[Record]]
    first: int
    settings: AugmentedSetSettings
    any_category: int

    @property
    def n_images(self) -> int:
        """How many copies are made."""
        return len(self.images) * self.settings.factor


def _steps(
    images: LabeledImages, settings: AugmentedSetSettings, folder: Path, name: str
) -> Iterator[_Step]:
    rows = images.annotations.images.to_dict("records")
    table = images.annotations.annotations
    by_image: dict[Any, pd.DataFrame] = dict(list(table.groupby("image_id")))
    size = max(1, STEP // settings.factor)
    any_category = int(images.annotations.categories["category_id"].iloc[0])
    digits = len(str(math.ceil(len(rows) / size) - 1))
    for number, first in enumerate(range(0, len(rows), size)):
        own: list[Record] = [{str(key): value for key, value in row.items()}
                             for row in rows[first : first + size]]  # fmt: skip
        part = f"{number:0{digits}d}"
        objects: dict[int, list[Record]] = {
            row["image_id"]: by_image[row["image_id"]].to_dict("records")  # type: ignore[misc]
            for row in own
            if row["image_id"] in by_image
        }
        yield _Step(
            folder / part, f"{name}/{part}", images.folder.path, own, objects,
            first * settings.factor, settings, any_category,
        )  # fmt: skip


def _made(steps: list[_Step], workers: int) -> Iterator[None]:
    """Make the steps, in processes of their own where that is worth it."""
    if workers == 1:
        yield from map(_make, steps)
        return
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    parallel = Parallel(
        n_jobs=workers,
        return_as="generator_unordered",
        initializer=end_with,
        initargs=(os.getpid(),),
    )
    try:
        yield from parallel(delayed(_make_on_one_core)(step) for step in steps)
    except BrokenProcessPool as error:
        raise AugmentedSetError(
            "augmented_sets: a process was ended from outside, perhaps for want of memory; set "
            "fewer workers and run again: what is made is kept"
        ) from error
    finally:
        get_reusable_executor().shutdown()


def _make_on_one_core(step: _Step) -> None:
    import cv2

    cv2.setNumThreads(1)  # there are as many processes as cores
    _make(step)


def _make(step: _Step) -> None:
    import cv2

    settings = step.settings
    listed = AlbumentationsList(settings.transforms, "det", min_visibility=settings.min_visibility)
    images: list[Record] = []
    annotations: list[Record] = []
    with new_folder(step.folder) as unfinished:
        for number, row in enumerate(step.images):
            objects = step.annotations.get(row["image_id"], [])
            image, masks = _read(step.source, row, objects)
            for copy in range(settings.factor):
                made, moved = _copy(
                    listed, image, masks, objects, _seed(settings, row, copy), step.any_category
                )
                file_name = f"{row['image_id']}_{copy}.jpg"
                try:
                    quality = [cv2.IMWRITE_JPEG_QUALITY, settings.quality]
                    write_image(unfinished / file_name, made, quality)
                except OSError as error:
                    raise AugmentedSetError(
                        f"{step.folder / file_name}: could not be written: {error.strerror}"
                    ) from error
                extra = {**_extra(row), SOURCE: row["image_id"], "copy": copy}
                image_id = step.first + number * settings.factor + copy
                images.append(
                    {
                        **row,
                        "image_id": image_id,
                        "file_name": f"{step.prefix}/{file_name}",
                        "width": made.shape[1],
                        "height": made.shape[0],
                        "extra": json.dumps(extra),
                    }
                )
                annotations += [{**each, "image_id": image_id} for each in moved]
        _table(images, IMAGES).to_parquet(unfinished / _IMAGES, index=False)
        numbered = [{**row, "annotation_id": number} for number, row in enumerate(annotations)]
        _table(numbered, ANNOTATIONS).to_parquet(unfinished / _ANNOTATIONS, index=False)


def _table(rows: list[Record], schema: Any) -> pd.DataFrame:
    table: pd.DataFrame = schema.conform(
        pd.DataFrame(rows, columns=schema.names), where="augmented set"
    )
    return table


def _extra(row: Record) -> Record:
    extra: Record = json.loads(row["extra"]) if isinstance(row["extra"], str) else {}
    return extra


def _seed(settings: AugmentedSetSettings, row: Record, copy: int) -> int:
    entropy = (settings.seed, row["image_id"] % 2**64, copy)
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def _read(
    folder: Path, row: Record, objects: Iterable[Record]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image, (H, W, 3) BGR, and the masks of its objects, (N, H, W); none: no pixel."""
    import cv2

    path = folder / row["file_name"]
    try:
        image = np.asarray(cv2.cvtColor(read_image(path), cv2.COLOR_RGB2BGR), np.uint8)
    except (OSError, UnreadableImageError) as error:
        raise AugmentedSetError(f"{path}: {one_line(error)}; run data_cleaning") from error
    height, width = image.shape[:2]
    if (width, height) != (row["width"], row["height"]):
        raise AugmentedSetError(
            f"{path}: {width} x {height} pixels, but its annotations say {row['width']} x "
            f"{row['height']}; run data_cleaning"
        )
    none = np.zeros((height, width), np.uint8)
    masks: list[NDArray[np.uint8]] = [none]
    for each in objects:
        if not isinstance(each["segmentation"], str):
            masks.append(none)
            continue
        try:
            mask = annotation_mask(
                each["segmentation"], [each[side] for side in BOX], height, width
            )
        except AnnotationError as error:
            raise AugmentedSetError(
                f"{path}: annotation {each['annotation_id']}: {error}"
            ) from error
        masks.append(mask.astype(np.uint8))
    return image, np.stack(masks)[1:]


# One copy -------------------------------------------------------------------------------------


def _copy(
    listed: AlbumentationsList,
    image: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    objects: list[Record],
    seed: int,
    any_category: int,
) -> tuple[NDArray[np.uint8], list[Record]]:
    """An image after the list, (H, W, 3) BGR, and the rows of what is left on it."""
    boxes = np.array([[each[side] for side in BOX] for each in objects], np.float32)
    try:
        made = listed(
            image,
            seed,
            boxes=boxes.reshape(-1, 4),
            label_map=np.ones(image.shape[:2], np.uint8),
            masks=masks,
        )
    except Exception as error:
        message = one_line(error).removeprefix("augmentation: ")
        raise AugmentedSetError(
            f"augmented_sets: an image of {image.shape[1]} x {image.shape[0]} pixels: {message}; "
            "change the transforms"
        ) from error
    assert made.masks is not None
    assert made.label_map is not None
    moved = []
    for place, row in enumerate(made.rows.tolist()):
        mask = made.masks[place] > 0
        has_mask = isinstance(objects[row]["segmentation"], str)
        if has_mask and not mask.any():
            continue
        moved.append({**objects[row], **_place(mask if has_mask else None, made.boxes[place])})
    if not made.label_map.all():
        moved.append(_made_up(made.label_map == 0, any_category))
    return made.image, moved


def _place(mask: NDArray[np.bool_] | None, box: NDArray[np.float32]) -> Record:
    """Where an object is: its box, its area and its mask, if it has one."""
    if mask is None:
        sides = [float(side) for side in box]
        area = (sides[2] - sides[0]) * (sides[3] - sides[1])
        return {**dict(zip(BOX, sides, strict=True)), "area": area, "segmentation": None}
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    around = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    return {
        **dict(zip(BOX, map(float, around), strict=True)),
        "area": float(mask.sum()),
        "segmentation": mask_to_segmentation(mask),
    }


def _made_up(border: NDArray[np.bool_], category_id: int) -> Record:
    """The pixels that a transform has made up, as a crowd region: nobody knows what is there."""
    region = {"category_id": category_id, "iscrowd": True, "source": "human", "score": 1.0}
    return {**region, **_place(border, np.zeros(4, np.float32)), "extra": json.dumps({MADE_UP: 1})}


# All together ---------------------------------------------------------------------------------


def _joined(steps: list[_Step], originals: Annotations) -> Annotations:
    images, annotations = (
        pd.concat([pd.read_parquet(step.folder / name) for step in steps], ignore_index=True)
        for name in (_IMAGES, _ANNOTATIONS)
    )
    numbered = annotations.assign(annotation_id=range(len(annotations)))
    return Annotations(images, numbered, originals.categories)


def _sheet(
    originals: Annotations, copies: Annotations, settings: AugmentedSetSettings
) -> dict[str, Any]:
    """What was made of what, as JSON."""
    before, after = (
        each.objects().annotations["category_id"].value_counts() for each in (originals, copies)
    )
    categories = [
        {
            "category": name,
            "originals": int(before.get(category_id, 0)),
            "copies": int(after.get(category_id, 0)),
            "dropped": int(
                before.get(category_id, 0) * settings.factor - after.get(category_id, 0)
            ),
        }
        for category_id, name in zip(
            originals.categories["category_id"], originals.categories["name"], strict=True
        )
    ]
    return {
        "made_of": sha256_of_tables(originals),
        "settings": _recipe(settings),
        "images": len(originals.images),
        "copies": len(copies.images),
        "categories": categories,
        "versions": _versions(),
    }
