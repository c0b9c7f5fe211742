"""One chain of nodes for each model and fold: select, train, predict, score."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import pandas as pd
from kedro.pipeline import Node, Pipeline, node

from recycling.annotations import Annotations, ImageFolder, LabeledImages
from recycling.augmented_sets import AugmentedSet
from recycling.backends import (
    BackendError,
    Checkpoint,
    Images,
    Model,
    Recipes,
    RunFolder,
    TrainingData,
    backend_for,
    take_snapshot,
)
from recycling.backends.shared.model import Task
from recycling.evaluation import evaluate
from recycling.pipelines.augmented_sets import set_nodes
from recycling.pipelines.controls import effect_nodes
from recycling.pipelines.crops import crop_nodes
from recycling.pipelines.models_report import models_report_nodes
from recycling.pipelines.previews import settings_preview
from recycling.pipelines.scoring import SCORE, SCORE_TEST, metric_parameter
from recycling.pipelines.tasks import METRIC, PREDICTIONS, predicted_rows, with_types
from recycling.plan import TASKS, Plan, PlanError, TrainingPlan
from recycling.predictions import LabelMaps, Predictions, ProbabilityMaps, ProbableLabelMaps
from recycling.registry import PickedSettings
from recycling.splitting import Folds, fold_of_image

logger = logging.getLogger(__name__)


def create_pipeline(plan: Plan, task: Task) -> Pipeline:
    """The chains of every model and fold of a task."""
    trainings = [t for t in plan.trainings if t.task == task and t.study is None]
    crops = crop_nodes(plan.crops) if task == "cls" and trainings else []
    sets = {plan.models[model_in(training)].data: None for training in trainings}
    copies = [own for name in sets if name is not None for own in set_nodes(name)]
    nodes = [own for training in trainings for own in chain(training, plan)]
    report = models_report_nodes(plan, task, trainings)
    return Pipeline([*crops, *copies, *nodes, *effect_nodes(trainings), *report])


def chain(training: TrainingPlan, plan: Plan) -> list[Node]:
    """The nodes of one model and fold; those that need its network say what they ask for."""
    model = plan.models[model_in(training)]
    tags = model.resources.tags
    return [
        own.tag(tags) if tags and own.name in _on_device(training) else own
        for own in _chain(training, model)
    ]


def _on_device(training: TrainingPlan) -> set[str]:
    steps = ("train", "predict_out_of_fold", "predict_test_images")
    return {f"{training.namespace}.{step}" for step in steps}


def model_in(training: TrainingPlan) -> str:
    """The entry of `models.yml` that a training is of; a twin is of its student's."""
    return (training.control_of or training).model


def _chain(training: TrainingPlan, model: Model) -> list[Node]:
    if training.snapshot_of is not None:
        return _chain_of_snapshot(training, training.snapshot_of)
    if training.fold is None:
        return _chain_of_all(training, model)
    space, task = training.namespace, training.task
    inputs = {
        "model": training.settings,
        "recipes": "recipes",
        "runs": "runs",
        "training_part": f"{space}.training_part",
        "images": "train.images",
    }
    if model.early_stopping is not None:  # no other training sees what it holds out
        inputs |= {"held_out_part": f"{space}.held_out_part", "metric": metric_parameter(task)}
    inputs |= _besides(training)
    if training.augmented_set is not None:
        inputs["augmented_part"] = f"{space}.augmented_part"
    return [
        _select(training, training.fold),
        node(trainer(task, space, control=training.control_of is not None), inputs,
             training.checkpoint, name="train", namespace=space,
             preview_fn=settings_preview(model)),
        *_out_of_fold(training),
        # What a study finds, it finds on folds; the test images stay unseen.
        *(_on_test(training) if training.study is None else ()),
    ]  # fmt: skip


def _select(training: TrainingPlan, fold: int) -> Node:
    """Divides what is learnt from, and what is held out; of augmented copies too."""
    space = training.namespace
    inputs, parts = (
        ["train.annotations", "folds"],
        [f"{space}.training_part", f"{space}.held_out_part"],
    )
    select: Callable[..., Any] = fold_selector(fold)
    if training.augmented_set is not None:
        inputs, parts = [*inputs, training.augmented_set], [*parts, f"{space}.augmented_part"]
        select = fold_and_copies_selector(fold, training.task)
    return node(select, inputs, parts, name="select_fold", namespace=space)


def _chain_of_snapshot(training: TrainingPlan, checkpoint: str) -> list[Node]:
    """A model that another one's training has passed through."""
    space = training.namespace
    taken = node(
        snapshot_taker(space),
        {"checkpoint": checkpoint, "model": training.settings, "runs": "runs"},
        training.checkpoint,
        name="take_snapshot",
        namespace=space,
    )
    if training.fold is None:
        return [taken, *_on_test(training)]
    return [
        taken,
        node(fold_selector(training.fold), ["train.annotations", "folds"],
             [f"{space}.training_part", f"{space}.held_out_part"],
             name="select_fold", namespace=space),
        *_out_of_fold(training),
        *_on_test(training),
    ]  # fmt: skip


def _out_of_fold(training: TrainingPlan) -> list[Node]:
    """Predictions on the fold that a model holds out, and their score."""
    space, task = training.namespace, training.task
    held_out = training.held_out_part
    predict, predictions = _predicted(
        training, training.out_of_fold_predictions, training.out_of_fold_probabilities
    )
    return [
        node(predict, [training.checkpoint, held_out, "train.images"], predictions,
             name="predict_out_of_fold", namespace=space),
        node(SCORE[task], [held_out, training.out_of_fold_predictions, metric_parameter(task)],
             training.out_of_fold_metrics, name="score_out_of_fold", namespace=space),
    ]  # fmt: skip


def _on_test(training: TrainingPlan) -> list[Node]:
    """Predictions on the test images, and their score where they are labelled."""
    space, task = training.namespace, training.task
    predict, predictions = _predicted(
        training, training.test_predictions, training.test_probabilities
    )
    return [
        node(predict, [training.checkpoint, training.test, "test.images"], predictions,
             name="predict_test_images", namespace=space),
        node(SCORE_TEST[task],
             [training.test, training.test_predictions, metric_parameter(task)],
             training.test_metrics, name="score_test_predictions", namespace=space),
    ]  # fmt: skip


def _predicted(
    training: TrainingPlan, predictions: str, probabilities: str
) -> tuple[Callable[..., Any], str | list[str]]:
    """What predicts, and what it gives: probabilities as well, of a model that has them."""
    if training.has_probabilities:
        return predict_masks_and_probabilities, [predictions, probabilities]
    return PREDICT[training.task], predictions


def _chain_of_all(training: TrainingPlan, model: Model) -> list[Node]:
    """A model that sees all labelled images: its folds say how long, and how good it is."""
    space = training.namespace
    inputs = {
        "model": training.settings,
        "recipes": "recipes",
        "runs": "runs",
        "annotations": "train.annotations",
        "images": "train.images",
        **_besides(training),
        **{fold.name: fold.checkpoint for fold in training.folds},
    }
    if training.augmented_set is not None:
        inputs["augmented_set"] = training.augmented_set
    return [
        node(trainer_on_all(space), inputs, training.checkpoint, name="train", namespace=space,
             preview_fn=settings_preview(model)),
        *_on_test(training),
    ]  # fmt: skip


def _besides(training: TrainingPlan) -> dict[str, str]:
    """Further inputs of a training: what it also learns from, and what it starts from."""
    inputs: dict[str, str] = {}
    for n, part in enumerate(training.pseudo_labels, 1):
        inputs |= {f"pseudo_labels_{n}": part.annotations, f"pseudo_images_{n}": part.images}
    if training.start is not None:
        inputs["start"] = training.start
    return inputs


def fold_selector(fold: int) -> Callable[[Annotations, Folds], tuple[Annotations, Annotations]]:
    """A node function that holds out one fold."""

    def select_fold(annotations: Annotations, folds: Folds) -> tuple[Annotations, Annotations]:
        """Divide the annotations into those to train on and those of the fold held out."""
        own = fold_of_image(annotations.images, folds)  # one in no fold would never be learnt from
        if not (own == fold).any():
            raise PlanError(
                f"models.yml: fold {fold} is asked for, but the folds are "
                f"{', '.join(str(f) for f in sorted(own.unique()))}"
            )
        learnt, held_out = (own.index[rows].tolist() for rows in (own != fold, own == fold))
        return annotations.of_images(learnt), annotations.of_images(held_out)

    return select_fold


def fold_and_copies_selector(
    fold: int, task: Task
) -> Callable[[Annotations, Folds, AugmentedSet], tuple[Annotations, Annotations, LabeledImages]]:
    """A node function that holds out one fold, and the augmented copies of its images."""
    select = fold_selector(fold)

    def select_fold(
        annotations: Annotations, folds: Folds, augmented_set: AugmentedSet
    ) -> tuple[Annotations, Annotations, LabeledImages]:
        """Divide as without copies; of these, those of the images to train on are taken."""
        augmented_set.check_made_of(annotations)
        training, held_out = select(annotations, folds)
        ids = training.images["image_id"].tolist()
        return training, held_out, augmented_set.copies_of(ids, made_up_regions=task == "seg")

    return select_fold


def trainer(task: Task, namespace: str, *, control: bool = False) -> Callable[..., Checkpoint]:
    """A node function that trains one model on all folds but one.

    Args:
        task: What it learns.
        namespace: Names the folder of its logs.
        control: Whether it is the twin of a model that learns from pseudo-labels as well: of these
            it sees only how many images they are, and takes as many steps.
    """

    def train(
        model: Model,
        recipes: Recipes,
        runs: RunFolder,
        training_part: Annotations,
        images: ImageFolder,
        held_out_part: Annotations | None = None,
        metric: PickedSettings | None = None,
        start: Checkpoint | None = None,
        augmented_part: LabeledImages | None = None,
        **pseudo: Annotations | ImageFolder,
    ) -> Checkpoint:
        """Train a model on all folds but one.

        Args:
            model: Its settings.
            recipes: Where its config is.
            runs: Where its logs go, in a folder of its own.
            training_part: The labelled images to learn from.
            images: The files of the labelled images.
            held_out_part: Those of the fold that is held out, where the training stops early.
            metric: What it is judged by then.
            start: The model whose weights it starts from.
            augmented_part: Augmented copies of the images to learn from.
            pseudo: Images that models have labelled, to learn from as well: `pseudo_labels_1` and
                their files, `pseudo_images_1`, and so on.
        """
        nothing = training_part.of_images([])
        held_out = LabeledImages(nothing if held_out_part is None else held_out_part, images)
        # Of functions of this module, so that it can be sent to other processes.
        score = None if metric is None else partial(_score, metric, held_out.annotations)
        scored_by = None if metric is None else metric.model_dump_json()
        labeled, pseudo_parts = LabeledImages(training_part, images), _pseudo_parts(pseudo)
        data = TrainingData(
            [labeled, *pseudo_parts], held_out, training_part.categories, score, scored_by
        )
        if model.control:  # then it and its twin take as many steps, whatever a sampler does
            data = replace(data, images_an_epoch=data.n_samples(task))
        if control:
            data = replace(data, train=[labeled])
        data = with_copies(data, model, augmented_part)
        return _train(model, recipes, data, runs.path / namespace, start)

    return with_types(train, metric=METRIC[task])


def trainer_on_all(namespace: str) -> Callable[..., Checkpoint]:
    """A node function that trains one model on all labelled images.

    Args:
        namespace: Names the folder of its logs.
    """

    def train_on_all(
        model: Model,
        recipes: Recipes,
        runs: RunFolder,
        annotations: Annotations,
        images: ImageFolder,
        start: Checkpoint | None = None,
        augmented_set: AugmentedSet | None = None,
        **others: Checkpoint | Annotations | ImageFolder,
    ) -> Checkpoint:
        """Train a model on all labelled images, as long as its folds were best after.

        Args:
            model: Its settings.
            recipes: Where its config is.
            runs: Where its logs go, in a folder of its own.
            annotations: The labelled images.
            images: Their files.
            start: The model whose weights it starts from.
            augmented_set: Augmented copies of the labelled images.
            others: The same model, trained on all folds but one each; and images that models have
                labelled, as for `train`.
        """
        folds = {name: own for name, own in others.items() if isinstance(own, Checkpoint)}
        epochs, why = epochs_of(model, folds)
        logger.info(
            "%s: %d epochs on all %d labelled images: %s",
            namespace, epochs, len(annotations.images), why,
        )  # fmt: skip
        # Nothing is held out to stop by, nor to compare a twin on.
        of_folds = {"epochs": epochs, "early_stopping": None, "control": False}
        model = model.model_copy(update={**of_folds, "folds": ("all",)})
        parts = [LabeledImages(annotations, images), *_pseudo_parts(others)]
        # Nothing is held out, so that nothing can be scored.
        nothing = LabeledImages(annotations.of_images([]), images)
        data = TrainingData(parts, nothing, annotations.categories)
        copies = None
        if augmented_set is not None:
            augmented_set.check_made_of(annotations)
            ids = annotations.images["image_id"].tolist()
            copies = augmented_set.copies_of(ids, made_up_regions=model.task == "seg")
        data = with_copies(data, model, copies)
        return _train(model, recipes, data, runs.path / namespace, start)

    return train_on_all


def with_copies(data: TrainingData, model: Model, copies: LabeledImages | None) -> TrainingData:
    """A training's data with augmented copies, in epochs as long as the model asks for.

    Unless it asks for another number, they are as long as without the copies: two trainings that
    differ in the copies alone have as many steps and the same learning rates.

    Args:
        data: The data without copies.
        model: The settings.
        copies: Augmented copies, if there are some.
    """
    own = model.images_an_epoch
    if own == "labeled":
        data = replace(data, epoch_parts=1, images_an_epoch=None)
    if copies is not None:
        n_parts = len(data.train)
        data = replace(data, train=[*data.train, copies])
        if own is None and data.images_an_epoch is None:
            data = replace(data, epoch_parts=n_parts)
        elif own == "all" and data.images_an_epoch is not None:  # of a model and its twin
            more = replace(data, train=[copies]).n_samples(model.task)
            data = replace(data, images_an_epoch=data.images_an_epoch + more)
    return replace(data, images_an_epoch=own) if isinstance(own, int) else data


def snapshot_taker(namespace: str) -> Callable[[Checkpoint, Model, RunFolder], Checkpoint]:
    """A node function that makes a model of a snapshot of a training.

    Args:
        namespace: Names the folder that it goes to.
    """

    def take(checkpoint: Checkpoint, model: Model, runs: RunFolder) -> Checkpoint:
        """Make a checkpoint of the weights at the end of one of the training's cycles."""
        return take_snapshot(checkpoint, model, runs.path / namespace / "checkpoint")

    return take


def epochs_of(model: Model, folds: Mapping[str, Checkpoint]) -> tuple[int, str]:
    """How long a model trains on all images, and why.

    Args:
        model: Its settings.
        folds: The same model by name, trained on all folds but one each. Where they stopped early,
            it is the mean of their best epochs.
    """
    if model.early_stopping is None:
        return model.epochs, f"as {', '.join(folds)}"
    best = {name: checkpoint.best_epoch or model.epochs for name, checkpoint in folds.items()}
    said = ", ".join(f"{name} after {epoch}" for name, epoch in best.items())
    return max(1, round(fmean(best.values()))), f"the mean of where its folds were best ({said})"


def _pseudo_parts(inputs: Mapping[str, Any]) -> list[LabeledImages]:
    """The images that models have labelled, among the inputs of a training."""
    names = (name for name in inputs if name.startswith("pseudo_labels_"))
    return [LabeledImages(inputs[name], inputs[name.replace("labels", "images")]) for name in names]


def _train(
    model: Model, recipes: Recipes, data: TrainingData, folder: Path, start: Checkpoint | None
) -> Checkpoint:
    if start is not None:
        model = model.model_copy(update={"pretrained": str(start.weights)})
    recipe = recipes.find(model.backend, model.recipe)
    _warn_of_missing_categories(folder.name, data.train)
    return backend_for(model.backend).train(model, recipe, data, folder)


def _warn_of_missing_categories(namespace: str, parts: Sequence[LabeledImages]) -> None:
    """Warn, on one line, of categories that no object is of on the images to learn from."""
    seen = pd.concat([part.annotations.annotations["category_id"] for part in parts])
    table = parts[0].annotations.categories
    lacking = table.loc[~table["category_id"].isin(seen), "name"]
    if not lacking.empty:
        logger.warning(
            "%s: nothing to learn from of %s: no such object is in the other folds; balance the "
            "folds, annotate some, or merge the category into another",
            namespace,
            ", ".join(map(repr, lacking)),
        )


def _score(metric: PickedSettings, truth: Annotations, predictions: Predictions) -> float:
    return evaluate(metric, truth, predictions).score


def predictor(task: Task) -> Callable[[Checkpoint, Annotations, ImageFolder], Predictions]:
    """A node function that lets a model predict."""

    def predict(
        checkpoint: Checkpoint, annotations: Annotations, folder: ImageFolder
    ) -> Predictions:
        """Predict on the images: class probabilities of every annotated box; boxes; or masks.

        But for the boxes to classify, annotations are not looked at.
        """
        known, named = checkpoint.category_names, annotations.categories["name"].tolist()
        # Images to predict on may come without categories.
        if named and named != known:
            raise BackendError(
                f"{checkpoint.folder}: the model knows {', '.join(known)}, and the images are "
                f"annotated with {', '.join(named)}; train the model again"
            )
        crops = predicted_rows("cls", annotations)
        if task == "cls" and crops.empty:
            raise BackendError(
                f"no box is annotated on any of the {len(annotations.images)} images to classify; "
                "set crops.test to images (whole images), or to a detector that proposes boxes"
            )
        images = Images(annotations.images, folder, crops if task == "cls" else None)
        return backend_for(checkpoint.backend).predict(checkpoint, images)

    return with_types(predict, returns=PREDICTIONS[task])


PREDICT = {task: predictor(task) for task in TASKS}


def predict_masks_and_probabilities(
    checkpoint: Checkpoint, annotations: Annotations, folder: ImageFolder
) -> tuple[LabelMaps, ProbabilityMaps]:
    """Label every pixel, and say how probable each label is; annotations are not looked at."""
    maps = cast(ProbableLabelMaps, PREDICT["seg"](checkpoint, annotations, folder))
    return maps, maps.probabilities
