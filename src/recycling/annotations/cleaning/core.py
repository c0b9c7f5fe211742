"""Clean annotations by rules from the configuration, with an audit row for every change."""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd

import recycling.annotations.cleaning.rules  # noqa: F401  # so that they are in the registry
from recycling.annotations.cleaning.audit import combined, placed
from recycling.annotations.cleaning.registry import RULES, Cleaned, Needed, RuleSettings
from recycling.annotations.cleaning.settings import Cleaning
from recycling.annotations.core import AnnotationError, Annotations

__all__ = ["Cleaning", "clean", "what_if"]

TAKEN_NAMES = {
    "background": "what is no object",
    "nothing": "what is no object",
    "ignored": "what is not judged",
    "all": "all categories together",
    **{f"{size} objects": "objects of that size" for size in ("small", "medium", "large")},
}
"""What no category may be called, as tables of scores and errors have a row of that name."""

_log = logging.getLogger(__name__)


def clean(
    annotations: Annotations, checks: pd.DataFrame, rules: Cleaning
) -> tuple[Annotations, pd.DataFrame]:
    """Apply the enabled rules in their order.

    The raw annotations and the audit tell the clean ones, and the clean ones and the audit the raw
    ones, to the last value.

    Switching a rule on leaves the audit of every rule before it as it was. Of a rule after it, the
    rows stay the same for every subject that has nothing to do with what the new rule touched (what
    it has an audit row for, class indices apart):

    - A category has to do with categories only.
    - An image has to do with itself and the images that it is compared with: those of the same
      bytes, of its group, or that look like it, and those that these are compared with, and so on.
    - An annotation has to do with its image, as above, with all annotations of that image, and with
      the categories that these have or are given.

    The order of the images' and of the annotations' rows makes no difference to the audit, except
    to `position`; and to a rule that cuts overlapping masks and the rules after it, since
    annotations are painted in that order.

    Args:
        annotations: What was read; it is not changed.
        checks: What `check_images` found; no rows where the images were not at hand.
        rules: The rules and their settings.

    Returns:
        The clean annotations, and the audit: schema `recycling.annotations.AUDIT`, rules in the
        order applied.

    Raises:
        AnnotationError: A rule names a category or an annotation that does not exist, a
            segmentation that a rule looks at cannot be drawn, or a category that is left has no
            name, or one of `TAKEN_NAMES`.

    >>> from recycling.annotations import IMAGE_CHECKS, from_coco
    >>> image = {"id": 1, "file_name": "a.jpg", "width": 4, "height": 2}
    >>> flat = {"id": 5, "image_id": 1, "category_id": 0, "bbox": [0, 0, 2, 0]}
    >>> glass = {"id": 0, "name": "Glass"}
    >>> document = {"images": [image], "annotations": [flat], "categories": [glass]}
    >>> raw = from_coco(document, where="example")
    >>> cleaned, audit = clean(raw, IMAGE_CHECKS.empty(), Cleaning())
    >>> audit[["rule", "subject_id", "action", "reason"]]
                        rule  subject_id action                   reason
    0  drop_degenerate_boxes           5   drop  the box is 2 x 0 pixels
    """
    audits = []
    cleaned = annotations
    for name in rules.order:
        settings = getattr(rules, name)
        if settings.enabled:
            cleaned, audit = _applied(name, settings, cleaned, checks, annotations)
            audits.append(audit)
    _check_names(cleaned)
    return cleaned.conform("clean "), placed(combined(audits), annotations)


def what_if(annotations: Annotations, checks: pd.DataFrame, rules: Cleaning) -> pd.DataFrame:
    """What each rule that is off would do if it alone were switched on, at its place in the order.

    A rule that cannot be applied (it names a category that there is not, for example) has no rows,
    and a warning says why.

    Args:
        annotations: What was read; it is not changed.
        checks: What `check_images` found.
        rules: The rules and their settings.

    Returns:
        The audit rows of the rules that are off, as for `clean`. Where a change names new values
        only, the rest of the row is in the raw tables, under the same id or `position`.

    Raises:
        AnnotationError: A rule that is on fails, as in `clean`.
    """
    audits = []
    so_far = annotations
    for name in rules.order:
        settings = getattr(rules, name)
        if settings.enabled:
            so_far, _ = _applied(name, settings, so_far, checks, annotations)
            continue
        try:
            audits.append(_applied(name, settings, so_far, checks, annotations)[1])
        except AnnotationError as error:
            _log.warning("cleaning: the rule %s is off, and could not be on: %s", name, error)
    return placed(combined(audits), annotations)


def _check_names(cleaned: Annotations) -> None:
    names = cleaned.categories[["category_id", "name"]]
    for category_id, name in names.itertuples(index=False, name=None):
        if not name.strip():
            raise AnnotationError(
                f"category {category_id} has no name; name it in the file, or list the others "
                "under `categories` of the cleaning rule fix_categories, with `unmapped: drop`"
            )
        if name in TAKEN_NAMES:
            raise AnnotationError(
                f"category {name!r}: so is called {TAKEN_NAMES[name]}; give it another name in the "
                f"cleaning rules, fix_categories: {{names: {{{name}: Other}}}}, or list "
                "the others under `categories` there, with `unmapped: drop`"
            )


def _applied(
    name: str,
    settings: RuleSettings,
    annotations: Annotations,
    checks: pd.DataFrame,
    raw: Annotations,
) -> Cleaned:
    """Apply one rule: its settings' fields are its function's arguments."""
    rule = RULES[name].thing
    known: dict[Needed, Any] = {"checks": checks, "known_ids": raw.annotations["annotation_id"]}
    arguments = {field: getattr(settings, field) for field in type(settings).model_fields}
    del arguments["enabled"]
    return rule.apply(annotations, **arguments, **{need: known[need] for need in rule.needs})
