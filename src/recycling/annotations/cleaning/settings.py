"""The rules of cleaning as the configuration writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, create_model, model_validator

from recycling.annotations.cleaning.registry import RULES, RuleSettings, default_order
from recycling.registry import Settings

RuleName = Annotated[str, AfterValidator(lambda name: RULES[name].name)]


class Cleaning(Settings):
    """The settings of each rule, under the rule's name, and the order in which they are applied.

    The registry is read whenever settings are validated: a rule is known once its file is
    imported.

    Attributes:
        order: The names of all rules.
    """

    model_config = ConfigDict(extra="allow")  # a field for each rule
    __pydantic_extra__: dict[str, RuleSettings]

    order: tuple[RuleName, ...] = Field(default_factory=default_order)

    @model_validator(mode="before")
    @classmethod
    def _settings_of_each_rule(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        given = {name: settings for name, settings in value.items() if name != "order"}
        # Looking up a name that is no rule's raises, and says which ones there are.
        models = {name: RULES[name].settings for name in [*RULES, *given]}
        fields: dict[str, Any] = {name: (model, model()) for name, model in models.items()}
        rules = create_model(cls.__name__, **fields).model_validate(given)
        return {**value, **dict(rules)}

    @model_validator(mode="after")
    def _order_holds_each_rule_once(self) -> Cleaning:
        missing = [name for name in default_order() if name not in self.order]
        twice = [name for name, times in Counter(self.order).items() if times > 1]
        if missing or twice:
            what = f"lacks {missing[0]!r}" if missing else f"has {twice[0]!r} twice"
            raise ValueError(
                f"order {what}; list each rule once (switch one off with enabled: false)"
            )
        return self
