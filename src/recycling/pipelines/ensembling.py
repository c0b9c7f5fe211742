"""Predictions of the members become the ensembles', with scores, images and a submission."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan
from statistics import fmean
from typing import Any

import pandas as pd
from kedro.pipeline import Node, Pipeline, node
from matplotlib.figure import Figure

from recycling.annotations import Annotations, ImageFolder
from recycling.backends.shared.model import Task
from recycling.diagnostics import Agreement, ErrorCorrelation
from recycling.ensembling import Ranking, model_of, rank_members
from recycling.evaluation import Metrics, scores_by_size
from recycling.pipelines.crops import crop_nodes
from recycling.pipelines.explaining import explaining_nodes, leaderboard_node, test_inputs
from recycling.pipelines.external import external_nodes
from recycling.pipelines.fusing import fuser
from recycling.pipelines.out_of_fold import by_model
from recycling.pipelines.scoring import SCORE_TEST, metric_parameter
from recycling.pipelines.searching import search_nodes
from recycling.pipelines.tasks import FORMAT, PREDICTIONS, predicted_rows, with_types
from recycling.plan import FINAL, TEACHER, EnsemblePlan, Plan
from recycling.predictions import Predictions, to_submission
from recycling.registry import PickedSettings
from recycling.reporting import (
    RgbImage,
    Summary,
    TaskScores,
    classification_grid,
    detection_grid,
    likeness_figure,
    scores_figure,
    segmentation_grid,
)


def create_pipeline(plan: Plan) -> Pipeline:
    """Every ensemble of every task, and the summary of all scores."""
    nodes = [*crop_nodes(plan.crops)]
    nodes += [n for member in plan.external for n in external_nodes(member)]
    for ensemble in plan.ensembles:
        nodes += _ensemble(ensemble)
        if not ensemble.is_teacher:
            nodes += _outcome(ensemble)
    for task in plan.tasks:
        members, ensembles = plan.members(task), plan.ensembles_of(task)
        if task in plan.leaderboard:
            nodes.append(leaderboard_node(task, members))
        metrics = {member.name: member.test_metrics for member in members}
        metrics |= {each.name: f"{each.namespace}.test_metrics" for each in ensembles}
        further = [each.name for each in ensembles if each.name not in (TEACHER, FINAL)]
        nodes.append(
            node(scores_collector(further), metrics, f"{task}.scores", name="collect_scores",
                 namespace=task)
        )  # fmt: skip
    scores = {str(task): f"{task}.scores" for task in plan.tasks}
    nodes += [
        node(summarise, scores, "summary", name="summarise"),
        node(draw_scores, "summary", "scores_figure", name="draw_scores"),
    ]
    return Pipeline(nodes)


def _ensemble(ensemble: EnsemblePlan) -> list[Node]:
    space, members = ensemble.namespace, ensemble.members
    fused = f"{space}.test_predictions"
    known = {m.name: m.out_of_fold_metrics for m in ensemble.judges}
    return [
        node(ranker([member.name for member in members]), known, f"{space}.ranking",
             name="rank_members", namespace=space),
        *search_nodes(ensemble),
        node(fuser(ensemble), test_inputs(ensemble), fused, name="fuse_test", namespace=space),
        node(SCORE_TEST[ensemble.task],
             [ensemble.test, fused, metric_parameter(ensemble.task)],
             f"{space}.test_metrics", name="score_test", namespace=space),
    ]  # fmt: skip


def _outcome(ensemble: EnsemblePlan) -> list[Node]:
    space, task = ensemble.namespace, ensemble.task
    fused = f"{space}.test_predictions"
    return [
        node(submitter(task), [fused, ensemble.test, f"params:submission.{task}"],
             f"{space}.submission", name="write_submission", namespace=space),
        node(drawer(task), [fused, ensemble.test, "test.images"], f"{space}.overlays",
             name="draw_predictions", namespace=space),
        node(draw_agreement, [f"{space}.agreement", f"{space}.error_correlation"],
             f"{space}.agreement_figure", name="draw_agreement", namespace=space),
        *explaining_nodes(ensemble),
    ]  # fmt: skip


def ranker(names: Sequence[str]) -> Callable[..., Ranking]:
    """A node function that ranks members, those without out-of-fold predictions last."""

    def rank(**metrics: Metrics) -> Ranking:
        """Rank the members by their score on the fold that they have not seen.

        A model that has seen all of them has the mean score of its folds.
        """
        scores = {name: own.score for name, own in metrics.items()}
        folds = {model: fmean(own) for model, own in by_model(scores).items()}
        return rank_members({name: scores.get(name, folds.get(model_of(name))) for name in names})

    return rank


def submitter(task: Task) -> Callable[..., pd.DataFrame]:
    """A node function that writes a submission."""

    def write_submission(
        predictions: Predictions, test: Annotations, settings: PickedSettings
    ) -> pd.DataFrame:
        """Write the predictions as the competition wants them."""
        return to_submission(settings, predictions, predicted_rows(task, test), test.categories)

    return with_types(write_submission, predictions=PREDICTIONS[task], settings=FORMAT[task])


def drawer(task: Task) -> Callable[..., RgbImage]:
    """A node function that draws predictions."""

    def draw_predictions(predictions: Any, test: Annotations, folder: ImageFolder) -> RgbImage:
        """Draw what is true and what is predicted side by side."""
        return GRID[task](test, folder, predictions)

    return with_types(draw_predictions, predictions=PREDICTIONS[task])


def draw_agreement(agreement: Agreement, errors: ErrorCorrelation) -> Figure:
    """Draw how alike the members are, and how far they err on the same."""
    return likeness_figure(agreement, errors if len(errors) else None)


def scores_collector(further: Sequence[str]) -> Callable[..., TaskScores]:
    """A node function that collects the scores of members, teacher, final and further ensembles."""

    def collect_scores(**metrics: Metrics) -> TaskScores:
        """Put the scores of a task's members and ensembles on the test part side by side."""
        score = {name: None if isnan(own.score) else own.score for name, own in metrics.items()}
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
        sizes = {name: map50_by_size(own) for name, own in metrics.items()}
        if any(sizes.values()):
            scores["sizes"] = sizes
        intervals = {name: own.interval for name, own in metrics.items() if own.interval}
        if intervals:
            scores["intervals"] = intervals
        return scores

    return collect_scores


def map50_by_size(metrics: Metrics) -> dict[str, float]:
    """The mAP50 of small, medium and large objects, where the truth has such.

    >>> map50_by_size(Metrics("mAP50", 0.5, {}, {"mAP50_small": 0.25}))
    {'small': 0.25}
    """
    known = scores_by_size(metrics)["mAP50"].dropna()
    return {str(size): float(score) for size, score in known.items()}


def summarise(**scores: TaskScores) -> Summary:
    """Put the scores of all tasks side by side."""
    return scores


def draw_scores(summary: Summary) -> Figure:
    """Draw the score of every member and ensemble."""
    return scores_figure(summary)


GRID: dict[Task, Callable[..., RgbImage]] = {
    "cls": classification_grid,
    "det": detection_grid,
    "seg": segmentation_grid,
}
