"""The images where an ensemble changed most against its best member: truth, member, ensemble."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recycling.annotations import BOX, Annotations, ImageFolder, to_label_map
from recycling.diagnostics.changes import Changes
from recycling.predictions import ClassProbabilities, Detections, LabelMap, LabelMaps
from recycling.reporting.layout import (
    INK,
    RIGHT,
    WRONG,
    Picture,
    contact_sheet,
    fitting,
    side_by_side,
    stacked,
    text_band,
    titled,
)
from recycling.reporting.overlays import (
    _CROP_SIDE,
    _agreement,
    _count,
    _framed,
    _names,
    _scored,
    _with_boxes,
    _with_labels,
    label_legend,
)
from recycling.reporting.sheets import _crop, read_photograph

_MARGIN = 12
_NO_CHANGE = "the ensemble changed nothing against its best member"


def changed_boxes(
    truth: Annotations,
    folder: ImageFolder,
    best: Detections,
    ensemble: Detections,
    changes: Changes,
    n: int = 4,
    *,
    best_name: str = "best member",
    best_threshold: float = 0.3,
    ensemble_threshold: float = 0.3,
) -> Picture:
    """True boxes, the best member's and the ensemble's, where they changed most.

    Args:
        truth: The images and what is on them.
        folder: Their photographs.
        best: The best member's detections.
        ensemble: The ensemble's.
        changes: What changed, from `recycling.ensembling.detection_changes`.
        n: How many images to show.
        best_name: The best member's name.
        best_threshold: The best member's detections of a lower score are left out, and the titles
            say so; take what `detection_changes` took.
        ensemble_threshold: The same of the ensemble.

    Returns:
        (H, W, 3) RGB: a row of three panels for each image, or one sentence where nothing changed.

    Raises:
        FileNotFoundError: A photograph is not there.
        ValueError: A photograph cannot be read, or a change is on no image of the truth.
    """
    rows = []
    for image_id, file_name, change in _most_changed(truth, changes, n):
        photograph = read_photograph(folder, file_name)
        real = truth.annotations[truth.annotations["image_id"] == image_id]
        named = _names(real["category_id"], truth.categories)
        panels = [
            titled(
                _with_boxes(photograph, real, named, truth.categories),
                f"truth: {_count(len(real), 'object')}",
            )
        ]
        for name, detections, least in (
            (best_name, best, best_threshold),
            ("ensemble", ensemble, ensemble_threshold),
        ):
            here = (detections["image_id"] == image_id) & (detections["score"] >= least)
            found = detections[here]
            labels = [
                f"{category} {score:.2f}"
                for category, score in zip(
                    _names(found["category_id"], truth.categories), found["score"], strict=True
                )
            ]
            panels.append(
                titled(
                    _with_boxes(photograph, found, labels, truth.categories),
                    f"{name}: {_count(len(found), 'box', 'boxes')} of {least:.2f} and up",
                )
            )
        rows.append(titled(side_by_side(panels), f"{file_name}: {change:.0%} of the boxes differ"))
    return contact_sheet(rows, 1) if rows else _nothing()


def changed_masks(
    truth: Annotations,
    folder: ImageFolder,
    best: LabelMaps,
    ensemble: LabelMaps,
    changes: Changes,
    n: int = 4,
    *,
    best_name: str = "best member",
) -> Picture:
    """True label maps, the best member's and the ensemble's, where they changed most.

    Args:
        truth: Annotations with masks.
        folder: Their photographs.
        best: The best member's label maps.
        ensemble: The ensemble's.
        changes: What changed, from `recycling.ensembling.label_map_changes`.
        n: How many images to show.
        best_name: The best member's name.

    Returns:
        (H, W, 3) RGB: a row of three panels for each image over one legend, or one sentence where
        nothing changed.

    Raises:
        FileNotFoundError: A photograph is not there.
        ValueError: A photograph cannot be read, or a change is on no image of the truth.
    """
    rows = []
    present: set[int] = set()
    for image_id, file_name, change in _most_changed(truth, changes, n):
        photograph = read_photograph(folder, file_name)
        real = to_label_map(truth, image_id)
        maps: list[tuple[str, LabelMap]] = [("truth", real)]
        for name, members in ((best_name, best), ("ensemble", ensemble)):
            said = members[image_id]
            maps.append((f"{name}: {_agreement(real, said):.0%} of the pixels right", said))
        for _, label_map in maps:
            present |= set(np.unique(label_map).tolist())
        panels = [
            titled(_with_labels(photograph, label_map, truth.categories), title)
            for title, label_map in maps
        ]
        rows.append(titled(side_by_side(panels), f"{file_name}: {change:.0%} of the pixels differ"))
    if not rows:
        return _nothing()
    sheet = contact_sheet(rows, 1)
    key = label_legend(sheet.shape[1] - 2 * _MARGIN, present, truth.categories)
    return stacked(
        [sheet, np.pad(key, ((0, _MARGIN), (_MARGIN, _MARGIN), (0, 0)), constant_values=255)]
    )


def changed_crops(
    truth: Annotations,
    folder: ImageFolder,
    best: ClassProbabilities,
    ensemble: ClassProbabilities,
    changes: Changes,
    n: int = 24,
) -> Picture:
    """The crops that the ensemble takes for something else than its best member does.

    Args:
        truth: Annotations with the crops' categories and boxes.
        folder: Their photographs.
        best: The best member's class probabilities.
        ensemble: The ensemble's.
        changes: What changed, from `recycling.ensembling.probability_changes`.
        n: How many crops to show.

    Returns:
        (H, W, 3) RGB: eight crops a row, each over its truth, the best member's class and the
        ensemble's; the frame is green where the ensemble is right. One sentence where nothing
        changed.

    Raises:
        FileNotFoundError: A photograph is not there.
        ValueError: A photograph cannot be read, or a change is of no annotation of the truth.
    """
    shown = changes[changes["change"] > 0].head(n)
    annotations = truth.annotations.set_index("annotation_id")
    _check_known(shown, annotations.index, "annotation")
    if shown.empty:
        return _nothing()
    file_names = dict(zip(truth.images["image_id"], truth.images["file_name"], strict=True))
    names = truth.categories.set_index("category_id")["name"]
    tables = [table.set_index("annotation_id")[list(names)] for table in (best, ensemble)]
    tiles = []
    for annotation_id in shown["item_id"].tolist():
        row = annotations.loc[annotation_id]
        photograph = read_photograph(folder, file_names[row["image_id"]])
        real = str(names[row["category_id"]])
        lines = [(fitting(f"is {real}", _CROP_SIDE), INK)]
        colour = WRONG
        for table in tables:
            scores = table.loc[annotation_id]
            said = str(scores.idxmax())
            colour = RIGHT if said == real else WRONG
            lines.append((_scored(said, float(scores.max())), colour))
        # The last colour is the ensemble's.
        frame = _framed(_crop(photograph, [float(row[edge]) for edge in BOX]), colour)
        tiles.append(np.concatenate([frame, text_band(_CROP_SIDE, lines)]))
    heading = "What each crop is, what the best member took it for, and below what the ensemble did"
    sheet = contact_sheet(tiles, 8)
    band = text_band(max(sheet.shape[1], 720), [(heading, INK)])
    return stacked([np.pad(band, ((_MARGIN, 0), (_MARGIN, 0), (0, 0)), constant_values=255), sheet])


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


def _check_known(shown: pd.DataFrame, known: pd.Index, what: str) -> None:
    unknown = shown["item_id"][~shown["item_id"].isin(known)]
    if len(unknown):
        raise ValueError(
            f"changes: {what} {unknown.iloc[0]} is not in the truth; compare predictions of its "
            "images"
        )


def _nothing() -> Picture:
    return text_band(640, [(_NO_CHANGE, INK)])
