"""What the recipes' heads say: which there are, how large, whose weights, who asked for them.

The comment that a recipe begins with ends in lines that say so; nothing needs to be built, nor any
library to be installed, to list them::

    # YOLOX-s (Ge et al., 2021; CSPDarknet), trained on COCO.
    # Reports: D
    # Parameters: 8,941,165
    # Weights: download.openmmlab.com yolox_s_8x8_300e_coco_20211121_095711-4592a793.pth

Parameters are those of the whole network, auxiliary heads and all, with as many classes as
`N_CLASSES`. Weights are the files that ``pretrained: default`` takes: host and name, several
separated by commas, or ``none``. Reports are the letters of those that used or wanted the network,
or ``none``. A recipe that changes one thing of another says of which in a line more, ``# Base:
tood_x101``, so that anyone can ask whether both start from the same files. What else has to be
installed follows "Needs" in the words above. Newer recipes also say what those who published the
weights did, which is no setting of ours::

    # Score: 44.5 box AP on COCO at 640 pixels
    # Training: AdamW, learning rate 0.004 for batches of 256, weight decay 0.05; 300 epochs
    # Licence: Apache-2.0
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from recycling.backends.core import BackendError, Recipes
from recycling.backends.libraries import is_installed
from recycling.backends.shared.model import BACKENDS_OF, Task

N_CLASSES: dict[Task, int] = {"cls": 18, "det": 10, "seg": 11}
"""With how many classes parameters are counted: the reports' (of masks, background included)."""

LINES = ("Base", "Score", "Training", "Licence", "Reports", "Parameters", "Weights")


@dataclass(frozen=True)
class RecipeFacts:
    """What the head of one recipe says; None where it has no such line.

    Attributes:
        path: Its file.
        task: What the network is for.
        backend: The library that trains it.
        about: What it is, in words.
        reports: Letters of the reports that asked for it.
        parameters: How many parameters the network has, with `N_CLASSES` classes.
        weights: Host and name of each file of official weights.
        needs: Libraries that it needs besides, as they are imported.
        base: The recipe beside it of which it changes one thing.
        score: How good the official weights are, as published.
        training: Optimiser, learning rate, weight decay and schedule that they were made with.
        licence: Of the official weights.
    """

    path: Path
    task: Task
    backend: str
    about: str
    reports: tuple[str, ...] | None
    parameters: int | None
    weights: tuple[str, ...] | None
    needs: tuple[str, ...]
    base: str | None = None
    score: str | None = None
    training: str | None = None
    licence: str | None = None

    @property
    def name(self) -> str:
        """What `models.yml` calls it."""
        return self.path.stem

    @property
    def missing(self) -> list[str]:
        """Those of its libraries that are not installed, as they are imported."""
        return [library for library in (self.backend, *self.needs) if not is_installed(library)]

    @property
    def starts_as_base(self) -> bool | None:
        """Whether `pretrained: default` takes the files that it takes for the base.

        None where there is no base, or one of the heads does not say.

        Raises:
            BackendError: There is no such base.
        """
        if self.base is None:
            return None
        base = self.path.with_stem(self.base)
        return same_start(self, read_head(base, self.task, self.backend))


def same_start(one: RecipeFacts, other: RecipeFacts) -> bool | None:
    """Whether `pretrained: default` takes the same files for two recipes.

    Args:
        one: A recipe.
        other: Another one.

    Returns:
        None where the head of one does not say.
    """
    if one.weights is None or other.weights is None:
        return None
    return one.weights == other.weights


def list_recipes(recipes: Recipes, task: Task | None = None) -> list[RecipeFacts]:
    """The recipes below a folder, by task, library and name.

    Args:
        recipes: The folder.
        task: Only those for it; None takes all.

    Raises:
        BackendError: There is no such folder, one in it is not named after a library, or the head
            of a recipe cannot be understood.
    """
    folders = _visible(recipes.folder) if recipes.folder.is_dir() else iter(())
    libraries = [path.name for path in folders if path.is_dir()]
    if not libraries:
        raise BackendError(f"{recipes.folder}: no recipes; they lie in a folder for each library")
    known = {backend for backends in BACKENDS_OF.values() for backend in backends}
    for name in libraries:
        if name not in known:
            raise BackendError(
                f"{recipes.folder / name}: no library of that name trains; "
                f"known are {', '.join(sorted(known))}"
            )
    return [
        read_head(path, each_task, backend)
        for each_task in N_CLASSES
        if task in (None, each_task)
        for backend in BACKENDS_OF[each_task]
        if backend in libraries
        for path in _visible(recipes.folder / backend)
        if path.is_file()
    ]


def read_head(path: Path, task: Task, backend: str) -> RecipeFacts:
    """Read the comment that a recipe begins with.

    Args:
        path: The recipe.
        task: What it is for.
        backend: The library that trains it.

    Raises:
        BackendError: It cannot be read, or one of the three lines says what it cannot mean.

    >>> recipe = getfixture("tmp_path") / "small.py"
    >>> _ = recipe.write_text("# Parameters: 8,941")
    >>> read_head(recipe, "cls", "mmpretrain").parameters
    8941
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise BackendError(f"{path}: cannot be read: {reason}") from error
    comment = takewhile(lambda line: line.startswith("#"), text.splitlines())
    values: dict[str, str] = {}
    prose: list[str] = []
    for number, line in enumerate(comment, 1):
        words = line.lstrip("#").strip()
        word, colon, value = words.partition(":")
        if not colon or word not in LINES:
            prose.append(words)
        elif word in values:
            raise BackendError(f"{path} line {number}: a second '# {word}:'; remove one")
        else:
            values[word] = value.strip()
    parameters = values.get("Parameters")
    if parameters is not None and not re.fullmatch(r"\d{1,3}(,\d{3})*", parameters):
        raise BackendError(
            f"{path}: '# Parameters: {parameters}' is not a number such as 8,941,165; correct it"
        )
    about = " ".join(prose)
    return RecipeFacts(
        path,
        task,
        backend,
        about,
        reports=_listed(path, "Reports", values.get("Reports")),
        parameters=None if parameters is None else int(parameters.replace(",", "")),
        weights=_listed(path, "Weights", values.get("Weights")),
        needs=tuple(re.findall(r"\bNeeds (\w+)", about)),
        base=values.get("Base"),
        score=values.get("Score"),
        training=values.get("Training"),
        licence=values.get("Licence"),
    )


def _listed(path: Path, word: str, value: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    entries = tuple(entry.strip() for entry in value.split(","))
    if "" in entries:
        raise BackendError(
            f"{path}: '# {word}: {value}' lacks an entry; write 'none' if there are none"
        )
    return () if entries == ("none",) else entries


def _visible(folder: Path) -> Iterator[Path]:
    yield from (path for path in sorted(folder.iterdir()) if path.name[0] not in "._")
