"""Kedro datasets for what a person looks at, or hands in."""

from __future__ import annotations

import base64
import json
import logging
import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from kedro.io import DatasetError
from kedro_datasets._typing import ImagePreview, JSONPreview, TablePreview
from numpy.typing import NDArray

from recycling.datasets.core import PathDataset
from recycling.files import new_file, write_bytes, write_text
from recycling.stored_tables import TableParts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

# Matplotlib says it of every character; here it is one line a figure.
warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")


class JsonDataset(PathDataset[Any]):
    """What JSON can hold: numbers, strings, lists and mappings."""

    def read(self, path: Path) -> Any:  # noqa: D102
        return json.loads(path.read_bytes())

    def write(self, data: Any, path: Path) -> None:  # noqa: D102
        write_text(path, json.dumps(data, indent=2))

    def preview(self) -> JSONPreview:
        """The content, for Kedro-Viz."""
        return JSONPreview(self.content().decode())


class TextDataset(PathDataset[str]):
    """Text in UTF-8, such as a page of HTML."""

    def read(self, path: Path) -> str:  # noqa: D102
        return path.read_bytes().decode()

    def write(self, data: str, path: Path) -> None:  # noqa: D102
        write_text(path, data)


class CsvDataset(PathDataset[pd.DataFrame]):
    """A table of any columns as CSV, such as a submission."""

    def read(self, path: Path) -> pd.DataFrame:  # noqa: D102
        return pd.read_csv(path)

    def write(self, data: pd.DataFrame, path: Path) -> None:  # noqa: D102
        parts = data if isinstance(data, TableParts) else [data]
        with new_file(path) as unfinished:
            for number, part in enumerate(parts):
                part.to_csv(unfinished, index=False, mode="a", header=number == 0)

    def preview(self, nrows: int = 20) -> TablePreview:
        """The first rows, for Kedro-Viz."""
        rows = pd.read_csv(BytesIO(self.content()), nrows=nrows)
        return TablePreview(json.loads(rows.to_json(orient="split")))


class ImageDataset(PathDataset[NDArray[np.uint8]]):
    """An image, (H, W, 3) RGB uint8, as PNG or in the format of the file's ending."""

    def read(self, path: Path) -> NDArray[np.uint8]:  # noqa: D102
        import cv2

        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise DatasetError(f"{self.url or path}: not an image; make it again")
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)

    def write(self, data: NDArray[np.uint8], path: Path) -> None:  # noqa: D102
        import cv2

        try:
            encoded, content = cv2.imencode(path.suffix, cv2.cvtColor(data, cv2.COLOR_RGB2BGR))
        except cv2.error:  # of an ending that it does not know
            encoded = False
        if not encoded:
            raise DatasetError(f"{self.url or path}: could not be written; does it end in .png?")
        write_bytes(path, content.tobytes())

    def preview(self) -> ImagePreview:
        """The image, for Kedro-Viz."""
        return ImagePreview(base64.b64encode(self.content()).decode())


class FigureDataset(PathDataset["Figure"]):
    """A figure of Matplotlib as PNG, which is not read back."""

    def read(self, path: Path) -> Figure:  # noqa: D102
        raise DatasetError(
            f"{self.url or path}: the image of a figure cannot be drawn on any more; load it with "
            "an entry of type recycling.datasets.ImageDataset"
        )

    def write(self, data: Figure, path: Path) -> None:  # noqa: D102
        with new_file(path) as unfinished:
            data.savefig(unfinished, format="png")
        if missing := _without_glyph(data):
            logger.warning(
                "%s: the font lacks %d characters of its names, which are drawn as boxes: %s",
                path,
                len(missing),
                " ".join(missing[:10]),
            )

    def preview(self) -> ImagePreview:
        """The image, for Kedro-Viz."""
        return ImagePreview(base64.b64encode(self.content()).decode())


def _without_glyph(figure: Figure) -> list[str]:
    """The characters of a figure's texts that its font does not have."""
    from matplotlib.font_manager import findfont, get_font
    from matplotlib.text import Text

    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]
    by_font: dict[str, set[str]] = {}
    for text in texts:
        if not text.get_text().isascii():
            font = findfont(text.get_fontproperties())
            by_font.setdefault(font, set()).update(text.get_text())
    return sorted(
        character
        for font, characters in by_font.items()
        for character in characters - set(map(chr, get_font(font).get_charmap()))
        if not character.isspace()
    )
