"""What differs between two things that are compared: on purpose, or come along."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

from recycling.backends import Model
from recycling.errors import listed
from recycling.experiments.manifest import Manifest, flat

Kind: TypeAlias = Literal["setting", "seed", "steps", "data", "code", "version", "machine"]
KINDS: tuple[Kind, ...] = ("setting", "seed", "steps", "data", "code", "version", "machine")

NO_EFFECT = (
    "folds", "control", "skip_if_missing", "variant_of", "study", "workers", "cache_megabytes",
    "resources",
)  # fmt: skip
"""Settings of a model that alter no training of a fold."""

NOWHERE = "-"
OWN = "model."
"""How the settings of the model or ensemble that is compared begin, whatever its name is."""

RECIPE_FILE = f"{OWN}recipe file"

N_SETTINGS = 12
"""How many settings have a line of their own."""


@dataclass(frozen=True)
class Difference:
    """One thing that differs.

    Attributes:
        kind: `setting` is what somebody changed on purpose; all else came along.
        name: Which setting, file, module or library.
        first: Its value on the first side; `-` where it has none.
        second: The same of the second.
        where: File and line of a setting.
    """

    kind: Kind
    name: str
    first: str
    second: str
    where: str = ""

    @property
    def on_purpose(self) -> bool:
        """Whether somebody changed it."""
        return self.kind == "setting"

    @property
    def values(self) -> tuple[str, str]:
        """On both sides."""
        return self.first, self.second

    def __str__(self) -> str:
        at = f" ({self.where})" if self.where else ""
        if self.kind in ("code", "data"):
            return f"{self.kind}: {self.name}{at}"
        word = "" if self.kind in ("setting", "seed", "steps") else f"{self.kind} "
        return f"{word}{self.name}: {self.first} -> {self.second}{at}"


@dataclass(frozen=True)
class Facts:
    """What something was made of.

    Attributes:
        settings: By name, with dots; those of a catalog entry begin with `catalog.`.
        sources: File and line of each setting, where they are known.
        steps: How many steps its trainings took, by `det.yolox.fold0`; by `model.fold0` of the
            model that is compared.
        data: The fingerprint of each file and folder that no node made, by what to call it.
        code: The hash of each module that its nodes reach.
        versions: Of the libraries.
        machine: Where the run was.
        taken: The parameters and catalog entries that the settings are of.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)


def facts_of(outputs: Iterable[str], made: Path, manifest: Manifest, name: str) -> Facts:
    """What outputs were made of, back to the files that no node made.

    Args:
        outputs: Datasets.
        made: The folder of the records of all outputs.
        manifest: Of the run that made or used them.
        name: The entry of the model or ensemble that they are of: its own settings are called
            `model.epochs` whatever its name is, so that two models can be compared.
    """
    facts = Facts(machine=_machine(manifest))
    seen: set[str] = set()
    waiting = list(outputs)
    while waiting:
        output = waiting.pop()
        if output in seen:
            continue
        seen.add(output)
        if (record := _record(made, output)) is None:
            continue
        ingredients = record["ingredients"]
        for parameter, value in ingredients["parameters"].items():
            _add_settings(facts, parameter, value, manifest, name)
        for dataset, told in ingredients["inputs"].items():
            if _record(made, dataset) is not None:
                waiting.append(dataset)
            elif dataset.startswith("recipe "):
                facts.settings[RECIPE_FILE] = str(told["content"])
                facts.sources[RECIPE_FILE] = str(told["file"])
            else:
                facts.data[str(told.get("file") or dataset)] = str(told["content"])
                # One file may be read as other images, such as another share of them.
                facts.taken.add(f"catalog.{dataset}")
                facts.settings.update(flat(told.get("entry", {}), f"catalog.{dataset}."))
        # Outputs may have been made at different times, by different code.
        for found, told in (
            (facts.code, _modules(made, str(record["code"]))),
            (facts.versions, record["versions"]),
        ):
            for key, value in told.items():
                found[key] = ", ".join(
                    sorted({*filter(None, found.get(key, "").split(", ")), value})
                )
        if output in manifest.trainings:
            training = output.removesuffix(".checkpoint")
            # A twin is called otherwise than the entry that it is of.
            is_own = f"models.{name}" in ingredients["parameters"]
            key = f"{OWN}{training.rpartition('.')[2]}" if is_own else training
            facts.steps[key] = int(manifest.trainings[output].get("iterations", 0))
    return facts


def settings_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a model or an ensemble that may change its results, by name.

    Args:
        entry: As `models.yml` has it.

    Example:
        >>> settings_of({"epochs": 8, "folds": [0]})
        {'model.epochs': 8}
    """
    # Settings that came later have their defaults in what was made before.
    with suppress(ValueError):
        entry = Model.model_validate(dict(entry)).model_dump(mode="json")
    return {
        f"{OWN}{key}": each
        for key, each in flat(entry).items()
        if key.partition(".")[0] not in NO_EFFECT and each != {}  # of which only the keys count
    }


def differences(first: Facts, second: Facts) -> list[Difference]:
    """What differs, settings first.

    What only one side takes at all, such as the settings of a teacher, comes with another setting,
    and is told only where none differs. A key that one side lacks of what both take is told.

    Example:
        >>> one, other = Facts({"model.epochs": 10}), Facts({"model.epochs": 20})
        >>> print(*differences(one, other))
        model.epochs: 10 -> 20
    """
    found = [*_of_settings(first, second)]
    both_have = sorted(first.steps.keys() & second.steps.keys())
    if own := [key for key in both_have if first.steps[key] != second.steps[key]]:
        steps = [listed((str(side.steps[key]) for key in own), 5) for side in (first, second)]
        found.append(Difference("steps", "steps", *steps))
    found += [Difference("data", *change) for change in _changes(first.data, second.data)]
    if any(each.on_purpose for each in found if OWN in each.name):
        both = tuple(f"{name}." for name in first.taken & second.taken)
        found = [
            each
            for each in found
            if OWN in each.name or NOWHERE not in each.values or f"{each.name}.".startswith(both)
        ]
    shared: tuple[tuple[Kind, Any, Any], ...] = (
        ("code", first.code, second.code),
        ("version", first.versions, second.versions),
        ("machine", first.machine, second.machine),
    )
    for kind, before, after in shared:
        both = before.keys() & after.keys()
        sides = ({name: side[name] for name in both} for side in (before, after))
        found += [Difference(kind, *change) for change in _changes(*sides)]
    return sorted(found, key=lambda each: KINDS.index(each.kind))


def in_lines(found: Iterable[Difference]) -> list[str]:
    """A line for each thing that differs; modules, files and libraries together on one.

    Args:
        found: From `differences`.
    """
    found = list(found)
    lines = [str(each) for each in found if each.kind in ("setting", "seed", "steps")]
    if len(lines) > N_SETTINGS:
        lines[N_SETTINGS:] = [f"and {len(lines) - N_SETTINGS} more"]
    for kind, words in (("data", "data"), ("code", "code"), ("version", "libraries"),
                        ("machine", "machine")):  # fmt: skip
        own = [each for each in found if each.kind == kind]
        if kind in ("version", "machine"):
            names = [f"{each.name} {each.first} -> {each.second}" for each in own]
        else:
            names = [each.name for each in own]
        if names:
            lines.append(f"{words}: {listed(names, 3)}")
    return lines


def verdict_on(found: Iterable[Difference]) -> str:
    """What may be said of a difference in score, given all that differs.

    >>> verdict_on([])
    'nothing that is known of differs'
    >>> verdict_on([Difference("setting", "model.loss", "-", "focal")])
    'one thing differs, model.loss'
    """
    # What comes along comes in heaps: a commit alters many modules, an installation many libraries.
    names = list(dict.fromkeys(each.name if each.on_purpose else each.kind for each in found))
    if not names:
        return "nothing that is known of differs"
    if len(names) == 1:
        return f"one thing differs, {names[0]}"
    return (
        f"{len(names)} things differ ({listed(names, 5)}): the difference in score cannot be put "
        "down to one of them"
    )


def _of_settings(first: Facts, second: Facts) -> Iterator[Difference]:
    for name, before, after in _changes(first.settings, second.settings):
        if name == RECIPE_FILE and first.settings.get(f"{OWN}recipe") != second.settings.get(
            f"{OWN}recipe"
        ):
            continue  # another recipe has another file
        last = name.rpartition(".")[2]
        where = [side.sources.get(name) for side in (second, first)]
        at = next((each for each in where if each is not None), "")
        yield Difference("seed" if last == "seed" else "setting", name, before, after, at)


def _changes(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name in sorted({*first, *second}):
        if first.get(name, NOWHERE) != second.get(name, NOWHERE):
            yield name, _shown(first.get(name, NOWHERE)), _shown(second.get(name, NOWHERE))


def _shown(value: Any, limit: int = 60) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _add_settings(facts: Facts, parameter: str, value: Any, manifest: Manifest, name: str) -> None:
    own = parameter in (f"models.{name}", f"ensembles.{name}")
    facts.taken.add(parameter)
    if isinstance(value, Mapping):
        settings = settings_of(value) if own else flat({parameter: value})
    else:
        settings = {OWN.rstrip(".") if own else parameter: value}
    for key, each in settings.items():
        if each == {}:
            continue
        facts.settings[key] = each
        written = f"{parameter}.{key.removeprefix(OWN)}" if own else key
        source = manifest.sources.get(written)
        if source is not None:
            facts.sources[key] = source


def _record(made: Path, name: str) -> dict[str, Any] | None:
    with suppress(OSError, ValueError):
        return dict(json.loads((made / f"{quote(name, safe='')}.json").read_bytes()))
    return None


def _modules(made: Path, code: str) -> dict[str, str]:
    with suppress(OSError, ValueError):
        return dict(json.loads((made / "code" / f"{code}.json").read_bytes()))
    return {}


def _machine(manifest: Manifest) -> dict[str, str]:
    kept = ("processor", "cores", "accelerator", "system")
    return {key: str(manifest.machine[key]) for key in kept if key in manifest.machine}
