"""What a searched ensemble gains and loses beside the default, on samples drawn anew.

Each sample is a project of its own, whose models train on labels only. It is kept, so that a run
goes on where it stopped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
import pandas as pd
import yaml
from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).parents[1]
KEPT = Path(gettempdir()) / "recycling_samples"
TASKS = ("cls", "det", "seg")
CHAIN = "data_cleaning,splitting,training_cls,training_det,training_seg,ensembling"


def run(*, quick: bool, n_samples: int = 10) -> pd.DataFrame:
    """Draw samples, train on them, and print what the search is worth on their test images.

    Returns:
        A row a sample and task: the scores of ``final``, ``searched`` and the best member on the
        test images, and ``how``, what was chosen.
    """
    if quick:
        n_samples = 1
    seeds = range(1, n_samples + 1)
    with ThreadPoolExecutor(2) as pool:  # each waits for a process of one thread
        found = list(pool.map(partial(sample, epochs=1 if quick else None), seeds))
    results = pd.DataFrame([row for rows in found for row in rows])
    show(results)
    return results


def sample(seed: int, epochs: int | None = None) -> list[dict[str, Any]]:
    """Draw one sample, train on it and fuse; what its ensembles score.

    Args:
        seed: Of the sample.
        epochs: Of every training; None for those of `models.yml`.
    """
    folder = KEPT / f"{seed}" if epochs is None else KEPT / f"{seed}_{epochs}"
    for part in ("conf", "src"):
        shutil.copytree(PROJECT / part, folder / part, dirs_exist_ok=True)
    shutil.copy(PROJECT / "pyproject.toml", folder)
    (folder / "conf/local/models.yml").write_text(yaml.safe_dump(labeled(epochs)))
    python = [sys.executable, "-m"]
    call(folder, [*python, "recycling.sample", "data/01_raw/sample", "--seed", str(seed)])
    call(folder, [*python, "kedro", "run", "--pipelines", CHAIN, "--only-missing-outputs",
                  "--params", "tracking=none"])  # fmt: skip
    return [{"sample": seed, **scores} for scores in scored(folder / "data")]


def labeled(epochs: int | None) -> dict[str, Any]:
    """`models.yml` without what learns from pseudo-labels, and without the teacher's round."""
    described = yaml.safe_load((PROJECT / "conf/base/models.yml").read_text())
    models = {
        name: model if epochs is None else {**model, "epochs": epochs}
        for name, model in described["models"].items()
        if "train_on" not in model
    }
    return {"models": models, "ensembles": described["ensembles"]}


def call(folder: Path, command: list[str]) -> None:
    """Run a command in a project; what it says is shown where it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} in {folder}:\n{done.stdout[-2000:]}{done.stderr}")


def scored(data: Path) -> Iterator[dict[str, Any]]:
    """The scores of each task's ensembles on the test images, and what its search chose."""
    for task in TASKS:
        scores = json.loads((data / f"08_reporting/{task}/scores.json").read_text())
        choice = json.loads((data / f"07_model_output/{task}/searched/choice.json").read_text())
        yield {
            "task": task,
            "final": scores["ensemble"],
            "searched": scores["others"]["searched"],
            "best member": max(scores["members"].values()),
            "how": choice["how"],
        }


def show(results: pd.DataFrame) -> None:
    """Print the gains over the default, and beside the member that the test images find best."""
    title = "searched less final (the default) on the test images"
    table = Table("task", "samples", "mean", "+- se", "least", "most", "chosen", title=title)
    for task, own in results.groupby("task", sort=False):
        gains = (own["searched"] - own["final"]).to_numpy()
        error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.nan
        chosen = ", ".join(f"{how} {n}" for how, n in own["how"].value_counts().items())
        table.add_row(
            str(task), str(len(own)), f"{gains.mean():+.4f}", f"{error:.4f}",
            f"{gains.min():+.4f}", f"{gains.max():+.4f}", chosen,
        )  # fmt: skip
    console = Console(width=110)
    console.print(table)
    for row in results.to_dict("records"):
        console.print(
            f"{row['task']} {row['sample']}: final {row['final']:.4f}, searched "
            f"{row['searched']:.4f} ({row['how']}), best member {row['best member']:.4f}"
        )
    console.print("no ratio: this is about scores")
