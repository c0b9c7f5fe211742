"""The mappings of a config, wherever they are in it."""

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
