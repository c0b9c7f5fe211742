"""The environments for TACO: what is trained on it, on which folds, from which weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from recycling.backends import Recipes
from recycling.configuration import ConfigLoader
from recycling.plan import Plan, read_plan
from recycling.settings import CONFIG_LOADER_ARGS

ROOT = Path(__file__).parents[2]


def plan_of(env: str) -> Plan:
    loader = ConfigLoader(str(ROOT / "conf"), env=env, **CONFIG_LOADER_ARGS)
    return read_plan(loader["parameters"], f"conf/{env}/models.yml")


def categories_of(env: str) -> dict[str, list[str]]:
    text = (ROOT / f"conf/{env}/parameters_cleaning.yml").read_text()
    rules = yaml.safe_load(text)["cleaning"]
    assert rules["train"]["fix_categories"] == rules["test"]["fix_categories"]
    found: dict[str, list[str]] = rules["train"]["fix_categories"]["categories"]
    return found


@pytest.mark.parametrize(
    ("env", "trained"),
    [
        ("taco_litter", {"det.boxes", "det.boxes_random", "seg.masks", "seg.masks_random"}),
        ("taco_ten", {"cls.crops", "cls.crops_random", "det.boxes"}),
    ],
)
def test_each_model_is_trained_five_times_and_differs_from_its_twin_in_the_weights(
    env: str, trained: set[str]
) -> None:
    plan = plan_of(env)
    spaces = {training.namespace for training in plan.trainings}
    assert spaces == {f"{name}.fold{fold}" for name in trained for fold in range(5)}
    of_weights = {"pretrained", "pretrained_elsewhere", "freeze", "fold_norms"}
    for name, model in plan.models.items():
        Recipes(ROOT / "conf/recipes").find(model.backend, model.recipe)
        if (twin := plan.models.get(f"{name}_random")) is not None:
            own, others = model.model_dump(), twin.model_dump()
            # Where all is new, all learns at the same rate.
            own["optimizer"]["backbone_rate"] = 1.0
            assert {key for key in own if own[key] != others[key]} == of_weights
            assert twin.pretrained == "none"


def test_all_sixty_categories_are_litter_and_the_ten_are_those_of_taco() -> None:
    ten = categories_of("taco")
    assert len(ten) == 10
    assert categories_of("taco_ten") == ten
    (litter,) = categories_of("taco_litter").values()
    assert sorted(litter) == sorted(name for names in ten.values() for name in names)
    assert len(litter) == 60
