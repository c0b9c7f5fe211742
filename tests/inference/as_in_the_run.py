"""``python as_in_the_run.py NAME...`` in a project: how far predictions are from those of its run.

It predicts on the test images, in memory, and prints by name the largest difference of a number and
whether all is the same.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from kedro.framework.startup import bootstrap_project

from recycling.annotations import ImageFolder
from recycling.annotations.images.decoding import read_image
from recycling.backends import Images
from recycling.cli.core import context_of
from recycling.pipeline_registry import plan_of
from recycling.pipelines.tasks import predicted_rows
from recycling.predictors import Loading, look_up, predictor_of


def compared(name: str, context: Any) -> dict[str, Any]:
    plan, catalog = plan_of(context.config_loader, context.project_path), context.catalog
    asked, loading = look_up(name, plan), Loading()
    test, folder = catalog.load("test.annotations"), catalog.load("test.images")
    files = dict(zip(test.images["image_id"], test.images["file_name"], strict=True))
    pixels = {int(number): read_image(folder.path / file) for number, file in files.items()}
    crops = predicted_rows("cls", test) if asked.task == "cls" else None
    images = Images(test.images, ImageFolder(Path()), crops, pixels)
    said: Any = predictor_of(name, plan, catalog, loading).predict(images)
    space = asked.trainings[0].namespace if asked.ensemble is None else name
    known: Any = catalog.load(f"{space}.test_predictions")
    if asked.task == "seg":
        different = max(float((said[number] != known[number]).mean()) for number in known)
        return {"rows": len(known), "difference": different, "same": different == 0}
    assert len(said) == len(known), f"{name}: {len(said)} rows for {len(known)}"
    numbers = known.select_dtypes("number").columns
    gap = np.abs(said[numbers].to_numpy() - known[numbers].to_numpy())
    return {"rows": len(known), "difference": float(gap.max(initial=0)), "same": said.equals(known)}


if __name__ == "__main__":
    bootstrap_project(Path.cwd())
    with context_of(None) as context:
        found = {name: compared(name, context) for name in sys.argv[1:]}
    print(json.dumps(found))
