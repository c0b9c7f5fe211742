"""Category shares are compared with a stored baseline; drift is said."""

import logging
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kedro.io import DataCatalog
from kedro.validation import DataValidationError

from recycling.annotations import ANNOTATIONS, CATEGORIES, IMAGES, Annotations
from recycling.validation import (
    AnnotationsValidator,
    BaselineError,
    read_baseline,
    store_baseline,
    write_baseline,
)
from recycling.validation.baseline import category_shares


def annotations_of(counts: dict[str, int]) -> Annotations:
    """One image with as many annotations of each category as are asked for."""
    images = pd.DataFrame(
        {"image_id": [1], "file_name": "a.jpg", "width": 100, "height": 80, "group": "1"}
    ).assign(extra=None)
    categories = pd.DataFrame(
        {"category_id": range(1, len(counts) + 1), "name": list(counts), "supercategory": "waste"}
    ).assign(extra=None)
    ids = [i for i, n in enumerate(counts.values(), start=1) for _ in range(n)]
    annotations = pd.DataFrame(
        {"annotation_id": range(len(ids)), "image_id": 1, "category_id": ids}
    ).assign(
        x_min=10.0,
        y_min=10.0,
        x_max=30.0,
        y_max=20.0,
        area=200.0,
        segmentation=None,
        iscrowd=False,
        source="human",
        score=1.0,
        extra=None,
    )
    return Annotations(
        IMAGES.conform(images, where="images"),
        ANNOTATIONS.conform(annotations, where="annotations"),
        CATEGORIES.conform(categories, where="categories"),
    )


BEFORE = {"Metal": 50, "Glass": 30, "Paper": 20}


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    path = tmp_path / "baselines" / "train.yml"
    write_baseline(annotations_of(BEFORE), path)
    return path


def test_a_baseline_is_a_few_lines_for_people(baseline):
    assert baseline.read_text().splitlines() == [
        "# Percent of 100 annotations. Later shares are compared with it.",
        "Metal: 50.0",
        "Glass: 30.0",
        "Paper: 20.0",
    ]
    assert [path.name for path in baseline.parent.iterdir()] == ["train.yml"]


@settings(max_examples=30)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12),
        st.integers(0, 9),
        min_size=1,
        max_size=6,
    ).filter(lambda counts: any(counts.values())),
    st.randoms(use_true_random=False),
)
def test_annotations_do_not_drift_from_their_own_baseline_in_any_order(
    tmp_path_factory, counts, random
):
    data = annotations_of(counts)
    path = tmp_path_factory.mktemp("baseline") / "baseline.yml"
    write_baseline(data, path)
    order = list(data.annotations.index)
    random.shuffle(order)
    shuffled = replace(data, annotations=data.annotations.loc[order])
    table = category_shares(shuffled, read_baseline(path))
    assert set(table["category_name"]) == set(counts)
    assert (table["drift"] == 0).all()
    assert table["share"].sum() == pytest.approx(100, abs=0.05)


def test_categories_of_either_side_are_compared():
    table = category_shares(
        annotations_of({"Metal": 3, "Wood": 1}), {"Metal": 90.0, "Glass": 10.0}
    ).set_index("category_name")
    assert table.loc["Metal"].tolist() == [75.0, 90.0, -15.0]
    assert table.loc["Glass"].tolist() == [0.0, 10.0, -10.0]
    assert table.loc["Wood"].tolist() == [25.0, 0.0, 25.0]


def test_a_baseline_of_crowd_regions_alone_is_refused(tmp_path):
    data = annotations_of(BEFORE)
    crowds = replace(data, annotations=data.annotations.assign(iscrowd=True))
    with pytest.raises(BaselineError, match="there are no annotations"):
        write_baseline(crowds, tmp_path / "baseline.yml")


def test_a_baseline_of_no_annotations_is_refused(tmp_path):
    with pytest.raises(BaselineError, match="there are no annotations"):
        write_baseline(annotations_of({"Metal": 0}), tmp_path / "baseline.yml")
    assert not list(tmp_path.iterdir())


def test_drift_warns_with_the_shares_before_and_now(baseline, caplog):
    data = annotations_of({"Metal": 46, "Glass": 32, "Paper": 22})
    assert AnnotationsValidator("train", baseline=str(baseline)).validate(data) is data
    assert caplog.messages == [
        "train: category_shares.drift: expected that no category's share of the annotations is "
        "more than 2 percentage points away from the baseline; not so in 1 row(s): "
        "Metal 50.0 % -> 46.0 %"
    ]


def test_drift_can_stop_and_its_limit_can_be_set(baseline):
    data = annotations_of({"Metal": 46, "Glass": 32, "Paper": 22})
    options = {"baseline": str(baseline), "stop": ["category_shares"]}
    with pytest.raises(DataValidationError, match=r"Metal 50.0 % -> 46.0 %, Glass 30.0 % -> 32.0"):
        AnnotationsValidator("train", drift=1.9, **options).validate(data)
    assert AnnotationsValidator("train", drift=4.0, **options).validate(data) is data


def test_a_missing_baseline_is_said_once_with_the_command_that_makes_it(tmp_path, caplog):
    path = tmp_path / "train.yml"
    validator = AnnotationsValidator("train.annotations", baseline=str(path))
    for _ in range(2):
        validator.validate(annotations_of(BEFORE))
    assert caplog.messages == [
        f"train.annotations: there is no baseline {path}, so category shares are not compared; "
        "make it (with the --env of this run) by: kedro baseline train.annotations"
    ]


def test_a_new_baseline_makes_the_same_annotations_be_compared_again(baseline, caplog):
    validator = AnnotationsValidator("train", baseline=str(baseline))
    validator.validate(annotations_of(BEFORE))
    assert not caplog.messages
    write_baseline(annotations_of({"Metal": 1, "Glass": 1, "Paper": 1}), baseline)
    validator.validate(annotations_of(BEFORE))
    assert "Metal 33.3 % -> 50.0 %" in caplog.text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "a line for each category"),
        ("- Metal", "a line for each category"),
        ("Metal: [", "while parsing"),
        ("Metal: much", "the share of 'Metal' should be a number and is 'much'"),
        ("Metal: yes", "the share of 'Metal' should be a number and is True"),
        ("Metal: -1", "from 0 to 100 and is -1"),
        ("Metal: .nan", "from 0 to 100 and is nan"),
        ("{Metal: 50, Glass: 30}", "sum to 100 and sum to 80"),
    ],
)
def test_a_damaged_baseline_is_named_with_what_is_wrong(tmp_path, text, fault):
    path = tmp_path / "train.yml"
    path.write_text(text)
    with pytest.raises(BaselineError, match=rf"^{re.escape(str(path))}: .*{fault}") as raised:
        AnnotationsValidator("train", baseline=str(path)).validate(annotations_of(BEFORE))
    assert "\n" not in str(raised.value)


def catalog_with(options: dict[str, object] | None) -> DataCatalog:
    entry: dict[str, object] = {"type": "kedro.io.MemoryDataset"}
    if options is not None:
        entry["validator"] = {
            "class": "recycling.validation.AnnotationsValidator",
            "options": {"name": "train", **options},
        }
    return DataCatalog.from_config({"train": entry})


def test_the_baseline_of_a_dataset_is_stored_where_its_validator_looks(tmp_path, caplog):
    path = tmp_path / "train.yml"
    catalog = catalog_with({"baseline": str(path)})
    catalog.save("train", annotations_of(BEFORE))
    assert "no baseline" in caplog.text
    assert store_baseline(catalog, "train") == path
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        catalog.load("train")
    assert read_baseline(path) == {"Metal": 50.0, "Glass": 30.0, "Paper": 20.0}
    assert not caplog.messages


@pytest.mark.parametrize("options", [None, {}])
def test_a_dataset_whose_validator_has_no_baseline_is_said(options):
    with pytest.raises(BaselineError, match="train: its catalog entry has no validator with a bas"):
        store_baseline(catalog_with(options), "train")


def test_a_dataset_that_is_not_in_the_catalog_is_said():
    with pytest.raises(BaselineError, match="tarin: not in the catalog"):
        store_baseline(catalog_with(None), "tarin")


STORED = sorted((Path(__file__).parents[2] / "conf").glob("*/baselines/*.annotations.yml"))


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_the_stored_baselines_can_be_read(path):
    assert len(read_baseline(path)) == 10
