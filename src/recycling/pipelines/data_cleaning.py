"""Raw annotations and images become clean annotations, with an audit row for each change."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import cast

from kedro.pipeline import Node, Pipeline, node

from recycling.annotations import (
    Annotations,
    Audit,
    Cleaning,
    ImageCache,
    ImageChecks,
    ImageFolder,
    RuleReport,
    change_lines,
    check_images,
    check_something_is_left,
    clean,
    rule_report,
    what_if,
)
from recycling.annotations.cleaning.corrections import Corrections, with_corrections
from recycling.annotations.dropped_images import with_dropped_images
from recycling.annotations.same_categories import with_categories_of
from recycling.limits import Limits
from recycling.reporting import cleaning_panel, data_page

logger = logging.getLogger(__name__)

PARTS = ("train", "pool", "test")

NO_CORRECTIONS = Corrections()

DEFAULT_LIMITS = Limits()


def create_pipeline(parts: tuple[str, ...] = PARTS) -> Pipeline:
    """One chain of nodes for each part of the data.

    Args:
        parts: `train`, and what models are to predict on: `test`, and a `pool` to label.
    """
    report = {part: f"{part}.cleaning_panel" for part in parts}
    report |= {f"{part} rules": f"{part}.cleaning_report" for part in parts}
    report |= {"train_annotations": "train.annotations", "train_checks": "train.image_checks"}
    return Pipeline(
        [
            *(n for part in parts for n in _clean_part(part)),
            node(
                write_report, report, "data_report", name="write_data_report", namespace="cleaning"
            ),
        ]
    )


def _clean_part(part: str) -> list[Node]:
    raw, checks, rules = f"{part}.raw_annotations", f"{part}.image_checks", f"cleaning.{part}"
    space = f"cleaning.{part}"
    return [
        node(
            check_image_files,
            [raw, f"{part}.images", "image_cache", "params:limits"],
            checks,
            name="check_image_files",
            namespace=space,
        ),
        node(
            clean_annotations if part == "train" else cleaner_as_train(part),
            # What is predicted on has the categories of what is learnt from.
            [
                raw,
                f"{part}.images",
                checks,
                f"params:{rules}",
                "train.corrections" if part == "train" else "train.annotations",
            ],
            [f"{part}.annotations", f"{part}.cleaning_audit"],
            name="clean_annotations",
            namespace=space,
        ),
        node(
            report_cleaning,
            [
                raw,
                f"{part}.images",
                checks,
                f"params:{rules}",
                f"{part}.cleaning_audit",
                *(["train.corrections"] if part == "train" else []),
            ],
            [f"{part}.cleaning_report", f"{part}.cleaning_panel"],
            name="report_cleaning",
            namespace=space,
        ),
    ]


def check_image_files(
    annotations: Annotations,
    folder: ImageFolder,
    cache: ImageCache,
    limits: Limits = DEFAULT_LIMITS,
) -> ImageChecks:
    """Open every image once: is it there, whole, of the size that the annotations say, unique?"""
    checks = check_images(
        annotations.images,
        folder,
        missing_folder="warn",
        max_pixels=limits.max_pixels,
        cache=cache,
    )
    return ImageChecks(checks)


def clean_annotations(
    annotations: Annotations,
    folder: ImageFolder,
    checks: ImageChecks,
    rules: Cleaning,
    corrections: Corrections = NO_CORRECTIONS,
) -> tuple[Annotations, Audit]:
    """Apply the rules of cleaning in order, with an audit row for each change, and say it."""
    cleaned, audit = clean(annotations, checks, with_corrections(rules, corrections))
    for line in change_lines(audit, annotations):
        logger.warning("%s: %s", folder.path, line)
    check_something_is_left(cleaned, audit, annotations)
    return cleaned, Audit(audit)


def cleaner_as_train(part: str) -> Callable[..., tuple[Annotations, Audit]]:
    """A node function that cleans what is predicted on: its categories become those of train."""

    def clean_annotations_as_train(
        annotations: Annotations,
        folder: ImageFolder,
        checks: ImageChecks,
        rules: Cleaning,
        train: Annotations,
    ) -> tuple[Annotations, Audit]:
        """Apply the rules of cleaning, then number the categories as in train, by name."""
        cleaned, audit = clean_annotations(annotations, folder, checks, rules)
        if part == "test":
            cleaned = with_dropped_images(cleaned, annotations)
        return with_categories_of(train, cleaned, part), audit

    return clean_annotations_as_train


def report_cleaning(
    annotations: Annotations,
    folder: ImageFolder,
    checks: ImageChecks,
    rules: Cleaning,
    audit: Audit,
    corrections: Corrections = NO_CORRECTIONS,
) -> tuple[RuleReport, str]:
    """Count and show what each rule did, and what those that are off would have done."""
    rules = with_corrections(rules, corrections)
    would = what_if(annotations, checks, rules)
    panel = cleaning_panel(annotations, folder, checks, audit, would)
    return rule_report(rules, audit, would), panel


def write_report(
    train_annotations: Annotations, train_checks: ImageChecks, **cleaning: str | RuleReport
) -> str:
    """Write what the images and their annotations are, and what cleaning did to them."""
    shown = {part: own for part, own in cleaning.items() if isinstance(own, str)}
    rules = {part: cast(RuleReport, cleaning[f"{part} rules"]) for part in shown}
    return data_page(train_annotations, train_checks, rules, shown)
