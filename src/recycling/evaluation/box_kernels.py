"""Matching of boxes and average precision as COCO defines them, compiled by numba.

It calls no compiled function of another file: numba's cache notices changes to its own file only.

Source: ``COCOeval.evaluateImg`` and ``COCOeval.accumulate`` of pycocotools 2.0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recycling.compiled import njit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WRONG, RIGHT, IGNORED = 0, 1, 2  # as in `box_matching`; a kernel names no other file


@njit(cache=True, nogil=True, error_model="numpy")
def match(
    first: Ints,
    last: Ints,
    object_first: Ints,
    object_last: Ints,
    boxes: Floats,
    object_boxes: Floats,
    object_area: Floats,
    is_crowd: NDArray[np.bool_],
    iou_thresholds: Floats,
    area_ranges: Floats,
    max_detections: int,
    outcome: NDArray[np.uint8],
    found: NDArray[np.int32],
) -> None:
    """Match the detections of each image and category with its objects.

    Args:
        first: (groups,), where the detections of each image and category begin; the best first.
        last: (groups,), where they end.
        object_first: (groups,), where its objects begin.
        object_last: (groups,), where they end.
        boxes: (4, detections) x, y, width, height, pixels.
        object_boxes: (4, objects), the same of the objects.
        object_area: (objects,), square pixels.
        is_crowd: (objects,), whether it is a region of many, which is neither found nor missed.
        iou_thresholds: (thresholds,), the overlaps from which on a detection finds an object.
        area_ranges: (ranges, 2), least and greatest area of objects that count, square pixels.
        max_detections: How many detections of a group count.
        outcome: (thresholds, ranges, detections), filled with `WRONG`, `RIGHT` or `IGNORED`.
        found: (thresholds, detections), filled with the object that a detection found in the first
            range, or -1.
    """
    most_objects = 1
    for group in range(len(first)):
        most_objects = max(most_objects, object_last[group] - object_first[group])
    iou = np.empty((max_detections, most_objects))
    order = np.empty(most_objects, np.int64)
    is_ignored = np.empty(most_objects, np.bool_)
    is_taken = np.empty(most_objects, np.bool_)

    for group in range(len(first)):
        n_objects = object_last[group] - object_first[group]
        n_detections = min(last[group] - first[group], max_detections)

        for row in range(n_detections):
            detection = first[group] + row
            x, y = boxes[0, detection], boxes[1, detection]
            width, height = boxes[2, detection], boxes[3, detection]
            area = width * height
            for column in range(n_objects):
                item = object_first[group] + column
                x_of, y_of = object_boxes[0, item], object_boxes[1, item]
                width_of, height_of = object_boxes[2, item], object_boxes[3, item]
                shared_width = min(x + width, x_of + width_of) - max(x, x_of)
                shared_height = min(y + height, y_of + height_of) - max(y, y_of)
                iou[row, column] = 0.0
                if shared_width > 0 and shared_height > 0:
                    shared = shared_width * shared_height
                    # What lies in a crowd region does so as a whole.
                    union = area if is_crowd[item] else area + width_of * height_of - shared
                    iou[row, column] = shared / union

        for area_range in range(len(area_ranges)):
            least, greatest = area_ranges[area_range, 0], area_ranges[area_range, 1]
            # Objects that count come first: a detection finds another only where it finds none of
            # these.
            n_counted = 0
            for column in range(n_objects):
                item = object_first[group] + column
                area = object_area[item]
                is_ignored[column] = is_crowd[item] or area < least or area > greatest
                if not is_ignored[column]:
                    order[n_counted] = column
                    n_counted += 1
            n_others = n_counted
            for column in range(n_objects):
                if is_ignored[column]:
                    order[n_others] = column
                    n_others += 1

            for threshold in range(len(iou_thresholds)):
                is_taken[:n_objects] = False
                for row in range(n_detections):
                    detection = first[group] + row
                    best, best_iou = -1, min(iou_thresholds[threshold], 1 - 1e-10)
                    for place in range(n_objects):
                        if place == n_counted and best >= 0:
                            break
                        column = order[place]
                        item = object_first[group] + column
                        if is_taken[column] and not is_crowd[item]:
                            continue
                        # Of equals the last, as the reference has it.
                        if iou[row, column] >= best_iou:
                            best, best_iou = column, iou[row, column]
                    if best >= 0:
                        is_taken[best] = True
                        result = IGNORED if is_ignored[best] else RIGHT
                        if area_range == 0 and not is_ignored[best]:
                            found[threshold, detection] = object_first[group] + best
                    else:
                        area = boxes[2, detection] * boxes[3, detection]
                        result = IGNORED if area < least or area > greatest else WRONG
                    outcome[threshold, area_range, detection] = result


@njit(cache=True, nogil=True, error_model="numpy")
def average_precisions(
    order: Ints,
    offsets: Ints,
    outcome: NDArray[np.uint8],
    n_objects: Ints,
    recalls: Floats,
    result: Floats,
) -> None:
    """The area under the curve of precision over recall, at each of some recalls.

    Args:
        order: (detections,), category by category, the best of each first.
        offsets: (categories + 1,), where each category begins in `order`.
        outcome: (thresholds, ranges, detections), from `match`.
        n_objects: (ranges, categories), how many objects there are to find.
        recalls: (recalls,), ascending, at which the precision is taken.
        result: (thresholds, ranges, categories), filled with the mean of these precisions; NaN
            where there is nothing to find.
    """
    precision = np.empty(len(order))
    for threshold in range(outcome.shape[0]):
        for area_range in range(outcome.shape[1]):
            for category in range(len(offsets) - 1):
                to_find = n_objects[area_range, category]
                if to_find == 0:
                    result[threshold, area_range, category] = np.nan
                    continue
                n_right, n_wrong = 0, 0
                for place in range(offsets[category], offsets[category + 1]):
                    what = outcome[threshold, area_range, order[place]]
                    if what == RIGHT:
                        n_right += 1
                        precision[n_right - 1] = n_right / (n_right + n_wrong)
                    elif what == WRONG:
                        n_wrong += 1
                # The precision at a recall is the best that this or a higher recall has.
                for hit in range(n_right - 2, -1, -1):
                    precision[hit] = max(precision[hit], precision[hit + 1])
                total, hit = 0.0, 0
                for recall in recalls:
                    while hit < n_right and (hit + 1) / to_find < recall:
                        hit += 1
                    if hit == n_right:
                        break
                    total += precision[hit]
                result[threshold, area_range, category] = total / len(recalls)


@njit(cache=True, nogil=True, error_model="numpy")
def mean_precision_of_draws(
    draws: Ints,
    image: Ints,
    is_hit: NDArray[np.bool_],
    offsets: Ints,
    objects: Ints,
    recalls: Floats,
    result: Floats,
) -> None:
    """The mean average precision of images that are drawn with replacement.

    An image that was drawn twice adds each of its detections twice: the curve through these points
    only ever bends at the last copy of a hit, so weights do what copies would.

    Args:
        draws: (draws, images), how often each image was drawn.
        image: (detections,), category by category, the best of each first.
        is_hit: (detections,), whether it found an object.
        offsets: (categories + 1,), where each category begins.
        objects: (draws, categories), how many objects there are to find.
        recalls: (recalls,), ascending, at which the precision is taken.
        result: (draws,), filled; NaN where there is nothing to find.
    """
    precision, recall_of = np.empty(len(image)), np.empty(len(image))
    for draw in range(len(draws)):
        times = draws[draw]
        mean, n_categories = 0.0, 0
        for category in range(len(offsets) - 1):
            to_find = objects[draw, category]
            if to_find == 0:
                continue
            n_right, n_all, n_points = 0, 0, 0
            for detection in range(offsets[category], offsets[category + 1]):
                copies = times[image[detection]]
                n_all += copies
                if is_hit[detection] and copies > 0:
                    n_right += copies
                    precision[n_points] = n_right / n_all
                    recall_of[n_points] = n_right / to_find
                    n_points += 1
            for point in range(n_points - 2, -1, -1):
                precision[point] = max(precision[point], precision[point + 1])
            total, point = 0.0, 0
            for recall in recalls:
                while point < n_points and recall_of[point] < recall:
                    point += 1
                if point == n_points:
                    break
                total += precision[point]
            mean += total / len(recalls)
            n_categories += 1
        result[draw] = mean / n_categories if n_categories else np.nan
