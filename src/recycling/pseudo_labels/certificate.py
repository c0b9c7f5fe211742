"""What was promised of pseudo-labels, what was kept, and by the truth, if known, what is right."""

from __future__ import annotations

from typing import Any, Literal, NewType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import BOX, Annotations, label_maps
from recycling.evaluation.box_matching import Matching, match
from recycling.predictions import Detections
from recycling.pseudo_labels.core import PseudoAudit, PseudoLabeling, Thresholds, units_of
from recycling.tables import Column, Schema, register_table

Certificate = NewType("Certificate", pd.DataFrame)
"""One row a category; schema `CERTIFICATE`."""

CERTIFICATE = Schema(
    "pseudo-label certificate",
    (
        Column("category", "string", "the category's name"),
        Column(
            "threshold", "Float64", "least score of what is kept; missing: nothing", nullable=True
        ),
        Column("precision", "Float64", "promised share of right; missing: none", nullable=True),
        Column("confidence", "Float64", "chance that it is kept; missing: none", nullable=True),
        Column("reason", "string", "why this threshold, or none"),
        Column("units", "int64", "held-out images, or groups, that it was learnt on", minimum=0),
        Column("held_out", "Float64", "share of right there; missing: nothing kept", nullable=True),
        Column("predicted", "int64", "predictions of the teachers", minimum=0),
        Column("kept", "int64", "those that became annotations", minimum=0),
        Column("ignored", "int64", "those of which nothing is learnt", minimum=0),
        Column("refused", "int64", "those that became nothing", minimum=0),
        Column(
            "attained",
            "Float64",
            "share of right by the truth, images of a group as one; missing: unknown",
            nullable=True,
        ),
        Column("recall", "Float64", "share of what is there that was kept", nullable=True),
        Column("iou", "Float64", "masks: intersection over union of what was kept", nullable=True),
    ),
)
register_table("pseudo_label_certificate", CERTIFICATE, Certificate)


def certify(
    task: Literal["cls", "det", "seg"],
    thresholds: Thresholds,
    audit: PseudoAudit,
    annotations: Annotations,
    settings: PseudoLabeling,
    truth: Annotations | None = None,
) -> Certificate:
    """Put the promise beside what was kept, and beside the truth where it is known.

    Args:
        task: What was labelled.
        thresholds: What was promised.
        audit: What became of the predictions.
        annotations: The pseudo-labels.
        settings: Those of the round; `iou` says which boxes are right.
        truth: What is on the images that were labelled, whose categories are those of
            `annotations` by name; None where nobody knows. Images of one `group` count as one.
    """
    table = thresholds[thresholds["category_id"] >= 0].merge(
        audit.drop(columns="mean_score"),
        on="category",
        validate="one_to_one",
        suffixes=("_out", ""),
    )
    held_out = 1 - _divided(table["wrong"].to_numpy(), table["kept_out"].to_numpy())
    known = pd.DataFrame({"attained": np.nan, "recall": np.nan, "iou": np.nan}, index=table.index)
    if truth is not None:
        known = _MEASURES[task](annotations, truth, settings)
    found = {"held_out": held_out, **{str(name): known[name].to_numpy() for name in known}}
    table = table.assign(**{name: pd.array(own, dtype="Float64") for name, own in found.items()})
    return Certificate(CERTIFICATE.conform(table[CERTIFICATE.names], where="certificate"))


def _of_boxes(
    annotations: Annotations, truth: Annotations, settings: PseudoLabeling
) -> pd.DataFrame:
    kept = _kept(annotations)
    matching = _matched(truth, kept, settings)
    outcome, counted = matching.outcome[0, 0], matching.outcome[0, 0] != 2
    return _shares(
        matching.category[counted],
        outcome[counted] == 1,
        _weights(truth)[matching.image[counted]],
        matching.n_objects[0],
    )


def _of_crops(
    annotations: Annotations, truth: Annotations, settings: PseudoLabeling
) -> pd.DataFrame:
    """Of crops that show an object: whether it is of the class that they were given."""
    n, one = len(truth.categories), truth.categories.iloc[:1].assign(category_id=0)
    kept, objects = _kept(annotations), truth.annotations
    known = pd.Index(truth.categories["category_id"])
    # Boxes of whatever class: which object a crop shows does not depend on what it was taken for.
    anything = Annotations(truth.images, objects.assign(category_id=0), one)
    matching = _matched(anything, kept.assign(category_id=0), settings)
    found = matching.found[0]
    shows = found >= 0
    said = known.get_indexer(kept["category_id"])[matching.row[shows]]
    true = known.get_indexer(objects["category_id"])[found[shows]]
    there = np.bincount(
        known.get_indexer(objects.loc[~objects["iscrowd"], "category_id"]), minlength=n
    )
    return _shares(said, said == true, _weights(truth)[matching.image[shows]], there)


def _of_masks(
    annotations: Annotations, truth: Annotations, settings: PseudoLabeling
) -> pd.DataFrame:
    n = len(truth.categories)
    said, true = label_maps(annotations), label_maps(truth)
    shares, images = np.zeros(n), np.zeros(n)
    pixels = np.zeros((3, n))  # right, kept, there
    for image_id, weight in zip(truth.images["image_id"].tolist(), _weights(truth), strict=True):
        of_image = true[image_id]
        # Of an image that nothing is kept on, all that is there is missed.
        own = said[image_id] if image_id in said else np.zeros_like(of_image)
        known = (of_image != 255) & (own != 255)
        counts = np.bincount(own[known], minlength=n + 1)[1 : n + 1]
        rights = np.bincount(own[known & (own == of_image)], minlength=n + 1)[1 : n + 1]
        on = counts > 0
        shares[on] += weight * rights[on] / counts[on]
        images += weight * on
        on_image = np.bincount(of_image[of_image != 255], minlength=n + 1)[1 : n + 1]
        pixels += np.stack([rights, counts, on_image])
    right, kept, there = pixels
    return pd.DataFrame(
        {
            "attained": _divided(shares, images),
            "recall": _divided(right, there),
            "iou": _divided(right, kept + there - right),
        }
    )


def _kept(annotations: Annotations) -> pd.DataFrame:
    table = annotations.annotations[~annotations.annotations["iscrowd"]]
    return table[["image_id", "category_id", "score", *BOX]].reset_index(drop=True)


def _matched(truth: Annotations, kept: pd.DataFrame, settings: PseudoLabeling) -> Matching:
    """All that was kept, not the 100 of a category on an image that COCO's metric counts."""
    most = max(kept["image_id"].value_counts(), default=0)
    return match(truth, Detections(kept), iou_thresholds=[settings.iou], max_detections=most)


def _weights(truth: Annotations) -> NDArray[np.float64]:
    """(images,), how much each counts: those of a group as one image, as in the promise."""
    unit, sizes = units_of(truth.images)
    return 1 / sizes[unit]


def _shares(
    category: NDArray[np.int64],
    is_right: NDArray[np.bool_],
    weight: NDArray[np.float64],
    there: NDArray[np.int64],
) -> pd.DataFrame:
    """Shares of each category, of what is kept and either right or wrong."""
    n = len(there)
    weighed = np.bincount(category, weight, minlength=n)
    weighed_right = np.bincount(category, weight * is_right, minlength=n)
    return pd.DataFrame(
        {
            "attained": _divided(weighed_right, weighed),
            "recall": _divided(np.bincount(category[is_right], minlength=n), there),
            "iou": np.nan,
        }
    )


def _divided(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    empty = np.full(len(whole), np.nan)
    shares: NDArray[np.float64] = np.divide(part, whole, where=whole > 0, out=empty)
    return shares


_MEASURES = {"det": _of_boxes, "cls": _of_crops, "seg": _of_masks}
