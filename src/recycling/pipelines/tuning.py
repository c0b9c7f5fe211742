"""A search over settings of a model, as one node: it goes on where an earlier run stopped."""

from __future__ import annotations

import json
import logging
import multiprocessing
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import yaml
from kedro.pipeline import Node, Pipeline, node
from pydantic import ValidationError

from recycling.annotations import Annotations, ImageFolder, LabeledImages
from recycling.backends import (
    BackendError,
    Checkpoint,
    Model,
    Recipes,
    RunFolder,
    TrainingData,
    backend_for,
)
from recycling.backends.shared.checkpoint_folder import sha256_of_data
from recycling.backends.shared.recipe_files import recipe_hash, weights_named_in, with_bases
from recycling.backends.shared.resume import NOT_OF_RESULTS, sharing
from recycling.backends.shared.training_log import training_log
from recycling.backends.shared.weights import own_weights
from recycling.evaluation import evaluate, metric_of
from recycling.experiments import (
    ExperimentError,
    Trials,
    Tuning,
    best_first,
    halves,
    importance,
    open_study,
    prepare,
    setting_of,
    trials_table,
    try_base,
    work,
)
from recycling.files import sha256_of, write_text
from recycling.pipelines.scoring import metric_parameter, with_interval
from recycling.pipelines.tasks import METRIC, with_types
from recycling.pipelines.training import PREDICT
from recycling.plan import Plan, TuningPlan
from recycling.plan.parameters import faults
from recycling.plan.studies import changed
from recycling.predictions import Predictions
from recycling.registry import PickedSettings
from recycling.reporting import tuning_figure
from recycling.splitting import Folds, fold_of_image
from recycling.stopping import Stopped, follow, leading, stop_if_asked

if TYPE_CHECKING:
    from multiprocessing.synchronize import Lock

    from matplotlib.figure import Figure
else:
    Figure = Any  # Kedro asks for the types of nodes; matplotlib costs each command half a second

logger = logging.getLogger(__name__)


class TuningResult(TypedDict):
    """What a search found.

    Attributes:
        base: The model.
        metric: What it is scored by.
        trials: How many trainings came to their end, or were pruned.
        settings: What the best alters.
        entry: It as an entry for `models.yml`.
        chosen_by: Its score on the half that chose, which is too good.
        score: Its score on the other half.
        interval: Of that, where other images are drawn; None where the metric has no quick form.
        base_score: The base's on the other half.
        sentence: All of it in a sentence.
    """

    base: str
    metric: str
    trials: int
    settings: dict[str, Any]
    entry: str
    chosen_by: float
    score: float
    interval: tuple[float, float] | None
    base_score: float
    sentence: str


def create_pipeline(plan: Plan, tuning: TuningPlan) -> Pipeline:
    """The one node of a search, which asks for what its base asks for."""
    return Pipeline([_search(tuning).tag(plan.models[tuning.base].resources.tags)])


def _search(tuning: TuningPlan) -> Node:
    space = f"tuning.{tuning.name}"
    return node(
        searcher(tuning),
        {
            "model": f"params:models.{tuning.base}",
            "tuning": f"params:tuning.{tuning.name}",
            "recipes": "recipes",
            "runs": "runs",
            "train": "train.annotations",
            "folds": "folds",
            "images": "train.images",
            "metric": metric_parameter(tuning.task),
        },
        [f"{space}.trials", f"{space}.result", f"{space}.figure"],
        name="search_settings",
        namespace=space,
    )


@dataclass(frozen=True)
class _Job:
    """What each process of a search needs; it can be sent to another."""

    tuning: Tuning
    model: Model
    recipes: Recipes
    training: LabeledImages
    choosing: LabeledImages
    metric: PickedSettings
    folder: Path

    @property
    def journal(self) -> Path:
        """Where trials are noted."""
        return self.folder / "trials.journal"


def searcher(plan: TuningPlan) -> Callable[..., tuple[Trials, TuningResult, Figure]]:
    """A node function that searches the settings of a model."""

    def search_settings(
        model: Model,
        tuning: Tuning,
        recipes: Recipes,
        runs: RunFolder,
        train: Annotations,
        folds: Folds,
        images: ImageFolder,
        metric: PickedSettings,
    ) -> tuple[Trials, TuningResult, Figure]:
        """Try settings on one half of the held-out fold, and judge the best on the other."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        own = fold_of_image(train.images, folds)
        held_out = train.of_images(own.index[own == tuning.fold].tolist())
        training = train.of_images(own.index[own != tuning.fold].tolist())
        if held_out.images.empty:
            raise ExperimentError(f"tuning.{plan.name}.fold: there is no fold {tuning.fold}")
        choosing, judging = (train.of_images(ids) for ids in halves(held_out.images, tuning.seed))
        if any(half.objects().annotations.empty for half in (choosing, judging)):
            raise ExperimentError(
                f"tuning.{plan.name}.fold: half of fold {tuning.fold}, whose groups stay whole, is "
                "without an object; name another fold, or split into fewer"
            )
        job = _Job(
            tuning, model, recipes, LabeledImages(training, images),
            LabeledImages(choosing, images), metric, runs.path / "tuning" / plan.name,
        )  # fmt: skip
        _begin(job, _described(job))
        study = open_study(job.journal, tuning)
        base = {name: setting_of(model.model_dump(mode="json"), name) for name in tuning.space}
        if tuning.given is None:  # else it trains with that alone
            prepare(study)
        try_base(study, tuning, base, partial(_train, job))
        logger.info("tuning.%s: %s", plan.name, _ahead(tuning, trials_table(study)))
        _run(job)
        table = trials_table(study)
        order = best_first(table)
        if not order:
            raise ExperimentError(
                f"tuning.{plan.name}: none of {len(table)} trainings came to its end; give more "
                "trials or minutes"
            )
        result = _judged(job, plan, table, order, LabeledImages(judging, images))
        logger.info("%s", result["sentence"])
        return table, result, tuning_figure(plan.name, table, importance(study))

    return with_types(search_settings, metric=METRIC[plan.task])


def _ahead(tuning: Tuning, done: Trials) -> str:
    """How many trainings there are still to be, and how long one takes; the run cannot know it."""
    left = 1 if tuning.given is not None else max(tuning.trials - len(done), 0)
    return (
        f"{len(done)} trainings are done, at most {left} are to come; one takes "
        f"{done['minutes'].mean():.1f} minutes"
    )


def _described(job: _Job) -> str:
    """A hash of what a trial's score hangs on, but for what it alters."""
    model = job.model
    recipes, weights = _files(job, model)
    tried = [_files(job, each) for each in job.tuning.files_of(model)]
    categories = job.training.annotations.categories
    told = {
        "model": model.model_dump(mode="json", exclude=set(NOT_OF_RESULTS)),
        "space": job.tuning.model_dump(mode="json", include={"space", "fold", "seed"}),
        "metric": job.metric.model_dump_json(),
        "recipe": recipes,
        "weights": weights[0] if len(weights) == 1 else weights or None,
        **({"tried": tried} if tried else {}),
        "data": [
            sha256_of_data(TrainingData([part], job.choosing, categories))
            for part in (job.training, job.choosing)
        ],
    }
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _files(job: _Job, model: Model) -> tuple[list[str], list[str]]:
    """Hashes of a recipe's files, and of the files of weights that a training starts from."""
    recipes: list[Path] = []
    files: list[Path | None] = []
    with suppress(BackendError):  # without its files a training fails, and the others go on
        recipe = job.recipes.find(model.backend, model.recipe)
        recipes = [path for path in with_bases(recipe) if path.exists()]
        named = [model.pretrained]
        if model.pretrained == "default":
            named = [name for path in recipes for name in weights_named_in(path)]
        files = [own_weights(name) for name in named]
    there = [file for file in files if file is not None and file.is_file()]
    return [recipe_hash(path) for path in recipes], [sha256_of(file) for file in there]


def _begin(job: _Job, described: str) -> None:
    """Go on with the trials of the same search; those of another are of no use."""
    mark = job.folder / "search.sha256"
    if job.folder.exists() and (not mark.exists() or mark.read_text() != described):
        logger.warning("%s: another search than before; its trials are removed", job.folder.name)
        shutil.rmtree(job.folder)
    if not mark.exists():
        write_text(mark, described)


def _run(job: _Job) -> None:
    """Let one process or several try settings."""
    if job.tuning.workers == 1:
        _work(job, 0)
        return
    context = multiprocessing.get_context("spawn")
    turn = context.Lock()
    with ExitStack() as stack:
        stack.enter_context(sharing(job.folder))
        workers = [
            context.Process(
                target=_work_for, args=(stack.enter_context(leading()), job, number, turn)
            )
            for number in range(job.tuning.workers)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    stop_if_asked()
    if any(worker.exitcode for worker in workers):
        raise ExperimentError(
            f"{job.folder.name}: a worker has ended early; what it said is above, and another run "
            "goes on from what is done"
        )


def _work_for(leader: Connection, job: _Job, number: int, turn: Lock) -> None:
    """What another process runs, as long as the one that has started it goes on."""
    follow(leader)
    with suppress(Stopped):
        _work(job, number, turn)


def _work(job: _Job, number: int, turn: Lock | None = None) -> None:
    """Try settings until there are enough."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Each process draws otherwise.
    tuning = job.tuning.model_copy(update={"seed": job.tuning.seed + number})
    study = open_study(job.journal, tuning, warm_up=max(2, job.model.epochs // 3))
    work(study, tuning, partial(_train, job), turn)


def _train(
    job: _Job, settings: Mapping[str, Any], number: int, report: Callable[[float], None]
) -> float:
    """Train with some settings; the score of the best epoch on the half that chooses.

    One that has begun before goes on, with the scores that its log has.
    """
    model = model_of_trial(job.model, settings)
    folder = job.folder / f"trial{number}"
    reached: list[float] = []

    def tell(score: float) -> None:
        reached.append(score)
        report(score)

    def tell_of_earlier_epochs() -> None:
        for line in training_log(folder)[len(reached) :]:
            tell(line["score"])

    def score(predictions: Predictions) -> float:
        tell_of_earlier_epochs()
        value = evaluate(job.metric, job.choosing.annotations, predictions).score
        tell(value)
        return value

    data = TrainingData(
        [job.training], job.choosing, job.training.annotations.categories, score,
        job.metric.model_dump_json(),
    )  # fmt: skip
    recipe = job.recipes.find(model.backend, model.recipe)
    backend_for(model.backend).train(model, recipe, data, folder)
    tell_of_earlier_epochs()  # of one that had come to its end
    return max(reached)


def model_of_trial(base: Model, settings: Mapping[str, Any]) -> Model:
    """A model with the settings of a trial; each epoch is scored, and the best one kept.

    Raises:
        BackendError: They make no model; the other trials go on.
    """
    told = changed(base.model_dump(mode="json", exclude_unset=True), settings)
    try:
        model = Model.model_validate(told)
    except ValidationError as error:
        raise BackendError(faults(error, "settings of the trial", Model)) from error
    if model.early_stopping is not None:
        return model
    # All of its own epochs, which may be more than the base's.
    return Model.model_validate({**told, "early_stopping": {"patience": model.epochs}})


def _judged(
    job: _Job,
    plan: TuningPlan,
    table: Trials,
    order: list[int],
    judging: LabeledImages,
) -> TuningResult:
    """The best trial on the half that has not chosen, beside the base."""
    by_number = table.set_index("trial")
    best = order[0]
    settings: dict[str, Any] = json.loads(str(by_number.loc[best, "settings"]))
    found = _score(job, plan, best, settings, judging)
    base_score = _score(job, plan, 0, {}, judging).score
    title = metric_of(job.metric).title
    within = "" if found.interval is None else " [{:.3f}, {:.3f}]".format(*found.interval)
    words = ", ".join(f"{name}: {value}" for name, value in settings.items()) or "the base"
    sentence = (
        f"{plan.name}: the best of {len(order)} trainings ({words}) scores {found.score:.3f} "
        f"{title}{within} on images that did not choose it, the base {base_score:.3f}; one "
        "training each, which is no verdict"
    )
    told = changed(job.model.model_dump(mode="json", exclude_unset=True), settings)
    entry = {key: value for key, value in told.items() if key != "folds"}
    return TuningResult(
        base=plan.base,
        metric=title,
        trials=len(table),
        settings=settings,
        entry=yaml.safe_dump({f"{plan.base}_tuned": entry}, sort_keys=False),
        chosen_by=float(by_number["score"].loc[best]),
        score=found.score,
        interval=found.interval,
        base_score=base_score,
        sentence=sentence,
    )


def _score(
    job: _Job,
    plan: TuningPlan,
    number: int,
    settings: Mapping[str, Any],
    judging: LabeledImages,
) -> Any:
    """What a trial scores on the images that judge; without its checkpoint it is trained again."""
    checkpoint = Checkpoint(job.folder / f"trial{number}" / "checkpoint")
    if not checkpoint.weights.exists():  # checkpoints stay where they were made
        logger.info(
            "tuning.%s: the checkpoint of training %d is not here; it is trained again",
            plan.name, number,
        )  # fmt: skip
        _train(job, settings, number, lambda score: None)
    predictions = PREDICT[plan.task](checkpoint, judging.annotations, judging.folder)
    metrics = evaluate(job.metric, judging.annotations, predictions)
    return with_interval(metrics, judging.annotations, predictions, job.metric)
