"""The section `ensembles` of `models.yml`: who is in which ensemble, and how members are fused."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, Field, ValidationError, model_validator

from recycling.backends.shared.model import Task
from recycling.ensembling import BoxFusion, ClassFusion, MaskFusion, calibration_of, method_of
from recycling.ensembling.calibration import NONE
from recycling.errors import listed
from recycling.plan.models import check_name
from recycling.plan.parameters import PlanError, faults, nearest
from recycling.plan.records import (
    FINAL,
    TASKS,
    TEACHER,
    EnsemblePlan,
    Member,
    SearchPlan,
    TrainingPlan,
)
from recycling.registry import PickedSettings, Settings

logger = logging.getLogger(__name__)

FUSION: dict[Task, type[PickedSettings]] = {
    "cls": ClassFusion,
    "det": BoxFusion,
    "seg": MaskFusion,
}


class Search(Settings):
    """How an ensemble is searched for, on out-of-fold predictions.

    Attributes:
        trials: How many ensembles are tried on all parts and, for an honest gain, without each.
        seconds: After how many no further one is begun; None where only their number counts.
        seed: Of what is drawn.
        parts: Into how many parts a single fold is dealt.
        cls: The methods for classes that are tried; None for all.
        det: The same for boxes.
        seg: The same for masks.
    """

    trials: int = Field(100, ge=1)
    seconds: float | None = Field(None, ge=0)
    seed: int = Field(0, ge=0)
    parts: int = Field(5, ge=2)
    cls: tuple[str, ...] | None = None
    det: tuple[str, ...] | None = None
    seg: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _methods_are_known(self) -> Search:
        for task, fusion in FUSION.items():
            for name in self.methods(task) or ():
                if name not in fusion.registry:
                    raise ValueError(f"{task}: {fusion.registry.unknown(name)}")
                if fusion.registry[name].thing.learns == "labels":
                    raise ValueError(
                        f"{task}: {name} learns from labels and is not searched for; leave it out"
                    )
        return self

    def methods(self, task: Task) -> tuple[str, ...] | None:
        """The methods of a task that are tried; None for all."""
        named: tuple[str, ...] | None = getattr(self, task)
        return named


class Ensemble(Settings):
    """One ensemble: who is in it, and how it is fused where it is not as all others are.

    Attributes:
        members: ``all``, ``labeled`` (models that train on labels only), or names and patterns:
            ``yolox`` is that model on all its folds, ``yolox.fold0`` one of them, ``yolox*`` all
            models whose names begin so. An external file goes by its name.
        cls: How its class probabilities are fused; by default as `ensembling.cls` says.
        det: The same for its boxes.
        seg: The same for its label maps.
        search: Where it is given, who is in it and how it is fused is searched for instead.
    """

    members: Literal["labeled", "all"] | tuple[str, ...]
    cls: ClassFusion | None = None
    det: BoxFusion | None = None
    seg: MaskFusion | None = None
    search: Search | None = None

    @model_validator(mode="before")
    @classmethod
    def _members_alone(cls, value: Any) -> Any:
        return {"members": value} if isinstance(value, str | list | tuple) else value

    def fusion(self, task: Task) -> PickedSettings | None:
        """How it is fused; None where it is as all others are."""
        settings: PickedSettings | None = getattr(self, task)
        return settings

    def means(self, member: Member) -> bool:
        """Whether a member is in it."""
        if isinstance(self.members, str):
            return self.members == "all" or not _is_retrained(member)
        names = (member.model, member.name)
        return any(fnmatchcase(name, pattern) for name in names for pattern in self.members)

    def names(self, member: Member) -> bool:
        """Whether it names a member itself, not by a pattern, nor as one of all."""
        return not isinstance(self.members, str) and (
            member.model in self.members or member.name in self.members
        )


DEFAULTS = {TEACHER: Ensemble(members="labeled"), FINAL: Ensemble(members="all")}


def read_ensembles(parameters: Mapping[str, Any], where: str) -> dict[str, Ensemble]:
    """Read what `models.yml` says of ensembles, with the defaults of teacher and final.

    Raises:
        PlanError: An ensemble is described wrongly.
    """
    raw = parameters.get("ensembles") or {}
    if not isinstance(raw, Mapping):
        raise PlanError(f"{where}: ensembles should be a mapping from names to members")
    found = dict(DEFAULTS)
    for name, value in raw.items():
        check_name("ensembles", name, where)
        try:
            found[str(name)] = Ensemble.model_validate(value)
        except ValidationError as error:
            key = f"{where}: ensembles.{name}"
            raise PlanError(faults(error, key, _blamed(error, Ensemble))) from error
        described = found[str(name)]
        if described.search is not None and any(described.fusion(task) for task in TASKS):
            raise PlanError(
                f"{where}: ensembles.{name} is searched for and has settings; leave one out"
            )
    return found


def _blamed(error: ValidationError, model: type[BaseModel]) -> type[BaseModel]:
    """The model whose keys are suggested for a misspelt one."""
    return Search if any("search" in fault["loc"] for fault in error.errors()) else model


def check_patterns(ensembles: Mapping[str, Ensemble], names: Collection[str], where: str) -> None:
    """Stop where a name or a pattern in an ensemble means nobody.

    Args:
        ensembles: What `models.yml` says.
        names: Of all models and members.
        where: The file, for messages.

    Raises:
        PlanError: One does.
    """
    for ensemble, described in ensembles.items():
        for pattern in described.members if isinstance(described.members, tuple) else ():
            if not any(fnmatchcase(name, pattern) for name in names):
                raise PlanError(
                    f"{where}: ensembles.{ensemble} names {pattern!r}, which is no model and no "
                    f"external file; {nearest(pattern, dict.fromkeys(names))}"
                )


def resolve_ensembles(
    ensembles: Mapping[str, Ensemble],
    members: Sequence[Member],
    parameters: Mapping[str, Any],
    where: str,
) -> tuple[EnsemblePlan, ...]:
    """One record for each ensemble and task that has a member for it.

    Args:
        ensembles: What `models.yml` says.
        members: All members of all tasks.
        parameters: With `ensembling`, how members are fused where an ensemble does not say, and
            `leaderboard`.
        where: The file that `ensembles` is in, for messages.

    Raises:
        PlanError: An ensemble needs what its members do not have, or the final one has none.
    """
    plans = []
    for task in TASKS:
        own = [member for member in members if member.task == task]
        if not own:
            continue
        found = [_resolved(n, ens, task, own, parameters, where) for n, ens in ensembles.items()]
        plans += [_with_default(plan, found) for plan in found if plan.members]
        if not any(plan.name == FINAL and plan.members for plan in found):
            raise PlanError(f"{where}: ensembles.final has no member for {task!r}; name one")
    return tuple(plans)


def _with_default(plan: EnsemblePlan, plans: Sequence[EnsemblePlan]) -> EnsemblePlan:
    """The plan, with the name of the ensemble that it is where its search keeps the default.

    What learns from labels is in no search, so that its default is another one.
    """
    if plan.search is None:
        return plan
    alike = [
        other.name
        for other in plans
        if other.search is None and not other.is_teacher and other.learns != "labels"
        and (other.members, other.settings) == (plan.members, plan.settings)
    ]  # fmt: skip
    return replace(plan, default=alike[0]) if alike else plan


def _resolved(
    name: str,
    described: Ensemble,
    task: Task,
    members: Sequence[Member],
    parameters: Mapping[str, Any],
    where: str,
) -> EnsemblePlan:
    searched = described.search is not None
    settings = _fusion(described, task, parameters)
    method = None if settings is None else method_of(settings)
    weights = getattr(settings, "weights", "equal")
    calibrates = searched or calibration_of(settings) != NONE
    learns = method.learns if method is not None and not searched else "nothing"
    if searched and method is not None and method.learns == "labels":
        logger.warning(
            "%s: ensembles.%s is searched for, and ensembling.%s learns from labels, which no "
            "search tries; it is compared with %s instead",
            where, name, task, FUSION[task].default,
        )  # fmt: skip
    if calibrates or learns == "labels":
        members = _with_out_of_fold(name, described, members, where)
    # A file holds no predictions on the pool, which a teacher is asked for; nor does a training on
    # all images, which is for the submission.
    meant = [
        m
        for m in members
        if name != TEACHER or (isinstance(m, TrainingPlan) and m.fold is not None)
    ]
    chosen = tuple(member for member in meant if described.means(member))
    check_weights(f"ensembles.{name}", chosen, weights, where)
    if not searched:
        chosen = _with_weight(name, described, chosen, weights, where)
    takes = "predictions" if method is None else method.takes
    if takes == "probabilities":
        _check_probabilities(name, chosen, where)
    known = (parameters.get("leaderboard") or {}).get(task)
    return EnsemblePlan(
        task=task,
        name=name,
        members=chosen,
        settings=fusion_of(name, described, task, parameters).settings,
        takes="predictions" if searched else takes,
        learns=learns,
        calibrates=calibrates,
        search=_search(name, described, task, chosen, takes == "probabilities", where),
        leaderboard=f"{task}.leaderboard" if name == FINAL and known else None,
        test=members[0].test if members else "test.annotations",
    )


class Fusion(NamedTuple):
    """How the members of an ensemble are fused.

    Attributes:
        settings: The parameter that says it.
        weights: How much they count: `equal`, `score`, or a number by name.
        learns: What the method takes from labels, or the calibration of scores before it.
    """

    settings: str
    weights: Any
    learns: Literal["nothing", "ranks", "labels"]


def fusion_of(name: str, described: Ensemble, task: Task, parameters: Mapping[str, Any]) -> Fusion:
    """How an ensemble fuses its members of a task, where that is not searched for."""
    settings = _fusion(described, task, parameters)
    method = None if settings is None else method_of(settings)
    calibrates = calibration_of(settings) != NONE
    own = f"ensembles.{name}" if described.fusion(task) is not None else "ensembling"
    return Fusion(
        f"params:{own}.{task}",
        getattr(settings, "weights", "equal"),
        "labels" if calibrates else "nothing" if method is None else method.learns,
    )


def _search(
    name: str,
    described: Ensemble,
    task: Task,
    members: Sequence[Member],
    default_is_soft: bool,
    where: str,
) -> SearchPlan | None:
    if described.search is None:
        return None
    named = described.search.methods(task)
    methods = FUSION[task].registry
    tried = methods if named is None else named
    soft = [name for name in tried if methods[name].thing.takes == "probabilities"]
    if named is not None and soft:
        _check_probabilities(name, members, where)
    return SearchPlan(
        settings=f"params:ensembles.{name}.search",
        probabilities=default_is_soft
        or (bool(soft) and all(member.has_probabilities for member in members)),
    )


def _with_out_of_fold(
    name: str, described: Ensemble, members: Sequence[Member], where: str
) -> list[Member]:
    """The members that have out-of-fold predictions; those named without some stop the run."""
    what = "searched for" if described.search is not None else "learnt or calibrated"
    if name == TEACHER:
        raise PlanError(
            f"{where}: ensembles.teacher is {what}; give it other settings, it labels the pool"
        )
    for member in members:
        if member.judged_by or not described.means(member):
            continue
        lacking = (
            f"{where}: ensembles.{name} is {what} on out-of-fold predictions, and "
            f"{member.name!r} has none; add {member.model}.oof.csv"
        )
        if described.names(member):
            raise PlanError(f"{lacking} or leave it out")
        logger.warning("%s; this ensemble goes without it", lacking)
    return [member for member in members if member.judged_by]


def _fusion(
    described: Ensemble, task: Task, parameters: Mapping[str, Any]
) -> PickedSettings | None:
    """How an ensemble is fused; None where the check of the parameters says what is wrong."""
    settings = described.fusion(task)
    if settings is not None:
        return settings
    given = (parameters.get("ensembling") or {}).get(task) or {}
    try:
        return FUSION[task].model_validate(given)
    except ValidationError:
        return None


def check_weights(key: str, members: Sequence[Member], weights: Any, where: str) -> None:
    """Stop where weights are numbers, and a member has none.

    Args:
        key: What is fused, for the message.
        members: Who is.
        weights: `equal`, `score`, or a number by name.
        where: The file that `key` is in, for the message.

    Raises:
        PlanError: A member has none.
    """
    for member in members if isinstance(weights, Mapping) else ():
        if member.name not in weights and member.model not in weights:
            raise PlanError(
                f"{where}: {key}: {member.name!r} has no weight, they are given to "
                f"{listed(weights)}; add one, or leave it out"
            )


def _with_weight(
    name: str, described: Ensemble, members: tuple[Member, ...], weights: Any, where: str
) -> tuple[Member, ...]:
    """The members whose weight is known.

    An ensemble that weighs by scores goes without a file that it does not name and that has none.

    Raises:
        PlanError: Another member has no weight, or none has.
    """
    if weights != "score":
        return members
    lacking = [member for member in members if not member.judged_by]
    if not lacking:
        return members
    said = (
        f"{where}: ensembles.{name} weighs its members by their out-of-fold scores, and "
        f"{listed(repr(member.name) for member in lacking)} "
        f"{'has' if len(lacking) == 1 else 'have'} no out-of-fold predictions; add "
        f"{lacking[0].model}.oof.csv, or set weights to equal or to numbers (ensembling.TASK."
        "weights, or those of the ensemble)".replace("TASK", lacking[0].task)
    )
    if len(lacking) == len(members) or any(described.names(member) for member in lacking):
        raise PlanError(said)
    logger.warning("%s; this ensemble goes without", said)
    return tuple(member for member in members if member.judged_by)


def _check_probabilities(name: str, members: Sequence[Member], where: str) -> None:
    """Stop where masks are to be fused by probabilities that a member does not predict."""
    for member in members:
        if member.has_probabilities:
            continue
        remedy = (
            f"set models.{member.model}.probabilities: true"
            if isinstance(member, TrainingPlan)
            else "a file holds none: leave it out"
        )
        raise PlanError(
            f"{where}: ensembles.{name} fuses probabilities of pixels, and {member.name!r} has "
            f"none; {remedy}, or choose another method"
        )


def _is_retrained(member: Member) -> bool:
    """Whether it learns from pseudo-labels, in a second round."""
    return isinstance(member, TrainingPlan) and bool(member.pseudo_labels)
