"""What a node makes its outputs of: inputs, parameters, and what its function is bound to."""

from __future__ import annotations

import functools
import inspect
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias

from kedro.io import AbstractDataset, DataCatalog
from kedro.io.core import VersionNotFoundError
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic import BaseModel, ValidationError

from recycling.backends import BackendError, Model, Recipes
from recycling.backends.shared.recipe_files import recipe_hash, weights_named_in, with_bases
from recycling.backends.shared.resume import NOT_OF_RESULTS
from recycling.backends.shared.weights import own_weights
from recycling.datasets import (
    AugmentedSetsDataset,
    ExternalMembersDataset,
    ImageCacheDataset,
    ImageFolderDataset,
    PathDataset,
    RecipesDataset,
    RunFolderDataset,
)
from recycling.experiments import Tuning
from recycling.files import hash_of
from recycling.fingerprints.code import PROJECT, Code, library_versions
from recycling.fingerprints.content import ContentCache, fingerprint, fingerprint_by_names
from recycling.plan.parameters import shown

Facts: TypeAlias = dict[str, Any]
"""What JSON can hold, by name."""

NOT_OF_ENTRIES = {
    "type", "filepath", "versioned", "version", "credentials", "fs_args", "metadata", "validator",
    "required", "cache_gigabytes", "common", "args",
}  # fmt: skip
"""What a catalog entry says that does not alter what is loaded or saved."""

WEIGHTS = "weights "
"""What the name of an input begins with that is a file of weights."""


@dataclass(frozen=True)
class Ingredients:
    """What the outputs of a node are made of.

    What a node hands on in memory is no ingredient: what it was made of is.

    Attributes:
        inputs: By dataset: `content`, its fingerprint; `entry`, what its catalog entry says; and
            `file`, what to call it.
        parameters: By name, as JSON.
        bound: By the first output of each node: what its function is bound to.
        passed: By the same: which dataset is passed as which argument.
        functions: The functions of the nodes, as ``module:name``.
    """

    inputs: dict[str, Facts] = field(default_factory=dict)
    parameters: Facts = field(default_factory=dict)
    bound: Facts = field(default_factory=dict)
    passed: Facts = field(default_factory=dict)
    functions: list[str] = field(default_factory=list)

    def add(self, other: Ingredients) -> None:
        """Add what an input in memory was made of."""
        for mine, theirs in ((self.inputs, other.inputs), (self.parameters, other.parameters),
                             (self.bound, other.bound), (self.passed, other.passed)):  # fmt: skip
            mine.update(theirs)
        self.functions[:] = sorted({*self.functions, *other.functions})


class Graph:
    """The nodes of a run with their catalog: what each is made of now.

    Args:
        pipeline: The nodes.
        catalog: Their datasets.
        cache: Knows files that have not changed.
    """

    def __init__(self, pipeline: Pipeline, catalog: DataCatalog, cache: ContentCache) -> None:
        self.pipeline, self.catalog, self.cache = pipeline, catalog, cache
        self.makers = {name: node for node in pipeline.nodes for name in node.outputs}
        self._code = Code(cache)

    def stored(self, name: str) -> AbstractDataset[Any, Any] | None:
        """The dataset of that name, if its values outlive a run."""
        if name.startswith("params:") or name == "parameters":
            return None
        dataset = self.catalog.get(name)
        return None if dataset is None or getattr(dataset, "_EPHEMERAL", False) else dataset

    def stored_outputs(self, node: Node) -> list[str]:
        """Those outputs of a node that outlive a run."""
        return [name for name in node.outputs if self.stored(name) is not None]

    def ingredients(
        self, node: Node, in_memory: Callable[[Node], Ingredients] | None = None
    ) -> Ingredients:
        """What a node makes its outputs of, as that is now.

        Args:
            node: The node.
            in_memory: What a node was made of whose output is in memory; by default, what it would
                be made of now.
        """
        made = Ingredients()
        bound, key = bound_to(node.func), (node.outputs or [node.name])[0]
        made.bound[key] = bound
        made.passed[key] = _passed(node)
        made.functions.extend(_functions(node.func))
        parameters = {name: self._parameter(name) for name in node.inputs if _is_parameter(name)}
        models = [value for value in parameters.values() if isinstance(value, Model)]
        tunings = [value for value in parameters.values() if isinstance(value, Tuning)]
        models += [
            each for tuning in tunings for model in models for each in tuning.files_of(model)
        ]
        for name, value in parameters.items():
            made.parameters[name.removeprefix("params:")] = as_json(value)
        for name in node.inputs:
            if name in parameters:
                continue
            if (dataset := self.stored(name)) is not None:
                made.inputs.update(self._input(name, dataset, bound, models))
            elif (maker := self.makers.get(name)) is not None:
                made.add((in_memory or self.ingredients)(maker))
        return made

    def content(self, name: str) -> str | None:
        """The fingerprint of a value that is stored; None where its kind has none."""
        dataset = self.stored(name)
        return None if dataset is None else _content(dataset, self.cache)

    def entry(self, name: str) -> Facts:
        """What the catalog says of how a value is stored."""
        dataset = self.stored(name)
        return {} if dataset is None else _entry(dataset, self.cache)

    def code(self, made: Ingredients) -> dict[str, str]:
        """The modules that are reached from these functions, and the hash of each."""
        modules = {function.partition(":")[0] for function in made.functions}
        return self._code.reached_from({*modules, *self._custom_imports})

    @functools.cached_property
    def versions(self) -> dict[str, str]:
        """Of the libraries, and of what is installed of `custom_imports`, by name."""
        return library_versions(self._custom_imports)

    @property
    def _custom_imports(self) -> list[str]:
        custom: Any = []
        if "params:custom_imports" in self.catalog:
            custom = self._parameter("params:custom_imports") or []
        return [str(name) for name in (custom if isinstance(custom, list) else [custom])]

    def parameter(self, name: str) -> Any:
        """The value of a parameter, without ``params:``."""
        return self._parameter(name if name == "parameters" else f"params:{name}")

    def _parameter(self, name: str) -> Any:
        dataset = self.catalog.get(name)
        return None if dataset is None else dataset.load()

    def _input(
        self, name: str, dataset: AbstractDataset[Any, Any], bound: Any, models: list[Model]
    ) -> dict[str, Facts]:
        if isinstance(dataset, RecipesDataset):
            recipes = Recipes(dataset.filepath)
            found: dict[str, Facts] = {}
            for each in models:
                other = "" if each.backend == models[0].backend else f"{each.backend}/"
                found[f"recipe {other}{each.recipe}"] = self._recipe(recipes, each)
                found |= self._weights(recipes, each)
            return found
        if isinstance(dataset, ExternalMembersDataset):
            return {name: self._members(dataset, bound)}
        content = _content(dataset, self.cache)
        if content is None:
            return {}
        entry = _entry(dataset, self.cache)
        return {name: {"content": content, "entry": entry, "file": where(name, dataset)}}

    def _recipe(self, recipes: Recipes, model: Model) -> Facts:
        try:
            recipe = recipes.find(model.backend, model.recipe)
        except BackendError:
            return {"content": "not there", "entry": {}, "file": model.recipe}
        read = {
            os.path.relpath(path, recipe.parent): self.cache.of(path, "recipe", recipe_hash)
            for path in with_bases(recipe)
            if path.exists()
        }
        return {"content": hash_of(read), "entry": {}, "file": shown(recipe)}

    def _weights(self, recipes: Recipes, model: Model) -> dict[str, Facts]:
        """The files of weights that a training starts from, where they are of this machine."""
        named = [model.pretrained]
        if model.pretrained == "default":
            with suppress(BackendError):  # of a recipe that is not there
                for path in with_bases(recipes.find(model.backend, model.recipe)):
                    if path.exists():
                        named += self.cache.of(path, "weights", weights_named_in)
        found = {}
        for name in named:
            try:
                file = own_weights(name)
            except BackendError:  # of a package that is gone
                file = Path(name)
            if file is not None:
                content = fingerprint(file, self.cache)
                found[f"{WEIGHTS}{name}"] = {"content": content, "entry": {}, "file": shown(file)}
        return found

    def _members(self, dataset: ExternalMembersDataset, bound: Any) -> Facts:
        """Of the files of a folder those that a node reads, which is bound to a member's name."""
        folder, names = dataset.filepath, set(_texts(bound))
        out_of_fold = dataset.part == "out_of_fold"
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        files = [f for f in files if f.is_file() and not f.name.startswith(".")]
        own = [
            file
            for file in files
            if file.name.partition(".")[0] in names and (".oof." in file.name) == out_of_fold
        ]
        content = {file.name: self.cache.sha256(file) for file in own or files}
        where = shown(own[0] if len(own) == 1 else folder)
        return {"content": hash_of(content), "entry": _entry(dataset, self.cache), "file": where}


def as_json(value: Any, left_out: frozenset[str] = NOT_OF_RESULTS) -> Any:
    """A parameter as JSON: of a model in `models.yml` only what alters results."""
    if isinstance(value, BaseModel):
        dumped = value.model_dump(mode="json")
        return without(dumped, left_out) if isinstance(value, Model) else dumped
    return json.loads(json.dumps(value, default=str))


def without(values: Mapping[str, Any], left_out: frozenset[str]) -> Facts:
    """The values without those of some names."""
    return {name: value for name, value in values.items() if name not in left_out}


def as_now(before: Any, value: Any) -> Any:
    """A parameter of a record as it would be read now.

    A setting that was not there yet had no say: it is as its default.

    Args:
        before: What the record says.
        value: What the parameter is now.
    """
    if isinstance(value, BaseModel):
        try:
            return as_json(type(value).model_validate(before))
        except (ValidationError, ValueError, TypeError):
            return before
    return before


def bound_to(function: Any) -> Any:
    """What a function is bound to: the arguments of `functools.partial` and the values around it.

    Records become mappings; types, and what JSON cannot say, are left out: they are code.

    >>> def outer(fold):
    ...     return lambda table: table[fold]
    >>> bound_to(functools.partial(outer(2), table=[1]))
    {'of': {'fold': 2}, 'table': [1]}
    """
    function = inspect.unwrap(function) if callable(function) else function
    if isinstance(function, functools.partial):
        arguments = {str(i): value for i, value in enumerate(function.args)}
        of = bound_to(function.func)
        given = {**arguments, **function.keywords}
        return {**({"of": of} if of else {}), **_described(given)}
    if inspect.ismethod(function):
        return {"of": _described(function.__self__)}
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None)
    if code is None or not cells:
        return {}
    found = {}
    for name, cell in zip(code.co_freevars, cells, strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not filled yet
            continue
    return _described({name: value for name, value in found.items() if value is not function})


def _is_parameter(name: str) -> bool:
    return name.startswith("params:") or name == "parameters"


def _passed(node: Node) -> list[list[str]]:
    inputs = node._inputs
    if isinstance(inputs, dict):
        return [[argument, name] for argument, name in inputs.items()]
    return [[str(place), name] for place, name in enumerate(node.inputs)]


def _functions(function: Any) -> list[str]:
    """A node's function and those that it is bound to, as ``module:name``."""
    found, open_ = set(), [function]
    while open_:
        each = open_.pop()
        each = inspect.unwrap(each) if callable(each) else each
        if isinstance(each, functools.partial):
            open_ += [each.func, *filter(callable, (*each.args, *each.keywords.values()))]
            continue
        module = getattr(each, "__module__", None)
        name = f"{module}:{getattr(each, '__qualname__', type(each).__qualname__)}"
        if module is None or name in found:
            continue
        found.add(name)
        for cell in getattr(each, "__closure__", None) or ():
            try:
                if inspect.isfunction(cell.cell_contents):
                    open_.append(cell.cell_contents)
            except ValueError:
                continue
    return sorted(found)


def _described(value: Any) -> Any:
    """A value as JSON; None for what JSON cannot say."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Enum):
        return _described(value.value)
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, BaseModel):
        return as_json(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _described(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _described(each) for key, each in value.items() if _is_told(each)}
    if isinstance(value, list | tuple):
        return [_described(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted((_described(each) for each in value), key=str)
    if inspect.isfunction(value) or isinstance(value, functools.partial):
        return bound_to(value)
    return None


def _is_told(value: Any) -> bool:
    return not isinstance(value, type) and not inspect.ismodule(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _content(dataset: AbstractDataset[Any, Any], cache: ContentCache) -> str | None:
    if isinstance(dataset, AugmentedSetsDataset | RunFolderDataset | ImageCacheDataset):
        return None  # kept from run to run: what is in it alters no result
    if isinstance(dataset, ImageFolderDataset):
        return fingerprint_by_names(dataset.filepath)
    if isinstance(dataset, PathDataset):
        if dataset.url is not None:
            # Of a type that has one, what stands here for the folder there is what is read.
            stands_here = dataset.has_stand_in
            return fingerprint(dataset.filepath, cache) if stands_here else _at_url(dataset)
        return _at_path(dataset, cache)
    path = getattr(dataset, "_filepath", None)  # one of Kedro's own
    if path is None or not Path(str(path)).exists():
        return None
    return fingerprint(Path(str(path)), cache)


def _at_path(dataset: PathDataset[Any], cache: ContentCache) -> str:
    try:
        return fingerprint(Path(dataset._get_load_path()), cache)
    except VersionNotFoundError:
        return "not there"


def _at_url(dataset: PathDataset[Any]) -> str:
    """What the file system says of it: by its kind, an ETag, or a size and a time."""
    try:
        return f"as listed {dataset.checksum()}"
    except (FileNotFoundError, VersionNotFoundError):
        return "not there"
    except OSError as error:
        return f"unknown: {type(error).__name__}"


def _entry(dataset: AbstractDataset[Any, Any], cache: ContentCache) -> Facts:
    """What an entry says that alters what is loaded or saved, but for defaults.

    Files and folders that it names beside its own, such as YOLO's ``data.yaml``, count by content.
    """
    kind = type(dataset)
    paths = {
        name: value
        for name, value in vars(dataset).items()
        if isinstance(value, Path) and not name.startswith("_")
    }
    arguments = inspect.signature(kind.__init__).parameters
    config = dataset._init_config()
    # Kedro keeps what an inherited constructor takes under these names.
    config |= config.pop("kwargs", {})
    said = {
        name: as_json(value)
        for name, value in config.items()
        if name not in NOT_OF_ENTRIES
        and name not in paths
        and value is not None
        and not (name in arguments and arguments[name].default == value)
    }
    beside = {
        name: fingerprint_by_names(path) if name == "images" else fingerprint(path, cache)
        for name, path in paths.items()
    }
    # The name of a class of the project alone, as its module may move.
    own = kind.__module__.startswith(f"{PROJECT}.")
    return {
        "type": kind.__name__ if own else f"{kind.__module__}.{kind.__name__}",
        **said,
        **beside,
    }


def where(name: str, dataset: AbstractDataset[Any, Any]) -> str:
    """The file or folder of a dataset as a user would write it; else its name."""
    if isinstance(dataset, PathDataset):
        return dataset.url or shown(dataset.filepath)
    return str(getattr(dataset, "_filepath", None) or name)
