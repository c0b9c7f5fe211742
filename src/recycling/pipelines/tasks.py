"""What differs from task to task in the node functions that all tasks share: their types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar, get_type_hints

import pandas as pd

from recycling.annotations import Annotations, StoredAnnotations
from recycling.backends.shared.model import Task
from recycling.evaluation import BoxMetric, ClassMetric, MaskMetric
from recycling.given_names import with_given_names
from recycling.predictions import (
    BoxFormat,
    ClassFormat,
    ClassProbabilities,
    Detections,
    LabelMaps,
    MaskFormat,
)
from recycling.registry import PickedSettings
from recycling.stored_tables import bounds_of

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")

PREDICTIONS: dict[Task, Any] = {"cls": ClassProbabilities, "det": Detections, "seg": LabelMaps}
METRIC: dict[Task, type[PickedSettings]] = {
    "cls": ClassMetric,
    "det": BoxMetric,
    "seg": MaskMetric,
}
FORMAT: dict[Task, type[PickedSettings]] = {
    "cls": ClassFormat,
    "det": BoxFormat,
    "seg": MaskFormat,
}


def with_types(
    function: Callable[Arguments, Returned], **types: Any
) -> Callable[Arguments, Returned]:
    """The same function with other annotations.

    The types along the graph are checked by annotations, and a parameter is validated as what its
    annotation says.

    Args:
        function: A node function.
        types: The type of an argument by its name, and of what is returned as `returns`.

    Example:
        >>> def count(predictions: object) -> int:
        ...     return len(predictions)
        >>> get_type_hints(with_types(count, predictions=list))
        {'predictions': <class 'list'>, 'return': <class 'int'>}
    """

    @wraps(function)
    def typed(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Returned:
        return function(*args, **kwargs)

    if "returns" in types:
        types["return"] = types.pop("returns")
    typed.__annotations__ = get_type_hints(function) | types
    # Kedro looks for the argument of an input in the wrapper's own signature.
    vars(typed)["__signature__"] = signature(function)
    return typed


def is_labelled(annotations: Annotations | StoredAnnotations) -> bool:
    """Whether there is an object that a person labelled: what models made is no truth."""
    if isinstance(annotations, StoredAnnotations):
        bounds = bounds_of([annotations.objects])
        return any(map(is_labelled, annotations.parts(bounds)))
    rows = annotations.annotations
    return bool((~rows["iscrowd"] & (rows["source"] == "human")).any())


def predicted_rows(task: Task, annotations: Annotations) -> pd.DataFrame:
    """What is predicted: images, or for classes the crops, which are annotations of one object.

    Crops have the name that was given to their image beside the columns of annotations.
    """
    if task != "cls":
        return annotations.images
    crops = annotations.annotations[~annotations.annotations["iscrowd"]].reset_index(drop=True)
    names = with_given_names(annotations.images).set_index("image_id")["file_name"]
    # Its categories are the names of all images, also of those without a crop.
    all_names = pd.CategoricalDtype(names.drop_duplicates().tolist())
    return crops.assign(file_name=crops["image_id"].map(names).astype(all_names))


def named(template: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those arguments that a template has made, by what it was given.

    >>> named("page of {}", {"page of final": 1, "final": 2})
    {'final': 1}
    """
    before, _, after = template.partition("{}")
    return {
        name.removeprefix(before).removesuffix(after): value
        for name, value in values.items()
        if name.startswith(before) and name.endswith(after)
    }
