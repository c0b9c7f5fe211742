"""Keep what was found out about image files, so that no unchanged file is opened twice."""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

import pandas as pd

from recycling.annotations.images.facts import FACTS, FileFacts, look_at_files
from recycling.files import new_file

_log = logging.getLogger(__name__)

_VERSION = 2
"""Of what is computed of a file: raise it with every change of `image_facts`."""

_KEY = "recycling image cache"
_SETTLED = 2_000_000_000  # nanoseconds; the coarsest clock of a file system in use is FAT's, 2 s
_ONE_SET = threading.Lock()


@dataclass(frozen=True)
class ImageCache:
    """A file that keeps what was found out about image files.

    Any number of image folders may share it. It is made where it is missing, and made anew where
    it is damaged or another version of this package or of its image libraries wrote it.

    Attributes:
        path: The file, Parquet.
    """

    path: Path


def facts_of_files(
    folder: Path,
    file_names: list[str],
    *,
    max_pixels: int,
    cache: ImageCache | None,
) -> pd.DataFrame:
    """Find out about the files: by opening them, or from the cache where they did not change.

    A file is taken for unchanged if path, size and time of modification are the same. An image
    that was too large to be decoded is opened again once `max_pixels` allows it.

    Args:
        folder: Where the files are.
        file_names: The files, relative to the folder; each is opened once.
        max_pixels: Largest image that is decoded, width times height.
        cache: What is known, and where it is kept; None to open every file.

    Returns:
        One row a file, in the order of their first mention; schema `FACTS`.
    """
    file_names = list(dict.fromkeys(file_names))
    with _ONE_SET:  # a second one would fight for the same cores, the same cache, the warnings
        folder = folder.resolve()
        now = time.time_ns()
        files = _files(folder, file_names)
        known = _known(cache, files, max_pixels)
        unknown = files[~files["path"].isin(known["path"])].reset_index(drop=True)
        if cache is not None:
            _log.info(
                "%s: %d of %d images were known from %s, %d are opened",
                folder, len(known), len(files), cache.path, len(unknown),
            )  # fmt: skip
        facts: list[FileFacts] = []
        paths = [Path(path) for path in unknown["path"]]
        try:
            for look in look_at_files(paths, max_pixels=max_pixels):
                facts.append(look)
        finally:  # what an interrupted run has seen need not be seen again
            fresh = _table(unknown.head(len(facts)), facts)
            if cache is not None:
                _remember(cache, fresh[_may_be_kept(fresh, now)], folder, present=files)
    both = pd.concat([known, fresh]) if len(known) else fresh
    in_order = both.set_index("path").reindex(files["path"]).reset_index()
    return FACTS.conform(in_order, where="image files")


def _files(folder: Path, file_names: list[str]) -> pd.DataFrame:
    """Path, size and time of modification of each file; none where it is not a plain file."""
    paths = [os.path.join(folder, name) for name in file_names]  # noqa: PTH118  # Path is far slower
    found = [_size_and_time(path) for path in paths]
    return pd.DataFrame(
        {
            "path": pd.array(paths, dtype="string"),
            "file_size": pd.array([size for size, _ in found], dtype="Int64"),
            "modified": pd.array([modified for _, modified in found], dtype="Int64"),
        }
    )


def _size_and_time(path: str) -> tuple[int, int] | tuple[None, None]:
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):  # what exactly is wrong shows when it is opened
        return None, None
    return (status.st_size, status.st_mtime_ns) if S_ISREG(status.st_mode) else (None, None)


def _known(cache: ImageCache | None, files: pd.DataFrame, max_pixels: int) -> pd.DataFrame:
    """What the cache holds of files that did not change since."""
    if cache is None:
        return FACTS.empty()
    entries, fault = _read(cache.path)
    if fault is not None:
        _log.warning("%s: not a cache of image checks (%s); it is made anew", cache.path, fault)
    unchanged = entries.merge(files, on=["path", "file_size", "modified"])
    undecoded = unchanged["fault"].isna() & unchanged["brightness"].isna()
    small_enough = unchanged["width"] * unchanged["height"] <= max_pixels
    return unchanged[~(undecoded & small_enough)]


def _may_be_kept(facts: pd.DataFrame, now: int) -> pd.Series:
    """Whether it will still be true if size and time of the file are the same.

    Not if it was modified so recently that a second change might bear the same time, not if it is
    the folder or Pillow's settings that were in the way.
    """
    settled = (facts["modified"] < now - _SETTLED).fillna(False)
    return settled & facts["sha256"].notna() & ~facts["fault"].isin(["too_large"])


def _remember(cache: ImageCache, fresh: pd.DataFrame, folder: Path, present: pd.DataFrame) -> None:
    """Add entries, and drop those of files that are gone from the folder."""
    entries, _ = _read(cache.path)  # again: another process may have written since
    below = entries["path"].str.startswith(os.path.join(folder, ""))  # noqa: PTH118
    doubtful = below & ~entries["path"].isin(present.loc[present["modified"].notna(), "path"])
    gone = [path for path in entries.loc[doubtful, "path"] if not Path(path).exists()]
    if fresh.empty and not gone:
        return
    replaced = entries["path"].isin([*gone, *fresh["path"]])
    merged = pd.concat([entries[~replaced], fresh]).sort_values("path", ignore_index=True)
    try:
        _write(merged, cache.path)
    except OSError as error:
        _log.warning(
            "%s: cannot be written (%s); the next run will open the images again",
            cache.path, error.strerror,
        )  # fmt: skip


def _read(path: Path) -> tuple[pd.DataFrame, str | None]:
    """The entries, and what is wrong with the file, if anything."""
    if not path.exists():
        return FACTS.empty(), None
    try:
        entries = pd.read_parquet(path)
        maker = entries.attrs.pop(_KEY, None)
        if maker is None:
            return FACTS.empty(), "another Parquet file"
        if maker != _maker():
            return FACTS.empty(), None
        return FACTS.conform(entries, where=str(path)), None
    except Exception as error:  # whatever it is: nothing that `_write` wrote
        return FACTS.empty(), f"{type(error).__name__}: {error}".splitlines()[0]


def _write(entries: pd.DataFrame, path: Path) -> None:
    marked = FACTS.conform(entries, where=str(path))
    marked.attrs[_KEY] = _maker()  # pandas keeps it in the metadata of the file
    with new_file(path) as unfinished:
        marked.to_parquet(unfinished, index=False)


def _maker() -> str:
    """What decides over the facts of a file beside the file."""
    import imagehash
    import PIL

    return f"version {_VERSION}, Pillow {PIL.__version__}, ImageHash {imagehash.__version__}"


def _table(files: pd.DataFrame, facts: list[FileFacts]) -> pd.DataFrame:
    columns = [name for name in FACTS.names if name not in files.columns]
    found = pd.DataFrame(facts, columns=columns, dtype=object)
    return FACTS.conform(pd.concat([files, found], axis=1), where="image files")
