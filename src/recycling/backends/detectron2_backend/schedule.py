"""The optimiser and the schedule of its learning rate; detectron2's own are SGD's only."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from recycling.backends.shared.model import Model
from recycling.backends.shared.settings import Schedule


def build_optimizer(model: Model, config: Any, network: Any) -> Any:
    """An optimiser of torch over the library's groups of parameters.

    Args:
        model: The settings.
        config: The resolved config: other rates of biases and norms.
        network: What learns.
    """
    import torch
    from detectron2.solver.build import get_default_optimizer_params

    settings = model.optimizer

    def rate_of(parameter: str) -> float:
        # A feature pyramid is `backbone` too, and what it stands on `backbone.bottom_up`.
        return settings.backbone_rate if "bottom_up" in parameter.split(".") else 1.0

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
    from detectron2.solver.lr_scheduler import WarmupParamScheduler

    curve = _curve_of(schedule)
    if schedule.warmup == 0:
        return curve
    return WarmupParamScheduler(
        curve,
        config.SOLVER.WARMUP_FACTOR,
        schedule.warmup,
        config.SOLVER.WARMUP_METHOD,
        rescale_interval=schedule.name != "step",
    )


def _curve_of(schedule: Schedule) -> Any:
    from detectron2.solver.lr_scheduler import ParamScheduler

    library = import_module("fvcore.common.param_scheduler")
    lowest = schedule.lowest

    class Poly(ParamScheduler):  # type: ignore[misc]
        """With a floor, which the library's own has not."""

        def __call__(self, where: float) -> float:
            return float((1 - lowest) * max(0.0, 1 - where) ** schedule.power + lowest)

    if schedule.name == "constant":
        return _level(library, 1.0)
    if schedule.name == "poly":
        return Poly()
    if schedule.name == "step":
        return _steps(library, schedule)
    cosine = library.CosineParamScheduler(1.0, lowest)
    if schedule.name == "cosine":
        return cosine
    n_periods = schedule.restarts + 1
    return library.CompositeParamScheduler(
        [cosine] * n_periods,
        lengths=[1 / n_periods] * n_periods,
        interval_scaling=["rescaled"] * n_periods,
    )


def _steps(library: Any, schedule: Schedule) -> Any:
    milestones = schedule.milestones
    shares = [*milestones, 1.0]
    lengths = [share - before for before, share in zip([0.0, *shares], shares, strict=False)]
    values = [schedule.factor**step for step in range(len(shares))]
    return library.CompositeParamScheduler(
        [_level(library, value) for value in values],
        lengths=lengths,
        interval_scaling=["fixed"] * len(values),
    )


def _level(library: Any, value: float) -> Any:
    # The library's constant has no value at the very end, which is asked for after the last step.
    return library.LinearParamScheduler(value, value)
