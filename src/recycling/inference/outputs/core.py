"""The forms that predictions are written in: one file each, in a registry."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path, PurePosixPath

from recycling.annotations.images.found_files import is_url
from recycling.backends.shared.model import Task
from recycling.inference.core import InferenceError
from recycling.inference.parts import Predicted
from recycling.inference.sources import Source
from recycling.names import each_once, loosely
from recycling.registry import Registry

Write = Callable[[Predicted, Path], Path]
"""Writes predictions into a folder, and says which file or folder they are."""


@dataclass(frozen=True)
class Output:
    """A form that predictions are written in.

    Attributes:
        write: The function.
        tasks: Those that have it.
        folder: Of a form that is a folder, its name; it takes the place of the one that is there.
        file: Of a form that is a file, its name.
    """

    write: Write
    tasks: tuple[Task, ...] = ("cls", "det", "seg")
    folder: str | None = None
    file: str | None = None


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


def left_by_others(outputs: Mapping[str, Output], folder: Path) -> list[str]:
    """Forms in a folder that an earlier command has written, and this one has not.

    Args:
        outputs: Those that this one has.
        folder: Where predictions are written to.

    >>> folder = getfixture("tmp_path")
    >>> (folder / "coco.json").touch()
    >>> left_by_others(outputs_of(["csv"], "det"), folder)
    ['coco.json']
    """
    others = [OUTPUTS[name].thing for name in sorted(OUTPUTS) if name not in outputs]
    names = [other.file or other.folder for other in others]
    return [name for name in names if name is not None and (folder / name).exists()]


def check_apart(sources: Iterable[Source], folder: Path) -> None:
    """Refuse to write where photographs are: what is written takes their place.

    Args:
        sources: The photographs.
        folder: Where predictions are written to.

    Raises:
        InferenceError: Some are in a folder that one of the forms writes.
    """
    local = (Path(each.address) for each in sources if not is_url(each.address))
    above = {os.path.realpath(path.parent) for path in local}
    for own in filter(None, (entry.thing.folder for entry in OUTPUTS.values())):
        place = Path(os.path.realpath(folder / own))
        if any(Path(each).is_relative_to(place) for each in above):
            raise InferenceError(
                f"{folder / own}: has images to predict on, and is where predictions are written; "
                "name another folder by --to"
            )


def file_names(names: Sequence[str], suffix: str) -> list[str]:
    """The name of a file to write for each image, each once.

    Args:
        names: Those of the images.
        suffix: The ending of the files to write.

    >>> file_names(["a.jpg", "b.jpg", "b.png", "b.jpg.png"], ".png")
    ['a.png', 'b.jpg.png', 'b.png.png', 'b.jpg.png.png']
    """
    stems = [str(PurePosixPath(name).with_suffix("")) for name in names]
    shared = Counter(map(loosely, stems))
    return each_once(
        chain(
            [f"{stem}{suffix}"] if shared[loosely(stem)] == 1 else [],
            [f"{name}{suffix}"],
            (f"{name}.{number}{suffix}" for number in count(2)),
        )
        for stem, name in zip(stems, names, strict=True)
    )
