"""The section `pseudo_labeling` of the parameters: who labels which images for whom.

What leads from an image of fold k to a student that holds fold k out would make its score on that
fold better than it is. So its labels and its first weights come from models that hold out fold k
as well, and learn nothing else from it: they do not stop early by it, are not weighed by their
scores on it, and start from no weights that may have seen it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recycling.backends import Model
from recycling.backends.shared.model import Task
from recycling.plan.ensembles import Ensemble, Fusion, check_weights, fusion_of
from recycling.plan.models import origins, read_section, starts_from_unknown
from recycling.plan.parameters import PlanError, nearest
from recycling.plan.records import (
    TASKS,
    LabeledPart,
    Member,
    PseudoLabelPlan,
    PseudoPart,
    TrainingPlan,
    called,
)
from recycling.pseudo_labels import PseudoLabeling

FIRST = "pseudo"
"""The round that there is where nothing else is said."""

_FILE = "parameters_pseudo_labeling.yml"


def read_rounds(parameters: Mapping[str, Any], taken: Sequence[str]) -> dict[str, PseudoLabeling]:
    """The rounds of pseudo-labels, by name.

    Args:
        parameters: With `pseudo_labeling`: one round where it is not there, none where it is empty.
        taken: Names of models and ensembles.

    Raises:
        PlanError: A round is described wrongly, or is called as something else is.
    """
    raw = parameters.get("pseudo_labeling", {FIRST: {}}) or {}
    if not isinstance(raw, Mapping) or not all(isinstance(own, Mapping) for own in raw.values()):
        raise PlanError(
            f"{_FILE}: pseudo_labeling should be rounds with their settings, such as "
            "pseudo: {teacher: teacher, promise: {precision: 0.9}}; box_score, label_score and "
            "mask_agreement are now thresholds that are learnt, or score in a round"
        )
    rounds = read_section({"pseudo_labeling": raw}, "pseudo_labeling", PseudoLabeling, _FILE)
    for name in rounds:
        if name in taken:
            raise PlanError(
                f"{_FILE}: {name!r} is a model or an ensemble; call the round otherwise"
            )
    return rounds


def round_of(model: Model) -> str | None:
    """The round whose labels a model learns from, if it does.

    >>> round_of(Model.model_construct(train_on="labeled+pseudo"))
    'pseudo'
    """
    _, _, name = model.train_on.partition("+")
    return name or None


def check_rounds(
    models: Mapping[str, Model], rounds: Mapping[str, PseudoLabeling], where: str
) -> None:
    """Stop where a model learns from a round that there is not, or is called as a twin."""
    for name, model in models.items():
        if model.control and f"{name}_control" in models:
            raise PlanError(
                f"{where}: models.{name}_control is called as the twin of {name!r} would be; "
                "rename it"
            )
        own = round_of(model)
        if own is not None and own not in rounds:
            raise PlanError(
                f"{where}: models.{name}.train_on names the round {own!r} of pseudo-labels; "
                f"{nearest(own, dict.fromkeys(rounds))}"
            )


def labels_for(
    task: Task, round_name: str, settings: PseudoLabeling, fold: int | None
) -> tuple[LabeledPart, ...]:
    """What a student learns from: the datasets of annotations and of images, part by part."""
    space = f"{task}.{round_name}.{called(fold)}"
    return tuple(
        LabeledPart(f"{space}.{part}_annotations", f"{part}.images") for part in settings.images
    )


def resolve_rounds(
    rounds: Mapping[str, PseudoLabeling],
    models: Mapping[str, Model],
    trainings: Sequence[TrainingPlan],
    ensembles: Mapping[str, Ensemble],
    parameters: Mapping[str, Any],
    where: str,
) -> tuple[PseudoLabelPlan, ...]:
    """One record for each round, task and held-out fold that somebody needs labels for.

    Where nobody does, the labels of all teachers together are made, for use elsewhere.

    Raises:
        PlanError: A student would learn of the fold that it holds out, or a round has no teacher.
    """
    teachers = {
        name: _teachers(name, settings, models, trainings, ensembles, where)
        for name, settings in rounds.items()
    }
    for name in rounds:
        _check_order(name, teachers, rounds, models, where)
    of_pool = {n: teachers[n] for n, settings in rounds.items() if "pool" in settings.images}
    boxes = {name: _box_round(name, of_pool) for name in rounds}
    students: dict[tuple[str, Task], list[TrainingPlan]] = {}
    for training in trainings:
        own = round_of(models[training.model]) if training.control_of is None else None
        if own is not None:
            students.setdefault((own, training.task), []).append(training)
    plans = []
    for name, settings in rounds.items():
        described = ensembles.get(settings.teacher, Ensemble(members="all"))
        for task in TASKS:
            taught = list(students.get((name, task), ()))
            members = [teacher for teacher in teachers[name] if teacher.task == task]
            if not members:
                _check_taught(taught, name, settings, where)
                continue
            fusion = fusion_of(settings.teacher, described, task, parameters)
            _check_fusion(task, name, settings.teacher, fusion, ensembles, where)
            folds = dict.fromkeys(student.fold for student in taught)
            if task == "det":
                for other in (own for own in rounds if boxes[own] == name):
                    # Who is asked about crops needs boxes to crop, whether or not it has students.
                    cropping = students.get((other, "cls"), [])
                    taught += cropping
                    if any(teacher.task == "cls" for teacher in teachers[other]):
                        folds |= dict.fromkeys([s.fold for s in cropping] or [None])
            for fold in folds or {None: None}:
                own_members = tuple(m for m in members if fold is None or m.fold == fold)
                if settings.teacher not in ensembles:
                    check_weights(f"ensembling.{task}", own_members, fusion.weights, where)
                for student in (s for s in taught if s.fold == fold):
                    _check_student(
                        student, own_members, name, settings, models, fusion.weights, where
                    )
                asked = "pool.annotations"
                if task == "cls" and boxes[name] is not None:
                    asked = f"det.{boxes[name]}.{called(fold)}.pool_annotations"
                parts = tuple(_part(part, asked, own_members) for part in settings.images)
                plans.append(
                    PseudoLabelPlan(
                        task, name, fold, own_members, fusion.settings, parts, settings.truth
                    )
                )
    return tuple(plans)


def _teachers(
    name: str,
    settings: PseudoLabeling,
    models: Mapping[str, Model],
    trainings: Sequence[TrainingPlan],
    ensembles: Mapping[str, Ensemble],
    where: str,
) -> list[TrainingPlan]:
    """Who labels in a round: trainings that hold out a fold; files predict nothing on the pool."""
    teacher = settings.teacher
    if teacher not in ensembles and teacher not in models:
        known = dict.fromkeys([*ensembles, *models])
        raise PlanError(
            f"{_FILE}: pseudo_labeling.{name}.teacher: no model or ensemble {teacher!r}; "
            f"{nearest(teacher, known)}"
        )
    own = [t for t in trainings if t.fold is not None and t.control_of is None]
    if teacher not in ensembles:
        return [training for training in own if training.model == teacher]
    described = ensembles[teacher]
    if described.search is not None:
        raise PlanError(
            f"{where}: ensembles.{teacher} is searched for; give it other settings, it labels the "
            f"round {name!r}"
        )
    return [training for training in own if described.means(training)]


def _check_fusion(
    task: Task,
    name: str,
    teacher: str,
    fusion: Fusion,
    ensembles: Mapping[str, Ensemble],
    where: str,
) -> None:
    """Stop where the fusion of a teacher would learn from labels that students hold out."""
    if fusion.learns != "labels":
        return
    if teacher in ensembles:
        raise PlanError(
            f"{where}: ensembles.{teacher} is learnt; give it other settings, it labels the round "
            f"{name!r}"
        )
    raise PlanError(
        f"{where}: ensembling.{task} learns from labels or calibrates, and {teacher!r} labels the "
        f"round {name!r}; make an ensemble of {teacher!r} with settings of its own, and name that "
        "as the teacher"
    )


def _check_order(
    name: str,
    teachers: Mapping[str, Sequence[TrainingPlan]],
    rounds: Mapping[str, PseudoLabeling],
    models: Mapping[str, Model],
    where: str,
) -> None:
    """Stop where a round's labels would be made by models that learn from them."""
    seen, waiting = set(), list(teachers[name])
    while waiting:
        for model in origins(waiting.pop().model, models):
            own = round_of(models[model])
            if own == name:
                raise PlanError(
                    f"{where}: models.{model} learns from the pseudo-labels of {name!r}, and "
                    f"{rounds[name].teacher!r}, who makes them, needs it; leave it out of the "
                    "teacher, or begin another round"
                )
            if own is not None and own not in seen:
                seen.add(own)
                waiting += teachers[own]


def _box_round(name: str, teachers: Mapping[str, Sequence[TrainingPlan]]) -> str | None:
    """The round whose boxes on the pool are cropped: its own, or the first that has some.

    Args:
        name: The round that asks classifiers about crops.
        teachers: Those of each round that labels the pool.
    """
    if name not in teachers:
        return None
    for own in dict.fromkeys([name, *teachers]):
        if any(teacher.task == "det" for teacher in teachers[own]):
            return own
    return None


def _check_taught(
    students: Sequence[TrainingPlan], name: str, settings: PseudoLabeling, where: str
) -> None:
    if students:
        student = students[0]
        raise PlanError(
            f"{where}: models.{student.model} trains on pseudo-labels, but {settings.teacher!r}, "
            f"who labels the round {name!r}, has no member for {student.task!r}; add a model that "
            "trains on 'labeled'"
        )


def _check_student(
    student: TrainingPlan,
    members: Sequence[TrainingPlan],
    name: str,
    settings: PseudoLabeling,
    models: Mapping[str, Model],
    weights: Any,
    where: str,
) -> None:
    """Stop where something of the held-out fold would reach the student."""
    fold = student.fold
    if fold is None:
        return
    if not members:
        raise PlanError(
            f"{where}: models.{student.model} holds out fold {fold}, and of {settings.teacher!r}, "
            f"who labels the round {name!r}, no member does; add {fold} to the folds of one"
        )
    if weights == "score" and len(members) > 1:
        raise PlanError(
            f"{where}: ensembles.{settings.teacher} weighs its members by their scores on fold "
            f"{fold}, which models.{student.model} holds out; give it settings of its own with "
            f"weights: equal, such as {settings.teacher}: {{members: labeled, {student.task}: "
            "{method: ..., weights: equal}}"
        )
    for own in (student, *members):
        for origin in origins(own.model, models):
            model = models[origin]
            if model.early_stopping is not None and origin != student.model:
                raise PlanError(
                    f"{where}: models.{origin} stops early by what it scores on fold {fold}, and "
                    f"models.{student.model}, which holds it out, learns from it; leave "
                    "early_stopping out, and set epochs"
                )
            if starts_from_unknown(model):
                raise PlanError(
                    f"{where}: models.{origin}.pretrained is a file, and nothing tells whether "
                    f"it has seen fold {fold}, which models.{student.model} holds out; if it "
                    "was trained on other images only, set pretrained_elsewhere: true"
                )


def _part(part: str, asked: str, members: Sequence[Member]) -> PseudoPart:
    if part == "test":
        return PseudoPart("test", members[0].test, {m.name: m.test_predictions for m in members})
    suffix = "" if asked == "pool.annotations" else "_".join(asked.split(".")[1:3]) + "_"
    return PseudoPart(
        "pool", asked, {m.name: f"{m.namespace}.{suffix}pool_predictions" for m in members}
    )
