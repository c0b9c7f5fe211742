"""Corrections that a person has decided on, one a line of a file that cleaning reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from recycling.annotations.cleaning.rules.correct_annotations import Correction
from recycling.annotations.cleaning.settings import Cleaning
from recycling.annotations.core import AnnotationError
from recycling.files import write_text

_RULE = "correct_annotations"


@dataclass(frozen=True)
class Corrections:
    """Entries of the rule `correct_annotations`.

    Attributes:
        entries: In the order in which they are applied.
    """

    entries: tuple[Correction, ...] = ()

    def without(self, entry: Correction) -> Corrections:
        """The same entries but for one."""
        return Corrections(tuple(own for own in self.entries if own != entry))


def with_corrections(rules: Cleaning, corrections: Corrections) -> Cleaning:
    """The rules of cleaning, with further entries of `correct_annotations` behind its own.

    What is decided on the category of an annotation and on its place is one entry.

    >>> canned = {"file_name": "a.jpg", "category": "Glass", "box": [0, 0, 9, 9], "drop": True}
    >>> more = Corrections((Correction.model_validate(canned),))
    >>> len(with_corrections(Cleaning(), more).correct_annotations.corrections)
    1
    """
    if not corrections.entries:
        return rules
    settings: Any = getattr(rules, _RULE)
    joined = (*settings.corrections, *_one_an_annotation(corrections.entries))
    return rules.model_copy(update={_RULE: settings.model_copy(update={"corrections": joined})})


def _one_an_annotation(entries: Sequence[Correction]) -> list[Correction]:
    """Join entries that mean the same annotation: the second would not find it as it was."""
    joined: list[Correction] = []
    at: dict[tuple[Any, ...], int] = {}
    for entry in entries:
        meant = entry.file_name, entry.category, entry.box
        if meant in at and not entry.add:
            joined[at[meant]] = _both(joined[at[meant]], entry)
            continue
        # What a later one leaves like this is what is meant from then on.
        at.pop((meant[0], entry.new_category or meant[1], entry.new_box or meant[2]), None)
        if not entry.add:
            at[meant] = len(joined)
        joined.append(entry)
    return joined


def _both(first: Correction, second: Correction) -> Correction:
    """Both changes of an annotation; where they exclude one another, the second."""
    if first.drop or second.drop:
        return second
    changes = {
        "new_category": second.new_category or first.new_category,
        "new_box": second.new_box or first.new_box,
        "reason": second.reason or first.reason,
    }
    return first.model_copy(update=changes)


def read_corrections(path: Path) -> Corrections:
    """Read a file of corrections; none where there is no file.

    Raises:
        AnnotationError: It is no list of corrections; the message names file and entry.
    """
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    except FileNotFoundError:
        return Corrections()
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise AnnotationError(f"{path}: not YAML: {reason}; correct it, or remove it") from error
    if not isinstance(entries, list):
        raise AnnotationError(f"{path}: should be a list of corrections, a dash before each")
    found = []
    for number, entry in enumerate(entries, 1):
        try:
            found.append(Correction.model_validate(entry))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise AnnotationError(
                f"{path}: entry {number}{f', {key}' if key else ''}: {first['msg']}; correct it, "
                "or remove the line"
            ) from error
    return Corrections(tuple(found))


def write_corrections(path: Path, corrections: Corrections, head: Sequence[str] = ()) -> None:
    """Write a file of corrections, one a line, whole or not at all.

    Args:
        path: The file.
        corrections: The entries.
        head: Lines of comment before them.

    >>> path = getfixture("tmp_path") / "train.yml"
    >>> entry = {"file_name": "a.jpg", "category": "Glass", "box": [0, 0, 9, 9], "drop": True}
    >>> write_corrections(path, Corrections((Correction.model_validate(entry),)))
    >>> print(path.read_text())
    - {file_name: a.jpg, category: Glass, box: [0.0, 0.0, 9.0, 9.0], drop: true}
    <BLANKLINE>
    >>> read_corrections(path).entries[0].drop
    True
    """
    lines = [f"# {line}" for line in head]
    lines += [f"- {in_one_line(entry)}" for entry in corrections.entries]
    write_text(path, "".join(f"{line}\n" for line in lines))


def in_one_line(entry: Correction) -> str:
    """An entry as YAML on one line, without what is at its default."""
    said: dict[str, Any] = entry.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(
        said, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6
    ).strip()
