"""The manifest of a run whose nodes run at once, whose inputs change, or whose store is away."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node

from fingerprints.small_project import Project, Ran
from recycling.addresses import set_options
from recycling.datasets import JsonDataset, MetricsDataset, TextDataset
from recycling.evaluation import Metrics
from recycling.experiments import Runs
from recycling.runners import KeepGoingRunner, KeepGoingThreadRunner, NodesFailedError
from s3_server import options

MANY = 60


def scored(score: float) -> Metrics:
    return Metrics("mAP50", score, {f"class {n}": score for n in range(50)}, {})


class OneGraph(Project):
    """A project whose graph is given."""

    def __init__(self, folder: Path, nodes: list, datasets: dict) -> None:
        super().__init__(folder)
        self.nodes, self.datasets = nodes, datasets

    def graph(self, ran: Ran | None = None) -> tuple[Pipeline, DataCatalog]:
        return Pipeline(self.nodes), DataCatalog(dict(self.datasets))


@pytest.fixture
def _threads_take_turns_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_threads_take_turns_often")
def test_no_node_is_lost_or_fails_where_others_note_theirs_at_the_same_time(tmp_path):
    names = [f"{n}.metrics" for n in range(MANY)]
    nodes = [node(lambda: scored(0.5), None, name, name=name) for name in names]
    files = {name: MetricsDataset(filepath=tmp_path / f"{name}.json") for name in names}
    project = OneGraph(tmp_path, nodes, files)
    project.run(manifests=True, runner=KeepGoingThreadRunner(max_workers=16))
    (run,) = Runs(project.runs).all().values()
    assert run.state == "completed"
    assert {each.name for each in run.nodes} == set(run.scores) == set(names)


def test_a_run_keeps_what_it_took_and_not_what_another_one_has_made_since(tmp_path):
    truth = MetricsDataset(filepath=tmp_path / "truth.json")
    truth.save(scored(0.25))

    def make_another(first: dict) -> dict:  # as another run does
        truth.save(scored(0.75))
        return first

    nodes = [
        node(lambda truth: {"took": truth.score}, "truth", "first", name="first"),
        node(make_another, "first", "second", name="second"),
    ]
    made = {name: JsonDataset(filepath=tmp_path / f"{name}.json") for name in ("first", "second")}
    project = OneGraph(tmp_path, nodes, {"truth": truth, **made})
    project.run(manifests=True)
    (run,) = Runs(project.runs).all()
    kept = Runs(project.runs).folder(run).kept / "truth/truth.json"
    assert truth.at(kept).load() == scored(0.25)


def test_a_run_whose_store_is_away_says_what_failed_and_was_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr("recycling.s3._ATTEMPTS", 1)
    monkeypatch.setitem(fsspec.config.conf, "s3", {})
    set_options({"s3": options(1)})  # where nothing answers
    nodes = [
        node(str.upper, "there", "here", name="first"),
        node(str.lower, "here", "end", name="second"),
    ]
    files = {
        "there": TextDataset(filepath="s3://bucket/there.txt"),
        "here": TextDataset(filepath=tmp_path / "here.txt"),
        "end": TextDataset(filepath=tmp_path / "end.txt"),
    }
    project = OneGraph(tmp_path, nodes, files)
    with pytest.raises(NodesFailedError):
        project.run(manifests=True, runner=KeepGoingRunner(), only_missing=False)
    (run,) = Runs(project.runs).all().values()
    assert run.state == "failed"
    assert "there.txt" in run.failed["first"]
    assert run.skipped == ("second",)


@pytest.mark.parametrize("only_missing", [False, True])
def test_a_run_that_failed_has_no_score_of_what_it_did_not_come_to(tmp_path, only_missing):
    def train(asked: str) -> str:
        if asked == "more":
            raise RuntimeError("the disk is full")
        return asked

    nodes = [
        node(train, "asked", "trained", name="train"),
        node(lambda _: scored(0.5), "trained", "score", name="score"),
        node(lambda: scored(0.75), None, "another", name="another"),
    ]
    asked = TextDataset(filepath=tmp_path / "asked.txt")
    files = {
        "asked": asked,
        "trained": TextDataset(filepath=tmp_path / "trained.txt"),
        "score": MetricsDataset(filepath=tmp_path / "score.json"),
        "another": MetricsDataset(filepath=tmp_path / "another.json"),
    }
    asked.save("few")
    project = OneGraph(tmp_path, nodes, files)
    project.run(manifests=True)
    asked.save("more")
    with pytest.raises(NodesFailedError):
        project.run(manifests=True, runner=KeepGoingRunner(), only_missing=only_missing)
    first, second = Runs(project.runs).all().values()
    assert set(first.scores) == {"score", "another"}
    assert set(second.scores) == {"another"}
    assert second.up_to_date == int(only_missing)
