"""What is known of an output: what it was made of, and why that is no longer so."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from recycling.files import hash_of, write_json, write_text
from recycling.fingerprints.ingredients import WEIGHTS, Facts, Graph, Ingredients, as_now

FORMAT = 1

CONTENT = "content.json"
"""The file beside the records that says what files hold; see `ContentCache`."""

SHOWN = 40
"""Characters of a value that a reason shows."""


@dataclass(frozen=True)
class Record:
    """How one output was made.

    Attributes:
        node: What made it.
        made: When, as ISO 8601.
        seconds: How long the node took, from before its inputs were loaded.
        content: The fingerprint of the output itself.
        entry: How the catalog said that it is stored.
        ingredients: What it was made of.
        code: A hash of the modules that the node reaches; see `Records.modules`.
        versions: Of the libraries.
    """

    node: str
    made: str
    seconds: float
    content: str | None
    entry: Facts
    ingredients: Ingredients
    code: str
    versions: dict[str, str]


class Records:
    """The records of a folder of outputs: a file each, and one for each state of the code.

    An output is written first and its record after it. Where a process is killed between the two, a
    record of an earlier output lies beside the new one, whose content it does not name; or none
    does, and its node has begun and not ended.

    Args:
        folder: Where they lie; it need not be there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, record: Record, modules: Mapping[str, str]) -> None:
        """Write the record of an output.

        Args:
            name: The output.
            record: Of it.
            modules: The hash of each module that `record.code` is of.
        """
        code = self.folder / "code" / f"{record.code}.json"
        if not code.exists():
            write_text(code, json.dumps(modules))
        # In one line: indented, it would be written by Python instead of C.
        write_text(self.path(name), json.dumps({"format": FORMAT, **asdict(record)}))

    def read(self, name: str) -> Record | str | None:
        """The record of an output; None where there is none, or why it cannot be read."""
        try:
            facts = json.loads(self.path(name).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return "its record cannot be read"
        try:
            if facts.pop("format") != FORMAT:
                return "its record is of another version of the project"
            return Record(**{**facts, "ingredients": Ingredients(**facts["ingredients"])})
        except (KeyError, TypeError, AttributeError):
            return "its record cannot be read"

    def names(self) -> list[str]:
        """The outputs that have a record, in order."""
        return sorted(
            unquote(path.stem) for path in self.folder.glob("*.json") if path.name != CONTENT
        )

    def modules(self, code: str) -> dict[str, str]:
        """The hash of each module of an earlier state of the code."""
        with suppress(OSError, ValueError):
            return dict(json.loads((self.folder / "code" / f"{code}.json").read_bytes()))
        return {}

    def begin(self, node: str) -> None:
        """Note that a node is at work, until it succeeds or fails: a process may be killed."""
        with suppress(OSError):  # what cannot be noted here cannot be made either
            write_text(self._begun(node), "")

    def was_killed(self, node: str) -> bool:
        """Whether a node has begun and never ended, as far as is known; or is at work."""
        return self._begun(node).exists()

    def fail(self, node: str, error: BaseException) -> None:
        """Note that a node has raised."""
        message = " ".join(str(error).split())[:300] or type(error).__name__
        with suppress(OSError):  # the disk may be full, which may be why
            write_json(self._failure(node), {"node": node, "error": message, "at": now()})
            self.stop(node)

    def succeed(self, node: str) -> None:
        """Note that a node has not raised this time."""
        self._failure(node).unlink(missing_ok=True)
        self.stop(node)

    def stop(self, node: str) -> None:
        """Note that a node is no longer at work."""
        with suppress(OSError):  # the disk may have turned read-only
            self._begun(node).unlink(missing_ok=True)

    def failure(self, node: str) -> str | None:
        """What a node raised in the last run that it was part of; None where it did not."""
        with suppress(OSError, ValueError, KeyError):
            return str(json.loads(self._failure(node).read_bytes())["error"])
        return None

    def path(self, name: str) -> Path:
        """The file of the record of an output."""
        return self.folder / f"{_file_name(name)}.json"

    def _begun(self, node: str) -> Path:
        return self.folder / "begun" / _file_name(node)

    def _failure(self, node: str) -> Path:
        return self.folder / "failed" / f"{_file_name(node)}.json"


def record_of(graph: Graph, node: str, name: str, made: Ingredients, seconds: float) -> Record:
    """The record of an output that has just been saved.

    Args:
        graph: The nodes and the catalog.
        node: What made it.
        name: The output.
        made: What it was made of, as that was before it was loaded.
        seconds: How long that took.
    """
    return Record(
        node=node,
        made=now(),
        seconds=round(seconds, 3),
        content=graph.content(name),
        entry=graph.entry(name),
        ingredients=made,
        code=hash_of(graph.code(made)),
        versions=graph.versions,
    )


def now() -> str:
    """The time as ISO 8601, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def reason(
    record: Record, name: str, now: Ingredients, graph: Graph, outdated: Container[str] = ()
) -> str | None:
    """Why an output is stale by itself, in a few words; None where it is not.

    Args:
        record: Of the output.
        name: The output.
        now: What it would be made of now.
        graph: The nodes and the catalog.
        outdated: Inputs that are stale or missing: what has become of them is not why.
    """
    before = record.ingredients
    if (why := _changed_input(before.inputs, now.inputs, outdated)) is not None:
        return why
    if (why := _changed_parameter(before.parameters, now.parameters, graph)) is not None:
        return why
    if before.bound != now.bound:
        return f"what its node is bound to changed ({_first_change(before.bound, now.bound)})"
    if before.passed != now.passed:
        return "its inputs are passed otherwise"
    if record.entry != (entry := graph.entry(name)):
        return f"its catalog entry changed ({_first_change(record.entry, entry)})"
    if record.content != graph.content(name):
        return "it has been written to since it was made"
    return None


def changed_code(
    record: Record, made: Ingredients, graph: Graph, records: Records
) -> tuple[list[str], list[str]]:
    """Which modules and libraries are others than when an output was made.

    Args:
        record: Of the output.
        made: What it would be made of now.
        graph: The nodes and the catalog.
        records: Where modules are looked up.

    Returns:
        Names of modules; and of libraries, with both versions.
    """
    # A record may not name a library that was asked for later, or is of an extra: nothing is known
    # to have changed then.
    versions = [
        f"{library} {record.versions[library]} -> {version}"
        for library, version in graph.versions.items()
        if record.versions.get(library, version) != version
    ]
    # Each version of Python writes syntax trees in its own way.
    if record.versions.get("python") != graph.versions["python"]:
        return [], versions
    modules = graph.code(made)
    if record.code == hash_of(modules):
        return [], versions
    before = records.modules(record.code)
    names = {*before, *modules}
    return sorted(n for n in names if before.get(n) != modules.get(n)), versions


def _changed_input(
    before: Mapping[str, Facts], now: Mapping[str, Facts], outdated: Container[str]
) -> str | None:
    for name in sorted(now.keys() - before.keys()):
        # Records of earlier versions name no weights; other ones than before are a parameter's.
        if not name.startswith(WEIGHTS):
            return f"{name} is a new input"
    for name in sorted(before.keys() - now.keys()):
        if not name.startswith(WEIGHTS):
            return f"{name} is no input any more"
    for name in sorted(before.keys() & now.keys()):
        was, is_ = before[name], now[name]
        if name not in outdated and was["content"] != is_["content"]:
            there = " is not there" if is_["content"] == "not there" else " changed"
            return f"{is_['file']}{there}"
        if was["entry"] != is_["entry"]:
            change = _first_change(was["entry"], is_["entry"])
            return f"catalog entry {name} changed ({change})"
    return None


def _changed_parameter(before: Facts, now: Facts, graph: Graph) -> str | None:
    for name in sorted({*before, *now}):
        if name not in before or name not in now:
            return f"parameter {name} is {'new' if name in now else 'not taken any more'}"
        # Most often nothing has changed, and nothing needs to be read as what it is now.
        if before[name] != now[name]:
            was = as_now(before[name], graph.parameter(name))
            if was != now[name]:
                return _parameter_change(name, was, now[name])
    return None


def _parameter_change(name: str, before: Any, now: Any) -> str:
    changes = _changes(before, now, name)
    key, was, is_ = changes[0]
    more = f", and {len(changes) - 1} more" if len(changes) > 1 else ""
    return f"parameter {key} changed ({_change(was, is_)}){more}"


def _first_change(before: Any, now: Any) -> str:
    key, was, is_ = (_changes(before, now, "") or [("", before, now)])[0]
    return f"{key.lstrip('.')}: {_change(was, is_)}".removeprefix(": ")


def _change(before: Any, now: Any) -> str:
    """Both values; of lists what has come and gone, where that is all.

    >>> _change("AdamW", "SGD"), _change(["a", "b"], ["b", "c"]), _change([1, 2], [2, 1])
    ('AdamW -> SGD', 'with c, without a', '[1, 2] -> [2, 1]')
    """
    if isinstance(before, list) and isinstance(now, list):
        come = [_shown(each) for each in now if each not in before]
        gone = [_shown(each) for each in before if each not in now]
        words = [
            f"{word} {', '.join(all_)}"
            for word, all_ in (("with", come), ("without", gone))
            if all_
        ]
        if words:
            return _shown(", ".join(words))
    return f"{_shown(before)} -> {_shown(now)}"


def _changes(before: Any, now: Any, name: str) -> list[tuple[str, Any, Any]]:
    """The leaves that differ, those that are there on both sides first."""
    found = _leaves(before, now, name)
    return sorted(found, key=lambda change: (_NOTHING in change[1:], change[0]))


def _leaves(before: Any, now: Any, name: str) -> list[tuple[str, Any, Any]]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        return [
            change
            for key in sorted({*before, *now}, key=str)
            for change in _leaves(
                before.get(key, _NOTHING), now.get(key, _NOTHING), f"{name}.{key}"
            )
        ]
    return [] if before == now else [(name, before, now)]


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


_NOTHING = _Nothing()


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _file_name(name: str) -> str:
    return quote(name, safe="")
