"""A training with all that may be tracked of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recycling.tracking import Entry, PredictedImage


def training(folder: Path, name: str = "det.yolox.fold0-2026-11-29T07.31.00.731Z") -> Entry:
    """An entry whose files are in a folder."""
    (folder / "checkpoint").mkdir(parents=True, exist_ok=True)
    (folder / "checkpoint/weights.pth").write_bytes(b"weights")
    (folder / "folds.parquet").write_bytes(b"folds")
    (folder / "report.html").write_text("<p>a report</p>")
    return Entry(
        name=name,
        kind="training",
        group="losses",
        tags=("det", "mmdet"),
        parameters={"epochs": 2, "optimizer": {"learning_rate": 0.1}},
        fingerprints={"folds": "sha256 ab", "det.yolox.fold0.checkpoint": "sha256 cd"},
        scores={"out_of_fold/mAP50": 0.5, "out_of_fold/low": 0.4, "out_of_fold/high": 0.6},
        curves=[{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}],
        predictions=[PredictedImage("test", "a.jpg", 3, np.zeros((20, 30, 3), np.uint8))],
        pages={"report": folder / "report.html"},
        takes={"folds": folder / "folds.parquet"},
        gives={"det.yolox.fold0.checkpoint": folder / "checkpoint"},
    )
