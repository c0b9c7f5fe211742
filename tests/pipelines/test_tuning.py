"""What each training of a search is told."""

from __future__ import annotations

from backends.tiny_trainings import model_of
from recycling.pipelines.tuning import model_of_trial


def test_a_training_that_is_longer_than_the_base_comes_to_its_end():
    tried = model_of_trial(model_of("mmdet", epochs=2), {"epochs": 8})
    assert tried.epochs == 8
    assert tried.early_stopping.patience == 8


def test_a_patience_of_the_bases_own_stays():
    base = model_of("mmdet", epochs=2, early_stopping={"patience": 1})
    assert model_of_trial(base, {"epochs": 8}).early_stopping.patience == 1
