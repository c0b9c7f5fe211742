"""Annotations are validated by Great Expectations, through Kedro's catalog."""

import logging
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DataCatalog
from kedro.validation import DataValidationError

from recycling.annotations import ANNOTATIONS, CATEGORIES, IMAGES, Annotations
from recycling.validation import AnnotationsValidator
from recycling.validation.expectations import expectation_suites

NAMES = ["Metal", "Glass", "Paper"]
N_ANNOTATIONS = 12


@pytest.fixture
def good() -> Annotations:
    images = pd.DataFrame(
        {
            "image_id": [1, 2, 3, 4],
            "file_name": ["a.jpg", "b.jpg", "c.jpg", "d.jpg"],
            "width": 100,
            "height": 80,
            "group": ["1", "2", "3", "4"],
            "extra": None,
        }
    )
    left = [5.0 * row for row in range(N_ANNOTATIONS)]
    annotations = pd.DataFrame(
        {
            "annotation_id": range(101, 101 + N_ANNOTATIONS),
            "image_id": [1, 2, 3, 4] * 3,
            "category_id": [1, 2, 3] * 4,
            "x_min": left,
            "y_min": left,
            "x_max": [x + 20.0 for x in left],
            "y_max": [y + 10.0 for y in left],
            "area": 200.0,
            "segmentation": None,
            "iscrowd": False,
            "source": "human",
            "score": 1.0,
            "extra": None,
        }
    )
    categories = pd.DataFrame(
        {"category_id": [1, 2, 3], "name": NAMES, "supercategory": "waste", "extra": None}
    )
    return Annotations(
        IMAGES.conform(images, where="images"),
        ANNOTATIONS.conform(annotations, where="annotations"),
        CATEGORIES.conform(categories, where="categories"),
    )


def failures_of(data: Annotations, **options) -> dict[str, list[str]]:
    """What failed, with the ids that the failure names."""
    with pytest.raises(DataValidationError) as raised:
        AnnotationsValidator("raw", **options).validate(data)
    return {failure.column: failure.failure_examples for failure in raised.value.failures}


def test_good_annotations_come_back_untouched(good):
    validator = AnnotationsValidator("clean", categories=NAMES)
    assert validator.validate(good) is good


def test_every_fault_is_found_and_names_its_row(good):
    faults = {
        "annotations.box_width": ("x_max", 0.0),
        "annotations.box_height": ("y_max", 0.0),
        "annotations.overhang": ("x_max", 130.0),
        "annotations.image_name": ("image_id", 99),
        "annotations.category_name": ("category_id", 99),
        "annotations.source": ("source", "robot"),
        "annotations.score": ("score", 1.5),
        "annotations.x_min": ("x_min", float("nan")),
        "annotations.area": ("area", -1.0),
        "annotations.area_excess": ("area", 5000.0),
    }
    for row, (column, value) in enumerate(faults.values()):
        good.annotations.loc[row, column] = value
    assert failures_of(good) == {
        failing: [f"annotation_id {101 + row}"] for row, failing in enumerate(faults)
    }


def test_a_box_over_the_top_left_edge_is_found(good):
    good.annotations.loc[0, "y_min"] = -3.0
    assert failures_of(good) == {"annotations.overhang": ["annotation_id 101"]}


def test_rounding_at_the_edge_of_a_picture_is_no_fault(good):
    good.annotations.loc[0, "x_max"] = 100 + 1e-9
    assert AnnotationsValidator("raw").validate(good) is good


def test_ids_that_occur_twice_are_found(good):
    good.annotations.loc[1, "annotation_id"] = 101
    good.categories.loc[1, "name"] = "Metal"
    assert failures_of(good) == {
        "annotations.annotation_id": ["annotation_id 101", "annotation_id 101"],
        "categories.name": ["category_id 1", "category_id 2"],
    }


def test_a_misspelt_category_is_found(good):
    good.categories.loc[1, "name"] = "Galss"
    assert AnnotationsValidator("raw").validate(good) is good
    assert failures_of(good, categories=NAMES) == {"categories.name": ["category_id 2"]}


def test_a_wrong_type_is_found(good):
    data = Annotations(
        good.images.assign(width=good.images["width"].astype("float64")),
        good.annotations,
        good.categories,
    )
    assert set(failures_of(data)) == {"images.width"}


def test_tables_without_rows_are_found(good):
    data = Annotations(good.images[:0], good.annotations[:0], good.categories[:0])
    assert set(failures_of(data)) == {"images", "categories"}


def test_no_annotations_at_all_is_fine(good):
    data = Annotations(good.images, ANNOTATIONS.empty(), good.categories)
    assert AnnotationsValidator("pool").validate(data) is data


def test_a_missing_column_is_named(good):
    data = Annotations(good.images, good.annotations.drop(columns="score"), good.categories)
    with pytest.raises(DataValidationError, match=r"raw: annotations has no column 'score'"):
        AnnotationsValidator("raw").validate(data)


def test_other_data_is_refused():
    with pytest.raises(DataValidationError, match="should be Annotations and is DataFrame"):
        AnnotationsValidator("raw").validate(pd.DataFrame())


def test_the_message_has_a_line_a_failure_with_rows_and_first_five_ids(good, tmp_path):
    good.annotations.loc[0:7, "y_max"] = 100.0
    good.annotations.loc[3, "score"] = 2.0
    with pytest.raises(DataValidationError) as raised:
        AnnotationsValidator("raw", data_docs=str(tmp_path)).validate(good)
    ids = ", ".join(f"annotation_id {number}" for number in range(101, 106))
    assert raised.value.message.splitlines() == [
        "raw: annotations.score: expected that score is from 0 to 1; not so in 1 row(s): "
        "annotation_id 104",
        "raw: annotations.overhang: expected that the box lies inside its picture; "
        f"not so in 8 row(s): {ids}",
        f"see {tmp_path / 'raw' / 'index.html'}",
    ]
    assert [failure.failure_count for failure in raised.value.failures] == [1, 8]


def test_every_column_of_every_schema_is_expected_to_have_its_type():
    for schema in (IMAGES, CATEGORIES, ANNOTATIONS):
        suite = expectation_suites()[schema.name]
        typed = [
            each.column
            for each in suite.expectations
            if each.expectation_type == "expect_column_values_to_be_of_type"
        ]
        assert typed == schema.names


def test_data_docs_tell_of_success_and_failure_alike(good, tmp_path):
    validator = AnnotationsValidator("raw", data_docs=str(tmp_path / "docs"))
    validator.validate(good)
    assert statuses(tmp_path / "docs" / "raw") == {
        "raw-annotations": "Succeeded",
        "raw-categories": "Succeeded",
        "raw-images": "Succeeded",
    }
    good.annotations.loc[2, "score"] = 1.5
    with pytest.raises(DataValidationError):
        validator.validate(good)
    assert statuses(tmp_path / "docs" / "raw") == {
        "raw-annotations": "Failed",
        "raw-categories": "Succeeded",
        "raw-images": "Succeeded",
    }
    assert [path.name for path in (tmp_path / "docs").iterdir()] == ["raw"]


def statuses(site: Path) -> dict[str, str]:
    """What the page of each table says at its top."""
    index = (site / "index.html").read_text()
    found = {}
    for page in site.glob("validations/**/*.html"):
        assert page.relative_to(site).as_posix() in index
        status = re.search(r"Status:</span> <i [^>]*></i> (\w+)", page.read_text())
        found[page.stem] = status.group(1) if status else "none"
    return found


def test_data_docs_are_below_the_current_folder(good, tmp_path, monkeypatch, caplog):
    validator = AnnotationsValidator("raw", data_docs="docs")
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.INFO, logger="recycling"):
        validator.validate(good)
    assert (tmp_path / "docs" / "raw" / "index.html").is_file()
    assert f"Data Docs of raw: {Path('docs', 'raw', 'index.html')}" in caplog.messages


def catalog_with(severity: str) -> DataCatalog:
    entry = {
        "type": "kedro.io.MemoryDataset",
        "validator": {
            "class": "recycling.validation.AnnotationsValidator",
            "severity": severity,
            "on": ["load"],
            "options": {"name": "some_annotations"},
        },
    }
    return DataCatalog.from_config({"some_annotations": entry})


def test_the_catalog_stops_at_an_error(good):
    good.annotations.loc[2, "score"] = 1.5
    catalog = catalog_with("error")
    catalog.save("some_annotations", good)
    with pytest.raises(DataValidationError, match=r"score is from 0 to 1 .* annotation_id 103"):
        catalog.load("some_annotations")


def test_the_catalog_goes_on_after_a_warning(good, caplog):
    good.annotations.loc[2, "score"] = 1.5
    catalog = catalog_with("warn")
    catalog.save("some_annotations", good)
    assert len(catalog.load("some_annotations").annotations) == N_ANNOTATIONS
    assert "annotation_id 103" in caplog.text


def test_a_name_that_leaves_the_folder_is_refused():
    with pytest.raises(ValueError, match="plain name"):
        AnnotationsValidator("../raw")


def test_great_expectations_is_not_imported_before_it_is_needed():
    code = (
        "import sys; from recycling.validation import AnnotationsValidator; "
        "AnnotationsValidator('raw'); sys.exit('great_expectations' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
