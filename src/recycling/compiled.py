"""numba's compiler, whose results all copies of the project on a machine share.

By default numba keeps what it compiles beside the source, so that each fresh clone compiles anew,
and knows a file by its path. Here it is known by its content, in the user's cache folder: clones
with the same kernels share them, others do not meet. A kernel calls no compiled function of another
file, so the content of its own is all that it is made of.
"""

from __future__ import annotations

import atexit
import os
import shutil
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numba
from numba import config
from numba.core.caching import InTreeCacheLocator
from numba.misc.appdirs import AppDirs

__all__ = ["njit"]

_PACKAGE = Path(__file__).parent

Function = Callable[..., Any]
njit: Callable[..., Callable[[Function], Function]] = numba.njit  # which has no types of its own


class SharedCacheLocator(InTreeCacheLocator):  # type: ignore[misc]
    """Keeps what is compiled of this package in the user's cache folder, by the file's content."""

    def __init__(self, py_func: Any, py_file: str) -> None:
        super().__init__(py_func, py_file)
        content = sha256(Path(py_file).read_bytes()).hexdigest()[:16]
        name = f"{Path(py_file).parent.name}-{content}"
        self._cache_path = os.fspath(_shared_folder() / f"numba-{numba.__version__}" / name)

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Any:
        """One for a function of this package, where the folder can be written to."""
        if not Path(py_file).is_relative_to(_PACKAGE):
            return None
        return super().from_function(py_func, py_file)


class PassingCacheLocator(InTreeCacheLocator):  # type: ignore[misc]
    """Keeps what is compiled till the process ends, where nothing else can be written to."""

    def __init__(self, py_func: Any, py_file: str) -> None:
        super().__init__(py_func, py_file)
        self._cache_path = os.fspath(_passing_folder() / self.get_suitable_cache_subpath(py_file))


def _shared_folder() -> Path:
    return Path(AppDirs(appname="recycling", appauthor=False).user_cache_dir)


@cache
def _passing_folder() -> Path:
    folder = Path(mkdtemp(prefix="recycling-kernels-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


if not config.CACHE_LOCATOR_CLASSES:  # else the user has chosen
    config.CACHE_LOCATOR_CLASSES = ",".join(
        (
            "UserProvidedCacheLocator",  # NUMBA_CACHE_DIR
            f"{__name__}.SharedCacheLocator",
            "InTreeCacheLocator",
            "UserWideCacheLocator",
            "IPythonCacheLocator",
            "ZipCacheLocator",
            f"{__name__}.PassingCacheLocator",
        )
    )
