"""What each rule of cleaning does, or would do if it were on, in one table."""

from __future__ import annotations

import json
from typing import NewType

import pandas as pd

from recycling.annotations.cleaning.core import Cleaning
from recycling.tables import Column, Schema, register_table

RuleReport = NewType("RuleReport", pd.DataFrame)
"""One row for each rule, subject and action; schema `RULE_REPORT`."""

RULE_REPORT = Schema(
    "rule report",
    (
        Column("rule", "string", "the rule, as the configuration calls it"),
        Column("enabled", "bool", "whether it was applied; if not, what follows would have been"),
        Column(
            "subject",
            "string",
            "what it acts on; missing where it does nothing",
            nullable=True,
            values=("image", "annotation", "category"),
        ),
        Column(
            "action",
            "string",
            "what it does to them; missing where it does nothing",
            nullable=True,
            values=("add", "change", "drop"),
        ),
        Column("rows", "int64", "how many of them", minimum=0),
        Column("examples", "string", "JSON: the ids of the first five"),
        Column("reason", "string", "why, of the first one", nullable=True),
    ),
)
register_table("rule_report", RULE_REPORT, RuleReport)

_EXAMPLES = 5


def rule_report(rules: Cleaning, audit: pd.DataFrame, would: pd.DataFrame) -> RuleReport:
    """Sum up what the rules do, and what those that are off would do.

    Args:
        rules: The rules and their settings.
        audit: What the enabled rules did; schema `recycling.annotations.AUDIT`.
        would: What each rule that is off would do at its place; the same schema.

    Returns:
        Every rule in the order of `rules`; schema `RULE_REPORT`. A rule that does nothing has one
        row of 0.
    """
    rows = []
    for rule in rules.order:
        enabled = getattr(rules, rule).enabled
        of_rule = (audit if enabled else would).query("rule == @rule")
        for (subject, action), part in of_rule.groupby(["subject", "action"], sort=False):
            examples = json.dumps(part["subject_id"].head(_EXAMPLES).tolist())
            rows.append(
                (rule, enabled, subject, action, len(part), examples, part["reason"].iloc[0])
            )
        if of_rule.empty:
            rows.append((rule, enabled, None, None, 0, "[]", None))
    table = pd.DataFrame(rows, columns=RULE_REPORT.names)
    return RuleReport(RULE_REPORT.conform(table, where="rule report"))
