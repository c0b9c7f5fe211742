"""The learning rate of each group of parameters, as mmengine sets it."""

from __future__ import annotations

from typing import Any

import pytest

from recycling.backends.shared.model import Model

torch = pytest.importorskip("torch")
pytest.importorskip("mmengine")

RATES = {"head": 0.5, "backbone": 0.025}


def courses(schedule: dict[str, Any], n_iterations: int) -> dict[str, list[float]]:
    """The rate of each step, for a group of parameters and one that learns more slowly."""
    from mmengine.optim import OptimWrapper
    from mmengine.registry import PARAM_SCHEDULERS

    from recycling.backends.mmengine_backend.resolve import _schedulers

    model = Model(
        task="det", backend="mmdet", recipe="any", image_size=64, epochs=1, batch_size=1,
        optimizer={"learning_rate": RATES["head"]}, schedule=schedule,
    )  # fmt: skip
    groups = [
        {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in RATES.values()
    ]
    wrapper = OptimWrapper(torch.optim.SGD(groups))
    steps = [
        PARAM_SCHEDULERS.build({**one, "optimizer": wrapper})
        for one in _schedulers(model.schedule, n_iterations)
    ]
    found: dict[str, list[float]] = {name: [] for name in RATES}
    for _ in range(n_iterations):
        for name, group in zip(RATES, wrapper.optimizer.param_groups, strict=True):
            found[name].append(group["lr"])
        wrapper.optimizer.step()
        for step in steps:
            step.step()
    return found


@pytest.mark.parametrize("name", ["constant", "cosine", "cosine_restarts", "poly", "step"])
@pytest.mark.parametrize("n_iterations", [12, 20, 29])
def test_a_short_training_learns_at_the_rate_that_it_was_given(name, n_iterations):
    """A twentieth of these is one step, which mmengine's warm-up never ended."""
    course = courses({"name": name, "warmup": 0.05}, n_iterations)
    assert max(course["head"]) == pytest.approx(RATES["head"])


@pytest.mark.parametrize("name", ["cosine", "poly"])
@pytest.mark.parametrize("warmup", [0.0, 0.1])
def test_the_lowest_rate_is_a_share_of_each_groups_own(name, warmup):
    course = courses({"name": name, "lowest": 0.2, "warmup": warmup}, 200)
    for group, rate in RATES.items():
        assert max(course[group]) == pytest.approx(rate, rel=0.01)
        assert course[group][-1] == pytest.approx(0.2 * rate, rel=0.02)


def test_without_a_lowest_rate_poly_falls_as_its_power_says():
    course = courses({"name": "poly", "power": 2.0, "warmup": 0.0}, 200)
    by_hand = [0.5 * (1 - step / 199) ** 2 for step in range(200)]
    assert course["head"] == pytest.approx(by_hand, abs=1e-9)
