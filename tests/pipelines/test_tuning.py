"""What each training of a search is told, and what a search that goes on finds of earlier ones."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import cv2
import pandas as pd
import pytest

from backends.tiny_trainings import model_of
from forked import in_a_process
from pipelines.small_search import STOPPED, job_in
from recycling.annotations import ImageFolder
from recycling.backends import BackendError, Checkpoint, Recipes, RunFolder
from recycling.experiments import ExperimentError, Tuning, open_study
from recycling.pipelines.tasks import METRIC
from recycling.pipelines.tuning import (
    _begin,
    _described,
    _Job,
    _score,
    _train,
    create_pipeline,
    model_of_trial,
    searcher,
)
from recycling.plan import TuningPlan, read_plan
from recycling.splitting import FOLDS, SplitError
from recycling.stopping import Stopped, ask_to_stop
from runners.small_cluster import environment, wait_until


def test_a_training_that_was_stopped_counts_the_epochs_of_both_runs(tmp_path):
    pytest.importorskip("torch")
    job = job_in(tmp_path)
    whole: list[float] = []
    best = _train(job, {}, 0, whole.append)
    assert (len(whole), best) == (3, max(whole))
    before: list[float] = []

    def stop(score: float) -> None:
        before.append(score)
        ask_to_stop()

    with pytest.raises(Stopped):
        _train(job, {}, 1, stop)
    ask_to_stop(False)
    after: list[float] = []
    assert _train(job, {}, 1, after.append) == best
    assert (before, after) == (whole[:1], whole)
    # As where a run is killed between a training's end and the note of it.
    again: list[float] = []
    assert _train(job, {}, 1, again.append) == best
    assert again == whole


def test_images_that_came_after_the_folds_were_made_stop_a_search(annotations, tmp_path):
    folds = FOLDS.conform(pd.DataFrame({"image_id": [1, 2], "fold": [0, 1]}), where="folds")
    with pytest.raises(SplitError, match="image 3 in no fold; 1 of 3 images are like that"):
        searcher(TuningPlan("lr", "cls", "small"))(
            model_of("mmpretrain"), Tuning(base="small", space={"seed": [0, 1]}),
            Recipes(tmp_path), RunFolder(tmp_path), annotations, folds, ImageFolder(tmp_path),
            METRIC["cls"](),
        )  # fmt: skip


def test_a_training_whose_checkpoint_is_on_another_machine_is_trained_again_to_be_judged(tmp_path):
    job = job_in(tmp_path, epochs=1)
    plan = TuningPlan("few", "cls", "small")
    _train(job, {"seed": 1}, 1, lambda score: None)
    there = _score(job, plan, 1, {"seed": 1}, job.choosing)
    shutil.rmtree(job.folder / "trial1/checkpoint")
    assert _score(job, plan, 1, {"seed": 1}, job.choosing).score == there.score
    facts = Checkpoint(job.folder / "trial1/checkpoint").facts
    assert facts["model"]["seed"] == 1


def test_a_start_that_is_killed_costs_a_search_nothing(tmp_path, caplog):
    job = job_in(tmp_path)
    _begin(job, "this search")
    (job.folder / "trial0").mkdir()

    def begin_without_writing() -> None:  # as a process does that is killed as it writes
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        _begin(job, "this search")

    in_a_process(begin_without_writing)
    with caplog.at_level(logging.WARNING):
        _begin(job, "this search")
    assert (job.folder / "trial0").exists()
    assert not caplog.records
    _begin(job, "another search")
    assert not (job.folder / "trial0").exists()


def moved(job: _Job) -> _Job:
    """The same search, with a box on another place."""
    table = job.training.annotations.annotations.assign(x_min=1.0)
    labels = replace(job.training.annotations, annotations=table)
    return replace(job, training=replace(job.training, annotations=labels))


def renamed(job: _Job) -> _Job:
    """The same search, with a category of another name."""
    table = job.training.annotations.categories.assign(name=["box", "circle"])
    labels = replace(job.training.annotations, categories=table)
    return replace(job, training=replace(job.training, annotations=labels))


def other_pixels(job: _Job) -> _Job:
    path = job.training.folder.path / "1.png"
    cv2.imwrite(str(path), cv2.blur(cv2.imread(str(path)), (9, 9)))
    return job


def other_recipe(job: _Job) -> _Job:
    path = job.recipes.folder / "mmpretrain/small.py"
    path.write_text(path.read_text().replace("stem_channels=8", "stem_channels=4"))
    return job


def other_weights(job: _Job) -> _Job:
    Path(job.model.pretrained).write_bytes(b"other")
    return job


def other_recipe_in_the_space(job: _Job) -> _Job:
    path = job.recipes.folder / "mmpretrain/larger.py"
    path.write_text(path.read_text().replace("stem_channels=8", "stem_channels=4"))
    return job


def other_weights_in_the_space(job: _Job) -> _Job:
    (job.folder.parent / "tried.pth").write_bytes(b"other")
    return job


def other_weights_that_a_recipe_names(job: _Job) -> _Job:
    (job.folder.parent / "named.pth").write_bytes(b"other")
    return job


def the_same(job: _Job) -> _Job:
    """Comments, times, and what alters no result."""
    path = job.recipes.folder / "mmpretrain/small.py"
    path.write_text("# As before.\n" + path.read_text())
    os.utime(job.training.folder.path / "1.png", (1, 1))
    return replace(job, model=job.model.model_copy(update={"cache_megabytes": 7}))


@pytest.mark.parametrize(
    ("change", "goes_on"),
    [
        (moved, False),
        (renamed, False),
        (other_pixels, False),
        (other_recipe, False),
        (other_weights, False),
        (the_same, True),
    ],
)
def test_a_search_goes_on_with_trainings_of_the_same_labels_images_recipe_and_weights(
    change, goes_on, tmp_path
):
    weights = tmp_path / "start.pth"
    weights.write_bytes(b"one")
    job = job_in(tmp_path)
    job = replace(job, model=job.model.model_copy(update={"pretrained": str(weights)}))
    _begin(job, _described(job))
    (job.folder / "trial0").mkdir()
    job = change(job)
    _begin(job, _described(job))
    assert (job.folder / "trial0").exists() == goes_on


@pytest.mark.parametrize(
    ("change", "goes_on"),
    [
        (other_recipe_in_the_space, False),
        (other_weights_in_the_space, False),
        (other_weights_that_a_recipe_names, False),
        (the_same, True),
    ],
)
def test_a_search_goes_on_with_trainings_of_the_same_files_as_its_space_names(
    change, goes_on, tmp_path
):
    job = job_in(tmp_path)
    for name in ("tried", "named"):
        (tmp_path / f"{name}.pth").write_bytes(b"one")
    small = job.recipes.folder / "mmpretrain/small.py"
    named = f"load_from = {str(tmp_path / 'named.pth')!r}\n"
    small.with_name("larger.py").write_text(small.read_text() + named)
    space = {
        "recipe": ["small", "larger", "not there"],
        "pretrained": ["none", "default", str(tmp_path / "tried.pth")],
    }
    job = replace(job, tuning=job.tuning.model_copy(update={"space": space}))
    _begin(job, _described(job))
    (job.folder / "trial0").mkdir()
    job = change(job)
    _begin(job, _described(job))
    assert (job.folder / "trial0").exists() == goes_on


@pytest.mark.parametrize("fault", ["one group", "no objects"])
def test_a_fold_that_cannot_be_halved_is_refused_before_anything_is_trained(fault, tmp_path):
    job = job_in(tmp_path)
    train = job.training.annotations
    if fault == "one group":
        train = replace(train, images=train.images.assign(group="all"))
    else:
        kept = train.annotations["image_id"].isin([1, 5, 6, 7, 8])
        train = replace(train, annotations=train.annotations[kept])
    folds = pd.DataFrame({"image_id": range(1, 9), "fold": [0, 0, 0, 0, 1, 1, 1, 1]})
    search = searcher(TuningPlan("few", "cls", "small"))
    with pytest.raises(ExperimentError, match=r"tuning\.few\.fold: half of fold 0.*another fold"):
        search(
            job.model, job.tuning, job.recipes, RunFolder(tmp_path / "runs"), train, folds,
            job.training.folder, job.metric,
        )  # fmt: skip
    assert not (tmp_path / "runs").exists()


def test_a_training_that_is_longer_than_the_base_comes_to_its_end():
    tried = model_of_trial(model_of("mmdet", epochs=2), {"epochs": 8})
    assert tried.epochs == 8
    assert tried.early_stopping.patience == 8


def test_a_patience_of_the_bases_own_stays():
    base = model_of("mmdet", epochs=2, early_stopping={"patience": 1})
    assert model_of_trial(base, {"epochs": 8}).early_stopping.patience == 1


def test_a_search_runs_where_there_is_what_its_model_asks_for():
    detector = {
        "task": "det", "backend": "mmdet", "recipe": "yolox_nano", "image_size": 64, "epochs": 1,
        "batch_size": 2, "optimizer": {"name": "SGD", "learning_rate": 0.1},
        "resources": {"gpu": 1, "memory": "8 GB"},
    }  # fmt: skip
    tuning = {"few": {"base": "yolox", "space": {"epochs": [1, 2]}}}
    plan = read_plan({"models": {"yolox": detector}, "tuning": tuning}, "models.yml")
    (search,) = create_pipeline(plan, plan.tunings[0]).nodes
    assert search.tags == {"gpu-1", "memory-8GB"}


@pytest.fixture
def search(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A search with two workers, which both have kept an epoch."""
    tests = Path(__file__).parents[1]
    started = subprocess.Popen(
        [sys.executable, tests / "pipelines/small_search.py", tmp_path],
        env=environment(tests), start_new_session=True,
    )  # fmt: skip
    try:
        wait_until(lambda: len(list(tmp_path.glob("search/trial*/state.pth"))) == 2)
        yield started
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def logged(folder: Path) -> list[str]:
    """The epochs of all trainings."""
    return [path.read_text() for path in sorted(folder.glob("search/trial*/metrics.jsonl"))]


@pytest.mark.slow
def test_nothing_is_trained_any_more_where_a_search_with_workers_is_killed(search, tmp_path):
    search.kill()
    time.sleep(1)
    before = logged(tmp_path)
    time.sleep(10)
    assert logged(tmp_path) == before


@pytest.mark.slow
def test_a_searchs_workers_send_each_epoch_and_ctrl_c_ends_those_under_way(search, tmp_path):
    wait_until(lambda: len(list(tmp_path.glob("elsewhere/trial*/state.pth"))) == 2)  # sent
    os.killpg(search.pid, signal.SIGINT)
    assert search.wait(60) == STOPPED
    tuning = job_in(tmp_path / "again").tuning
    study = open_study(tmp_path / "search/trials.journal", tuning)
    assert [trial.state.name for trial in study.trials] == ["RUNNING", "RUNNING"]  # for the next


def test_settings_that_make_no_model_are_a_trial_that_failed(tmp_path):
    """Other errors end a search; these let the other trials go on."""
    with pytest.raises(BackendError, match="^settings of the trial.epochs: .*integer"):
        model_of_trial(job_in(tmp_path).model, {"epochs": 12.3})
