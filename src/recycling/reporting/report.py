"""The report at the end of a run: one page that answers what a reader asks, and shows why."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from recycling.experiments import Manifest
from recycling.reporting.pages import as_part, render_list, render_page
from recycling.reporting.sections.answers import Results, answers
from recycling.reporting.sections.run import outcome, took


def run_report(
    run: Manifest,
    results: Results,
    pages: Mapping[str, str],
    missing: Mapping[str, str],
    old: Mapping[str, str],
    submissions: Mapping[str, str],
) -> str:
    """The report at the end of a run.

    Args:
        run: What it was.
        results: What it and those before it have left.
        pages: The pages on its steps by heading, in order.
        missing: The headings of those that are not there, each with what makes it.
        old: The headings of those that were made of what has been made anew since, each with what
            makes it anew.
        submissions: Where those of the final ensembles are, by task.

    Returns:
        A page of HTML in UTF-8 that loads nothing.
    """
    absent = [f"{heading}: {command}" for heading, command in missing.items()]
    panels = [
        ("What was run, and what came out", outcome(run, results.summary, submissions)),
        ("In short", answers(results)),
        *((heading, [*_age(old.get(heading)), as_part(page)]) for heading, page in pages.items()),
        ("What it took", took(run)),
        ("What is not here, and what makes it", [render_list(absent)] if absent else []),
    ]
    filled: list[tuple[str, list[Markup]]] = [(heading, own) for heading, own in panels if own]
    return render_page("Report", filled, contents=True)


def _age(command: str | None) -> list[Markup]:
    """That a page is older than what it shows, if it is."""
    said = f"Some of what this shows has been made anew since: {command} brings it up to date"
    return [] if command is None else [render_list([said])]
