"""The images where an ensemble changed most against its best member: truth, member, ensemble."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recycling.annotations import Annotations, ImageFolder, to_label_map
from recycling.diagnostics.changes import Changes
from recycling.predictions import ClassProbabilities, Detections, LabelMaps
from recycling.reporting.grids import crop_grid, grid_with_legend, read_image
from recycling.reporting.layout import (
    GAP,
    INK,
    RgbImage,
    image_grid,
    side_by_side,
    stacked,
    text_band,
    titled,
)
from recycling.reporting.overlays import (
    counted,
    detections_panel,
    label_map_panel,
    pixel_agreement,
    truth_panel,
)


def changed_boxes(
    truth: Annotations,
    folder: ImageFolder,
    best: Detections,
    ensemble: Detections,
    changes: Changes,
    n: int = 4,
    *,
    best_name: str = "best member",
    other_name: str = "ensemble",
    best_threshold: float = 0.3,
    ensemble_threshold: float = 0.3,
) -> RgbImage:
    """True boxes, the best member's and the ensemble's, where they changed most.

    Args:
        truth: The images and what is on them.
        folder: The folder that they are in.
        best: The best member's detections.
        ensemble: The ensemble's.
        changes: What changed, from `recycling.ensembling.detection_changes`.
        n: How many images to show.
        best_name: The best member's name.
        other_name: What the ensemble is called.
        best_threshold: The best member's detections of a lower score are left out, and the titles
            say so; take what `detection_changes` took.
        ensemble_threshold: The same of the ensemble.

    Returns:
        (H, W, 3) RGB: a row of three panels for each image, or one sentence where nothing changed.

    Raises:
        FileNotFoundError: An image is not there.
        ValueError: An image cannot be read, or a change is on no image of the truth.
    """
    rows = []
    for image_id, file_name, change in _most_changed(truth, changes, n):
        image = read_image(folder, file_name)
        real = truth.annotations[truth.annotations["image_id"] == image_id]
        panels = [truth_panel(image, real, truth.categories)]
        for name, detections, min_score in (
            (best_name, best, best_threshold),
            (other_name, ensemble, ensemble_threshold),
        ):
            is_shown = (detections["image_id"] == image_id) & (detections["score"] >= min_score)
            found = detections[is_shown]
            title = f"{name}: {counted(len(found), 'box', 'boxes')} of {min_score:.2f} and up"
            panels.append(detections_panel(image, found, truth.categories, title))
        rows.append(titled(side_by_side(panels), f"{file_name}: {change:.0%} of the boxes differ"))
    return image_grid(rows, 1) if rows else _nothing(best_name, other_name)


def changed_masks(
    truth: Annotations,
    folder: ImageFolder,
    best: LabelMaps,
    ensemble: LabelMaps,
    changes: Changes,
    n: int = 4,
    *,
    best_name: str = "best member",
    other_name: str = "ensemble",
) -> RgbImage:
    """True label maps, the best member's and the ensemble's, where they changed most.

    Args:
        truth: Annotations with masks.
        folder: The folder that they are in.
        best: The best member's label maps.
        ensemble: The ensemble's.
        changes: What changed, from `recycling.ensembling.label_map_changes`.
        n: How many images to show.
        best_name: The best member's name.
        other_name: What the ensemble is called.

    Returns:
        (H, W, 3) RGB: a row of three panels for each image over one legend, or one sentence where
        nothing changed.

    Raises:
        FileNotFoundError: An image is not there.
        ValueError: An image cannot be read, or a change is on no image of the truth.
    """
    rows = []
    present: set[int] = set()
    for image_id, file_name, change in _most_changed(truth, changes, n):
        image = read_image(folder, file_name)
        real = to_label_map(truth, image_id)
        present |= set(np.unique(real).tolist())
        panels = [label_map_panel(image, real, truth.categories, "truth")]
        for name, label_maps in ((best_name, best), (other_name, ensemble)):
            label_map = label_maps[image_id]
            present |= set(np.unique(label_map).tolist())
            title = f"{name}: {pixel_agreement(real, label_map):.0%} of the pixels right"
            panels.append(label_map_panel(image, label_map, truth.categories, title))
        rows.append(titled(side_by_side(panels), f"{file_name}: {change:.0%} of the pixels differ"))
    return (
        grid_with_legend(rows, 1, present, truth.categories)
        if rows
        else _nothing(best_name, other_name)
    )


def changed_crops(
    truth: Annotations,
    folder: ImageFolder,
    best: ClassProbabilities,
    ensemble: ClassProbabilities,
    changes: Changes,
    n: int = 24,
    *,
    best_name: str = "the best member",
    other_name: str = "the ensemble",
) -> RgbImage:
    """The crops that the ensemble takes for something else than its best member does.

    Args:
        truth: Annotations with the crops' categories and boxes.
        folder: The folder that the images are in.
        best: The best member's class probabilities.
        ensemble: The ensemble's.
        changes: What changed, from `recycling.ensembling.probability_changes`.
        n: How many crops to show.
        best_name: What the best member is called.
        other_name: What the ensemble is called.

    Returns:
        (H, W, 3) RGB: eight crops a row, each over its truth, the best member's class and the
        ensemble's; the frame is green where the ensemble is right. One sentence where nothing
        changed.

    Raises:
        FileNotFoundError: An image is not there.
        ValueError: An image cannot be read, or a change is of no annotation of the truth.
    """
    shown = changes[changes["change"] > 0].head(n)
    _check_known(shown, truth.annotations["annotation_id"], "annotation")
    if shown.empty:
        return _nothing(best_name, other_name)
    heading = f"What each crop is, what {best_name} took it for, and below what {other_name} did"
    grid = crop_grid(truth, folder, shown["item_id"].tolist(), [best, ensemble])
    band = text_band(max(grid.shape[1], 720), [(heading, INK)])
    return stacked([np.pad(band, ((GAP, 0), (GAP, 0), (0, 0)), constant_values=255), grid])


def _most_changed(truth: Annotations, changes: Changes, n: int) -> list[tuple[int, str, float]]:
    """Id, file name and change of the images that changed most; none that did not change."""
    shown = changes[changes["change"] > 0].head(n)
    file_names = truth.images.set_index("image_id")["file_name"]
    _check_known(shown, file_names.index, "image")
    return [
        (image_id, str(file_names[image_id]), change)
        for image_id, change in zip(
            shown["item_id"].tolist(), shown["change"].tolist(), strict=True
        )
    ]


def _check_known(shown: pd.DataFrame, known: pd.Series | pd.Index, what: str) -> None:
    unknown = shown["item_id"][~shown["item_id"].isin(known)]
    if len(unknown):
        raise ValueError(
            f"changes: {what} {unknown.iloc[0]} is not in the truth; compare predictions of its "
            "images"
        )


def _nothing(best_name: str, other_name: str) -> RgbImage:
    return text_band(640, [(f"{other_name} says nothing else than {best_name}", INK)])
