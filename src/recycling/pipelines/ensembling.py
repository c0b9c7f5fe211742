"""Predictions of the members become the ensembles', with scores, pictures and a submission."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import pandas as pd
from kedro.pipeline import Node, Pipeline, node
from matplotlib.figure import Figure
from pydantic import BaseModel, ConfigDict, Field

from recycling.annotations import Annotations, ImageFolder
from recycling.backends.model import Task
from recycling.ensembling import (
    Agreement,
    Ranking,
    average_probabilities,
    detection_agreement,
    fuse_label_maps,
    label_map_agreement,
    probability_agreement,
    rank_members,
    weighted_boxes_fusion,
)
from recycling.evaluation import Metrics
from recycling.pipelines.plan import Plan
from recycling.pipelines.training import SCORE
from recycling.predictions import (
    ClassProbabilities,
    Detections,
    LabelMaps,
    class_probabilities_to_submission,
    detections_to_submission,
    label_maps_to_submission,
)
from recycling.reporting import Picture, Summary, TaskScores

EnsembleName: TypeAlias = Literal["teacher", "final"]


class BoxFusion(BaseModel):
    """How the boxes of the members are fused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    iou_threshold: float = Field(0.55, gt=0, le=1)
    score_threshold: float = Field(0.0, ge=0, le=1)
    confidence: Literal["avg", "max", "box_and_model_avg", "absent_model_aware_avg"] = "avg"
    weights: Literal["equal", "score"] = "equal"


class LabelFusion(BaseModel):
    """How the class probabilities of the members are fused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: Literal["equal", "score"] = "equal"


def create_pipeline(plan: Plan) -> Pipeline:
    """Every ensemble of every task, and the summary of all scores."""
    nodes = [
        n
        for task in plan.tasks
        for name in ENSEMBLES
        if plan.ensemble(task, name)
        for n in _ensemble(plan, task, name)
    ]
    nodes += [n for task in plan.tasks for n in _outcome(plan, task)]
    scores = {str(task): f"{task}.scores" for task in plan.tasks}
    nodes += [
        node(summarise, scores, "summary", name="summarise"),
        node(draw_scores, "summary", "scores_figure", name="draw_scores"),
    ]
    return Pipeline(nodes)


ENSEMBLES: tuple[EnsembleName, ...] = ("teacher", "final")


def _ensemble(plan: Plan, task: Task, name: EnsembleName) -> list[Node]:
    space, members = f"{task}.{name}", plan.ensemble(task, name)
    predictions = {member.name: f"{member.namespace}.test_predictions" for member in members}
    return [
        node(rank, {m.name: f"{m.namespace}.out_of_fold_metrics" for m in members},
             f"{space}.ranking", name="rank_members", namespace=space),
        node(FUSE[task], fusion_inputs(task, space, predictions), f"{space}.test_predictions",
             name="fuse_test", namespace=space),
        node(SCORE[task], ["test.annotations", f"{space}.test_predictions"],
             f"{space}.test_metrics", name="score_test", namespace=space),
    ]  # fmt: skip


def _outcome(plan: Plan, task: Task) -> list[Node]:
    space = f"{task}.final"
    fused = f"{space}.test_predictions"
    predictions = {m.name: f"{m.namespace}.test_predictions" for m in plan.ensemble(task, "final")}
    metrics = {m.name: f"{m.namespace}.test_metrics" for m in plan.members(task)} | {
        name: f"{task}.{name}.test_metrics" for name in ENSEMBLES if plan.ensemble(task, name)
    }
    return [
        node(collect_scores, metrics, f"{task}.scores", name="collect_scores", namespace=task),
        node(SUBMIT[task], [fused, "test.annotations"][: 1 if task == "cls" else 2],
             f"{space}.submission", name="write_submission", namespace=space),
        node(DRAW[task], [fused, "test.annotations", "test.images"], f"{space}.overlays",
             name="draw_predictions", namespace=space),
        node(COMPARE[task], predictions, f"{space}.agreement", name="compare_members",
             namespace=space),
        node(draw_agreement, f"{space}.agreement", f"{space}.agreement_figure",
             name="draw_agreement", namespace=space),
    ]  # fmt: skip


def fusion_inputs(task: Task, ensemble: str, predictions: Mapping[str, str]) -> dict[str, str]:
    """The inputs of a fusing node: settings where the task has some, the ranking, the members."""
    settings = {} if task == "seg" else {"settings": f"params:ensembling.{task}"}
    return {**settings, "ranking": f"{ensemble}.ranking", **predictions}


def rank(**metrics: Metrics) -> Ranking:
    """Rank the members by their score on the fold that they have not seen."""
    return rank_members({member: m.score for member, m in metrics.items()})


def fuse_boxes(settings: BoxFusion, ranking: Ranking, **members: Detections) -> Detections:
    """Fuse the members' boxes by weighted boxes fusion."""
    names = ranking["member"].tolist()
    return weighted_boxes_fusion(
        [members[name] for name in names],
        weights=_weights(settings.weights, ranking),
        iou_threshold=settings.iou_threshold,
        score_threshold=settings.score_threshold,
        confidence=settings.confidence,
        names=names,
    )


def fuse_masks(ranking: Ranking, **members: LabelMaps) -> LabelMaps:
    """Let the members vote on every pixel; ties go to the better-ranked one."""
    names = ranking["member"].tolist()
    maps = [members[name] for name in names]
    return fuse_label_maps(maps, ranks=ranking["rank"].tolist(), names=names)


def fuse_classes(
    settings: LabelFusion, ranking: Ranking, **members: ClassProbabilities
) -> ClassProbabilities:
    """Average the members' class probabilities."""
    names = ranking["member"].tolist()
    weights = _weights(settings.weights, ranking)
    return average_probabilities([members[name] for name in names], weights=weights, names=names)


def _weights(kind: Literal["equal", "score"], ranking: Ranking) -> list[float] | None:
    """The members' weights; equal where all of them scored 0, as after too short a training."""
    scores = ranking["score"].tolist()
    return scores if kind == "score" and any(scores) else None


def submit_boxes(detections: Detections, test: Annotations) -> pd.DataFrame:
    """Write the boxes as the competition wants them."""
    return detections_to_submission(detections, test.images, test.categories)


def submit_masks(label_maps: LabelMaps, test: Annotations) -> pd.DataFrame:
    """Write the label maps as the competition wants them."""
    return label_maps_to_submission(label_maps, test.images)


def submit_classes(probabilities: ClassProbabilities) -> pd.DataFrame:
    """Write the most probable class of each crop."""
    return class_probabilities_to_submission(probabilities)


def draw_boxes(detections: Detections, test: Annotations, folder: ImageFolder) -> Picture:
    """Draw true and predicted boxes side by side."""
    from recycling.reporting import detection_sheet

    return detection_sheet(test, folder, detections)


def draw_masks(label_maps: LabelMaps, test: Annotations, folder: ImageFolder) -> Picture:
    """Draw true and predicted masks side by side."""
    from recycling.reporting import segmentation_sheet

    return segmentation_sheet(test, folder, label_maps)


def draw_classes(
    probabilities: ClassProbabilities, test: Annotations, folder: ImageFolder
) -> Picture:
    """Draw crops with their true and predicted class."""
    from recycling.reporting import classification_sheet

    return classification_sheet(test, folder, probabilities)


def compare_boxes(**members: Detections) -> Agreement:
    """Measure, pair by pair, how alike the members' boxes are."""
    return Agreement(detection_agreement(list(members.values()), names=list(members)))


def compare_masks(**members: LabelMaps) -> Agreement:
    """Measure, pair by pair, how alike the members' label maps are."""
    return Agreement(label_map_agreement(list(members.values()), names=list(members)))


def compare_classes(**members: ClassProbabilities) -> Agreement:
    """Measure, pair by pair, how often the members choose the same class."""
    return Agreement(probability_agreement(list(members.values()), names=list(members)))


def draw_agreement(agreement: Agreement) -> Figure:
    """Draw how alike the members are."""
    from recycling.reporting import diversity_figure

    return diversity_figure(agreement)


def collect_scores(**metrics: Metrics) -> TaskScores:
    """Put the scores of a task's members and ensembles on the test part side by side.

    Returns:
        `metric`, `members` (score by name), `teacher` (where there is one) and `ensemble`, the
        final one's score.
    """
    score = {name: result.score for name, result in metrics.items()}
    scores: TaskScores = {
        "metric": metrics["final"].metric,
        "members": {name: score[name] for name in score if name not in ENSEMBLES},
        "ensemble": score["final"],
    }
    if "teacher" in score:
        scores["teacher"] = score["teacher"]
    return scores


def summarise(**scores: TaskScores) -> Summary:
    """Put the scores of all tasks side by side."""
    return scores


def draw_scores(summary: Summary) -> Figure:
    """Draw the score of every member and ensemble."""
    from recycling.reporting import scores_figure

    return scores_figure(summary)


FUSE: dict[Task, Callable[..., object]] = {
    "cls": fuse_classes,
    "det": fuse_boxes,
    "seg": fuse_masks,
}
SUBMIT: dict[Task, Callable[..., object]] = {
    "cls": submit_classes,
    "det": submit_boxes,
    "seg": submit_masks,
}
DRAW: dict[Task, Callable[..., object]] = {
    "cls": draw_classes,
    "det": draw_boxes,
    "seg": draw_masks,
}
COMPARE: dict[Task, Callable[..., object]] = {
    "cls": compare_classes,
    "det": compare_boxes,
    "seg": compare_masks,
}
