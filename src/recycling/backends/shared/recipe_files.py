"""What a recipe says: its file and those that it inherits, without looking at the library."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

import yaml

from recycling.backends.shared.resume import flat
from recycling.backends.shared.weights import WEIGHT_FILES
from recycling.files import hash_of


def with_bases(recipe: Path) -> list[Path]:
    """A recipe's file, and those of the same folders that it inherits, each once.

    Where it cannot be read off what it inherits, all files of its folder count.
    """
    found: dict[Path, None] = {}
    open_ = [recipe]
    while open_:
        path = open_.pop()
        if path in found:
            continue
        found[path] = None
        try:
            open_ += [path.parent / base for base in _bases(path) if "::" not in base]
        except (OSError, ValueError, SyntaxError, yaml.YAMLError):
            open_ += sorted(each for each in path.parent.glob("*.*") if each.is_file())
    return list(found)


def recipe_hash(path: Path) -> str:
    """A hash of what a file of a recipe says: comments and the layout do not count.

    Raises:
        OSError: It cannot be read.

    >>> path = getfixture("tmp_path") / "small.py"
    >>> _ = path.write_text("model = {}  # small")
    >>> before = recipe_hash(path)
    >>> _ = path.write_text("model = ({})")
    >>> recipe_hash(path) == before
    True
    """
    text = path.read_bytes()
    try:
        if path.suffix in (".yaml", ".yml"):
            return hash_of(yaml.safe_load(text))
        return hashlib.sha256(ast.dump(ast.parse(text)).encode()).hexdigest()[:16]
    except (SyntaxError, ValueError, TypeError, yaml.YAMLError):
        return hash_of(text.decode(errors="replace"))


def weights_named_in(path: Path) -> list[str]:
    """The files of weights that a recipe's file names, each once, as written there.

    >>> path = getfixture("tmp_path") / "small.py"
    >>> _ = path.write_text("load_from = 'own/start.pth'")
    >>> weights_named_in(path)
    ['own/start.pth']
    """
    text = path.read_bytes()
    try:
        if path.suffix in (".yaml", ".yml"):
            found = [str(leaf) for _, leaf in flat(yaml.safe_load(text))]
        else:
            nodes = ast.walk(ast.parse(text))
            found = [str(node.value) for node in nodes if isinstance(node, ast.Constant)]
    except (SyntaxError, ValueError, TypeError, yaml.YAMLError):
        return []
    return list(dict.fromkeys(each for each in found if each.endswith((*WEIGHT_FILES, ".pkl"))))


def _bases(path: Path) -> Iterator[str]:
    if path.suffix in (".yaml", ".yml"):
        keys = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(keys, dict) and "_BASE_" in keys:
            yield str(keys["_BASE_"])
        return
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "_base_" for target in node.targets
        ):
            base = ast.literal_eval(node.value)
            yield from [base] if isinstance(base, str) else base
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield "../" * (node.level - 1) + (node.module or "").replace(".", "/") + ".py"
