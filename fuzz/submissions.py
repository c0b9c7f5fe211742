"""Predictions of others: what is read of each format fits its schema, images and categories."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from fuzz.core import Target, refusal
from fuzz.mutations import mutated
from fuzz.sample_files import annotations, folder
from recycling.predictions import DETECTIONS, BoxFormat, ClassFormat, LabelMaps, MaskFormat
from recycling.predictions.core import SubmissionError
from recycling.predictions.submission import read_submission, to_submission
from recycling.registry import PickedSettings

SIDE = 8
"""Pixels of a side of label maps, small so that many are read."""


def target() -> Target:
    tables = annotations()
    images, categories = tables.images, tables.categories
    crops = tables.annotations
    names = [str(name) for name in categories["name"]]
    boxes = DETECTIONS.conform(crops.assign(score=0.5), where="boxes")
    even = np.full((len(crops), len(names)), 1 / len(names), dtype=np.float32)
    classes = pd.DataFrame(even, columns=names)
    classes.insert(0, "annotation_id", crops["annotation_id"].to_numpy())
    maps = LabelMaps(
        images["image_id"].tolist(), lambda image_id: np.full((SIDE, SIDE), 1, np.uint8)
    )
    formats: dict[str, tuple[PickedSettings, Any, pd.DataFrame]] = {
        "boxes": (BoxFormat.model_validate({}), boxes, images),
        "masks": (MaskFormat.model_validate({"size": SIDE}), maps, images),
        **{
            name: (ClassFormat.model_validate({"format": name}), classes, crops)
            for name in ("classes", "class_probabilities")
        },
    }
    path = folder() / "team.csv"
    inputs = []
    for name, (settings, predictions, rows) in formats.items():
        table = to_submission(settings, predictions, rows, categories)
        content = table.to_csv(index=False).encode()
        inputs.append(
            st.tuples(st.just(name), mutated([content]), st.sampled_from(["error", "skip"]))
        )

    def read(content: tuple[str, bytes, Any]) -> None:
        settings, _, rows = formats[content[0]]
        path.write_bytes(content[1])
        found = read_submission(settings, path, rows, categories, missing_images=content[2])
        if isinstance(found, LabelMaps):
            for drawn in found.values():
                assert ((drawn <= len(names)) | (drawn == 255)).all()
        elif content[0] == "boxes":
            DETECTIONS.conform(found, where="read")
            assert np.isfinite(found[["x_min", "y_min", "x_max", "y_max", "score"]]).all(axis=None)
            assert found["category_id"].isin(categories["category_id"]).all()
            assert found["image_id"].isin(images["image_id"]).all()
        else:
            values = found[names].to_numpy()
            assert found["annotation_id"].is_unique
            assert ((values >= 0) & (values <= 1)).all()

    return Target("submissions", st.one_of(inputs), read, refusal(SubmissionError))
