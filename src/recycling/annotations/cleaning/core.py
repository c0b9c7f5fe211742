"""Clean annotations by rules from the configuration, with an audit row for every change."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pandas as pd

from recycling.annotations.cleaning import annotation_rules, category_rules, image_rules, mask_rules
from recycling.annotations.cleaning.audit import combined, placed
from recycling.annotations.cleaning.settings import Cleaning, Rule
from recycling.annotations.core import (
    ANNOTATIONS,
    CATEGORIES,
    IMAGES,
    AnnotationError,
    Annotations,
)

__all__ = ["Cleaning", "clean", "what_if"]

_log = logging.getLogger(__name__)


def clean(
    annotations: Annotations, checks: pd.DataFrame, rules: Cleaning
) -> tuple[Annotations, pd.DataFrame]:
    """Apply the enabled rules in their order.

    The audit replays: `replay` makes the clean annotations of the raw ones and `undo` the raw
    ones of the clean ones.

    Switching a rule on leaves the audit of every rule before it as it was. Of a rule after it, the
    rows stay the same for every subject that has nothing to do with what the new rule touched (what
    it has an audit row for, class indices apart):

    - A category has to do with categories only, and only `fix_categories` acts on them.
    - An image has to do with itself and the images that it is compared with: those of the same
      bytes, of its group, or that look like it, and those that these are compared with, and so on.
    - An annotation has to do with its image, as above, with all annotations of that image, and with
      the categories that these have or are given.

    The order of the images' and of the annotations' rows makes no difference to the audit, except
    to `position`, and to `remove_overlaps` and the rules after it: that order is the one in which
    annotations are painted.

    Args:
        annotations: What was read; it is not changed.
        checks: What `check_images` found; no rows where the images were not at hand.
        rules: The rules and their settings.

    Returns:
        The clean annotations, and the audit: schema `recycling.annotations.AUDIT`, rules in the
        order applied.

    Raises:
        AnnotationError: A rule names a category or an annotation that does not exist, or a
            segmentation that a rule looks at cannot be drawn.
    """
    audits = []
    cleaned = annotations
    for name in rules.order:
        settings = getattr(rules, name)
        if settings.enabled:
            cleaned, audit = _applied(name, settings, cleaned, checks, annotations)
            audits.append(audit)
    tidy = Annotations(
        images=IMAGES.conform(cleaned.images, where="clean images"),
        annotations=ANNOTATIONS.conform(cleaned.annotations, where="clean annotations"),
        categories=CATEGORIES.conform(cleaned.categories, where="clean categories"),
        extra=cleaned.extra,
    )
    return tidy, placed(combined(audits), annotations)


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


def _applied(
    name: str,
    settings: Rule,
    annotations: Annotations,
    checks: pd.DataFrame,
    raw: Annotations,
) -> tuple[Annotations, pd.DataFrame]:
    """One rule: its settings' fields are its function's arguments."""
    arguments: dict[str, Any] = {
        field: getattr(settings, field) for field in type(settings).model_fields
    }
    del arguments["enabled"]
    if name in _NEEDS_CHECKS:
        arguments["checks"] = checks
    if name == "relabel":
        arguments["known_ids"] = raw.annotations["annotation_id"]
    return _RULES[name](annotations, **arguments)


_RULES: dict[str, Callable[..., tuple[Annotations, pd.DataFrame]]] = {
    "fix_categories": category_rules.fix_categories,
    "relabel": category_rules.relabel,
    "drop_bad_images": image_rules.drop_bad_images,
    "drop_duplicate_images": image_rules.drop_duplicate_images,
    "drop_duplicate_annotations": annotation_rules.drop_duplicate_annotations,
    "drop_degenerate_boxes": annotation_rules.drop_degenerate_boxes,
    "clip_boxes": annotation_rules.clip_boxes,
    "recompute_from_mask": mask_rules.recompute_from_mask,
    "relabel_inside": mask_rules.relabel_inside,
    "remove_overlaps": mask_rules.remove_overlaps,
    "drop_area_range": annotation_rules.drop_area_range,
    "group_near_duplicates": image_rules.group_near_duplicates,
}
_NEEDS_CHECKS = {"drop_bad_images", "drop_duplicate_images", "group_near_duplicates"}
