"""How the models of a task were trained, on what, and what it took: one page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isnan
from typing import Any

from kedro.pipeline import Node, node

from recycling.annotations import Annotations, ImageFolder
from recycling.backends import Checkpoint, RunFolder
from recycling.backends.shared.model import Task
from recycling.backends.shared.training_log import training_log
from recycling.evaluation import Metrics
from recycling.experiments import Effect
from recycling.pipelines.controls import effect_of
from recycling.pipelines.mistakes import draw_worst
from recycling.pipelines.tasks import PREDICTIONS, named, with_types
from recycling.plan import Plan, TrainingPlan
from recycling.pseudo_labels import Certificate
from recycling.reporting import RgbImage, Training, models_page
from recycling.splitting import Folds

SHOWN: dict[Task, int] = {"cls": 8, "det": 2, "seg": 2}
"""How many crops or images of its held-out fold show where a model is wrong."""

EXAMPLES, CERTIFICATE, PAGE = "examples of {}", "certificate of {}", "page of {}"
HELD_OUT, TEST, EFFECT = "{} out of fold", "{} on test", "effect on {}"
"""The arguments of the report, beside the checkpoints, which have the names of their trainings."""


def models_report_nodes(plan: Plan, task: Task, trainings: Sequence[TrainingPlan]) -> list[Node]:
    """The page on the models of a task, and for each model where it is wrong.

    Args:
        plan: Knows what the models have learnt from.
        task: What they predict.
        trainings: Those of the task that the pipeline makes.
    """
    if not trainings:
        return []
    first: dict[str, TrainingPlan] = {}
    for training in trainings:
        if training.fold is not None and training.is_member:
            first.setdefault(training.model, training)
    return [
        *(
            node(examples_drawer(task, training.fold),
                 ["train.annotations", "folds", "train.images", training.out_of_fold_predictions],
                 f"{training.namespace}.examples", name="draw_examples",
                 namespace=training.namespace)
            for training in first.values()
        ),
        node(models_report_writer(task), _inputs(plan, trainings, first), f"{task}.models_report",
             name="write_models_report", namespace=task),
    ]  # fmt: skip


def _inputs(
    plan: Plan, trainings: Sequence[TrainingPlan], first: Mapping[str, TrainingPlan]
) -> dict[str, str]:
    inputs = {"runs": "runs"}
    for training in trainings:
        inputs[training.namespace] = training.checkpoint
        inputs[TEST.format(training.namespace)] = training.test_metrics
        if training.fold is not None:
            inputs[HELD_OUT.format(training.namespace)] = training.out_of_fold_metrics
        if training.control_of is not None:
            inputs[EFFECT.format(effect_of(training))] = effect_of(training)
    for model, training in first.items():
        inputs[EXAMPLES.format(model)] = f"{training.namespace}.examples"
    learnt = {part.annotations for training in trainings for part in training.pseudo_labels}
    for labels in plan.pseudo_labels:
        for part in labels.parts:
            name = f"{labels.namespace}.{part.part}"
            if f"{name}_annotations" in learnt:
                inputs[CERTIFICATE.format(name)] = f"{name}_certificate"
                inputs[PAGE.format(name)] = f"{name}_certificate_page"
    return inputs


def examples_drawer(task: Task, fold: int | None) -> Callable[..., RgbImage]:
    """A node function that draws what a model says of images that it has not seen."""

    def draw_examples(
        truth: Annotations, folds: Folds, folder: ImageFolder, predictions: Any
    ) -> RgbImage:
        """Draw where a model is furthest from the truth, on the fold that it holds out."""
        held_out = folds.loc[folds["fold"] == fold, "image_id"]
        return draw_worst(task, truth.of_images(held_out), folder, predictions, SHOWN[task])

    return with_types(draw_examples, predictions=PREDICTIONS[task])


def models_report_writer(task: Task) -> Callable[..., str]:
    """A node function that writes the page on the models of a task."""

    def write_models_report(
        runs: RunFolder, **others: Checkpoint | Metrics | Effect | RgbImage | Certificate | str
    ) -> str:
        """Write how each model was trained, what it took, and what pseudo-labels did.

        Args:
            runs: Where the logs of the trainings are.
            others: By name of the training its checkpoint and scores; what models say of images;
                the certificates of what they have learnt from; and what that did.
        """
        out_of_fold, on_test = named(HELD_OUT, others), named(TEST, others)
        trainings = [
            Training(
                name,
                own.facts,
                training_log(runs.path / name),
                score_of(out_of_fold.get(name)),
                score_of(on_test.get(name)),
            )
            for name, own in others.items()
            if isinstance(own, Checkpoint)
        ]
        pages = named(PAGE, others)
        learnt = {name: (own, pages[name]) for name, own in named(CERTIFICATE, others).items()}
        effects = list(named(EFFECT, others).values())
        return models_page(task, trainings, named(EXAMPLES, others), effects, learnt)

    return write_models_report


def score_of(metrics: Metrics | None) -> float | None:
    """The score, if there is one: of images without labels it is not known.

    >>> score_of(Metrics("mAP50", 0.5, {}, {})), score_of(None)
    (0.5, None)
    """
    return None if metrics is None or isnan(metrics.score) else metrics.score
