"""What `models.yml` and the parameters say, resolved into plain records before anything runs."""

from recycling.plan.crops import Crops
from recycling.plan.ensembles import FUSION, Ensemble, Search
from recycling.plan.models import origins, start_of, starts_from_unknown
from recycling.plan.parameters import ParameterError, PlanError
from recycling.plan.read import read_plan
from recycling.plan.records import (
    FINAL,
    TASKS,
    TEACHER,
    Arm,
    CropPlan,
    EnsemblePlan,
    ExternalMember,
    LabeledPart,
    Member,
    Plan,
    PseudoLabelPlan,
    PseudoPart,
    SearchPlan,
    StudyPlan,
    TrainingPlan,
    TuningPlan,
)

__all__ = [
    "FINAL",
    "FUSION",
    "TASKS",
    "TEACHER",
    "Arm",
    "CropPlan",
    "Crops",
    "Ensemble",
    "EnsemblePlan",
    "ExternalMember",
    "LabeledPart",
    "Member",
    "ParameterError",
    "Plan",
    "PlanError",
    "PseudoLabelPlan",
    "PseudoPart",
    "Search",
    "SearchPlan",
    "StudyPlan",
    "TrainingPlan",
    "TuningPlan",
    "origins",
    "read_plan",
    "start_of",
    "starts_from_unknown",
]
