"""Predictions of others, CSV files, become members."""

from __future__ import annotations

from collections.abc import Callable

from kedro.pipeline import Node, node

from recycling.annotations import Annotations
from recycling.backends.shared.model import Task
from recycling.pipelines.scoring import SCORE, SCORE_TEST, metric_parameter
from recycling.pipelines.tasks import FORMAT, PREDICTIONS, predicted_rows, with_types
from recycling.plan import ExternalMember
from recycling.predictions import ExternalMembers, Predictions
from recycling.registry import PickedSettings


def external_nodes(member: ExternalMember) -> list[Node]:
    """Read and score an external file."""
    task, space, read = member.task, member.namespace, reader(member.task, member.model)
    submission, metric = f"params:submission.{task}", metric_parameter(task)
    nodes = [
        node(read, [f"{task}.external.test", "test.annotations", submission],
             member.test_predictions, name="read_test", namespace=space),
        node(SCORE_TEST[task], ["test.annotations", member.test_predictions, metric],
             member.test_metrics, name="score_test", namespace=space),
    ]  # fmt: skip
    if member.has_out_of_fold:
        nodes += [
            node(read, [f"{task}.external.out_of_fold", "train.annotations", submission],
                 member.out_of_fold_predictions, name="read_out_of_fold", namespace=space),
            node(SCORE[task], ["train.annotations", member.out_of_fold_predictions, metric],
                 member.out_of_fold_metrics, name="score_out_of_fold", namespace=space),
        ]  # fmt: skip
    return nodes


def reader(task: Task, name: str) -> Callable[..., Predictions]:
    """A node function that reads one member's predictions."""

    def read_predictions(
        external: ExternalMembers, known: Annotations, settings: PickedSettings
    ) -> Predictions:
        """Read what others predicted."""
        return external.read(name, settings, predicted_rows(task, known), known.categories)

    return with_types(read_predictions, settings=FORMAT[task], returns=PREDICTIONS[task])
