"""Folds: balanced on several axes at once, groups whole, and measured."""

from typing import TYPE_CHECKING, Any

from recycling.splitting.axes import AXES, DEFAULT_AXES, Axis, balance_columns
from recycling.splitting.balance import (
    BALANCE,
    MAX_DEVIATION,
    Balance,
    Deviations,
    balance_table,
    max_deviation,
)
from recycling.splitting.core import FOLDS, Folds, SplitError, fold_of_image
from recycling.splitting.folds import make_folds
from recycling.splitting.leaks import check_leaks
from recycling.splitting.methods.hold_out import HoldOut
from recycling.splitting.settings import Splitting
from recycling.splitting.shift.adversarial import (
    SHIFT,
    TEST_LIKENESS,
    AdversarialValidation,
    Shift,
    ShiftFeatures,
    ShiftSummary,
    TestLikeness,
    adversarial_validation,
)

if TYPE_CHECKING:
    from recycling.splitting.group_kfold import MultilabelStratifiedGroupKFold

__all__ = [
    "AXES",
    "BALANCE",
    "DEFAULT_AXES",
    "FOLDS",
    "MAX_DEVIATION",
    "SHIFT",
    "TEST_LIKENESS",
    "AdversarialValidation",
    "Axis",
    "Balance",
    "Deviations",
    "Folds",
    "HoldOut",
    "MultilabelStratifiedGroupKFold",
    "Shift",
    "ShiftFeatures",
    "ShiftSummary",
    "SplitError",
    "Splitting",
    "TestLikeness",
    "adversarial_validation",
    "balance_columns",
    "balance_table",
    "check_leaks",
    "fold_of_image",
    "make_folds",
    "max_deviation",
]


def __getattr__(name: str) -> Any:
    # A splitter is a class of scikit-learn, which takes a second to import.
    if name == "MultilabelStratifiedGroupKFold":
        from recycling.splitting.group_kfold import MultilabelStratifiedGroupKFold

        return MultilabelStratifiedGroupKFold
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
