"""A fusion method of a user's own: its settings, its function, and the line that registers it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import pandas as pd

from recycling.ensembling.methods import BoxFusion, Searched, Share, box_method
from recycling.predictions import Detections


class KeepAllSettings(BoxFusion):
    """Every box of every member that is sure enough."""

    method: Literal["keep_all"] = "keep_all"
    least_score: Annotated[Share, Searched(0.0, 0.9, 0.1, first=0.5)] = 0.0


@box_method("keep_all", KeepAllSettings)
def keep_all(
    members: Sequence[Detections], *, least_score: float = 0.0, names: Sequence[str] | None = None
) -> Detections:
    """Every box of every member whose score is `least_score` or more."""
    boxes = pd.concat(members, ignore_index=True)
    return Detections(boxes[boxes["score"] >= least_score].reset_index(drop=True))
