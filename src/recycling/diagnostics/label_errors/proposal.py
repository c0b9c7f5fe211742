"""Candidates as entries of the cleaning rule `correct_annotations`, for a person to accept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from recycling.annotations import BOX, Annotations
from recycling.annotations.cleaning.corrections import in_one_line
from recycling.annotations.cleaning.rules.correct_annotations import Correction
from recycling.diagnostics.label_errors.core import NEW_BOX, LabelErrors

_HEAD = """\
# The {n} likeliest errors of labels, the likeliest first; label_errors.png shows them. Move the
# lines of those that are right to cleaning.train.correct_annotations.corrections in
# parameters_cleaning.yml, put category or box right where the models do not see them as they are,
# and clean again. Nothing here is applied by itself.
cleaning:
  train:
    correct_annotations:
      corrections:
"""
EVEN = 0.5
"""The quality of a label that as much speaks against as for."""

_INDENT = " " * 8


def proposed_corrections(truth: Annotations, errors: LabelErrors, n: int = 50) -> str:
    r"""Write the first candidates as entries of `correct_annotations`, one a line.

    Args:
        truth: The images and their labels; boxes that models see are cut at the images' edges.
        errors: The candidates; schema `recycling.diagnostics.LABEL_ERRORS`.
        n: How many; those that less speaks against than for are left out.

    Returns:
        YAML, with what the models say in a comment over each entry.

    >>> from recycling.annotations import from_coco
    >>> from recycling.diagnostics.label_errors.core import candidates
    >>> image = {"id": 1, "file_name": "a.jpg", "width": 40, "height": 20}
    >>> document = {"images": [image], "annotations": [], "categories": []}
    >>> truth = from_coco(document, where="example")
    >>> row = {"quality": 0.1, "kind": "spurious", "image_id": 1, "annotation_id": 5,
    ...     "category": "Glass", "x_min": 0, "y_min": 0, "x_max": 9.5, "y_max": 8,
    ...     "models": "det: something 0.02"}
    >>> text = proposed_corrections(truth, candidates(truth, pd.DataFrame([row])))
    >>> print("\n".join(line.strip() for line in text.splitlines()[-2:]))
    # 1, annotation 5: spurious; det: something 0.02
    - {file_name: a.jpg, category: Glass, box: [0.0, 0.0, 9.5, 8.0], drop: true}
    """
    shown = proposed(errors, n)
    sizes = truth.images.set_index("image_id")[["width", "height"]]
    lines = []
    for number, row in enumerate(shown.to_dict("records"), 1):
        image_id, annotation_id = row["image_id"], row["annotation_id"]
        whose = "" if pd.isna(annotation_id) else f", annotation {annotation_id}"
        width, height = sizes.loc[image_id].tolist()
        kind = str(row["kind"]).replace("_", " ")
        lines.append(f"{_INDENT}# {number}{whose}: {kind}; {row['models']}")
        entry = correction(row, (width, height))
        lines.append(f"{_INDENT}- {in_one_line(entry)}")
    head = _HEAD.format(n=len(shown))
    return head + "\n".join(lines) + "\n" if lines else f"{head.rstrip()} []\n"


def proposed(errors: LabelErrors, n: int) -> LabelErrors:
    """The first `n` candidates, without those that less speaks against than for."""
    return LabelErrors(errors[errors["quality"] < EVEN].head(n))


def correction(row: Mapping[Any, Any], size: tuple[int, int]) -> Correction:
    """A candidate as an entry of `correct_annotations`.

    Args:
        row: Of the candidates; schema `recycling.diagnostics.LABEL_ERRORS`.
        size: Width and height of its image, pixels; boxes that models see are cut at its edges.
    """
    kind = row["kind"]
    category = row["new_category"] if kind == "missed" else row["category"]
    box = _box(row, BOX)
    entry: dict[str, Any] = {"file_name": row["file_name"], "category": category, "box": box}
    if kind == "wrong_class":
        entry["new_category"] = row["new_category"]
    elif kind == "badly_placed":
        entry["new_box"] = _within(_box(row, NEW_BOX), size)
    elif kind == "spurious":
        entry["drop"] = True
    else:
        entry |= {"box": _within(box, size), "add": True}
    return Correction.model_validate(entry)


def _box(row: Mapping[Any, Any], columns: list[str]) -> list[float]:
    return [round(float(row[column]), 2) for column in columns]


def _within(box: list[float], size: tuple[int, int]) -> list[float]:
    return [float(min(max(edge, 0), size[place % 2])) for place, edge in enumerate(box)]
