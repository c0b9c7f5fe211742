"""The project that is stopped: every kind of node on a few images, or the demo."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from recycling.sample import SampleSettings, generate_sample

ROOT = Path(__file__).parents[1]

SMALL = SampleSettings(image_size=128, train_images=100, pool_images=12, test_images=12)
"""Fewer images have no room for every defect that is planted."""

KEPT = {"train": 36, "pool": 6, "test": 8}
"""How many images of each part a run is told of."""

NAMED = 90_000
"""Annotations of higher ids are planted, and the project's cleaning rules name them."""

FIRST = {"cls": "resnet18", "det": "yolox", "seg": "fcn"}
"""Each with its student; detectron2's detector is with them where it is installed."""

TURNED = {"factor": 4, "transforms": [{"HorizontalFlip": {"p": 0.5}}], "workers": 2}
"""Each process makes 64 copies at a time: of fewer, one would make all."""


def demo(project: Path) -> Path:
    """The demo, as a clone of the project has it."""
    _clone(project)
    generate_sample(project / "data/01_raw/sample")
    return project


def cut_chain(project: Path) -> Path:
    """A project whose run has every kind of node, and takes little time for each.

    One model a task with its student, of two epochs each, with a loader process; one learns from
    augmented copies. A search of three trials.
    """
    _clone(project)
    sample = project / "data/01_raw/sample"
    generate_sample(sample, SMALL)
    for part, n_images in KEPT.items():
        _keep(sample / f"{part}.json", n_images)
    path = project / "conf/base/models.yml"
    described = yaml.safe_load(path.read_text())
    models: dict[str, dict[str, Any]] = {}
    for name in (*FIRST.values(), "faster_rcnn", *(f"{first}_pseudo" for first in FIRST.values())):
        own = {"epochs": 2, "batch_size": 8, "image_size": 64, "workers": 1}
        models[name] = {**described["models"][name], **own}
        models[name].pop("control", None)
    models["resnet18"] |= {"data": "turned", "batch_size": 32}
    models["yolox"] |= {"score_threshold": 0.0}
    models["yolox_pseudo"] |= {"score_threshold": 0.0}
    ensembles = {**described["ensembles"], "final": {"members": "all", "search": {"trials": 3}}}
    del ensembles["searched"]
    path.write_text(yaml.safe_dump({**described, "models": models, "ensembles": ensembles}))
    # Of two epochs nothing can be promised.
    rounds = {"pseudo": {"promise": None, "score": 0.0, "mask_area": 1, "truth": "pool.truth"}}
    parameters = {
        "pseudo_labeling": rounds,
        "augmented_sets": {"turned": TURNED},
        "tracking": {"to": "none"},
    }
    local = project / "conf/local/parameters_of_survive.yml"
    local.parent.mkdir(exist_ok=True)
    local.write_text(yaml.safe_dump(parameters))
    return project


def _keep(path: Path, n_images: int) -> None:
    """Let a COCO file know of its first images alone, and of those that the cleaning rules name."""
    coco = json.loads(path.read_text())
    kept = {image["id"] for image in coco["images"][:n_images]}
    kept |= {each["image_id"] for each in coco["annotations"] if each["id"] > NAMED}
    coco["images"] = [image for image in coco["images"] if image["id"] in kept]
    coco["annotations"] = [each for each in coco["annotations"] if each["image_id"] in kept]
    path.write_text(json.dumps(coco))


def _clone(project: Path) -> None:
    """What git has, without what a run makes; the package itself is installed."""
    project.mkdir(parents=True)
    for name in ("conf", "sample"):
        shutil.copytree(ROOT / name, project / name)
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, project)
    (project / "src").mkdir()
