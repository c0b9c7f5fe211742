"""Checks that the types along the graph agree, before anything runs.

For every dataset: what its producer returns, what its catalog entry takes and loads, and what each
consumer takes must fit. Functions say so in their annotations, datasets in their base class
``AbstractDataset[saved, loaded]``, or in `value_type` where it depends on the entry.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NewType, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from kedro.io import AbstractDataset, DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node


class GraphTypeError(TypeError):
    """Two ends of a dataset do not fit: one line, the dataset, both ends, both types."""


@dataclass(frozen=True)
class End:
    """One end of a dataset: a node that makes or takes it, or its catalog entry.

    Attributes:
        who: The node's name, or "the catalog entry".
        type: The type at this end.
    """

    who: str
    type: Any


@dataclass(frozen=True)
class Edge:
    """What flows from one end to another.

    Attributes:
        dataset: The dataset's name.
        giver: Where the value comes from.
        taker: Where it goes.
    """

    dataset: str
    giver: End
    taker: End

    @property
    def fits(self) -> bool:
        """Whether what is given is what is taken."""
        return fits(self.giver.type, self.taker.type)

    def __str__(self) -> str:
        return (
            f"dataset {self.dataset!r}: {self.giver.who} gives {type_name(self.giver.type)}, "
            f"{self.taker.who} takes {type_name(self.taker.type)}"
        )


def check_types(pipeline: Pipeline, catalog: DataCatalog) -> list[Edge]:
    """Check every dataset of a pipeline.

    Args:
        pipeline: The nodes.
        catalog: Where their datasets are described; those that are not are kept in memory.

    Returns:
        Every edge of the graph, all of which fit.

    Raises:
        GraphTypeError: Some edges do not fit, or a node function lacks an annotation.
    """
    edges = list(_edges(pipeline, catalog))
    faults = [str(edge) for edge in edges if not edge.fits]
    if faults:
        raise GraphTypeError("; ".join(faults))
    return edges


def _edges(pipeline: Pipeline, catalog: DataCatalog) -> Iterator[Edge]:
    givers = {
        dataset: End(f"node {node.name!r}", output)
        for node in pipeline.nodes
        for dataset, output in output_types(node).items()
    }
    stored = {name: _stored_types(catalog, name) for name in sorted(pipeline.datasets()) if name}
    for name, giver in sorted(givers.items()):
        if (ends := stored[name]) is not None:
            yield Edge(name, giver, End("the catalog entry", ends[0]))
    for node in pipeline.nodes:
        for name, taken in input_types(node):
            taker = End(f"node {node.name!r}", taken)
            ends = stored[name]
            if ends is not None:
                yield Edge(name, End("the catalog entry", ends[1]), taker)
            if name in givers:
                yield Edge(name, givers[name], taker)


def input_types(node: Node) -> list[tuple[str, Any]]:
    """The datasets that a node takes, each with the type of the argument that it fills.

    Raises:
        GraphTypeError: An argument has no annotation.

    Example:
        >>> def add(first: int, **others: float) -> float:
        ...     return first + sum(others.values())
        >>> input_types(Node(add, {"first": "a", "second": "b"}, "total"))
        [('a', <class 'int'>), ('b', <class 'float'>)]
    """
    bound = (
        inspect.signature(node.func).bind(**node._inputs)
        if isinstance(node._inputs, dict)
        else inspect.signature(node.func).bind(*node.inputs)
    )
    hints = _hints(node)
    pairs: list[tuple[str, Any]] = []
    for argument, value in bound.arguments.items():
        kind = bound.signature.parameters[argument].kind
        if argument not in hints:
            raise GraphTypeError(
                f"node {node.name!r}: argument {argument!r} of {node.func.__name__} has no type; "
                "annotate it"
            )
        if kind is inspect.Parameter.VAR_KEYWORD:
            names = list(value.values())
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            names = list(value)
        else:
            names = [value]
        pairs += [(name, hints[argument]) for name in names]
    return pairs


def output_types(node: Node) -> dict[str, Any]:
    """The datasets that a node makes, each with its type.

    Raises:
        GraphTypeError: The function has no return annotation, or one for another number of outputs.

    Example:
        >>> def halves(text: str) -> tuple[str, int]:
        ...     return text, len(text)
        >>> output_types(Node(halves, "text", ["first", "length"]))
        {'first': <class 'str'>, 'length': <class 'int'>}
    """
    returned = _hints(node).get("return", inspect.Signature.empty)
    if returned is inspect.Signature.empty:
        raise GraphTypeError(
            f"node {node.name!r}: {node.func.__name__} has no return type; annotate it"
        )
    outputs = node.outputs
    if len(outputs) == 1:
        return {outputs[0]: returned}
    parts = get_args(returned) if get_origin(returned) is tuple else ()
    if len(parts) != len(outputs):
        raise GraphTypeError(
            f"node {node.name!r}: {node.func.__name__} returns {type_name(returned)}, "
            f"but has {len(outputs)} outputs; return a tuple of as many types"
        )
    return dict(zip(outputs, parts, strict=True))


def fits(given: Any, taken: Any) -> bool:
    """Whether a value of type `given` may go where `taken` is expected.

    Unions fit where each of their members does; the arguments of generics must be equal or `Any`.

    beartype's door is not asked: it raises where arrays with a dtype or a `TypedDict` flow, also
    inside another type, and thus would refuse `LabelMaps` for a mapping of anything.

    >>> fits(bool, int | None), fits(int | None, int)
    (True, False)
    """
    if Any in (given, taken) or isinstance(given, TypeVar) or isinstance(taken, TypeVar):
        return True
    if given == taken:
        return True
    if _is_union(given):
        return all(fits(member, taken) for member in get_args(given))
    if _is_union(taken):
        return any(fits(given, member) for member in get_args(taken))
    if isinstance(taken, NewType):
        return isinstance(given, NewType) and fits(given.__supertype__, taken)
    if isinstance(given, NewType):
        return fits(given.__supertype__, taken)
    if is_typeddict(taken):
        return False
    given_class, taken_class = get_origin(given) or given, get_origin(taken) or taken
    if not (inspect.isclass(given_class) and inspect.isclass(taken_class)):
        return False
    if not issubclass(given_class, taken_class):
        return False
    given_arguments, taken_arguments = get_args(given), get_args(taken)
    if given_class is not taken_class or not given_arguments or not taken_arguments:
        return True
    return len(given_arguments) == len(taken_arguments) and all(
        fits(g, t) for g, t in zip(given_arguments, taken_arguments, strict=True)
    )


def type_name(value: Any) -> str:
    """A type as it reads in a message.

    >>> type_name(int), type_name(list[int] | None)
    ('int', 'list[int] | None')
    """
    if isinstance(value, NewType) or (inspect.isclass(value) and not get_args(value)):
        return str(value.__name__)
    return str(value).replace("typing.", "")


def _hints(node: Node) -> dict[str, Any]:
    try:
        return get_type_hints(node.func)
    except NameError as error:
        raise GraphTypeError(
            f"node {node.name!r}: an annotation of {node.func.__name__} cannot be read: {error}"
        ) from error


def _is_union(value: Any) -> bool:
    return get_origin(value) in (Union, types.UnionType)


def _stored_types(catalog: DataCatalog, name: str) -> tuple[Any, Any] | None:
    """What a catalog entry takes and what it loads; None where the value stays in memory."""
    dataset = catalog.get(name)
    if dataset is None:
        return None
    if isinstance(dataset, MemoryDataset):
        if not name.startswith("params:") and name != "parameters":
            return None
        loaded = type(dataset.load())
        return loaded, loaded
    if (value_type := getattr(dataset, "value_type", None)) is not None:
        return value_type, value_type
    return _type_arguments(type(dataset))


def _type_arguments(dataset: type) -> tuple[Any, Any]:
    """The two types of ``AbstractDataset[saved, loaded]`` that a dataset class fills in."""
    bound: dict[Any, Any] = {}
    for cls in dataset.__mro__:  # a class comes before its bases
        for base in vars(cls).get("__orig_bases__", ()):
            origin = get_origin(base)
            if inspect.isclass(origin) and issubclass(origin, AbstractDataset):
                given = [bound.get(argument, argument) for argument in get_args(base)]
                parameters = vars(origin)["__parameters__"]
                bound.update(zip(parameters, given, strict=True))
    saved, loaded = vars(AbstractDataset)["__parameters__"]
    return bound.get(saved, Any), bound.get(loaded, Any)
