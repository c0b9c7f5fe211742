"""Panels of the report on an ensemble, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import TypeAlias, TypeVar

from markupsafe import Markup

from recycling.registry import Registry, Settings

Content: TypeAlias = Callable[..., Sequence[Markup]]
"""Makes the pieces of a panel, from the top down; none where there is nothing to show."""

Function = TypeVar("Function", bound=Content)


@dataclass(frozen=True)
class Panel:
    """A part of the report.

    Attributes:
        heading: What stands over it; empty for no heading.
        order: Panels stand in this order, those of equal order in that of their registration.
        content: Makes its pieces. An argument is a value of the report by name; one that has a
            default may be missing.
    """

    heading: str
    order: int
    content: Content

    def pieces(self, values: Mapping[str, object]) -> list[Markup]:
        """The panel's pieces; none where a value that it needs is not there.

        Args:
            values: What is known, by name.
        """
        takes = signature(self.content).parameters
        needs = {name for name, each in takes.items() if each.default is Parameter.empty}
        if not needs <= values.keys():
            return []
        content = self.content(**{name: values[name] for name in takes if name in values})
        return [piece for piece in content if piece]


PANELS: Registry[Panel] = Registry("panel of the report")


def panel(heading: str, order: int) -> Callable[[Function], Function]:
    """A decorator that makes a function a panel of the report; the panel has its name.

    Args:
        heading: What stands over the panel; empty for no heading.
        order: Where it stands: after the panels of a lower number.
    """

    def add(function: Function) -> Function:
        PANELS.register(function.__name__, Settings)(Panel(heading, order, function))
        return function

    return add
