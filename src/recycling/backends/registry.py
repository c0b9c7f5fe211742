"""Which adapter stands behind which backend's name."""

from __future__ import annotations

from recycling.backends.core import Backend, BackendError
from recycling.backends.libraries import how_to_install, is_installed


def backend_for(name: str) -> Backend:
    """The backend of that name, ready to train and predict.

    Raises:
        BackendError: Its library is not installed; the message says how to install it.
    """
    if not is_installed(name):
        raise BackendError(f"backend {name!r} is not installed; {how_to_install(name)}")
    if name == "detectron2":
        from recycling.backends.detectron2_backend import Detectron2Backend

        return Detectron2Backend()
    from recycling.backends.mmengine_backend import MMEngineBackend

    return MMEngineBackend(name)
