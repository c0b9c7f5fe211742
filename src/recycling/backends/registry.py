"""Which library stands behind which backend's name."""

from __future__ import annotations

from importlib.util import find_spec

from recycling.backends.core import Backend, BackendError

INSTALL = {
    "mmpretrain": "pip install onedl-mmpretrain==1.3.6",
    "mmdet": "pip install onedl-mmdetection==3.5.1",
    "mmseg": "pip install onedl-mmsegmentation==1.4.2",
    "detectron2": "see https://detectron2.readthedocs.io/en/latest/tutorials/install.html",
}
"""How to install the library of each backend; the library imports under the backend's name."""


def is_installed(name: str) -> bool:
    """Whether the library of a backend can be imported (without importing it)."""
    return find_spec(name) is not None


def backend_for(name: str) -> Backend:
    """The backend of that name, ready to train and predict.

    Raises:
        BackendError: Its library is not installed; the message says how to install it.
    """
    if not is_installed(name):
        raise BackendError(f"backend {name!r} is not installed; {INSTALL[name]}")
    if name == "detectron2":
        from recycling.backends.detectron2_backend import Detectron2Backend

        return Detectron2Backend()
    from recycling.backends.mmengine_backend import MMEngineBackend

    return MMEngineBackend(name)
