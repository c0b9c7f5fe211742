"""Which images are the worst."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from recycling.annotations import BOX, ImageFolder
from recycling.pipelines import mistakes
from recycling.predictions import Detections


def test_an_image_is_none_of_the_worst_for_boxes_that_the_score_ignores(annotations, monkeypatch):
    rows = annotations.annotations
    crowd = rows[:1].assign(annotation_id=9, image_id=3, iscrowd=True)
    truth = replace(annotations, annotations=pd.concat([rows, crowd], ignore_index=True))
    seen = truth.annotations[["image_id", "category_id", *BOX]].assign(score=0.9)
    found = Detections(pd.concat([seen, seen[3:]], ignore_index=True).drop(index=0))
    shown = []
    monkeypatch.setitem(mistakes.GRIDS, "det", lambda truth, *_, **__: shown.append(truth))
    mistakes.draw_worst("det", truth, ImageFolder(Path()), found, 1)
    assert shown[0].images["image_id"].tolist() == [1]  # of which Paper is missed
