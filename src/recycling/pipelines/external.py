"""Predictions of others, CSV files, become members."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from kedro.pipeline import Node, node

from recycling.annotations import Annotations
from recycling.backends.shared.model import Task
from recycling.pipelines.scoring import SCORE, SCORE_TEST, metric_parameter
from recycling.plan import ExternalMember
from recycling.predictions import (
    BoxFormat,
    ClassFormat,
    ClassProbabilities,
    Detections,
    ExternalMembers,
    LabelMaps,
    MaskFormat,
)


def external_nodes(member: ExternalMember) -> list[Node]:
    """Read and score an external file."""
    task, space, read = member.task, member.namespace, READ[member.task](member.model)
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


def box_reader(name: str) -> Callable[[ExternalMembers, Annotations, BoxFormat], Detections]:
    """A node function that reads one member's boxes."""

    def read_boxes(
        external: ExternalMembers, known: Annotations, settings: BoxFormat
    ) -> Detections:
        """Read boxes that others predicted."""
        read = external.read(name, settings, known.images, known.categories)
        return cast(Detections, read)

    return read_boxes


def mask_reader(name: str) -> Callable[[ExternalMembers, Annotations, MaskFormat], LabelMaps]:
    """A node function that reads one member's label maps."""

    def read_masks(
        external: ExternalMembers, known: Annotations, settings: MaskFormat
    ) -> LabelMaps:
        """Read label maps that others predicted."""
        read = external.read(name, settings, known.images, known.categories)
        return cast(LabelMaps, read)

    return read_masks


def class_reader(
    name: str,
) -> Callable[[ExternalMembers, Annotations, ClassFormat], ClassProbabilities]:
    """A node function that reads one member's class probabilities."""

    def read_classes(
        external: ExternalMembers, known: Annotations, settings: ClassFormat
    ) -> ClassProbabilities:
        """Read class probabilities that others predicted."""
        read = external.read(name, settings, known.annotations, known.categories)
        return cast(ClassProbabilities, read)

    return read_classes


READ: dict[Task, Callable[[str], Callable[..., object]]] = {
    "cls": class_reader,
    "det": box_reader,
    "seg": mask_reader,
}
