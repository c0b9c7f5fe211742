"""What a person decides on candidates for label errors: accepted ones are what cleaning reads."""

from __future__ import annotations

from typing import Literal

from kedro.io import DataCatalog

from recycling.annotations.cleaning.corrections import Corrections
from recycling.annotations.cleaning.rules.correct_annotations import Correction

Decision = Literal["accepted", "rejected"]

STORED: dict[Decision, str] = {
    "accepted": "train.corrections",
    "rejected": "train.rejected_corrections",
}
"""The dataset of each; the rule `correct_annotations` applies the accepted ones."""


class Decisions:
    """What is decided, as it is stored: others may change the files meanwhile.

    Args:
        catalog: Where they are stored.
    """

    def __init__(self, catalog: DataCatalog) -> None:
        self.catalog = catalog

    def all(self) -> dict[Correction, Decision]:
        """Each entry and what is decided on it."""
        return {
            entry: decision for decision, name in STORED.items() for entry in self._of(name).entries
        }

    def decide(self, entry: Correction, decision: Decision | None) -> None:
        """Store a decision, whole or not at all.

        Args:
            entry: What is decided on.
            decision: None takes back what was decided.
        """
        for own, name in STORED.items():
            before = self._of(name)
            after = before.without(entry)
            if own == decision:
                after = Corrections((*after.entries, entry))
            if after != before:
                self.catalog.save(name, after)

    def _of(self, name: str) -> Corrections:
        found: Corrections = self.catalog.load(name)
        return found
