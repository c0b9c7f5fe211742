"""What the project's Kedro datasets share: one path, written whole or not at all."""

from __future__ import annotations

import copy
import shutil
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from kedro.io import AbstractDataset, DatasetError
from kedro.io.core import get_protocol_and_path

Value = TypeVar("Value")


class PathDataset(AbstractDataset[Value, Value], Generic[Value]):
    """A value that is stored at one path, a file or a folder.

    Args:
        filepath: Where the value is.
        metadata: Free text for other tools (Kedro-Viz reads the layer from it).

    Attributes:
        url: Where the value is if that is not on this machine, else None.

    Raises:
        DatasetError: The path is a URL of another machine, which only some datasets take.
    """

    url: str | None = None

    def __init__(self, *, filepath: str | Path, metadata: dict[str, Any] | None = None) -> None:
        self.filepath = local_path(filepath, type(self).__name__)
        self.metadata = metadata

    def at(self, filepath: Path) -> PathDataset[Value]:
        """The same dataset, with all its options, at another path."""
        twin = copy.copy(self)
        twin.filepath = filepath
        return twin

    @abstractmethod
    def read(self, path: Path) -> Value:
        """Read the value that is stored at `path`."""

    def write(self, data: Value, path: Path) -> None:
        """Write the value to `path`, which does not exist yet."""
        raise DatasetError(f"{self.filepath}: {type(self).__name__} only reads")

    def load(self) -> Value:  # noqa: D102
        if not self.filepath.exists():
            raise DatasetError(f"{self.filepath}: not there")
        return self.read(self.filepath)

    def save(self, data: Value) -> None:  # noqa: D102
        write_whole(self.filepath, lambda path: self.write(data, path))

    def _exists(self) -> bool:
        return self.filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self.filepath)}


def local_path(path: str | Path, who: str) -> Path:
    """A path of this machine, plain or as a ``file://`` URL.

    Args:
        path: What the catalog says.
        who: The dataset or option that it is for, for the message.

    Raises:
        DatasetError: It is a URL of another machine.
    """
    protocol, plain = get_protocol_and_path(path)
    if protocol != "file":
        raise DatasetError(f"{path}: {who} takes a path on this machine; copy the data here first")
    return Path(plain)


def write_whole(target: Path, write: Callable[[Path], None]) -> None:
    """Write a file or folder under a temporary name beside `target`, then put it in place.

    Args:
        target: Where the result belongs; what is there is replaced.
        write: Writes the result to the path that it is given.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.stem}.unfinished{target.suffix}")
    _remove(unfinished)
    try:
        write(unfinished)
        if target.is_dir():
            _remove(target)
        unfinished.replace(target)
    finally:
        _remove(unfinished)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
