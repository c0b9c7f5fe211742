"""The libraries that backends and recipes need: whether they are there, and how to get them."""

from __future__ import annotations

from importlib.util import find_spec

_INSTALL = {
    "mmpretrain": "pip install onedl-mmpretrain==1.3.6",
    "mmdet": "pip install onedl-mmdetection==3.5.1",
    "mmseg": "pip install onedl-mmsegmentation==1.4.2",
    "detectron2": "see https://detectron2.readthedocs.io/en/latest/tutorials/install.html",
    "effdet": 'pip install ".[efficientdet]"',
    "timm": 'pip install ".[timm]"',
    "transformers": 'pip install ".[transformers]"',
    "ultralytics": 'pip install ".[yolov5]"',
}


def is_installed(name: str) -> bool:
    """Whether a library can be imported (without importing it); a backend is named as its own.

    >>> is_installed("json"), is_installed("no_such_library")
    (True, False)
    """
    return find_spec(name) is not None


def how_to_install(name: str) -> str:
    """A command, or where one is found, for a library that a backend or a recipe needs.

    >>> how_to_install("effdet")
    'pip install ".[efficientdet]"'
    """
    return _INSTALL.get(name, f"pip install {name}")
