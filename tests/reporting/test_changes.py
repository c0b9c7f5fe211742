"""What an ensemble changed is drawn beside the truth and its best member."""

import numpy as np
import pandas as pd
import pytest

from recycling.diagnostics.changes import (
    CHANGES,
    detection_changes,
    label_map_changes,
    probability_changes,
)
from recycling.predictions import Detections, LabelMaps
from recycling.reporting.changes import changed_boxes, changed_crops, changed_masks
from recycling.reporting.layout import RIGHT, WRONG, category_colours
from reporting.test_images import NAMES, SIZE, detections_of, folder, has_colour, truth

__all__ = ["folder", "truth"]  # fixtures

METAL, GLASS, PAPER = category_colours(3)


def thirds(image):
    """The three panels of a sheet with one row, less what is around them."""
    side = (image.shape[1] - 2 * 12 - 2 * 12) // 3
    return [image[:, 12 + i * (side + 12) : 12 + i * (side + 12) + side] for i in range(3)]


def test_boxes_are_shown_as_truth_member_and_ensemble(truth, folder):
    best = Detections(detections_of(truth, 0.9))
    ensemble = best.copy()
    ensemble.loc[ensemble["image_id"] == 13, "category_id"] = 9
    best.loc[best["image_id"] == 13, "category_id"] = 8
    changes = detection_changes(best, Detections(ensemble))
    image = changed_boxes(truth, folder, best, Detections(ensemble), changes)
    for panel, colour in zip(thirds(image), (METAL, GLASS, PAPER), strict=True):
        assert [has_colour(panel, other) for other in (METAL, GLASS, PAPER)] == [
            other == colour for other in (METAL, GLASS, PAPER)
        ]


def test_each_of_the_two_has_its_own_threshold(truth, folder):
    best, ensemble = detections_of(truth, 0.9), detections_of(truth, 0.2)
    changes = CHANGES.conform(pd.DataFrame({"item_id": [10], "change": [1.0]}), where="test")
    hidden = changed_boxes(truth, folder, best, ensemble, changes)
    shown = changed_boxes(truth, folder, best, ensemble, changes, ensemble_threshold=0.1)
    assert [has_colour(panel, METAL) for panel in thirds(hidden)] == [True, True, False]
    assert [has_colour(panel, METAL) for panel in thirds(shown)] == [True, True, True]


def test_at_most_n_images_are_drawn(truth, folder):
    found = detections_of(truth, 0.9)
    nothing = Detections(found.iloc[:0])
    changes = detection_changes(found, nothing)
    heights = [
        changed_boxes(truth, folder, found, nothing, changes, n).shape[0] for n in (1, 2, 30)
    ]
    step = heights[1] - heights[0]
    assert heights == [heights[0], heights[0] + step, heights[0] + 9 * step]


def test_masks_are_shown_as_truth_member_and_ensemble(truth, folder):
    def full(value):
        return LabelMaps(
            truth.images["image_id"].tolist(),
            lambda image_id: np.full((SIZE, SIZE), value if image_id == 16 else 0, np.uint8),
        )

    best, ensemble = full(2), full(3)
    changes = label_map_changes(best, ensemble)
    image = changed_masks(truth, folder, best, ensemble, changes)
    # Legend and outlines keep the plain colours; the fields are mixed with the grey below.
    middle = [panel[panel.shape[0] // 2 - 100, 20].astype(int) for panel in thirds(image)]
    assert np.ptp(middle[0]) <= 4
    for colour, pixel in zip((GLASS, PAPER), middle[1:], strict=True):
        mixed = 0.6 * np.array(colour) + 0.4 * 128
        np.testing.assert_allclose(pixel, mixed, atol=6)


def test_crops_are_framed_by_whether_the_ensemble_is_right(truth, folder):
    right = pd.DataFrame(np.eye(3, dtype=np.float32)[np.arange(10) % 3], columns=NAMES)
    right["annotation_id"] = range(10)
    wrong = right.assign(**{NAMES[0]: right[NAMES[1]], NAMES[1]: right[NAMES[0]]})
    better = changed_crops(truth, folder, wrong, right, probability_changes(wrong, right))
    worse = changed_crops(truth, folder, right, wrong, probability_changes(right, wrong))
    for image, frame in ((better, RIGHT), (worse, WRONG)):
        # Left edge of the first crop, below the heading: inside the frame of four pixels.
        assert tuple(image[120, 14]) == frame
        assert has_colour(image, RIGHT)
        assert has_colour(image, WRONG)


def test_an_ensemble_that_changed_nothing_is_one_sentence(truth, folder):
    found = detections_of(truth, 0.9)
    image = changed_boxes(truth, folder, found, found, detection_changes(found, found))
    assert image.shape[0] < 30
    assert image.min() < 100


def test_a_change_on_an_unknown_image_is_one_line(truth, folder):
    found = detections_of(truth, 0.9)
    changes = CHANGES.conform(pd.DataFrame({"item_id": [99], "change": [1.0]}), where="test")
    with pytest.raises(ValueError, match="changes: image 99 is not in the truth"):
        changed_boxes(truth, folder, found, found, changes)
