"""Studies: one base model, and the single changes to try on it, over seeds and folds.

An arm of a study (the base, or the base with one change) is a model for each seed, trained as every
other. One that is in `models.yml` already, or in another study, is not trained twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import combinations, product
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError

from recycling.backends import Model
from recycling.experiments import Tuning
from recycling.plan.models import read_section
from recycling.plan.parameters import PlanError, faults, nearest
from recycling.registry import Settings

BASE = "base"
JOINED = "_and_"
"""Between the names of two changes that are made together."""

OF_THE_STUDY = ("seed", "seeds", "folds", "image_sizes", "snapshots", "control", "study")
"""Settings that a change may not touch: the study sets them, or they stand for several models."""

SAME_TRAINING = ("folds", "control", "study", "variant_of", "skip_if_missing", "resources")
"""Settings by which two entries may differ and be the same training of a fold."""

ChangeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Study(Settings):
    """What a study compares.

    Attributes:
        base: A model of `models.yml`.
        changes: By name, the settings that it alters; one inside of a section by its name with a
            dot: `optimizer.learning_rate`.
        seeds: One training of each arm for each. One alone gives intervals and no verdict.
        folds: Which folds are held out, one training of each arm for each.
        interactions: Pairs of changes that are also made together: does the one do the same with
            the other as without?
    """

    base: str
    changes: dict[ChangeName, dict[str, Any]] = Field(default_factory=dict)
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    folds: tuple[int, ...] = Field(default=(0,), min_length=1)
    interactions: tuple[tuple[str, str], ...] = ()


WithBase = TypeVar("WithBase", Study, Tuning)


@dataclass(frozen=True)
class _Arm:
    """One arm and seed: what the model is called, and its entry."""

    name: str
    seed: int
    model: str
    entry: dict[str, Any]


def read_studies(parameters: Mapping[str, Any], where: str) -> dict[str, Study]:
    """Read the section `studies`.

    Args:
        parameters: With `models` and, if need be, `studies`.
        where: The file that studies come from, for messages.

    Raises:
        PlanError: A study is described wrongly.

    Example:
        >>> models = {"yolox": {"task": "det"}}
        >>> studies = {"losses": {"base": "yolox", "changes": {"focal": {"loss": "focal"}}}}
        >>> read_studies({"models": models, "studies": studies}, "studies.yml")["losses"].seeds
        (0, 1, 2)
    """
    found = read_with_base(parameters, "studies", Study, where)
    for name, study in found.items():
        _check(study, f"{where}: studies.{name}")
    return found


def read_with_base(
    parameters: Mapping[str, Any], section: str, kind: type[WithBase], where: str
) -> dict[str, WithBase]:
    """Read a section of things that each have a model as their base."""
    found = read_section(parameters, section, kind, where)
    models = parameters.get("models") or {}
    for name, described in found.items():
        if described.base not in models:
            raise PlanError(
                f"{where}: {section}.{name}.base: {described.base!r} is no model; "
                f"{nearest(described.base, models)}"
            )
    return found


def _check(study: Study, key: str) -> None:
    for name, change in study.changes.items():
        if not change:
            raise PlanError(f"{key}.changes.{name} changes nothing; say which setting, and to what")
        for setting in change:
            if setting.partition(".")[0] in OF_THE_STUDY:
                raise PlanError(
                    f"{key}.changes.{name}: {setting} is set for the whole study, or stands for "
                    "several models; leave it out"
                )
        check_once(change, f"{key}.changes.{name}")
        if name == BASE:
            raise PlanError(f"{key}.changes.{name}: the base is called so; choose another name")
    for first, second in study.interactions:
        for name in (first, second):
            if name not in study.changes:
                raise PlanError(
                    f"{key}.interactions: no change {name!r}; {nearest(name, study.changes)}"
                )
        if both := _set_twice(product(study.changes[first], study.changes[second])):
            raise PlanError(
                f"{key}.interactions: {first} and {second} both set {both}; they cannot be "
                "made together"
            )


def check_once(settings: Iterable[str], key: str) -> None:
    """Stop where one setting of a change, or of a space, would undo another."""
    if both := _set_twice(combinations(settings, 2)):
        raise PlanError(f"{key} sets {both} twice, whole and in part; write it once")


def _set_twice(pairs: Iterable[tuple[str, str]]) -> str | None:
    """What two settings both set: they are one, or one is a section that the other is in.

    >>> _set_twice([("epochs", "optimizer"), ("optimizer.momentum", "optimizer")])
    'optimizer'
    """
    for one, other in pairs:
        short, long = sorted((one, other), key=len)
        if f"{long}.".startswith(f"{short}."):
            return short
    return None


def changes_of(study: Study) -> dict[str, dict[str, Any]]:
    """The changes of each arm but the base by its name, with those that are made together."""
    joined = {
        f"{first}{JOINED}{second}": study.changes[first] | study.changes[second]
        for first, second in study.interactions
    }
    return {**study.changes, **joined}


def with_studies(
    models: Mapping[str, Any], studies: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """The models, and those of the arms of studies that none of them is.

    Args:
        models: The section `models`, each model by itself.
        studies: The section `studies`.
        where: The file that studies come from, for messages.

    Raises:
        PlanError: A study is described wrongly, or an arm is called as a model is.

    Example:
        >>> models = {"yolox": {"seed": 0}}
        >>> studies = {"s": {"base": "yolox", "changes": {"long": {"epochs": 9}}, "seeds": [0, 1]}}
        >>> list(with_studies(models, studies, "studies.yml"))
        ['yolox', 's_base_seed1', 's_long_seed0', 's_long_seed1']
    """
    found = dict(models)
    for name, study in read_studies({"models": models, "studies": studies}, where).items():
        for arm in _arms(name, study, models):
            if _same(arm, found) is None:
                if arm.model in found:
                    raise PlanError(
                        f"{where}: studies.{name}: there is a model {arm.model!r} already; rename "
                        "the study"
                    )
                _check_change(arm, study, models, f"{where}: studies.{name}.changes.{arm.name}")
                found[arm.model] = arm.entry
    return found


def models_of_arms(
    name: str, study: Study, models: Mapping[str, Any]
) -> dict[str, tuple[str, ...]]:
    """For each arm of a study the model of each seed.

    Args:
        name: Of the study.
        study: What it compares.
        models: The section `models`, with the arms that `with_studies` has added.
    """
    found: dict[str, list[str]] = {}
    for arm in _arms(name, study, models):
        model = _same(arm, models)
        assert model is not None
        found.setdefault(arm.name, []).append(model)
    return {arm: tuple(own) for arm, own in found.items()}


def _check_change(arm: _Arm, study: Study, models: Mapping[str, Any], key: str) -> None:
    """Stop where a change makes an entry wrong that was right without it."""
    try:
        Model.model_validate(arm.entry)
    except ValidationError as error:
        try:
            Model.model_validate(models[study.base])
        except ValidationError:
            return  # which is refused where models are read
        raise PlanError(faults(error, key, Model)) from error


def _arms(name: str, study: Study, models: Mapping[str, Any]) -> Iterator[_Arm]:
    base = models[study.base]
    if not isinstance(base, Mapping):
        return  # which is refused where models are read
    # An arm on a variant is no further seed of what that is a variant of.
    left_out = ("variant_of", *OF_THE_STUDY)
    rest = {key: value for key, value in base.items() if key not in left_out}
    for arm, change in {BASE: {}, **changes_of(study)}.items():
        entry = changed(rest, change)
        if any(entry.get(key) != rest.get(key) for key in ("train_on", "data")):
            entry.setdefault("images_an_epoch", "labeled")  # else it would also take more steps
        for seed in study.seeds:
            own = {**entry, "seed": seed, "folds": list(study.folds), "study": name}
            yield _Arm(arm, seed, f"{name}_{arm}_seed{seed}", own)


def changed(entry: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """An entry with some settings altered; dots lead into sections.

    >>> changed({"optimizer": {"name": "SGD"}}, {"optimizer.momentum": 0.5, "epochs": 3})
    {'optimizer': {'name': 'SGD', 'momentum': 0.5}, 'epochs': 3}
    """
    found = deepcopy(dict(entry))
    for key, value in change.items():
        *sections, last = key.split(".")
        inside = found
        for section in sections:
            inside[section] = dict(inside.get(section) or {})
            inside = inside[section]
        inside[last] = value
    return found


def n_settings(change: Mapping[str, Any], base: Any) -> int:
    """How many settings a change alters; of a section those in it that differ from the base's.

    >>> base = {"optimizer": {"name": "SGD", "momentum": 0.9}, "loss": "focal"}
    >>> n_settings({"optimizer": {"name": "AdamW"}, "loss": "dice"}, base)
    3
    """
    found = 0
    for key, after in change.items():
        before = base
        for part in key.split("."):
            before = before.get(part) if isinstance(before, Mapping) else None
        if isinstance(after, Mapping) and isinstance(before, Mapping):
            found += sum(after.get(name) != before.get(name) for name in {*after, *before})
        else:
            found += len(after) if isinstance(after, Mapping) else 1
    return found


def _same(arm: _Arm, models: Mapping[str, Any]) -> str | None:
    """The model that is trained as the arm is, on its folds and perhaps on others."""
    for name, entry in models.items():
        if isinstance(entry, Mapping) and _training(entry) == _training(arm.entry):
            folds = entry.get("folds", Model.model_fields["folds"].default)
            # `all` alone is every fold, and a training on all images besides.
            if folds in ("all", ["all"]) or (
                isinstance(folds, list | tuple) and set(arm.entry["folds"]) <= set(folds)
            ):
                return str(name)
    return None


def _training(entry: Mapping[str, Any]) -> str:
    told = {"seed": 0, **{key: entry[key] for key in entry if key not in SAME_TRAINING}}
    return json.dumps(told, sort_keys=True, default=str)
