"""What was found, as JSON, as COCO, or drawn on the images."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import PurePosixPath
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from recycling.annotations import BOX
from recycling.inference import Predictor
from recycling.inference.objects import OBJECTS
from recycling.names import each_once
from recycling.predictions import LabelMap
from recycling.reporting.layout import RgbImage
from recycling.serving.batching import Findings
from recycling.serving.uploads import Upload

Form = Literal["json", "coco", "png"]
Rows: TypeAlias = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Answer:
    """The body of an answer.

    Attributes:
        content: Its bytes.
        media_type: What they are.
    """

    content: bytes
    media_type: str = "application/json"


def answer(
    form: Form, upload: Upload, found: Findings, predictor: Predictor, score_threshold: float
) -> Answer:
    """What was found on the images of a request.

    Args:
        form: How it is told.
        upload: The images.
        found: What is on them.
        predictor: What predicted.
        score_threshold: What is less sure is left out.
    """
    objects = [
        [row for row in rows if pd.isna(row["score"]) or row["score"] >= score_threshold]
        for rows in found.objects
    ]
    if form == "json":
        return Answer(_json(_by_image(upload, objects, predictor)))
    if form == "coco":
        return Answer(_json(_coco(upload, objects, predictor)))
    maps: Sequence[LabelMap | None] = found.maps or [None] * len(objects)
    drawn = [
        _drawn(image, rows, predictor.categories, label_map)
        for image, rows, label_map in zip(upload.images, objects, maps, strict=True)
    ]
    if not upload.is_zip:
        return Answer(drawn[0], "image/png")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in zip(png_names(upload.names), drawn, strict=True):
            file.writestr(name, content)
        if upload.faults:
            file.writestr("unreadable.json", _json(_unreadable(upload)))
    return Answer(archive.getvalue(), "application/zip")


def png_names(names: Sequence[str]) -> list[str]:
    r"""What images are called in an archive: as their files, each once, below no other folder.

    Args:
        names: Those of the files, which may say anything.

    >>> png_names(["may/a.jpg", "may/a.png", "../../b.jpg", "C:\\c.jpg"])
    ['may/a.png', 'may/a.2.png', 'b.png', 'C/c.png']
    """
    return each_once(_choices(name) for name in names)


def _choices(name: str) -> Iterator[str]:
    # Either slash parts folders, a colon those of Windows from a drive; dots alone lead up.
    parts = [part for part in re.split(r"[\\/:]", name) if part.strip(". ")]
    *above, last = parts or ["image"]
    stem = "/".join([*above, PurePosixPath(last).stem])
    yield f"{stem}.png"
    yield from (f"{stem}.{number}.png" for number in count(2))


def _by_image(upload: Upload, objects: Sequence[Rows], predictor: Predictor) -> dict[str, Any]:
    names = _names(predictor.categories)
    images = [
        {
            "file_name": name,
            "width": image.shape[1],
            "height": image.shape[0],
            "objects": [
                {
                    "category": names[row["category_id"]],
                    "score": None if pd.isna(row["score"]) else round(row["score"], 6),
                    "box": [round(row[edge], 3) for edge in BOX],
                    "area": round(row["area"], 3),
                }
                for row in rows
            ],
        }
        for name, image, rows in zip(upload.names, upload.images, objects, strict=True)
    ]
    return {
        "model": predictor.name,
        "version": predictor.identity[:12],
        "images": images,
        "unreadable": _unreadable(upload),
    }


def _unreadable(upload: Upload) -> list[dict[str, str]]:
    return [{"file_name": name, "reason": why} for name, why in upload.faults]


def _names(categories: pd.DataFrame) -> dict[int, str]:
    ids, names = categories["category_id"].tolist(), categories["name"].tolist()
    return dict(zip(ids, names, strict=True))


def _coco(upload: Upload, objects: Sequence[Rows], predictor: Predictor) -> dict[str, Any]:
    images = [
        {"id": number, "file_name": name, "width": image.shape[1], "height": image.shape[0]}
        for number, (name, image) in enumerate(zip(upload.names, upload.images, strict=True), 1)
    ]
    annotations: list[dict[str, Any]] = []
    found = ((image_id, row) for image_id, rows in enumerate(objects, 1) for row in rows)
    for number, (image_id, row) in enumerate(found, 1):
        left, top, right, bottom = (row[edge] for edge in BOX)
        each: dict[str, Any] = {
            "id": number,
            "image_id": image_id,
            "category_id": row["category_id"],
            "bbox": [left, top, right - left, bottom - top],
            "area": row["area"],
            "iscrowd": 0,
        }
        if not pd.isna(row["score"]):
            each["score"] = row["score"]
        if not pd.isna(row["segmentation"]):
            each["segmentation"] = json.loads(row["segmentation"])
        annotations.append(each)
    names = _names(predictor.categories)
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in names.items()],
        "unreadable": _unreadable(upload),
    }


def _drawn(
    image: RgbImage, rows: Rows, categories: pd.DataFrame, label_map: LabelMap | None
) -> bytes:
    """One image as PNG, with what was found on it."""
    import cv2

    from recycling.inference.drawing import drawn

    objects = pd.DataFrame(list(rows), columns=OBJECTS.names)
    objects["category"] = objects["category_id"].map(_names(categories))
    canvas = drawn(image, objects, categories, label_map)
    return bytes(cv2.imencode(".png", np.ascontiguousarray(canvas[..., ::-1]))[1])


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
