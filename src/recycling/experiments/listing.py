"""Runs, and the models and ensembles in them, as tables to sort and filter."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from recycling.errors import printable
from recycling.experiments.manifest import ExperimentError, Manifest

TEST, OUT_OF_FOLD = "test_metrics", "out_of_fold_metrics"

_OF_CONDITIONS = (
    ast.Expression, ast.BoolOp, ast.boolop, ast.UnaryOp, ast.unaryop, ast.Compare, ast.cmpop,
    ast.BinOp, ast.BitAnd, ast.BitOr, ast.Name, ast.Constant, ast.List, ast.Tuple, ast.Load,
)  # fmt: skip


def runs_table(runs: Iterable[Manifest]) -> pd.DataFrame:
    """One row a run, the newest first.

    Args:
        runs: Their manifests, the oldest first.

    Returns:
        Columns `run, name, state, pipelines, env, commit, minutes, nodes, memory_mb, warnings`, and
        for each ensemble that was scored on the test images `TASK.ENSEMBLE`.
    """
    rows = []
    for run in reversed(list(runs)):
        asked = run.asked
        row = {
            "run": run.run_id,
            "name": run.name or "",
            "state": run.state,
            "pipelines": ", ".join(asked.get("pipeline_names") or ["all"]),
            "env": asked.get("env") or "",
            "commit": _commit(run),
            "minutes": run.minutes,
            "nodes": len(run.nodes),
            "memory_mb": run.memory_mb,
            "warnings": len(run.warnings),
        }
        scored = (own for own in scored_things(run) if own["fold"] is None)
        row |= {f"{own['task']}.{own['name']}": own["test"] for own in scored}
        rows.append(row)
    return pd.DataFrame(rows)


def models_table(runs: Iterable[Manifest]) -> pd.DataFrame:
    """One row a run and model or ensemble, the newest first.

    Args:
        runs: Their manifests, the oldest first.

    Returns:
        Columns `run, name, task, model, folds, metric, out_of_fold, low, high, test, seed, minutes,
        images_per_second, steps, checkpoint`. Scores of a model are the means over its folds, its
        interval that of its only fold; further figures of the metric, such as `mAP50_small`, have
        columns of their own.
    """
    rows = []
    for run in reversed(list(runs)):
        things: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for own in scored_things(run):
            things.setdefault((own["task"], own["name"]), []).append(own)
        for (task, name), folds in things.items():
            rows.append({"run": run.run_id, "name": run.name or "", **_row(task, name, folds, run)})
    return pd.DataFrame(rows)


def best_checkpoint(models: pd.DataFrame, task: str, metric: str) -> dict[str, Any]:
    """The row of the model of a task that is best by a metric out of fold.

    Only those that were scored on the most folds are compared: a mean over fewer is another thing.

    Args:
        models: From `models_table`.
        task: `cls`, `det` or `seg`.
        metric: What the task is judged by (`mAP50`), or another figure of it (`mAP50_small`).

    Raises:
        ExperimentError: No trained model of that task has that score.
    """
    own = models
    if len(models):
        own = models.loc[(models["task"] == task) & models["checkpoint"].notna()]
    if own.empty:
        raise ExperimentError(f"no run has trained a model of {task!r}")
    titles: list[str] = sorted(map(str, own["metric"].dropna().unique()))
    column = "out_of_fold" if metric in titles else metric
    if column in COLUMNS and metric not in titles:
        own = own.drop(columns=column)  # of the run, and no score
    scored = own[own["metric"] == metric] if column == "out_of_fold" else own
    if column not in own or scored[column].isna().all():
        figures = [str(name) for name in own if own[name].notna().any() and name not in COLUMNS]
        known = ", ".join([*titles, *sorted(figures)])
        raise ExperimentError(f"no model of {task!r} has a score {metric!r}; there are {known}")
    scored = scored.dropna(subset=[column])
    scored = scored[scored["folds"] == scored["folds"].max()]
    best = scored.sort_values(column, ascending=metric in SMALL_IS_GOOD, kind="stable").iloc[0]
    return {str(key): value for key, value in best.items()}


def by_chain(names: Iterable[str]) -> list[str]:
    """The names of nodes, those of a chain together.

    Example:
        >>> by_chain(["cls.resnet18.fold0.train", "cls.resnet18.fold0.predict", "report"])
        ['cls.resnet18.fold0: train, predict', 'report']
    """
    chains: dict[str, list[str]] = {}
    for name in names:
        chain, _, step = name.rpartition(".")
        chains.setdefault(chain, []).append(step)
    return [
        f"{chain}: {', '.join(steps)}" if chain else ", ".join(steps)
        for chain, steps in chains.items()
    ]


SMALL_IS_GOOD = ("log_loss", "classes_without_truth", "absent_classes")
"""Figures of a metric of which less is better."""

COLUMNS = (
    "run", "name", "task", "model", "folds", "metric", "out_of_fold", "low", "high", "test", "seed",
    "minutes", "images_per_second", "steps", "checkpoint",
)  # fmt: skip


def scored_things(run: Manifest) -> list[dict[str, Any]]:
    """Each ensemble, and each fold of a model, that a run has scored.

    Returns:
        Dictionaries of `task, name, fold, metric, test, out_of_fold, low, high, details,
        checkpoint`; `fold` is None for an ensemble.
    """
    found: dict[str, dict[str, Any]] = {}
    for dataset, scores in run.scores.items():
        space, _, kind = dataset.rpartition(".")
        if kind not in (TEST, OUT_OF_FOLD) or space.split(".")[1:2] == ["external"]:
            continue
        task, name, *rest = space.split(".")
        fold = rest[0] if rest else None
        own = found.setdefault(
            space,
            {"task": task, "name": name, "fold": fold, "details": {}, "test": None,
             "out_of_fold": None, "low": None, "high": None, "metric": scores["metric"],
             "checkpoint": f"{space}.checkpoint" if fold else None},
        )  # fmt: skip
        own["test" if kind == TEST else "out_of_fold"] = scores["score"]
        if kind == (OUT_OF_FOLD if fold else TEST):
            own["details"] = scores["details"]
            own["low"], own["high"] = scores.get("interval") or (None, None)
    return list(found.values())


def _row(task: str, name: str, folds: list[dict[str, Any]], run: Manifest) -> dict[str, Any]:
    checkpoints = {own["fold"]: own["checkpoint"] for own in folds if own["checkpoint"]}
    trained = {fold: name for fold, name in checkpoints.items() if name in run.trainings}
    known = [run.trainings[name] for name in trained.values()]
    row = {
        "task": task,
        "model": name,
        "folds": sum(own["out_of_fold"] is not None for own in folds),
        "metric": folds[0]["metric"],
        "out_of_fold": _mean(own["out_of_fold"] for own in folds),
        "low": folds[0]["low"] if len(folds) == 1 else None,
        "high": folds[0]["high"] if len(folds) == 1 else None,
        "test": _mean(own["test"] for own in folds),
        "seed": known[0]["model"]["seed"] if known else None,
        "minutes": sum(float(facts["seconds"]) for facts in known) / 60 if known else None,
        "images_per_second": _mean(facts.get("images_per_second") for facts in known),
        "steps": _mean(facts.get("iterations") for facts in known),
        "checkpoint": trained.get("fold_all", next(iter(trained.values()), None)),
    }
    details: dict[str, list[float]] = {}
    for own in folds:
        for key, value in own["details"].items():
            details.setdefault(key, []).append(float(value))
    return row | {key: fmean(values) for key, values in details.items()}


def _mean(values: Iterable[Any]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return fmean(known) if known else None


def _commit(run: Manifest) -> str:
    """The commit, with a plus where files were not as it has them."""
    return "" if run.commit is None else run.commit[:7] + ("" if run.is_clean else "+")


def chosen_rows(
    table: pd.DataFrame, *, sort: str | None, where: str | None, columns: str | None
) -> pd.DataFrame:
    """Sort, filter and cut a table as a command line says.

    Args:
        table: From `runs_table` or `models_table`.
        sort: A column, largest first; smallest first with a `-` before it.
        where: A condition on columns: `task == "det" and out_of_fold > 0.5`.
        columns: Names of columns, with commas.

    Raises:
        ExperimentError: There is no such column, or the condition cannot be read.

    Example:
        >>> table = pd.DataFrame({"model": ["a", "b"], "test": [0.5, 0.75]})
        >>> chosen_rows(table, sort="test", where="test > 0.4", columns="model")["model"].tolist()
        ['b', 'a']
    """
    if where:
        try:
            table = _rows_where(where, table)
        except Exception as error:  # pandas raises what its parser, or Python's, does
            raise ExperimentError(f"--filter {where!r}: {error}; write a condition") from error
    if sort:
        _check_columns([sort.lstrip("-")], table, "--sort")
        table = table.sort_values(sort.lstrip("-"), ascending=sort.startswith("-"), kind="stable")
    if columns:
        names = [name.strip() for name in columns.split(",") if name.strip()]
        _check_columns(names, table, "--columns")
        table = table[names]
    return table


def _rows_where(where: str, table: pd.DataFrame) -> pd.DataFrame:
    """The rows that a condition holds for.

    It may come from an address, and pandas would look up attributes and call them: columns are
    compared, and nothing else. A column with a dot stands between backticks.
    """
    quoted: dict[str, str] = {}

    def name_of(found: re.Match[str]) -> str:
        return quoted.setdefault(found[1], f"quoted_{len(quoted)}")

    tree = ast.parse(re.sub("`([^`]+)`", name_of, where).strip(), mode="eval")
    columns = {str(name): str(name) for name in table} | {own: name for name, own in quoted.items()}
    for node in ast.walk(tree):
        if not isinstance(node, _OF_CONDITIONS):
            raise ValueError(f"{type(node).__name__} is not read, only comparisons of columns")
        if isinstance(node, ast.Name) and columns.get(node.id) not in table:
            name = columns.get(node.id, node.id)
            raise ValueError(f"no column {name!r}; there are {', '.join(map(str, table))}")
        if isinstance(node, ast.Constant) and "`" in str(node.value):
            raise ValueError("a text with a backtick")
    named = table.assign(**{own: table[name] for name, own in quoted.items()})
    return named.query(ast.unparse(tree))[table.columns]


def _check_columns(names: list[str], table: pd.DataFrame, option: str) -> None:
    for name in names:
        if name not in table:
            known = ", ".join(map(str, table))
            raise ExperimentError(f"{option}: no column {name!r}; there are {known}")


def nothing_listed(runs: Sequence[Manifest]) -> str:
    """Why a list of runs or their models is empty, and what fills it.

    >>> nothing_listed([])
    'no run has left a manifest yet; kedro run makes one'
    """
    if runs:
        return "no run has scored anything yet; kedro experiments lists the runs"
    return "no run has left a manifest yet; kedro run makes one"


def without_empty_columns(table: pd.DataFrame) -> pd.DataFrame:
    """A table without columns that say nothing in any row.

    >>> list(without_empty_columns(pd.DataFrame({"run": ["a"], "name": [""], "score": [None]})))
    ['run']
    """
    table = table.loc[:, [name for name in table if (table[name].astype(str) != "").any()]]
    return table.dropna(axis="columns", how="all")


def shown_table(table: pd.DataFrame) -> list[list[str]]:
    """The cells of a table as a console shows them."""
    return [[_cell(value) for value in row] for row in table.itertuples(index=False)]


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return ""
    if not isinstance(value, float):
        return printable(str(value))
    # Seeds and steps are floats beside rows that have none; they stay whole.
    return f"{value:.0f}" if value.is_integer() or abs(value) >= 1000 else f"{value:.4g}"


def as_records(table: pd.DataFrame) -> list[Mapping[str, Any]]:
    """Rows as JSON can hold them: what is missing is None."""
    return [
        {str(key): None if pd.isna(value) else value for key, value in row.items()}
        for row in table.to_dict("records")
    ]
