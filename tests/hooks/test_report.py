"""The report at the end of a run is written from what there is, and never costs the run."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node

from recycling.datasets import JsonDataset, RunsDataset, TextDataset
from recycling.experiments import Manifest, ManifestFolder, NodeRun
from recycling.hooks import ConsoleHooks, ReportHooks
from recycling.hooks.report import OWN_FAULT
from recycling.reporting.pages import render_page


def write_page() -> str:
    """Write a page on the data."""
    return render_page("Data", [])


GRAPH = Pipeline([node(write_page, None, "data_report")])


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataCatalog:
    """What is there after a run that has written the page on the data."""
    pipelines = {"__default__": GRAPH, "label_errors": Pipeline([])}
    monkeypatch.setattr("recycling.hooks.report.pipelines", pipelines)
    catalog = DataCatalog(
        {
            "data_report": TextDataset(filepath=tmp_path / "data.html"),
            "report": TextDataset(filepath=tmp_path / "report.html"),
            "run_manifests": RunsDataset(filepath=tmp_path / "runs"),
        }
    )
    catalog.save("data_report", write_page())
    run = ManifestFolder(tmp_path / "runs/2026-01-02T03.04.05.000Z")
    run.path.mkdir(parents=True)
    run.write(Manifest(run.path.name, {}, "2026-01-02T03:04:05+00:00", state="completed"))
    return catalog


def test_sentences_are_printed_with_the_brackets_of_names(tmp_path, capsys):
    effect = JsonDataset(filepath=tmp_path / "effect.json")
    effect.save({"sentence": "Plastic [clear] and [/x] have more"})
    catalog = DataCatalog({"det.pseudo_effect": effect})
    graph = Pipeline([node(write_page, None, "det.pseudo_effect")])
    ConsoleHooks().after_pipeline_run(graph, catalog)
    assert capsys.readouterr().out == "Plastic [clear] and [/x] have more\n"


def test_the_report_is_made_of_the_pages_that_there_are(catalog):
    ReportHooks().after_pipeline_run({}, GRAPH, catalog)
    assert "2026-01-02 at 03:04 UTC" in catalog.load("report")


def test_what_makes_a_page_is_of_the_environment_that_was_run(catalog, tmp_path):
    (tmp_path / "data.html").unlink()
    ReportHooks().after_pipeline_run({"env": "mine"}, GRAPH, catalog)
    assert "kedro run --env mine --pipelines data_cleaning" in catalog.load("report")


def test_a_run_that_had_nothing_to_do_does_not_take_the_place_of_the_one_before(catalog, tmp_path):
    for name, nodes in (("2026-01-03", (NodeRun("write_page", 1.0, (), 9.0),)), ("2026-01-04", ())):
        later = ManifestFolder(tmp_path / f"runs/{name}T03.04.05.000Z")
        later.path.mkdir()
        started = f"{name}T03:04:05+00:00"
        later.write(Manifest(later.path.name, {}, started, state="completed", nodes=nodes))
    ReportHooks().after_pipeline_run({}, GRAPH, catalog)
    assert "2026-01-03 at 03:04 UTC" in catalog.load("report")


def test_a_damaged_page_costs_the_report_and_is_one_line(catalog, tmp_path, caplog):
    (tmp_path / "data.html").write_bytes(b"\xff")
    ReportHooks().after_pipeline_run({}, GRAPH, catalog)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message.startswith("report: could not be written: ")
    assert "data.html" in record.message
    assert record.exc_info is None
    assert not catalog.exists("report")


def test_a_fault_of_the_program_is_told_with_its_place(catalog, tmp_path, caplog):
    (tmp_path / "runs/2026-01-02T03.04.05.000Z/manifest.json").unlink()
    ReportHooks().after_pipeline_run({}, GRAPH, catalog)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert OWN_FAULT in record.message
    assert "hooks/report.py" in caplog.text
