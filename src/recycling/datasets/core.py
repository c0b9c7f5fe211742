"""What the project's Kedro datasets share: one path, with versions, on any file system."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
import tempfile
import weakref
from abc import abstractmethod
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, ClassVar, Generic, Literal, TypedDict, TypeVar, get_args

from kedro.io import AbstractVersionedDataset, DatasetError, Version
from kedro.io.core import VersionNotFoundError, get_filepath_str, get_protocol_and_path

from recycling.addresses import files_below, get_files, system_of
from recycling.errors import message_for_user, one_line
from recycling.files import (
    COMPLETE,
    copy_there,
    link,
    remove_there,
    upload,
    why_unreachable,
)
from recycling.mirrors import MirrorError, mirror, place_of

Value = TypeVar("Value")

Source = Literal["human", "pseudo"]
"""Who made annotations that do not say so themselves."""

_HTTP = ("http", "https")


class PathOptions(TypedDict, total=False):
    """The options that every entry takes beside `filepath`; see `PathDataset`."""

    version: Version | None
    credentials: dict[str, Any] | None
    fs_args: dict[str, Any] | None
    metadata: dict[str, Any] | None


class PathDataset(AbstractVersionedDataset[Value, Value], Generic[Value]):
    """A value that is stored at one path, a file or a folder, whole or not at all.

    The path may be a URL that fsspec knows. A value that is elsewhere is fetched to the system's
    folder for temporary files, and is written there before it is sent.

    Args:
        filepath: Where the value is: a path, or a URL.
        version: Which version to load and to save; Kedro gives it where an entry has
            ``versioned: true``.
        credentials: What the file system of the URL asks for.
        fs_args: Further arguments of that file system.
        metadata: Free text for other tools (Kedro-Viz reads the layer from it).

    Attributes:
        has_stand_in: Of a type that is no value, whether a folder of this machine stands for one
            at a URL.
        is_folder: Whether values are folders, which on an object store are complete when
            ``.complete`` is in them, written last.
        not_a_value: Why an entry of this type has no versions and lies on this machine, where that
            is so: it stands for a folder, not for a value.
        url: Where the value is if that is not on this machine, else None.

    Raises:
        DatasetError: The file system is not known, or this type needs a path on this machine.
    """

    has_stand_in: ClassVar[bool] = False
    is_folder: ClassVar[bool] = False
    not_a_value: ClassVar[str | None] = None

    def __init__(
        self,
        *,
        filepath: str | Path,
        version: Version | None = None,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        who, options = type(self).__name__, {**(credentials or {}), **(fs_args or {})}
        self._protocol, path = get_protocol_and_path(filepath, version)
        self.url = None if self._protocol == "file" else str(filepath)
        self.metadata = metadata
        if self.not_a_value and self.url is not None:
            if not self.has_stand_in:
                raise DatasetError(
                    f"{filepath}: {who} takes a path on this machine: {self.not_a_value}; copy the "
                    "data here first"
                )
            if options:
                raise DatasetError(
                    f"{filepath}: {who} takes no credentials and no fs_args of its own; put them "
                    f"below {self._protocol} in credentials.yml, for all addresses of that kind"
                )
        if self.not_a_value and version is not None:
            raise DatasetError(
                f"{filepath}: {who} has no versions: {self.not_a_value}; remove `versioned: true`"
            )
        if self.url is None:
            if options:
                raise DatasetError(
                    f"{filepath}: is on this machine and takes no credentials and no fs_args; "
                    "remove them, or give a URL"
                )
            super().__init__(PurePosixPath(path), version)
            return
        if unknown := {"open_args_load", "open_args_save"} & options.keys():
            raise DatasetError(f"{filepath}: fs_args: {min(unknown)} is not taken; remove it")
        try:
            self._system, there = system_of(self.url, **options)
        except (ImportError, ValueError) as error:  # a package is missing, or the protocol unknown
            reason = why_unreachable(error)
            raise DatasetError(f"{filepath}: cannot be reached: {reason}") from error
        # Kedro keeps paths, in which the two slashes of http:// would become one.
        path = path if self._protocol in _HTTP else there
        super().__init__(PurePosixPath(path), version, self._is_there, self._system.glob)

    @property
    def filepath(self) -> Path:
        """Where the value is, or for one with versions, the folder of these."""
        if self.url is not None and self.has_stand_in:
            return self._stand_in(self.url)
        # As a path, a URL is relative and thus below no folder of the project.
        return Path(self._filepath if self.url is None else self.url)

    @property
    def stored(self) -> Path | None:
        """The file or folder of this machine that `load` would read; None where there is none."""
        return Path(self._get_load_path()) if self.url is None and self.exists() else None

    def _stand_in(self, url: str) -> Path:
        """The folder of this machine that stands for the one at a URL."""
        return place_of(url)

    def at(self, filepath: Path | str) -> PathDataset[Value]:
        """The same dataset, with all its options, at another path, unversioned.

        Args:
            filepath: On the file system that it is on; of one at a URL another URL.
        """
        twin = copy.copy(self)
        twin._version = None
        if self.url is not None:
            twin.url, filepath = str(filepath), self._system._strip_protocol(str(filepath))
        twin._filepath = PurePosixPath(filepath)
        return twin

    def copy_to(self, twin: PathDataset[Value]) -> None:
        """Give what is stored a second place, on the file system that it is on.

        Args:
            twin: From `at`; on this machine it is a second name of the same files.
        """
        where, place = self._found(), str(twin._filepath)
        if self._is_here:
            link(Path(where), Path(place))
        else:
            copy_there(self._system, where, place)

    def remove(self) -> None:
        """Remove what is stored."""
        where = self._found()
        if not self._is_here:
            remove_there(self._system, where)
        elif Path(where).is_dir():
            shutil.rmtree(where)
        else:
            Path(where).unlink()

    def beside(self, path: str | Path, option: str) -> Path:
        """A path of this machine, seen from the folder that `filepath` is in if that is here too.

        Args:
            path: What the catalog says.
            option: The option that it is for, for the message.

        Raises:
            DatasetError: It is a URL of another machine.
        """
        plain = local_path(path, option)
        return plain if self.url is not None else self.filepath.parent / plain

    @abstractmethod
    def read(self, path: Path) -> Value:
        """Read the value that is stored at `path`."""

    def write(self, data: Value, path: Path) -> None:
        """Write the value to `path`, whole or not at all."""
        raise DatasetError(f"{self.url or self.filepath}: {type(self).__name__} only reads")

    def load(self) -> Value:  # noqa: D102
        return self._loaded()

    def _loaded(self, only: str | None = None) -> Value:
        """The value; of a folder at a URL with one of its files, if only that is asked for."""
        where = self._found()
        if self._is_here:
            return self._read(Path(where))
        folder = tempfile.mkdtemp(prefix="recycling-")
        clear = partial(shutil.rmtree, folder, ignore_errors=True)
        try:
            path = Path(folder, PurePosixPath(where).name)
            self._fetch(where, path, only)
            value = self._read(path)
        except BaseException as error:
            clear()
            # Readers name the file that they were given.
            error.args = tuple(
                each.replace(str(path), str(self.url)) if isinstance(each, str) else each
                for each in error.args
            )
            raise
        # Some values, such as label maps, read their files when they are asked for.
        try:
            weakref.finalize(value, clear)
        except TypeError:  # of a text, a number, a list or a mapping, which never do
            clear()
        return value

    def _read(self, path: Path) -> Value:
        try:
            return self.read(path)
        except (OSError, ValueError) as error:
            if message_for_user(error) is None:  # a library's words, which name no way out
                raise DatasetError(f"{path}: damaged ({one_line(error)}); make it again") from error
            raise

    def _fetch(self, where: str, path: Path, only: str | None) -> None:
        try:
            if not self.is_folder and self._system.info(where)["type"] == "file":
                self._system.get_file(where, str(path))
                return
            names = [*files_below(self._system, where)]
            if COMPLETE in names:
                # It says which files it holds; one that was put there by hand says nothing.
                listed = json.loads(self._system.cat_file(f"{where}/{COMPLETE}") or "{}")
                if missing := sorted({*listed}.difference(names)):
                    raise DatasetError(
                        f"{self.url}: {missing[0]}, which {COMPLETE} lists, is not there; make it "
                        "again"
                    )
                names = [*listed] or [name for name in names if name != COMPLETE]
            names = [name for name in names if only is None or name == only]
            path.mkdir()
            get_files(self._system, where, names, path)
        except (OSError, ValueError) as error:
            raise DatasetError(f"{self.url}: cannot be fetched: {one_line(error)}") from error

    def save(self, data: Value) -> None:  # noqa: D102
        where = self._where(self._get_save_path())
        try:
            self._write(data, where)
        except OSError as error:
            if self._version is not None and isinstance(error, NotADirectoryError):
                raise  # Kedro says that a file without versions is in the way
            raise DatasetError(
                f"{where}: could not be written: {error.strerror or one_line(error)}; what was "
                "there before is kept"
            ) from error

    def _write(self, data: Value, where: str) -> None:
        if self._is_here:
            self.write(data, Path(where))
            return
        with tempfile.TemporaryDirectory(prefix="recycling-") as folder:
            path = Path(folder, PurePosixPath(where).name)
            self.write(data, path)
            upload(path, self._system, where)
        self._system.invalidate_cache()

    def content(self) -> bytes:
        """The bytes of the file, where the value is one.

        Raises:
            DatasetError: There is none.
        """
        where = self._found()
        return Path(where).read_bytes() if self._is_here else bytes(self._system.cat(where))

    def _found(self) -> str:
        where = self._where(self._get_load_path())
        if not self._is_there(where):
            if self.url and self.is_folder and self._system.find(where):
                raise DatasetError(
                    f"{self.url}: not complete: {COMPLETE}, which is written last, is not in it; "
                    "make it again, or put an empty file of that name there if you have copied it"
                )
            raise DatasetError(f"{self.url or where}: not there")
        return where

    def checksum(self) -> str:
        """What tells the content at a URL from another, as its file system knows it.

        Raises:
            OSError: It is not there, or cannot be reached.
        """
        where = get_filepath_str(self._get_load_path(), self._protocol)
        if self.is_folder:
            if listed := self._system.cat_file(f"{where}/{COMPLETE}"):
                return hashlib.sha256(listed).hexdigest()
        elif self._system.info(where)["type"] == "file":
            return str(self._system.checksum(where))
        found = {name: str(info) for name, info in files_below(self._system, where).items()}
        return hashlib.sha256(json.dumps(found).encode()).hexdigest()

    def version(self) -> str | None:
        """The version that was saved or, if none was, that `load` reads; None where there is none.

        Kedro remembers both till the run ends.
        """
        if self._version is None:
            return None
        path = PurePath(self._get_load_path())
        return path.parent.name

    def written(self, inside: str = "") -> float | None:
        """When the value was written.

        Args:
            inside: Which file to go by, where the value is a folder.

        Returns:
            Seconds since 1970; None where there is no such file, or its file system does not tell.
        """
        try:
            inside = inside or (COMPLETE if self.url and self.is_folder else "")
            where = str(Path(self._where(self._get_load_path()), inside))
            if self._is_here:
                return Path(where).stat().st_mtime
            return float(self._system.modified(where).timestamp())
        except (VersionNotFoundError, FileNotFoundError, KeyError, NotImplementedError):
            return None

    def _is_there(self, where: str) -> bool:
        if self._is_here:
            return Path(where).exists()
        return bool(self._system.exists(f"{where}/{COMPLETE}" if self.is_folder else where))

    def _exists(self) -> bool:
        return self._is_there(self._where(self._get_load_path()))

    @property
    def _is_here(self) -> bool:
        return self.url is None or self.has_stand_in

    def _where(self, path: PurePath) -> str:
        if self.url is not None and self.has_stand_in:
            return str(self.filepath)
        return get_filepath_str(path, self._protocol)

    def _release(self) -> None:
        super()._release()
        if self.url is not None:
            self._system.invalidate_cache()

    def _init_config(self) -> dict[str, Any]:
        # Kedro keeps what a constructor takes as `**common` under that name, and what one takes
        # that is inherited under these.
        config = super()._init_config()
        config.pop("args", None)
        config |= config.pop("kwargs", {})
        common = dict(config.pop("common", {}))
        common.pop("metadata", None)
        common.pop("version", None)
        if self._version is not None:
            config["versioned"] = True
        # Where it is now; see `at`.
        return config | common | {"filepath": self.url or str(self._filepath)}

    def _describe(self) -> dict[str, Any]:
        hidden = ("type", "versioned", "credentials", "fs_args")
        options = {k: v for k, v in self._init_config().items() if k not in hidden}
        return options | {"filepath": self.url or str(self.filepath), "version": self._version}


class OptionalPathDataset(PathDataset[Value], Generic[Value]):
    """A path that counts as there in any case, such as a folder that is still to be filled.

    Attributes:
        mirrored: Of a folder at a URL, whether what is in it is sent there and fetched from there;
            else it is of this machine alone. And patterns of paths in it that stay here.
    """

    has_stand_in = True
    mirrored: ClassVar[tuple[str, ...] | None] = None

    def _stand_in(self, url: str) -> Path:
        if self.mirrored is None:
            return place_of(url)
        try:
            return mirror(url, self.mirrored)
        except MirrorError as error:
            raise DatasetError(str(error)) from error

    def load(self) -> Value:  # noqa: D102
        return self.read(self.filepath)

    def _exists(self) -> bool:
        return True


def one_of(value: Any, choices: Any, key: str, filepath: str | Path) -> Any:
    """The value of an option, which has to be one of a few words.

    Args:
        value: What the catalog says.
        choices: A `Literal` of the words.
        key: The option, for the message.
        filepath: The entry's path, for the message.

    Raises:
        DatasetError: It is another word.

    Example:
        >>> one_of("pseudo", Source, "source", "a.json")
        'pseudo'
    """
    if value not in get_args(choices):
        words = " or ".join(get_args(choices))
        raise DatasetError(f"{filepath}: {key} is {value!r}; give {words}")
    return value


def local_path(path: str | Path, who: str) -> Path:
    """A path of this machine, plain or as a ``file://`` URL.

    Args:
        path: What the catalog says.
        who: The option that it is for, for the message.

    Raises:
        DatasetError: It is a URL of another machine.

    Example:
        >>> local_path("file:///data/images", "images").as_posix()
        '/data/images'
    """
    protocol, plain = get_protocol_and_path(path)
    if protocol != "file":
        raise DatasetError(f"{path}: {who} takes a path on this machine; copy the data here first")
    return Path(plain)
