"""Which files of a folder the names in annotations mean."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from recycling.annotations.core import AnnotationError
from recycling.errors import Faults, listed, visible
from recycling.names import KnownNames

_log = logging.getLogger(__name__)

_URL = re.compile("[a-zA-Z][a-zA-Z0-9+.-]*:/+[^/]")
_LITTER = re.compile(r"(?:\._.*|\.DS_Store|Thumbs\.db|desktop\.ini)\Z")


def is_url(name: str) -> bool:
    """Whether a file name is the address of a file elsewhere.

    >>> is_url("https://example.org/a.jpg"), is_url("batch_1/a.jpg")
    (True, False)
    """
    return _URL.match(name) is not None


def is_litter(name: str) -> bool:
    """Whether a file is one that macOS or Windows puts beside others, by its name.

    >>> is_litter("images/._a.jpg"), is_litter("images/a.jpg")
    (True, False)
    """
    return _LITTER.match(Path(name).name) is not None


def files_below(folder: Path) -> list[str]:
    """Paths of all files below a folder, with forward slashes, sorted; litter too."""
    found = []
    for root, _, names in os.walk(folder, followlinks=True):
        below = Path(root).relative_to(folder)
        found += [(below / name).as_posix() for name in names]
    return sorted(found)


def found_files(folder: Path, names: list[str]) -> list[str]:
    """The file that each name means.

    A name that differs from exactly one file only in separators, Unicode form or case means that
    file. The folder is looked through only where a name is not there as it is written.

    Args:
        folder: Where the files are.
        names: The names, each once.

    Returns:
        A path below the folder for each name; the name itself where it means no file.

    Raises:
        AnnotationError: A name may mean several files.
    """
    missing = [name for name in names if not _is_there(folder, name)]
    if not missing:
        return names
    known = [name for name in files_below(folder) if not is_litter(name)]
    files = KnownNames(known)
    faults = Faults(folder, AnnotationError)
    means: dict[str, str] = {}
    for name in missing:
        row = files.find(name)
        if row is not None:
            means[name] = known[row]
        elif files.candidates(name):
            files.note_unknown(name, "file", "file_name", "", faults)
    faults.raise_if_any()
    return [means.get(name, name) for name in names]


def files_meant(root: Path, names: list[str]) -> dict[str, str]:
    """The file that each name means, as `found_files`; those spelt in another way are said.

    Args:
        root: Where the files are; where it is missing, a name means itself.
        names: The names, any of them often or empty.

    Returns:
        A path below the folder for each name.

    Raises:
        AnnotationError: A name may mean several files.
    """
    once = [name for name in dict.fromkeys(names) if name]
    if not root.is_dir():
        return dict.fromkeys(names, "") | {name: name for name in once}
    found = found_files(root, once)
    pairs = [(one, other) for one, other in zip(once, found, strict=True) if one != other]
    if pairs:
        _log.warning(
            "%s: %d file names are spelt in another way than the files (Unicode form, separators, "
            "case) and taken for the same: %s",
            root,
            len(pairs),
            listed((f"{visible(one)} for {visible(other)}" for one, other in pairs), 3),
        )
    return {"": "", **dict(zip(once, found, strict=True))}


def _is_there(folder: Path, name: str) -> bool:
    try:
        return os.path.lexists(os.path.join(folder, name))  # noqa: PTH118  # Path is far slower
    except ValueError:  # a null character in the name
        return False
