"""`kedro tune`: a search over settings of a model, by itself or as a sweep of Weights & Biases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click
from kedro.framework.cli.utils import env_option

from recycling.cli.core import log_to_stderr, one_line_errors
from recycling.cli.experiments import print_table


@click.command()
@env_option
@click.argument("name")
@click.option("--sweep", is_flag=True, help="Print it as a sweep, which `wandb sweep` takes.")
@click.option("--settings", help="Train once, with these: JSON, as the agent of a sweep gives it.")
@one_line_errors
def tune(env: str | None, name: str, sweep: bool, settings: str | None) -> None:
    """Search the settings that NAME, a section of tuning, describes; go on if it has begun."""
    from kedro.framework.project import pipelines
    from kedro.framework.session import KedroSession

    from recycling.experiments import ExperimentError, Tuning, given_trial
    from recycling.tracking.sweeps import is_agent, log_score

    if sweep:
        log_to_stderr()
    with KedroSession.create(env=env) as created:
        session: Any = created
        context = session.load_context()
        parameters = context.config_loader["parameters"]
        known = [key.removeprefix("tune_") for key in pipelines if key.startswith("tune_")]
        if name not in known:
            listed = ", ".join(known) or "none; describe one under tuning in a parameters file"
            raise ExperimentError(f"no search {name!r}; there are {listed}")
        if sweep:
            click.echo(_as_sweep(name, parameters, context.env))
            return
        needed = pipelines[f"tune_{name}"].inputs() & pipelines["__default__"].all_outputs()
        session.run(to_outputs=sorted(needed), only_missing_outputs=True)
    given = {} if settings is None else _with_given(name, parameters["tuning"], settings)
    if is_agent():
        given["tracking"] = "none"  # the sweep's own run keeps the score
    with KedroSession.create(env=env, runtime_params=given) as created:
        session = created
        catalog = session.load_context().catalog
        session.run(pipeline_names=[f"tune_{name}"])  # it goes on, also where it has a result
        result, trials = (catalog.load(f"tuning.{name}.{kind}") for kind in ("result", "trials"))
    print_table(trials)
    if settings is not None:
        # Others may have ended theirs since.
        own = given_trial(trials, Tuning.model_validate(given["tuning"][name]))
        if own["state"] == "failed":
            raise ExperimentError(f"{name}: the training with {settings} failed; the log says why")
        if is_agent():
            log_score(result["metric"], float(own["score"]))
    click.echo(result["sentence"])
    click.echo("as an entry for models.yml:")
    click.echo(result["entry"])


def _as_sweep(name: str, parameters: Mapping[str, Any], env: str | None) -> str:
    """YAML of a sweep whose agents train by this command."""
    import yaml

    from recycling.evaluation import metric_of
    from recycling.experiments import Tuning, sweep_config
    from recycling.pipelines.tasks import METRIC

    tuning = Tuning.model_validate(parameters["tuning"][name])
    task = parameters["models"][tuning.base]["task"]
    metric = METRIC[task].model_validate((parameters.get("evaluation") or {}).get(task) or {})
    config = sweep_config(name, tuning, metric_of(metric).title, env)
    return yaml.safe_dump(config, sort_keys=False).strip()


def _with_given(name: str, tuning: Mapping[str, Any], settings: str) -> dict[str, Any]:
    """The parameters of a run that trains with some settings only."""
    from recycling.experiments import ExperimentError

    try:
        given = json.loads(settings)
    except ValueError as error:
        raise ExperimentError(
            f'--settings: not JSON ({error}); write it like {{"epochs": 12}}'
        ) from error
    return {"tuning": {**tuning, name: {**tuning[name], "given": given}}}
