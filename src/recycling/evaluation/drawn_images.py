"""Scores of draws of images for any metric: every draw is evaluated anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import Annotations
from recycling.evaluation.core import EvaluationError
from recycling.predictions import LabelMaps


@dataclass(frozen=True)
class DrawnImages:
    """An `ImageScores` for a metric that has no quick form.

    Attributes:
        truth: The images that were predicted on, and what is on them.
        predictions: Detections, class probabilities or label maps of them.
        score: The metric's score, of the truth and the predictions.
    """

    truth: Annotations
    predictions: Any
    score: Callable[[Annotations, Any], float]

    @property
    def n_images(self) -> int:
        """How many images there are."""
        return len(self.truth.images)

    @property
    def has_truth(self) -> NDArray[np.bool_]:
        """(images,) whether an image holds an object."""
        annotations = self.truth.annotations
        objects = annotations.loc[~annotations["iscrowd"], "image_id"]
        return self.truth.images["image_id"].isin(objects).to_numpy()

    def scores(self, draws: NDArray[np.int64]) -> NDArray[np.float64]:
        """The score of each draw.

        Args:
            draws: (draws, images), how often each image was drawn.

        Returns:
            (draws,), NaN where the metric says that nothing that was drawn has a truth.
        """
        return np.array([self._score(times) for times in draws], dtype=np.float64)

    def _score(self, times: NDArray[np.int64]) -> float:
        truth, predictions = self._drawn(times)
        if truth.annotations["iscrowd"].all():
            return float("nan")
        try:
            return self.score(truth, predictions)
        except EvaluationError:
            return float("nan")

    def _drawn(self, times: NDArray[np.int64]) -> tuple[Annotations, Any]:
        """Each image as often as it was drawn; every copy is an image of its own."""
        images = self.truth.images.iloc[np.repeat(np.arange(len(times)), times)]
        copies = pd.DataFrame({"image_id": images["image_id"], "copy": np.arange(len(images))})
        annotations = self.truth.annotations.merge(copies, on="image_id")
        crops = annotations[["annotation_id"]].assign(copy=np.arange(len(annotations)))
        truth = Annotations(
            images.assign(image_id=copies["copy"]).reset_index(drop=True),
            annotations.assign(image_id=annotations["copy"], annotation_id=crops["copy"]).drop(
                columns="copy"
            ),
            self.truth.categories,
        )
        if isinstance(self.predictions, pd.DataFrame):
            is_of_images = "image_id" in self.predictions
            key, known = ("image_id", copies) if is_of_images else ("annotation_id", crops)
            table = self.predictions.merge(known, on=key)
            return truth, table.assign(**{key: table["copy"]}).drop(columns="copy")
        originals = copies["image_id"].tolist()
        return truth, LabelMaps(
            range(len(originals)), lambda copy: self.predictions[originals[copy]]
        )
