"""Each of detectron2's recipes: its size, its weights, and, slowly, a step and a prediction."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backends.on_meta import on_meta
from backends.rectangles import (
    RECIPES,
    data_of,
    images_of,
    rectangles,
    settings_of,
)
from recycling.annotations import LabeledImages
from recycling.backends import backend_for, is_installed

if not is_installed("detectron2"):
    pytest.skip("detectron2 is not installed", allow_module_level=True)

NARROW = "faster_rcnn_r50_narrow"
OFFICIAL = {
    "cascade_rcnn_r50": "Misc/cascade_mask_rcnn_R_50_FPN_3x",
    "faster_rcnn_r50": "COCO-Detection/faster_rcnn_R_50_FPN_3x",
    "retinanet_r50": "COCO-Detection/retinanet_R_50_FPN_3x",
}
"""The library's own name of each recipe's network and weights; the narrow one has none."""

IN_MMDET = {"cascade_rcnn_r50": 69_179_516, "faster_rcnn_r50": 41_394_306}
"""The parameters of the same networks there."""


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> LabeledImages:
    return rectangles(tmp_path_factory.mktemp("pictures") / "a", seed=0, n_images=2)


def config_of(recipe: str, **changes: Any) -> Any:
    from recycling.backends.detectron2_backend import session
    from recycling.backends.detectron2_backend.resolve import resolve

    model = settings_of(recipe=recipe, **changes)
    with session.library():
        return resolve(model, RECIPES.find("detectron2", recipe), n_classes=10)


def test_each_recipe_is_tested() -> None:
    names = [path.stem for path in (RECIPES.folder / "detectron2").glob("*.yaml")]
    assert sorted(names) == sorted([NARROW, *OFFICIAL])


@pytest.mark.parametrize("recipe", [NARROW, *OFFICIAL])
def test_a_recipe_has_the_size_that_its_head_says(recipe: str) -> None:
    from detectron2.modeling import build_model

    from recycling.backends.shared.recipes import read_head

    config = config_of(recipe)
    config.MODEL.DEVICE = "meta"
    with on_meta():
        network = build_model(config)
    size = sum(weights.numel() for weights in network.parameters())
    assert read_head(RECIPES.find("detectron2", recipe), "det", "detectron2").parameters == size
    assert size == IN_MMDET.get(recipe, size)
    assert not hasattr(getattr(network, "roi_heads", None), "mask_head")


@pytest.mark.parametrize("recipe", OFFICIAL)
def test_official_weights_are_those_of_the_librarys_zoo(recipe: str) -> None:
    from detectron2 import model_zoo
    from detectron2.utils.file_io import Detectron2Handler

    config = config_of(recipe, pretrained="default")
    url = model_zoo.get_checkpoint_url(f"{OFFICIAL[recipe]}.yaml")
    ours = config.MODEL.WEIGHTS.replace("detectron2://", Detectron2Handler.S3_DETECTRON2_PREFIX)
    assert ours == url
    assert config.MODEL.BACKBONE.FREEZE_AT == 2
    assert config.MODEL.RESNETS.NORM == "FrozenBN"
    text = RECIPES.find("detectron2", recipe).read_text()
    assert f"# Weights: dl.fbaipublicfiles.com {Path(url).name}" in text


@pytest.mark.parametrize("recipe", [NARROW, *OFFICIAL])
def test_without_weights_nothing_is_frozen(recipe: str) -> None:
    config = config_of(recipe)
    assert config.MODEL.WEIGHTS == ""
    assert config.MODEL.BACKBONE.FREEZE_AT == 0
    assert config.MODEL.RESNETS.NORM == "BN"


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [NARROW, *OFFICIAL])
def test_a_recipe_takes_a_step_and_predicts(
    recipe: str, part: LabeledImages, tmp_path: Path
) -> None:
    backend = backend_for("detectron2")
    optimizer = {"name": "SGD", "learning_rate": 1e-4, "clip_grad_norm": 1.0}
    model = settings_of(
        recipe=recipe, image_size=128, epochs=1, score_threshold=0.0, optimizer=optimizer
    )
    try:
        path = RECIPES.find("detectron2", recipe)
        checkpoint = backend.train(model, path, data_of(part), tmp_path / "run")
        facts = json.loads((checkpoint.folder / "checkpoint.json").read_text())
        assert facts["iterations"] == 1
        assert np.isfinite(facts["last_loss"])
        found = backend.predict(checkpoint, images_of(part))
        assert isinstance(found, pd.DataFrame)
        assert 0 < len(found) <= 200
        assert set(found["category_id"]) <= {5, 7}
    finally:
        # The largest leave half a GB.
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
