"""One chain of nodes for each model and fold: select, train, predict, score."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial, wraps
from math import nan
from typing import cast

from kedro.pipeline import Node, Pipeline, node

from recycling.annotations import Annotations, ImageFolder, LabeledImages
from recycling.backends import (
    BackendError,
    Checkpoint,
    Images,
    Model,
    Recipes,
    RunFolder,
    TrainingData,
    backend_for,
)
from recycling.backends.shared.model import Task
from recycling.evaluation import (
    Metrics,
    classification_metrics,
    detection_metrics,
    segmentation_metrics,
)
from recycling.plan.core import Plan, PlanError, Trained
from recycling.predictions import (
    ClassProbabilities,
    Detections,
    LabelMaps,
    Predictions,
    ProbabilityMaps,
    ProbableLabelMaps,
)
from recycling.splitting import Folds

logger = logging.getLogger(__name__)


def create_pipeline(plan: Plan, task: Task) -> Pipeline:
    """The chains of every model and fold of a task."""
    pool = pool_of(plan, task)
    chains = [_chain(member, pool, plan.start(member)) for member in plan.trained(task)]
    return Pipeline([n for chain in chains for n in chain])


def pool_of(plan: Plan, task: Task) -> str:
    """The dataset whose images a teacher of `task` labels.

    A classifier looks at crops, and where detectors are at hand theirs are the boxes to crop.
    """
    return "det.pseudo.annotations" if task == "cls" and "det" in plan.tasks else "pool.annotations"


def _chain(member: Trained, pool: str, start: Trained | None) -> list[Node]:
    space = member.namespace
    predict, score = PREDICT[member.task], SCORE[member.task]
    # A model without probabilities has a chain without them.
    predict_known = predict_masks_and_probabilities if member.has_probabilities else predict

    def outputs(part: str) -> str | list[str]:
        maps = f"{space}.{part}_predictions"
        return [maps, f"{space}.{part}_probabilities"] if member.has_probabilities else maps

    training = {
        "model": f"params:models.{member.model}",
        "recipes": "recipes",
        "runs": "runs",
        "training_part": f"{space}.training_part",
        "held_out_part": f"{space}.held_out_part",
        "images": "train.images",
    }
    if member.retrained:
        training["pseudo_labels"] = f"{member.task}.pseudo.annotations"
        training["pool_images"] = "pool.images"
    if start is not None:
        training["start"] = f"{start.namespace}.checkpoint"
    chain = [
        node(fold_selector(member.fold), ["train.annotations", "folds"],
             [f"{space}.training_part", f"{space}.held_out_part"],
             name="select_fold", namespace=space),
        node(trainer(member), training, f"{space}.checkpoint", name="train", namespace=space),
        node(predict_known, [f"{space}.checkpoint", f"{space}.held_out_part", "train.images"],
             outputs("out_of_fold"), name="predict_out_of_fold", namespace=space),
        node(predict_known, [f"{space}.checkpoint", "test.annotations", "test.images"],
             outputs("test"), name="predict_test", namespace=space),
        node(score, [f"{space}.held_out_part", f"{space}.out_of_fold_predictions"],
             f"{space}.out_of_fold_metrics", name="score_out_of_fold", namespace=space),
        node(SCORE_TEST[member.task], ["test.annotations", f"{space}.test_predictions"],
             f"{space}.test_metrics", name="score_test", namespace=space),
    ]  # fmt: skip
    if not member.retrained:
        chain.append(
            node(predict, [f"{space}.checkpoint", pool, "pool.images"],
                 f"{space}.pool_predictions", name="predict_pool", namespace=space)
        )  # fmt: skip
    return chain


def fold_selector(fold: int) -> Callable[[Annotations, Folds], tuple[Annotations, Annotations]]:
    """A node function that holds out one fold."""

    def select_fold(annotations: Annotations, folds: Folds) -> tuple[Annotations, Annotations]:
        """Divide the annotations into those to train on and those of the fold held out."""
        held_out = folds.loc[folds["fold"] == fold, "image_id"]
        if held_out.empty:
            raise PlanError(
                f"models.yml: fold {fold} is asked for, but the folds are "
                f"{', '.join(str(f) for f in sorted(folds['fold'].unique()))}"
            )
        training = folds.loc[folds["fold"] != fold, "image_id"]
        return annotations.of_images(training), annotations.of_images(held_out)

    return select_fold


def trainer(member: Trained) -> Callable[..., Checkpoint]:
    """A node function that trains one model on all folds but one."""

    def train(
        model: Model,
        recipes: Recipes,
        runs: RunFolder,
        training_part: Annotations,
        held_out_part: Annotations,
        images: ImageFolder,
        pseudo_labels: Annotations | None = None,
        pool_images: ImageFolder | None = None,
        start: Checkpoint | None = None,
    ) -> Checkpoint:
        """Train a model on all folds but one.

        Args:
            model: Its settings.
            recipes: Where its config is.
            runs: Where its logs go, in a folder of its own.
            training_part: The labelled images to learn from.
            held_out_part: Those of the fold that is held out.
            images: The files of both.
            pseudo_labels: Images that models have labelled, to learn from as well.
            pool_images: Their files.
            start: The model whose weights it starts from.
        """
        parts = [LabeledImages(training_part, images)]
        if pseudo_labels is not None and pool_images is not None:
            parts.append(LabeledImages(pseudo_labels, pool_images))
        if start is not None:
            model = model.model_copy(update={"pretrained": str(start.weights)})
        held_out = LabeledImages(held_out_part, images)
        # Of functions of this module, so that it can be sent to other processes.
        score = partial(_score, member.task, held_out_part)
        data = TrainingData(parts, held_out, training_part.categories, score)
        recipe = recipes.find(model.backend, model.recipe)
        _say_what_cannot_be_learnt(member, parts)
        return backend_for(model.backend).train(model, recipe, data, runs.path / member.namespace)

    return train


def _say_what_cannot_be_learnt(member: Trained, parts: Sequence[LabeledImages]) -> None:
    """Warn, on one line, of categories that no object is of on the images to learn from."""
    seen = {one for part in parts for one in part.annotations.annotations["category_id"].unique()}
    table = parts[0].annotations.categories
    lacking = table.loc[~table["category_id"].isin(seen), "name"]
    if not lacking.empty:
        logger.warning(
            "%s: nothing to learn from of %s: no such object is in the other folds; balance the "
            "folds, annotate some, or merge the category into another",
            member.namespace,
            ", ".join(map(repr, lacking)),
        )


def _score(task: Task, truth: Annotations, predictions: Predictions) -> float:
    return SCORE[task](truth, predictions).score


def predict_classes(
    checkpoint: Checkpoint, annotations: Annotations, folder: ImageFolder
) -> ClassProbabilities:
    """Give every annotated box of the images its class probabilities."""
    crops = annotations.annotations[~annotations.annotations["iscrowd"]]
    images = Images(annotations.images, folder, crops)
    return cast(ClassProbabilities, _predict(checkpoint, annotations, images))


def predict_boxes(
    checkpoint: Checkpoint, annotations: Annotations, folder: ImageFolder
) -> Detections:
    """Detect objects on the images; their annotations are not looked at."""
    images = Images(annotations.images, folder)
    return cast(Detections, _predict(checkpoint, annotations, images))


def predict_masks(
    checkpoint: Checkpoint, annotations: Annotations, folder: ImageFolder
) -> LabelMaps:
    """Label every pixel of the images; their annotations are not looked at."""
    images = Images(annotations.images, folder)
    return cast(LabelMaps, _predict(checkpoint, annotations, images))


def _predict(checkpoint: Checkpoint, annotations: Annotations, images: Images) -> Predictions:
    known, named = checkpoint.category_names, annotations.categories["name"].tolist()
    # Images to predict on may come without categories.
    if named and named != known:
        raise BackendError(
            f"{checkpoint.folder}: the model knows {', '.join(known)}, and the images are "
            f"annotated with {', '.join(named)}; train the model again"
        )
    return backend_for(checkpoint.backend).predict(checkpoint, images)


def predict_masks_and_probabilities(
    checkpoint: Checkpoint, annotations: Annotations, folder: ImageFolder
) -> tuple[LabelMaps, ProbabilityMaps]:
    """Label every pixel, and say how probable each label is; annotations are not looked at."""
    maps = cast(ProbableLabelMaps, predict_masks(checkpoint, annotations, folder))
    return maps, maps.probabilities


def score_classes(truth: Annotations, predictions: ClassProbabilities) -> Metrics:
    """Macro F1 of class probabilities against the truth."""
    return classification_metrics(truth, predictions)


def score_boxes(truth: Annotations, predictions: Detections) -> Metrics:
    """MAP50 of detections against the truth."""
    return detection_metrics(truth, predictions)


def score_masks(truth: Annotations, predictions: LabelMaps) -> Metrics:
    """MIoU of label maps against the truth."""
    return segmentation_metrics(truth, predictions)


def where_truth_is_known(score: Callable[..., Metrics], metric: str) -> Callable[..., Metrics]:
    """A node function that scores predictions on images that may be without annotations.

    Args:
        score: What scores them where they have some.
        metric: What it is called.
    """

    @wraps(score)
    def score_test(truth: Annotations, predictions: object) -> Metrics:
        if truth.annotations["iscrowd"].all():
            return Metrics(metric, nan, {}, {})
        return score(truth, predictions)

    return score_test


PREDICT: dict[Task, Callable[..., object]] = {
    "cls": predict_classes,
    "det": predict_boxes,
    "seg": predict_masks,
}
SCORE: dict[Task, Callable[..., Metrics]] = {
    "cls": score_classes,
    "det": score_boxes,
    "seg": score_masks,
}
SCORE_TEST: dict[Task, Callable[..., Metrics]] = {
    "cls": where_truth_is_known(score_classes, "macro F1"),
    "det": where_truth_is_known(score_boxes, "mAP50"),
    "seg": where_truth_is_known(score_masks, "mIoU"),
}
