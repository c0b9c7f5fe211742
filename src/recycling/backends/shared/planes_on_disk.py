"""Probability planes until they are stored."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError
from recycling.predictions import (
    ProbabilityMaps,
    ProbabilityPlanes,
    probability_planes,
    read_planes,
    write_planes,
)


class PlanesOnDisk:
    """Probability planes of images: a plane a class is too much for the memory.

    They are in the system's folder for temporary files, and removed when nothing refers to them.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="recycling-probabilities-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def add(self, image_id: int, probabilities: Any) -> None:
        """Keep those of one image, (classes, H, W) float32."""
        try:
            write_planes(probability_planes(probabilities), self.folder, image_id)
        except OSError as error:
            raise BackendError(
                f"{self.folder}: probability planes could not be written: "
                f"{error.strerror or error}; make room there, or set TMPDIR"
            ) from error

    def maps(self, image_ids: list[int]) -> ProbabilityMaps:
        """All of them, each read when it is asked for."""

        # As long as this function is there, so is the folder.
        def read(image_id: int) -> ProbabilityPlanes:
            return read_planes(self.folder, image_id)

        return ProbabilityMaps(image_ids, read)
