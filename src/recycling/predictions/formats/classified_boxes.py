"""CSV files of classified boxes, in the form that detectors submit (AI Stages "trash detection").

The boxes are the crops that were classified: annotated ones, or those that a detector proposed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd

from recycling.predictions.core import ClassProbabilities, Detections, SubmissionError
from recycling.predictions.formats.aistages_detection import detections_to_submission
from recycling.predictions.formats.class_table import ID, checked_probabilities
from recycling.predictions.submission import CLASS_FORMATS, ClassFormat, Format


class ClassifiedBoxes(ClassFormat):
    """A row an image, six numbers a box: the classifier's class on the detector's boxes."""

    format: Literal["classified_boxes"] = "classified_boxes"


def classified_boxes_to_submission(
    probabilities: ClassProbabilities, crops: pd.DataFrame, categories: pd.DataFrame
) -> pd.DataFrame:
    """Write the crops as boxes of their most likely class.

    A box's score is the crop's (1 where a person drew it) times the probability of the class.

    Args:
        probabilities: One row a crop, one column a class.
        crops: `annotation_id, image_id, file_name, score` and a box; where `file_name` is
            categorical, its categories are the names of all images, also of those without a crop.
        categories: The categories; their order is that of labels.

    Raises:
        TableError: The probabilities are not a table of class probabilities.
        SubmissionError: A crop has no probabilities.

    Example:
        >>> table = pd.DataFrame({"annotation_id": [7], "Paper": [0.25], "Metal": [0.75]})
        >>> crops = pd.DataFrame({"annotation_id": [7], "image_id": [4], "file_name": ["a.jpg"],
        ...                       "score": 0.5, "x_min": 1.0, "y_min": 2.0, "x_max": 3.0,
        ...                       "y_max": 4.0})
        >>> categories = pd.DataFrame({"category_id": [3, 7], "name": ["Paper", "Metal"]})
        >>> submission = classified_boxes_to_submission(table, crops, categories)
        >>> print(submission.to_csv(index=False).strip())
        PredictionString,image_id
        1 0.375 1 2 3 4,a.jpg
    """
    table, classes, values = checked_probabilities(probabilities)
    row = pd.Index(table[ID]).get_indexer(crops[ID])
    if (row < 0).any():
        raise SubmissionError(
            f"class probabilities: none for crop {crops[ID].iloc[int((row < 0).argmax())]}"
        )
    ids = dict(zip(categories["name"], categories["category_id"], strict=True))
    chosen = values.argmax(axis=1)
    names = crops["file_name"].astype("category")
    boxes = pd.DataFrame(
        {
            "image_id": names.cat.codes.astype("int64"),
            "category_id": [ids[classes[each]] for each in chosen[row]],
            "score": (crops["score"].to_numpy() * values.max(axis=1)[row]).clip(0, 1),
            **{side: crops[side] for side in ("x_min", "y_min", "x_max", "y_max")},
        }
    )
    images = pd.DataFrame({"file_name": names.cat.categories.astype("string")})
    return detections_to_submission(
        Detections(boxes), images.assign(image_id=range(len(images))), categories
    )


def _refuse(path: str | Path, *_: object, **__: object) -> ClassProbabilities:
    raise SubmissionError(
        f"{path}: files of classified_boxes are written, not read: they do not say which crop a "
        "box is; give class_probabilities"
    )


CLASS_FORMATS.register("classified_boxes", ClassifiedBoxes)(
    Format(classified_boxes_to_submission, _refuse)
)
