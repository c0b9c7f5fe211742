"""Train the detectors, and let them predict."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from recycling.pipelines import training
from recycling.plan import Plan


def create_pipeline(plan: Plan) -> Pipeline:
    """The chains of every model and fold."""
    return training.create_pipeline(plan, "det")
