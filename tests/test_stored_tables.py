"""Tables on disk are read by parts, and what is made of the parts is what is made of the whole."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from bench.drawn_members import draw_world
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog, DatasetError
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner

from recycling import stored_tables
from recycling.annotations import Annotations, StoredAnnotations, write_tables
from recycling.datasets import AnnotationsDataset, CsvDataset, TableDataset
from recycling.ensembling import BOX_METHODS, BoxFusion, EnsemblingError, fuse
from recycling.evaluation import BOX_METRICS, BoxMetric, EvaluationError, evaluate
from recycling.hooks import PartsHooks
from recycling.pipelines.scoring import SCORE, score
from recycling.pipelines.tasks import is_labelled
from recycling.predictions import DETECTIONS, BoxFormat, Detections, to_submission
from recycling.stored_tables import StoredTable, TableParts, bounds_of, by_parts, in_parts, whole
from recycling.tables import TableError

SIZES = (1, 7, 60, 100_000)
"""Rows a part: less than an image has, several, and all."""


@pytest.fixture(scope="module")
def world():
    return draw_world("det", 3, 25, ["good", "poor", "blind"])


@pytest.fixture(params=["in order", "shuffled"])
def stored(request, world, tmp_path):
    """Truth and members on disk, their rows in the order of the images or in none."""

    def written(table):
        return table if request.param == "in order" else table.sample(frac=1, random_state=0)

    truth = world.truth
    crowd = np.arange(len(truth.annotations)) % 17 == 0
    rows = truth.annotations.assign(iscrowd=crowd)
    rows = rows[~rows["image_id"].isin([2, 3, 4])]  # parts without an object
    truth = Annotations(written(truth.images), written(rows), truth.categories)
    write_tables(truth, tmp_path / "truth")
    members = {}
    for name, own in world.members.items():
        written(own).to_parquet(tmp_path / f"{name}.parquet", index=False)
        members[name] = StoredTable(tmp_path / f"{name}.parquet", DETECTIONS)
    return StoredAnnotations(tmp_path / "truth"), members


@pytest.fixture(params=SIZES)
def rows_at_a_time(request, monkeypatch):
    monkeypatch.setattr(stored_tables, "ROWS_AT_A_TIME", request.param)
    return request.param


def test_parts_hold_whole_images_and_every_row_once(stored, rows_at_a_time):
    _, members = stored
    bounds = bounds_of(members.values())
    for table in members.values():
        parts = list(table.parts(bounds))
        assert len(parts) == len(bounds) + 1
        assert rows_at_a_time > 1 or len(bounds) >= 20
        images = [set(part["image_id"]) for part in parts]
        assert sum(map(len, images)) == len(set.union(*images))
        together = pd.concat(parts, ignore_index=True).sort_values(DETECTIONS.names)
        every = table.whole().sort_values(DETECTIONS.names)
        pd.testing.assert_frame_equal(together.reset_index(drop=True), every.reset_index(drop=True))


@pytest.mark.parametrize("method", list(BOX_METHODS))
def test_boxes_fused_by_parts_are_those_fused_at_once(method, stored, rows_at_a_time):
    _, members = stored
    fused = partial(fuse, BoxFusion.model_validate({"method": method}))
    at_once = fused({name: own.whole() for name, own in members.items()})
    pd.testing.assert_frame_equal(whole(in_parts(fused, members)), at_once, check_exact=True)


@pytest.mark.parametrize("metric", list(BOX_METRICS))
def test_a_score_by_parts_is_that_of_the_whole_to_the_last_bit(metric, stored, rows_at_a_time):
    truth, members = stored
    settings = BoxMetric.model_validate({"metric": metric})
    for own in members.values():
        at_once = evaluate(settings, truth.whole(), own.whole())
        assert evaluate(settings, truth, own) == at_once
        assert score(truth, own, settings) == score(truth.whole(), own.whole(), settings)
    assert is_labelled(truth)


def test_more_outcomes_than_are_kept_in_memory_give_the_same_score(stored, monkeypatch):
    truth, members = stored
    settings = BoxMetric.model_validate({})
    at_once = evaluate(settings, truth.whole(), members["m0"].whole())
    monkeypatch.setattr("recycling.evaluation.boxes._IN_MEMORY", 100)
    monkeypatch.setattr(stored_tables, "ROWS_AT_A_TIME", 30)
    assert evaluate(settings, truth, members["m0"]) == at_once


def test_many_images_on_disk_are_scored_without_an_interval_which_is_said(
    stored, monkeypatch, caplog
):
    truth, members = stored
    monkeypatch.setattr("recycling.pipelines.scoring.DRAWN_IMAGES", 24)
    found = score(truth, members["m0"], BoxMetric.model_validate({}))
    assert found.interval is None
    assert "mAP50 of 25 images has no interval" in caplog.text


def test_a_submission_by_parts_has_the_bytes_of_one_at_once(stored, rows_at_a_time, tmp_path):
    truth, members = stored
    settings = BoxFormat.model_validate({})
    for name, tables in {
        "parts": (members["m0"], truth.images),
        "at once": (members["m0"].whole(), truth.images.whole()),
    }.items():
        table = to_submission(settings, *tables, truth.categories)
        CsvDataset(filepath=tmp_path / f"{name}.csv").save(table)
    assert (tmp_path / "parts.csv").read_bytes() == (tmp_path / "at once.csv").read_bytes()


def test_a_table_of_one_part_has_the_bytes_that_pandas_writes(world, tmp_path):
    table = world.members["m0"]
    TableDataset(table="detections", filepath=tmp_path / "ours.parquet").save(
        TableParts(lambda: iter([table]))
    )
    table.to_parquet(tmp_path / "pandas.parquet", index=False)
    assert (tmp_path / "ours.parquet").read_bytes() == (tmp_path / "pandas.parquet").read_bytes()


def test_masks_of_some_parts_only_are_saved_and_read(world, tmp_path, monkeypatch):
    monkeypatch.setattr(stored_tables, "ROWS_AT_A_TIME", 20)
    table = world.members["m0"]
    mask = '{"size": [2, 2], "counts": "04"}'
    table = table.assign(segmentation=[mask] * 3 + [None] * (len(table) - 3))
    table = DETECTIONS.conform(table.sort_values("image_id", kind="stable"), where="drawn")
    parts = TableParts(lambda: iter([table[:50], table[50:]]))
    TableDataset(table="detections", filepath=tmp_path / "a.parquet").save(parts)
    read = StoredTable(tmp_path / "a.parquet", DETECTIONS)
    found = pd.concat(read.parts(bounds_of([read])), ignore_index=True)
    pd.testing.assert_frame_equal(found, table)


def test_a_part_that_cannot_be_made_leaves_what_was_there(world, tmp_path):
    dataset = TableDataset(table="detections", filepath=tmp_path / "a.parquet")
    dataset.save(world.members["m0"])

    def parts():
        yield world.members["m1"]
        yield world.members["m1"].assign(score=2.0)

    with pytest.raises(DatasetError, match="score is above 1"):
        dataset.save(TableParts(parts))
    pd.testing.assert_frame_equal(dataset.load(), world.members["m0"])
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_faults_name_the_file_and_the_images(world, tmp_path):
    path = tmp_path / "a.parquet"
    world.members["m0"].assign(score=2.0).to_parquet(path, index=False)
    with pytest.raises(TableError, match=r"a\.parquet: images \d+ to \d+: row 0: score is above 1"):
        StoredTable(path, DETECTIONS).whole()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "no such file; make it again"),
        (lambda path: path.write_bytes(b"PAR1"), r"damaged Parquet \(.*\); make it again"),
        (lambda path: pd.DataFrame({"a": [1]}).to_parquet(path), "no column 'image_id'"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line_that_names_it(spoil, said, tmp_path):
    path = tmp_path / "a.parquet"
    DETECTIONS.empty().to_parquet(path)
    spoil(path)
    for read in (StoredTable.whole, len, lambda table: bounds_of([table])):
        with pytest.raises(TableError, match=said) as raised:
            read(StoredTable(path, DETECTIONS))
        assert str(raised.value).startswith(str(path))
        assert "\n" not in str(raised.value)


def test_faults_of_a_part_say_where_its_rows_are_counted_from(world, tmp_path, monkeypatch):
    monkeypatch.setattr(stored_tables, "ROWS_AT_A_TIME", 50)
    table = world.members["m0"].sort_values("image_id", ignore_index=True)
    last = table["image_id"].max()
    table.loc[table.index[-1], ["x_min", "x_max"]] = [50.0, 20.0]
    table.to_parquet(tmp_path / "a.parquet", index=False)
    fused = in_parts(
        partial(fuse, BoxFusion.model_validate({})),
        {"m0": StoredTable(tmp_path / "a.parquet", DETECTIONS)},
    )
    said = rf"^from image \d+ on: m0: row \d+, image {last}: x_min 50 is above x_max 20; "
    with pytest.raises(EnsemblingError, match=said):
        list(fused)


def test_truth_without_an_object_is_refused_by_parts_too(stored, tmp_path):
    truth, members = stored
    every = truth.whole().annotations.assign(iscrowd=True)
    crowds = Annotations(truth.images.whole(), every, truth.categories)
    write_tables(crowds, tmp_path / "crowds")
    with pytest.raises(EvaluationError, match="no object on any of the 25 images"):
        evaluate(
            BoxMetric.model_validate({}), StoredAnnotations(tmp_path / "crowds"), members["m0"]
        )
    assert not is_labelled(StoredAnnotations(tmp_path / "crowds"))


def test_a_node_by_parts_is_given_parts_and_another_one_the_whole(stored, tmp_path):
    truth, _ = stored
    given = {}

    @by_parts
    def by_part(annotations: Annotations, boxes: Detections) -> str:
        given["parts"] = annotations, boxes
        return "a"

    def at_once(annotations: Annotations, boxes: Detections, after: str) -> str:
        given["whole"] = annotations, boxes
        return after

    catalog = DataCatalog(
        {
            "annotations": AnnotationsDataset(filepath=truth.folder),
            "boxes": TableDataset(table="detections", filepath=tmp_path / "m0.parquet"),
        }
    )
    nodes = [
        node(by_part, ["annotations", "boxes"], "one"),
        node(at_once, ["annotations", "boxes", "one"], "two"),
    ]
    hooks = _create_hook_manager()
    hooks.register(PartsHooks())
    SequentialRunner().run(Pipeline(nodes), catalog, hooks)
    assert [type(own) for own in given["parts"]] == [StoredAnnotations, StoredTable]
    assert [type(own) for own in given["whole"]] == [Annotations, pd.DataFrame]
    assert isinstance(catalog.load("boxes"), pd.DataFrame)
    assert stored_tables.is_by_parts(SCORE["det"])
    assert not stored_tables.is_by_parts(SCORE["cls"])
