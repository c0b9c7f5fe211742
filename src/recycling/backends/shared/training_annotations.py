"""What an annotation has to be for any library to learn from it."""

from __future__ import annotations

from collections.abc import Mapping

from recycling.annotations import Annotations
from recycling.backends.core import BackendError


def check_annotations(
    annotations: Annotations, class_of: Mapping[int, int], where: str, *, masks: bool = False
) -> None:
    """Refuse annotations that cannot be learnt from.

    Args:
        annotations: What is trained on.
        class_of: The class index of each category id.
        where: What the message begins with.
        masks: Whether each object needs a mask.

    Raises:
        BackendError: There is one; the message names the first, and says how many there are.
    """
    table = annotations.annotations
    faults = [
        (
            ~table["category_id"].isin(class_of),
            "is of a category that the table of categories does not hold",
            "run data_cleaning",
        ),
        (
            (table["x_max"] <= table["x_min"]) | (table["y_max"] <= table["y_min"]),
            "has a box of no area",
            "run data_cleaning",
        ),
    ]
    if masks:
        advice = "set MODEL.MASK_ON to false in the model's options"
        unmasked = table["segmentation"].isna() & ~table["iscrowd"].astype(bool)
        faults.append((unmasked, "has no mask", advice))
    for bad, fault, advice in faults:
        if bad.any():
            row = table[bad].iloc[0]
            raise BackendError(
                f"{where}: annotation {row['annotation_id']} on image {row['image_id']} {fault} "
                f"({int(bad.sum())} are like that); {advice}"
            )


def is_pseudo(annotations: Annotations) -> bool:
    """Whether models have labelled a part of the training data.

    Args:
        annotations: Of one part.
    """
    return bool((annotations.annotations["source"] == "pseudo").any())
