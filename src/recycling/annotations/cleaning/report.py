"""What each rule of cleaning does, or would do if it were on, in one table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NewType, cast

import pandas as pd

from recycling.annotations.cleaning.audit import Subject, tables
from recycling.annotations.cleaning.core import Cleaning
from recycling.annotations.core import AnnotationError, Annotations
from recycling.annotations.masks import marks_no_area
from recycling.errors import listed
from recycling.names import composed, shown_name
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
_SHOWN = 3  # names of subjects in a line
DONE = {"add": "added", "change": "changed", "drop": "dropped"}
PLURALS = {"image": "images", "annotation": "annotations", "category": "categories"}


def change_lines(audit: pd.DataFrame, raw: Annotations) -> list[str]:
    """What cleaning did, a line a rule: how many of what, and the first of them by name.

    Args:
        audit: What `clean` gave; schema `recycling.annotations.AUDIT`.
        raw: What it was given.

    Returns:
        The lines, in the order of the audit; none where nothing was done.
    """
    totals = {subject: len(table) for subject, table in tables(raw).items()}
    file_names = dict(zip(raw.images["image_id"], raw.images["file_name"], strict=True))
    images_of = _images_of(audit, raw)
    lines = []
    for rule, of_rule in audit.groupby("rule", sort=False):
        parts = [
            f"{_counted(len(part), totals[subject], action)} {PLURALS[subject]} {DONE[action]} "
            f"({listed(_names(part, raw, file_names, images_of), _SHOWN)})"
            for (subject, action), part in _by_subject(of_rule)
        ]
        lines.append(f"{rule}: {', '.join(parts)}")
    crowds = raw.annotations["iscrowd"]
    if crowds.any() and 2 * crowds.sum() > len(crowds):
        lines.append(
            f"{crowds.sum()} of {len(crowds)} annotations are crowd regions (iscrowd), which are "
            "left out of training and evaluation and count as no objects"
        )
    flat = raw.annotations["segmentation"].map(marks_no_area, na_action="ignore").eq(True)
    if flat.any():
        names = [
            f"annotation {number} on {file_names[image_id]}"
            for number, image_id in raw.annotations.loc[flat, ["annotation_id", "image_id"]].values
        ]
        lines.append(
            f"{flat.sum()} annotations have an outline of fewer than three corners, which marks no "
            f"area; their boxes stand for their masks: {listed(names, _SHOWN)}"
        )
    if alike := list(_alike_categories(audit, raw)):
        lines.append(
            f"{len(alike)} categories differ from another only in case, blanks, '-' or '_', and "
            f"stay apart: {listed(alike, _SHOWN)}; if they are one, merge them in fix_categories "
            "(names)"
        )
    return lines


def _counted(n: int, total: int, action: str) -> str:
    return str(n) if action == "add" else f"{n} of {total}"  # what is added was among none


def _alike_categories(audit: pd.DataFrame, raw: Annotations) -> Iterator[str]:
    """Of the categories that cleaning kept, those that people may have meant as one."""
    acted = audit[audit["subject"] == "category"]
    gone = acted.loc[acted["action"] == "drop", "subject_id"]
    first: dict[str, str] = {}
    for name in raw.categories.loc[~raw.categories["category_id"].isin(gone), "name"]:
        known = first.setdefault(re.sub(r"[\s_-]+", "", composed(name)).casefold(), name)
        if known != name:
            yield f"{shown_name(name)} and {shown_name(known)}"


def check_something_is_left(cleaned: Annotations, audit: pd.DataFrame, raw: Annotations) -> None:
    """Stop where cleaning dropped every image, or all that is annotated on them.

    Args:
        cleaned: What `clean` gave.
        audit: What it gave beside.
        raw: What it was given.

    Raises:
        AnnotationError: Nothing is left of some; one line, with the rules and the first of them.
    """
    for subject, before, after in (
        ("image", raw.images, cleaned.images),
        ("annotation", raw.annotations, cleaned.annotations),
    ):
        if before.empty or len(after):
            continue
        dropped = audit[(audit["action"] == "drop") & (audit["subject"] == subject)]
        # Of crowds and names that are alike nothing is to be said here.
        no_crowds = raw.annotations.assign(iscrowd=False)
        plain = replace(raw, annotations=no_crowds, categories=raw.categories[:0])
        by_rule = change_lines(dropped, plain)
        raise AnnotationError(
            f"cleaning leaves none of the {len(before)} {subject}s: {'; '.join(by_rule)}; correct "
            "them, or change these rules"
        )


def _by_subject(
    audit: pd.DataFrame,
) -> Iterator[tuple[tuple[Subject, str], pd.DataFrame]]:
    for key, part in audit.groupby(["subject", "action"], sort=False):
        yield cast("tuple[Subject, str]", key), part


def _images_of(audit: pd.DataFrame, raw: Annotations) -> dict[int, int]:
    """The image of each annotation, also of those that a rule added."""
    table = raw.annotations
    images_of = dict(zip(table["annotation_id"].tolist(), table["image_id"].tolist(), strict=True))
    whole = audit["after"].fillna(audit["before"])  # the rows of what was added or dropped
    acted = (audit["subject"] == "annotation") & (audit["action"] != "change")
    acted &= ~audit["subject_id"].isin(list(images_of))
    for own, text in zip(audit["subject_id"][acted].tolist(), whole[acted], strict=True):
        images_of.setdefault(own, json.loads(text)["image_id"])
    return images_of


def _names(
    part: pd.DataFrame,
    raw: Annotations,
    file_names: Mapping[int, str],
    images_of: Mapping[int, int],
) -> Iterator[str]:
    """What a user knows each subject by; of the first, also why it was changed."""
    of_category = raw.categories.set_index("category_id")["name"]
    for number, (subject, own, reason) in enumerate(
        zip(part["subject"], part["subject_id"].tolist(), part["reason"], strict=True)
    ):
        if number >= _SHOWN:
            name = str(own)  # is only counted
        elif subject == "image":
            name = shown_name(file_names[own])
        elif subject == "category":
            name = shown_name(of_category[own]) if own in of_category.index else str(own)
        else:
            name = f"{own} on {shown_name(file_names[images_of[own]])}"
        yield name if number else f"{name}: {reason}"


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
