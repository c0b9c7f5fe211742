"""Predictions of the members become the ensembles', with scores, pictures and a submission."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isnan
from pathlib import Path

import pandas as pd
from kedro.pipeline import Node, Pipeline, node
from matplotlib.figure import Figure

from recycling.annotations import Annotations, ImageFolder
from recycling.backends.shared.model import Task
from recycling.diagnostics import (
    Agreement,
    ErrorCorrelation,
    detection_agreement,
    label_map_agreement,
    probability_agreement,
)
from recycling.ensembling import (
    Ranking,
    average_probabilities,
    fuse_label_maps,
    fuse_probability_maps,
    geometric_mean_probabilities,
    hard_vote_probabilities,
    nms,
    non_maximum_weighted,
    rank_average_probabilities,
    rank_members,
    soft_nms,
    weighted_boxes_fusion,
)
from recycling.evaluation import Metrics, scores_by_size
from recycling.pipelines.choosing import (
    FUSE_AS_CHOSEN,
    choosing_nodes,
    image_sizes,
    out_of_fold_key,
    planes_key,
    planes_of,
    stack_classes,
)
from recycling.pipelines.dropped import dropped_members
from recycling.pipelines.explaining import explaining_nodes, leaderboard_nodes
from recycling.pipelines.training import SCORE_TEST
from recycling.plan.core import FINAL, TEACHER, Plan, PlanError
from recycling.plan.fusion import BoxFusion, ClassFusion, MaskFusion, Weights, model_of
from recycling.predictions import (
    ClassProbabilities,
    Detections,
    LabelMaps,
    ProbabilityMaps,
    class_probabilities_to_submission,
    detections_to_submission,
    label_maps_to_submission,
)
from recycling.reporting import Picture, Summary, TaskScores


def create_pipeline(plan: Plan) -> Pipeline:
    """Every ensemble of every task, and the summary of all scores."""
    nodes = [n for task in plan.tasks for n in dropped_members(plan, task)]
    for task in plan.tasks:
        for name in plan.ensembles_of(task):
            nodes += _ensemble(plan, task, name)
            if name != TEACHER:
                nodes += _outcome(plan, task, name)
        nodes += leaderboard_nodes(plan, task)
        nodes.append(
            node(scores_collector(plan.further_ensembles(task)), _all_metrics(plan, task),
                 f"{task}.scores", name="collect_scores", namespace=task)
        )  # fmt: skip
    scores = {str(task): f"{task}.scores" for task in plan.tasks}
    nodes += [
        node(summarise, scores, "summary", name="summarise"),
        node(draw_scores, "summary", "scores_figure", name="draw_scores"),
    ]
    return Pipeline(nodes)


def _ensemble(plan: Plan, task: Task, name: str) -> list[Node]:
    space, members = f"{task}.{name}", plan.ensemble(task, name)
    predictions = {member.name: f"{member.namespace}.test_predictions" for member in members}
    fusion = fusion_inputs(plan, task, name, predictions, "test.annotations")
    known = {m.name: f"{m.namespace}.out_of_fold_metrics" for m in members if m.has_out_of_fold}
    return [
        node(ranker([member.name for member in members]), known, f"{space}.ranking",
             name="rank_members", namespace=space),
        *choosing_nodes(plan, task, name),
        node(fuser(plan, task, name), fusion, f"{space}.test_predictions", name="fuse_test",
             namespace=space),
        node(SCORE_TEST[task], ["test.annotations", f"{space}.test_predictions"],
             f"{space}.test_metrics", name="score_test", namespace=space),
    ]  # fmt: skip


def _outcome(plan: Plan, task: Task, name: str) -> list[Node]:
    space = f"{task}.{name}"
    fused = f"{space}.test_predictions"
    predictions = {m.name: f"{m.namespace}.test_predictions" for m in plan.ensemble(task, name)}
    return [
        node(SUBMIT[task], [fused, "test.annotations"][: 1 if task == "cls" else 2],
             f"{space}.submission", name="write_submission", namespace=space),
        node(DRAW[task], [fused, "test.annotations", "test.images"], f"{space}.overlays",
             name="draw_predictions", namespace=space),
        node(COMPARE[task], predictions, f"{space}.agreement", name="compare_members",
             namespace=space),
        node(draw_agreement, [f"{space}.agreement", f"{space}.error_correlation"],
             f"{space}.agreement_figure", name="draw_agreement", namespace=space),
        *explaining_nodes(plan, task, name, fuser(plan, task, name),
                          fusion_inputs(plan, task, name, predictions, "test.annotations")),
    ]  # fmt: skip


def _all_metrics(plan: Plan, task: Task) -> dict[str, str]:
    members = {m.name: f"{m.namespace}.test_metrics" for m in plan.members(task)}
    return members | {name: f"{task}.{name}.test_metrics" for name in plan.ensembles_of(task)}


def fuser(plan: Plan, task: Task, ensemble: str) -> Callable[..., object]:
    """The node function that fuses an ensemble: by its settings, or as its search says."""
    if plan.stacks(task, ensemble):
        return stack_classes
    if plan.votes_softly(task, ensemble):
        return fuse_masks_softly
    return (FUSE if plan.ensembles[ensemble].search is None else FUSE_AS_CHOSEN)[task]


def fusion_inputs(
    plan: Plan, task: Task, ensemble: str, predictions: Mapping[str, str], images: str
) -> dict[str, str]:
    """The inputs of a fusing node.

    Args:
        plan: Tells whether the ensemble has settings of its own.
        task: What is fused.
        ensemble: The ensemble's name.
        predictions: The dataset of each member's predictions.
        images: The annotations of the images that they are of; their sizes are looked at.
    """
    described = plan.ensembles[ensemble]
    inputs = {"ranking": f"{task}.{ensemble}.ranking"}
    if plan.votes_softly(task, ensemble):
        inputs |= {name: planes_of(dataset) for name, dataset in predictions.items()}
    else:
        inputs |= predictions
    if plan.may_vote_softly(task, ensemble):
        inputs |= {planes_key(name): planes_of(dataset) for name, dataset in predictions.items()}
    if described.search is not None:
        inputs["choice"] = f"{task}.{ensemble}.choice"
    elif getattr(described, task) is not None:
        inputs["settings"] = f"params:ensembles.{ensemble}.{task}"
    else:
        inputs["settings"] = f"params:ensembling.{task}"
    if task == "seg":
        inputs["images"] = images
    if plan.stacks(task, ensemble):
        inputs |= {"train": "train.annotations", "folds": "folds"} | {
            out_of_fold_key(member.name): f"{member.namespace}.out_of_fold_predictions"
            for member in plan.ensemble(task, ensemble)
        }
    return inputs


def ranker(names: Sequence[str]) -> Callable[..., Ranking]:
    """A node function that ranks members, those without out-of-fold predictions last."""

    def rank(**metrics: Metrics) -> Ranking:
        """Rank the members by their score on the fold that they have not seen."""
        return rank_members({n: metrics[n].score if n in metrics else None for n in names})

    return rank


def fuse_boxes(settings: BoxFusion, ranking: Ranking, **members: Detections) -> Detections:
    """Fuse the members' boxes."""
    names = ranking["member"].tolist()
    tables = [members[name] for name in names]
    weights = member_weights(settings.weights, ranking)
    iou_threshold, agnostic = settings.iou_threshold, settings.class_agnostic
    if settings.method == "nms":
        return nms(
            tables,
            weights=weights,
            iou_threshold=iou_threshold,
            class_agnostic=agnostic,
            names=names,
        )
    if settings.method == "soft_nms":
        return soft_nms(
            tables,
            weights=weights,
            iou_threshold=iou_threshold,
            sigma=settings.sigma,
            score_threshold=settings.score_threshold,
            decay=settings.decay,
            class_agnostic=agnostic,
            names=names,
        )
    if settings.method == "non_maximum_weighted":
        return non_maximum_weighted(
            tables,
            weights=weights,
            iou_threshold=iou_threshold,
            score_threshold=settings.score_threshold,
            class_agnostic=agnostic,
            names=names,
        )
    return weighted_boxes_fusion(
        tables,
        weights=weights,
        iou_threshold=iou_threshold,
        score_threshold=settings.score_threshold,
        confidence=settings.confidence,
        class_agnostic=agnostic,
        names=names,
    )


def fuse_masks(
    settings: MaskFusion, ranking: Ranking, images: Annotations, **members: LabelMaps
) -> LabelMaps:
    """Let the members vote on every pixel; ties go to the better-ranked one."""
    names = ranking["member"].tolist()
    sizes = image_sizes(images.images)
    maps = [members[name] for name in names]
    return fuse_label_maps(maps, ranks=ranking["rank"].tolist(), sizes=sizes, names=names)


def fuse_masks_softly(
    settings: MaskFusion, ranking: Ranking, images: Annotations, **members: ProbabilityMaps
) -> LabelMaps:
    """Give every pixel the label that the members hold most likely on average."""
    names = ranking["member"].tolist()
    return fuse_probability_maps(
        [members[name] for name in names],
        weights=member_weights(settings.weights, ranking),
        sizes=image_sizes(images.images),
        names=names,
    )


def fuse_classes(
    settings: ClassFusion, ranking: Ranking, **members: ClassProbabilities
) -> ClassProbabilities:
    """Fuse the members' class probabilities."""
    names = ranking["member"].tolist()
    tables = [members[name] for name in names]
    if settings.method == "hard_vote":
        ranks = ranking["rank"].tolist()
        return hard_vote_probabilities(tables, ranks=ranks, names=names)
    fuse = {
        "mean": average_probabilities,
        "geometric": geometric_mean_probabilities,
        "rank": rank_average_probabilities,
    }[settings.method]
    return fuse(tables, weights=member_weights(settings.weights, ranking), names=names)


def member_weights(weights: Weights, ranking: Ranking) -> list[float] | None:
    """How much each member counts, in the order of the ranking; None where all count the same.

    Raises:
        PlanError: A member has no weight, or no score to be its weight.
    """
    names = ranking["member"].tolist()
    if weights == "equal":
        return None
    if weights == "score":
        unknown = ranking.loc[ranking["score"].isna(), "member"].tolist()
        if unknown:
            raise PlanError(
                f"{unknown[0]}: no out-of-fold predictions, so no score to be its weight; drop in "
                f"{Path(unknown[0]).stem}.oof.csv, or set weights to equal or to numbers"
            )
        scores = ranking["score"].tolist()
        # All score 0 after too short a training.
        return scores if any(scores) else None
    given = {name: weights.get(name, weights.get(model_of(name))) for name in names}
    for name, weight in given.items():
        if weight is None:
            raise PlanError(f"weights: none for {name!r}; there are {', '.join(weights)}")
    return [float(weight) for weight in given.values() if weight is not None]


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


def draw_agreement(agreement: Agreement, errors: ErrorCorrelation) -> Figure:
    """Draw how alike the members are, and how far they err on the same."""
    from recycling.reporting import likeness_figure

    return likeness_figure(agreement, errors if len(errors) else None)


def scores_collector(further: Sequence[str]) -> Callable[..., TaskScores]:
    """A node function that collects the scores of members, teacher, final and further ensembles."""

    def collect_scores(**metrics: Metrics) -> TaskScores:
        """Put the scores of a task's members and ensembles on the test part side by side."""
        score = {name: None if isnan(one.score) else one.score for name, one in metrics.items()}
        ensembles = (TEACHER, FINAL, *further)
        scores: TaskScores = {
            "metric": metrics[FINAL].metric,
            "members": {name: score[name] for name in score if name not in ensembles},
            "ensemble": score[FINAL],
        }
        if TEACHER in score:
            scores["teacher"] = score[TEACHER]
        if further:
            scores["others"] = {name: score[name] for name in further}
        sizes = {name: map50_by_size(one) for name, one in metrics.items()}
        if any(sizes.values()):
            scores["sizes"] = sizes
        return scores

    return collect_scores


def map50_by_size(metrics: Metrics) -> dict[str, float]:
    """The mAP50 of small, medium and large objects, where the truth has such."""
    known = scores_by_size(metrics)["mAP50"].dropna()
    return {str(size): float(score) for size, score in known.items()}


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
