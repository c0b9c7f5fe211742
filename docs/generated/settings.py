"""The page of all settings, from the pydantic models that check them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic.fields import FieldInfo

from recycling.annotations import Cleaning
from recycling.annotations.cleaning.registry import RULES
from recycling.augmented_sets import AugmentedSetSettings
from recycling.backends import Model
from recycling.backends.losses import Loss
from recycling.diagnostics.label_errors.core import LabelErrorSettings
from recycling.ensembling import BoxFusion, ClassFusion, MaskFusion
from recycling.evaluation import BoxMetric, ClassMetric, MaskMetric
from recycling.experiments import Experiments, Tuning
from recycling.limits import Limits
from recycling.plan.crops import Crops
from recycling.plan.ensembles import Ensemble
from recycling.plan.studies import Study
from recycling.plan.variants import Variants
from recycling.predictions.submission import BoxFormat, ClassFormat, MaskFormat
from recycling.pseudo_labels import PseudoLabeling
from recycling.registry import Entry, PickedSettings, Settings
from recycling.runners import Cluster
from recycling.splitting import AdversarialValidation, Splitting
from recycling.tracking import Tracking

SECTIONS: dict[str, tuple[type[Settings], ...]] = {
    "models.NAME": (Model, Variants),
    "models.NAME.loss": (Loss,),
    "ensembles.NAME": (Ensemble,),
    "ensembling.cls": (ClassFusion,),
    "ensembling.det": (BoxFusion,),
    "ensembling.seg": (MaskFusion,),
    "cleaning.PART": (Cleaning,),
    "splitting": (Splitting,),
    "shift": (AdversarialValidation,),
    "augmented_sets.NAME": (AugmentedSetSettings,),
    "crops": (Crops,),
    "pseudo_labeling.ROUND": (PseudoLabeling,),
    "evaluation.cls": (ClassMetric,),
    "evaluation.det": (BoxMetric,),
    "evaluation.seg": (MaskMetric,),
    "submission.cls": (ClassFormat,),
    "submission.det": (BoxFormat,),
    "submission.seg": (MaskFormat,),
    "label_errors": (LabelErrorSettings,),
    "limits": (Limits,),
    "experiments": (Experiments,),
    "tracking": (Tracking,),
    "dask": (Cluster,),
    "studies.NAME": (Study,),
    "tuning.NAME": (Tuning,),
}
"""By the parameter that holds them, the models of its settings."""

OTHERS = {
    "custom_imports": "modules of your own to import, see [extending.md](extending.md)",
    "leaderboard": "scores that a leaderboard gave, by task, model and part (`public`, `private`): "
    "the report on the final ensemble compares them with ours",
}
"""Parameters that are plain values."""

INTRO = """# Settings

All that can be set, as the program itself checks it: a key that is not here is refused before
anything runs, and so is a value that does not fit. Names in capitals are yours to choose. Files are
in `conf/base`; those of an environment (`conf/mine`) go before them.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page to the site."""
    files.append(File.generated(config, "settings.md", content=settings_page()))
    return files


def settings_page() -> str:
    """The page, in Markdown: a heading for each parameter, a table for each model."""
    shown = {model for models in SECTIONS.values() for model in models}
    lines = [INTRO]
    for where, models in SECTIONS.items():
        lines += [f"## `{where}` {{ #{models[0].__name__} }}", ""]
        for model in models:
            lines += _described(model, where)
            for name, entry in _things(model).items():
                lines += [f"### `{name}` {{ #{where}.{name} }}", ""]
                lines += _described(entry.settings, where)
                lines += _nested(entry.settings, where, shown)
            lines += _nested(model, where, shown)
    lines += ["## Others", "", "| parameter | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in OTHERS.items()]
    return "\n".join(lines) + "\n"


def _nested(model: type[Settings], where: str, shown: set[type[Settings]]) -> list[str]:
    """The sections inside of a model's settings, and inside of theirs, each once."""
    lines = []
    for field in model.model_fields.values():
        for inner in _models(field.annotation):
            if inner not in shown:
                shown.add(inner)
                name = inner.__name__
                lines += [f"### {name} {{ #{name} }}", "", *_described(inner, where)]
                lines += _nested(inner, where, shown)
    return lines


def _described(model: type[Settings], where: str) -> list[str]:
    """What a model is for, and its table: of the things that can be picked, or of its settings."""
    lines = [_summary(model), ""]
    if things := _things(model):
        lines += ["| name | what it is |", "|---|---|"]
        rows = [(f"[`{name}`](#{where}.{name})", entry.summary) for name, entry in things.items()]
    else:
        rows = [(f"`{name}`", *cells) for name, cells in _settings(model).items()]
        if rows:
            lines += ["| setting | value | default | meaning |", "|---|---|---|---|"]
    return [*lines, *(f"| {' | '.join(map(_escaped, row))} |" for row in rows), ""]


def _settings(model: type[Settings]) -> dict[str, tuple[str, str, str]]:
    """What each setting may be, is by default, and means; without the name that picks a thing."""
    said = meanings(model)
    properties = model.model_json_schema().get("properties", {})
    return {
        name: (values(properties[name]), _default(field), said[name])
        for name, field in model.model_fields.items()
        if name != getattr(model, "key", None)
    }


def meanings(model: type[Settings]) -> dict[str, str]:
    """What each setting means: its description, or what the docstring says; "" where none does."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        for section in griffe.Docstring(inspect.cleandoc(base.__doc__ or "")).parse("google"):
            if section.kind is griffe.DocstringSectionKind.attributes:
                found |= {each.name: " ".join(each.description.split()) for each in section.value}
    return {
        name: field.description or found.get(name, "") for name, field in model.model_fields.items()
    }


def values(schema: Mapping[str, Any]) -> str:
    """What a setting may be, in words, from its JSON schema.

    >>> values({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "all"}, {"type": "null"}]})
    'whole number from 1, `all` or `null`'
    """
    *others, last = dict.fromkeys(_alternatives(schema))
    return f"{', '.join(others)} or {last}" if others else last


def _alternatives(schema: Mapping[str, Any]) -> Iterator[str]:
    kind = schema.get("type", "anything")
    if "anyOf" in schema:
        for each in schema["anyOf"]:
            yield from _alternatives(each)
    elif "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield f"[{name}](#{name})"
    elif "enum" in schema or "const" in schema:
        yield from (f"`{each}`" for each in schema.get("enum") or [schema["const"]])
    elif kind == "array":
        several = schema.get("prefixItems")  # each with a type of its own
        yield f"list of {_one({'anyOf': several} if several else schema.get('items', {}))}"
    elif kind == "object":
        inner = schema.get("additionalProperties", True)
        yield "mapping" if inner is True else f"mapping to {_one(inner)}"
    elif kind == "boolean":
        yield from ("`true`", "`false`")
    else:
        words = {"integer": "whole number", "string": "text", "null": "`null`"}
        yield " ".join([words.get(kind, kind), *_bounds(schema)])


def _one(schema: Mapping[str, Any]) -> str:
    """The values in brackets, where there are several kinds."""
    several = len(dict.fromkeys(_alternatives(schema))) > 1
    return f"({values(schema)})" if several else values(schema)


def _bounds(schema: Mapping[str, Any]) -> Iterator[str]:
    words = {
        "minimum": "from",
        "exclusiveMinimum": "above",
        "maximum": "to",
        "exclusiveMaximum": "below",
    }
    yield from (f"{word} {schema[key]:g}" for key, word in words.items() if key in schema)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "has to be set"
    default = field.get_default(call_default_factory=True)
    if isinstance(default, Settings):
        return "its own"
    return f"`{json.dumps(default, default=list)}`"


def _summary(model: type[Settings]) -> str:
    """The docstring, up to what it says of single settings."""
    text = inspect.cleandoc(model.__doc__ or "")
    return text.partition("\nAttributes:")[0].partition("\n>>>")[0].strip()


def _things(model: type[Settings]) -> Mapping[str, Entry[Any]]:
    """What can be picked by name where this model is asked for."""
    if model is Cleaning:
        return RULES
    if issubclass(model, PickedSettings) and PickedSettings in model.__bases__:
        return model.registry
    return {}


def _models(annotation: Any) -> Iterator[type[Settings]]:
    """The models that a type is made of."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        if issubclass(annotation, Settings):
            yield annotation
        return
    for argument in get_args(annotation):
        yield from _models(argument)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("<", "&lt;")
