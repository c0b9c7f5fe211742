"""Candidates for errors of labels, from what models predict of images that they have not seen."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kedro.pipeline import Node, Pipeline, node

from recycling.annotations import Annotations, ImageFolder
from recycling.backends.shared.model import Task
from recycling.diagnostics.label_errors import (
    LabelErrors,
    LabelErrorSettings,
    box_label_errors,
    class_label_errors,
    mask_label_errors,
    proposed,
    proposed_corrections,
    rank_label_errors,
    weighed,
)
from recycling.ensembling import average_probabilities, calibrate_boxes, weighted_boxes_fusion
from recycling.evaluation import right_boxes
from recycling.pipelines.out_of_fold import Gathered, gather, probabilities_key
from recycling.pipelines.tasks import PREDICTIONS, with_types
from recycling.plan import Plan, TrainingPlan
from recycling.predictions import Detections, ProbabilityMaps
from recycling.reporting import RgbImage, label_errors_grid
from recycling.splitting import Folds

logger = logging.getLogger(__name__)


def create_pipeline(plan: Plan) -> Pipeline:
    """The candidates of each task that a model is trained for, and the proposal made of all."""
    judges = {task: own for task in plan.tasks if (own := judging(plan, task))}
    if not judges:
        return Pipeline([])
    errors = {str(task): f"{task}.label_errors" for task in judges}
    settings = "params:label_errors"
    return Pipeline(
        [
            *(_find(task, own, settings) for task, own in judges.items()),
            node(rank, {"truth": "train.annotations", **errors}, "label_errors",
                 name="rank_label_errors"),
            node(propose_corrections, ["train.annotations", "label_errors", settings],
                 "label_errors_proposal", name="propose_corrections"),
            node(draw_label_errors,
                 ["train.annotations", "train.images", "label_errors", settings],
                 "label_errors_grid", name="draw_label_errors"),
        ]
    )  # fmt: skip


def judging(plan: Plan, task: Task) -> list[TrainingPlan]:
    """The models that judge labels: of all, those that hold out the most folds.

    Each predicts of each image by the training that has not seen it. One that holds out fewer
    would leave the others with its images.
    """
    by_model: dict[str, list[TrainingPlan]] = {}
    for training in plan.trainings:
        if training.task == task and training.fold is not None and training.is_member:
            by_model.setdefault(training.model, []).append(training)
    most = max(map(len, by_model.values()), default=0)
    return [training for own in by_model.values() if len(own) == most for training in own]


def _find(task: Task, judges: Sequence[TrainingPlan], settings: str) -> Node:
    inputs = {"train": "train.annotations", "folds": "folds", "settings": settings}
    inputs |= {own.name: own.out_of_fold_predictions for own in judges}
    inputs |= {
        probabilities_key(own.name): own.out_of_fold_probabilities
        for own in judges
        if own.has_probabilities
    }
    return node(finder(task), inputs, f"{task}.label_errors", name="find_label_errors",
                namespace=task)  # fmt: skip


def finder(task: Task) -> Callable[..., LabelErrors]:
    """A node function that ranks the labels of a task by what its models say of them."""

    def find_label_errors(
        train: Annotations, folds: Folds, settings: LabelErrorSettings, **members: Any
    ) -> LabelErrors:
        """Rank the labels of images by what models that have not seen them say."""
        gathered = gather(task, train, folds, members, least=0)
        seen, all_images = len(gathered.truth.images), len(train.images)
        more = "" if seen == all_images else "; `folds: [0, 1, ...]` of a model judges all"
        logger.info(
            "label errors, %s: by %s, of %d of %d images%s",
            task, ", ".join(gathered.members), seen, all_images, more,
        )  # fmt: skip
        return _FOUND[task](gathered, settings)

    either = PREDICTIONS[task] | (ProbabilityMaps if task == "seg" else PREDICTIONS[task])
    return with_types(find_label_errors, members=either)


def _of_classes(gathered: Gathered, _: LabelErrorSettings) -> LabelErrors:
    mean = average_probabilities(list(gathered.members.values()), names=list(gathered.members))
    return weighed(gathered.truth, lambda truth: class_label_errors(truth, mean), ("wrong_class",))


def _of_boxes(gathered: Gathered, _: LabelErrorSettings) -> LabelErrors:
    members = list(gathered.members.values())
    # One member is left as it is, though fusing would join its boxes too.
    boxes = members[0] if len(members) == 1 else weighted_boxes_fusion(members)
    calibrator = calibrate_boxes("isotonic", boxes, right_boxes(gathered.truth, boxes))
    calibrated: Detections = calibrator(boxes)
    return weighed(gathered.truth, lambda truth: box_label_errors(truth, calibrated))


def _of_masks(gathered: Gathered, settings: LabelErrorSettings) -> LabelErrors:
    members = list(gathered.members.values())
    soft = [gathered.probabilities.get(model) for model in gathered.members]
    return weighed(
        gathered.truth,
        lambda truth: mask_label_errors(truth, members, soft, min_area=settings.min_area),
    )


_FOUND: Mapping[Task, Callable[[Gathered, LabelErrorSettings], LabelErrors]] = {
    "cls": _of_classes,
    "det": _of_boxes,
    "seg": _of_masks,
}


def rank(truth: Annotations, **of_tasks: LabelErrors) -> LabelErrors:
    """Make one ranking of what the models of all tasks say."""
    return rank_label_errors(truth, of_tasks)


def propose_corrections(
    truth: Annotations, errors: LabelErrors, settings: LabelErrorSettings
) -> str:
    """Write the likeliest errors as entries of the cleaning rule `correct_annotations`."""
    first = proposed(errors, settings.proposed)
    counts = first["kind"].value_counts()
    logger.info(
        "label errors: %d proposed (%s); look at label_errors.png, and move the lines of "
        "label_errors.yml beside it that are right into the cleaning rules",
        len(first),
        ", ".join(f"{count} {str(kind).replace('_', ' ')}" for kind, count in counts.items()),
    )
    return proposed_corrections(truth, errors, settings.proposed)


def draw_label_errors(
    truth: Annotations, folder: ImageFolder, errors: LabelErrors, settings: LabelErrorSettings
) -> RgbImage:
    """Draw the likeliest errors: what is said, and what models say."""
    return label_errors_grid(truth, folder, errors, settings.shown)
