"""What torch computes on."""

from __future__ import annotations

from recycling.backends.core import BackendError


def checked_device(name: str | None = None) -> str:
    """A device that is there.

    Args:
        name: As torch names it, such as ``cpu`` or ``cuda:1``; None for the GPU where there is one.

    Raises:
        BackendError: There is no such device.

    >>> checked_device("cpu")
    'cpu'
    >>> checked_device("toaster")
    Traceback (most recent call last):
    ...
    recycling.backends.core.BackendError: device 'toaster': not one of torch's; give cpu or cuda
    """
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name is None:
        return "cuda" if there else "cpu"
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise BackendError(f"device {name!r}: not one of torch's; give cpu or cuda")
    if kind == "cuda" and int(number or 0) >= there:
        raise BackendError(f"device {name!r}: torch finds {there} GPUs; give another, or cpu")
    return name
