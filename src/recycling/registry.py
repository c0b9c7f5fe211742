"""Things that a user picks by name in YAML: a file each, found by a registry.

A file holds the thing's settings (a pydantic model), its function and a decorator that registers
both. Parameters, the search space, docs and error texts read the registry; no other file names the
thing, but for an import of its file where a package does not import its whole folder.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, ClassVar, Generic, Self, TypeVar, Unpack

from pydantic import BaseModel, ConfigDict, model_validator

Thing = TypeVar("Thing")
Function = TypeVar("Function", bound=Callable[..., Any])


class RegistryError(ValueError):
    """A name that is not known, or is taken: one line, with the names that there are."""


@dataclass(frozen=True)
class Entry(Generic[Thing]):
    """One thing of a registry.

    Attributes:
        name: What a user calls it.
        settings: The settings that it takes.
        thing: What it is: mostly a function.
    """

    name: str
    settings: type[Settings]
    thing: Thing

    @property
    def summary(self) -> str:
        """The first line of its settings' docstring, for tables and docs."""
        return (self.settings.__doc__ or "").strip().split("\n")[0]


class Registry(Mapping[str, Entry[Thing]], Generic[Thing]):
    """Things of one kind, by name, in the order in which they were registered.

    Args:
        kind: What they are called in messages, such as "fusion method of boxes".
        made_by: What makes a thing of a function, for `add`.

    >>> losses: Registry[Callable[..., float]] = Registry("loss")
    >>> class Focal(Settings):
    ...     gamma: float = 2.0
    >>> @losses.register("focal", Focal)
    ... def focal(gamma: float) -> float:
    ...     "Focal loss."
    ...     return gamma
    >>> list(losses), losses["focal"].thing(gamma=1.0)
    (['focal'], 1.0)
    >>> losses["focus"]
    Traceback (most recent call last):
    ...
    recycling.registry.RegistryError: no loss is called 'focus'; did you mean 'focal'?
    """

    def __init__(self, kind: str, made_by: Callable[..., Thing] | None = None) -> None:
        self.kind, self.made_by = kind, made_by
        self._entries: dict[str, Entry[Thing]] = {}

    def register(self, name: str, settings: type[Settings]) -> Callable[[Thing], Thing]:
        """A decorator that adds a thing; a file that is imported anew replaces what it added.

        Args:
            name: What a user calls it.
            settings: The settings that it takes.

        Raises:
            RegistryError: Another thing has that name.
        """

        def add(thing: Thing) -> Thing:
            if name in self and _file_of(self[name].settings) != _file_of(settings):
                raise RegistryError(
                    f"a {self.kind} is called {name!r} already; choose another name"
                )
            self._entries[name] = Entry(name, settings, thing)
            return thing

        return add

    def add(
        self, name: str, settings: type[Settings], **facts: Any
    ) -> Callable[[Function], Function]:
        """A decorator that adds what `made_by` makes of a function, and leaves the function alone.

        Args:
            name: What a user calls it.
            settings: The settings that it takes: a field for each keyword of the function.
            facts: What `made_by` takes beside the function.

        Raises:
            RegistryError: Another thing has that name.

        >>> metrics: Registry[dict[str, Any]] = Registry("metric", lambda f, title: {title: f})
        >>> @metrics.add("iou", Settings, title="IoU")
        ... def iou(hits: int, union: int) -> float:
        ...     return hits / union
        >>> iou(1, 2), metrics["iou"].thing["IoU"] is iou
        (0.5, True)
        """
        assert self.made_by is not None
        make = self.made_by

        def add(function: Function) -> Function:
            self.register(name, settings)(make(function, **facts))
            return function

        return add

    def __getitem__(self, name: str) -> Entry[Thing]:
        if name not in self:
            raise self.unknown(name)
        return self._entries[name]

    def unknown(self, name: object) -> RegistryError:
        """What to raise for a name that is not known."""
        near = get_close_matches(str(name), self._entries)
        known = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(self)}"
        return RegistryError(f"no {self.kind} is called {name!r}; {known}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        # What a user writes in YAML may be a list, which has no hash.
        return isinstance(name, str) and name in self._entries


def import_modules(package: str, path: Iterable[str]) -> None:
    """Import the modules of a package, so that what they register is known.

    For the `__init__` of a package that holds a file for each thing: a new file is found without
    being named anywhere. Modules whose names begin with `_` are left out.

    Args:
        package: The package's `__name__`.
        path: The package's `__path__`.
    """
    for module in iter_modules(path):
        if not module.name.startswith("_"):
            import_module(f"{package}.{module.name}")


class Strict(BaseModel):
    """Values that cannot be changed, and refuse a key that they do not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, polymorphic_serialization=True)


class Settings(Strict):
    """What users set in the parameters; each has its place on the page of settings."""


class PickedSettings(Settings):
    """Settings of a thing that is picked by name: those of the thing, and nothing else.

    A base class for each kind names its registry. Validating that base class, or calling it, gives
    the settings of the thing that is picked.

    >>> methods: Registry[Any] = Registry("method")
    >>> class Method(PickedSettings, registry=methods, key="method", default="mean"):
    ...     method: str
    >>> class Mean(Method):
    ...     method: str = "mean"
    ...     power: float = 1.0
    >>> _ = methods.register("mean", Mean)(max)
    >>> Method.model_validate({"power": 2})
    Mean(method='mean', power=2.0)
    >>> Method(method="mean").arguments(), Method(method="mean").picked is max
    ({'power': 1.0}, True)

    Attributes:
        registry: Where the things of this kind are.
        key: The setting that names the thing.
        default: The thing where none is named; None where one has to be.
    """

    registry: ClassVar[Registry[Any]]
    key: ClassVar[str]
    default: ClassVar[str | None] = None

    def __init_subclass__(
        cls,
        *,
        registry: Registry[Any] | None = None,
        key: str = "",
        default: str | None = None,
        **config: Unpack[ConfigDict],
    ) -> None:
        super().__init_subclass__(**config)
        if registry is not None:
            cls.registry, cls.key, cls.default = registry, key, default

    def __new__(cls, **settings: Any) -> Self:
        """An object of the picked thing's class, which pydantic then fills in."""
        name = settings.get(cls.key, cls.default)
        picked: Any = cls
        # A name that is not known is left to the validator, which refuses it.
        if cls._is_base() and isinstance(name, str) and name in cls.registry:
            picked = cls.registry[name].settings
        made: Self = super().__new__(picked)
        return made

    @property
    def picked(self) -> Any:
        """The thing that is picked."""
        return self.registry[getattr(self, self.key)].thing

    def arguments(self) -> dict[str, Any]:
        """The settings that the thing takes by keyword."""
        return self.model_dump(exclude={self.key})

    @model_validator(mode="wrap")
    @classmethod
    def _of_the_picked(cls, value: Any, handler: Callable[[Any], Any]) -> Any:
        if not isinstance(value, Mapping):
            return handler(value)
        default = cls.default if cls._is_base() else cls.model_fields[cls.key].default
        name = value.get(cls.key, default)
        if name is None:
            raise ValueError(f"{cls.key} is missing; there are {', '.join(cls.registry)}")
        entry = cls.registry[name]
        for setting in value:
            if setting not in entry.settings.model_fields:
                raise ValueError(_refusal(setting, entry, cls.registry, cls.key))
        if cls._is_base():
            return entry.settings.model_validate({**value, cls.key: name})
        return handler(value)

    @classmethod
    def _is_base(cls) -> bool:
        return PickedSettings in cls.__bases__


def _file_of(settings: type[Settings]) -> str:
    """The file that a class is defined in; in a notebook, the name of its module."""
    module = sys.modules.get(settings.__module__)
    return getattr(module, "__file__", None) or settings.__module__


def _refusal(setting: str, entry: Entry[Any], registry: Registry[Any], key: str) -> str:
    """Why a thing does not take a setting: whose it is, and which ones the thing takes."""
    takes = [name for name in entry.settings.model_fields if name != key]
    near = get_close_matches(str(setting), takes)
    others = [other.name for other in registry.values() if setting in other.settings.model_fields]
    refused = f"{entry.name!r} takes no {setting!r}"
    if others:
        refused += f" (it is a setting of {', '.join(others)})"
    elif near:
        refused += f" (did you mean {near[0]!r}?)"
    return f"{refused}; it takes {', '.join(takes) or 'no settings'}"
