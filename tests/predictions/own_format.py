"""A submission format of a user's own, in a file of its own: a row a box."""

from pathlib import Path
from typing import Literal

import pandas as pd

from recycling.predictions import DETECTIONS, BoxFormat, Detections, SubmissionError
from recycling.predictions.formats.rows import MissingImages
from recycling.predictions.submission import BOX_FORMATS, Format


class RowABox(BoxFormat):
    """A row a box, with as many decimals as are asked for."""

    format: Literal["row_a_box"] = "row_a_box"
    decimals: int = 2


def write(
    detections: Detections, images: pd.DataFrame, categories: pd.DataFrame, *, decimals: int
) -> pd.DataFrame:
    names = images.set_index("image_id")["file_name"]
    table = detections.round(decimals)
    return table.assign(image_id=names.loc[table["image_id"]].to_numpy())


def read(
    path: str | Path,
    images: pd.DataFrame,
    categories: pd.DataFrame,
    *,
    missing_images: MissingImages,
    decimals: int,
) -> Detections:
    table = pd.read_csv(path)
    ids = images.set_index("file_name")["image_id"]
    if missing_images == "error" and not set(ids.index) <= set(table["image_id"]):
        raise SubmissionError(f"{path}: an image has no row; predict it too")
    table["image_id"] = ids.loc[table["image_id"]].to_numpy()
    return Detections(DETECTIONS.conform(table, where=str(path)))


BOX_FORMATS.register("row_a_box", RowABox)(Format(write, read))
