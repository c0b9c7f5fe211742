"""How many objects of each category are on each image, and how large they are: for a survey."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from recycling.files import new_file
from recycling.inference.outputs.core import OUTPUTS
from recycling.inference.parts import Predicted
from recycling.registry import Settings


@OUTPUTS.add("summary", Settings, file="summary.csv")
def write(predicted: Predicted, folder: Path) -> Path:
    """Write ``summary.csv``.

    Args:
        predicted: What was found.
        folder: Where to.
    """
    path = folder / "summary.csv"
    with new_file(path) as unfinished:
        by_image(predicted).to_csv(unfinished, index=False, float_format="%.1f")
    return path


def by_image(predicted: Predicted) -> pd.DataFrame:
    """One row an image, those without objects too.

    Returns:
        `file_name`, `width`, `height`, `objects`, and of each category ``NAME: count`` and
        ``NAME: area`` in square pixels, what objects share counted once for each.
    """
    cells = predicted.objects.groupby(["image_id", "category_id"])["area"].agg(["size", "sum"])
    table = predicted.images.set_index("image_id")[["file_name", "width", "height"]].copy()
    table["objects"] = predicted.objects["image_id"].value_counts().reindex(table.index).fillna(0)
    table["objects"] = table["objects"].astype("int64")
    for category_id, name in predicted.categories[["category_id", "name"]].itertuples(index=False):
        own = cells[cells.index.get_level_values("category_id") == category_id]
        own = own.droplevel("category_id").reindex(table.index).fillna(0)
        table[f"{name}: count"] = own["size"].astype("int64")
        table[f"{name}: area"] = own["sum"]
    return table.reset_index(drop=True)


def by_category(predicted: Predicted) -> pd.DataFrame:
    """One row a category: objects, images that have one, and the share of all images' area.

    Args:
        predicted: What was found.
    """
    area = (predicted.images["width"] * predicted.images["height"]).sum()
    groups = predicted.objects.groupby("category_id")
    ids = predicted.categories["category_id"]
    counts, on = groups.size(), groups["image_id"].nunique()
    return pd.DataFrame(
        {
            "category": predicted.categories["name"],
            "objects": ids.map(counts).fillna(0).astype("int64"),
            "images": ids.map(on).fillna(0).astype("int64"),
            "area": ids.map(groups["area"].sum()).fillna(0.0) / max(int(area), 1),
        }
    )
