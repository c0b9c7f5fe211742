"""What a config holds, wherever it is in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def mappings_in(node: Any) -> Iterator[Any]:
    """A mapping and all mappings within it, however deep; the outer ones come first.

    Args:
        node: A mapping, a list or tuple, or a leaf.

    >>> [found["type"] for found in mappings_in({"type": "A", "heads": [{"type": "B"}]})]
    ['A', 'B']
    """
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for child in node:
            yield from mappings_in(child)


def kind_of(node: Any) -> str:
    """The class that a mapping names, without its module; for messages, too.

    >>> kind_of({"type": "recycling.networks.TimmBackbone"}), kind_of({})
    ('TimmBackbone', 'the network')
    """
    return str(node.get("type", "the network")).rpartition(".")[2]


def innermost(dataset: Any) -> Any:
    """The data set that others are wrapped around.

    >>> innermost({"type": "MultiImageMixDataset", "dataset": {"type": "BaseDetDataset"}})
    {'type': 'BaseDetDataset'}
    """
    while "dataset" in dataset:
        dataset = dataset["dataset"]
    return dataset
