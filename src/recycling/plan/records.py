"""What is to be done, resolved: plain records that the pipelines are built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from recycling.backends import Model
from recycling.backends.shared.model import Task

TASKS: tuple[Task, ...] = get_args(Task)
TEACHER, FINAL = "teacher", "final"
"""The ensemble that labels the pool, and the one whose predictions are submitted."""


@dataclass(frozen=True)
class Member:
    """Somebody whose predictions can be in an ensemble.

    Attributes:
        task: What its predictions are of.
        model: Its name in `models.yml`, or that of the file that its predictions come from.
        name: How it is called inside an ensemble.
        namespace: The namespace of its nodes and datasets.
        has_out_of_fold: Whether there are predictions on labelled images that it has not seen.
        has_probabilities: Whether there are class probabilities for each pixel of its masks.
        test: The dataset of the test images, and of what is asked about them.
    """

    task: Task
    model: str
    name: str
    namespace: str
    has_out_of_fold: bool = field(default=True, kw_only=True)
    has_probabilities: bool = field(default=False, kw_only=True)
    test: str = field(default="test.annotations", kw_only=True)

    @property
    def judged_by(self) -> tuple[Member, ...]:
        """Whose out-of-fold predictions say how good it is: its own, or those of its folds."""
        return (self,) if self.has_out_of_fold else ()

    @property
    def test_predictions(self) -> str:
        """The dataset of its predictions on the test images."""
        return f"{self.namespace}.test_predictions"

    @property
    def test_probabilities(self) -> str:
        """The dataset of the probabilities beside its label maps of the test images."""
        return f"{self.namespace}.test_probabilities"

    @property
    def test_metrics(self) -> str:
        """The dataset of its scores on the test images."""
        return f"{self.namespace}.test_metrics"

    @property
    def out_of_fold_predictions(self) -> str:
        """The dataset of its predictions on labelled images that it has not seen."""
        return f"{self.namespace}.out_of_fold_predictions"

    @property
    def out_of_fold_probabilities(self) -> str:
        """The dataset of the probabilities beside its out-of-fold label maps."""
        return f"{self.namespace}.out_of_fold_probabilities"

    @property
    def out_of_fold_metrics(self) -> str:
        """The dataset of its scores on labelled images that it has not seen."""
        return f"{self.namespace}.out_of_fold_metrics"

    @property
    def held_out_part(self) -> str:
        """The dataset of those labelled images, of which its out-of-fold predictions are."""
        return f"{self.namespace}.held_out_part"


@dataclass(frozen=True)
class ExternalMember(Member):
    """Predictions of others, from a file."""


class LabeledPart(NamedTuple):
    """Datasets of images and of what is on them."""

    annotations: str
    images: str


@dataclass(frozen=True)
class TrainingPlan(Member):
    """One model, trained on all folds but one, or on all labelled images.

    Attributes:
        fold: The fold that it does not see; None where it sees all.
        start: The dataset of the checkpoint whose weights it starts from, if that is another
            model's.
        pseudo_labels: What else it learns from: images that models have labelled.
        control_of: Of a twin that does not learn from them and is alike in all else: the training
            that does.
        folds: Where it sees all images, the trainings of the same model on all folds but one: they
            say how long it trains, and how good it is.
        snapshot_of: Of a snapshot: the dataset of the checkpoint of the training that it is of.
        variant_of: The model that differs in the seed alone, or that this is a snapshot of.
        study: The study that it is trained for alone; it is then in no ensemble.
        augmented_set: The dataset of the augmented copies that it learns from as well, if it does.
    """

    fold: int | None
    start: str | None = None
    snapshot_of: str | None = None
    variant_of: str | None = None
    study: str | None = None
    pseudo_labels: tuple[LabeledPart, ...] = ()
    control_of: TrainingPlan | None = None
    folds: tuple[TrainingPlan, ...] = ()
    augmented_set: str | None = None

    @property
    def is_member(self) -> bool:
        """Whether it can be in an ensemble: it is trained for itself, not to compare it."""
        return self.control_of is None and self.study is None

    @property
    def judged_by(self) -> tuple[Member, ...]:
        """Itself, or its folds."""
        return (self,) if self.fold is not None else self.folds

    @property
    def settings(self) -> str:
        """The parameter that holds the model's settings."""
        model = self.model if self.control_of is None else self.control_of.model
        return f"params:models.{model}"

    @property
    def checkpoint(self) -> str:
        """The dataset of the trained model."""
        return f"{self.namespace}.checkpoint"


@dataclass(frozen=True)
class SearchPlan:
    """How an ensemble is searched for.

    Attributes:
        settings: The parameter that holds the search's settings.
        probabilities: Whether methods that fuse probabilities of pixels are tried.
    """

    settings: str
    probabilities: bool


@dataclass(frozen=True)
class EnsemblePlan:
    """One ensemble of one task.

    Attributes:
        task: What is fused.
        name: Its name in `models.yml`.
        members: Who is in it.
        settings: The parameter that says how its members are fused; where that is searched, what
            it is compared with.
        takes: What its method fuses; see `recycling.ensembling.methods.Method`.
        learns: What its method takes from labels.
        calibrates: Whether scores are, or may be, calibrated on out-of-fold predictions.
        search: How it is searched for, if it is.
        default: The ensemble of `models.yml` that it is where a search keeps the default; None
            where there is none.
        leaderboard: The dataset that compares validation and leaderboard, on its report.
        test: The dataset of the test images, and of what is asked about them.
    """

    task: Task
    name: str
    members: tuple[Member, ...]
    settings: str
    takes: Literal["predictions", "probabilities"] = "predictions"
    learns: Literal["nothing", "ranks", "labels"] = "nothing"
    calibrates: bool = False
    search: SearchPlan | None = None
    default: str | None = None
    leaderboard: str | None = None
    test: str = "test.annotations"

    @property
    def namespace(self) -> str:
        """The namespace of its nodes and datasets."""
        return f"{self.task}.{self.name}"

    @property
    def judges(self) -> tuple[Member, ...]:
        """The members, and folds of members, whose out-of-fold predictions say how good it is."""
        return tuple(dict.fromkeys(own for member in self.members for own in member.judged_by))

    @property
    def fuses_probabilities(self) -> bool:
        """Whether the probabilities beside label maps are fused, or may be."""
        return self.takes == "probabilities" or (
            self.search is not None and self.search.probabilities
        )

    @property
    def is_explained_out_of_fold(self) -> bool:
        """Whether all its members have predicted some of the labelled images out of fold.

        A file counts as if it had all folds: what it predicts is known once it is read.
        """
        if not all(member.judged_by for member in self.members):
            return False
        folds: dict[str, set[int]] = {}
        for judge in self.judges:
            if isinstance(judge, TrainingPlan) and judge.fold is not None:
                folds.setdefault(judge.model, set()).add(judge.fold)
        in_common = set.intersection(*folds.values()) if folds else {0}
        return bool(self.judges and in_common)

    @property
    def is_teacher(self) -> bool:
        """Whether it labels the pool."""
        return self.name == TEACHER


@dataclass(frozen=True)
class PseudoPart:
    """One part of the data that is labelled in a round.

    Attributes:
        part: `pool` or `test`.
        asked: The dataset of its annotations: for classes, of the boxes to crop.
        predictions: The dataset of each member's predictions on it, by name.
    """

    part: Literal["pool", "test"]
    asked: str
    predictions: Mapping[str, str]


@dataclass(frozen=True)
class PseudoLabelPlan:
    """How images are labelled in one round, for one task and those who hold out one fold.

    Attributes:
        task: What is labelled.
        round: The round's name.
        fold: The fold that no teacher has seen; None where all teach together, for students that
            hold out nothing.
        members: The teachers.
        fusion: The parameter that says how their predictions are fused.
        parts: What is labelled.
        truth: The dataset of what is on the pool, where it is known.
    """

    task: Task
    round: str
    fold: int | None
    members: tuple[TrainingPlan, ...]
    fusion: str
    parts: tuple[PseudoPart, ...]
    truth: str | None = None

    @property
    def namespace(self) -> str:
        """The namespace of its nodes and datasets."""
        return f"{self.task}.{self.round}.{called(self.fold)}"

    @property
    def settings(self) -> str:
        """The parameter that holds the round's settings."""
        return f"params:pseudo_labeling.{self.round}"


@dataclass(frozen=True)
class Arm:
    """The base of a study, or the base with one change.

    Attributes:
        name: Of the change.
        changes: How many settings it alters.
        trainings: For each seed, one for each fold.
    """

    name: str
    changes: int
    trainings: tuple[tuple[TrainingPlan, ...], ...]


@dataclass(frozen=True)
class StudyPlan:
    """One base model and the changes that are tried on it.

    Attributes:
        name: Of the study.
        task: What the model predicts.
        base: The model.
        arms: The base first.
        folds: Those that are held out.
        interactions: Pairs of changes that are also made together, with the name of that arm.
    """

    name: str
    task: Task
    base: str
    arms: tuple[Arm, ...]
    folds: tuple[int, ...]
    interactions: tuple[tuple[str, str, str], ...] = ()

    @property
    def namespace(self) -> str:
        """The namespace of its nodes and datasets."""
        return f"study.{self.name}"


@dataclass(frozen=True)
class TuningPlan:
    """A search over settings of one model.

    Attributes:
        name: Of the search.
        task: What the model predicts.
        base: The model.
    """

    name: str
    task: Task
    base: str


@dataclass(frozen=True)
class CropPlan:
    """Where the crops of the test images come from, if they are not annotated.

    Attributes:
        proposals: The dataset of the detections that are classified; None for whole images.
        dataset: The dataset of the crops.
    """

    proposals: str | None
    dataset: str = "cls.test_crops"


@dataclass(frozen=True)
class Plan:
    """All that is to be trained, labelled and fused.

    Attributes:
        models: Model by name, without those whose library is missing and that may be left out.
        trainings: One for each model and fold.
        external: The members that are files.
        ensembles: One for each ensemble and task that has a member for it.
        pseudo_labels: One for each round, task and held-out fold that labels are made for.
        leaderboard: The tasks of which leaderboard scores are known.
        crops: Where the crops to classify come from, if they are not annotated.
        studies: What is compared by changing one thing at a time.
        tunings: Which settings are searched.
        augmented_sets: The names of the augmented sets that are described.
        env: The environment that it is of; None for the one that is taken by itself.
    """

    models: Mapping[str, Model] = field(default_factory=dict)
    trainings: tuple[TrainingPlan, ...] = ()
    external: tuple[ExternalMember, ...] = ()
    ensembles: tuple[EnsemblePlan, ...] = ()
    pseudo_labels: tuple[PseudoLabelPlan, ...] = ()
    leaderboard: frozenset[Task] = frozenset()
    crops: CropPlan | None = None
    studies: tuple[StudyPlan, ...] = ()
    tunings: tuple[TuningPlan, ...] = ()
    augmented_sets: tuple[str, ...] = ()
    env: str | None = None

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that have a member, in the order cls, det, seg."""
        return tuple(task for task in TASKS if self.members(task))

    def members(self, task: Task) -> list[Member]:
        """The trainings of a task, and its external members."""
        own = [training for training in self.trainings if training.is_member]
        return [m for m in (*own, *self.external) if m.task == task]

    def ensembles_of(self, task: Task) -> list[EnsemblePlan]:
        """The ensembles of a task."""
        return [ensemble for ensemble in self.ensembles if ensemble.task == task]


def called(fold: int | None) -> str:
    """What a fold is called in names; None for all.

    >>> called(2), called(None)
    ('fold2', 'fold_all')
    """
    return "fold_all" if fold is None else f"fold{fold}"


def out_of_fold_file(path: Path) -> Path:
    """Where the out-of-fold predictions of an external member are, if there are any.

    Example:
        >>> out_of_fold_file(Path("colleague.csv")).name
        'colleague.oof.csv'
    """
    return path.with_suffix(f".oof{path.suffix}")
