"""Clean annotations become folds, with their balance; and train is compared with test."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from recycling.annotations import Annotations, ImageChecks, StoredAnnotations
from recycling.pipelines.data_cleaning import PARTS
from recycling.reporting import folds_page
from recycling.splitting import (
    AdversarialValidation,
    Balance,
    Deviations,
    Folds,
    Shift,
    ShiftFeatures,
    ShiftSummary,
    Splitting,
    TestLikeness,
    adversarial_validation,
    balance_table,
    check_leaks,
    make_folds,
    max_deviation,
)
from recycling.stored_tables import by_parts, whole

_TRAIN, _CHECKS = "train.annotations", "train.image_checks"


def create_pipeline(parts: tuple[str, ...] = PARTS) -> Pipeline:
    """Folds of the train part, their balance, and how the test part differs from it.

    Args:
        parts: The parts of the data that there are; without `test` nothing is compared.
    """
    space = "splitting"
    report = {"annotations": _TRAIN, "folds": "folds", "balance": "fold_balance",
              "deviations": "fold_deviation"}  # fmt: skip
    nodes = [
        node(split, [_TRAIN, _CHECKS, "params:splitting"], "folds",
             name="split_into_folds", namespace=space),
        node(measure_balance, [_TRAIN, "folds"], "fold_balance",
             name="measure_balance", namespace=space),
        node(measure_deviation, [_TRAIN, "folds", "params:splitting"], "fold_deviation",
             name="measure_deviation", namespace=space),
    ]  # fmt: skip
    if "test" in parts:
        nodes.append(
            node(compare_parts,
                 [_TRAIN, _CHECKS, "test.annotations", "test.image_checks", "params:shift"],
                 ["shift", "shift_likeness", "shift_summary"],
                 name="compare_test_with_train", namespace=space)
        )  # fmt: skip
        report |= {"features": "shift", "likeness": "shift_likeness", "summary": "shift_summary"}
    nodes.append(
        node(write_report, report, "folds_report", name="write_folds_report", namespace=space)
    )
    return Pipeline(nodes)


@by_parts
def split(
    annotations: Annotations | StoredAnnotations, checks: ImageChecks, settings: Splitting
) -> Folds:
    """Assign each image to a fold; what leaks from fold to fold stops the run."""
    folds = make_folds(annotations, settings)
    check_leaks(annotations, folds, checks, max_distance=settings.near_duplicate_distance)
    return folds


@by_parts
def measure_balance(annotations: Annotations | StoredAnnotations, folds: Folds) -> Balance:
    """The share of each category in the train and validation part of each fold."""
    return Balance(balance_table(annotations, folds))


@by_parts
def measure_deviation(
    annotations: Annotations | StoredAnnotations, folds: Folds, settings: Splitting
) -> Deviations:
    """How far the folds are from the whole, at most, on every axis."""
    return Deviations(max_deviation(annotations, folds, settings.axes))


@by_parts
def compare_parts(
    train: Annotations | StoredAnnotations,
    train_checks: ImageChecks,
    test: Annotations | StoredAnnotations,
    test_checks: ImageChecks,
    settings: AdversarialValidation,
) -> tuple[ShiftFeatures, TestLikeness, ShiftSummary]:
    """Say how well test images can be told from train images, and by what."""
    shift = adversarial_validation(
        whole(train.images), train_checks, whole(test.images), test_checks, settings
    )
    return shift.features, shift.likeness, shift.summary


@by_parts
def write_report(
    annotations: Annotations | StoredAnnotations,
    folds: Folds,
    balance: Balance,
    deviations: Deviations,
    features: ShiftFeatures | None = None,
    likeness: TestLikeness | None = None,
    summary: ShiftSummary | None = None,
) -> str:
    """Write how even the folds are, and how far test images are from train images."""
    shift = None
    if features is not None and likeness is not None and summary is not None:
        shift = Shift(features, likeness, summary)
    return folds_page(annotations, folds, balance, deviations, shift)
