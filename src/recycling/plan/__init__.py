"""What `models.yml` and the parameters say, resolved into plain records before anything runs."""

from recycling.plan.crops import Crops
from recycling.plan.ensembles import FUSION, Ensemble, Search
from recycling.plan.models import start_of
from recycling.plan.parameters import ParameterError, PlanError
from recycling.plan.read import read_plan
from recycling.plan.records import (
    FINAL,
    TASKS,
    TEACHER,
    CropPlan,
    EnsemblePlan,
    ExternalMember,
    Member,
    Plan,
    PseudoLabelPlan,
    SearchPlan,
    TrainingPlan,
)

__all__ = [
    "FINAL",
    "FUSION",
    "TASKS",
    "TEACHER",
    "CropPlan",
    "Crops",
    "Ensemble",
    "EnsemblePlan",
    "ExternalMember",
    "Member",
    "ParameterError",
    "Plan",
    "PlanError",
    "PseudoLabelPlan",
    "Search",
    "SearchPlan",
    "TrainingPlan",
    "read_plan",
    "start_of",
]
