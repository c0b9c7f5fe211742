"""Predictions of the members become the ensembles', with scores, images and a submission."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from math import isnan
from statistics import fmean
from typing import Any, cast

import numpy as np
import pandas as pd
from kedro.pipeline import Node, Pipeline, node

from recycling.annotations import Annotations, ImageFolder
from recycling.annotations.dropped_images import dropped_images
from recycling.backends.shared.model import Task
from recycling.ensembling import Ranking, model_of, rank_members
from recycling.errors import listed
from recycling.evaluation import SIZES, Metrics
from recycling.names import shown_name
from recycling.pipelines.crops import crop_nodes
from recycling.pipelines.explaining import explaining_nodes, leaderboard_node, test_inputs
from recycling.pipelines.external import external_nodes
from recycling.pipelines.fusing import fuser
from recycling.pipelines.out_of_fold import by_model
from recycling.pipelines.previews import members_preview
from recycling.pipelines.scoring import SCORE_TEST, metric_parameter
from recycling.pipelines.searching import search_nodes
from recycling.pipelines.tasks import FORMAT, PREDICTIONS, named, predicted_rows, with_types
from recycling.plan import FINAL, TEACHER, EnsemblePlan, Member, Plan
from recycling.predictions import (
    DETECTIONS,
    Detections,
    LabelMaps,
    Predictions,
    to_submission,
)
from recycling.registry import PickedSettings
from recycling.reporting import (
    GRIDS,
    RgbImage,
    TaskScores,
    ensembles_page,
)
from recycling.stored_tables import TableParts, by_parts

logger = logging.getLogger(__name__)


def create_pipeline(plan: Plan) -> Pipeline:
    """Every ensemble of every task, and the page on those of each task."""
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
        nodes += [
            node(scores_collector(further), metrics, f"{task}.scores", name="collect_scores",
                 namespace=task),
            node(report_writer(task), report_inputs(task, metrics, members, ensembles),
                 f"{task}.ensembles_report", name="write_ensembles_report", namespace=task),
        ]  # fmt: skip
    return Pipeline(nodes)


def _ensemble(ensemble: EnsemblePlan) -> list[Node]:
    space, members = ensemble.namespace, ensemble.members
    fused = f"{space}.test_predictions"
    known = {m.name: m.out_of_fold_metrics for m in ensemble.judges}
    return [
        node(ranker([member.name for member in members]), known, f"{space}.ranking",
             name="rank_members", namespace=space),
        *search_nodes(ensemble),
        node(fuser(ensemble), test_inputs(ensemble), fused,
             name="fuse_test_predictions", namespace=space,
             preview_fn=members_preview(ensemble)),
        node(SCORE_TEST[ensemble.task],
             [ensemble.test, fused, metric_parameter(ensemble.task)],
             f"{space}.test_metrics", name="score_test_predictions", namespace=space),
    ]  # fmt: skip


def _outcome(ensemble: EnsemblePlan) -> list[Node]:
    space, task = ensemble.namespace, ensemble.task
    fused = f"{space}.test_predictions"
    return [
        node(submitter(task), [fused, ensemble.test, f"params:submission.{task}"],
             f"{space}.submission", name="write_submission", namespace=space),
        node(drawer(task), [fused, ensemble.test, "test.images"], f"{space}.overlays",
             name="draw_predictions", namespace=space),
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
        rows: Any = test.images if task == "det" else predicted_rows(task, test)
        table = to_submission(settings, predictions, rows, test.categories)
        return _with_dropped_images(task, table, settings, test)

    write = with_types(write_submission, predictions=PREDICTIONS[task], settings=FORMAT[task])
    return by_parts(write) if task == "det" else write


def _with_dropped_images(
    task: Task, table: pd.DataFrame | TableParts, settings: PickedSettings, test: Annotations
) -> pd.DataFrame:
    """A submission with rows that nothing is on the images that cleaning dropped."""
    dropped = dropped_images(test.extra)
    if dropped.empty:
        return cast(pd.DataFrame, table)
    rows = "no row: there is no class to write" if task == "cls" else "a row in which nothing is"
    logger.warning(
        "submission.%s: %d test images that cleaning dropped have %s: %s",
        task, len(dropped), rows, listed(map(shown_name, dropped["file_name"]), 3),
    )  # fmt: skip
    if task == "cls":
        return cast(pd.DataFrame, table)
    nothing = Detections(DETECTIONS.empty())
    # Formats bring maps to the size that they write.
    background = LabelMaps(dropped["image_id"].tolist(), lambda _: np.zeros((1, 1), np.uint8))
    empty = to_submission(
        settings, nothing if task == "det" else background, dropped, test.categories
    )
    if isinstance(table, TableParts):
        return cast(pd.DataFrame, TableParts(lambda: chain(table, [empty])))
    return pd.concat([table, empty], ignore_index=True)


def drawer(task: Task) -> Callable[..., RgbImage]:
    """A node function that draws predictions."""

    def draw_predictions(predictions: Any, test: Annotations, folder: ImageFolder) -> RgbImage:
        """Draw what is true and what is predicted side by side."""
        return GRIDS[task](test, folder, predictions)

    return with_types(draw_predictions, predictions=PREDICTIONS[task])


OUT_OF_FOLD, PAGE, SUBMISSION = "{} out of fold", "page of {}", "submission of {}"
"""The arguments of the report, beside the scores on the test images, which have plain names."""


def report_inputs(
    task: Task,
    metrics: Mapping[str, str],
    members: Sequence[Member],
    ensembles: Sequence[EnsemblePlan],
) -> dict[str, str]:
    """The inputs of the node that writes the report on the ensembles of a task.

    Args:
        task: What is fused.
        metrics: The datasets of the scores on the test images, by name.
        members: Who can be in an ensemble.
        ensembles: All of the task.
    """
    inputs = {"scores": f"{task}.scores", **metrics}
    known = dict.fromkeys(own for member in members for own in member.judged_by)
    inputs |= {OUT_OF_FOLD.format(own.name): own.out_of_fold_metrics for own in known}
    for ensemble in ensembles:
        if not ensemble.is_teacher:
            inputs[PAGE.format(ensemble.name)] = f"{ensemble.namespace}.report"
        # The one that is handed in stays an outcome of its own in the graph.
        if ensemble.name not in (TEACHER, FINAL):
            inputs[SUBMISSION.format(ensemble.name)] = f"{ensemble.namespace}.submission"
    return inputs


def report_writer(task: Task) -> Callable[..., str]:
    """A node function that writes the report on the ensembles of a task."""

    def write_ensembles_report(scores: TaskScores, **others: Metrics | pd.DataFrame | str) -> str:
        """Put the members and ensembles of a task side by side, by class and size, and explain.

        Args:
            scores: Those of the test images.
            others: The metrics behind them, and those out of fold; the page on each ensemble; and
                the submissions beside the final one.
        """
        metrics = {name: own for name, own in others.items() if isinstance(own, Metrics)}
        out_of_fold = named(OUT_OF_FOLD, metrics)
        unseen = {OUT_OF_FOLD.format(name) for name in out_of_fold}
        on_test = {name: own for name, own in metrics.items() if name not in unseen}
        pages, submissions = named(PAGE, others), named(SUBMISSION, others)
        return ensembles_page(task, scores, on_test, out_of_fold, pages, submissions)

    return write_ensembles_report


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
    known = metrics.details
    return {size: known[f"mAP50_{size}"] for size in SIZES if f"mAP50_{size}" in known}
