"""Searches: which settings of which models are tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from recycling.backends import Model
from recycling.experiments import Tuning
from recycling.plan.parameters import PlanError, faults
from recycling.plan.studies import OF_THE_STUDY, changed, check_once, read_with_base
from recycling.plan.variants import START

_OTHER_DATA = {"train_on": "labeled", "data": None}
"""Settings by which a model learns from more than the labelled images, and what they are else."""


def read_tunings(parameters: Mapping[str, Any], where: str) -> dict[str, Tuning]:
    """Read the section `tuning`: which settings of which models are searched.

    Args:
        parameters: With `models` and, if need be, `tuning`.
        where: The file that they come from, for messages.

    Raises:
        PlanError: A search is described wrongly, or its base learns from more than a search gives.
    """
    found = read_with_base(parameters, "tuning", Tuning, where)
    for name, tuning in found.items():
        key = f"{where}: tuning.{name}"
        check_once(tuning.space, f"{key}.space")
        base = parameters["models"][tuning.base]
        if isinstance(base, Mapping):  # else it is refused where models are read
            _check_base(tuning, base, f"{key}.base")
            for setting in tuning.space:
                _check_setting(setting, tuning, base, f"{key}.space")
    return found


def _check_base(tuning: Tuning, base: Mapping[str, Any], key: str) -> None:
    """Stop where the trainings of a search would not be like those of the base."""
    for setting, alone in _OTHER_DATA.items():
        if base.get(setting, alone) != alone:
            raise PlanError(
                f"{key}: {tuning.base} has {setting}: {base[setting]}, and a search learns from "
                "the labelled images alone; name a model without it"
            )
    if _is_model(weights := base.get("pretrained")):
        raise PlanError(
            f"{key}: {tuning.base} starts from another model ({weights}), which a search does not; "
            "name a model with weights of its own"
        )


def _is_model(pretrained: Any) -> bool:
    """Whether a value of `pretrained` is another model."""
    return isinstance(pretrained, str) and pretrained.startswith(START)


def _check_setting(setting: str, tuning: Tuning, base: Mapping[str, Any], key: str) -> None:
    """Stop where a setting is not to be searched, or there is none of that name."""
    if setting.partition(".")[0] in (*OF_THE_STUDY, *_OTHER_DATA, "variant_of"):
        raise PlanError(
            f"{key}: {setting} is set for the whole search, or takes other data; leave it out"
        )
    values = tuning.space[setting]
    models = filter(_is_model, values if isinstance(values, list) else [])
    if setting == "pretrained" and (model := next(models, None)):
        raise PlanError(f"{key}: {model} is another model, which a search does not train")
    first = values[0] if isinstance(values, list) else values.written(values.low)
    try:
        Model.model_validate(changed(base, {setting: first}))
    except ValidationError as error:
        # Whether values fit shows with the others of their trial; names do not change.
        if any(fault["type"] == "extra_forbidden" for fault in error.errors()):
            raise PlanError(faults(error, key, Model)) from error
