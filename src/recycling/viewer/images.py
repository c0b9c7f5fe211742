"""Reduced images, made once: thumbnails for grids, and what fits on a screen."""

from __future__ import annotations

import hashlib
from pathlib import Path

from recycling.annotations.images.decoding import read_image
from recycling.files import new_file

THUMBNAIL, SCREEN = 320, 1600
"""Pixels of the longer side."""

_QUALITY = 88


def reduced_image(source: Path, side: int, folder: Path) -> Path:
    """The file of an image whose longer side is `side` pixels or less.

    It is made when it is first asked for, and anew when the image has changed.

    Args:
        source: The image.
        side: Pixels.
        folder: Where reduced images are kept.

    Returns:
        A JPEG file, upright and in RGB.

    Raises:
        OSError: The image is not there, or the reduced one cannot be written.
        UnreadableImageError: It is no image.

    >>> from PIL import Image
    >>> folder = getfixture("tmp_path")
    >>> Image.new("RGB", (640, 320)).save(folder / "a.png")
    >>> Image.open(reduced_image(folder / "a.png", THUMBNAIL, folder / "thumbnails")).size
    (320, 160)
    """
    from PIL import Image

    found = source.stat()
    facts = f"{source}\n{found.st_size}\n{found.st_mtime_ns}\n{side}"
    name = hashlib.sha256(facts.encode()).hexdigest()[:32]
    path = folder / name[:2] / f"{name}.jpg"
    if not path.exists():
        image = Image.fromarray(read_image(source))
        image.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=2.0)
        with new_file(path) as unfinished:
            image.save(unfinished, "JPEG", quality=_QUALITY)
    return path
