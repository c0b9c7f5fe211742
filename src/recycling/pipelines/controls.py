"""What pseudo-labels do: each student beside its twin, which is alike in all but the data."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from kedro.pipeline import Node, node

from recycling.annotations import Annotations
from recycling.backends.shared.model import Task
from recycling.evaluation import image_scores, metric_of, scored_groups
from recycling.experiments import Effect, measure_effect
from recycling.pipelines.out_of_fold import joined
from recycling.pipelines.scoring import metric_parameter
from recycling.pipelines.tasks import METRIC, PREDICTIONS, with_types
from recycling.plan import TrainingPlan
from recycling.registry import PickedSettings
from recycling.splitting import Folds

logger = logging.getLogger(__name__)


def effect_nodes(trainings: Sequence[TrainingPlan]) -> list[Node]:
    """One comparison for each model of a task that has twins, with its other seeds."""
    twins: dict[str, list[TrainingPlan]] = {}
    for training in trainings:
        if (student := training.control_of) is not None:
            twins.setdefault(student.variant_of or student.model, []).append(training)
    return [_effect(model, own) for model, own in twins.items()]


def _effect(model: str, twins: Sequence[TrainingPlan]) -> Node:
    task = twins[0].task
    inputs = {"train": "train.annotations", "folds": "folds", "metric": metric_parameter(task)}
    seeds: dict[str, list[tuple[str, str]]] = {}
    folds = []
    for twin in twins:
        student = twin.control_of
        assert student is not None
        assert student.fold is not None
        inputs |= {own.name: own.out_of_fold_predictions for own in (student, twin)}
        seeds.setdefault(student.model, []).append((student.name, twin.name))
        folds.append(student.fold)
    return node(
        comparer(task, model, list(seeds.values()), sorted(set(folds))),
        inputs,
        effect_of(twins[0]),
        name="measure_pseudo_labels",
        namespace=f"{task}.{model}",
    )


def effect_of(twin: TrainingPlan) -> str:
    """The dataset of what pseudo-labels do to the model that a twin is of."""
    student = twin.control_of
    assert student is not None
    return f"{twin.task}.{student.variant_of or student.model}.pseudo_effect"


def comparer(
    task: Task, model: str, seeds: Sequence[Sequence[tuple[str, str]]], held_out: Sequence[int]
) -> Callable[..., Effect]:
    """A node function that measures what pseudo-labels do to a model.

    Args:
        task: What it predicts.
        model: Its name.
        seeds: For each seed a student and its twin, fold by fold.
        held_out: The folds that each pair of a seed holds out.
    """

    def measure(
        train: Annotations, folds: Folds, metric: PickedSettings, **predictions: Any
    ) -> Effect:
        """Compare students with their twins on the folds that both hold out, and say the effect."""
        in_folds = folds.loc[folds["fold"].isin(held_out), "image_id"]
        truth = train.of_images(in_folds)
        sides = [
            {pairs[0][side]: joined([predictions[pair[side]] for pair in pairs]) for pairs in seeds}
            for side in (0, 1)
        ]
        scores = image_scores(metric, truth, sides[0] | sides[1])
        students, twins = ([scores[name] for name in side] for side in sides)
        effect = measure_effect(
            f"pseudo-labels, {model}",
            metric_of(metric).title,
            students,
            twins,
            scored_groups(metric, truth),
        )
        logger.info("%s", effect["sentence"])
        return effect

    return with_types(measure, metric=METRIC[task], predictions=PREDICTIONS[task])
