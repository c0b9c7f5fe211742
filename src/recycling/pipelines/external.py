"""Predictions of others, CSV files, become members."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from types import GenericAlias

import pandas as pd
from kedro.pipeline import Node, node

from recycling.annotations import Annotations
from recycling.annotations.dropped_images import dropped_images
from recycling.backends.shared.model import Task
from recycling.evaluation import Metrics
from recycling.pipelines.scoring import SCORE, SCORE_TEST, metric_parameter
from recycling.pipelines.tasks import FORMAT, METRIC, PREDICTIONS, predicted_rows, with_types
from recycling.plan import ExternalMember
from recycling.predictions import ClassProbabilities, ExternalMembers, Predictions
from recycling.registry import PickedSettings
from recycling.stored_tables import by_parts

logger = logging.getLogger(__name__)


def external_nodes(member: ExternalMember) -> list[Node]:
    """Read and score an external file, on the images that it predicts."""
    task, space, metric = member.task, member.namespace, metric_parameter(member.task)
    submission, test_part = f"params:submission.{task}", f"{member.namespace}.test_part"
    nodes = [
        node(reader(task, member.model),
             [f"{task}.external.test", member.test, submission],
             [member.test_predictions, test_part], name="read_test_predictions", namespace=space),
        node(part_scorer(task), [test_part, member.test_predictions, metric],
             member.test_metrics, name="score_test_predictions", namespace=space),
    ]  # fmt: skip
    if member.has_out_of_fold:
        nodes += [
            node(out_of_fold_reader(task, member.model),
                 [f"{task}.external.out_of_fold", "train.annotations", submission],
                 [member.out_of_fold_predictions, member.held_out_part],
                 name="read_out_of_fold_predictions", namespace=space),
            node(SCORE[task], [member.held_out_part, member.out_of_fold_predictions, metric],
                 member.out_of_fold_metrics, name="score_out_of_fold", namespace=space),
        ]  # fmt: skip
    return nodes


def reader(task: Task, name: str) -> Callable[..., tuple[Predictions, Annotations]]:
    """A node function that reads one member's predictions of the test images."""

    def read_predictions(
        external: ExternalMembers, known: Annotations, settings: PickedSettings
    ) -> tuple[Predictions, Annotations]:
        """Read what others predicted, and of which images; the rest is left to other members."""
        rows = predicted_rows(task, known)
        dropped = dropped_images(known.extra)
        predictions = external.read(name, settings, rows, known.categories, dropped)
        return predictions, _part(task, known, external.covered(name, settings, rows))

    returns = GenericAlias(tuple, (PREDICTIONS[task], Annotations))
    return with_types(read_predictions, settings=FORMAT[task], returns=returns)


def out_of_fold_reader(task: Task, name: str) -> Callable[..., tuple[Predictions, Annotations]]:
    """A node function that reads one member's predictions of labelled images.

    Its file may hold some folds only: it is known by these.
    """

    def read_predictions(
        external: ExternalMembers, known: Annotations, settings: PickedSettings
    ) -> tuple[Predictions, Annotations]:
        """Read what others predicted out of fold, and of which images."""
        rows = predicted_rows(task, known)
        covered = external.covered(name, settings, rows)
        if len(covered) < len(rows):
            logger.warning(
                "%s: predicts %d of %d %s; it is scored on these. An ensemble with it has a report "
                "only if all its models have some of them in common: add rows of the folds that "
                "the others hold out, or leave it out",
                external[name],
                len(covered),
                len(rows),
                "crops" if task == "cls" else "images",
            )
        predictions = external.read(name, settings, covered, known.categories)
        return predictions, _part(task, known, covered)

    returns = GenericAlias(tuple, (PREDICTIONS[task], Annotations))
    return with_types(read_predictions, settings=FORMAT[task], returns=returns)


def part_scorer(task: Task) -> Callable[..., Metrics]:
    """A node function that scores predictions on those test images, or crops, that a file has."""

    def score_test(truth: Annotations, predictions: Predictions, metric: PickedSettings) -> Metrics:
        """Score predictions on the test images, which may be without annotations."""
        if task == "cls" and isinstance(predictions, pd.DataFrame):
            # A crop that the file lacks has the same probability for every class.
            known = predictions["annotation_id"].isin(truth.annotations["annotation_id"])
            predictions = ClassProbabilities(predictions[known])
        return SCORE_TEST[task](truth, predictions, metric)

    scorer = with_types(score_test, predictions=PREDICTIONS[task], metric=METRIC[task])
    return by_parts(scorer) if task == "det" else scorer


def _part(task: Task, known: Annotations, covered: pd.DataFrame) -> Annotations:
    """The annotations of the images, or for classes those crops, that are covered."""
    part = known.of_images(covered["image_id"].drop_duplicates())
    if task != "cls":
        return part
    crops = part.annotations["annotation_id"].isin(covered["annotation_id"])
    return replace(part, annotations=part.annotations[crops].reset_index(drop=True))
