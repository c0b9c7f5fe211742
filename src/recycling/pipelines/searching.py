"""Searching, on out-of-fold predictions, for who is in an ensemble and how it is fused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kedro.pipeline import Node, node
from numpy.typing import NDArray

from recycling.annotations import Annotations
from recycling.backends import RunFolder
from recycling.backends.shared.model import Task
from recycling.ensembling import (
    Choices,
    Found,
    History,
    Problem,
    class_problem,
    detection_problem,
    mask_problem,
    search,
)
from recycling.evaluation import evaluate
from recycling.pipelines.fusing import (
    Choice,
    image_sizes,
    predictions_and_probabilities,
    probabilities_key,
)
from recycling.pipelines.out_of_fold import (
    by_model,
    common_images,
    joined,
    joined_tables,
    parts,
)
from recycling.pipelines.scoring import metric_parameter
from recycling.pipelines.tasks import METRIC, with_types
from recycling.plan import EnsemblePlan, Search
from recycling.predictions import ClassProbabilities, Detections, LabelMaps, ProbabilityMaps
from recycling.registry import PickedSettings
from recycling.splitting import Folds


def search_nodes(ensemble: EnsemblePlan) -> list[Node]:
    """The search for an ensemble, where `models.yml` asks for one."""
    if ensemble.search is None:
        return []
    space = ensemble.namespace
    inputs = {
        "settings": ensemble.search.settings,
        "train": "train.annotations",
        "folds": "folds",
        "runs": "runs",
        "metric": metric_parameter(ensemble.task),
    }
    inputs |= {m.name: m.out_of_fold_predictions for m in ensemble.members}
    if ensemble.search.probabilities:
        inputs |= {probabilities_key(m.name): m.out_of_fold_probabilities for m in ensemble.members}
    outputs = [f"{space}.choice", f"{space}.choices", f"{space}.search_history"]
    return [
        node(searcher(ensemble.task, ensemble.name), inputs, outputs, name="search",
             namespace=space),
    ]  # fmt: skip


def searcher(task: Task, ensemble: str) -> Callable[..., tuple[Choice, Choices, History]]:
    """A node function that searches for an ensemble."""

    def search_ensemble(
        settings: Search,
        train: Annotations,
        folds: Folds,
        runs: RunFolder,
        metric: PickedSettings,
        **members: Any,
    ) -> tuple[Choice, Choices, History]:
        """Search on out-of-fold predictions for the best ensemble."""
        journals = runs.path / "searches" / task / ensemble
        journals.mkdir(parents=True, exist_ok=True)
        found = search(
            PROBLEM[task](settings, train, folds, members, metric),
            n_trials=settings.trials,
            timeout_s=settings.seconds,
            seed=settings.seed,
            storage=journals,
        )
        return _choice(found), found.table(), found.history

    return with_types(search_ensemble, metric=METRIC[task])


def _choice(found: Found) -> Choice:
    return {**found.best.to_dict(), "searched": [choice.to_dict() for choice in found.choices]}


def box_problem(
    settings: Search,
    train: Annotations,
    folds: Folds,
    members: Mapping[str, Detections],
    metric: PickedSettings,
) -> Problem[Detections]:
    """Choose among detectors by what detection is judged by."""
    images = common_images(train, folds, members)
    return detection_problem(
        joined_tables(members),
        lambda fused, ids: evaluate(metric, train.of_images(ids.tolist()), fused).score,
        parts(images, folds, settings.parts, settings.seed),
        methods=settings.det,
    )


def pixel_problem(
    settings: Search,
    train: Annotations,
    folds: Folds,
    members: Mapping[str, LabelMaps | ProbabilityMaps],
    metric: PickedSettings,
) -> Problem[LabelMaps]:
    """Choose among segmentation models with soft votes where all have planes."""
    maps, planes = predictions_and_probabilities(members)
    images = common_images(train, folds, maps)
    return mask_problem(
        {model: joined(own) for model, own in by_model(maps).items()},
        lambda fused, ids: evaluate(metric, train.of_images(ids.tolist()), fused).score,
        parts(images, folds, settings.parts, settings.seed),
        probabilities={model: joined(own) for model, own in by_model(planes).items()} or None,
        sizes=image_sizes(images),
        methods=settings.seg,
    )


def crop_problem(
    settings: Search,
    train: Annotations,
    folds: Folds,
    members: Mapping[str, ClassProbabilities],
    metric: PickedSettings,
) -> Problem[ClassProbabilities]:
    """Choose among classifiers by what classification is judged by."""
    images = common_images(train, folds, members)
    crops = train.annotations.loc[~train.annotations["iscrowd"], ["annotation_id", "image_id"]]
    part_of = parts(images, folds, settings.parts, settings.seed).set_index("image_id")["fold"]
    crops = crops[crops["image_id"].isin(part_of.index)]
    image_of = crops.set_index("annotation_id")["image_id"]

    def score(fused: ClassProbabilities, ids: NDArray[Any]) -> float:
        return evaluate(metric, train.of_images(image_of[ids].drop_duplicates()), fused).score

    return class_problem(
        joined_tables(members),
        score,
        crops.assign(fold=crops["image_id"].map(part_of))[["annotation_id", "fold"]],
        methods=settings.cls,
    )


PROBLEM: dict[Task, Callable[..., Problem[Any]]] = {
    "cls": crop_problem,
    "det": box_problem,
    "seg": pixel_problem,
}
