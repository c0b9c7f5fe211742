"""A project with the shipped sample as its data, and what a run adds to it, made as a run makes it.

The pool has names that are meant to do harm.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from recycling.annotations import (
    ANNOTATIONS,
    BOX,
    CATEGORIES,
    IMAGES,
    Annotations,
    Cleaning,
    clean,
    read_tables,
    write_coco,
    write_tables,
)
from recycling.annotations.images.checks import IMAGE_CHECKS
from recycling.backends.shared.training_log import METRICS, add_line
from recycling.diagnostics.label_errors.core import NEW_BOX, candidates
from recycling.evaluation import BoxMetric
from recycling.experiments import (
    ArmFacts,
    Manifest,
    ManifestFolder,
    arms_table,
    compare_scores,
    summarise_study,
)
from recycling.predictions import Detections
from recycling.pseudo_labels.boxes import annotate_boxes
from recycling.pseudo_labels.core import THRESHOLDS, PseudoLabeling, Thresholds, audit, examples
from recycling.reporting import study_figure

ROOT = Path(__file__).parents[2]

HOSTILE = "<img src=x onerror=\"document.title='harmed'\">"


def project_with_sample(folder: Path) -> Path:
    """Configuration and data of a project in `folder`."""
    shutil.copytree(ROOT / "conf", folder / "conf")
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder)
    (folder / "src").mkdir()  # the package itself is installed
    data = folder / "data"
    shutil.copytree(ROOT / "sample", data)
    images = data / "01_raw/sample/images"
    Image.fromarray(np.full((60, 80, 3), 200, np.uint8)).save(images / "<b>bold<<b>.png")
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / "secret.png")
    (images / "linked.png").symlink_to(folder / "secret.png")
    (images / "broken.png").write_bytes(b"not a PNG")
    test = read_tables(data / "03_primary/test")
    write_tables(_joined(hostile_pool(), test), data / "03_primary/pool")
    _add_cleaning(data, test)
    _add_pseudo_labels(data, test)
    _add_label_errors(data)
    _add_run(data)
    _add_study(folder, test)
    return folder


def _joined(first: Annotations, second: Annotations) -> Annotations:
    """The images of both; of the first's categories those that the second has not, too."""
    new = first.categories[~first.categories["name"].isin(second.categories["name"])]
    new = new.assign(category_id=new["category_id"] + 1000)
    rows = first.annotations.assign(category_id=first.annotations["category_id"] + 1000)
    rows = rows[rows["category_id"].isin(new["category_id"])]
    return Annotations(
        pd.concat([first.images, second.images], ignore_index=True),
        pd.concat([rows, second.annotations[~second.annotations["annotation_id"].isin([1, 2])]],
                  ignore_index=True),
        pd.concat([new, second.categories], ignore_index=True),
    )  # fmt: skip


def _add_cleaning(data: Path, test: Annotations) -> None:
    """Raw annotations of which one box is flat and one reaches outside, and their audit."""
    rows = test.annotations.copy()
    rows["segmentation"] = None
    rows.loc[0, "y_max"] = rows.loc[0, "y_min"]
    rows.loc[1, "x_max"] = 400.0
    raw = Annotations(test.images, rows, test.categories)
    write_coco(raw, data / "01_raw/sample/test.json")
    _, changes = clean(raw, IMAGE_CHECKS.empty(), Cleaning())
    (data / "02_intermediate/test").mkdir(parents=True)
    changes.to_parquet(data / "02_intermediate/test/cleaning_audit.parquet")


def _add_pseudo_labels(data: Path, test: Annotations) -> None:
    """What becomes of a detector's boxes on test images at a threshold of 0.5."""
    boxes = pd.read_parquet(data / "07_model_output/det/yolox/fold0/test.parquet")
    categories = test.categories
    table = categories[["category_id", "name", "supercategory"]].rename(
        columns={"name": "category"}
    )
    table = table.assign(
        threshold=0.5, precision=pd.NA, confidence=pd.NA, units=1, kept=1.0, wrong=0.0, reason="set"
    )
    thresholds = Thresholds(THRESHOLDS.conform(table, where="thresholds"))
    labels, fates = annotate_boxes(
        Detections(boxes), test, thresholds, categories, PseudoLabeling()
    )
    write_tables(labels, data / "05_model_input/det/pseudo/fold0/pool")
    folder = data / "08_reporting/det"
    folder.mkdir(parents=True)
    audit(fates, categories).to_parquet(folder / "pseudo_fold0_pool.parquet")
    examples(fates).to_parquet(folder / "pseudo_fold0_pool_examples.parquet")


def _add_label_errors(data: Path) -> None:
    """Three candidates: a wrong class, a badly placed box, a missed object; and a stale one."""
    train = read_tables(data / "03_primary/train")
    first, second, third = train.annotations.head(3).to_dict("records")
    names = dict(zip(train.categories["category_id"], train.categories["name"], strict=True))
    other = next(name for name in names.values() if name != names[first["category_id"]])
    rows = [
        {"quality": 0.1, "kind": "wrong_class", "new_category": other, **_of(first, names)},
        {"quality": 0.2, "kind": "badly_placed", **_of(second, names),
         **dict(zip(NEW_BOX, (1.0, 2.0, 30.0, 40.0), strict=True))},
        {"quality": 0.3, "kind": "missed", **_of(third, names), "annotation_id": None,
         "category": None, "new_category": other},
        {"quality": 0.4, "kind": "spurious", **_of(third, names)},
    ]  # fmt: skip
    table = candidates(train, pd.DataFrame(rows))
    table.loc[3, "file_name"] = "of another id.png"
    table.to_parquet(data / "08_reporting/label_errors.parquet")


def _of(row: dict, names: dict) -> dict:
    kept = {key: row[key] for key in ("image_id", "annotation_id", *BOX)}
    return {**kept, "category": names[row["category_id"]], "models": "det: something else 0.90"}


def _add_run(data: Path) -> None:
    """The manifest of a run, and the log of a training."""
    scores = {}
    for model in ("yolox", "fcos"):
        for part in ("test", "out_of_fold"):
            path = data / f"07_model_output/det/{model}/fold0/{part}_metrics.json"
            scores[f"det.{model}.fold0.{part}_metrics"] = json.loads(path.read_text())
    run = ManifestFolder(data / "08_reporting/runs/2026-01-02T03.04.05.006Z")
    run.path.mkdir(parents=True)
    run.write(
        Manifest(
            run.path.name,
            {"pipeline_names": ["training_det"]},
            "2026-01-02T03:04:05+00:00",
            "2026-01-02T03:14:05+00:00",
            "completed",
            name="first",
            scores=scores,
        )
    )
    log = data / "06_models/runs/det.yolox.fold0" / METRICS
    log.parent.mkdir(parents=True)
    for epoch in (1, 2, 3):
        add_line(log, {"epoch": epoch, "loss": 3.0 / epoch, "learning_rate": 0.001})


def _add_study(folder: Path, test: Annotations) -> None:
    """A study of two detectors: the change is FCOS, judged by what is shipped of it."""
    studies = {"one_stage": {"base": "yolox", "seeds": [0],
                             "changes": {"fcos": {"recipe": "fcos_r18_narrow"}}}}  # fmt: skip
    (folder / "conf/local").mkdir(exist_ok=True)
    (folder / "conf/local/parameters_studies.yml").write_text(yaml.safe_dump({"studies": studies}))
    boxes = folder / "data/07_model_output/det"
    predicted = {
        name: [Detections(pd.read_parquet(boxes / f"{name}/fold0/test.parquet"))]
        for name in ("yolox", "fcos")
    }
    metric = BoxMetric.model_validate({"metric": "map50"})
    compared = compare_scores(metric, test, predicted, n_draws=20)
    facts = [ArmFacts(name, place, [{"seconds": 60.0}], "none")
             for place, name in enumerate(predicted)]  # fmt: skip
    arms = arms_table(facts, compared.scores)
    summary = summarise_study("yolox", "mAP50", compared.effects, [], arms, folds=(0,))
    made = folder / "data/08_reporting/studies/one_stage"
    made.mkdir(parents=True)
    compared.table.to_parquet(made / "effects.parquet")
    arms.to_parquet(made / "arms.parquet")
    (made / "summary.json").write_text(json.dumps(summary))
    study_figure("one_stage", "mAP50", compared.table, arms).savefig(made / "effects.png")


def hostile_pool() -> Annotations:
    """Three images: one whose names hold HTML, a link that leads outside, one that is broken."""
    names = ["<b>bold<<b>.png", "linked.png", "broken.png"]
    images = pd.DataFrame({"image_id": [1, 2, 3], "file_name": names, "width": 80, "height": 60})
    rows = pd.DataFrame(
        {"annotation_id": [1, 2], "image_id": [1, 1], "category_id": [5, 6], "area": [200.0, 1800]}
    )
    rows = rows.assign(
        x_min=[10.0, 20], y_min=[10.0, 5], x_max=[30.0, 70], y_max=[20.0, 41], segmentation=None,
        iscrowd=False, source="human", score=1.0, extra=None,
    )  # fmt: skip
    rows.loc[1, "segmentation"] = '{"size":[60,80],"counts":[1205,36,24,36,3499]}'
    categories = pd.DataFrame(
        {"category_id": [5, 6], "name": [HOSTILE, "Metal"], "supercategory": "", "extra": None}
    )
    return Annotations(
        IMAGES.conform(images.assign(group=["a", "a", "b"], extra=None), where="images"),
        ANNOTATIONS.conform(rows, where="annotations"),
        CATEGORIES.conform(categories, where="categories"),
    )
