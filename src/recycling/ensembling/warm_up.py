"""Compiling ahead, so that the first ensemble does not wait for the compiler."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from recycling.ensembling.methods import BOX_METHODS, MASK_METHODS, Method
from recycling.predictions import DETECTIONS, Detections, LabelMaps
from recycling.predictions.probability_maps import ProbabilityMaps


def compile_kernels() -> None:
    """Call each fusion method of boxes and masks once; numba keeps what it compiles on disk."""
    for call in small_calls().values():
        call()


def small_calls() -> dict[str, Callable[[], object]]:
    """By the name of a method of boxes or masks, a call of it on two members of one small image."""
    calls: dict[str, Callable[[], object]] = {}
    for name, entry in BOX_METHODS.items():
        calls[name] = partial(_fuse_boxes, entry.thing)
    for name, entry in MASK_METHODS.items():
        calls[name] = partial(_fuse_maps, entry.thing)
    return calls


def _fuse_boxes(method: Method) -> object:
    row = [(1, 1, 0.5, 0.0, 0.0, 8.0, 8.0)]
    frame = pd.DataFrame(row, columns=DETECTIONS.names)
    boxes = Detections(DETECTIONS.conform(frame, where="one box"))
    return method.fuse([boxes, boxes])


def _fuse_maps(method: Method) -> object:
    maps: Any = LabelMaps([1], lambda _: np.zeros((8, 8), np.uint8))
    if method.takes == "probabilities":
        maps = ProbabilityMaps([1], lambda _: np.zeros((2, 8, 8), np.uint8))
    ranks = {"ranks": [0, 1]} if method.learns == "ranks" else {}
    return method.fuse([maps, maps], **ranks)[1]
