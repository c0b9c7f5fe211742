"""Before a run starts it says what it will do and take."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil

import pytest

from fingerprints.small_project import Project, model
from recycling.fingerprints import (
    ContentCache,
    Graph,
    Records,
    forecast,
    nodes_to_run,
    states,
)


@pytest.fixture(autouse=True)
def told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "recycling")


def graph_of(project: Project) -> Graph:
    return Graph(*project.graph(), ContentCache(project.made / "content.json"))


def with_seconds(project: Project, **seconds: float) -> Records:
    """The records as if nodes had taken so long: each name begins an output's."""
    records = Records(project.made)
    for name in records.names():
        record = records.read(name)
        took = next((s for key, s in seconds.items() if key in name), 0.0)
        records.write(name, dataclasses.replace(record, seconds=took), {})
    return records


def test_a_first_run_says_that_nothing_is_known(tmp_path, caplog):
    project = Project(tmp_path)
    project.run(only_missing=False)
    (line,) = [text for text in caplog.messages if " nodes, " in text]
    assert line.startswith("9 nodes, 2 trainings; time unknown, as none of them has run here yet; ")
    assert line.endswith(" are free")


def test_a_later_run_takes_as_long_as_its_nodes_took_and_writes_as_much(project):
    project.run(only_missing=False)
    records = with_seconds(project, **{"a.fold0.checkpoint": 100, "submission": 20})
    graph = graph_of(project)
    expected = forecast(graph, records, graph.pipeline.nodes)
    written = [f for f in (project.folder / "data").rglob("*") if ".made" not in f.parts]
    assert expected.seconds == 120
    assert expected.size == sum(file.stat().st_size for file in written if file.is_file())
    assert (expected.nodes, expected.trainings, expected.unknown) == (9, 2, ())
    assert expected.more == 0
    assert expected.free == pytest.approx(shutil.disk_usage(project.folder).free, rel=0.05)
    assert "about 2 minutes as before; writes about " in str(expected)


def test_with_only_missing_outputs_only_what_will_run_counts(project, caplog):
    project.run(only_missing=False)
    (project.folder / "data/submission.csv").unlink()
    caplog.clear()
    assert project.run() == ["submit"]
    (line,) = [text for text in caplog.messages if " node, " in text]
    assert line.startswith("1 node, no trainings; about 1 second as before; ")
    caplog.clear()
    assert project.run() == []
    assert not [text for text in caplog.messages if " nodes, " in text]


def test_what_is_told_is_what_runs(project):
    project.run(only_missing=False)
    project.models["a"] = model(epochs=24)
    graph = graph_of(project)
    nodes = nodes_to_run(graph, states(graph, Records(project.made)))
    told = [node.name for node in nodes]
    assert told == ["a.select", "a.train", "a.predict", "fuse", "submit"]
    assert project.run() == ["train a", "predict a", "fuse", "submit"]


def test_twice_the_epochs_take_twice_as_long(project):
    project.run(only_missing=False)
    records = with_seconds(project, **{"a.fold0.checkpoint": 100})
    project.models["a"] = model(epochs=24)
    graph = graph_of(project)
    assert forecast(graph, records, graph.pipeline.nodes).seconds == 200


def test_another_fold_takes_as_long_as_the_one_that_is_known(project):
    project.run(only_missing=False)
    records = with_seconds(project, **{"a.fold0.checkpoint": 100})
    for file in ("cls.a.fold0.checkpoint.json",):
        (project.made / file).rename(project.made / file.replace("fold0", "fold3"))
    graph = graph_of(project)
    expected = forecast(graph, records, graph.pipeline.nodes)
    assert (expected.seconds, expected.unknown) == (100, ())


def test_without_a_record_a_checkpoint_says_how_long_it_took(project):
    project.run(only_missing=False)
    for record in project.made.glob("*.json"):
        record.unlink()
    facts = project.folder / "data/a/checkpoint/checkpoint.json"
    content = json.loads(facts.read_text())
    more = {"seconds": 50.0, "peak_megabytes": 2048.0, "peak_megabytes_of": "GPU"}
    facts.write_text(json.dumps({**content, **more}))
    graph = graph_of(project)
    expected = forecast(graph, Records(project.made), graph.pipeline.nodes)
    assert (expected.seconds, expected.gpu_peak) == (50, 2048)
    assert "a.train" not in expected.unknown
    assert {"b.train", "a.predict", "submit"} <= set(expected.unknown)


def test_outputs_that_exceed_what_is_free_do_not_fit(project):
    project.run(only_missing=False)
    graph = graph_of(project)
    expected = forecast(graph, Records(project.made), graph.pipeline.nodes)
    assert expected.fits
    assert not dataclasses.replace(expected, more=2, free=1).fits
