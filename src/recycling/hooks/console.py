"""What runs, and what came out, on the console."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from rich.console import Console
from rich.markup import escape

from recycling.datasets import FigureDataset, ImageDataset, PathDataset
from recycling.errors import PrintableFormatter, printable
from recycling.experiments import by_chain
from recycling.hooks.report import REPORT, SUMMARY, shown_place
from recycling.runners import NodesFailedError


class ConsoleHooks:
    """Says what runs, and shows the outcome."""

    def __init__(self) -> None:
        self._console = Console()
        # Kedro lets no `logging.yml` name a class of the project.
        for handler in logging.getLogger().handlers:
            if handler.formatter is None:
                handler.setFormatter(PrintableFormatter())
        self._done = 0
        self._total = 0
        self._is_worker = False

    @hook_impl
    def before_run_on_worker(self) -> None:
        """Leave the screen to whoever leads the run."""
        self._is_worker = True

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Count the nodes."""
        self._done, self._total = 0, len(pipeline.nodes)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Name the node."""
        if not self._is_worker:
            self._count(escape(node.name))

    @hook_impl
    def after_node_returned(self, node: Node, notes: Mapping[str, Any], worker: str) -> None:
        """Name a node that a worker has run, and how long it took."""
        if "manifest" in notes:
            took = f"{worker}, {notes['manifest']['seconds']:.1f} s"
            self._count(f"{escape(node.name)} [dim]{escape(took)}[/dim]")

    def _count(self, text: str) -> None:
        self._done += 1
        self._console.print(f"[dim]{self._done:>3}/{self._total}[/dim] {text}", highlight=False)

    @hook_impl
    def on_pipeline_error(self, error: Exception, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """List what failed, and what was skipped for it."""
        if not isinstance(error, NodesFailedError):
            return
        self._list("Failed:", error.reasons)
        self._list("Skipped, as it needs what failed:", by_chain(error.skipped))
        self._show_report(catalog)

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Show every score, what pseudo-labels did, and where images, pages and the report are."""
        made = sorted(pipeline.all_outputs())
        if any(name.endswith(".scores") for name in made) and SUMMARY in catalog:
            from recycling.reporting import scores_table

            self._console.print(scores_table(catalog.load(SUMMARY)))
        for name in made:
            if name.endswith(".pseudo_effect"):
                sentence = catalog.load(name)["sentence"]
                self._say(sentence)
            if name.startswith("study.") and name.endswith(".summary"):
                for sentence in catalog.load(name)["sentences"]:
                    self._say(sentence)
        stored = [dataset for name in made if isinstance(dataset := catalog.get(name), PathDataset)]
        images = [each for each in stored if isinstance(each, ImageDataset | FigureDataset)]
        pages = [each for each in stored if each.filepath.suffix == ".html"]
        for title, datasets in (("Images:", images), ("Pages:", pages)):
            self._list(
                title, [place for each in datasets if (place := shown_place(each)) is not None]
            )
        self._show_report(catalog)

    def _list(self, title: str, lines: Sequence[str]) -> None:
        if lines:
            self._console.print(title)
        for line in lines:
            self._say(f"  {line}")

    def _say(self, line: str) -> None:
        """Names in a line are text, whatever brackets they have."""
        self._console.print(
            printable(line), highlight=False, markup=False, emoji=False, soft_wrap=True
        )

    def _show_report(self, catalog: DataCatalog) -> None:
        report = catalog.get(REPORT)
        if isinstance(report, PathDataset) and (place := shown_place(report)) is not None:
            self._say(f"Report: {place}")
