"""Annotations are validated by Great Expectations, through Kedro's catalog."""

import logging
import operator
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DataCatalog
from kedro.validation import DataValidationError

from recycling.annotations import ANNOTATIONS, CATEGORIES, IMAGES, Annotations
from recycling.validation import AnnotationsValidator
from recycling.validation.content import content_digest
from recycling.validation.expectations import (
    expectation_suites,
    expected_of_annotations,
    expected_of_shares,
)

NAMES = ["Metal", "Glass", "Paper"]
N_ANNOTATIONS = 12


def good_annotations() -> Annotations:
    """Annotations that are as expected; new tables at each call, for a test to spoil."""
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


@pytest.fixture
def good() -> Annotations:
    return good_annotations()


def failures_of(data: Annotations, **options) -> dict[str, list[str]]:
    """What failed, with the ids that the failure names."""
    with pytest.raises(DataValidationError) as raised:
        AnnotationsValidator("raw", **options).validate(data)
    return {failure.column: failure.failure_examples for failure in raised.value.failures}


def spoil(data: Annotations, faults: dict[str, tuple[str, object]]) -> None:
    """Give each row one fault: the first row the first, and so on."""
    for row, (column, value) in enumerate(faults.values()):
        data.annotations.loc[row, column] = value


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
        "annotations.source.values": ("source", "robot"),
        "annotations.score.range": ("score", 1.5),
        "annotations.x_min.missing": ("x_min", float("nan")),
        "annotations.area.range": ("area", -1.0),
        "annotations.area_excess": ("area", 5000.0),
    }
    spoil(good, faults)
    assert failures_of(good) == {
        failing: [f"annotation_id {101 + row}"] for row, failing in enumerate(faults)
    }


def test_a_box_over_the_top_left_edge_is_found(good):
    good.annotations.loc[0, "y_min"] = -3.0
    assert failures_of(good) == {"annotations.overhang": ["annotation_id 101"]}


def test_rounding_at_the_edge_of_a_image_is_no_fault(good):
    good.annotations.loc[0, "x_max"] = 100 + 1e-9
    assert AnnotationsValidator("raw").validate(good) is good


def test_ids_that_occur_twice_are_found(good):
    good.annotations.loc[1, "annotation_id"] = 101
    good.categories.loc[1, "name"] = "Metal"
    assert failures_of(good) == {
        "annotations.annotation_id.unique": ["annotation_id 101", "annotation_id 101"],
        "categories.name.unique": ["category_id 1", "category_id 2"],
    }


def test_a_misspelt_category_is_found(good):
    good.categories.loc[1, "name"] = "Galss"
    assert AnnotationsValidator("raw").validate(good) is good
    assert failures_of(good, categories=NAMES) == {"categories.name.values": ["category_id 2"]}


def test_a_wrong_type_is_found(good):
    data = Annotations(
        good.images.assign(width=good.images["width"].astype("float64")),
        good.annotations,
        good.categories,
    )
    assert failures_of(data) == {"images.width.type": []}


def test_coordinates_that_are_words_are_found(good):
    words = good.annotations["x_min"].map("{:g} pixels".format)
    data = Annotations(good.images, good.annotations.assign(x_min=words), good.categories)
    assert "annotations.x_min.type" in failures_of(data)


def test_what_is_not_about_rows_says_what_was_found(good):
    good = Annotations(
        good.images[:0], good.annotations[:0].astype({"score": "int64"}), good.categories
    )
    with pytest.raises(DataValidationError) as raised:
        AnnotationsValidator("raw").validate(good)
    assert [line.rpartition("; ")[2] for line in raised.value.message.splitlines()] == [
        "not so: found 0",
        "not so: found int64",
    ]


def test_tables_without_rows_are_found(good):
    data = Annotations(good.images[:0], good.annotations[:0], good.categories[:0])
    assert set(failures_of(data)) == {"images.rows", "categories.rows"}


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
        "raw: annotations.score.range: expected that score is from 0 to 1; not so in 1 row(s): "
        "annotation_id 104",
        "raw: annotations.overhang: expected that the box lies inside its image; "
        f"not so in 8 row(s): {ids}",
        f"see {tmp_path / 'raw' / 'index.html'}",
    ]
    assert [failure.failure_count for failure in raised.value.failures] == [1, 8]


def test_every_column_of_every_schema_is_expected_to_have_its_type():
    suites = expectation_suites(expected_of_annotations())
    for schema in (IMAGES, CATEGORIES, ANNOTATIONS):
        typed = [
            each.column
            for each in suites[schema.name].expectations
            if each.expectation_type == "expect_column_values_to_be_of_type"
        ]
        assert typed == schema.names


def test_no_two_expectations_have_the_same_name():
    names = [each.name for each in [*expected_of_annotations(NAMES), *expected_of_shares(2.0)]]
    assert len(set(names)) == len(names)


def test_a_warning_is_logged_in_the_words_of_an_error_and_stops_nothing(good, tmp_path, caplog):
    spoil(good, {"area_excess": ("area", 5000.0), "overhang": ("x_max", 130.0)})
    docs = {"data_docs": str(tmp_path)}
    with pytest.raises(DataValidationError) as raised:
        AnnotationsValidator("raw", **docs).validate(good)
    caplog.clear()
    validator = AnnotationsValidator(
        "raw", warn=["annotations.area_excess", "annotations.overhang"], **docs
    )
    assert validator.validate(good) is good
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage() for record in warnings] == [raised.value.message]


def test_what_does_not_warn_still_stops(good, caplog):
    spoil(good, {"area_excess": ("area", 5000.0), "overhang": ("x_max", 130.0)})
    found = failures_of(good, warn=["annotations.area_excess"])
    assert found == {"annotations.overhang": ["annotation_id 102"]}
    assert "annotations.area_excess" in caplog.text
    assert "annotations.overhang" not in caplog.text


def severities(**options) -> dict[str, str]:
    return {each.name: each.severity for each in AnnotationsValidator("raw", **options).expected}


def test_each_expectation_can_be_made_a_warning_and_a_stop_by_its_name():
    options = {"categories": NAMES, "baseline": "baseline.yml"}
    usual = severities(**options)
    assert {name for name in usual if usual[name] == "warn"} == {"category_shares.drift"}
    for name in usual:
        assert severities(warn=[name], **options) == {**usual, name: "warn"}
        assert severities(stop=[name], **options) == {**usual, name: "stop"}


def test_the_most_exact_name_counts():
    found = severities(
        warn=["annotations", "annotations.score.range"],
        stop=["annotations.score", "annotations.area"],
    )
    assert found["annotations.score.range"] == "warn"
    assert found["annotations.score.type"] == "stop"
    assert found["annotations.area.range"] == "stop"
    assert found["annotations.area_excess"] == "warn"
    assert found["images.width.range"] == "stop"


def test_severities_are_those_of_great_expectations_too():
    validator = AnnotationsValidator("raw", warn=["images"])
    suites = expectation_suites(validator.expected)
    told = {
        name: {each.severity.value for each in suite.expectations} for name, suite in suites.items()
    }
    assert told == {"images": {"warning"}, "categories": {"critical"}, "annotations": {"critical"}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"warn": ["annotations.aera"]}, r"no expectation is called 'annotations.aera'; known: .*"
         r"annotations.area.range.*annotations.area_excess"),
        ({"stop": "boxes"}, "'boxes'; known: images, categories, annotations$"),
        ({"warn": ["category_shares"]}, "'category_shares'; known: images"),
        ({"warn": ["images"], "stop": ["images"]}, "images is both in warn and in stop"),
        ({"drift": -1.0}, "drift should be percentage points"),
    ],
)  # fmt: skip
def test_an_option_that_means_nothing_is_refused_with_those_that_do(options, message):
    with pytest.raises(ValueError, match=message):
        AnnotationsValidator("raw", **options)


def test_the_same_annotations_are_checked_once(tmp_path, caplog):
    validator = AnnotationsValidator("raw", data_docs=str(tmp_path), warn=["annotations"])
    with caplog.at_level(logging.INFO, logger="recycling"), ThreadPoolExecutor(3) as pool:
        data = [good_annotations() for _ in range(3)]
        for each in data:
            each.annotations.loc[0, "score"] = 2.0
        assert all(map(operator.is_, pool.map(validator.validate, data), data))
    assert len(caplog.records) == 2  # where the Data Docs are, and the warning
    assert "annotations.score.range" in caplog.text


def test_what_stops_the_first_time_stops_again_in_the_same_words(good):
    good.annotations.loc[0, "score"] = 2.0
    validator = AnnotationsValidator("raw")
    messages = []
    for _ in range(2):
        with pytest.raises(DataValidationError) as raised:
            validator.validate(good)
        messages.append(raised.value.message)
    assert messages[0] == messages[1]


def test_whatever_is_checked_makes_other_annotations(good):
    before = content_digest(good, None)
    assert content_digest(good_annotations(), None) == before
    assert content_digest(good, {"Metal": 100.0}) != before
    other = {"int64": 7, "float64": 7.5, "string": "other", "bool": True}
    for table, schema in (
        ("images", IMAGES),
        ("annotations", ANNOTATIONS),
        ("categories", CATEGORIES),
    ):
        for column in schema.columns:
            changed = good_annotations()
            getattr(changed, table).loc[0, column.name] = other[column.dtype]
            same = content_digest(changed, None) == before
            assert same == column.nullable, column.name
            untyped = getattr(good, table).astype({column.name: "object"})
            assert content_digest(replace(good, **{table: untyped}), None) != before


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


def test_data_docs_show_each_row_that_is_wrong_before_all_else(good, tmp_path):
    spoil(good, {"area_excess": ("area", 5000.0), "overhang": ("x_max", 130.0)})
    good.images.loc[0, "file_name"] = "<b>a&b</b>.jpg"
    validator = AnnotationsValidator("raw", str(tmp_path), warn=["annotations.area_excess"])
    with pytest.raises(DataValidationError):
        validator.validate(good)
    page = (tmp_path / "raw" / "index.html").read_text()
    text = re.sub(r"\s*<[^>]*>\s*", "|", page)
    overhang, area = (
        text.index("|annotations.overhang|stop|"),
        text.index("|annotations.area_excess|warning|"),
    )
    assert overhang < area < text.index("Everything that was checked")
    assert "Expected that the box lies inside its image; not so in 1 row(s) of 12." in page
    assert re.search(r"\|102\|+2\|+b\.jpg\|+2\|+Glass\|.*\|30\|", text[overhang:area])
    assert "&lt;b&gt;a&amp;b&lt;/b&gt;.jpg" in page
    assert "<b>a" not in page


def test_the_first_page_of_the_data_docs_needs_no_network(good, tmp_path):
    AnnotationsValidator("raw", data_docs=str(tmp_path)).validate(good)
    page = (tmp_path / "raw" / "index.html").read_text()
    assert "//" not in page
    assert "<script" not in page
    for link in re.findall('href="([^"]*)"', page):
        assert (tmp_path / "raw" / link).is_file()


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


def test_paths_are_those_of_the_project_from_any_of_its_folders(good, tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text("[tool.kedro]\n")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    AnnotationsValidator("raw", data_docs="data/docs").validate(good)
    assert (tmp_path / "data" / "docs" / "raw" / "index.html").is_file()
    assert not list((tmp_path / "notebooks").iterdir())


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
