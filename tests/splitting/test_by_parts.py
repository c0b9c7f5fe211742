"""Folds of annotations on disk, read some images at a time, are those of the whole."""

import json

import numpy as np
import pytest

from recycling import stored_tables
from recycling.annotations import Annotations, StoredAnnotations, write_tables
from recycling.pipelines.splitting import create_pipeline
from recycling.reporting import folds_page
from recycling.splitting import (
    AXES,
    SplitError,
    Splitting,
    balance_columns,
    balance_table,
    check_leaks,
    make_folds,
    max_deviation,
)
from recycling.stored_tables import is_by_parts
from splitting.annotated_images import METHODS, WITH_GROUPS, annotated_images, shuffled

TRIANGLE = json.dumps([[1, 1, 40, 1, 20, 30]])


@pytest.fixture(scope="module")
def whole():
    """Boxes, masks, crowd regions, and images with nothing on them, in no order."""
    annotations = annotated_images(n_images=90)
    rows = annotations.annotations
    number = np.arange(len(rows))
    rows = rows.assign(iscrowd=number % 13 == 0)
    rows["segmentation"] = rows["segmentation"].mask(number % 5 == 0, TRIANGLE)
    return shuffled(Annotations(annotations.images, rows, annotations.categories))


@pytest.fixture
def stored(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(stored_tables, "ROWS_AT_A_TIME", 50)
    write_tables(whole, tmp_path / "annotations")
    return StoredAnnotations(tmp_path / "annotations")


@pytest.mark.parametrize("rows_at_a_time", [1, 50, 100_000])
def test_all_that_is_balanced_is_counted_alike(rows_at_a_time, whole, stored, monkeypatch):
    monkeypatch.setattr(stored_tables, "ROWS_AT_A_TIME", rows_at_a_time)
    assert balance_columns(stored, AXES).equals(balance_columns(whole, AXES))


@pytest.mark.parametrize("method", [*METHODS, "hold_out"])
def test_every_method_makes_the_same_folds(method, whole, stored):
    whole = Annotations(
        whole.images.assign(group=whole.images["file_name"])
        if method not in WITH_GROUPS
        else whole.images,
        whole.annotations,
        whole.categories,
    )
    write_tables(whole, stored.folder)
    more = {"hold_out": {"share": 0.3}} if method == "hold_out" else {"n_splits": 3}
    settings = Splitting.model_validate({"method": method, **more})
    folds = make_folds(whole, settings)
    assert make_folds(stored, settings).equals(folds)


def test_the_balance_and_its_page_are_the_same(whole, stored):
    folds = make_folds(whole, Splitting(n_splits=3))
    balance, deviations = balance_table(whole, folds), max_deviation(whole, folds, AXES)
    assert balance_table(stored, folds).equals(balance)
    assert max_deviation(stored, folds, AXES).equals(deviations)
    page = folds_page(whole, folds, balance, deviations)
    assert folds_page(stored, folds, balance, deviations) == page


def test_counting_reads_no_mask(whole, stored, monkeypatch):
    monkeypatch.setattr(StoredAnnotations, "shapes", lambda *_: pytest.fail("masks are read"))
    assert balance_columns(stored, ["category_counts"]).to_numpy().sum() > 0
    folds = make_folds(whole, Splitting(n_splits=3))
    assert balance_table(stored, folds).equals(balance_table(whole, folds))


def test_every_step_of_a_run_is_given_parts():
    assert all(is_by_parts(step.func) for step in create_pipeline().nodes)


def test_leaks_are_found(whole, stored):
    folds = make_folds(stored, Splitting(n_splits=3))
    check_leaks(stored, folds)
    with pytest.raises(SplitError, match="crosses folds"):
        check_leaks(stored, folds.assign(fold=np.arange(len(folds)) % 3))
