"""The images that a user names: a folder, a file, a glob, or an address that fsspec knows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from glob import has_magic
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recycling.annotations.formats.unlabelled_images import images_among, images_below
from recycling.annotations.images.decoding import UnreadableImageError, decode_image
from recycling.annotations.images.facts import IMAGE_SUFFIXES
from recycling.annotations.images.found_files import check_inside, is_url
from recycling.errors import one_line
from recycling.files import why_unreachable
from recycling.inference.core import InferenceError
from recycling.limits import check_bytes, image_bytes, limits
from recycling.names import is_text, shown_name

TOGETHER, PIXELS_TOGETHER = 64, 1 << 27
"""Images, and pixels of images, that are in memory at a time."""


@dataclass(frozen=True)
class Source:
    """A file of an image.

    Attributes:
        name: What it is called: its path below the folder that all have in common.
        address: Its path on this machine, or its URL.
        size: Bytes; None where its file system does not tell.
        modified: When it was written, as its file system says it.
    """

    name: str
    address: str
    size: int | None
    modified: str


@dataclass(frozen=True)
class Decoded:
    """A source that was opened.

    Attributes:
        source: The source.
        pixels: (H, W, 3) RGB, upright; None where it cannot be read.
        fault: Why it cannot.
    """

    source: Source
    pixels: NDArray[np.uint8] | None
    fault: str | None = None


def find_images(paths: Sequence[str], written: Path | None = None) -> list[Source]:
    """The images that are meant, by name.

    Args:
        paths: Folders (with all images below), files, globs, and addresses of these. Folders and
            globs pass over what is hidden; photographs that are left out by their endings are told
            of.
        written: The folder that predictions are written to, which is left out of folders and globs
            that it is below.

    Raises:
        InferenceError: One of them means no image, or cannot be reached; or two images would have
            one name.
        AnnotationError: A link leads out of a folder, or of what a glob begins with.

    Example:
        >>> folder = getfixture("tmp_path")
        >>> for name in ("b.jpg", "a.png", "notes.txt"):
        ...     (folder / name).touch()
        >>> [source.name for source in find_images([str(folder)])]
        ['a.png', 'b.jpg']
    """
    found: dict[str, tuple[str, Source]] = {}
    for path in paths:
        root, sources = _remote(path, written) if is_url(path) else _local(path, written)
        if not sources:
            raise InferenceError(
                f"{shown_name(path)}: no image there; endings of images are "
                f"{' '.join(sorted(IMAGE_SUFFIXES))}"
            )
        found |= {source.address: (root, source) for source in sources}
    return _named(list(found.values()))


def _named(found: Sequence[tuple[str, Source]]) -> list[Source]:
    """Sources with their names, which are what is below the folder that all have in common."""
    roots: dict[str, list[str]] = {}
    for root, _ in found:
        protocol, path = _split(root)
        roots.setdefault(protocol, []).append(path)
    common = {protocol: os.path.commonpath(paths) for protocol, paths in roots.items()}
    named: dict[str, Source] = {}
    for _, source in found:
        protocol, path = _split(source.address)
        name = str(PurePosixPath(path).relative_to(common[protocol]))
        if name in named:
            raise InferenceError(
                f"{named[name].address} and {source.address} would both be called "
                f"{shown_name(name)}; predict on one after the other"
            )
        named[name] = replace(source, name=name)
    return [named[name] for name in sorted(named)]


def _split(address: str) -> tuple[str, str]:
    """The protocol of an address, empty on this machine, and the path without its first slash.

    >>> _split("memory://images/a.jpg"), _split("/images/a.jpg")
    (('memory', 'images/a.jpg'), ('', 'images/a.jpg'))
    """
    protocol, _, path = address.rpartition("://")
    return protocol, path.strip("/")


def _local(path: str, written: Path | None) -> tuple[str, list[Source]]:
    """The folder that names are below, and the images."""
    place = _absolute(Path(path).expanduser())
    if place.is_dir():
        root, names = place, images_below(place)
    elif place.exists():
        return str(place.parent), [_source(place)]
    elif has_magic(str(place)):
        root = Path(*takewhile(lambda part: not has_magic(part), place.parts))
        found = sorted(root.glob(str(place.relative_to(root))))
        below = (file.relative_to(root).as_posix() for file in found)
        names = [name for name in images_among(below, path) if (root / name).is_file()]
        check_inside(root, names)
    else:
        raise InferenceError(f"{shown_name(path)}: no such file or folder; check the path")
    files = [root / name for name in names]
    if written is not None and root in _absolute(written).parents:
        files = [file for file in files if not file.is_relative_to(_absolute(written))]
    return str(root), [_source(file) for file in files]


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  # links stay links


def _source(file: Path) -> Source:
    status = file.stat()
    return Source("", str(file), status.st_size, str(status.st_mtime_ns))


def _remote(url: str, written: Path | None) -> tuple[str, list[Source]]:
    from fsspec.implementations.local import LocalFileSystem

    from recycling.addresses import system_of

    try:
        system, path = system_of(url)
    except Exception as error:  # each file system of fsspec has errors of its own
        raise _unreachable(url, error) from error
    if isinstance(system, LocalFileSystem):  # file://, which would follow links
        return _local(path, written)
    try:
        if has_magic(path):
            fixed = takewhile(lambda part: not has_magic(part), path.split("/"))
            names, root = system.glob(path), "/".join(fixed)
        elif system.isdir(path):
            names, root = system.find(path), path
        else:
            names, root = [path], path.rpartition("/")[0]
        below = {name.removeprefix(root).strip("/"): name for name in sorted(names)}
        infos = {below[name]: system.info(below[name]) for name in images_among(below, url)}
    except Exception as error:
        raise _unreachable(url, error) from error
    sources = [
        Source("", system.unstrip_protocol(name), info.get("size"), _written(info))
        for name, info in infos.items()
        if info.get("type", "file") == "file"
    ]
    return system.unstrip_protocol(root), sources


def _unreachable(url: str, error: Exception) -> InferenceError:
    return InferenceError(f"{url}: cannot be reached: {one_line(why_unreachable(error))}")


def _written(info: dict[str, Any]) -> str:
    known = ("mtime", "LastModified", "last_modified", "updated", "created", "ETag")
    return next((str(info[key]) for key in known if info.get(key) is not None), "")


# Reading ------------------------------------------------------------------------------------------


def decoded(source: Source) -> Decoded:
    """Open a source; what cannot be read is said of it, and not raised."""
    if not is_text(source.name):
        return Decoded(source, None, "its name is not UTF-8, rename it")
    try:
        check_bytes(source.size or 0, image_bytes(limits().max_pixels))
        return Decoded(source, decode_image(_content(source.address), source.name))
    except UnreadableImageError as error:
        fault = str(error).removeprefix(f"{source.name}: ")
    except Exception as error:  # each file system of fsspec has errors of its own
        fault = f"cannot be opened: {getattr(error, 'strerror', None) or one_line(error)}"
    return Decoded(source, None, one_line(fault))


def _content(address: str) -> bytes:
    if not is_url(address):
        return Path(address).read_bytes()
    from recycling.addresses import system_of

    system, path = system_of(address)
    return bytes(system.cat_file(path))


def decoded_together(
    sources: Iterable[Source], together: int = TOGETHER
) -> Iterator[list[Decoded]]:
    """Open sources, as many at a time as the memory is for; the next are opened meanwhile.

    Args:
        sources: The files.
        together: Images at a time.
    """
    chunk: list[Decoded] = []
    n_pixels = 0
    with ThreadPoolExecutor(2) as threads:
        for opened in _ahead(threads, sources):
            chunk.append(opened)
            n_pixels += 0 if opened.pixels is None else opened.pixels.size // 3
            if len(chunk) == together or n_pixels >= PIXELS_TOGETHER:
                yield chunk
                chunk, n_pixels = [], 0
    if chunk:
        yield chunk


def _ahead(threads: ThreadPoolExecutor, sources: Iterable[Source], n: int = 4) -> Iterator[Decoded]:
    """Opened sources in their order, `n` of them ahead of what is asked for."""
    waiting: list[Any] = []
    for source in sources:
        waiting.append(threads.submit(decoded, source))
        if len(waiting) > n:
            yield waiting.pop(0).result()
    for each in waiting:
        yield each.result()
