"""What a study says of its changes."""

from __future__ import annotations

import pandas as pd
import pytest

from recycling.experiments import StudyArms, summarise_study
from recycling.experiments.effect import Effect


def effect(name: str, p: float | None) -> Effect:
    told = "better" if p is not None else "the same"
    sentence = f"{name}: +0.1 mAP50 [0.05, 0.15]: {told}"
    return {"sentence": sentence, "p": p, "difference": 0.1, "low": 0.05, "high": 0.15}


@pytest.mark.parametrize(
    ("p_values", "said"),
    [
        ([0.01], ["better"]),
        ([0.01, None], ["better", "the same"]),
        (
            [0.01, 0.04, None],
            [
                "better (corrected for 2 changes)",
                "better (corrected for 2 changes)",
                "the same",
            ],
        ),
        (
            [0.03, 0.04],
            ["cannot be told from chance (corrected for 2 changes)"] * 2,
        ),
    ],
)
def test_verdicts_are_corrected_for_the_changes_of_which_something_is_known(p_values, said):
    names = [f"arm{number}" for number in range(len(p_values))]
    arms = pd.DataFrame({"arm": ["base", *names], "weights": "none"})
    arms = arms.assign(
        settings=1, seeds=2, score=0.5, deviation=0.01, minutes=1, images_per_second=5, steps=10
    )
    effects = {name: effect(name, p) for name, p in zip(names, p_values, strict=True)}
    summary = summarise_study("yolox", "mAP50", effects, [], StudyArms(arms), folds=(1, 0))
    assert summary["noise"] is not None
    assert summary["noise"]["folds"] == [0, 1]
    assert [line.rpartition("]: ")[2] for line in summary["sentences"]] == said
