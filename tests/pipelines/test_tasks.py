"""Node functions that all tasks share take the types of the task that they are for."""

from __future__ import annotations

from pathlib import Path

from kedro.validation import TypeExtractor

from recycling.pipelines import ensembling
from recycling.pipelines.tasks import FORMAT, METRIC
from recycling.plan import FUSION, TASKS, read_plan


def test_every_parameter_is_validated_as_what_its_task_takes():
    plan = read_plan({}, "models.yml", {task: {"team": Path("team.csv")} for task in TASKS})
    pipelines = {"ensembling": ensembling.create_pipeline(plan)}
    types = TypeExtractor(pipelines).extract_types_from_pipelines()
    kinds = {"ensembling": FUSION, "evaluation": METRIC, "submission": FORMAT}
    assert types == {f"{kind}.{task}": kinds[kind][task] for kind in kinds for task in TASKS}
