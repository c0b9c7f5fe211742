"""A fresh clone runs on the outputs that the repository ships."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from recycling.datasets import PathDataset
from recycling.datasets.core import OptionalPathDataset

logger = logging.getLogger(__name__)


class SampleHooks:
    """Lets a fresh clone run on the outputs that the repository ships.

    They lie below ``sample/`` as a run would leave them below ``data/``. They are used only where
    nothing has been made yet of what other pipelines give to this one: own and shipped results are
    never mixed.
    """

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the project is."""
        self.project_path = Path(context.project_path)

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Point the run's inputs to the shipped sample where `data/` holds none of them."""
        if {"train.images", "pool.images"} & pipeline.inputs():
            return  # the sample holds predictions, and no image that could be trained on
        data, sample = self.project_path / "data", self.project_path / "sample"
        needed = {
            name: dataset
            for name in pipeline.inputs()
            if isinstance(dataset := catalog.get(name), PathDataset)
            and not isinstance(dataset, OptionalPathDataset)
            and dataset.filepath.is_relative_to(data)
        }
        shipped = {
            name: dataset.at(sample / dataset.filepath.relative_to(data))
            for name, dataset in needed.items()
        }
        made = pipelines["__default__"].all_outputs() & needed.keys()
        if not made or any(needed[name].exists() for name in made):
            return
        if all(dataset.exists() for dataset in shipped.values()):
            logger.warning(
                "data/ holds nothing that this run needs: it starts from the predictions in sample/"
            )
            with _quiet("kedro.io.data_catalog"):  # it warns of every dataset that is replaced
                for name, dataset in shipped.items():
                    catalog[name] = dataset


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Without the warnings of a logger."""
    named = logging.getLogger(name)
    level = named.level
    named.setLevel(logging.ERROR)
    try:
        yield
    finally:
        named.setLevel(level)
