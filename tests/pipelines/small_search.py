"""A search so small that tests can run it.

``python small_search.py FOLDER`` runs one with two workers, whose trainings have to be stopped.
What it keeps is sent to ``FOLDER/elsewhere``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from backends.tiny_trainings import draw_pictures, model_of, write_recipe
from recycling import mirrors
from recycling.backends import Recipes
from recycling.experiments import Tuning, open_study
from recycling.mirrors import Mirror
from recycling.pipelines.tasks import METRIC
from recycling.pipelines.tuning import _Job, _run
from recycling.stopping import Stopped, stops_when_asked

STOPPED = 3
"""Ends a search that has stopped as asked."""


def job_in(folder: Path, epochs: int = 3, workers: int = 1) -> _Job:
    """A search over a tiny classifier."""
    pictures = draw_pictures(folder / "pictures")
    (folder / "recipes/mmpretrain").mkdir(parents=True)
    write_recipe(folder / "recipes/mmpretrain", "mmpretrain").rename(
        folder / "recipes/mmpretrain/small.py"
    )
    tuning = Tuning(base="small", space={"seed": [0, 1]}, workers=workers)
    model = model_of("mmpretrain", epochs=epochs, optimizer={"learning_rate": 0.05})
    return _Job(
        tuning, model, Recipes(folder / "recipes"), pictures, pictures, METRIC["cls"](),
        folder / "search",
    )  # fmt: skip


if __name__ == "__main__":
    job = job_in(Path(sys.argv[1]), epochs=10_000, workers=2)
    elsewhere = Mirror(f"file://{sys.argv[1]}/elsewhere")
    elsewhere.folder = job.folder
    mirrors._open[elsewhere.address] = elsewhere
    open_study(job.journal, job.tuning)
    try:
        with stops_when_asked():
            _run(job)
    except Stopped:
        sys.exit(STOPPED)
