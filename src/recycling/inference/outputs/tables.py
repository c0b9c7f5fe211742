"""One row an object: CSV to look at, Parquet with all there is."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from recycling.files import new_file
from recycling.inference.outputs.core import OUTPUTS
from recycling.inference.parts import Predicted
from recycling.registry import Settings


@OUTPUTS.add("csv", Settings, file="objects.csv")
def write_csv(predicted: Predicted, folder: Path) -> Path:
    """Write ``objects.csv``: names instead of numbers, and no masks.

    Args:
        predicted: What was found.
        folder: Where to.
    """
    path = folder / "objects.csv"
    table = named(predicted).drop(columns=["image_id", "category_id", "segmentation"])
    with new_file(path) as unfinished:
        table.to_csv(unfinished, index=False, float_format="%.6g")
    return path


@OUTPUTS.add("parquet", Settings, file="objects.parquet")
def write_parquet(predicted: Predicted, folder: Path) -> Path:
    """Write ``objects.parquet``: every column, numbers as they were predicted.

    Args:
        predicted: What was found.
        folder: Where to.
    """
    path = folder / "objects.parquet"
    with new_file(path) as unfinished:
        named(predicted).to_parquet(unfinished, index=False)
    return path


def named(predicted: Predicted) -> pd.DataFrame:
    """The objects, with the names of their image and category in front."""
    table = predicted.objects.copy()
    images = predicted.images.set_index("image_id")["file_name"]
    categories = predicted.categories.set_index("category_id")["name"]
    table.insert(0, "file_name", table["image_id"].map(images))
    table.insert(1, "category", table["category_id"].map(categories))
    return table
