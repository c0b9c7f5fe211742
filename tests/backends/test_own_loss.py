"""A loss in a file of a user's own is one like the project's, by its name in `models.yml`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from backends.poly_loss import Poly
from backends.tiny_trainings import RECIPES, data_of, draw_pictures, images_of
from recycling.backends import backend_for
from recycling.backends.losses import LossError, losses_of
from recycling.backends.losses.core import form_of
from recycling.plan import PlanError, read_plan

MODELS = """
models:
  small:
    task: cls
    backend: mmpretrain
    recipe: small
    image_size: 64
    epochs: 6
    batch_size: 4
    optimizer: {learning_rate: 0.003}
    schedule: {name: constant, warmup: 0}
    loss: LOSS
"""


def test_it_trains_a_classifier(tmp_path: Path) -> None:
    pytest.importorskip("mmpretrain")
    text = MODELS.replace("LOSS", "{name: poly_1, epsilon: 2}")
    model = read_plan(yaml.safe_load(text), "models.yml").models["small"]
    recipe = tmp_path / "small.py"
    recipe.write_text(RECIPES["mmpretrain"])
    pictures = draw_pictures(tmp_path / "pictures")
    backend = backend_for("mmpretrain")
    checkpoint = backend.train(model, recipe, data_of(pictures), tmp_path / "run")
    facts = json.loads((checkpoint.folder / "checkpoint.json").read_text())
    assert facts["model"]["loss"] == [{"name": "poly_1", "weight": 1.0, "epsilon": 2.0}]
    assert "PolyLoss" in (checkpoint.folder / "config.json").read_text()
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert losses[-1] < 0.8 * losses[0]
    found = backend.predict(checkpoint, images_of(pictures))
    truth = np.where(pictures.annotations.annotations["category_id"] == 7, "box", "disc")
    right = found[["box", "disc"]].idxmax(axis=1).to_numpy() == truth
    assert right.mean() > 0.8


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("{name: poly_1, gamma: 2}", "'poly_1' takes no 'gamma' .*; it takes weight, epsilon"),
        ("poly", "no loss is called 'poly'; did you mean 'poly_1'"),
    ],
)
def test_what_it_does_not_take_is_refused_like_that_of_the_projects_own(
    loss: str, message: str
) -> None:
    with pytest.raises(PlanError, match=message):
        read_plan(yaml.safe_load(MODELS.replace("LOSS", loss)), "models.yml")


def test_it_fits_the_tasks_whose_heads_it_has_a_config_for() -> None:
    assert "poly_1" in losses_of("cls")
    assert "poly_1" not in [*losses_of("det"), *losses_of("seg")]
    text = MODELS.replace("LOSS", "poly_1").replace("cls", "seg").replace("mmpretrain", "mmseg")
    with pytest.raises(PlanError, match="loss 'poly_1' does not fit task 'seg'; use one of"):
        read_plan(yaml.safe_load(text), "models.yml")
    with pytest.raises(LossError, match="'poly_1' is no loss of a dense head; use one of cross_en"):
        form_of(Poly(), "dense")
