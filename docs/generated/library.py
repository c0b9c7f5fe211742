"""A page for each package of the library, from its docstrings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from inspect import isclass, isfunction
from types import ModuleType

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from recycling.registry import Registry
from recycling.tables import Schema

PACKAGES = (
    "annotations",
    "splitting",
    "predictions",
    "ensembling",
    "evaluation",
    "diagnostics",
    "pseudo_labels",
    "augmented_sets",
    "backends",
    "inference",
    "experiments",
    "tracking",
    "reporting",
)
"""The packages that work without Kedro."""

_DOCTEST = re.compile(r"^( *)>>> .*(?:\n\1(?=\S).*|\n\1 +\S.*)*", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to the site."""
    for package in PACKAGES:
        page = File.generated(config, f"library/{package}.md", content=package_page(package))
        files.append(page)
    return files


def package_page(package: str) -> str:
    """The page of a package, in Markdown: functions and classes, then tables and registries."""
    module = import_module(f"recycling.{package}")
    things = {name: getattr(module, name) for name in module.__all__}
    lines = [f"# {module.__name__}", "", *_docstrings(module, things)]
    for name, thing in things.items():
        heading = f"## `{name}` {{ #{module.__name__}.{name} }}"
        match thing:
            case Schema():
                lines += [heading, "", *_columns(thing), ""]
            case Registry():
                lines += [heading, "", *_entries(thing), ""]
    return "\n".join(lines)


def _docstrings(module: ModuleType, things: Mapping[str, object]) -> Iterator[str]:
    """What mkdocstrings shows: functions, then classes, then what else has a docstring."""
    shown = [name for name, thing in things.items() if not isinstance(thing, Schema | Registry)]
    shown.sort(key=lambda name: (not isfunction(things[name]), not isclass(things[name])))
    places = {name: f"{module.__name__}.{name}" for name in shown}
    # A function that is called as the module that it is in would be taken for that module.
    behind = {
        name: f"{thing.__module__}.{name}"
        for name, thing in things.items()
        if isfunction(thing) and f"{thing.__module__}.".startswith(f"{places[name]}.")
    }
    yield f"::: {module.__name__}\n    options:"
    yield f"      members: [{', '.join(name for name in shown if name not in behind)}]\n"
    for place in behind.values():
        yield f"::: {place}\n    options: {{show_root_heading: true, show_root_toc_entry: true}}\n"


def _columns(schema: Schema) -> Iterator[str]:
    yield f"The table of {schema.name}."
    yield from ("", "| column | type | what it is |", "|---|---|---|")
    for column in (*schema.columns, *schema.optional):
        may = " (may be missing)" if column in schema.optional else ""
        yield f"| `{column.name}` | {column.dtype} | {column.description}{may} |"


def _entries(registry: Registry[object]) -> Iterator[str]:
    yield from (f"Registry: {registry.kind}.", "", "| name | what it is |", "|---|---|")
    yield from (f"| `{name}` | {entry.summary} |" for name, entry in registry.items())


class Doctests(griffe.Extension):
    """Shows doctests as code, wherever they stand in a docstring."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Put fences around them."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(docstring: str) -> str:
    r"""Put fences around each paragraph that is a doctest.

    >>> fenced("Add.\n\n>>> 1 + 1\n2")
    'Add.\n\n```pycon\n>>> 1 + 1\n2\n```'
    """
    return _DOCTEST.sub(r"\1```pycon\n\g<0>\n\1```", docstring)
