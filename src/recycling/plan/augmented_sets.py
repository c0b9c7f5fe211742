"""The section `augmented_sets` of the parameters: copies of the training images, made once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from recycling.augmented_sets import AugmentedSetSettings
from recycling.backends import Model
from recycling.plan.models import check_name
from recycling.plan.parameters import PlanError, faults, nearest

_FILE = "parameters_augmented_sets.yml"


def read_augmented_sets(
    parameters: Mapping[str, Any], models: Mapping[str, Model], where: str
) -> tuple[str, ...]:
    """Read the sets' names, and check that models learn from sets that there are.

    Args:
        parameters: With `augmented_sets`.
        models: By name.
        where: The file of the models, for messages.

    Raises:
        PlanError: A set is described wrongly, or a model's `data` names none.

    >>> flips = {"transforms": ["HorizontalFlip"], "factor": 2}
    >>> read_augmented_sets({"augmented_sets": {"flips": flips}}, {}, "models.yml")
    ('flips',)
    """
    raw = parameters.get("augmented_sets") or {}
    if not isinstance(raw, Mapping):
        raise PlanError(f"{_FILE}: augmented_sets should be a mapping from names to settings")
    for name, settings in raw.items():
        check_name("augmented_sets", name, _FILE)
        try:
            AugmentedSetSettings.model_validate(settings)
        except ValidationError as error:
            where_in_file = f"{_FILE}: augmented_sets.{name}"
            raise PlanError(faults(error, where_in_file, AugmentedSetSettings)) from error
    for name, model in models.items():
        if model.data is not None and model.data not in raw:
            raise PlanError(
                f"{where}: models.{name}.data: no augmented set {model.data!r}; "
                f"{nearest(model.data, raw)}; sets are described in {_FILE}"
            )
    return tuple(map(str, raw))


def dataset_of(name: str) -> str:
    """The dataset of an augmented set.

    >>> dataset_of("flips")
    'flips.augmented_set'
    """
    return f"{name}.augmented_set"
