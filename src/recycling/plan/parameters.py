"""Parameters are checked before anything runs, and a fault names the file that it is in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from kedro.config import OmegaConfigLoader
from kedro.pipeline import Pipeline
from kedro.validation import TypeExtractor
from pydantic import BaseModel, ValidationError

from recycling.plan.records import TASKS


class PlanError(ValueError):
    """`models.yml` is not what it should be: one line, the file, the key, what to do."""


class ParameterError(ValueError):
    """A parameter is not what its model asks for: one line, the file, the key, what is wrong."""


SECTIONS = (
    "augmented_sets",
    "cleaning",
    "crops",
    "custom_imports",
    "dask",
    "ensembles",
    "ensembling",
    "evaluation",
    "experiments",
    "label_errors",
    "leaderboard",
    "limits",
    "models",
    "pseudo_labeling",
    "shift",
    "splitting",
    "studies",
    "submission",
    "tracking",
    "tuning",
)
"""The parameters that the project reads, whether or not a file sets them."""

_KEYS: dict[str, tuple[str, ...]] = {
    "cleaning": ("train", "pool", "test"),
    **dict.fromkeys(("ensembling", "evaluation", "leaderboard", "submission"), TASKS),
}
"""What the sections are divided by."""


def check_parameters(pipelines: Mapping[str, Pipeline], config: OmegaConfigLoader) -> None:
    """Check every parameter that a node takes as a pydantic model.

    Args:
        pipelines: The nodes.
        config: The configuration of the environment.

    Raises:
        ParameterError: Every fault, each with its file and key.
    """
    types = TypeExtractor(dict(pipelines)).extract_types_from_pipelines()
    parameters = config["parameters"]
    found = [
        f"{source_of(f'{section}.{key}', config)}: no parameter '{section}.{key}'; "
        f"{nearest(str(key), dict.fromkeys(known))}"
        for section, known in _KEYS.items()
        for key in parameters.get(section) or ()
        if key not in known
    ]
    for key, model in sorted(types.items()):
        value: Any = parameters
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is None:
            found.append(_missing(key, config))
        elif issubclass(model, BaseModel):
            try:
                model.model_validate(value)
            except ValidationError as error:
                where = source_of(_path_of(error, key), config)
                found.append(faults(error, f"{where}: {key}", model))
    if found:
        raise ParameterError("; ".join(found))


def source_of(key: str, config: OmegaConfigLoader) -> str:
    """Where a parameter was set: `--params`, or the file of the environment, or both.

    Args:
        key: With its sections, as in `splitting.n_splits`.
        config: The configuration of the environment.
    """
    given: Any = config.runtime_params or {}
    for part in key.split("."):
        if not isinstance(given, Mapping):
            break
        if part not in given:
            return shown(file_of(key, config))
        given = given[part]
    file = shown(file_of(key, config))
    return f"{file} with --params" if isinstance(given, Mapping) else "--params"


def _path_of(error: ValidationError, key: str) -> str:
    """The first value that is wrong, with its sections."""
    return ".".join([key, *(str(part) for part in error.errors()[0]["loc"])])


def _missing(key: str, config: OmegaConfigLoader) -> str:
    file = file_of(key, config)
    section, _, rest = key.partition(".")
    base = Path(config.conf_source) / str(config.base_env)
    if rest and file.is_file() and not file.is_relative_to(base):
        return (
            f"{shown(file)}: no parameter {key!r}; add it: {section!r} there replaces that of "
            f"{shown(base)} whole"
        )
    return f"{shown(file)}: no parameter {key!r}; add it to a parameters file"


def faults(error: ValidationError, where: str, model: type[BaseModel]) -> str:
    """What pydantic found, in one line.

    Args:
        error: What it raised.
        where: File and key of the value.
        model: What the value should have been, for the nearest name of a misspelt key.
    """
    messages: dict[str, list[str]] = {}
    for fault in error.errors():
        # Where several kinds of value are taken, pydantic's path says which of them it tried.
        path = [str(part) for part in fault["loc"] if "[" not in str(part)]
        hint = ""
        if fault["type"] == "extra_forbidden" and len(path) == 1:
            hint = f"; {nearest(path[-1], model.model_fields)}"
        # A check of ours says what it got.
        own = fault["type"] in ("missing", "value_error")
        got = "" if own else f" (got {fault['input']!r})"
        text = f"{fault['msg'].removeprefix('Value error, ')}{got}{hint}"
        messages.setdefault(".".join([where, *path]), []).append(text)
    return "; ".join(f"{key}: {', or: '.join(texts)}" for key, texts in messages.items())


def nearest(name: str, known: Mapping[str, Any]) -> str:
    """A suggestion for a name that is not known.

    >>> nearest("yolo", {"yolox": 1, "fcos": 2}), nearest("detr", {"yolox": 1, "fcos": 2})
    ("did you mean 'yolox'?", 'known: fcos, yolox')
    """
    if near := get_close_matches(name, known):
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(sorted(known)) or 'none'}"


def file_of(key: str, config: OmegaConfigLoader) -> Path:
    """The file of the active environment, or else of the base, that sets a parameter."""
    root = Path(config.conf_source)
    for env in (config.env or config.default_run_env, config.base_env):
        for file in _parameter_files(root, str(env)):
            if key.split(".")[0] in (yaml.safe_load(file.read_text("utf8")) or {}):
                return file
    return root / str(config.base_env)


def lines_of(config: OmegaConfigLoader) -> dict[str, str]:
    """Where each parameter, and each section around it, is set: file and line, or `--params`.

    Args:
        config: The configuration of the environment.

    Returns:
        By the parameter's name with its sections, as in `models.yolox.epochs`.
    """
    root = Path(config.conf_source)
    found: dict[str, str] = {}
    for env in (config.base_env, config.env or config.default_run_env):
        for file in _parameter_files(root, str(env)):
            lines = dict(_lines(yaml.compose(file.read_text("utf8"))))
            # A section of an environment replaces that of the base whole.
            sections = {key.partition(".")[0] for key in lines}
            found = {key: at for key, at in found.items() if key.partition(".")[0] not in sections}
            found |= {key: f"{shown(file)}:{line}" for key, line in lines.items()}
    return found | dict.fromkeys(_names(config.runtime_params or {}), "--params")


def _lines(node: yaml.Node | None, prefix: str = "") -> Iterator[tuple[str, int]]:
    """The line of each key; of what `<<` takes over, that where it is written."""
    if not isinstance(node, yaml.MappingNode):
        return
    merged = [value for key, value in node.value if key.value == "<<"]
    for value in merged:
        for other in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            yield from _lines(other, prefix)
    for key, value in node.value:
        if key.value != "<<":
            name = f"{prefix}{key.value}"
            yield name, key.start_mark.line + 1
            yield from _lines(value, f"{name}.")


def _names(parameters: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in parameters.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _names(value, f"{prefix}{key}.")


def _parameter_files(root: Path, env: str) -> list[Path]:
    patterns = ("parameters*.y*ml", "models*.y*ml")
    return sorted(file for pattern in patterns for file in root.glob(f"{env}/**/{pattern}"))


def shown(path: Path) -> str:
    """A path as a user would write it.

    >>> shown(Path.cwd() / "conf/base/models.yml")
    'conf/base/models.yml'
    """
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
