"""Studies: the arms are trained as every model, and compared where all have held out the fold."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kedro.pipeline import Node, Pipeline, node

from recycling.annotations import Annotations
from recycling.backends import BackendError, Checkpoint, Recipes
from recycling.backends.shared.recipes import read_head
from recycling.evaluation import metric_of
from recycling.experiments import (
    ArmFacts,
    Comparisons,
    StudyArms,
    StudySummary,
    arms_table,
    compare_scores,
    interaction,
    summarise_study,
)
from recycling.pipelines.augmented_sets import set_nodes
from recycling.pipelines.out_of_fold import joined
from recycling.pipelines.scoring import metric_parameter
from recycling.pipelines.tasks import METRIC, PREDICTIONS, with_types
from recycling.pipelines.training import chain
from recycling.plan import Plan, StudyPlan
from recycling.registry import PickedSettings
from recycling.reporting import study_figure
from recycling.splitting import Folds

if TYPE_CHECKING:
    from matplotlib.figure import Figure
else:
    Figure = Any  # Kedro asks for the types of nodes; matplotlib costs each command half a second

logger = logging.getLogger(__name__)

CHECKPOINT_OF = "checkpoint of "  # before a training's name, which has no blank


def create_pipeline(plan: Plan, study: StudyPlan) -> Pipeline:
    """The chains of every arm, seed and fold of a study, and what compares them."""
    trainings = [own for arm in study.arms for seed in arm.trainings for own in seed]
    nodes = [own for training in dict.fromkeys(trainings) for own in chain(training, plan)]
    sets = dict.fromkeys(plan.models[training.model].data for training in trainings)
    copies = [own for name in sets if name is not None for own in set_nodes(name)]
    return Pipeline([*copies, *nodes, _comparison(study)])


def _comparison(study: StudyPlan) -> Node:
    space = study.namespace
    inputs = {
        "train": "train.annotations",
        "folds": "folds",
        "metric": metric_parameter(study.task),
        "recipes": "recipes",
    }
    for arm in study.arms:
        for training in (own for seed in arm.trainings for own in seed):
            inputs[training.name] = training.out_of_fold_predictions
            inputs[f"{CHECKPOINT_OF}{training.name}"] = training.checkpoint
    return node(
        comparer(study),
        inputs,
        [f"{space}.effects", f"{space}.arms", f"{space}.summary", f"{space}.figure"],
        name="compare_arms",
        namespace=space,
    )


def comparer(
    study: StudyPlan,
) -> Callable[..., tuple[Comparisons, StudyArms, StudySummary, Figure]]:
    """A node function that compares the arms of a study on the folds that all hold out."""
    names = {arm.name: [[own.name for own in seed] for seed in arm.trainings] for arm in study.arms}
    settings = {arm.name: arm.changes for arm in study.arms}

    def compare_arms(
        train: Annotations,
        folds: Folds,
        metric: PickedSettings,
        recipes: Recipes,
        **found: Any,
    ) -> tuple[Comparisons, StudyArms, StudySummary, Figure]:
        """Compare each change with the base, and say which effects are real."""
        truth = train.of_images(folds.loc[folds["fold"].isin(study.folds), "image_id"])
        sides = {
            arm: [joined([found[name] for name in seed]) for seed in seeds]
            for arm, seeds in names.items()
        }
        compared = compare_scores(metric, truth, sides)
        facts = [
            _facts(arm, settings[arm], [found[f"{CHECKPOINT_OF}{n}"] for s in seeds for n in s],
                   recipes)
            for arm, seeds in names.items()
        ]  # fmt: skip
        arms = arms_table(facts, compared.scores)
        title, base = metric_of(metric).title, study.arms[0].name
        interactions = [
            interaction((first, second), both, base, title, compared.scores, compared.groups)
            for first, second, both in study.interactions
        ]
        summary = summarise_study(
            study.base, title, compared.effects, interactions, arms, study.folds
        )
        for sentence in summary["sentences"]:
            logger.info("%s", sentence)
        figure = study_figure(study.name, title, compared.table, arms)
        return compared.table, arms, summary, figure

    return with_types(
        compare_arms, metric=METRIC[study.task], found=PREDICTIONS[study.task] | Checkpoint
    )


def _facts(arm: str, settings: int, checkpoints: list[Checkpoint], recipes: Recipes) -> ArmFacts:
    told = [checkpoint.facts for checkpoint in checkpoints]
    return ArmFacts(arm, settings, told, _weights(told[0]["model"], recipes))


def _weights(model: Mapping[str, Any], recipes: Recipes) -> str:
    """What a training starts from, so that two can be told apart."""
    pretrained = str(model["pretrained"])
    if pretrained != "default":
        return pretrained
    try:
        path = recipes.find(model["backend"], model["recipe"])
        return ", ".join(read_head(path, model["task"], model["backend"]).weights or ()) or "none"
    except BackendError:
        return f"default of {model['recipe']}"
