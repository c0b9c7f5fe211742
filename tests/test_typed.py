"""The types along the graph agree before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node
from kedro_datasets.pandas import ParquetDataset
from numpy.typing import NDArray

from recycling.datasets import TableDataset
from recycling.predictions import Detections, LabelMaps
from recycling.splitting import Folds
from recycling.typed import GraphTypeError, check_types, fits


class Scores(TypedDict):
    mean: float


def boxes(folder: Path, table: str) -> TableDataset:
    return TableDataset(table=table, filepath=folder / "boxes.parquet")


def detect() -> Detections: ...  # type: ignore[empty-body]


def count(detections: Detections) -> int:
    return len(detections)


def count_folds(folds: Folds) -> int:
    return len(folds)


def count_all(**members: Detections) -> int:
    return len(members)


def rows(frame: pd.DataFrame) -> int:
    return len(frame)


def untyped(detections) -> int:
    return len(detections)


def both() -> tuple[Detections, int]: ...  # type: ignore[empty-body]


def test_a_graph_that_fits_lists_its_edges(tmp_path):
    catalog = DataCatalog({"boxes": boxes(tmp_path, "detections")})
    pipeline = Pipeline([node(detect, None, "boxes"), node(count, "boxes", "n")])
    assert [edge.dataset for edge in check_types(pipeline, catalog)] == ["boxes"] * 3


def test_a_consumer_of_another_type_is_named_with_both_nodes_and_types():
    pipeline = Pipeline(
        [node(detect, None, "boxes", name="make"), node(count_folds, "boxes", "n", name="take")]
    )
    with pytest.raises(GraphTypeError) as error:
        check_types(pipeline, DataCatalog())
    for part in ("'boxes'", "'make'", "'take'", "Detections", "Folds"):
        assert part in str(error.value)


def test_a_catalog_entry_of_another_type_is_found_on_both_sides(tmp_path):
    catalog = DataCatalog({"boxes": boxes(tmp_path, "folds")})
    pipeline = Pipeline([node(detect, None, "boxes"), node(count, "boxes", "n")])
    with pytest.raises(
        GraphTypeError, match="catalog entry takes Folds.*catalog entry gives Folds"
    ):
        check_types(pipeline, catalog)


def test_every_member_of_an_ensemble_is_checked():
    inputs = {"a": "boxes", "b.fold0": "n"}
    pipeline = Pipeline(
        [node(both, None, ["boxes", "n"], name="both"), node(count_all, inputs, "m", name="count")]
    )
    with pytest.raises(GraphTypeError, match="'n': node 'both' gives int"):
        check_types(pipeline, DataCatalog())


def test_a_plain_table_is_no_detections_but_detections_are_a_table(tmp_path):
    catalog = DataCatalog({"boxes": ParquetDataset(filepath=str(tmp_path / "boxes.parquet"))})
    check_types(Pipeline([node(rows, "boxes", "n")]), catalog)
    with pytest.raises(GraphTypeError, match="gives DataFrame"):
        check_types(Pipeline([node(count, "boxes", "n")]), catalog)


def test_a_function_without_annotations_is_refused():
    with pytest.raises(GraphTypeError, match="'detections' of untyped has no type"):
        check_types(Pipeline([node(untyped, "boxes", "n")]), DataCatalog())


def test_a_parameter_of_another_type_is_refused():
    catalog = DataCatalog()
    catalog["params:n"] = "three"

    def double(n: int) -> int:
        return 2 * n

    with pytest.raises(GraphTypeError, match="'params:n'.*gives str.*takes int"):
        check_types(Pipeline([node(double, "params:n", "m")]), catalog)


def test_a_parameter_that_is_a_mapping_is_taken_as_one_of_any_keys():
    catalog = DataCatalog()
    catalog["params:sizes"] = {"small": 1}

    def count_sizes(sizes: dict[str, int]) -> int:
        return len(sizes)

    def count_list(sizes: list[int]) -> int:
        return len(sizes)

    check_types(Pipeline([node(count_sizes, "params:sizes", "n")]), catalog)
    with pytest.raises(GraphTypeError, match="takes list"):
        check_types(Pipeline([node(count_list, "params:sizes", "n")]), catalog)


@pytest.mark.parametrize(
    ("given", "taken", "expected"),
    [
        (int, int | None, True),
        (int | None, int, False),
        (bool, int, True),
        (int, bool, False),
        (list[int], list[str], False),
        (list[int], list[Any], True),
        (dict[str, int], dict, True),
        (Any, Folds, True),
        (Folds, Detections, False),
        (Folds, pd.DataFrame, True),
        (pd.DataFrame, Folds, False),
        (Folds, Folds | None, True),
        (LabelMaps, Mapping[int, Any], True),
        (list[bool], Sequence[int], True),
        (NDArray[np.uint8], NDArray[np.uint8], True),
        (NDArray[np.uint8], NDArray[np.uint8] | None, True),
        (NDArray[np.uint8], Any, True),
        (NDArray[np.uint8], Folds, False),
        (Folds, NDArray[np.uint8], False),
        (Scores, Scores, True),
        (Mapping[str, Scores], Mapping[str, Scores], True),
        (dict[str, int], Scores, False),
    ],
)
def test_what_fits(given, taken, expected):
    assert fits(given, taken) is expected
