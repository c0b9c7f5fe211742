"""What the code of a node is: the syntax trees of the modules that its function reaches."""

from __future__ import annotations

import ast
import functools
import gc
import hashlib
import importlib.metadata
import platform
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from recycling.fingerprints.content import ContentCache

PROJECT = "recycling"

_FINDERS = ("import_modules", "iter_modules")
"""A package that calls one of these reads all of its modules."""


class Code:
    """The modules of the project, and what each imports, wherever in the file it does.

    Modules are read, not imported. A module also counts where its name is a text in the code, as in
    the configs of trainings. Other libraries count by their versions.

    Args:
        cache: Knows files that have not changed.
    """

    def __init__(self, cache: ContentCache) -> None:
        self._cache = cache
        self._files: dict[str, Path | None] = {}
        self._roots: dict[str, Path | None] = {}
        self._imports: dict[str, tuple[str, ...]] = {}
        self._reached: dict[frozenset[str], dict[str, str]] = {}

    def reached_from(self, modules: Iterable[str]) -> dict[str, str]:
        """The modules that these import, directly or not, themselves included.

        Args:
            modules: Names of modules.

        Returns:
            The hash of each module's syntax tree by its name; comments, docstrings and the layout
            do not count.
        """
        start = frozenset(modules)
        if start not in self._reached:
            found: dict[str, str] = {}
            open_ = sorted(start)
            with _no_collection():
                while open_:
                    name = open_.pop()
                    if name not in found and (file := self._file(name)) is not None:
                        found[name] = str(self._facts(file)[0])
                        open_ += self._imported(name, file)
            self._reached[start] = dict(sorted(found.items()))
        return self._reached[start]

    def _imported(self, name: str, file: Path) -> tuple[str, ...]:
        if name not in self._imports:
            package = name if file.name == "__init__.py" else name.rpartition(".")[0]
            named: set[str] = set()
            for text in self._facts(file)[1]:
                named.update(self._modules(_absolute(str(text), package)))
            if self._facts(file)[2] and file.name == "__init__.py":
                named.update(_inside(package, file.parent))
            self._imports[name] = tuple(sorted(named - {name}))
        return self._imports[name]

    def _modules(self, name: str) -> Iterator[str]:
        """The module of that name, or that the name is in, and the packages around it."""
        parts = name.split(".")
        for length in range(len(parts), 0, -1):
            prefix = ".".join(parts[:length])
            if self._file(prefix) is not None:
                yield prefix

    def _facts(self, file: Path) -> list[Any]:
        found: list[Any] = self._cache.of(file, "code", _read)
        return found

    def _file(self, name: str) -> Path | None:
        """The file of a module of the project; None for one of a library, or that is none."""
        if name not in self._files:
            self._files[name] = self._find(name)
        return self._files[name]

    def _find(self, name: str) -> Path | None:
        top, _, rest = name.partition(".")
        if top not in self._roots:
            self._roots[top] = _root(top)
        if (root := self._roots[top]) is None:
            return None
        if root.is_file():
            return root if not rest else None
        inside = root.joinpath(*rest.split(".")) if rest else root
        for path in (inside / "__init__.py", inside.with_suffix(".py")):
            if path.is_file():
                return path
        return None


def tree_hash(source: bytes | str) -> str:
    """A hash of what code says: comments, docstrings and the layout do not count.

    Raises:
        SyntaxError: It is not Python.

    >>> tree_hash("a = 1  # one") == tree_hash('a = (1)'), tree_hash("a = 1") == tree_hash("a = 2")
    (True, False)
    """
    return _hash(ast.parse(source))


def library_versions() -> dict[str, str]:
    """The versions of Python and of the libraries that the project asks for, by name."""
    try:
        asked = importlib.metadata.requires(PROJECT) or []
    except importlib.metadata.PackageNotFoundError:  # it runs from its folder
        asked = []
    found = {"python": platform.python_version()}
    for line in asked:
        name = re.match(r"[\w.-]+", line)
        if name is not None and "extra ==" not in line:
            try:
                found[name[0]] = importlib.metadata.version(name[0])
            except importlib.metadata.PackageNotFoundError:
                found[name[0]] = "none"
    return found


def _root(top: str) -> Path | None:
    """The folder of a package of the project, or the file of a single module."""
    module = sys.modules.get(top)
    try:
        file = module.__file__ if module is not None else getattr(find_spec(top), "origin", None)
    except (ImportError, ValueError, AttributeError):
        return None
    if file is None or not file.endswith(".py"):
        return None
    path = Path(file)
    if top != PROJECT and (
        "site-packages" in path.parts or path.parent == Path(ast.__file__).parent
    ):
        return None
    return path.parent if path.name == "__init__.py" else path


def _inside(package: str, folder: Path) -> Iterator[str]:
    for path in folder.iterdir():
        name = path.stem if path.suffix == ".py" else path.name
        is_module = path.suffix == ".py" or (path / "__init__.py").is_file()
        if is_module and not name.startswith(("_", ".")):
            yield f"{package}.{name}"


def _absolute(name: str, package: str) -> str:
    """An import as it is written, with leading dots, as a whole name."""
    dots = len(name) - len(name.lstrip("."))
    if dots == 0:
        return name
    base = package.split(".")[: len(package.split(".")) - (dots - 1)]
    return ".".join([*base, name[dots:]]).rstrip(".")


def _read(file: Path) -> list[Any]:
    facts = file.stat()
    return _read_once(file, facts.st_size, facts.st_mtime_ns)


@functools.cache
def _read_once(file: Path, size: int, mtime_ns: int) -> list[Any]:
    """The hash of a module's tree, what it imports, and whether it reads all that is beside it."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return [hashlib.sha256(file.read_bytes()).hexdigest()[:16], [], False]
    named: set[str] = set()
    finds = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            dot = "" if base.endswith(".") else "."
            named.update(f"{base}{dot}{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(rf"{PROJECT}(\.\w+)+", node.value):
                named.add(node.value)
        elif isinstance(node, ast.Name) and node.id in _FINDERS:
            finds = True
    return [_hash(tree), sorted(named), finds]


def _hash(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            vars(node)["body"] = [each for each in body if not _is_text(each)]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def _is_text(statement: ast.AST) -> bool:
    """Whether it is a docstring, or another text that has no effect."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


@contextmanager
def _no_collection() -> Iterator[None]:
    """Trees hold many objects, all in use: looking for garbage takes half the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
