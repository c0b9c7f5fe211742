"""Searching, on out-of-fold predictions, for who is in an ensemble and how it is fused."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from kedro.pipeline import Node, node

from recycling.annotations import Annotations
from recycling.annotations.masks import label_maps
from recycling.backends import RunFolder
from recycling.backends.shared.model import Task
from recycling.ensembling import (
    CALIBRATIONS,
    Choices,
    Found,
    History,
    Judge,
    Problem,
    choice_sentence,
    class_problem,
    detection_problem,
    mask_problem,
    method_of,
    search,
    weighted_by_model,
)
from recycling.evaluation import image_scores, metric_of, right_boxes, score_of, scored_groups
from recycling.pipelines.calibrating import crop_labels
from recycling.pipelines.fusing import Choice, image_sizes, parts_of_files
from recycling.pipelines.out_of_fold import Gathered, gather, probabilities_key
from recycling.pipelines.scoring import metric_parameter
from recycling.pipelines.tasks import METRIC, with_types
from recycling.plan import FUSION, EnsemblePlan, Search
from recycling.predictions import LabelMaps, ProbabilityMaps
from recycling.registry import PickedSettings
from recycling.splitting import Folds

logger = logging.getLogger(__name__)

LIBRARIES = ("numba", "numpy", "optuna", "pycocotools", "scikit-learn")
"""What trials are drawn and fused with: with another version of one, a search begins anew."""


def search_nodes(ensemble: EnsemblePlan) -> list[Node]:
    """The search for an ensemble, where `models.yml` asks for one."""
    if ensemble.search is None:
        return []
    space = ensemble.namespace
    inputs = {
        "settings": ensemble.search.settings,
        "default": ensemble.settings,
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
    names = [member.name for member in ensemble.members]
    return [
        node(searcher(ensemble.task, ensemble.name, names), inputs, outputs, name="search_ensemble",
             namespace=space),
    ]  # fmt: skip


def searcher(
    task: Task, ensemble: str, names: Sequence[str]
) -> Callable[..., tuple[Choice, Choices, History]]:
    """A node function that searches for an ensemble.

    Args:
        task: What is predicted.
        ensemble: Its name.
        names: Its members, each of which has a weight where the default gives some.
    """

    def search_ensemble(
        settings: Search,
        default: PickedSettings,
        train: Annotations,
        folds: Folds,
        runs: RunFolder,
        metric: PickedSettings,
        **members: Any,
    ) -> tuple[Choice, Choices, History]:
        """Search on out-of-fold predictions for the best ensemble."""
        journals = runs.path / "searches" / task / ensemble
        default = weighted_by_model(default, names)
        problem = problem_of(task, settings, train, folds, members, metric, default)
        found = search(
            problem,
            n_trials=settings.trials,
            timeout_s=settings.seconds,
            seed=settings.seed,
            storage=journals,
            code=code_of(task, (method.name for method in problem.methods)),
            data=data_of(train, members, metric),
        )
        logger.info("%s.%s: %s", task, ensemble, choice_sentence(found.table()))
        return _choice(found), found.table(), found.history

    return with_types(search_ensemble, default=FUSION[task], metric=METRIC[task])


def code_of(task: Task, methods: Iterable[str]) -> str:
    """A hash of the code that fuses, and of the versions of the libraries that it takes.

    Counted are all of the project's methods with what is around them, and the file or package that
    each method or calibration of one's own is in; not what that imports.

    Args:
        task: What is fused.
        methods: The names of the methods.
    """
    registry = FUSION[task].registry
    modules = {"recycling.ensembling", *(each.thing.__module__ for each in CALIBRATIONS.values())}
    modules |= {registry[name].settings.__module__ for name in methods}
    digest = sha256(" ".join(map(version, LIBRARIES)).encode())
    for module in sorted(modules):
        file = Path(getattr(sys.modules.get(module), "__file__", None) or "")
        is_package = file.name == "__init__.py"
        for path in sorted(file.parent.rglob("*.py")) if is_package else [file]:
            if path.is_file():
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def data_of(truth: Annotations, members: Mapping[str, Any], metric: PickedSettings) -> str:
    """A hash of what members predict, of the truth and of how they are scored by it.

    Args:
        truth: The labelled images.
        members: As `gather` takes them.
        metric: With its settings.
    """
    digest = sha256(metric.model_dump_json().encode())
    told = {"images": truth.images, "annotations": truth.annotations, "names": truth.categories}
    for name, own in [*told.items(), *sorted(members.items())]:
        if isinstance(own, pd.DataFrame):
            digest.update(json.dumps([name, len(own), list(own)]).encode())
            digest.update(pd.util.hash_pandas_object(own, index=False).to_numpy().tobytes())
        # What files are of, the parts of the search tell.
        elif isinstance(own, LabelMaps | ProbabilityMaps):
            digest.update(json.dumps([name, len(own)]).encode())
            for image_id, values in own.items():
                digest.update(json.dumps([image_id, values.shape]).encode())
                digest.update(values.tobytes())
    return digest.hexdigest()


def _choice(found: Found) -> Choice:
    return {**found.best.to_dict(), "searched": [choice.to_dict() for choice in found.choices]}


def problem_of(
    task: Task,
    settings: Search,
    train: Annotations,
    folds: Folds,
    members: Mapping[str, Any],
    metric: PickedSettings,
    default: PickedSettings | None = None,
) -> Problem[Any]:
    """Choose among the models of a task by what it is judged by.

    Args:
        task: What is predicted.
        settings: Those of the search.
        train: The labelled images.
        folds: The fold of each.
        members: As `gather` takes them. Soft votes are tried where all members have probabilities.
        metric: What fused predictions are scored by.
        default: How members are fused where nothing is searched for.
    """
    gathered = gather(task, train, folds, members, n_parts=settings.parts, seed=settings.seed)
    return problem_of_gathered(gathered, metric, default=default, methods=settings.methods(task))


def problem_of_gathered(
    gathered: Gathered,
    metric: PickedSettings,
    *,
    default: PickedSettings | None = None,
    methods: Sequence[str] | None = None,
) -> Problem[Any]:
    """As `problem_of`, of predictions that are gathered already.

    Of methods that learn from labels, which take long, only those that are named are there.
    """
    task, truth = gathered.task, gathered.truth
    if default is not None and method_of(default).learns == "labels":
        default = None
    is_quick = metric_of(metric).image_scores is not None
    judge = _judge(gathered, metric) if is_quick else None

    @cache  # hundreds of ensembles are scored on the same few parts
    def part_of_truth(image_ids: tuple[int, ...]) -> Annotations:
        return truth.of_images(list(image_ids))

    def score(fused: Any, image_ids: Any) -> float:
        return score_of(metric, part_of_truth(tuple(image_ids)), fused)

    if task == "det":
        return detection_problem(
            gathered.members,
            None if judge else score,
            gathered.rows,
            methods=methods,
            default=default,
            judge=judge,
            right=partial(right_boxes, truth),
        )
    if task == "seg":
        return mask_problem(
            gathered.members,
            None if judge else score,
            gathered.rows,
            probabilities=gathered.probabilities or None,
            sizes=image_sizes(truth.images),
            methods=methods,
            default=default,
            judge=judge,
            truth=label_maps(truth),
        )
    image_of = truth.annotations.set_index("annotation_id")["image_id"]
    registry = FUSION["cls"].registry
    quick = [name for name, entry in registry.items() if entry.thing.learns != "labels"]
    return class_problem(
        gathered.members,
        None if judge else lambda fused, ids: score(fused, image_of[ids].drop_duplicates()),
        gathered.rows,
        truth=crop_labels(truth),
        methods=quick if methods is None else methods,
        default=default,
        judge=judge,
    )


def _judge(gathered: Gathered, metric: PickedSettings) -> Judge[Any]:
    """Scores image by image."""
    truth = gathered.truth
    group_of = scored_groups(metric, truth)
    fold_of = gathered.parts.set_index("image_id")["fold"].loc[group_of.index]
    return Judge(
        lambda fused: image_scores(metric, truth, {"the ensemble": fused})["the ensemble"].scores,
        part=np.unique(fold_of, return_inverse=True)[1],
        group=pd.factorize(group_of)[0],
    )
