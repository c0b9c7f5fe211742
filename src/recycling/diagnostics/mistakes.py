"""Single mistakes: what was said, what is true, and how bad it is."""

from __future__ import annotations

from typing import Any, Literal, NewType, TypeAlias, get_args

import numpy as np
import pandas as pd

from recycling.annotations import BOX, Annotations
from recycling.diagnostics.disagreement import (
    BACKGROUND,
    NOTHING,
    OVERLAP,
    SCORE,
    as_predictions,
    paired,
    without_ignored,
)
from recycling.evaluation.classes import matched_crops
from recycling.predictions import ClassProbabilities, Detections, LabelMaps
from recycling.tables import Column, Schema, register_table

Kind: TypeAlias = Literal["false positive", "miss", "wrong class", "bad place"]

KINDS: tuple[Kind, ...] = get_args(Kind)

Mistakes = NewType("Mistakes", pd.DataFrame)
"""One row a mistake, the worst first; schema `MISTAKES`."""

MISTAKES = Schema(
    "mistakes",
    (
        Column("image_id", "int64", "the image"),
        Column("kind", "string", "what is wrong", values=KINDS),
        Column("true", "string", "what is there"),
        Column("said", "string", "what was said"),
        Column("annotation_id", "Int64", "the true object; missing where there is none", True),
        Column("row", "Int64", "the detection's row, its label; missing where there is none", True),
        Column("count", "int64", "1, or of masks how many pixels", minimum=1),
        Column("iou", "float64", "of the two boxes, 0 where there is one; of masks of the image"),
        Column("loss", "float64", "what it costs: the higher, the worse"),
    ),
)  # fmt: skip
register_table("mistakes", MISTAKES, Mistakes)

NEAR = 0.1
"""The overlap (IoU) from which on a box of the right class is badly placed, not of nothing."""


def mistakes(truth: Annotations, predictions: Any, *, score_threshold: float = SCORE) -> Mistakes:
    """The single mistakes of predictions.

    Boxes that the score ignores, such as those on crowd regions, are no mistakes.

    Boxes are paired with true ones as `disagreement` pairs them. The kinds, and that a box of the
    right class which overlaps too little is badly placed, are those of TIDE (Bolya et al., 2020,
    arXiv 2008.08115).

    Args:
        truth: The images that were predicted on, and what is on them.
        predictions: Detections, class probabilities or label maps.
        score_threshold: Boxes below this score are left out.

    Returns:
        Schema `MISTAKES`. The loss of a crop is its cross-entropy; of a box that is said, its
        score; of an object that is missed, 1; of masks, the share of the image's pixels.

    Raises:
        EvaluationError: They do not fit together.
    """
    if not isinstance(predictions, pd.DataFrame):
        rows = _of_masks(truth, predictions)
    elif "image_id" in predictions:
        rows = _of_boxes(truth, Detections(predictions), score_threshold)
    else:
        rows = _of_crops(truth, ClassProbabilities(predictions))
    if rows.empty:
        return Mistakes(MISTAKES.empty())
    table = rows.assign(
        annotation_id=rows["annotation_id"].astype("Int64"), row=rows["row"].astype("Int64")
    )
    worst = table.sort_values(["loss", "image_id"], ascending=[False, True], kind="stable")
    return Mistakes(MISTAKES.conform(worst, where="mistakes"))


def image_overlaps(
    truth: Annotations, predictions: Any, *, score_threshold: float = SCORE
) -> pd.Series[float]:
    """How well what is said of each image lies over what is there, from 0 to 1.

    Args:
        truth: The images that were predicted on, and what is on them.
        predictions: Detections or label maps.
        score_threshold: Boxes below this score are left out.

    Returns:
        By image id, the worst first. Of boxes, the mean IoU of right pairs, where whatever has no
        right pair counts as 0; of masks, the mean IoU of the classes that are there or said. An
        image without both is 1.
    """
    if isinstance(predictions, pd.DataFrame):
        counted = without_ignored(truth, predictions)
        said = paired(truth, as_predictions(truth, predictions), counted,
                      score_threshold=score_threshold)  # fmt: skip
        right = said["first"] == said["second"]
        value = said["iou"].where(right, 0.0)
        mean = value.groupby(said["image_id"]).mean()
    else:
        mean = _mask_overlaps(paired(truth, as_predictions(truth, predictions), predictions))
    found = mean.reindex(truth.images["image_id"], fill_value=1.0)
    return found.sort_values(kind="stable")


def _mask_overlaps(said: pd.DataFrame) -> pd.Series[float]:
    """The mean IoU of the classes of each image; the background counts as one."""
    counted = said[(said["first"] != "ignored") & (said["second"] != "ignored")]
    right = counted[counted["first"] == counted["second"]]
    hit = right.groupby(["image_id", "first"])["count"].sum()
    true = counted.groupby(["image_id", "first"])["count"].sum()
    own = counted.groupby(["image_id", "second"])["count"].sum()
    names = ["image_id", "class"]
    hit.index.names = true.index.names = own.index.names = names
    both: pd.DataFrame = pd.concat({"true": true, "said": own, "hit": hit}, axis=1).fillna(0)
    iou = both["hit"] / (both["true"] + both["said"] - both["hit"])
    return iou.groupby("image_id").mean()


def _of_crops(truth: Annotations, probabilities: ClassProbabilities) -> pd.DataFrame:
    said = paired(truth, as_predictions(truth, probabilities), probabilities)
    expected, scores = matched_crops(truth, probabilities)
    objects = truth.objects().annotations
    own = scores[np.arange(len(expected)), expected]
    with np.errstate(divide="ignore"):
        losses = -np.log(np.maximum(own, np.finfo(np.float32).tiny))
    loss_of = dict(zip(objects["annotation_id"].tolist(), losses.tolist(), strict=True))
    wrong = said[said["first"] != said["second"]]
    return wrong.rename(columns={"first": "true", "second": "said"}).assign(
        kind="wrong class", row=None, count=1, iou=1.0, loss=wrong["annotation_id"].map(loss_of)
    )


def _of_boxes(truth: Annotations, detections: Detections, score_threshold: float) -> pd.DataFrame:
    expected = as_predictions(truth, detections)
    counted = without_ignored(truth, detections)
    said = paired(truth, expected, counted, score_threshold=score_threshold)
    wrong = said[said["first"] != said["second"]].reset_index(drop=True)
    near = _near(wrong, expected, detections)
    placed = pd.DataFrame(near, columns=["miss", "false", "iou"]).astype(
        {"miss": int, "false": int}
    )
    badly = wrong.loc[placed["miss"]].reset_index(drop=True)
    badly["second"] = badly["first"]
    badly["second_row"] = wrong.loc[placed["false"], "second_row"].to_numpy()
    badly["iou"] = placed["iou"]
    rest = wrong.drop(index=[*placed["miss"], *placed["false"]])
    kinds = np.select(
        [rest["first"] == NOTHING, rest["second"] == NOTHING],
        ["false positive", "miss"], "wrong class",
    )  # fmt: skip
    table = pd.concat([rest.assign(kind=kinds), badly.assign(kind="bad place")], ignore_index=True)
    number = truth.objects().annotations["annotation_id"].astype("Int64")
    score = detections["score"]
    has_box, is_there = table["second_row"] >= 0, table["first_row"] >= 0
    return pd.DataFrame(
        {
            "image_id": table["image_id"],
            "kind": table["kind"],
            "true": table["first"],
            "said": table["second"],
            "annotation_id": number.reindex(table["first_row"].where(is_there, -1)).array,
            "row": table["second_row"].where(has_box),
            "count": 1,
            "iou": table["iou"],
            "loss": table["second_row"].where(has_box).map(score).fillna(1.0),
        }
    )


def _near(
    wrong: pd.DataFrame, expected: Detections, detections: Detections
) -> list[tuple[int, int, float]]:
    """Misses and false positives of one class that overlap a little, the closest pairs first."""
    from supervision import box_iou_batch

    pairs = []
    lonely = wrong[(wrong["first"] == NOTHING) | (wrong["second"] == NOTHING)]
    name = lonely["first"].where(lonely["first"] != NOTHING, lonely["second"])
    for _, own in lonely.groupby([lonely["image_id"], name]):
        misses, false = own[own["second"] == NOTHING], own[own["first"] == NOTHING]
        if misses.empty or false.empty:
            continue
        iou = box_iou_batch(
            expected.loc[misses["first_row"], BOX].to_numpy(),
            detections.loc[false["second_row"], BOX].to_numpy(),
        )
        for place in np.argsort(-iou, axis=None, kind="stable").tolist():
            row, column = divmod(place, iou.shape[1])
            if NEAR <= iou[row, column] < OVERLAP:
                pairs.append(
                    (int(misses.index[row]), int(false.index[column]), float(iou[row, column]))
                )
                iou[row], iou[:, column] = -1, -1
    return pairs


def _of_masks(truth: Annotations, label_maps: LabelMaps) -> pd.DataFrame:
    said = paired(truth, as_predictions(truth, label_maps), label_maps)
    iou = _mask_overlaps(said)
    pixels = said.groupby("image_id")["count"].transform("sum")
    share = said["count"] / pixels
    known = (said["first"] != "ignored") & (said["second"] != "ignored")
    wrong = known & (said["first"] != said["second"])
    rows = said[wrong]
    kinds = np.select(
        [rows["first"] == BACKGROUND, rows["second"] == BACKGROUND],
        ["false positive", "miss"], "wrong class",
    )  # fmt: skip
    return rows.rename(columns={"first": "true", "second": "said"}).assign(
        kind=kinds, annotation_id=None, row=None, loss=share[wrong], iou=rows["image_id"].map(iou)
    )
