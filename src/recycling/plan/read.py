"""From the parameters to the plan: read once, checked once, resolved into plain records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from recycling.backends import Model
from recycling.backends.shared.model import Task
from recycling.plan.augmented_sets import dataset_of, read_augmented_sets
from recycling.plan.crops import read_crops
from recycling.plan.ensembles import check_patterns, read_ensembles, resolve_ensembles
from recycling.plan.models import numbered, read_models, start_of, usable_models
from recycling.plan.parameters import PlanError
from recycling.plan.pseudo_labels import (
    check_rounds,
    labels_for,
    read_rounds,
    resolve_rounds,
    round_of,
)
from recycling.plan.records import (
    TASKS,
    Arm,
    CropPlan,
    ExternalMember,
    Member,
    Plan,
    StudyPlan,
    TrainingPlan,
    TuningPlan,
    called,
    out_of_fold_file,
)
from recycling.plan.studies import (
    JOINED,
    changes_of,
    models_of_arms,
    n_settings,
    read_studies,
)
from recycling.plan.tunings import read_tunings
from recycling.pseudo_labels import PseudoLabeling

AnyMember = TypeVar("AnyMember", bound=Member)

Files = Mapping[Task, Mapping[str, Path]]
"""For each task, the external files of predictions, by name."""


def read_plan(parameters: Mapping[str, Any], where: str, files: Files | None = None) -> Plan:
    """Read the models and ensembles out of the project's parameters.

    Args:
        parameters: The parameters, with `models` and, if need be, `ensembles`.
        where: The file that they come from, for messages.
        files: The external files of predictions.

    Raises:
        PlanError: A model or an ensemble is described wrongly; one line, with file and key.

    Example:
        >>> plan = read_plan({}, "models.yml", {"det": {"colleague": Path("colleague.csv")}})
        >>> [(ensemble.name, len(ensemble.members)) for ensemble in plan.ensembles]
        [('final', 1)]
    """
    known = read_models(parameters, where)
    described = read_ensembles(parameters, where)
    for name in described:
        if name in known:
            raise PlanError(f"{where}: {name!r} is a model and an ensemble; rename one of them")
    models = usable_models(known, where)
    augmented_sets = read_augmented_sets(parameters, known, where)
    external = _external(files or {}, {*known, *described})
    rounds = read_rounds(parameters, [*known, *described])
    check_rounds(models, rounds, where)
    trainings = _trainings(models, rounds)
    crops = _crops(parameters, described, (*trainings, *external), where)
    if crops is not None:
        trainings = tuple(_about_crops(training, crops) for training in trainings)
        external = tuple(_about_crops(member, crops) for member in external)
    members = (*(t for t in trainings if t.is_member), *external)
    # Models that are left out because their library is missing are no fault of an ensemble.
    names = {*known, *(m.model for m in members), *(m.name for m in members)}
    if members:
        check_patterns(described, names, where)
    ensembles = resolve_ensembles(described, members, parameters, where)
    boards = parameters.get("leaderboard") or {}
    return Plan(
        models=models,
        trainings=trainings,
        external=external,
        ensembles=ensembles,
        pseudo_labels=resolve_rounds(rounds, models, trainings, described, parameters, where)
        if trainings
        else (),
        leaderboard=frozenset(task for task in TASKS if boards.get(task)),
        crops=crops,
        studies=_studies(parameters, models, trainings, where),
        tunings=tuple(
            TuningPlan(name, models[tuning.base].task, tuning.base)
            for name, tuning in read_tunings(parameters, where).items()
            if tuning.base in models
        ),
        augmented_sets=augmented_sets,
    )


def _studies(
    parameters: Mapping[str, Any],
    models: Mapping[str, Model],
    trainings: Sequence[TrainingPlan],
    where: str,
) -> tuple[StudyPlan, ...]:
    """One record for each study whose models are not left out."""
    known = {(t.model, t.fold): t for t in trainings if t.control_of is None}
    entries = parameters.get("models") or {}
    found = []
    for name, study in read_studies(parameters, where).items():
        arms = models_of_arms(name, study, entries)
        if not all(model in models for own in arms.values() for model in own):
            continue
        trained = [(model, fold) for own in arms.values() for model in own for fold in study.folds]
        if lacking := [fold for model, fold in trained if (model, fold) not in known]:
            raise PlanError(
                f"{where}: studies.{name}.folds: there is no fold {lacking[0]}; leave it out"
            )
        changes = changes_of(study)
        joined = [(*pair, f"{JOINED}".join(pair)) for pair in study.interactions]
        found.append(
            StudyPlan(
                name,
                models[study.base].task,
                study.base,
                tuple(
                    Arm(
                        arm,
                        n_settings(changes.get(arm, {}), entries[study.base]),
                        tuple(tuple(known[model, fold] for fold in study.folds) for model in own),
                    )
                    for arm, own in arms.items()
                ),
                study.folds,
                tuple(joined),
            )
        )
    return tuple(found)


def _crops(
    parameters: Mapping[str, Any], ensembles: Iterable[str], members: Sequence[Member], where: str
) -> CropPlan | None:
    """Where the crops come from; None also where nobody classifies."""
    detecting = [member for member in members if member.task == "det"]
    detectors = {member.name: member.namespace for member in detecting}
    if detecting:
        detectors |= {name: f"det.{name}" for name in ensembles}
    crops = read_crops(parameters, detectors, where)
    return crops if any(member.task == "cls" for member in members) else None


def _about_crops(member: AnyMember, crops: CropPlan) -> AnyMember:
    return replace(member, test=crops.dataset) if member.task == "cls" else member


def _external(files: Files, taken: set[str]) -> tuple[ExternalMember, ...]:
    members = []
    for task in TASKS:
        for name, path in files.get(task, {}).items():
            if name in taken:
                raise PlanError(
                    f"{path}: its name is that of a model or an ensemble; rename the file"
                )
            members.append(
                ExternalMember(
                    task,
                    name,
                    f"{name}.csv",
                    f"{task}.external.{name}",
                    has_out_of_fold=out_of_fold_file(path).exists(),
                )
            )
    return tuple(members)


def _trainings(
    models: Mapping[str, Model], rounds: Mapping[str, PseudoLabeling]
) -> tuple[TrainingPlan, ...]:
    """One record for each model and fold, for each that sees all images, and for each twin."""

    def training(name: str, fold: int | None) -> TrainingPlan:
        model, start = models[name], start_of(models[name])
        task = model.task
        own_round = round_of(model)
        return TrainingPlan(
            task,
            name,
            f"{name}.{called(fold)}",
            f"{task}.{name}.{called(fold)}",
            has_out_of_fold=fold is not None,
            has_probabilities=model.probabilities,
            fold=fold,
            start=None if start is None else training(start, fold).checkpoint,
            snapshot_of=(
                None
                if models[name].snapshot is None
                else training(str(models[name].variant_of), fold).checkpoint
            ),
            variant_of=models[name].variant_of,
            study=models[name].study,
            pseudo_labels=(
                () if own_round is None else labels_for(task, own_round, rounds[own_round], fold)
            ),
            folds=() if fold is not None else tuple(training(name, n) for n in numbered(model)),
            augmented_set=None if model.data is None else dataset_of(model.data),
        )

    found = [
        training(name, None if fold == "all" else fold)
        for name, model in models.items()
        for fold in model.folds
    ]
    return (
        *found,
        *(_control(own) for own in found if models[own.model].control and own.fold is not None),
    )


def _control(student: TrainingPlan) -> TrainingPlan:
    """The twin of a student, alike in all but the data."""
    model = f"{student.model}_control"
    name = f"{model}.{called(student.fold)}"
    return replace(
        student,
        model=model,
        name=name,
        namespace=f"{student.task}.{name}",
        control_of=student,
    )
