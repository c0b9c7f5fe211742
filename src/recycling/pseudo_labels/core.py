"""What pseudo-labels have in common: settings, the audit, the annotations that they become."""

from __future__ import annotations

from typing import NewType

import pandas as pd
from pydantic import Field

from recycling.annotations import ANNOTATIONS, Annotations
from recycling.registry import Settings
from recycling.tables import Column, Schema, register_table

PseudoAudit = NewType("PseudoAudit", pd.DataFrame)
"""One row a category: how many predictions became annotations; schema `PSEUDO_AUDIT`."""

PSEUDO_AUDIT = Schema(
    "pseudo-label audit",
    (
        Column("category", "string", "the category's name"),
        Column("predicted", "int64", "predictions of the teacher", minimum=0),
        Column("kept", "int64", "those that became annotations", minimum=0),
        Column("mean_score", "float64", "mean score of those kept; 0 where none", minimum=0),
    ),
)
register_table("pseudo_label_audit", PSEUDO_AUDIT, PseudoAudit)


class PseudoLabeling(Settings):
    """Which predictions of the teacher become annotations."""

    box_score: float = Field(0.5, ge=0, le=1, description="boxes of at least this score are kept")
    label_score: float = Field(
        0.7, ge=0, le=1, description="crops whose best class has this probability are kept"
    )
    mask_agreement: float = Field(
        0.9, ge=0, le=1, description="share of members that must agree on a pixel"
    )
    mask_area: int = Field(30, ge=1, description="smaller regions are not kept, square pixels")


def as_annotations(rows: pd.DataFrame, unlabeled: Annotations, teacher: Annotations) -> Annotations:
    """Annotations of the unlabelled images, made by models.

    Args:
        rows: The annotations' columns but for ids, `iscrowd` (if absent), `source` and `extra`.
        unlabeled: The images.
        teacher: The annotations that the models learnt from; its categories are used.

    Returns:
        Annotations with ``source = "pseudo"``, of the images that received at least one.
    """
    table = rows.reset_index(drop=True).assign(
        annotation_id=range(1, len(rows) + 1), source="pseudo", extra=None
    )
    if "iscrowd" not in table:
        table["iscrowd"] = False
    if "segmentation" not in table:
        table["segmentation"] = None
    return Annotations(
        images=unlabeled.images,
        annotations=ANNOTATIONS.conform(table, where="pseudo-labels"),
        categories=teacher.categories,
    ).of_images(table["image_id"])


def audit(predicted: pd.DataFrame, kept: pd.DataFrame, categories: pd.DataFrame) -> PseudoAudit:
    """Count, by category, what the teacher predicted and what was kept.

    Args:
        predicted: All predictions, with `category_id`.
        kept: Those that became annotations, with `category_id` and `score`.
        categories: The categories.

    Example:
        >>> predicted = pd.DataFrame({"category_id": [5, 5], "score": [0.5, 0.75]})
        >>> categories = pd.DataFrame({"category_id": [5], "name": ["paper"]})
        >>> audit(predicted, predicted[1:], categories).to_dict("records")
        [{'category': 'paper', 'predicted': 2, 'kept': 1, 'mean_score': 0.75}]
    """
    ids = categories["category_id"]
    by_category = kept.groupby("category_id")["score"]
    return PseudoAudit(
        PSEUDO_AUDIT.conform(
            pd.DataFrame(
                {
                    "category": categories["name"],
                    "predicted": ids.map(predicted["category_id"].value_counts()).fillna(0),
                    "kept": ids.map(by_category.size()).fillna(0),
                    "mean_score": ids.map(by_category.mean()).fillna(0.0).astype("float64"),
                }
            ),
            where="pseudo-labels",
        )
    )
