"""The optimiser and the schedule of its learning rate; detectron2's own are SGD's only."""

from __future__ import annotations

from bisect import bisect_left
from math import cos, pi
from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.shared.model import Model
from recycling.backends.shared.settings import Schedule

EPSILON = 1e-6
"""How near to a share of the iterations counts as there, as in the library's own schedules."""


def build_optimizer(model: Model, config: Any, network: Any) -> Any:
    """An optimiser of torch over the library's groups of parameters.

    Args:
        model: The settings.
        config: The resolved config: other rates of biases and norms.
        network: What learns.

    Raises:
        BackendError: The backbone is to learn at another rate, and there is none.
    """
    import torch
    from detectron2.solver.build import get_default_optimizer_params

    settings = model.optimizer
    parts = {part for name, _ in network.named_modules() for part in name.split(".")}
    # A feature pyramid is `backbone` too, and what it stands on `backbone.bottom_up`.
    backbone = "bottom_up" if "bottom_up" in parts else "backbone"
    if settings.backbone_rate != 1 and backbone not in parts:
        raise BackendError(
            f"optimizer.backbone_rate: {type(network).__name__} has no backbone of its own; "
            "remove backbone_rate"
        )

    def rate_of(parameter: str) -> float:
        return settings.backbone_rate if backbone in parameter.split(".") else 1.0

    groups = get_default_optimizer_params(
        network,
        base_lr=settings.learning_rate,
        weight_decay_norm=config.SOLVER.WEIGHT_DECAY_NORM,
        bias_lr_factor=config.SOLVER.BIAS_LR_FACTOR,
        weight_decay_bias=config.SOLVER.WEIGHT_DECAY_BIAS,
        lr_factor_func=rate_of,
    )
    shared: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if settings.name == "SGD":
        shared.update(momentum=settings.momentum, nesterov=config.SOLVER.NESTEROV)
    optimizer = getattr(torch.optim, settings.name)(groups, **shared)
    limit = settings.clip_grad_norm
    if limit is not None:
        parameters = [parameter for group in groups for parameter in group["params"]]

        def clip(*_: Any) -> None:
            torch.nn.utils.clip_grad_norm_(parameters, limit)

        # detectron2's own clipping bounds each parameter's norm, not the norm of all together.
        optimizer.register_step_pre_hook(clip)
    return optimizer


def build_curve(schedule: Schedule, config: Any) -> Any:
    """The multiple of the learning rate, by the share of the iterations that has passed.

    After the warm-up the curve takes the iterations that are left; milestones are shares of all.

    Args:
        schedule: The settings.
        config: The resolved config: how the warm-up begins.
    """
    from detectron2.solver.lr_scheduler import ParamScheduler, WarmupParamScheduler

    class Curve(ParamScheduler):  # type: ignore[misc]
        def __call__(self, where: float) -> float:
            return _multiple(schedule, where)

    if schedule.warmup == 0:
        return Curve()
    return WarmupParamScheduler(
        Curve(),
        config.SOLVER.WARMUP_FACTOR,
        schedule.warmup,
        config.SOLVER.WARMUP_METHOD,
        rescale_interval=schedule.name != "step",
    )


def _multiple(schedule: Schedule, where: float) -> float:
    """The multiple of the learning rate where a share of the iterations has passed, 0 to 1."""
    if schedule.name == "constant":
        return 1.0
    if schedule.name == "step":
        return schedule.factor ** bisect_left(schedule.milestones, where + EPSILON)
    if schedule.name == "poly":
        left = float(max(0.0, 1 - where) ** schedule.power)
    else:
        n_periods = schedule.restarts + 1 if schedule.name == "cosine_restarts" else 1
        period = min(int((where + EPSILON) * n_periods), n_periods - 1)
        left = (1 + cos(pi * (where * n_periods - period))) / 2
    return schedule.lowest + (1 - schedule.lowest) * left
