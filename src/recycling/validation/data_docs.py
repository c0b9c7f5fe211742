"""Great Expectations run in memory, and its results written as a static site."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from recycling.progress import track

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.data_context import EphemeralDataContext

# Rows that the site lists under an expectation that failed; the others are counted.
_LISTED_ROWS = 20


def check_tables(
    name: str,
    tables: Mapping[str, pd.DataFrame],
    suites: Mapping[str, ExpectationSuite],
    keys: Mapping[str, str],
    data_docs: Path | None,
) -> dict[str, ExpectationSuiteValidationResult]:
    """Check each table against its suite, and write what came out as a site of HTML pages.

    Nothing is asked of, or told to, the network.

    Args:
        name: What is checked; it is shown while it runs, and names the run in the site.
        tables: The tables, by name.
        suites: What is expected of each.
        keys: The column of each table whose value names a row.
        data_docs: The site's folder, replaced as a whole; None writes no site.

    Returns:
        The results, by the table's name.
    """
    from great_expectations import RunIdentifier, ValidationDefinition

    context = _context_in_memory(name)
    source = context.data_sources.add_pandas(name)
    run = RunIdentifier(run_name=name)
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
            result_format={
                "result_format": "SUMMARY",
                "unexpected_index_column_names": [keys[table]],
                "partial_unexpected_count": _LISTED_ROWS,
            },
            run_id=run,
        )
    if data_docs is not None:
        _write_site(context, name, data_docs)
    return results


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


def _write_site(context: EphemeralDataContext, name: str, folder: Path) -> None:
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        built = Path(scratch, "site")
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
        context.build_data_docs(site_names=[name])
        if folder.exists():
            folder.rename(Path(scratch, "previous"))
        built.rename(folder)
