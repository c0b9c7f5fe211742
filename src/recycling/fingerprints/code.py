"""What the code of a node is: the syntax trees of the modules that its function reaches."""

from __future__ import annotations

import ast
import functools
import gc
import hashlib
import importlib.metadata
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recycling.fingerprints.content import ContentCache, fingerprint

PROJECT = "recycling"

_FINDERS = (b"import_modules(", b"iter_modules(")
"""A package that calls one of these reads all of its modules."""

_NAMES = re.compile(rf"[\"']({PROJECT}(?:\.\w+)+)[\"']".encode())
"""Names of modules, and of what is in them, in texts."""

_TEMPLATES = re.compile(rb"PackageLoader\([\"']([\w.]+)[\"']\)")
"""Names of packages whose folders of templates are read."""


class Code:
    """The modules of the project, and what each imports, wherever in the file it does.

    Modules are read once, and not imported. A module also counts where its name is a text in the
    code, as in the configs of trainings; so do the templates of a package that jinja2 is told to
    load. Other libraries count by their versions.

    Args:
        cache: Knows files that have not changed.
    """

    def __init__(self, cache: ContentCache) -> None:
        self._cache = cache
        self._files: dict[str, dict[str, Path]] = {}
        self._facts_of: dict[Path, list[Any]] = {}
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
                named.update(self._inside(package))
            self._imports[name] = tuple(sorted(named - {name}))
        return self._imports[name]

    def _modules(self, name: str) -> Iterator[str]:
        """The module of that name, or that the name is in, and the packages around it."""
        parts = name.split(".")
        for length in range(len(parts), 0, -1):
            prefix = ".".join(parts[:length])
            if self._file(prefix) is not None:
                yield prefix

    def _inside(self, package: str) -> Iterator[str]:
        for name in self._files[package.partition(".")[0]]:
            parent, _, own = name.rpartition(".")
            if parent == package and not own.startswith("_"):
                yield name

    def _facts(self, file: Path) -> list[Any]:
        # Once a run: what runs is what was imported, whatever is edited meanwhile.
        if file not in self._facts_of:
            is_templates = file.is_dir()
            self._facts_of[file] = (
                [fingerprint(file, self._cache), [], False]
                if is_templates
                else self._cache.of(file, "module", _read)
            )
        return self._facts_of[file]

    def _file(self, name: str) -> Path | None:
        """The file of a module of the project; None for one of a library, or that is none."""
        top = name.partition(".")[0]
        if top not in self._files:
            self._files[top] = _modules_of(top)
        return self._files[top].get(name)


_MAKE_NO_OUTPUTS = ("dask", "dev", "mlflow", "remote", "serve")  # extras

_NOT_REGISTERED = 'detectron2; extra == "detectron2"'
"""What the project cannot ask for, as if it did."""


def library_versions(plugins: Iterable[str] = ()) -> dict[str, str]:
    """The versions of Python and of the libraries that the project asks for, by name.

    Of the extras those that are installed and that outputs are made with.

    Args:
        plugins: Names of modules; what is installed of these counts as well.
    """
    try:
        asked = [*(importlib.metadata.requires(PROJECT) or []), _NOT_REGISTERED]
    except importlib.metadata.PackageNotFoundError:  # it runs from its folder
        asked = [_NOT_REGISTERED]
    if tops := {name.partition(".")[0] for name in plugins}:
        installed = importlib.metadata.packages_distributions()
        asked += [name for top in sorted(tops) for name in installed.get(top, ())]
    found = {"python": platform.python_version()}
    for line in asked:
        name, extra = re.match(r"[\w.-]+", line), re.search(r"extra == ['\"](\w+)", line)
        if name is None or (extra is not None and extra[1] in _MAKE_NO_OUTPUTS):
            continue
        try:
            found[name[0]] = importlib.metadata.version(name[0])
        except importlib.metadata.PackageNotFoundError:
            if extra is None:
                found[name[0]] = "none"
    return found


def _root(top: str) -> Path | None:
    """The folder of a package of the project, or the file of a single module.

    Of the project is what its nodes are in and what these import, but for what is installed.
    """
    if top in sys.stdlib_module_names:
        return None
    file = getattr(sys.modules.get(top), "__file__", None)
    if file is None or not file.endswith(".py"):
        return None
    path = Path(file)
    if top != PROJECT and "site-packages" in path.parts:
        return None
    return path.parent if path.name == "__init__.py" else path


def _modules_of(top: str) -> dict[str, Path]:
    """The file of every module of a package of the project, and folders of templates, by name."""
    root = _root(top)
    if root is None or root.is_file():
        return {} if root is None else {top: root}
    found = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name.isidentifier()]
        package = ".".join((top, *Path(folder).relative_to(root).parts))
        if package.endswith(".templates"):
            found[package] = Path(folder)
        for name in files:
            if name == "__init__.py":
                found[package] = Path(folder, name)
            elif name.endswith(".py"):
                found[f"{package}.{name[:-3]}"] = Path(folder, name)
    return found


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
    source = file.read_bytes()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return [hashlib.sha256(source).hexdigest()[:16], [], False]
    named = {name.decode() for name in _NAMES.findall(source)}
    named.update(f"{name.decode()}.templates" for name in _TEMPLATES.findall(source))
    for statement in _statements(tree):
        if isinstance(statement, ast.Import):
            named.update(alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            base = "." * statement.level + (statement.module or "")
            dot = "" if base.endswith(".") else "."
            named.update(f"{base}{dot}{alias.name}" for alias in statement.names)
    finds = any(finder in source for finder in _FINDERS)
    return [_hash(tree), sorted(named), finds]


def _hash(tree: ast.Module) -> str:
    for statement in [tree, *_statements(tree)]:
        if isinstance(body := getattr(statement, "body", None), list):
            vars(statement)["body"] = [each for each in body if not _is_text(each)]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Every statement, at whatever depth; expressions are not entered, which hold none."""
    open_ = [tree]
    while open_:
        parent = open_.pop()
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            if isinstance(inside := getattr(parent, block, None), list):
                open_ += inside
                yield from inside


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
