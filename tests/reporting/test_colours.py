"""Colours of categories, as eyes of every kind see them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from recycling.reporting.layout import category_colours

# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision
# deficiency", 2009: linear RGB as seen without one kind of cone.
SEEN = {
    "with all cones": np.eye(3),
    "without long-wave cones": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]
    ),
    "without middle-wave cones": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]
    ),
    "without short-wave cones": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
         [0.004733, 0.691367, 0.303900]]
    ),
}  # fmt: skip

NOTICED = 12.0
"""CIE76; from 2.3 on two patches side by side are told apart, thin lines need more."""


@pytest.mark.parametrize("seen", SEEN.values(), ids=SEEN)
def test_ten_categories_are_told_apart_by_every_eye(seen):
    colours = np.array(category_colours(10), dtype=np.float32) / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    light = np.clip(linear @ seen.T, 0, 1)
    shown = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    lab = cv2.cvtColor(shown[None].astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    assert apart[np.triu_indices(10, 1)].min() > NOTICED
