"""Which library stands behind which backend's name."""

from __future__ import annotations

from importlib.util import find_spec

from recycling.backends.core import Backend, BackendError

_INSTALL = {
    "mmpretrain": "pip install onedl-mmpretrain==1.3.6",
    "mmdet": "pip install onedl-mmdetection==3.5.1",
    "mmseg": "pip install onedl-mmsegmentation==1.4.2",
    "detectron2": "see https://detectron2.readthedocs.io/en/latest/tutorials/install.html",
    "effdet": 'pip install ".[efficientdet]"',
    "ultralytics": 'pip install ".[yolov5]"',
}


def is_installed(name: str) -> bool:
    """Whether a library can be imported (without importing it); a backend is named as its own."""
    return find_spec(name) is not None


def how_to_install(name: str) -> str:
    """A command, or where one is found, for a library that a backend or a recipe needs."""
    return _INSTALL.get(name, f"pip install {name}")


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
