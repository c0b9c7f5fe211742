"""What a run was, what came out of it in a few lines, and what it took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

import pandas as pd
from markupsafe import Markup

from recycling.errors import listed
from recycling.experiments import Manifest, by_chain
from recycling.reporting.pages import render_heading, render_list, render_table
from recycling.reporting.scores import TITLES, Summary, ranked

_STEPS = 15  # that took longest
_WARNINGS = 30


def outcome(run: Manifest, summary: Summary, submissions: Mapping[str, str]) -> list[Markup]:
    """What was run and what came out.

    Args:
        run: Of the run that has ended last.
        summary: The scores by task, of this run or one before it.
        submissions: Where those of the final ensembles are, by task.
    """
    lines = [_what_ran(run), *_what_did_not(run), _where(run)]
    lines += [_best(task, summary) for task in TITLES if task in summary]
    if submissions:
        said = ", ".join(f"{TITLES[task]} {path}" for task, path in submissions.items())
        lines.append(f"submissions: {said}")
    return [render_list(lines)]


def took(run: Manifest) -> list[Markup]:
    """The steps of a run that took longest, by task, and what it warned of."""
    pieces = [render_list(_totals(run))]
    if run.nodes:
        rows = pd.DataFrame(
            [(node.name, node.seconds / 60, node.memory_mb) for node in run.nodes],
            columns=["step", "minutes", "memory until then, MiB"],
        )
        longest = rows.sort_values("minutes", ascending=False, kind="stable").head(_STEPS)
        formats = {"minutes": ".2f", "memory until then, MiB": ",.0f"}
        pieces.append(render_table(longest, formats))
    if run.warnings:
        pieces.append(render_heading(f"{len(run.warnings):,} warnings"))
        pieces.append(render_list(line.rstrip(".") for line in run.warnings[:_WARNINGS]))
    return pieces


def _what_ran(run: Manifest) -> str:
    asked = " ".join(
        f"--{_option(key)}" if value is True else f"--{_option(key)} {_words(value)}"
        for key, value in run.asked.items()
    )
    started = datetime.fromisoformat(run.started)
    minutes = "" if run.minutes is None else f", {run.minutes:.1f} minutes"
    end = f", {run.state}: {run.error}" if run.error and not run.failed else ""
    return (
        f"{f'kedro run {asked}'.strip()} on {started:%Y-%m-%d at %H:%M} UTC{minutes}: "
        f"{len(run.nodes)} steps, {run.up_to_date} outputs were up to date{end}"
    )


def _what_did_not(run: Manifest) -> Iterator[str]:
    for name, why in run.failed.items():
        yield f"{name} failed: {why}"
    if run.skipped:
        yield f"skipped, as it needs what failed: {'; '.join(by_chain(run.skipped))}"


def _option(key: str) -> str:
    """What an option of Kedro's session is called on the command line."""
    called = {"pipeline_names": "pipelines", "node_names": "nodes", "runtime_params": "params"}
    return called.get(key, key).replace("_", "-")


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{key}={each}" for key, each in value.items())
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _where(run: Manifest) -> str:
    commit = "no commit of git"
    if run.commit is not None:
        state = "as it is there" if run.is_clean else f"with changes in {listed(run.changed, 3)}"
        commit = f"commit {run.commit[:10]}, {state}"
    machine = run.machine
    parts = [
        f"{machine['cores']} cores" if "cores" in machine else "",
        f"{machine['memory_gb']:g} GB" if "memory_gb" in machine else "",
        str(machine.get("accelerator", "no GPU in use")),
    ]
    return f"{commit}; {', '.join(part for part in parts if part)}"


def _best(task: str, summary: Summary) -> str:
    scores = summary[task]
    rows = [row for row in ranked(scores) if row.score is not None]
    if not rows:
        return f"{TITLES[task]}: the test images have no labels, so nothing is scored on them"
    final = next(row for row in rows if row.name == "ensemble")
    best = next((row for row in rows if row.kind == "member"), None)
    beside = "" if best is None else f"; the best model, {best.name}, {best.score:.4f}"
    between = "" if final.interval is None else " ({:.3f} to {:.3f})".format(*final.interval)
    return (
        f"{TITLES[task]}: the final ensemble has {scores['metric']} {final.score:.4f}{between} on "
        f"the test images{beside}"
    )


def _totals(run: Manifest) -> Iterator[str]:
    if run.minutes is not None:
        yield f"{run.minutes:.1f} minutes"
    if run.memory_mb is not None:
        yield f"at most {run.memory_mb:,.0f} MiB of memory"
    for task, title in TITLES.items():
        own = [node.seconds for node in run.nodes if node.name.startswith(f"{task}.")]
        training = [
            node.seconds
            for node in run.nodes
            if node.name.startswith(f"{task}.") and node.name.endswith(".train")
        ]
        if own:
            yield f"{title}: {sum(own) / 60:.1f} minutes, {sum(training) / 60:.1f} of them training"
