"""Which models and ensembles the graph is made of: what `models.yml` says."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from recycling.backends import INSTALL, Model, is_installed
from recycling.backends.model import Task
from recycling.pipelines.parameters import faults, nearest

logger = logging.getLogger(__name__)

TASKS: tuple[Task, ...] = get_args(Task)
RESERVED = ("teacher", "final", "pseudo")
START = "model:"


class PlanError(ValueError):
    """`models.yml` is not what it should be: one line, the file, the key, what to do."""


class Ensembles(BaseModel):
    """Who is in which ensemble: ``labeled``, ``all``, or models by name.

    The teacher makes the pseudo-labels; the final one makes the submission.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    teacher: Literal["labeled", "all"] | tuple[str, ...] = "labeled"
    final: Literal["labeled", "all"] | tuple[str, ...] = "all"


@dataclass(frozen=True)
class Member:
    """One model trained on all folds but one.

    Attributes:
        task: What it does.
        model: Its name in `models.yml`.
        fold: The fold that it has not seen.
        settings: What `models.yml` says of it.
    """

    task: Task
    model: str
    fold: int
    settings: Model

    @property
    def name(self) -> str:
        """How the member is called inside an ensemble."""
        return f"{self.model}.fold{self.fold}"

    @property
    def namespace(self) -> str:
        """The namespace of its nodes and datasets."""
        return f"{self.task}.{self.name}"


@dataclass(frozen=True)
class Plan:
    """The models of the active environment.

    Attributes:
        models: Model by name, without those whose library is missing and that may be left out.
        ensembles: Who is in which ensemble.
    """

    models: Mapping[str, Model]
    ensembles: Ensembles

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that have a model, in the order cls, det, seg."""
        return tuple(t for t in TASKS if any(m.task == t for m in self.models.values()))

    def members(self, task: Task) -> list[Member]:
        """Every model and fold of a task."""
        return [
            Member(task, name, fold, model)
            for name, model in self.models.items()
            if model.task == task
            for fold in model.folds
        ]

    def start(self, member: Member) -> Member | None:
        """The member whose weights a member starts from, if ``pretrained: model:NAME`` says so."""
        name = start_of(member.settings)
        if name is None:
            return None
        model = self.models[name]
        return Member(model.task, name, member.fold, model)

    def ensemble(self, task: Task, name: Literal["teacher", "final"]) -> list[Member]:
        """The members of an ensemble, for one task."""
        chosen = getattr(self.ensembles, name)
        members = self.members(task)
        if chosen == "all":
            return members
        if chosen == "labeled":
            return [m for m in members if m.settings.train_on == "labeled"]
        return [m for m in members if m.model in chosen]


def start_of(model: Model) -> str | None:
    """The model that `pretrained` names, if it names one."""
    return model.pretrained.removeprefix(START) if model.pretrained.startswith(START) else None


def read_plan(parameters: Mapping[str, Any], where: str) -> Plan:
    """Read the models and ensembles out of the project's parameters.

    Args:
        parameters: The parameters, with `models` and, if need be, `ensembles`.
        where: The file that they come from, for messages.

    Raises:
        PlanError: A model or an ensemble is described wrongly; every fault is in the message.
    """
    known = {str(name): _model(name, raw, where) for name, raw in _models(parameters, where)}
    try:
        ensembles = Ensembles.model_validate(parameters.get("ensembles") or {})
    except ValidationError as error:
        raise PlanError(faults(error, f"{where}: ensembles", Ensembles)) from error
    for ensemble in ("teacher", "final"):
        chosen = getattr(ensembles, ensemble)
        for name in chosen if isinstance(chosen, tuple) else ():
            if name not in known:
                raise PlanError(
                    f"{where}: ensembles.{ensemble} names {name!r}, which is no model; "
                    f"{nearest(name, known)}"
                )
    for name, model in known.items():
        _check_start(name, known, where)
        _check_folds(name, model, parameters.get("splitting"), where)
    models = {name: model for name, model in known.items() if _usable(name, model, where)}
    for name, model in models.items():
        if (start := start_of(model)) is not None and start not in models:
            raise PlanError(
                f"{where}: models.{name}.pretrained names {start!r}, which is left out; "
                "install its backend or choose another start"
            )
    plan = Plan(models, ensembles)
    for task in plan.tasks:
        retrained = [m for m in plan.members(task) if m.settings.train_on == "labeled+pseudo"]
        if retrained and not plan.ensemble(task, "teacher"):
            raise PlanError(
                f"{where}: models.{retrained[0].model} trains on pseudo-labels, but the ensemble "
                f"'teacher' has no member for {task!r}; add a model that trains on 'labeled'"
            )
        for teacher in plan.ensemble(task, "teacher"):
            if teacher in retrained:
                raise PlanError(
                    f"{where}: ensembles.teacher names {teacher.model!r}, which itself trains on "
                    "pseudo-labels; leave it out"
                )
        if not plan.ensemble(task, "final"):
            raise PlanError(f"{where}: ensembles.final has no member for {task!r}; name one")
    return plan


def _models(parameters: Mapping[str, Any], where: str) -> list[tuple[Any, Any]]:
    models = parameters.get("models")
    if models is None:
        return []
    if not isinstance(models, Mapping):
        raise PlanError(f"{where}: models should be a mapping from names to settings")
    return list(models.items())


def _model(name: Any, raw: Any, where: str) -> Model:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", str(name)) or name in RESERVED:
        raise PlanError(
            f"{where}: models.{name}: not a name for a model; use lower-case letters, digits and "
            f"'_', and none of {', '.join(RESERVED)}"
        )
    if not isinstance(raw, Mapping):
        raise PlanError(f"{where}: models.{name} should be a mapping of settings")
    try:
        return Model.model_validate(raw)
    except ValidationError as error:
        raise PlanError(faults(error, f"{where}: models.{name}", Model)) from error


def _check_start(name: str, known: Mapping[str, Model], where: str) -> None:
    seen = [name]
    while (start := start_of(known[seen[-1]])) is not None:
        key = f"{where}: models.{seen[-1]}.pretrained"
        if start not in known:
            raise PlanError(f"{key} names {start!r}, which is no model; {nearest(start, known)}")
        if start in seen:
            raise PlanError(f"{key}: {' starts from '.join([*seen, start])}; break the circle")
        if not set(known[seen[-1]].folds) <= set(known[start].folds):
            raise PlanError(f"{key}: {start!r} is not trained on the same folds; add them to it")
        seen.append(start)


def _check_folds(name: str, model: Model, splitting: Any, where: str) -> None:
    """Stop where a model is to leave out a fold that there will not be."""
    if not isinstance(splitting, Mapping):
        return
    key = f"{where}: models.{name}.folds is {list(model.folds)}"
    if splitting.get("method") == "hold_out":
        if set(model.folds) != {0}:
            raise PlanError(
                f"{key}, but with splitting.method 'hold_out' only fold 0 is held out; "
                "set folds: [0]"
            )
        return
    n_splits = splitting.get("n_splits")
    if isinstance(n_splits, int) and max(model.folds) >= n_splits:
        raise PlanError(
            f"{key}, but splitting.n_splits is {n_splits}: folds go from 0 to {n_splits - 1}"
        )


def _usable(name: str, model: Model, where: str) -> bool:
    if is_installed(model.backend):
        return True
    if not model.skip_if_missing:
        raise PlanError(
            f"{where}: models.{name}: backend {model.backend!r} is not installed; "
            f"{INSTALL[model.backend]}, or set skip_if_missing: true"
        )
    logger.warning(
        "%s: models.%s is left out: backend %r is not installed (%s)",
        where, name, model.backend, INSTALL[model.backend],
    )  # fmt: skip
    return False
