"""The training loop: detectron2's trainer and hooks, with the project's optimiser and schedule."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.detectron2_backend.records import NamesTheFile
from recycling.backends.detectron2_backend.session import one_line, unwrapped_errors
from recycling.backends.model import Model
from recycling.backends.settings import Schedule
from recycling.progress import progress_bar

POLY_POWER = 0.9
"""Of DeepLab's schedule, which those after it have kept."""

STEPS: dict[str, Any] = {"values": [1.0, 0.1, 0.01], "num_updates": 12, "milestones": [8, 11]}
"""A tenth after 8 and after 11 of 12 epochs: the "1x" schedule of the detection libraries."""

LOG_PERIOD = 20
"""Iterations from one line of ``metrics.json`` to the next."""


def fit(
    model: Model, config: Any, records: list[dict[str, Any]], work_dir: Path, name: str
) -> tuple[Any, float]:
    """Train a new network.

    Args:
        model: The settings.
        config: The resolved config.
        records: What to train on.
        work_dir: Gets ``metrics.json``.
        name: What the model is called on the progress line and in a message.

    Returns:
        The network, and its loss in the last iteration.

    Raises:
        BackendError: The network cannot be built, an image cannot be read, or the loss is no
            longer a number.
    """
    from detectron2.data import DatasetMapper, build_detection_train_loader
    from detectron2.engine import hooks
    from detectron2.modeling import build_model
    from detectron2.solver import LRMultiplier
    from detectron2.utils.events import JSONWriter

    try:
        network = build_model(config)
    except Exception as error:
        raise BackendError(f"{name}: the model cannot be built: {one_line(error)}") from error
    if config.MODEL.WEIGHTS:
        _load_pretrained(network, config.MODEL.WEIGHTS, name)
    optimizer = _optimizer(model, config, network)
    loader = build_detection_train_loader(
        config, dataset=records, mapper=NamesTheFile(DatasetMapper(config, is_train=True))
    )
    trainer = _trainer(model, network, loader, optimizer)
    history = work_dir / "metrics.json"
    history.unlink(missing_ok=True)  # the writer appends
    iterations = config.SOLVER.MAX_ITER
    losses: list[float] = []

    with progress_bar() as progress, unwrapped_errors():
        line = progress.add_task("training", total=iterations, note="")

        def show(trainer: Any) -> None:
            losses.append(float(trainer.storage.latest()["total_loss"][0]))
            progress.update(line, advance=1, note=f"loss {losses[-1]:.3f}")

        curve = _curve(model.schedule, config)
        trainer.register_hooks(
            [
                hooks.LRScheduler(optimizer, LRMultiplier(optimizer, curve, iterations)),
                hooks.PeriodicWriter([JSONWriter(str(history))], period=LOG_PERIOD),
                hooks.CallbackHook(after_step=show),
            ]
        )
        try:
            trainer.train(start_iter=0, max_iter=iterations)
        except FloatingPointError as error:
            raise _diverged(name, len(losses) + 1, iterations) from error
    _check_weights(network, name, iterations)
    return network, losses[-1]


def _trainer(model: Model, network: Any, loader: Any, optimizer: Any) -> Any:
    import torch
    from detectron2.engine import AMPTrainer, SimpleTrainer

    if model.precision == "fp32":
        return SimpleTrainer(network, loader, optimizer)
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[model.precision]
    return AMPTrainer(network, loader, optimizer, precision=dtype)


def _check_weights(network: Any, name: str, iterations: int) -> None:
    """The last step comes after the last look at the loss."""
    import torch

    if not all(bool(torch.isfinite(tensor).all()) for tensor in network.state_dict().values()):
        raise _diverged(name, iterations, iterations)


def _diverged(name: str, iteration: int, iterations: int) -> BackendError:
    return BackendError(
        f"{name}: the loss is no number at iteration {iteration} of {iterations}; lower "
        "optimizer.learning_rate or set optimizer.clip_grad_norm"
    )


def _load_pretrained(network: Any, weights: str, name: str) -> None:
    import torch
    from detectron2.checkpoint import DetectionCheckpointer

    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    try:
        DetectionCheckpointer(network).load(weights)
    except Exception as error:  # whatever the file's format raises
        raise BackendError(f"{name}: pretrained {weights}: {one_line(error)}") from error
    if all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items()):
        raise BackendError(
            f"{name}: pretrained {weights}: no weight in it fits; it belongs to another model"
        )


def _optimizer(model: Model, config: Any, network: Any) -> Any:
    import torch
    from detectron2.solver.build import get_default_optimizer_params

    settings = model.optimizer
    groups = get_default_optimizer_params(
        network,
        base_lr=settings.learning_rate,
        weight_decay_norm=config.SOLVER.WEIGHT_DECAY_NORM,
        bias_lr_factor=config.SOLVER.BIAS_LR_FACTOR,
        weight_decay_bias=config.SOLVER.WEIGHT_DECAY_BIAS,
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


def _curve(schedule: Schedule, config: Any) -> Any:
    """The multiple of the learning rate, by the share of the iterations that has passed."""
    from detectron2.solver.lr_scheduler import WarmupParamScheduler

    param_scheduler = import_module("fvcore.common.param_scheduler")
    curves: dict[str, Callable[[], Any]] = {
        "constant": lambda: param_scheduler.ConstantParamScheduler(1.0),
        "cosine": lambda: param_scheduler.CosineParamScheduler(1.0, 0.0),
        "poly": lambda: param_scheduler.PolynomialDecayParamScheduler(1.0, POLY_POWER),
        "step": lambda: param_scheduler.MultiStepParamScheduler(**STEPS),
    }
    curve = curves[schedule.name]()
    if schedule.warmup == 0:
        return curve
    return WarmupParamScheduler(
        curve, config.SOLVER.WARMUP_FACTOR, schedule.warmup, config.SOLVER.WARMUP_METHOD
    )
