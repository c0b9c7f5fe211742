"""Which files of a folder the names in annotations mean."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from recycling.annotations.core import AnnotationError
from recycling.errors import Faults, listed, visible
from recycling.limits import limits
from recycling.names import KnownNames, shown_name

_log = logging.getLogger(__name__)

LEADS_OUT = (
    "outside of the folder, put the file itself there, or set links: anywhere in limits "
    "(conf/base/parameters.yml) if you trust who made the links"
)
"""The fault of a file or folder that a link leads to."""

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


def files_below(folder: Path, left_out: Callable[[str], bool] = lambda name: False) -> list[str]:
    """Paths of all files below a folder, with forward slashes, sorted; litter and broken links too.

    A folder that links lead to as well, or in circles, is entered once.

    Args:
        folder: Where the files are; it may itself be a link.
        left_out: Says of the name of a file or folder whether it is passed over.

    Raises:
        AnnotationError: A link leads out of the folder, and `Limits` do not allow it.
    """
    root, faults = os.path.realpath(folder), Faults(folder, AnnotationError)
    found: list[str] = []
    entered: set[str] = set()
    # Linked folders are last: files have the names that they have without links.
    folders, linked = [""], list[str]()
    while folders or linked:
        below = (folders or linked).pop()
        place = os.path.join(folder, below)  # noqa: PTH118  # Path is far slower
        if (real := os.path.realpath(place)) in entered:
            continue
        entered.add(real)
        with suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                name = f"{below}{entry.name}"
                if left_out(entry.name):
                    continue
                if entry.is_symlink() and _leads_out(entry.path, root):
                    faults.add(LEADS_OUT, shown_name(name))
                elif entry.is_dir():
                    (linked if entry.is_symlink() else folders).append(f"{name}/")
                elif entry.is_file() or not os.path.exists(entry.path):  # noqa: PTH110
                    found.append(name)  # a pipe or a device might never end
    faults.raise_if_any()
    return sorted(found)


def check_inside(folder: Path, names: Iterable[str]) -> None:
    """Stop where a file that is there lies outside of its folder.

    Args:
        folder: The folder, which may itself be a link.
        names: Paths below it.

    Raises:
        AnnotationError: The way to one leads out of the folder, and `Limits` do not allow it.
    """
    root, faults = os.path.realpath(folder), Faults(folder, AnnotationError)
    outside: dict[str, bool] = {"": False}  # of the folders that files lie in
    for name in names:
        if os.path.isabs(name) or ".." in name.split("/"):  # noqa: PTH117
            continue  # no link: readers say so
        path = os.path.join(folder, name)  # noqa: PTH118
        above = os.path.dirname(name)  # noqa: PTH120
        if above not in outside:
            outside[above] = _leads_out(os.path.join(folder, above), root)  # noqa: PTH118
        if outside[above] or (os.path.islink(path) and _leads_out(path, root)):  # noqa: PTH114
            faults.add(LEADS_OUT, shown_name(name))
    faults.raise_if_any()


def _leads_out(path: str, root: str) -> bool:
    """Whether a path that is there ends outside of a folder, and may not."""
    if limits().links == "anywhere":
        return False
    real = os.path.realpath(path)
    return real != root and not real.startswith(root.rstrip(os.sep) + os.sep)


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
        AnnotationError: A name may mean several files, or means one outside of the folder.
    """
    missing = [name for name in names if not _is_there(folder, name)]
    there = set(names).difference(missing)
    check_inside(folder, [name for name in names if name in there])
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
