"""What a node asks of the machine that it runs on, said by its tags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from recycling.backends import Resources

_TAG = re.compile(r"(?:(gpu)-(\d+)|(memory)-(\d+(?:\.\d+)?[MGT]B))")


def asked_for(tags: Iterable[str]) -> dict[str, float]:
    """What Dask calls resources, by name: GPUs, and bytes of memory.

    Args:
        tags: Of a node; others than ``gpu-N`` and ``memory-SIZE`` say nothing.

    >>> asked_for({"gpu-1", "memory-8GB", "memory-lane"}) == {"gpu": 1, "memory": 8e9}
    True
    """
    found = (match for tag in tags if (match := _TAG.fullmatch(tag)))
    given = [[part for part in match.groups() if part] for match in found]
    return Resources.model_validate(dict(given)).amounts


def shown_resources(asked: Mapping[str, float]) -> str:
    """What is asked for, in words.

    >>> shown_resources({"gpu": 1, "memory": 8e9})
    'gpu: 1, memory: 8 GB'
    """
    words = {"gpu": lambda n: f"{n:g}", "memory": lambda n: f"{n / 1e9:g} GB"}
    return ", ".join(f"{name}: {words[name](much)}" for name, much in asked.items())
