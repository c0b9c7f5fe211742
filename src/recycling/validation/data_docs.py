"""Great Expectations run in memory, and what it found written as a static site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from recycling.files import new_folder
from recycling.progress import track
from recycling.validation.expectations import Expected, expectation_suites
from recycling.validation.findings import LISTED_ROWS, Finding, findings
from recycling.validation.front_page import front_page

if TYPE_CHECKING:
    from great_expectations.data_context import EphemeralDataContext


def check_tables(
    name: str,
    tables: Mapping[str, pd.DataFrame],
    expected: Sequence[Expected],
    data_docs: Path | None,
) -> list[Finding]:
    """Check tables against what is expected of them, and write a site of what came out.

    Nothing is asked of, or told to, the network.

    Args:
        name: What is checked; it is shown while it runs, and names the run in the site.
        tables: The tables, by name, with rows that count from 0.
        expected: What is expected of them.
        data_docs: The site's folder, replaced as a whole; None writes no site.

    Returns:
        A finding for each thing expected, in that order.
    """
    from great_expectations import RunIdentifier, ValidationDefinition

    context = _context_in_memory(name)
    source = context.data_sources.add_pandas(name)
    run = RunIdentifier(run_name=name)
    suites = expectation_suites(expected)
    results = {}
    for table in track(list(suites), "validating"):
        asset = source.add_dataframe_asset(table)
        definition = ValidationDefinition(
            name=table,
            data=asset.add_batch_definition_whole_dataframe("all"),
            suite=context.suites.add(suites[table]),
        )
        results[table] = context.validation_definitions.add(definition).run(
            batch_parameters={"dataframe": tables[table]},
            # The places of the rows are asked for, not their ids: ids are looked up one by one,
            # for every row that failed, which takes 20 s for half a million.
            result_format={
                "result_format": "SUMMARY",
                "partial_unexpected_count": LISTED_ROWS,
            },
            run_id=run,
        )
    found = findings(tables, expected, results)
    if data_docs is not None:
        _write_site(context, name, found, data_docs)
    return found


def _context_in_memory(name: str) -> EphemeralDataContext:
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    config = DataContextConfig(
        config_variables_file_path=None,
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        data_docs_sites={},
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _write_site(
    context: EphemeralDataContext, name: str, found: Sequence[Finding], folder: Path
) -> None:
    with new_folder(folder) as built:
        context.add_data_docs_site(
            name,
            {
                "class_name": "SiteBuilder",
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
                "show_how_to_buttons": False,
                "store_backend": {
                    "class_name": "TupleFilesystemStoreBackend",
                    "base_directory": str(built),
                },
            },
        )
        context.build_data_docs(site_names=[name], build_index=False)
        pages = {
            page.relative_to(built).parts[1]: page.relative_to(built).as_posix()
            for page in sorted(built.glob("validations/**/*.html"))
        }
        (built / "index.html").write_text(front_page(name, found, pages), encoding="utf-8")
