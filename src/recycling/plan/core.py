"""Which models and ensembles the graph is made of: what `models.yml` says."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from recycling.backends import Model, how_to_install, is_installed
from recycling.backends.shared.model import Task
from recycling.plan.fusion import BoxFusion, ClassFusion, MaskFusion, Search
from recycling.plan.parameters import faults, nearest
from recycling.splitting import Splitting

logger = logging.getLogger(__name__)

TASKS: tuple[Task, ...] = get_args(Task)
RESERVED = ("pseudo", "dropped")
START = "model:"
SOFT_VOTE = "soft_vote"


class PlanError(ValueError):
    """`models.yml` is not what it should be: one line, the file, the key, what to do."""


class Ensemble(BaseModel):
    """One ensemble: who is in it, and how it is fused where it is not as all others are.

    Attributes:
        members: ``all``, ``labeled`` (models that train on labels only), or names and patterns:
            ``yolox`` is that model on all its folds, ``yolox.fold0`` one of them, ``yolox*`` all
            models whose names begin so. A file that was dropped in goes by its name.
        cls: How its class probabilities are fused; by default as `ensembling.cls` says.
        det: The same for its boxes.
        seg: The same for its label maps.
        search: Where it is given, who is in it and how it is fused is searched for instead.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    members: Literal["labeled", "all"] | tuple[str, ...]
    cls: ClassFusion | None = None
    det: BoxFusion | None = None
    seg: MaskFusion | None = None
    search: Search | None = None

    @model_validator(mode="before")
    @classmethod
    def _members_alone(cls, value: Any) -> Any:
        return {"members": value} if isinstance(value, str | list | tuple) else value


TEACHER, FINAL = "teacher", "final"
DEFAULTS = {TEACHER: Ensemble(members="labeled"), FINAL: Ensemble(members="all")}
"""The ensemble that labels the pool, and the one whose predictions are submitted."""


@dataclass(frozen=True)
class Member:
    """Somebody whose predictions can be in an ensemble: by itself, a file that was dropped in.

    Attributes:
        task: What its predictions are of.
        model: Its name, or that of the model in `models.yml`.
        has_out_of_fold: Whether there are predictions on labelled images that it has not seen.
    """

    task: Task
    model: str
    has_out_of_fold: bool = field(default=True, kw_only=True)

    @property
    def name(self) -> str:
        """How the member is called inside an ensemble."""
        return f"{self.model}.csv"

    @property
    def namespace(self) -> str:
        """The namespace of its nodes and datasets."""
        return f"{self.task}.dropped.{self.model}"

    @property
    def has_probabilities(self) -> bool:
        """Whether there are probability planes of its masks."""
        return False


@dataclass(frozen=True)
class Trained(Member):
    """One model trained on all folds but one.

    Attributes:
        fold: The fold that it has not seen.
        settings: What `models.yml` says of it.
    """

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

    @property
    def retrained(self) -> bool:
        """Whether it learns from pseudo-labels, in a second round."""
        return self.settings.train_on == "labeled+pseudo"

    @property
    def has_probabilities(self) -> bool:
        """Whether there are probability planes of its masks."""
        return self.settings.probabilities


@dataclass(frozen=True)
class Plan:
    """The models of the active environment.

    Attributes:
        models: Model by name, without those whose library is missing and that may be left out.
        ensembles: Ensemble by name, with `TEACHER` and `FINAL`.
        dropped: For each task, the members that are files: the file by name.
        leaderboard: The tasks of which leaderboard scores are known.
        stacking: Whether classes are stacked wherever an ensemble does not say otherwise.
        soft: Whether masks are voted on softly wherever an ensemble does not say otherwise.
    """

    models: Mapping[str, Model]
    ensembles: Mapping[str, Ensemble]
    dropped: Mapping[Task, Mapping[str, Path]] = field(default_factory=dict)
    leaderboard: frozenset[Task] = frozenset()
    stacking: bool = False
    soft: bool = False

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that have a member, in the order cls, det, seg."""
        return tuple(task for task in TASKS if self.members(task))

    def trained(self, task: Task) -> list[Trained]:
        """Every model and fold of a task."""
        return [
            Trained(task, name, fold, model)
            for name, model in self.models.items()
            if model.task == task
            for fold in model.folds
        ]

    def members(self, task: Task) -> list[Member]:
        """Every model and fold of a task, and the files that were dropped in."""
        files = [
            Member(task, name, has_out_of_fold=out_of_fold_file(path).exists())
            for name, path in self.dropped.get(task, {}).items()
        ]
        return [*self.trained(task), *files]

    def start(self, member: Trained) -> Trained | None:
        """The member whose weights a member starts from, if ``pretrained: model:NAME`` says so."""
        name = start_of(member.settings)
        if name is None:
            return None
        model = self.models[name]
        return Trained(model.task, name, member.fold, model)

    def ensemble(self, task: Task, name: str) -> Sequence[Member]:
        """The members of an ensemble, for one task.

        One that learns on out-of-fold predictions goes without those who have none, unless it
        names them: then `read_plan` stops.
        """
        chosen = self.ensembles[name].members
        # A file holds no predictions on the pool, which a teacher is asked for.
        members: Sequence[Member] = self.trained(task) if name == TEACHER else self.members(task)
        if self.learns(task, name):
            members = [m for m in members if m.has_out_of_fold or _is_named(chosen, m)]
        return [m for m in members if _is_meant(chosen, m)]

    def learns(self, task: Task, name: str) -> bool:
        """Whether an ensemble learns on out-of-fold predictions, by a search or by stacking."""
        return self.ensembles[name].search is not None or self.stacks(task, name)

    def stacks(self, task: Task, name: str) -> bool:
        """Whether an ensemble learns on out-of-fold predictions how to fuse."""
        described = self.ensembles[name]
        if task != "cls" or described.search is not None:
            return False
        return self.stacking if described.cls is None else described.cls.method == "stacking"

    def votes_softly(self, task: Task, name: str) -> bool:
        """Whether an ensemble's masks are fused by their probabilities."""
        described = self.ensembles[name]
        if task != "seg" or described.search is not None:
            return False
        return self.soft if described.seg is None else described.seg.method == SOFT_VOTE

    def may_vote_softly(self, task: Task, name: str) -> bool:
        """Whether the search for an ensemble tries soft votes: every member has probabilities."""
        search = self.ensembles[name].search
        if task != "seg" or search is None or SOFT_VOTE not in (search.seg or (SOFT_VOTE,)):
            return False
        return all(member.has_probabilities for member in self.ensemble(task, name))

    def further_ensembles(self, task: Task) -> list[str]:
        """The names of a task's ensembles beside the teacher and the final one."""
        return [name for name in self.ensembles_of(task) if name not in DEFAULTS]

    def ensembles_of(self, task: Task) -> list[str]:
        """The names of the ensembles that have a member for a task."""
        return [name for name in self.ensembles if self.ensemble(task, name)]


def out_of_fold_file(path: Path) -> Path:
    """Where the out-of-fold predictions of a dropped-in member are, if there are any."""
    return path.with_suffix(f".oof{path.suffix}")


def _is_meant(chosen: str | Sequence[str], member: Member) -> bool:
    if isinstance(chosen, str):
        return chosen == "all" or not (isinstance(member, Trained) and member.retrained)
    names = (member.model, member.name)
    return any(fnmatchcase(name, pattern) for name in names for pattern in chosen)


def _is_named(chosen: str | Sequence[str], member: Member) -> bool:
    """Whether an ensemble names a member itself, not by a pattern, nor as one of all."""
    return not isinstance(chosen, str) and (member.model in chosen or member.name in chosen)


def start_of(model: Model) -> str | None:
    """The model that `pretrained` names, if it names one."""
    return model.pretrained.removeprefix(START) if model.pretrained.startswith(START) else None


def read_plan(
    parameters: Mapping[str, Any],
    where: str,
    dropped: Mapping[Task, Mapping[str, Path]] | None = None,
) -> Plan:
    """Read the models and ensembles out of the project's parameters.

    Args:
        parameters: The parameters, with `models` and, if need be, `ensembles`.
        where: The file that they come from, for messages.
        dropped: For each task, the files that were dropped in, by name.

    Raises:
        PlanError: A model or an ensemble is described wrongly; every fault is in the message.
    """
    known = {str(name): _model(name, raw, where) for name, raw in _models(parameters, where)}
    ensembles = _ensembles(parameters.get("ensembles"), where)
    for name in ensembles:
        if name in known:
            raise PlanError(f"{where}: {name!r} is a model and an ensemble; rename one of them")
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
    boards = parameters.get("leaderboard") or {}
    leaderboard = frozenset(task for task in TASKS if boards.get(task))
    stacking = _method(parameters, "cls") == "stacking"
    soft = _method(parameters, "seg") == SOFT_VOTE
    plan = Plan(models, ensembles, dropped or {}, leaderboard, stacking, soft)
    _check_dropped(plan, known)
    _check_patterns(plan, known, where)
    for task in plan.tasks:
        _check_teacher(plan, task, where)
        _check_out_of_fold(plan, task, where)
        _check_probabilities(plan, task, where)
        if not plan.ensemble(task, FINAL):
            raise PlanError(f"{where}: ensembles.final has no member for {task!r}; name one")
    return plan


def _method(parameters: Mapping[str, Any], task: Task) -> Any:
    """How a task is fused wherever an ensemble does not say otherwise."""
    fusion = (parameters.get("ensembling") or {}).get(task) or {}
    return fusion.get("method") if isinstance(fusion, Mapping) else None


def _ensembles(raw: Any, where: str) -> dict[str, Ensemble]:
    if not isinstance(raw or {}, Mapping):
        raise PlanError(f"{where}: ensembles should be a mapping from names to members")
    found = dict(DEFAULTS)
    for name, value in (raw or {}).items():
        _check_name("ensembles", name, where)
        try:
            found[str(name)] = Ensemble.model_validate(value)
        except ValidationError as error:
            raise PlanError(faults(error, f"{where}: ensembles.{name}", Ensemble)) from error
    return found


def _check_dropped(plan: Plan, known: Mapping[str, Model]) -> None:
    for files in plan.dropped.values():
        for name, path in files.items():
            if name in known or name in plan.ensembles:
                raise PlanError(
                    f"{path}: its name is that of a model or an ensemble; rename the file"
                )


def _check_patterns(plan: Plan, known: Mapping[str, Model], where: str) -> None:
    """Stop where a name or a pattern in an ensemble means nobody."""
    members = [member for task in plan.tasks for member in plan.members(task)]
    # Models that are left out because their library is missing are no fault of the ensemble.
    names = {*known, *(m.model for m in members), *(m.name for m in members)}
    for ensemble, described in plan.ensembles.items():
        chosen = described.members
        for pattern in chosen if isinstance(chosen, tuple) else ():
            if not any(fnmatchcase(name, pattern) for name in names):
                raise PlanError(
                    f"{where}: ensembles.{ensemble} names {pattern!r}, which is no model and no "
                    f"dropped-in file; {nearest(pattern, dict.fromkeys(names))}"
                )


def _check_teacher(plan: Plan, task: Task, where: str) -> None:
    """Stop where pseudo-labels would be needed before they can be made."""
    retrained = [m for m in plan.trained(task) if m.retrained]
    teachers = plan.ensemble(task, TEACHER)
    if retrained and not teachers:
        raise PlanError(
            f"{where}: models.{retrained[0].model} trains on pseudo-labels, but the ensemble "
            f"'teacher' has no member for {task!r}; add a model that trains on 'labeled'"
        )
    for teacher in teachers:
        if teacher in retrained:
            raise PlanError(
                f"{where}: ensembles.teacher names {teacher.model!r}, which itself trains on "
                "pseudo-labels; leave it out"
            )


def _check_out_of_fold(plan: Plan, task: Task, where: str) -> None:
    """Stop where an ensemble is to learn from out-of-fold predictions that it cannot have."""
    for name, described in plan.ensembles.items():
        if not plan.learns(task, name):
            continue
        searched = described.search is not None
        what = "searched for" if searched else "stacked"
        if name == TEACHER:
            raise PlanError(
                f"{where}: ensembles.teacher is {what}; give it other settings, it labels the pool"
            )
        if searched and any(getattr(described, one) is not None for one in TASKS):
            raise PlanError(
                f"{where}: ensembles.{name} is searched for and has settings; leave one out"
            )
        for member in plan.members(task):
            if member.has_out_of_fold:
                continue
            lacking = (
                f"{where}: ensembles.{name} is {what} on out-of-fold predictions, and "
                f"{member.name!r} has none; drop in {member.model}.oof.csv"
            )
            if _is_named(described.members, member):
                raise PlanError(f"{lacking} or leave it out")
            if _is_meant(described.members, member):
                logger.warning("%s; this ensemble goes without it", lacking)


def _check_probabilities(plan: Plan, task: Task, where: str) -> None:
    """Stop where masks are to be fused by probabilities that a member does not predict."""
    for name, described in plan.ensembles.items():
        tried = described.search is not None and SOFT_VOTE in (described.search.seg or ())
        if not plan.votes_softly(task, name) and not (task == "seg" and tried):
            continue
        for member in plan.ensemble(task, name):
            if member.has_probabilities:
                continue
            remedy = (
                f"set models.{member.model}.probabilities: true"
                if isinstance(member, Trained)
                else "a file holds none: leave it out"
            )
            raise PlanError(
                f"{where}: ensembles.{name} takes a soft_vote, and {member.name!r} has no "
                f"probabilities; {remedy}, or take a hard_vote"
            )


def _models(parameters: Mapping[str, Any], where: str) -> list[tuple[Any, Any]]:
    models = parameters.get("models")
    if models is None:
        return []
    if not isinstance(models, Mapping):
        raise PlanError(f"{where}: models should be a mapping from names to settings")
    return list(models.items())


def _check_name(section: str, name: Any, where: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", str(name)) or name in RESERVED:
        raise PlanError(
            f"{where}: {section}.{name}: not a name that can be given; use lower-case letters, "
            f"digits and '_', and none of {', '.join(RESERVED)}"
        )


def _model(name: Any, raw: Any, where: str) -> Model:
    _check_name("models", name, where)
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
    try:
        settings = Splitting.model_validate(splitting)
    except ValidationError:  # the check of the parameters says what is wrong
        return
    last = settings.validation_folds[-1]
    if max(model.folds) > last:
        there_are = f"folds go from 0 to {last}" if last else "only fold 0 is held out"
        raise PlanError(
            f"{where}: models.{name}.folds is {list(model.folds)}, but with splitting.method "
            f"{settings.method!r} {there_are}; leave out the others"
        )


def _usable(name: str, model: Model, where: str) -> bool:
    if is_installed(model.backend):
        return True
    if not model.skip_if_missing:
        raise PlanError(
            f"{where}: models.{name}: backend {model.backend!r} is not installed; "
            f"{how_to_install(model.backend)}, or set skip_if_missing: true"
        )
    logger.warning(
        "%s: models.%s is left out: backend %r is not installed (%s)",
        where, name, model.backend, how_to_install(model.backend),
    )  # fmt: skip
    return False
