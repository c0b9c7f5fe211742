"""Images show the truth beside the prediction, in each category's own colour."""

import cv2
import numpy as np
import pandas as pd
import pytest

from recycling.annotations import ANNOTATIONS, CATEGORIES, IMAGES, Annotations, ImageFolder
from recycling.predictions import (
    DETECTIONS,
    IGNORE,
    ClassProbabilities,
    Detections,
    LabelMaps,
)
from recycling.reporting import (
    classification_grid,
    detection_grid,
    image_grid,
    overlay_detections,
    overlay_label_maps,
    segmentation_grid,
)
from recycling.reporting.layout import RIGHT, WRONG, category_colours, display_scale, legend
from recycling.reporting.overlays import crop_tile, truth_panel, with_boxes

SIZE = 96
NAMES = ["Metal", "Glass", "Paper"]
GREY = np.full((SIZE, SIZE, 3), 128, dtype=np.uint8)


@pytest.fixture
def truth() -> Annotations:
    """Ten grey images with one object each, of 40 pixels in the middle."""
    images = pd.DataFrame(
        {
            "image_id": range(10, 20),
            "file_name": [f"{number}.png" for number in range(10, 20)],
            "width": SIZE,
            "height": SIZE,
            "group": "all",
            "extra": None,
        }
    )
    annotations = pd.DataFrame(
        {
            "annotation_id": range(10),
            "image_id": range(10, 20),
            "category_id": [7, 8, 9, 7, 8, 9, 7, 8, 9, 7],
            "x_min": 28.0,
            "y_min": 28.0,
            "x_max": 68.0,
            "y_max": 68.0,
            "area": 1600.0,
            "segmentation": None,
            "iscrowd": False,
            "source": "human",
            "score": 1.0,
            "extra": None,
        }
    )
    categories = pd.DataFrame(
        {"category_id": [7, 8, 9], "name": NAMES, "supercategory": "", "extra": None}
    )
    return Annotations(
        IMAGES.conform(images, where="images"),
        ANNOTATIONS.conform(annotations, where="annotations"),
        CATEGORIES.conform(categories, where="categories"),
    )


@pytest.fixture
def folder(truth, tmp_path) -> ImageFolder:
    for name in truth.images["file_name"]:
        cv2.imwrite(str(tmp_path / name), GREY)
    return ImageFolder(tmp_path)


def detections_of(truth: Annotations, score: float) -> Detections:
    columns = [name for name in DETECTIONS.names if name != "score"]
    rows = truth.annotations[columns].assign(score=score)
    return Detections(DETECTIONS.conform(rows, where="detections"))


def panels(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The left and the right half of a pair, less what is between them."""
    half = (drawn.shape[1] - 12) // 2
    return drawn[:, :half], drawn[:, half + 12 :]


def has_colour(drawn: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((np.abs(drawn.astype(int) - colour) <= 2).all(axis=2).any())


def test_boxes_have_the_colour_of_their_category_on_both_sides(truth):
    of_image = truth.of_images([10])
    wrong = detections_of(of_image, 0.9).assign(category_id=9)
    left, right = panels(overlay_detections(GREY, of_image, Detections(wrong), truth.categories))
    metal, _, paper = category_colours(3)
    assert (has_colour(left, metal), has_colour(left, paper)) == (True, False)
    assert (has_colour(right, metal), has_colour(right, paper)) == (False, True)


def test_detections_of_a_low_score_are_left_out(truth):
    of_image = truth.of_images([10])
    faint = detections_of(of_image, 0.2)
    _, hidden = panels(overlay_detections(GREY, of_image, faint, truth.categories))
    _, shown = panels(overlay_detections(GREY, of_image, faint, truth.categories, min_score=0.1))
    metal = category_colours(3)[0]
    assert not has_colour(hidden, metal)
    assert has_colour(shown, metal)


def test_a_crowd_region_is_no_object_of_the_title(truth):
    rows = truth.annotations[:1]
    both = pd.concat([rows, rows.assign(iscrowd=True)])
    alone, with_crowd = (truth_panel(GREY, own, truth.categories) for own in (rows, both))
    height = len(alone) - len(with_boxes(GREY, rows, ["Metal"], truth.categories))
    assert np.array_equal(alone[:height], with_crowd[:height])


def test_a_detection_of_no_known_category_is_refused(truth):
    of_image = truth.of_images([10])
    unknown = Detections(detections_of(of_image, 0.9).assign(category_id=4))
    with pytest.raises(ValueError, match="no category 4 among Metal, Glass, Paper"):
        overlay_detections(GREY, of_image, unknown, truth.categories)


def test_small_images_are_enlarged_and_large_ones_reduced(truth):
    assert display_scale(100, 50) * 100 == 384
    assert display_scale(500, 400) == 1
    assert display_scale(1000, 2000) * 2000 == 640
    of_image = truth.of_images([10])
    pair = overlay_detections(GREY, of_image, detections_of(of_image, 0.9), truth.categories)
    assert panels(pair)[0].shape[1] == 384


def test_the_given_image_is_not_drawn_on(truth):
    of_image = truth.of_images([10])
    large = np.full((400, 400, 3), 128, dtype=np.uint8)
    overlay_detections(large, of_image, detections_of(of_image, 0.9), truth.categories)
    labels = np.ones((400, 400), dtype=np.uint8)
    overlay_label_maps(large, labels, labels, truth.categories)
    assert (large == 128).all()


def test_label_maps_have_a_legend_of_what_is_there(truth):
    true_map = np.zeros((SIZE, SIZE), dtype=np.uint8)
    true_map[20:60, 20:60] = 2
    predicted = np.zeros((SIZE, SIZE), dtype=np.uint8)
    metal, glass, paper = category_colours(3)
    drawn = overlay_label_maps(GREY, true_map, predicted, truth.categories)
    below = drawn[-20:]
    assert has_colour(below, glass)
    assert not has_colour(below, metal)
    assert not has_colour(below, paper)
    left, right = panels(drawn[:-40])
    assert has_colour(left, glass)
    assert not has_colour(right, glass)


def test_ignored_pixels_are_drawn_and_named(truth):
    true_map = np.zeros((SIZE, SIZE), dtype=np.uint8)
    true_map[20:60] = IGNORE
    white = np.full_like(GREY, 255)
    left, right = panels(overlay_label_maps(white, true_map, true_map * 0, truth.categories)[:-40])
    assert has_colour(left, (128, 128, 128))
    assert not has_colour(right[40:], (128, 128, 128))


def test_label_maps_of_another_size_are_fitted_to_the_image(truth):
    small = np.full((SIZE // 2, SIZE // 2), 1, dtype=np.uint8)
    large = np.full((SIZE, SIZE), 1, dtype=np.uint8)
    np.testing.assert_array_equal(
        overlay_label_maps(GREY, large, small, truth.categories),
        overlay_label_maps(GREY, large, large, truth.categories),
    )


def test_right_crops_are_green_and_wrong_ones_red():
    left = crop_tile(GREY, "Metal", [("Metal", 0.9)])
    right = crop_tile(GREY, "Glass", [("Paper", 0.4)])
    assert (has_colour(left, RIGHT), has_colour(left, WRONG)) == (True, False)
    assert (has_colour(right, RIGHT), has_colour(right, WRONG)) == (False, True)


def test_a_sheet_keeps_every_panel_whole():
    sizes = [(30, 40), (50, 20), (10, 60), (25, 25), (5, 5)]
    colours = [(10 * place, 0, 0) for place in range(1, 6)]
    images = [
        np.full((*size, 3), colour, dtype=np.uint8)
        for size, colour in zip(sizes, colours, strict=True)
    ]
    sheet = image_grid(images, 2)
    for (height, width), colour in zip(sizes, colours, strict=True):
        assert int((sheet == colour).all(axis=2).sum()) == height * width


def test_an_empty_sheet_is_refused():
    with pytest.raises(ValueError, match="at least one image"):
        image_grid([], 2)


def test_sheets_spread_their_images_evenly_and_always_the_same(truth, folder):
    found = detections_of(truth, 0.8)
    sheet = detection_grid(truth, folder, found, n=3)
    np.testing.assert_array_equal(sheet, detection_grid(truth, folder, found, n=3))
    for number in (10, 14, 19):
        (folder.path / f"{number}.png").rename(folder.path / f"{number}.gone")
        with pytest.raises(FileNotFoundError, match=rf"{number}.png: no such image"):
            detection_grid(truth, folder, found, n=3)
        (folder.path / f"{number}.gone").rename(folder.path / f"{number}.png")


def test_only_images_with_a_prediction_are_on_the_sheet_of_label_maps(truth, folder):
    blank = np.zeros((SIZE, SIZE), dtype=np.uint8)
    for number in range(10, 18):
        (folder.path / f"{number}.png").unlink()
    sheet = segmentation_grid(truth, folder, LabelMaps([18, 19], lambda _: blank))
    assert has_colour(sheet, category_colours(3)[2])
    with pytest.raises(ValueError, match="nothing to draw"):
        segmentation_grid(truth, folder, LabelMaps([], lambda _: blank))


def test_a_sheet_of_crops_marks_the_wrong_ones(truth, folder):
    values = np.tile(np.array([0.8, 0.1, 0.1], dtype=np.float32), (10, 1))
    table = pd.DataFrame(values, columns=NAMES)
    table.insert(0, "annotation_id", range(10))
    sheet = classification_grid(truth, folder, ClassProbabilities(table), n=5)
    assert has_colour(sheet, RIGHT)
    assert has_colour(sheet, WRONG)


def test_a_file_that_is_no_image_is_named(truth, folder):
    (folder.path / "10.png").write_text("no image")
    with pytest.raises(ValueError, match=r"10\.png: cannot be read as an image"):
        detection_grid(truth, folder, detections_of(truth, 0.8), n=1)


def test_categories_beyond_ten_have_colours_of_their_own():
    colours = category_colours(60)
    assert len(set(colours)) == 60
    assert colours[:3] == category_colours(3)


def test_a_long_legend_goes_on_in_the_next_row():
    entries = [(f"category number {place}", (0, 0, place)) for place in range(1, 7)]
    one_row, rows = legend(2000, entries), legend(300, entries)
    assert rows.shape[0] > one_row.shape[0]
    for _, colour in entries:
        assert has_colour(rows, colour)
