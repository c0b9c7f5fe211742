"""Where a network looked for one prediction: what is asked, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

Method: TypeAlias = Literal["grad_cam", "grad_cam_plus_plus", "hires_cam", "layer_cam", "eigen_cam"]

METHODS: tuple[Method, ...] = get_args(Method)
"""Grad-CAM (Selvaraju et al., 2017), Grad-CAM++ (Chattopadhay et al., 2018), HiResCAM (Draelos and
Carin, 2020), LayerCAM (Jiang et al., 2021), EigenCAM (Muhammad and Yeasin, 2020), which asks for no
class."""


@dataclass(frozen=True)
class Asked:
    """One prediction.

    Attributes:
        class_index: What was predicted, in the order of the model's categories, from 0.
        box: `x_min, y_min, x_max, y_max`, pixels of the image: where. Of a segmenter, the pixels in
            it that it gave the class; of a classifier, the crop.
    """

    class_index: int
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class ActivationMap:
    """Where a network looked.

    Attributes:
        seen: (H, W, 3) RGB, what it saw: the image, or the crop, as it was scaled.
        heat: (H, W) float32, from 0 to 1.
    """

    seen: NDArray[np.uint8]
    heat: NDArray[np.float32]
