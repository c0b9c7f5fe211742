"""Searching, on out-of-fold predictions, for who is in an ensemble and how it is fused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import pandas as pd
from kedro.pipeline import Node, node

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
from recycling.evaluation import score_of
from recycling.pipelines.fusing import (
    Choice,
    image_sizes,
    part_key,
    parts_of_files,
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
from recycling.predictions import ClassProbabilities
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
    inputs |= {m.name: m.out_of_fold_predictions for m in ensemble.judges}
    inputs |= parts_of_files(ensemble)
    if ensemble.search.probabilities:
        inputs |= {probabilities_key(m.name): m.out_of_fold_probabilities for m in ensemble.judges}
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
            problem_of(task, settings, train, folds, members, metric),
            n_trials=settings.trials,
            timeout_s=settings.seconds,
            seed=settings.seed,
            storage=journals,
        )
        return _choice(found), found.table(), found.history

    return with_types(search_ensemble, metric=METRIC[task])


def _choice(found: Found) -> Choice:
    return {**found.best.to_dict(), "searched": [choice.to_dict() for choice in found.choices]}


def problem_of(
    task: Task,
    settings: Search,
    train: Annotations,
    folds: Folds,
    members: Mapping[str, Any],
    metric: PickedSettings,
) -> Problem[Any]:
    """Choose among the models of a task by what it is judged by.

    Args:
        task: What is predicted.
        settings: Those of the search.
        train: The labelled images.
        folds: The fold of each.
        members: The out-of-fold predictions of each member, by its name; by `probabilities_key`
            the probabilities beside label maps: soft votes are tried where all members have some;
            by `part_key` which labelled images a file predicts.
        metric: What fused predictions are scored by.
    """
    files = {name: members[key] for name in members if (key := part_key(name)) in members}
    of_members = {key: own for key, own in members.items() if key not in map(part_key, files)}
    predictions, planes = predictions_and_probabilities(of_members)
    images = common_images(train, folds, predictions, files)
    part_of = parts(images, folds, settings.parts, settings.seed)
    methods = settings.methods(task)

    @cache  # hundreds of ensembles are scored on the same few parts
    def truth(image_ids: tuple[int, ...]) -> Annotations:
        return train.of_images(list(image_ids))

    def score(fused: Any, image_ids: Any) -> float:
        return score_of(metric, truth(tuple(image_ids)), fused)

    if task == "cls":
        return _crop_problem(predictions, train, part_of, score, methods)
    if task == "det":
        return detection_problem(joined_tables(predictions), score, part_of, methods=methods)
    probabilities = {model: joined(own) for model, own in by_model(planes).items()}
    return mask_problem(
        {model: joined(own) for model, own in by_model(predictions).items()},
        score,
        part_of,
        probabilities=probabilities or None,
        sizes=image_sizes(images),
        methods=methods,
    )


def _crop_problem(
    members: Mapping[str, ClassProbabilities],
    train: Annotations,
    part_of: pd.DataFrame,
    score: Callable[[Any, Any], float],
    methods: Sequence[str] | None,
) -> Problem[ClassProbabilities]:
    """Crops are in the part that their image is in."""
    crops = train.annotations.loc[~train.annotations["iscrowd"], ["annotation_id", "image_id"]]
    crops = crops.merge(part_of[["image_id", "fold"]], on="image_id")
    image_of = crops.set_index("annotation_id")["image_id"]
    return class_problem(
        joined_tables(members),
        lambda fused, ids: score(fused, image_of[ids].drop_duplicates()),
        crops[["annotation_id", "fold"]],
        methods=methods,
    )
