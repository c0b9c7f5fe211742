"""What was found, as JSON, as COCO, or drawn on the images."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from recycling.annotations import BOX
from recycling.inference import Predictor
from recycling.inference.objects import Found
from recycling.serving.uploads import Upload

Form = Literal["json", "coco", "png"]


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
    form: Form, upload: Upload, found: Found, predictor: Predictor, score_threshold: float
) -> Answer:
    """What was found on the images of a request.

    Args:
        form: How it is told.
        upload: The images.
        found: What is on them, numbered from 1 in their order.
        predictor: What predicted.
        score_threshold: What is less sure is left out.
    """
    sure = (found.objects["score"] >= score_threshold).fillna(True).astype(bool)
    objects = found.objects[sure]
    objects = objects.sort_values(["image_id", "score"], ascending=[True, False], kind="stable")
    if form == "json":
        return Answer(_json(_by_image(upload, objects, predictor)))
    if form == "coco":
        return Answer(_json(_coco(upload, objects, predictor)))
    drawn = [
        _drawn(number, upload, Found(objects, found.maps), predictor)
        for number in range(1, len(upload.images) + 1)
    ]
    if len(drawn) == 1 and not upload.faults:
        return Answer(drawn[0], "image/png")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for number, content in enumerate(drawn, 1):
            file.writestr(f"{number}.png", content)
    return Answer(archive.getvalue(), "application/zip")


def _by_image(upload: Upload, objects: pd.DataFrame, predictor: Predictor) -> dict[str, Any]:
    names = predictor.categories.set_index("category_id")["name"]
    own = dict(list(objects.groupby("image_id")))
    images = []
    for number, (name, image) in enumerate(zip(upload.names, upload.images, strict=True), 1):
        rows = own.get(number, objects.iloc[:0])
        images.append(
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
                    for row in rows.to_dict("records")
                ],
            }
        )
    return {
        "model": predictor.name,
        "version": predictor.identity[:12],
        "images": images,
        "unreadable": [{"file_name": name, "reason": why} for name, why in upload.faults.items()],
    }


def _coco(upload: Upload, objects: pd.DataFrame, predictor: Predictor) -> dict[str, Any]:
    images = [
        {"id": number, "file_name": name, "width": image.shape[1], "height": image.shape[0]}
        for number, (name, image) in enumerate(zip(upload.names, upload.images, strict=True), 1)
    ]
    annotations = []
    for number, row in enumerate(objects.to_dict("records"), 1):
        left, top, right, bottom = (row[edge] for edge in BOX)
        each: dict[str, Any] = {
            "id": number,
            "image_id": row["image_id"],
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
    categories = predictor.categories[["category_id", "name"]].rename(columns={"category_id": "id"})
    return {
        "images": images,
        "annotations": annotations,
        "categories": categories.to_dict("records"),
    }


def _drawn(number: int, upload: Upload, found: Found, predictor: Predictor) -> bytes:
    """One image as PNG, with what was found on it."""
    import cv2

    from recycling.inference.drawing import drawn

    objects = found.objects[found.objects["image_id"] == number]
    names = objects["category_id"].map(predictor.categories.set_index("category_id")["name"])
    image = drawn(
        upload.images[number - 1],
        objects.assign(category=names),
        predictor.categories,
        None if found.maps is None else found.maps[number],
    )
    return bytes(cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))[1])


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
