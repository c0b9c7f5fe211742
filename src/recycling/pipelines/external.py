"""Predictions of others, dropped in as CSV files, become members."""

from __future__ import annotations

from collections.abc import Callable

from kedro.pipeline import Node, node

from recycling.annotations import Annotations
from recycling.backends.shared.model import Task
from recycling.pipelines.training import SCORE, SCORE_TEST
from recycling.plan import ExternalMember
from recycling.predictions import ClassProbabilities, Detections, DroppedMembers, LabelMaps


def external_nodes(member: ExternalMember) -> list[Node]:
    """Read and score a file that was dropped in."""
    task, space, read = member.task, member.namespace, READ[member.task](member.model)
    nodes = [
        node(read, [f"{task}.dropped.test", "test.annotations"], member.test_predictions,
             name="read_test", namespace=space),
        node(SCORE_TEST[task], ["test.annotations", member.test_predictions], member.test_metrics,
             name="score_test", namespace=space),
    ]  # fmt: skip
    if member.has_out_of_fold:
        nodes += [
            node(read, [f"{task}.dropped.out_of_fold", "train.annotations"],
                 member.out_of_fold_predictions, name="read_out_of_fold", namespace=space),
            node(SCORE[task], ["train.annotations", member.out_of_fold_predictions],
                 member.out_of_fold_metrics, name="score_out_of_fold", namespace=space),
        ]  # fmt: skip
    return nodes


def box_reader(name: str) -> Callable[[DroppedMembers, Annotations], Detections]:
    """A node function that reads one member's boxes."""

    def read_boxes(dropped: DroppedMembers, known: Annotations) -> Detections:
        """Read boxes that others predicted."""
        return dropped.detections(name, known.images, known.categories)

    return read_boxes


def mask_reader(name: str) -> Callable[[DroppedMembers, Annotations], LabelMaps]:
    """A node function that reads one member's label maps."""

    def read_masks(dropped: DroppedMembers, known: Annotations) -> LabelMaps:
        """Read label maps that others predicted."""
        return dropped.label_maps(name, known.images, known.categories)

    return read_masks


def class_reader(name: str) -> Callable[[DroppedMembers, Annotations], ClassProbabilities]:
    """A node function that reads one member's class probabilities."""

    def read_classes(dropped: DroppedMembers, known: Annotations) -> ClassProbabilities:
        """Read class probabilities that others predicted."""
        return dropped.class_probabilities(name, known.annotations, known.categories)

    return read_classes


READ: dict[Task, Callable[[str], Callable[..., object]]] = {
    "cls": class_reader,
    "det": box_reader,
    "seg": mask_reader,
}
