"""The images that all sides have predicted on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from recycling.annotations import BOX, Annotations
from recycling.errors import listed
from recycling.experiments import ExperimentError
from recycling.sides.core import OUT_OF_FOLD, TEST, Part, Side


def shared_part(sides: Sequence[Side]) -> Part:
    """Where all sides have predicted: out of fold, else the test images.

    Raises:
        ExperimentError: Nowhere.
    """
    for part in (OUT_OF_FOLD, TEST):
        if all(part in side.predictions for side in sides):
            return part
    for side in sides:
        if side.test_folds and TEST not in side.predictions:
            raise ExperimentError(
                f"{side.label}: {side.test_folds} folds have predicted the test images, each by "
                f"itself; name one of them, {side.label}.fold0, or an ensemble of it"
            )
    raise ExperimentError(
        f"{' and '.join(side.label for side in sides)} have not predicted the same images"
    )


def common_images(sides: Sequence[Side], part: Part) -> Annotations:
    """The images that all sides have predicted on, with the truth of the last side.

    Of classifiers, those whose boxes, and the ids of these, are the same on all sides.

    Raises:
        ExperimentError: There is none, the sides know different categories, or one has predicted
            before the images, their labels or the folds became what they are now.
    """
    for side in sides:
        if part in side.stale:
            raise ExperimentError(side.stale[part])
    _check_categories(sides, part)
    tables = [side.truth[part].images for side in sides]
    names = [dict(zip(t["image_id"], t["file_name"], strict=True)) for t in tables]
    last = names[-1]
    same = [image for image, file in last.items() if all(own.get(image) == file for own in names)]
    boxes = ""
    if same and sides[-1].task == "cls":
        other = _other_boxes(sides, part)
        same, boxes = [image for image in same if image not in other], " with the same boxes"
    if not same:
        raise ExperimentError(
            f"{' and '.join(side.label for side in sides)} have no image in common{boxes} ({part})"
        )
    return sides[-1].truth[part].of_images(same)


def _other_boxes(sides: Sequence[Side], part: Part) -> set[int]:
    """The images on which a side has asked about other boxes, or calls them by other ids."""
    columns = ["image_id", "annotation_id", *BOX]
    tables = [side.truth[part].objects().annotations[columns] for side in sides]
    found: set[int] = set()
    for table in tables[:-1]:
        both = table.merge(tables[-1], how="outer", indicator=True)
        found.update(both.loc[both["_merge"] != "both", "image_id"].tolist())
    return found


def _check_categories(sides: Sequence[Side], part: Part) -> None:
    """Check that a number is the same category on all sides: label maps have nothing else."""
    tables = [side.truth[part].categories for side in sides]
    known = [list(zip(own["category_id"], own["name"], strict=True)) for own in tables]
    for side, own in zip(sides, known, strict=True):
        if own != known[-1]:
            one, other = (listed(name for _, name in each) for each in (own, known[-1]))
            raise ExperimentError(
                f"{side.label} and {sides[-1].label} know other categories, or in another order "
                f"({one}; {other}); run one of them again with those of the other"
            )


def only_on(truth: Annotations, predictions: Any) -> Any:
    """Predictions of some images alone."""
    if not isinstance(predictions, pd.DataFrame):
        ids = set(truth.images["image_id"].tolist())
        kept = [image_id for image_id in predictions if image_id in ids]
        return type(predictions)(kept, predictions.__getitem__)
    key = "image_id" if "image_id" in predictions else "annotation_id"
    table = truth.images if key == "image_id" else truth.annotations
    return predictions[predictions[key].isin(table[key])].reset_index(drop=True)
