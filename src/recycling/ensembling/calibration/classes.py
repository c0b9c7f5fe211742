"""Calibrated probabilities of classes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recycling.ensembling.calibration.core import Calibrator, Curves, Evidence
from recycling.ensembling.classes.probabilities import (
    probability_table,
    says_nothing,
    scaled_rows,
)
from recycling.predictions import ClassProbabilities


def calibrate_classes(method: str, known: ClassProbabilities, labels: pd.Series) -> Calibrator:
    """Learn how often crops are of a class that a member gives some probability.

    Each class is calibrated against all others, then the probabilities of a crop are scaled to sum
    to 1 (Zadrozny and Elkan, 2002, section 5). A crop whose classes are all equally likely, as one
    that a file lacks, stays as it is.

    Args:
        method: The name of a calibration.
        known: The member's probabilities of crops that it has not seen.
        labels: The name of each crop's category, by annotation id; crops without one are left out.

    Returns:
        What calibrates probabilities of the same member.

    Example:
        >>> known = pd.DataFrame({"annotation_id": range(80), "Can": 0.9, "Bag": 0.1})
        >>> labels = pd.Series(np.repeat(["Can", "Bag"], 40))
        >>> calibrated = calibrate_classes("platt", ClassProbabilities(known), labels)(known)
        >>> calibrated[["Can", "Bag"]].iloc[0].round(2).tolist()
        [0.5, 0.5]
    """
    labelled = known[known["annotation_id"].isin(labels.index)]
    truth = labels.loc[labelled["annotation_id"]].to_numpy(dtype=object)
    classes = [column for column in known.columns if column != "annotation_id"]
    curves = Curves(
        method,
        {
            name: Evidence(
                labelled[name].to_numpy("float64"),
                (truth == name).astype(np.float64),
                np.ones(len(labelled)),
            )
            for name in classes
        },
    )

    def calibrated(crops: ClassProbabilities) -> ClassProbabilities:
        before = crops[classes].to_numpy("float64")
        columns = [curves[name](before[:, number]) for number, name in enumerate(classes)]
        after = scaled_rows(np.stack(columns, axis=1))
        rows = np.where(says_nothing(before)[:, None], before, after)
        return probability_table(crops["annotation_id"].to_numpy("int64"), classes, rows)

    return calibrated
