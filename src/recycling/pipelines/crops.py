"""What classifiers are asked about where no boxes are annotated: whole images, or proposals."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pandas as pd
from kedro.pipeline import Node, node

from recycling.annotations import ANNOTATIONS, BOX, Annotations
from recycling.errors import listed
from recycling.names import shown_name
from recycling.plan import CropPlan, Crops
from recycling.plan.crops import DetectedCrops
from recycling.predictions import Detections

logger = logging.getLogger(__name__)


def crop_nodes(crops: CropPlan | None) -> list[Node]:
    """The node that makes the crops of the test images, where they are not annotated."""
    if crops is None:
        return []
    inputs = {"unlabelled": "test.annotations", "labelled": "train.annotations"}
    function: Callable[..., Annotations] = crop_images
    if crops.proposals is not None:
        function = crop_proposals
        inputs |= {"detections": crops.proposals, "settings": "params:crops"}
    return [node(function, inputs, crops.dataset, name="choose_crops", namespace="cls")]


def crop_images(unlabelled: Annotations, labelled: Annotations) -> Annotations:
    """One crop an image: the whole of it, of no known category.

    Args:
        unlabelled: The images; if they have annotations, these are not looked at.
        labelled: Has the categories.
    """
    if len(unlabelled.annotations):
        logger.warning(
            "crops.test is images: the %d annotations of the test images are not looked at, and "
            "nothing is scored on them",
            len(unlabelled.annotations),
        )
    images = unlabelled.images
    rows = pd.DataFrame(
        {
            "image_id": images["image_id"],
            "x_min": 0.0,
            "y_min": 0.0,
            "x_max": images["width"].astype("float64"),
            "y_max": images["height"].astype("float64"),
            "score": 0.0,
        }
    )
    return _crops(rows.assign(category_id=_any_category(labelled)), unlabelled, labelled)


def crop_proposals(
    unlabelled: Annotations, labelled: Annotations, detections: Detections, settings: Crops
) -> Annotations:
    """One crop a box that a detector is sure enough of.

    Args:
        unlabelled: The images.
        labelled: Has the categories.
        detections: What the detector found on the images.
        settings: The score that a box needs.
    """
    assert isinstance(settings.test, DetectedCrops)
    threshold = settings.test.score_threshold
    kept = detections[detections["score"] >= threshold]
    images = unlabelled.images
    without = images.loc[~images["image_id"].isin(kept["image_id"]), "file_name"]
    logger.info(
        "%d of %d proposed boxes have a score of %g or more and are classified",
        len(kept),
        len(detections),
        threshold,
    )
    if len(without):
        logger.warning(
            "%d of %d images have no box of score %g or more, so nothing is classified on them: %s",
            len(without),
            len(images),
            threshold,
            listed(map(shown_name, without), 3),
        )
    return _crops(kept[["image_id", "category_id", *BOX, "score"]], unlabelled, labelled)


def _any_category(labelled: Annotations) -> int:
    """A category for crops of which none is known: what models made is never taken for truth."""
    return int(labelled.categories["category_id"].iloc[0])


def _crops(rows: pd.DataFrame, unlabelled: Annotations, labelled: Annotations) -> Annotations:
    table = rows.reset_index(drop=True).assign(
        annotation_id=range(1, len(rows) + 1),
        area=((rows["x_max"] - rows["x_min"]) * (rows["y_max"] - rows["y_min"])).to_numpy(),
        segmentation=None,
        iscrowd=False,
        source="pseudo",
        extra=None,
    )
    return Annotations(
        images=unlabelled.images,
        annotations=ANNOTATIONS.conform(table, where="crops"),
        categories=labelled.categories,
        extra=unlabelled.extra,
    )
