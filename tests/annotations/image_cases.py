"""Images to look at, and tables that list them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from PIL import Image

from recycling.annotations import IMAGES


def images_table(*names: str, width: int = 48, height: int = 32) -> pd.DataFrame:
    """Images numbered from 1, each a group of its own."""
    numbers = range(1, len(names) + 1)
    table = {"image_id": numbers, "file_name": names, "width": width, "height": height}
    groups = [str(number) for number in numbers]
    return IMAGES.conform(pd.DataFrame(table).assign(group=groups, extra=None), where="test")


def clouds(seed: int, size: tuple[int, int] = (48, 32)) -> Image.Image:
    """An image that stays like itself when it is shrunk or saved again."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
