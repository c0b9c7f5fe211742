"""An ensemble's predictions of labelled images, none by what has seen their labels.

They explain an ensemble where the test images have no labels, as in every competition: for each
part of the images, what is learnt or chosen comes from the other parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import GenericAlias
from typing import Any

import pandas as pd
from kedro.pipeline import Node, node

from recycling.annotations import Annotations
from recycling.backends.shared.model import Task
from recycling.diagnostics import leave_one_out
from recycling.ensembling import Candidate, Problem, Scores, method_of, weighted_by_model
from recycling.pipelines.fusing import Choice, parts_of_files, used_members
from recycling.pipelines.out_of_fold import Gathered, gather, probabilities_key
from recycling.pipelines.scoring import metric_parameter
from recycling.pipelines.searching import problem_of_gathered
from recycling.pipelines.tasks import METRIC, PREDICTIONS, with_types
from recycling.plan import FUSION, EnsemblePlan, Search
from recycling.predictions import LabelMaps, ProbabilityMaps
from recycling.registry import PickedSettings
from recycling.splitting import Folds

EXPLAINED = ("explained_truth", "explained_predictions", "explained_members", "explained_without")
"""What is explained: the truth, the ensemble, its members, and the ensemble without each."""


def held_out_nodes(ensemble: EnsemblePlan) -> list[Node]:
    """What is explained of an ensemble, from out-of-fold predictions."""
    space = ensemble.namespace
    inputs = {
        "settings": ensemble.settings,
        "train": "train.annotations",
        "folds": "folds",
        "metric": metric_parameter(ensemble.task),
    }
    inputs |= {m.name: m.out_of_fold_predictions for m in ensemble.judges}
    inputs |= parts_of_files(ensemble)
    if ensemble.fuses_probabilities:
        inputs |= {probabilities_key(m.name): m.out_of_fold_probabilities for m in ensemble.judges}
    if ensemble.search is not None:
        inputs |= {"search": ensemble.search.settings, "choice": f"{space}.choice"}
    truth, fused, members, without = (f"{space}.{name}" for name in EXPLAINED)
    return [
        node(held_out_fuser(ensemble.task, [m.name for m in ensemble.members]), inputs,
             [truth, fused, members, without], name="fuse_out_of_fold", namespace=space),
    ]  # fmt: skip


def held_out_fuser(
    task: Task, names: Sequence[str]
) -> Callable[..., tuple[Annotations, Any, dict[str, Any], Any]]:
    """A node function that fuses out-of-fold predictions, all and without each model.

    Args:
        task: What is predicted.
        names: The members, each of which has a weight where the settings give some.
    """

    def fuse_out_of_fold(
        settings: PickedSettings,
        train: Annotations,
        folds: Folds,
        metric: PickedSettings,
        choice: Choice | None = None,
        search: Search | None = None,
        **members: Any,
    ) -> tuple[Annotations, Any, dict[str, Any], dict[str, Any]]:
        """Fuse out-of-fold predictions, each part by what was learnt and chosen on the others."""
        settings = weighted_by_model(settings, names)
        n_parts, seed = (5, 0) if search is None else (search.parts, search.seed)
        learns = choice is None and method_of(settings).learns == "labels"
        least = 4 if learns else 2  # what learns from labels does so in folds of the other parts
        gathered = gather(task, train, folds, members, n_parts=n_parts, seed=seed, least=least)
        methods = [getattr(settings, settings.key)] if learns else None
        problem = problem_of_gathered(gathered, metric, default=settings, methods=methods)
        ensembles = _ensembles(problem, choice, methods)
        scores = Scores(problem)

        def fused(others: list[str]) -> Any:
            (left_out,) = set(used) - set(others)
            left = [without_member(left_out, own, others, problem) for own in ensembles]
            return cross_fused(scores, left, gathered)

        used = used_members(problem.names, settings, choice)
        whole = cross_fused(scores, ensembles, gathered)
        return gathered.truth, whole, gathered.members, leave_one_out(used, fused)

    own = PREDICTIONS[task]
    returns = GenericAlias(tuple, (Annotations, own, dict[str, Any], dict[str, Any]))
    members = own | Annotations | (ProbabilityMaps if task == "seg" else own)
    return with_types(
        fuse_out_of_fold,
        settings=FUSION[task],
        search=Search,
        metric=METRIC[task],
        members=members,
        returns=returns,
    )


def _ensembles(
    problem: Problem[Any], choice: Choice | None, methods: Sequence[str] | None
) -> list[Candidate]:
    """The ensemble of each part: as it is configured, or as it was chosen on the other parts."""
    if choice is not None:
        without = choice["chosen_without"]
        return [Candidate.from_dict(without[str(fold)]) for fold in problem.folds]
    if methods is None:
        return [problem.as_default(problem.names)] * len(problem.folds)
    weights = tuple((name, 1) for name in problem.names)
    return [Candidate(methods[0], weights)] * len(problem.folds)


def without_member(
    left_out: str, chosen: Candidate, others: Sequence[str], problem: Problem[Any]
) -> Candidate:
    """An ensemble without one of its members, and with all of its others.

    Where none is left, the default of the `others` that are used anywhere is what one would do.
    """
    weights = tuple((name, weight) for name, weight in chosen.weights if name != left_out)
    if not weights:
        return problem.as_default(tuple(sorted(others)))
    return Candidate(chosen.method, weights, chosen.settings)


def cross_fused(scores: Scores[Any], ensembles: Sequence[Candidate], gathered: Gathered) -> Any:
    """The predictions for all parts, each by its own ensemble, which knows nothing of its truth."""
    pieces = [scores.fused(chosen, part) for part, chosen in enumerate(ensembles)]
    part_of = gathered.part_of_rows
    if gathered.task == "seg":
        by_part: Mapping[int, LabelMaps] = dict(enumerate(pieces))
        ids = gathered.truth.images["image_id"].tolist()
        return LabelMaps(ids, lambda image_id: by_part[part_of[image_id]][image_id])
    key = gathered.key
    rows = [piece[part_of.loc[piece[key]].to_numpy() == part] for part, piece in enumerate(pieces)]
    return pd.concat(rows, ignore_index=True)
