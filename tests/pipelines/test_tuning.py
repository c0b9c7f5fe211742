"""What each training of a search is told, and what a search that goes on finds of earlier ones."""

from __future__ import annotations

import logging
import resource
from pathlib import Path

import pytest

from backends.tiny_trainings import draw_pictures, model_of, write_recipe
from forked import in_a_process
from recycling.backends import Recipes
from recycling.experiments import Tuning
from recycling.pipelines.tasks import METRIC
from recycling.pipelines.tuning import _begin, _Job, _train, model_of_trial
from recycling.stopping import Stopped, ask_to_stop


def job_in(folder: Path) -> _Job:
    """A search over a tiny classifier of three epochs."""
    pictures = draw_pictures(folder / "pictures")
    (folder / "recipes/mmpretrain").mkdir(parents=True)
    write_recipe(folder / "recipes/mmpretrain", "mmpretrain").rename(
        folder / "recipes/mmpretrain/small.py"
    )
    tuning = Tuning(base="small", space={"epochs": [2, 3]})
    model = model_of("mmpretrain", epochs=3, optimizer={"learning_rate": 0.05})
    return _Job(
        tuning, model, Recipes(folder / "recipes"), pictures, pictures, METRIC["cls"](),
        folder / "search",
    )  # fmt: skip


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


def test_a_training_that_is_longer_than_the_base_comes_to_its_end():
    tried = model_of_trial(model_of("mmdet", epochs=2), {"epochs": 8})
    assert tried.epochs == 8
    assert tried.early_stopping.patience == 8


def test_a_patience_of_the_bases_own_stays():
    base = model_of("mmdet", epochs=2, early_stopping={"patience": 1})
    assert model_of_trial(base, {"epochs": 8}).early_stopping.patience == 1
