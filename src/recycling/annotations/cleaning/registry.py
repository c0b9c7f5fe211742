"""The cleaning rules, by name.

A rule is one file in `rules/`: its settings, its function and a decorator of this module. The
configuration, the order in which rules are applied and the report read the registry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import pandas as pd
from pydantic import model_validator

from recycling.annotations.core import Annotations
from recycling.registry import Registry, Settings

Cleaned: TypeAlias = tuple[Annotations, pd.DataFrame]
"""The tables after a rule, and its audit; schema `recycling.annotations.AUDIT`."""

Needed: TypeAlias = Literal["checks", "known_ids"]
"""What a rule may need beside the tables: what `check_images` found, and the ids of all
annotations that were read, whether or not an earlier rule dropped them."""


@dataclass(frozen=True)
class Rule:
    """A rule of cleaning.

    Attributes:
        apply: The function. It takes the tables, what it `needs` and its settings by keyword.
        position: Rules of a lower position are applied earlier, unless the configuration says
            otherwise. Those of the project's rules are 5 or 10 apart.
        needs: What its function takes beside the tables and the settings.
    """

    apply: Callable[..., Cleaned]
    position: int
    needs: tuple[Needed, ...] = ()


RULES: Registry[Rule] = Registry("cleaning rule", Rule)

cleaning_rule = RULES.add
"""A decorator that makes a function a cleaning rule; it takes the facts of `Rule`."""


class RuleSettings(Settings):
    """What every rule can be told: whether it is applied.

    Attributes:
        enabled: Whether it is applied; else the report says what it would do.
    """

    enabled: bool = True

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_it_does_not_take(cls, value: Any) -> Any:
        for setting in value if isinstance(value, Mapping) else ():
            if setting not in cls.model_fields:
                raise ValueError(
                    f"the rule takes no {setting!r}; it takes {', '.join(cls.model_fields)}"
                )
        return value


def default_order() -> tuple[str, ...]:
    """The names of all rules, by position."""
    return tuple(sorted(RULES, key=lambda name: RULES[name].thing.position))
