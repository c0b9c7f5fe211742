"""Raw annotations and images become clean annotations, with an audit row for each change."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline, node
from matplotlib.figure import Figure

from recycling.annotations import (
    Annotations,
    Audit,
    Cleaning,
    ImageChecks,
    ImageFolder,
    check_images,
    clean,
)

PARTS = ("train", "pool", "test")


def create_pipeline(parts: tuple[str, ...] = PARTS) -> Pipeline:
    """One chain of nodes for each part of the data.

    Args:
        parts: `train`, and where models are to predict, `pool` and `test`.
    """
    return Pipeline([n for part in parts for n in _clean_part(part)])


def _clean_part(part: str) -> list[Node]:
    return [
        node(
            check_image_files,
            [f"{part}.raw_annotations", f"{part}.images"],
            f"{part}.image_checks",
            name="check_image_files",
            namespace=part,
        ),
        node(
            clean_annotations,
            [f"{part}.raw_annotations", f"{part}.image_checks", f"params:cleaning.{part}"],
            [f"{part}.annotations", f"{part}.cleaning_audit"],
            name="clean_annotations",
            namespace=part,
        ),
        node(
            draw_cleaning,
            f"{part}.cleaning_audit",
            f"{part}.cleaning_figure",
            name="draw_cleaning",
            namespace=part,
        ),
    ]


def check_image_files(annotations: Annotations, folder: ImageFolder) -> ImageChecks:
    """Open every image once: is it there, whole, of the size that the annotations say, unique?"""
    return ImageChecks(check_images(annotations.images, folder, missing_folder="warn"))


def clean_annotations(
    annotations: Annotations, checks: ImageChecks, rules: Cleaning
) -> tuple[Annotations, Audit]:
    """Apply the rules of cleaning in order, with an audit row for each change."""
    cleaned, audit = clean(annotations, checks, rules)
    return cleaned, Audit(audit)


def draw_cleaning(audit: Audit) -> Figure:
    """Draw how many images, annotations and categories each rule changed or dropped."""
    from recycling.reporting import cleaning_figure

    return cleaning_figure(audit)
