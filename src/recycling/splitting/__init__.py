"""Folds: balanced on several axes at once, groups whole, and measured."""

from typing import TYPE_CHECKING, Any

from recycling.splitting.axes import AXES, Axis, balance_columns
from recycling.splitting.balance import (
    BALANCE,
    MAX_DEVIATION,
    Balance,
    balance_table,
    check_leaks,
    max_deviation,
)
from recycling.splitting.core import FOLDS, Folds, SplitError, Splitting, make_folds

if TYPE_CHECKING:
    from recycling.splitting.group_kfold import MultilabelStratifiedGroupKFold

__all__ = [
    "AXES",
    "BALANCE",
    "FOLDS",
    "MAX_DEVIATION",
    "Axis",
    "Balance",
    "Folds",
    "MultilabelStratifiedGroupKFold",
    "SplitError",
    "Splitting",
    "balance_columns",
    "balance_table",
    "check_leaks",
    "make_folds",
    "max_deviation",
]


def __getattr__(name: str) -> Any:
    # A splitter is a class of scikit-learn, which takes a second to import.
    if name == "MultilabelStratifiedGroupKFold":
        from recycling.splitting.group_kfold import MultilabelStratifiedGroupKFold

        return MultilabelStratifiedGroupKFold
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
