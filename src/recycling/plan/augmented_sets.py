"""The section `augmented_sets` of the parameters: copies of the training images, made once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recycling.augmented_sets import AugmentedSetSettings
from recycling.backends import Model
from recycling.plan.models import read_section
from recycling.plan.parameters import PlanError, nearest

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
    sets = read_section(parameters, "augmented_sets", AugmentedSetSettings, _FILE)
    for name, model in models.items():
        if model.data is not None and model.data not in sets:
            raise PlanError(
                f"{where}: models.{name}.data: no augmented set {model.data!r}; "
                f"{nearest(model.data, sets)}; sets are described in {_FILE}"
            )
    return tuple(sets)


def dataset_of(name: str) -> str:
    """The dataset of an augmented set.

    >>> dataset_of("flips")
    'flips.augmented_set'
    """
    return f"{name}.augmented_set"
