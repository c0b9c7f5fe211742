"""The hook that keeps the state of a training, for one that goes on after a stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce, all_reduce_params, is_main_process
from mmengine.hooks import Hook

from recycling.backends.mmengine_backend.hooks.current_network import network_of
from recycling.backends.shared.checkpoint_folder import no_room
from recycling.backends.shared.resume import STATE, Identity, new_state, share
from recycling.stopping import Stopped, is_asked_to_stop


class KeepState(Hook):  # type: ignore[misc]
    """Writes the whole state after each epoch but the last; the checkpoint follows that one.

    The file is mmengine's own: weights, averaged weights, optimiser, schedules, logged numbers and
    what other hooks add. It takes the place of the one before in one move.

    Args:
        folder: Where.
        identity: What the training depends on.
    """

    priority = "LOWEST"

    def __init__(self, folder: Path, identity: Identity) -> None:
        self.folder, self.identity = folder, identity
        self.gradients: dict[str, torch.Tensor] = {}

    def after_train_epoch(self, runner: Any) -> None:
        """Write the state, and stop there where that is asked for."""
        if runner.epoch + 1 == runner.max_epochs or runner.train_loop.stop_training:
            return
        if not runner.optim_wrapper.should_update():
            _share_gradients(network_of(runner))
        if is_main_process():  # mmengine has only this one write
            try:
                with new_state(self.folder, self.identity) as unfinished:
                    runner.save_checkpoint(str(self.folder), unfinished.name)
            except OSError as error:
                raise no_room(self.folder / STATE, error) from error
            share(self.folder)
        asked = torch.tensor(float(is_asked_to_stop()))
        all_reduce(asked)  # one process of each node is told, and all stop after one epoch
        if asked:
            raise Stopped

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Add the gradients of steps whose update is still to come."""
        checkpoint["gradients"] = {
            name: parameter.grad.cpu()
            for name, parameter in network_of(runner).named_parameters()
            if parameter.grad is not None and not runner.optim_wrapper.should_update()
        }

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Remember the gradients; this is called before the network is ready for them."""
        self.gradients = checkpoint.get("gradients", {})

    def before_train(self, runner: Any) -> None:
        """Put the gradients back."""
        for name, parameter in network_of(runner).named_parameters():
            if name in self.gradients:
                parameter.grad = self.gradients[name].to(parameter.device)


def _share_gradients(network: torch.nn.Module) -> None:
    """Give each process the mean of all processes' gradients, as the state keeps those of one.

    With the last step of an update the library takes the mean of their sums, which is the same.
    """
    learning = [each for each in network.parameters() if each.requires_grad]
    users = torch.tensor([float(each.grad is not None) for each in learning])
    all_reduce(users)
    used = [each for each, n in zip(learning, users.tolist(), strict=True) if n]
    for each in used:
        if each.grad is None:  # a part that only another process has used
            each.grad = torch.zeros_like(each)
    all_reduce_params([each.grad for each in used], op="mean")
