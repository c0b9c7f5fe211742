"""The forms that predictions are written in: one file each, in a registry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from recycling.backends.shared.model import Task
from recycling.inference.core import InferenceError
from recycling.inference.parts import Predicted
from recycling.names import loosely
from recycling.registry import Registry

Write = Callable[[Predicted, Path], Path]
"""Writes predictions into a folder, and says which file or folder they are."""


@dataclass(frozen=True)
class Output:
    """A form that predictions are written in.

    Attributes:
        write: The function.
        tasks: Those that have it.
    """

    write: Write
    tasks: tuple[Task, ...] = ("cls", "det", "seg")


OUTPUTS: Registry[Output] = Registry("form of predictions", Output)
"""The forms by name."""


def outputs_of(names: Sequence[str], task: Task) -> dict[str, Output]:
    """The forms of these names.

    Raises:
        InferenceError: There is no such form, or the task does not have it.
    """
    own = sorted(known for known in OUTPUTS if task in OUTPUTS[known].thing.tasks)
    for name in names:
        if name not in own:
            what = f"not for {task}" if name in OUTPUTS else "no such form"
            raise InferenceError(f"--formats {name}: {what}; there are {', '.join(own)}")
    return {name: OUTPUTS[name].thing for name in names}


def file_names(names: Sequence[str], suffix: str) -> list[str]:
    """The name of a file to write for each image.

    Args:
        names: Those of the images.
        suffix: The ending of the files to write.

    >>> file_names(["a.jpg", "b.jpg", "b.png"], ".png")
    ['a.png', 'b.jpg.png', 'b.png.png']
    """
    stems = [str(PurePosixPath(name).with_suffix("")) for name in names]
    count = Counter(map(loosely, stems))
    return [
        f"{stem if count[loosely(stem)] == 1 else name}{suffix}"
        for stem, name in zip(stems, names, strict=True)
    ]
