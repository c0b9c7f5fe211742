import json

import numpy as np
import pandas as pd
import pytest

from recycling.annotations import ANNOTATIONS, CATEGORIES, IMAGES, Annotations
from recycling.annotations.masks import label_maps as painted
from recycling.evaluation import EvaluationError, miou
from recycling.predictions import LabelMaps

NAMES = ["Paper", "Metal", "Glass", "Battery"]


def rectangle(x_min, y_min, x_max, y_max):
    return json.dumps([[x_min, y_min, x_max, y_min, x_max, y_max, x_min, y_max]])


@pytest.fixture
def truth():
    """Three pictures of 40 x 30; category 3 (Battery) is on none, and one region is a crowd."""
    rows = [
        (1, 10, 0, (2, 3, 20, 20), False),
        (2, 10, 1, (10, 10, 30, 25), False),
        (3, 11, 2, (0, 0, 15, 30), False),
        (4, 11, 0, (20, 5, 38, 28), True),
        (5, 12, 1, (5, 5, 9, 9), False),
    ]
    annotations = pd.DataFrame(
        [
            {
                "annotation_id": number,
                "image_id": image_id,
                "category_id": category_id,
                **dict(zip(("x_min", "y_min", "x_max", "y_max"), box, strict=True)),
                "area": 1.0,
                "segmentation": rectangle(*box),
                "iscrowd": crowd,
            }
            for number, image_id, category_id, box, crowd in rows
        ]
    ).assign(source="human", score=1.0, extra=None)
    images = pd.DataFrame({"image_id": [12, 10, 11], "width": 40, "height": 30, "extra": None})
    images = images.assign(file_name="a.jpg", group=["a", "b", "c"])
    categories = pd.DataFrame({"category_id": range(4), "name": NAMES, "supercategory": NAMES})
    return Annotations(
        IMAGES.conform(images, where="test"),
        ANNOTATIONS.conform(annotations, where="test"),
        CATEGORIES.conform(categories.assign(extra=None), where="test"),
    )


def in_memory(maps):
    return LabelMaps(list(maps), maps.__getitem__)


def noisy(truth, values=(0, 1, 2, 3)):
    rng = np.random.default_rng(0)
    maps = {}
    for image_id, label_map in painted(truth).items():
        guess = np.where(label_map == 255, 1, label_map)
        noise = rng.choice(np.array(values, dtype=np.uint8), guess.shape)
        maps[image_id] = np.where(rng.random(guess.shape) < 0.3, noise, guess).astype(np.uint8)
    return maps


def by_loops(truth, maps, n_classes):
    """IoU and Dice of each class that is somewhere, pixel by pixel."""
    hit, union, in_truth, in_guess = (np.zeros(n_classes) for _ in range(4))
    for image_id, expected in painted(truth).items():
        for true, guess in zip(expected.ravel().tolist(), maps[image_id].ravel(), strict=True):
            if true == 255:
                continue
            in_truth[true] += 1
            in_guess[guess] += 1
            if true == guess:
                hit[true] += 1
                union[true] += 1
            else:
                union[true] += 1
                union[guess] += 1
    here = np.flatnonzero(union)
    iou = {int(i): hit[i] / union[i] for i in here}
    dice = np.mean([2 * hit[i] / (in_truth[i] + in_guess[i]) for i in here])
    return iou, dice, hit.sum() / in_truth.sum()


def test_scores_are_those_of_counting_pixel_by_pixel(truth):
    maps = noisy(truth)
    iou, dice, accuracy = by_loops(truth, maps, 5)
    metrics = miou(truth, in_memory(maps))
    assert metrics.metric == "mIoU"
    assert metrics.score == pytest.approx(np.mean(list(iou.values())))
    names = ["background", *NAMES]
    assert metrics.per_class == pytest.approx({names[i]: value for i, value in iou.items()})
    assert "Battery" not in metrics.per_class
    assert metrics.details == pytest.approx(
        {"mean_dice": dice, "pixel_accuracy": accuracy, "absent_classes": 1}
    )


def test_a_class_that_is_predicted_but_never_true_counts_as_zero(truth):
    metrics = miou(truth, in_memory(noisy(truth, values=(0, 4))))
    assert metrics.per_class["Battery"] == 0
    assert metrics.details["absent_classes"] == 0


def test_what_lies_under_a_crowd_region_does_not_matter(truth):
    maps = {i: np.where(m == 255, 0, m).astype(np.uint8) for i, m in painted(truth).items()}
    assert miou(truth, in_memory(maps)).score == 1
    crowd = painted(truth)[11] == 255
    assert crowd.any()
    maps[11][crowd] = 4
    assert miou(truth, in_memory(maps)).score == 1


def test_a_smaller_prediction_is_resized(truth):
    maps = noisy(truth)
    small = {image_id: label_map[::2, ::2].copy() for image_id, label_map in maps.items()}
    large = {i: np.repeat(np.repeat(m, 2, axis=0), 2, axis=1) for i, m in small.items()}
    assert miou(truth, in_memory(small)) == miou(truth, in_memory(large))


def test_an_image_that_a_member_lacks_counts_for_nothing(truth):
    maps = noisy(truth)
    others = [image_id for image_id in maps if image_id != 10]
    expected = miou(truth.of_images(others), in_memory({i: maps[i] for i in others}))
    maps[10] = np.full_like(maps[10], 255)
    assert miou(truth, in_memory(maps)) == expected


def test_an_image_without_a_map_is_named(truth):
    maps = noisy(truth)
    del maps[10]
    with pytest.raises(EvaluationError, match="none for image 10; 1 of 3 images have none"):
        miou(truth, in_memory(maps))


def test_a_value_that_is_no_class_is_named(truth):
    maps = noisy(truth)
    maps[11][0, 0] = 9
    with pytest.raises(EvaluationError, match="image 11 has the value 9, but there are 4"):
        miou(truth, in_memory(maps))


def test_a_truth_without_images_is_refused(truth):
    with pytest.raises(EvaluationError, match="no pixel to compare"):
        miou(truth.of_images([]), in_memory({}))
