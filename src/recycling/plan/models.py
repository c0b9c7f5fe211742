"""The section `models` of `models.yml`: which models there are, and that they can be trained."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

from pydantic import ValidationError

from recycling.backends import Model, how_to_install, is_installed
from recycling.plan.parameters import PlanError, faults, nearest
from recycling.plan.variants import START
from recycling.registry import Settings
from recycling.splitting import Splitting

logger = logging.getLogger(__name__)

RESERVED = ("external",)

AnySettings = TypeVar("AnySettings", bound=Settings)


def read_models(parameters: Mapping[str, Any], where: str) -> dict[str, Model]:
    """Read every model, also those whose library is missing.

    Args:
        parameters: With `models`, and `splitting`, which says what folds there will be.
        where: The file that they come from, for messages.

    Raises:
        PlanError: A model is described wrongly, starts from one that it cannot start from, or is
            to leave out a fold that there will not be.
    """
    raw = parameters.get("models") or {}
    if not isinstance(raw, Mapping):
        raise PlanError(f"{where}: models should be a mapping from names to settings")
    splitting = parameters.get("splitting")
    models = {
        str(name): _with_folds(str(name), _model(name, settings, where), splitting, where)
        for name, settings in raw.items()
    }
    for name, model in models.items():
        _check_start(name, models, where)
        _check_folds(name, model, splitting, where)
    return models


def usable_models(models: Mapping[str, Model], where: str) -> dict[str, Model]:
    """The models whose library is installed.

    Raises:
        PlanError: A library is missing that may not be, or a model starts from one that is left
            out.
    """
    usable = {name: model for name, model in models.items() if _is_usable(name, model, where)}
    for name, model in usable.items():
        if (start := start_of(model)) is not None and start not in usable:
            raise PlanError(
                f"{where}: models.{name}.pretrained names {start!r}, which is left out; "
                "install its backend or choose another start"
            )
    return usable


def start_of(model: Model) -> str | None:
    """The model that `pretrained` names, if it names one.

    >>> start_of(Model.model_construct(pretrained="model:yolox"))
    'yolox'
    """
    return model.pretrained.removeprefix(START) if model.pretrained.startswith(START) else None


def origins(name: str, models: Mapping[str, Model]) -> Iterator[str]:
    """A model, and those whose weights it starts from, one after the other."""
    found: str | None = name
    while found is not None:
        yield found
        found = start_of(models[found])


def starts_from_unknown(model: Model) -> bool:
    """Whether `pretrained` is a file, and nothing tells on which images it was trained.

    >>> starts_from_unknown(Model.model_construct(pretrained="weights.pth"))
    True
    """
    is_file = model.pretrained not in ("none", "default") and start_of(model) is None
    return is_file and not model.pretrained_elsewhere


def numbered(model: Model) -> list[int]:
    """The folds that a model holds out, without the training on all images.

    >>> numbered(Model.model_construct(folds=(0, 2, "all")))
    [0, 2]
    """
    return [fold for fold in model.folds if fold != "all"]


def check_name(section: str, name: Any, where: str) -> None:
    """Stop where a name cannot be part of a dataset's name.

    Raises:
        PlanError: It cannot.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", str(name)) or name in RESERVED:
        raise PlanError(
            f"{where}: {section}.{name}: not a name that can be given; use lower-case letters, "
            f"digits and '_', and none of {', '.join(RESERVED)}"
        )


def read_section(
    parameters: Mapping[str, Any], section: str, kind: type[AnySettings], where: str
) -> dict[str, AnySettings]:
    """Read a section that describes things by name.

    Args:
        parameters: With the section, if need be.
        section: What it is called.
        kind: What describes a thing.
        where: The file that the section comes from, for messages.

    Raises:
        PlanError: A thing cannot be called so, or is described wrongly.
    """
    given = parameters.get(section) or {}
    if not isinstance(given, Mapping):
        raise PlanError(f"{where}: {section} should be a mapping from names to settings")
    found = {}
    for name, described in given.items():
        check_name(section, name, where)
        try:
            found[str(name)] = kind.model_validate(described)
        except ValidationError as error:
            raise PlanError(faults(error, f"{where}: {section}.{name}", kind)) from error
    return found


def _model(name: Any, raw: Any, where: str) -> Model:
    check_name("models", name, where)
    if not isinstance(raw, Mapping):
        raise PlanError(f"{where}: models.{name} should be a mapping of settings")
    try:
        return Model.model_validate(raw)
    except ValidationError as error:
        raise PlanError(faults(error, f"{where}: models.{name}", Model)) from error


def _check_start(name: str, known: Mapping[str, Model], where: str) -> None:
    seen = [name]
    while (start := start_of(known[seen[-1]])) is not None:
        key = f"{where}: models.{seen[-1]}.pretrained"
        if start not in known:
            raise PlanError(f"{key} names {start!r}, which is no model; {nearest(start, known)}")
        if start in seen:
            raise PlanError(f"{key}: {' starts from '.join([*seen, start])}; break the circle")
        if not set(known[seen[-1]].folds) <= set(known[start].folds):
            raise PlanError(f"{key}: {start!r} is not trained on the same folds; add them to it")
        seen.append(start)


def _with_folds(name: str, model: Model, splitting: Any, where: str) -> Model:
    """The model, with every fold where it asks for nothing but a training on all images.

    Its folds say how long that training takes, and how good it is.
    """
    if model.folds != ("all",):
        return model
    settings = _splitting(splitting)
    if settings is None:
        raise PlanError(
            f"{where}: models.{name}.folds is 'all', and splitting does not say how many there "
            "are; name those that are held out as well: [0, all]"
        )
    return model.model_copy(update={"folds": (*settings.validation_folds, "all")})


def _splitting(given: Any) -> Splitting | None:
    """How folds are made; None where it is not said, or wrongly: the parameters are checked too."""
    try:
        return Splitting.model_validate(given) if isinstance(given, Mapping) else None
    except ValidationError:
        return None


def _check_folds(name: str, model: Model, splitting: Any, where: str) -> None:
    """Stop where a model is to leave out a fold that there will not be."""
    settings = _splitting(splitting)
    if settings is None:
        return
    last = settings.validation_folds[-1]
    if max(numbered(model), default=0) > last:
        there_are = f"folds go from 0 to {last}" if last else "only fold 0 is held out"
        raise PlanError(
            f"{where}: models.{name}.folds is {list(model.folds)}, but with splitting.method "
            f"{settings.method!r} {there_are}; leave out the others"
        )


def _is_usable(name: str, model: Model, where: str) -> bool:
    if is_installed(model.backend):
        return True
    if not model.skip_if_missing:
        raise PlanError(
            f"{where}: models.{name}: backend {model.backend!r} is not installed; "
            f"{how_to_install(model.backend)}, or set skip_if_missing: true"
        )
    _say_left_out(where, name, model.backend)
    return False


@cache
def _say_left_out(where: str, name: str, backend: str) -> None:
    """Once a process: a command may read the plan several times."""
    logger.warning(
        "%s: models.%s is left out: backend %r is not installed (%s)",
        where, name, backend, how_to_install(backend),
    )  # fmt: skip
