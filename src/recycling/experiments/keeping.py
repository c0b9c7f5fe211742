"""Which checkpoints of earlier runs are kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from recycling.experiments.listing import OUT_OF_FOLD, models_table
from recycling.experiments.manifest import Manifest
from recycling.registry import Settings

Rule = Literal["best", "last", "named", "all"]


class Experiments(Settings):
    """What is kept of earlier runs; manifests and predictions always are.

    Attributes:
        keep: Of each model the checkpoint of the run that scored `best` out of fold (by each
            metric, and on each set of folds, that runs were scored by), of the `last` run, of runs
            that were `named`; or `all`.
    """

    keep: Annotated[tuple[Rule, ...], Field(min_length=1)] = ("best", "last", "named")


def checkpoints_to_remove(
    runs: Iterable[Manifest], keep: Collection[Rule]
) -> list[tuple[str, str]]:
    """The checkpoints that no rule keeps.

    Args:
        runs: The manifests, the oldest first.
        keep: The rules.

    Returns:
        The id of the run and the dataset of each.

    Example:
        >>> def run(run_id, score):
        ...     scored = {"metric": "mAP50", "score": score, "details": {}}
        ...     return Manifest(
        ...         run_id, {}, "", scores={"det.yolox.fold0.out_of_fold_metrics": scored},
        ...         trainings={"det.yolox.fold0.checkpoint": {"model": {"seed": 0}, "seconds": 1}},
        ...     )
        >>> runs = [run("a", 0.5), run("b", 0.3), run("c", 0.4)]
        >>> checkpoints_to_remove(runs, ["best", "last"])
        [('b', 'det.yolox.fold0.checkpoint')]
    """
    runs = list(runs)
    if "all" in keep or not runs:
        return []
    table = models_table(runs)
    of_model: dict[str, list[Manifest]] = {}
    for run in runs:
        for model in dict.fromkeys(map(_model, run.trainings)):
            of_model.setdefault(model, []).append(run)
    kept = set()
    for model, own in of_model.items():
        chosen = [own[-1].run_id] if "last" in keep else []
        if "named" in keep:
            chosen += [run.run_id for run in own if run.name]
        if "best" in keep:
            chosen += _best(table, model, own)
        kept |= {(run_id, model) for run_id in chosen}
    return [
        (run.run_id, name)
        for run in runs
        for name in sorted(run.trainings)
        if (run.run_id, _model(name)) not in kept
    ]


def _model(checkpoint: str) -> str:
    """The task and model that a checkpoint is of.

    >>> _model("det.yolox.fold0.checkpoint")
    'det.yolox'
    """
    return ".".join(checkpoint.split(".")[:2])


def _best(models: pd.DataFrame, model: str, runs: Iterable[Manifest]) -> list[str]:
    """The runs that trained a model and scored best out of fold, by each metric on the same folds.

    Folds are not equally hard: means over others tell nothing of which is better.
    """
    if models.empty:
        return []
    # A run that fuses has the scores of its members, and none of their checkpoints.
    own = models[(models["task"] + "." + models["model"] == model) & models["checkpoint"].notna()]
    own = own.assign(out_of_fold=pd.to_numeric(own["out_of_fold"])).dropna(subset=["out_of_fold"])
    folds = own["run"].map({run.run_id: _folds(run, model) for run in runs})
    best = own.groupby(["metric", folds])["out_of_fold"].idxmax()
    return [str(run) for run in own.loc[best, "run"]]


def _folds(run: Manifest, model: str) -> str:
    """The names of a model's scores out of fold, one a fold.

    >>> score = {"metric": "mAP50", "score": 0.5, "details": {}}
    >>> _folds(
    ...     Manifest("a", {}, "", scores={"det.yolox.fold1.out_of_fold_metrics": score}),
    ...     "det.yolox",
    ... )
    'det.yolox.fold1.out_of_fold_metrics'
    """
    return " ".join(
        sorted(
            name
            for name in run.scores
            if name.startswith(f"{model}.") and name.endswith(f".{OUT_OF_FOLD}")
        )
    )
