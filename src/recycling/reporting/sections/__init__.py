"""The pages on the steps of a run, a file each; the report at its end is made of them."""

from recycling.reporting.sections.data import cleaning_panel, data_page
from recycling.reporting.sections.ensembles import ensembles_page
from recycling.reporting.sections.folds import folds_page
from recycling.reporting.sections.models import Training, models_page

__all__ = [
    "Training",
    "cleaning_panel",
    "data_page",
    "ensembles_page",
    "folds_page",
    "models_page",
]
