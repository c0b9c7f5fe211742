"""Class probabilities of every pixel: what soft voting takes where a label map says too little."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.format import read_array, write_array
from numpy.typing import NDArray

from recycling.limits import LARGEST_PLANES, TooLargeError
from recycling.predictions.core import ImageMaps, LabelMap, LabelMaps, SubmissionError

ProbabilityPlanes: TypeAlias = NDArray[np.uint8]
"""(classes, H, W): plane i is the probability of label i (0 is background), 255 is certain."""

ARRAY = "planes"
"""What the array is called in a file."""

FASTEST = 1
"""zlib's level. `numpy.savez_compressed` has no choice but 6: files are a tenth to a fifth smaller
and take about three times as long (11 made-up planes of 512 x 512: 30 ms instead of 100)."""


class ProbabilityMaps(ImageMaps[ProbabilityPlanes]):
    """Probability planes by image, each read or computed when they are asked for.

    Example:
        >>> planes = probability_planes(np.array([[[0.75, 0.25]], [[0.25, 0.75]]]))
        >>> maps = ProbabilityMaps([7], lambda image_id: planes)
        >>> maps[7].tolist(), maps.label_maps()[7].tolist()
        ([[[191, 64]], [[64, 191]]], [[0, 1]])
    """

    @classmethod
    def from_folder(cls, folder: Path) -> ProbabilityMaps:
        """The planes stored in `folder`, one ``<image_id>.npz`` an image.

        Args:
            folder: What `write` filled; other files in it are ignored.

        Raises:
            SubmissionError: A file's name is no image id. When an image is asked for: its file is
                damaged or holds something else.
        """
        image_ids = sorted(_image_id(path) for path in folder.glob("*.npz"))
        return cls(image_ids, lambda image_id: read_planes(folder, image_id))

    def write(self, folder: Path) -> None:
        """Write every image's planes to `folder`, which must exist, as ``<image_id>.npz``.

        `numpy.load` reads such a file as well.

        Args:
            folder: Where to.

        Raises:
            SubmissionError: What was read for an image is not (classes, H, W) uint8.
        """
        for image_id, planes in self.items():
            write_planes(planes, folder, image_id)

    def label_maps(self) -> LabelMaps:
        """The most likely label of each pixel; of equally likely ones, the smallest."""

        def read(image_id: int) -> LabelMap:
            most_likely = self[image_id].argmax(axis=0)
            return np.asarray(most_likely, dtype=np.uint8)

        return LabelMaps(list(self), read)


class ProbableLabelMaps(LabelMaps):
    """Label maps, and the probabilities that they come from.

    Args:
        image_ids: As for `LabelMaps`.
        read: As for `LabelMaps`.
        probabilities: Of the same images and labels; their planes may be smaller than the maps.
    """

    def __init__(
        self,
        image_ids: Sequence[int],
        read: Callable[[int], LabelMap],
        probabilities: ProbabilityMaps,
    ) -> None:
        super().__init__(image_ids, read)
        self.probabilities = probabilities


def write_planes(planes: ProbabilityPlanes, folder: Path, image_id: int) -> None:
    """Write one image's planes to `folder`, which must exist.

    Raises:
        SubmissionError: They are not (classes, H, W) uint8.
        OSError: There is no room for them.
    """
    _check(planes, where=f"image {image_id}")
    path = folder / f"{image_id}.npz"
    with (
        zipfile.ZipFile(
            path, "w", compression=zipfile.ZIP_DEFLATED, compresslevel=FASTEST
        ) as archive,
        archive.open(f"{ARRAY}.npy", "w", force_zip64=True) as file,
    ):
        write_array(file, planes, allow_pickle=False)  # type: ignore[no-untyped-call]


def read_planes(folder: Path, image_id: int) -> ProbabilityPlanes:
    """What `write_planes` wrote.

    Raises:
        SubmissionError: The file is missing, damaged or holds something else.
    """
    path = folder / f"{image_id}.npz"
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{ARRAY}.npy") as file:
            if (size := archive.getinfo(f"{ARRAY}.npy").file_size) > LARGEST_PLANES:
                raise TooLargeError(f"{size:,} bytes of probabilities")
            planes: ProbabilityPlanes = np.asarray(read_array(file, allow_pickle=False))  # type: ignore[no-untyped-call]
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        MemoryError,
        NotImplementedError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise SubmissionError(
            f"{path}: not a file of probability planes, or damaged ({error}); predict it again"
        ) from error
    _check(planes, where=str(path))
    return planes


def probability_planes(probabilities: NDArray[np.floating[Any]]) -> ProbabilityPlanes:
    """Round probabilities to steps of 1/255, a byte each: off by 1/510 at most.

    Args:
        probabilities: (classes, H, W), from 0 to 1.

    Returns:
        The planes.

    Raises:
        ValueError: Another shape, or a number outside 0 to 1.

    Example:
        >>> probability_planes(np.array([[[0.75]], [[0.25]]])).tolist()
        [[[191]], [[64]]]
    """
    if probabilities.ndim != 3:
        raise ValueError(
            f"probabilities of shape {probabilities.shape}; they should be (classes, H, W)"
        )
    # A softmax in half precision may end a little above 1; NaN fails the comparison.
    inside = (probabilities >= -1e-3) & (probabilities <= 1 + 1e-3)
    if not inside.all():
        raise ValueError(
            f"{int((~inside).sum())} of {inside.size} probabilities lie outside 0 to 1; "
            "take the softmax of logits first"
        )
    # A float32 factor: half precision has too few digits for the steps.
    return np.rint(probabilities.clip(0, 1) * np.float32(255)).astype(np.uint8)


def _image_id(path: Path) -> int:
    if not path.stem.removeprefix("-").isdecimal():
        raise SubmissionError(
            f"{path}: the name is no image id; planes are stored as <image_id>.npz, one an image"
        )
    return int(path.stem)


def _check(planes: NDArray[Any], *, where: str) -> None:
    if planes.ndim != 3 or planes.dtype != np.uint8:
        raise SubmissionError(
            f"{where}: an array of shape {planes.shape} and type {planes.dtype}; probability "
            "planes are uint8 of shape (classes, H, W)"
        )
